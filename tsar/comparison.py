"""Which forecaster to use: many at the same rolling origins, with what luck could explain and what each costs.

Shapes: N items, W windows (forecast origins), R bootstrap replications.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsar.evaluate import Run, run
from tsar.forecasters.base import Forecaster
from tsar.origins import Origin, covariates, default_horizon, origins, read
from tsar.scores import METRICS, POWER, combine
from tsar.significance import bootstrap_interval, bootstrap_weights, compare_losses, holm

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)
LOSS = "MASE"
ALPHA = 0.05
EXPECTED = (ValueError, ArithmeticError, ImportError, RuntimeError, np.linalg.LinAlgError)


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes
    ----------
    runs : what each forecaster did, by name
    last : the last origin: histories, what happened, times
    baseline : name of the forecaster that every other should beat
    horizon, windows, step : the experiment
    replications, random_state : of the bootstrap
    title : what the data are
    """

    runs: Mapping[str, Run]
    last: Origin
    baseline: str
    horizon: int
    windows: int
    step: int
    replications: int = 1000
    random_state: int = 0
    title: str = ""

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Tidy frame as `backtest` gives it, for all forecasters: model, item, cutoff, metric, value."""
        whole = pd.concat([r.scores for r in self.runs.values() if r.error is None], ignore_index=True)
        return whole.drop(columns=["window", "weight"])

    @property
    def fine(self) -> dict[str, Run]:
        """The runs that did not fail."""
        return {name: r for name, r in self.runs.items() if r.error is None}

    @cached_property
    def units(self) -> str:
        """Over what the bootstrap resamples: "items", or "origins" where there is only one item."""
        return "items" if len(self._losses(self.baseline)) > 1 else "origins"

    def to_frame(self) -> pd.DataFrame:
        """Leaderboard, one row per forecaster, the lowest MASE first.

        Returns
        -------
        DataFrame
            Indexed by model: every metric over all items and origins, with the ends `_low` and `_high` of its 95%
            bootstrap interval; `MASE_relative` and `WQL_relative` to the baseline; `p_value` of the difference in
            MASE to the baseline (Diebold-Mariano, Holm over all pairs) and the `verdict`; `fit_seconds`,
            `predict_seconds`, `peak_mb`, `engine`, `fallbacks`.
        """
        rows: dict[str, dict[str, Any]] = {}
        draws: dict[int, np.ndarray] = {}
        against = self.pairs().query("model_b == @self.baseline or model_a == @self.baseline")
        p_values = {b if a == self.baseline else a: p for a, b, p in against[["model_a", "model_b", "p_holm"]].values}
        for name, r in self.runs.items():
            row: dict[str, Any] = {}
            for metric in METRICS if r.error is None else ():
                values, weights = self._units(name, metric)
                row[metric] = combine(metric, values, weights)
                if len(values) not in draws:
                    draws[len(values)] = bootstrap_weights(len(values), self.replications, self.random_state)
                row[f"{metric}_low"], row[f"{metric}_high"] = bootstrap_interval(
                    values, weights, draws[len(values)], power=POWER.get(metric, 1.0)
                )
            row["p_value"] = p_values.get(name, np.nan)
            row |= {"fit_seconds": r.fit_seconds, "predict_seconds": r.predict_seconds, "peak_mb": r.peak_mb}
            rows[name] = row | {"engine": r.engine, "fallbacks": len(r.notes)}
        table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
        for metric in ("MASE", "WQL"):
            table.insert(0, f"{metric}_relative", table[metric] / table.loc[self.baseline, metric])
        table["verdict"] = [self._verdict(name, row) for name, row in table.iterrows()]
        scores = [m + end for m in METRICS for end in ("", "_low", "_high")]
        rest = [c for c in table.columns if c not in scores]
        return table[scores + rest].sort_values(LOSS, kind="stable")

    def pairs(self) -> pd.DataFrame:
        """Diebold-Mariano tests of every pair on the MASE, p-values with Holm's correction in `p_holm`.

        `difference` is the mean loss of `model_a` minus that of `model_b`, `observations` their number: items
        where there are at least eight of them, origins otherwise.
        """
        overlap = -(-self.horizon // self.step)
        rows = [
            {"model_a": a, "model_b": b} | compare_losses(*self._aligned(a, b), overlap=overlap)._asdict()
            for a, b in combinations(self.fine, 2)
        ]
        columns = ["model_a", "model_b", "difference", "statistic", "p_value", "observations"]
        table = pd.DataFrame(rows, columns=columns)
        return table.assign(p_holm=holm(table["p_value"].to_numpy(float)))

    def calibration(self) -> pd.DataFrame:
        """Share of the actuals at or below each quantile level (index), one column per forecaster."""
        from tsar.scores import LEVELS

        shares = {name: r.below_Q / max(r.observed, 1) for name, r in self.fine.items()}
        return pd.DataFrame(shares, index=pd.Index(LEVELS, name="level"))

    def plot(self) -> Figure:
        """Draw the leaderboard, one forecast, calibration and cost against accuracy with matplotlib."""
        from tsar.plotting import plot_comparison

        return plot_comparison(self)

    def to_html(self, path: str | Path, *, items: Sequence[Any] | None = None) -> Path:
        """Write one self-contained page: leaderboard, forecasts against truth, calibration, cost against accuracy.

        Parameters
        ----------
        path : str or Path
            Its folder is made; an existing file is replaced only by a complete page.
        items : sequence of item ids, default four spread over the panel
            Whose forecasts to draw.

        Raises
        ------
        ValueError
            For an item that was not forecast at the last origin.
        """
        from tsar.report import write

        return write(self, Path(path), items)

    def _losses(self, name: str) -> pd.DataFrame:
        scores = self.runs[name].scores
        scores = scores[scores["metric"] == LOSS]
        return scores.pivot(index=scores.columns[1], columns="window", values="value")

    def _aligned(self, a: str, b: str) -> tuple[np.ndarray, np.ndarray]:
        left, right = self._losses(a).align(self._losses(b))
        return left.to_numpy(), right.to_numpy()

    def _units(self, name: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Value and weight of every unit of the bootstrap: scores of a unit's parts combined."""
        scores = self.runs[name].scores
        scores = scores[scores["metric"] == metric]
        by = scores.columns[1] if self.units == "items" else "window"
        power = POWER.get(metric, 1.0)
        parts = pd.DataFrame({"unit": scores[by], "weight": scores["weight"]})
        parts["sum"] = (scores["weight"] * scores["value"].fillna(0.0) ** power).to_numpy()
        total = parts.groupby("unit", sort=False)[["sum", "weight"]].sum()
        weight = total["weight"].to_numpy()
        value = np.divide(total["sum"].to_numpy(), weight, out=np.full(len(weight), np.nan), where=weight > 0)
        return value ** (1 / power), weight

    def _verdict(self, name: str, row: pd.Series) -> str:
        if error := self.runs[name].error:
            return f"failed: {error}"
        if name == self.baseline:
            return "the baseline"
        if np.isnan(row["p_value"]):
            return f"too few observations to tell from {self.baseline}"
        if row["p_value"] >= ALPHA:
            return f"not shown to be better than {self.baseline}"
        return f"better than {self.baseline}" if row["MASE_relative"] < 1 else f"not better than {self.baseline}: worse"


