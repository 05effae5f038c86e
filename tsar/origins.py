"""Forecast origins: points in the past of a panel, with what lay before them and what happened after.

Shapes: N items, H horizon.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tsar.forecasters.base import Forecaster, check_horizon
from tsar.panel import Panel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Origin:
    """One forecast origin of a panel: the histories before it, what happened after it, and the future covariates."""

    window: int
    items: np.ndarray
    history: Panel
    full: Panel
    y_NH: np.ndarray
    future: pd.DataFrame
    cutoff: Any

    def only(self, items: np.ndarray) -> Origin:
        """Only these items of the panel, in the order they have here."""
        keep = np.flatnonzero(np.isin(self.items, items))
        history, full = self.history.take(keep), self.full.take(keep)
        future = self.future[self.future.iloc[:, 0].isin(history.ids)]
        return Origin(self.window, self.items[keep], history, full, self.y_NH[keep], future, self.cutoff[keep])


def read(df: Any, models: Sequence[Forecaster], freq: str | int | None, season_length: int | None) -> Panel:
    """Read the data once, with the covariates that any of the models names."""
    known, other, static = covariates(models)
    if season_length is None:
        season_length = getattr(df, "attrs", {}).get("season_length")
    return Panel.of(df, covariates=(*known, *other), static=static, freq=freq, season_length=season_length)


def default_horizon(df: Any, horizon: int | None) -> int:
    """Take `horizon`, or the data set's own; ValueError where there is neither."""
    if horizon is None:
        horizon = getattr(df, "attrs", {}).get("horizon")
    if horizon is None:
        raise ValueError("horizon: expected a number of steps, found None and no data set's own horizon in df.attrs")
    return check_horizon(horizon)


def origins(
    panel: Panel,
    horizon: int,
    windows: int,
    step: int | None = None,
    max_history: int | None = None,
    known: Sequence[str] = (),
) -> list[Origin]:
    """Forecast origins of a panel, the earliest first; arguments as in `backtest`.

    Raises
    ------
    ValueError
        If no item is long enough for one origin, or a number is not positive.
    """
    step = horizon if step is None else step
    for name, number in (
        ("windows", windows),
        ("step", step),
        ("max_history", 1 if max_history is None else max_history),
    ):
        if isinstance(number, bool) or int(number) != number or number < 1:
            raise ValueError(f"{name}: expected a positive integer, found {number!r}")
    fewest = np.minimum(panel.season_of() + 2, 2 * horizon + 2)  # a season and a little, where the horizon is not tiny
    out = []
    for window in range(windows):
        lengths = panel.lengths - horizon - (windows - 1 - window) * step
        items = np.flatnonzero(lengths >= fewest)
        items = items[[_observed(panel.series(int(i)), lengths[i], horizon) for i in items]]
        if not len(items):
            continue
        full = panel.take(items).until(lengths[items])
        history = full if max_history is None else full.last(max_history)
        rows_NH = (panel.offsets[items] + lengths[items])[:, None] + np.arange(horizon)
        ahead = {panel.names.item: np.repeat(panel.ids[items], horizon)}
        ahead |= {panel.names.time: panel.stamp(panel.times[rows_NH.ravel()])}
        future = pd.DataFrame(ahead | {name: panel.covariates[name][rows_NH.ravel()] for name in known})
        cutoff = panel.stamp(full.times[full.offsets[1:] - 1])
        out.append(Origin(window, items, history, full, panel.values[rows_NH], future, cutoff))
    if not out:
        longest = int(np.argmax(panel.lengths))
        raise ValueError(
            f"the longest item {panel.ids[longest]!r} has {panel.lengths[longest]} steps: expected at least "
            f"{int(fewest[longest]) + horizon} for a horizon of {horizon}, with observed values in both parts"
        )
    if absent := windows * len(panel) - sum(len(origin.items) for origin in out):
        log.warning(
            "%d of %d pairs of item and origin left out: too short, or nothing observed", absent, windows * len(panel)
        )
    return out


def covariates(models: Sequence[Forecaster]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Known, past and static covariates that any of the models names."""
    known = tuple(dict.fromkeys(c for model in models for c in model.known))
    past = tuple(dict.fromkeys(c for model in models for c in model.past if c not in known))
    return known, past, tuple(dict.fromkeys(c for model in models for c in model.static))


def _observed(series: np.ndarray, length: int, horizon: int) -> bool:
    """Whether there is something to learn from before an origin, and something to score after it."""
    return not (np.isnan(series[:length]).all() or np.isnan(series[length : length + horizon]).all())
