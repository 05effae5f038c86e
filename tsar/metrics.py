"""Scores of forecasts: arrays in, arrays out.

Shapes: B series, H horizon, Q levels, S samples. A NaN in the actuals is a value that was not observed: it is left out
of every mean. `axis=-1` gives one score per series [B]; `axis=None` gives one score of the whole set, as
`gluonts.ev` aggregates it. Point scores take whatever point forecast they are given; by convention the median for
MAE, MASE and sMAPE and the mean for RMSE and RMSSE.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def seasonal_error(history: ArrayLike, season_length: int = 1, *, power: float = 1.0) -> float:
    """In-sample error of the seasonal naive forecast: the scale of MASE and MSIS, and with power 2 of RMSSE.

    Parameters
    ----------
    history : array [L]
        The values before the forecast, in time order; NaN where missing.
    season_length : int, default 1
        Steps per season; a history that is not longer is measured with 1, as gluonts does.
    power : float, default 1
        Of the mean: 1 for the mean absolute difference (MASE), 2 for the root mean squared one (RMSSE).

    Returns
    -------
    float
        NaN where no two observed values are a season apart.

    Raises
    ------
    ValueError
        If `history` is not one-dimensional or `season_length` is below 1.
    """
    y_L = np.asarray(history, dtype=float)
    if y_L.ndim != 1:
        raise ValueError(f"history: expected one series [L], found shape {y_L.shape}")
    if season_length < 1:
        raise ValueError(f"season_length: expected at least 1, found {season_length}")
    lag = season_length if season_length < len(y_L) else 1
    return float(_power_mean(np.abs(y_L[lag:] - y_L[:-lag]), power, None))


def mae(y_BH: ArrayLike, forecast_BH: ArrayLike, *, axis: int | None = -1) -> Array:
    """Mean absolute error.

    Parameters
    ----------
    y_BH : array [..., H]
        Actual values, NaN where not observed.
    forecast_BH : array [..., H]
        Point forecasts.
    axis : int or None, default -1
        -1 for a score per series, None for the whole set.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    y_BH, forecast_BH = _pair(y_BH, forecast_BH)
    return _mean(np.abs(y_BH - forecast_BH), axis)


def rmse(y_BH: ArrayLike, forecast_BH: ArrayLike, *, axis: int | None = -1) -> Array:
    """Root mean squared error; arguments as in `mae`."""
    y_BH, forecast_BH = _pair(y_BH, forecast_BH)
    return _power_mean(np.abs(y_BH - forecast_BH), 2, axis)


def smape(y_BH: ArrayLike, forecast_BH: ArrayLike, *, axis: int | None = -1) -> Array:
    """Symmetric mean absolute percentage error, between 0 and 2; arguments as in `mae`.

    A forecast of zero for an actual of zero counts as no error.
    """
    y_BH, forecast_BH = _pair(y_BH, forecast_BH)
    size_BH = np.abs(y_BH) + np.abs(forecast_BH)
    error_BH = 2 * np.abs(y_BH - forecast_BH)
    return _mean(np.divide(error_BH, size_BH, out=error_BH.copy(), where=size_BH != 0), axis)


def mase(y_BH: ArrayLike, forecast_BH: ArrayLike, scale_B: ArrayLike, *, axis: int | None = -1) -> Array:
    """Mean absolute scaled error (Hyndman & Koehler 2006).

    Parameters
    ----------
    y_BH, forecast_BH, axis
        As in `mae`.
    scale_B : array [...]
        `seasonal_error` of each series' history. A series with scale zero or NaN has no MASE: it scores NaN and is
        left out of the score of the set.
    """
    y_BH, forecast_BH = _pair(y_BH, forecast_BH)
    return _mean(np.abs(y_BH - forecast_BH) / _scale(scale_B, y_BH), axis)


def rmsse(y_BH: ArrayLike, forecast_BH: ArrayLike, scale_B: ArrayLike, *, axis: int | None = -1) -> Array:
    """Root mean squared scaled error (M5); arguments as in `mase`, `scale_B` from `seasonal_error(..., power=2)`."""
    y_BH, forecast_BH = _pair(y_BH, forecast_BH)
    return _power_mean(np.abs(y_BH - forecast_BH) / _scale(scale_B, y_BH), 2, axis)


def quantile_loss(y_BH: ArrayLike, quantiles_BHQ: ArrayLike, levels: Sequence[float]) -> Array:
    """Twice the pinball loss of every value and level, [..., H, Q]; its mean over all levels is the CRPS.

    Parameters
    ----------
    y_BH : array [..., H]
        Actual values, NaN where not observed.
    quantiles_BHQ : array [..., H, Q]
        Forecast quantiles.
    levels : sequence of Q floats
        Their levels, inside (0, 1).

    Raises
    ------
    ValueError
        If the shapes or the levels do not fit.
    """
    y_BH, quantiles_BHQ = np.asarray(y_BH, dtype=float), np.asarray(quantiles_BHQ, dtype=float)
    level_Q = np.asarray(levels, dtype=float)
    if level_Q.ndim != 1 or not ((level_Q > 0) & (level_Q < 1)).all():
        raise ValueError(f"levels: expected numbers inside (0, 1), found {levels}")
    if quantiles_BHQ.shape != (*y_BH.shape, len(level_Q)):
        raise ValueError(f"quantiles: expected shape {(*y_BH.shape, len(level_Q))}, found {quantiles_BHQ.shape}")
    error_BHQ = y_BH[..., None] - quantiles_BHQ
    return 2 * np.abs(error_BHQ * ((error_BHQ <= 0) - level_Q))