def compare(
    models: Forecaster | Sequence[Forecaster] | Mapping[str, Forecaster],
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
    replications: int = 1000,
    random_state: int = 0,
    title: str | None = None,
    progress: bool = False,
) -> Comparison:
    """Compare forecasters at the same rolling origins.

    `SeasonalNaive` is added where it is missing: a forecaster that is not better than it is said so. A forecaster that
    fails is reported as failed, and the others go on.

    Parameters
    ----------
    models : forecasters by name, or a list, or one
    df, horizon, windows, step, refit, max_history, num_samples, freq, season_length, random_state, progress
        As in `backtest`.
    replications : int, default 1000
        Of the bootstrap over items (over origins, where there is one item).
    title : str, optional
        What the data are, for the report; default the data set's.

    Returns
    -------
    Comparison
        With `to_frame()`, `pairs()`, `plot()` and `to_html(path)`.

    Raises
    ------
    ValueError
        For bad input or series too short; if every forecaster fails, what the first one raised.
    """
    from tsar.forecasters.naive import SeasonalNaive

    named = _named(models)
    baseline = next((name for name, model in named.items() if type(model) is SeasonalNaive), "SeasonalNaive")
    named.setdefault(baseline, SeasonalNaive())
    panel = read(df, list(named.values()), freq, season_length)
    horizon = default_horizon(df, horizon)
    known, _, _ = covariates(list(named.values()))
    places = origins(panel, horizon, windows, step, max_history, known)
    options: dict[str, Any] = dict(refit=refit, num_samples=num_samples, random_state=random_state, progress=progress)
    runs: dict[str, Run] = {}
    errors: list[Exception] = []
    for name, model in named.items():
        try:
            runs[name] = run(name, model, places, horizon, **options)
        except EXPECTED as error:
            log.warning("%s failed: %s: %s", name, type(error).__name__, error)
            errors.append(error)
            runs[name] = Run(name, error=f"{type(error).__name__}: {error}")
    if baseline in runs and runs[baseline].error is not None or len(errors) >= max(len(named) - 1, 1):
        raise errors[0]
    return Comparison(
        runs, places[-1], baseline, horizon, len(places), step or horizon, replications, random_state,
        title=title if title is not None else str(getattr(df, "attrs", {}).get("title", "")),
    )  # fmt: skip


def _named(models: Forecaster | Sequence[Forecaster] | Mapping[str, Forecaster]) -> dict[str, Forecaster]:
    if isinstance(models, Mapping):
        named = {str(name): model for name, model in models.items()}
    else:
        several = [models] if isinstance(models, Forecaster) else list(models)
        kinds = [type(model).__name__ for model in several]
        named = {k if kinds.count(k) == 1 else repr(m): m for k, m in zip(kinds, several, strict=True)}
        if len(named) != len(several):
            raise ValueError(f"models: expected different forecasters, found {[repr(m) for m in several]}")
    for name, model in named.items():
        if not isinstance(model, Forecaster):
            raise ValueError(f"models: expected a forecaster under {name!r}, found {type(model).__name__}")
    if not named:
        raise ValueError("models: expected at least one forecaster, found none")
    return named
