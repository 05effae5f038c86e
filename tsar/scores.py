"""The scores of one forecast against what happened: a value and a weight per item and metric.

A score of a set is the weighted power mean of its items' scores, which gives exactly what `gluonts.ev` gives over all
items at once: WQL weighs an item by its summed absolute actuals, RMSE averages squares.

Shapes: N items, H horizon, Q levels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tsar import metrics
from tsar.forecast import DECILES, Forecast

LEVELS = (0.025, *DECILES, 0.975)
METRICS = ("MASE", "WQL", "MAE", "RMSE", "sMAPE", "RMSSE", "CRPS", "MSIS", "coverage_80", "coverage_95")
TARGET = {"coverage_80": 0.8, "coverage_95": 0.95}  # best is nearest to this; of every other metric the least
POWER = {"RMSE": 2.0}


def score_items(
    forecast: Forecast, y_NH: np.ndarray, histories: Sequence[np.ndarray], season_N: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Score every item of a forecast: metric to (values [N], weights [N]).

    Parameters
    ----------
    forecast : Forecast
        With the levels `LEVELS`; CRPS is exact where it holds sample paths, else from the deciles.
    y_NH : array [N, H]
        What happened, NaN where it was not observed.
    histories : sequence of N arrays [L]
        Values before the forecast, for the scales.
    season_N : array [N] of int
        Season lengths in steps, for the scales.

    Raises
    ------
    ValueError
        If the forecast of an item is not finite; the item is named.
    """
    finite_N = np.isfinite(forecast.mean_NH).all(1) & np.isfinite(forecast.quantiles_NHQ).all((1, 2))
    if not finite_N.all():
        raise ValueError(
            f"item {forecast.ids[np.argmin(finite_N)]!r}: expected a finite forecast, found NaN or infinity"
        )
    pairs = list(zip(histories, season_N, strict=True))
    scale_N = np.array([metrics.seasonal_error(history, int(season)) for history, season in pairs])
    root_N = np.array([metrics.seasonal_error(history, int(season), power=2) for history, season in pairs])
    decile_NHQ = np.stack([forecast.quantile(level) for level in DECILES], axis=-1)
    median_NH = decile_NHQ[..., DECILES.index(0.5)]
    wide = forecast.interval(0.95)
    if forecast.samples_NSH is not None:
        crps_N = metrics.crps(y_NH, forecast.samples_NSH)
    else:
        crps_N = metrics.mean_quantile_loss(y_NH, decile_NHQ, DECILES)
    value = {
        "MASE": metrics.mase(y_NH, median_NH, scale_N),
        "WQL": metrics.wql(y_NH, decile_NHQ, DECILES),
        "MAE": metrics.mae(y_NH, median_NH),
        "RMSE": metrics.rmse(y_NH, forecast.mean_NH),
        "sMAPE": metrics.smape(y_NH, median_NH),
        "RMSSE": metrics.rmsse(y_NH, forecast.mean_NH, root_N),
        "CRPS": crps_N,
        "MSIS": metrics.msis(y_NH, *wide, scale_N),
        "coverage_80": metrics.coverage(y_NH, *forecast.interval(0.8)),
        "coverage_95": metrics.coverage(y_NH, *wide),
    }
    seen_N = (~np.isnan(y_NH)).sum(1).astype(float)
    weight = {name: seen_N for name in value} | {"WQL": np.nansum(np.abs(y_NH), axis=1)}
    return {name: (value[name], np.where(np.isnan(value[name]), 0.0, weight[name])) for name in METRICS}


def below_quantiles(forecast: Forecast, y_NH: np.ndarray) -> tuple[np.ndarray, int]:
    """Count, for every level [Q], the observed actuals at or below its quantile, and the observed actuals."""
    below_NHQ = y_NH[..., None] <= np.stack([forecast.quantile(level) for level in LEVELS], axis=-1)
    return below_NHQ.sum((0, 1)), int((~np.isnan(y_NH)).sum())


def combine(metric: str, values: np.ndarray, weights: np.ndarray) -> float:
    """Score of a set from its items' values and weights; NaN where no item counts."""
    power = POWER.get(metric, 1.0)
    total = weights.sum()
    return float((np.nansum(weights * values**power) / total) ** (1 / power)) if total > 0 else float("nan")
