"""Rolling origins: what a forecaster would have said, and how right it was.

Shapes: N items, H horizon, Q levels.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from sklearn.base import clone

from tsar.forecast import Forecast
from tsar.forecasters.base import FallbackWarning, Forecaster
from tsar.meter import Meter
from tsar.origins import Origin, covariates, default_horizon, origins, read
from tsar.scores import LEVELS, METRICS, below_quantiles, score_items

T = TypeVar("T")


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
    panel = read(df, [model], freq, season_length)
    horizon = default_horizon(df, horizon)
    places = origins(panel, horizon, windows, step, max_history, covariates([model])[0])
    name = type(model).__name__
    result = run(
        name, model, places, horizon, refit=refit, num_samples=num_samples, random_state=random_state, progress=progress
    )
    return result.scores[["model", panel.names.item, "cutoff", "metric", "value"]]


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
    """Let one forecaster forecast from every origin, and score it; arguments as in `backtest`."""
    result, tables = Run(name), []
    pretrained, fitted = _pretrained(model), model
    options: dict[str, Any] = dict(levels=LEVELS, num_samples=num_samples, random_state=random_state)
    for origin in _shown(places, name, progress):
        if not pretrained and not refit:
            origin = origin.only(places[0].items)
        if not pretrained and (refit or origin.window == places[0].window):
            fitted = clone(model)
            _, seconds = _watched(result, partial(fitted.fit, origin.history))
            result.fit_seconds += seconds
        future = origin.future if model.known else None
        forecast, seconds = _watched(result, partial(fitted.predict, horizon, origin.history, future=future, **options))
        result.predict_seconds += seconds
        tables.append(_tidy(name, origin, forecast))
        below_Q, observed = below_quantiles(forecast, origin.y_NH)
        result.below_Q, result.observed, result.last = result.below_Q + below_Q, result.observed + observed, forecast
    result.engine = _engine(fitted)
    result.scores = pd.concat(tables, ignore_index=True)
    result.scores["metric"] = pd.Categorical(result.scores["metric"], METRICS)
    return result


def _watched(result: Run, work: Callable[[], T]) -> tuple[T, float]:
    """Do a piece of work and return its seconds; the run keeps its peak of memory and the fall-backs it warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FallbackWarning)
        with Meter() as meter:
            answer = work()
    result.peak_mb = max(result.peak_mb, meter.peak_mb)
    for warning in caught:
        if issubclass(warning.category, FallbackWarning):
            result.notes.append(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return answer, meter.seconds


def _tidy(name: str, origin: Origin, forecast: Forecast) -> pd.DataFrame:
    """Scores of one origin, a row per item and metric."""
    full = origin.full
    parts = score_items(forecast, origin.y_NH, [full.series(i) for i in range(len(full))], full.season_of())
    who = {"model": name, full.names.item: full.ids, "window": origin.window, "cutoff": origin.cutoff}
    tables = [
        pd.DataFrame(who | {"metric": metric, "value": value, "weight": weight})
        for metric, (value, weight) in parts.items()
    ]
    return pd.concat(tables, ignore_index=True)


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
