"""Rolling origins: what forecasters would have said, and how right they were.

Shapes: N items, H horizon, W windows (forecast origins), Q levels.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from tsar.forecast import Forecast
from tsar.forecasters.base import FallbackWarning, Forecaster, check_horizon
from tsar.meter import Meter
from tsar.panel import Panel
from tsar.scores import LEVELS, METRICS, below_quantiles, score_items

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


@dataclass
class Run:
    """What one forecaster did over all origins: scores with weights, the last forecast, calibration and cost."""

    name: str
    engine: str = ""
    scores: pd.DataFrame = field(default_factory=pd.DataFrame)
    last: Forecast | None = None
    below_Q: np.ndarray = field(default_factory=lambda: np.zeros(len(LEVELS)))
    observed: int = 0
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0
    peak_mb: float = 0.0
    notes: list[str] = field(default_factory=list)
    error: str | None = None


def backtest(
    model: Forecaster,
    df: Any,
    horizon: int | None = None,
    windows: int = 5,
    *,
    step: int | None = None,
    refit: bool = True,
    max_history: int | None = None,
    num_samples: int | None = None,
    freq: str | int | None = None,
    season_length: int | None = None,
    random_state: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Score a forecaster at rolling origins: the last `windows` of them, each `step` after the one before.

    Parameters
    ----------
    model : Forecaster
        Never modified: copies are fitted on what lies before an origin. Pretrained weights, which know no series,
        are used as they are.
    df : any input that `Panel.of` reads
    horizon : int, steps ahead
        Default: the data set's own (`df.attrs["horizon"]`).
    windows : int, default 5
        Number of origins. An item takes part in those where its history is long enough (a season and a little) and
        something is observed before and after; a log message counts what is left out.
    step : int, steps between origins, default `horizon`
    refit : bool, default True
        Fit at every origin, or once at the first and then continue with the history up to each origin; the latter
        leaves out items that are too short for the first.
    max_history : int, optional
        Show only this many last steps before an origin.
    num_samples : int, optional
        Also draw paths, which makes the CRPS exact.
    freq, season_length : default inferred
        The season is also that of the scales of MASE, RMSSE and MSIS; a data set's own one goes before the inferred.
    random_state : int, default 0
    progress : bool, default False
        Show a bar on stderr.

    Returns
    -------
    DataFrame
        Tidy: model, item (under the caller's name), cutoff (the last time before the forecast), metric, value.

    Raises
    ------
    ValueError
        For bad input, series too short, or whatever the model raises; a fitted series is named.
    """
    covariates = _columns([model])
    panel = read(df, [model], freq, season_length)
    horizon = default_horizon(df, horizon)
    places = origins(panel, horizon, windows, step, max_history, covariates[0])
    name = type(model).__name__
    result = run(
        name, model, places, horizon, refit=refit, num_samples=num_samples, random_state=random_state, progress=progress
    )
    return result.scores[["model", panel.names.item, "cutoff", "metric", "value"]]


def read(df: Any, models: Sequence[Forecaster], freq: str | int | None, season_length: int | None) -> Panel:
    """Read the data once, with the covariates that any of the models names."""
    known, other, static = _columns(models)
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
    for name, number in (("windows", windows), ("step", step), ("max_history", max_history or 1)):
        if isinstance(number, bool) or int(number) != number or number < 1:
            raise ValueError(f"{name}: expected a positive integer, found {number!r}")
    fewest = np.minimum(panel.season_of() + 2, 2 * horizon + 2)  # a season and a little, where the horizon is not tiny
    out = []
    for window in range(windows):
        lengths = panel.lengths - horizon - (windows - 1 - window) * step
        items = np.flatnonzero(lengths >= fewest)
        items = items[[_observed(panel.series(i), lengths[i], horizon) for i in items]]
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


def run(
    name: str,
    model: Forecaster,
    places: Sequence[Origin],
    horizon: int,
    *,
    refit: bool = True,
    num_samples: int | None = None,
    random_state: int = 0,
    progress: bool = False,
) -> Run:
    """Let one forecaster forecast from every origin, and score it."""
    result, tables = Run(name), []
    pretrained = _pretrained(model)
    fitted = model
    for origin in _shown(places, name, progress):
        history, y_NH, kept = origin.history, origin.y_NH, np.arange(len(origin.items))
        if not refit and not pretrained:
            kept = np.flatnonzero(np.isin(origin.items, places[0].items))
            history, y_NH = history.take(kept), y_NH[kept]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", FallbackWarning)
            if not pretrained and (refit or origin is places[0]):
                fitted = clone(model)
                with Meter() as meter:
                    fitted.fit(history)
                result.fit_seconds += meter.seconds
                result.peak_mb = max(result.peak_mb, meter.peak_mb)
            ahead = origin.future[origin.future.iloc[:, 0].isin(history.ids)] if model.known else None
            with Meter() as meter:
                forecast = fitted.predict(
                    horizon, history, levels=LEVELS, num_samples=num_samples, future=ahead, random_state=random_state
                )
        result.predict_seconds += meter.seconds
        result.peak_mb = max(result.peak_mb, meter.peak_mb)
        for warning in caught:
            if issubclass(warning.category, FallbackWarning):
                result.notes.append(str(warning.message))
            else:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        full = origin.full.take(kept)
        parts = score_items(forecast, y_NH, [full.series(i) for i in range(len(full))], full.season_of())
        tables += [
            pd.DataFrame(
                {
                    "model": name,
                    full.names.item: full.ids,
                    "window": origin.window,
                    "cutoff": origin.cutoff[kept],
                    "metric": metric,
                    "value": value,
                    "weight": weight,
                }
            )
            for metric, (value, weight) in parts.items()
        ]
        below_Q, observed = below_quantiles(forecast, y_NH)
        result.below_Q, result.observed, result.last = result.below_Q + below_Q, result.observed + observed, forecast
    result.engine = _engine(fitted)
    result.scores = pd.concat(tables, ignore_index=True)
    result.scores["metric"] = pd.Categorical(result.scores["metric"], METRICS)
    return result


def _observed(series: np.ndarray, length: int, horizon: int) -> bool:
    """Whether there is something to learn from before an origin, and something to score after it."""
    return not (np.isnan(series[:length]).all() or np.isnan(series[length : length + horizon]).all())


def _columns(models: Sequence[Forecaster]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Known, past and static covariates that any of the models names."""
    known = tuple(dict.fromkeys(c for model in models for c in model.known))
    past = tuple(dict.fromkeys(c for model in models for c in model.past if c not in known))
    return known, past, tuple(dict.fromkeys(c for model in models for c in model.static))


def _pretrained(model: Forecaster) -> bool:
    """Whether a model is fitted without having learned any series: its weights come from elsewhere."""
    return model.__sklearn_is_fitted__() and not hasattr(model, "history_")


def _engine(model: Forecaster) -> str:
    """Which code did the work, as far as the forecaster says."""
    return str(getattr(model, "engine_", None) or getattr(model, "engine", None) or "tsar")


def _shown(places: Sequence[Origin], name: str, progress: bool) -> Iterator[Origin]:
    if not progress:
        return iter(places)
    from tqdm import tqdm

    return iter(tqdm(places, desc=name, unit="origin"))