def wql(y_BH: ArrayLike, quantiles_BHQ: ArrayLike, levels: Sequence[float], *, axis: int | None = -1) -> Array:
    """Weighted quantile loss: the summed quantile loss over the summed absolute actuals, mean over levels.

    Arguments as in `quantile_loss`; `axis` as in `mae`. A series whose actuals are all zero scores NaN.
    """
    y_BH = np.asarray(y_BH, dtype=float)
    loss_BH = quantile_loss(y_BH, quantiles_BHQ, levels).mean(-1)
    size = np.nansum(np.abs(y_BH), axis=axis)
    return np.divide(np.nansum(loss_BH, axis=axis), size, out=np.full_like(size, np.nan), where=size > 0)


def mean_quantile_loss(
    y_BH: ArrayLike, quantiles_BHQ: ArrayLike, levels: Sequence[float], *, axis: int | None = -1
) -> Array:
    """Quantile loss, mean over values and levels: the CRPS as far as these levels tell; arguments as in `wql`."""
    return _mean(quantile_loss(y_BH, quantiles_BHQ, levels).mean(-1), axis)


def crps(y_BH: ArrayLike, samples_BSH: ArrayLike, *, axis: int | None = -1) -> Array:
    """Continuous ranked probability score of sample paths, exact for the empirical distribution.

    E|X - y| - E|X - X'| / 2 equals the mean quantile loss of the order statistics at the levels (i - 1/2) / S, which
    costs a sort instead of all pairs. Where only quantiles are known, `mean_quantile_loss` is its estimate.

    Parameters
    ----------
    y_BH : array [..., H]
        Actual values, NaN where not observed.
    samples_BSH : array [..., S, H]
        Sample paths.
    axis : int or None, default -1
        -1 for a score per series, None for the whole set.
    """
    sorted_BHS = np.sort(np.moveaxis(np.asarray(samples_BSH, dtype=float), -2, -1), axis=-1)
    levels = (np.arange(sorted_BHS.shape[-1]) + 0.5) / sorted_BHS.shape[-1]
    return mean_quantile_loss(y_BH, sorted_BHS, list(levels), axis=axis)


def msis(
    y_BH: ArrayLike,
    lower_BH: ArrayLike,
    upper_BH: ArrayLike,
    scale_B: ArrayLike,
    *,
    alpha: float = 0.05,
    axis: int | None = -1,
) -> Array:
    """Mean scaled interval score of the central 1 - `alpha` interval (Gneiting & Raftery 2007; M4).

    `lower_BH` and `upper_BH` are the quantiles alpha/2 and 1 - alpha/2; `scale_B` and `axis` as in `mase`.
    """
    y_BH, lower_BH = _pair(y_BH, lower_BH)
    y_BH, upper_BH = _pair(y_BH, upper_BH)
    below_BH, above_BH = np.maximum(lower_BH - y_BH, 0), np.maximum(y_BH - upper_BH, 0)
    score_BH = upper_BH - lower_BH + 2 / alpha * (below_BH + above_BH)
    return _mean(score_BH / _scale(scale_B, y_BH), axis)


def coverage(y_BH: ArrayLike, lower_BH: ArrayLike, upper_BH: ArrayLike, *, axis: int | None = -1) -> Array:
    """Share of the observed actuals inside [lower, upper]; arguments as in `mae`."""
    y_BH, lower_BH = _pair(y_BH, lower_BH)
    y_BH, upper_BH = _pair(y_BH, upper_BH)
    inside_BH = ((lower_BH <= y_BH) & (y_BH <= upper_BH)).astype(float)
    return _mean(np.where(np.isnan(y_BH), np.nan, inside_BH), axis)


def _pair(y_BH: ArrayLike, other_BH: ArrayLike) -> tuple[Array, Array]:
    y, other = np.asarray(y_BH, dtype=float), np.asarray(other_BH, dtype=float)
    if y.shape != other.shape:
        raise ValueError(f"expected a forecast of the actuals' shape {y.shape}, found {other.shape}")
    return y, other


def _scale(scale_B: ArrayLike, y_BH: Array) -> Array:
    scale = np.asarray(scale_B, dtype=float)
    if scale.shape != y_BH.shape[:-1]:
        raise ValueError(f"scale: expected one number per series {y_BH.shape[:-1]}, found shape {scale.shape}")
    return np.where(scale > 0, scale, np.nan)[..., None]


def _mean(values: Array, axis: int | None) -> Array:
    """Mean of what is observed; NaN, without a warning, where nothing is."""
    count = np.sum(~np.isnan(values), axis=axis)
    total = np.nansum(values, axis=axis)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


def _power_mean(values: Array, power: float, axis: int | None) -> Array:
    """(mean of values^power)^(1/power) of values >= 0; squares of huge or tiny ones stay in range."""
    largest = np.max(np.nan_to_num(values), axis=axis, initial=0.0, keepdims=True)
    unit = np.where(largest > 0, largest, 1.0)
    return np.squeeze(unit, axis=axis) * _mean((values / unit) ** power, axis) ** (1 / power)
