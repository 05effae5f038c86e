"""How often to difference: the KPSS test and the strength of the season, for all series of a panel.

Legend: T time, B series, q window of a local regression. The rules are those of Hyndman & Khandakar (2008), as in R's
auto.arima: a seasonal difference where the season of an STL decomposition explains enough of what it and the remainder
leave, then first differences until the KPSS test no longer rejects stationarity.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.ndimage import correlate1d

KPSS_5_PERCENT = 0.463  # Kwiatkowski et al. (1992), table 1, level stationarity
STRONG_SEASON = 0.64  # calibrated by Hyndman on the M3 data
_CYCLE_WINDOW = 11


def difference(y_T: np.ndarray, d: int, seasonal: int, season: int) -> np.ndarray:
    """Apply (1 - B)^d (1 - B^season)^seasonal along the first axis, dropping the values without a past."""
    for _ in range(seasonal):
        y_T = y_T[season:] - y_T[:-season]
    for _ in range(d):
        y_T = y_T[1:] - y_T[:-1]
    return y_T


def difference_polynomial(d: int, seasonal: int, season: int) -> np.ndarray:
    """Coefficients of (1 - B)^d (1 - B^season)^seasonal, the leading one included."""
    out = np.ones(1)
    for _ in range(d):
        out = np.convolve(out, [1.0, -1.0])
    for _ in range(seasonal):
        out = np.convolve(out, np.r_[1.0, np.zeros(season - 1), -1.0])
    return out


def constant(y_TB: np.ndarray) -> np.ndarray:
    """Whether each series has one value only, up to rounding."""
    return np.ptp(y_TB, axis=0) <= 1e-12 * np.maximum(np.abs(y_TB).max(0), 1e-300)


def kpss(y_TB: np.ndarray) -> np.ndarray:
    """KPSS statistics for level stationarity with floor(3 sqrt(n) / 13) Bartlett lags (Kwiatkowski et al. 1992)."""
    n = len(y_TB)
    e_TB = y_TB - y_TB.mean(0)
    variance_B = (e_TB * e_TB).sum(0)
    lags = int(3.0 * np.sqrt(n) / 13.0)
    for lag in range(1, lags + 1):
        variance_B += 2.0 * (1.0 - lag / (lags + 1.0)) * np.einsum("tb,tb->b", e_TB[lag:], e_TB[:-lag])
    level_TB = np.cumsum(e_TB, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(variance_B > 0, np.einsum("tb,tb->b", level_TB, level_TB) / (n * variance_B), 0.0)


def choose_differences(
    y_TB: np.ndarray, season: int, d: int | None, seasonal: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """First and seasonal differences (at most 2 and 1) of complete series of equal length; given ones are kept."""
    steps, count = y_TB.shape
    D_B = np.full(count, seasonal or 0)
    if season > 1 and seasonal is None and steps > 2 * season:
        D_B = np.where(constant(y_TB), 0, season_strength(y_TB, season) > STRONG_SEASON).astype(int)
    d_B = np.full(count, d or 0)
    if d is None:
        for seasonal_done in np.unique(D_B):
            part = np.flatnonzero(D_B == seasonal_done)
            w_TB = difference(y_TB[:, part], 0, int(seasonal_done), season)
            for done in (1, 2):
                again_B = (
                    ~constant(w_TB) & (kpss(w_TB) > KPSS_5_PERCENT) if len(w_TB) > 2 else np.zeros(len(part), bool)
                )
                part, w_TB = part[again_B], np.diff(w_TB[:, again_B], axis=0)
                d_B[part] = done
    return d_B, D_B


def season_strength(y_TB: np.ndarray, season: int) -> np.ndarray:
    """Strength of the season, 1 - Var(remainder) / Var(season + remainder), within [0, 1]; series of equal length.

    The decomposition is STL (Cleveland et al. 1990) with five inner and no robustness iterations, periodic
    sub-series smoothed by constants over 11 cycles, trend window the next odd number above
    1.5 season / (1 - 1.5 / 11).
    """
    steps = len(y_TB)
    trend_window = _odd(1.5 * season / (1.0 - 1.5 / _CYCLE_WINDOW))
    trend_TB = np.zeros_like(y_TB)
    season_TB = trend_TB
    for _ in range(5):
        detrended_TB = y_TB - trend_TB
        cycle_TB = np.empty((steps + 2 * season, y_TB.shape[1]))
        for first, last in ((0, steps % season), (steps % season, season)):  # phases with as many cycles each
            if first < last:
                cycles = (steps - first - 1) // season + 1
                place = np.arange(cycles)[:, None] * season + np.arange(first, last)
                part_CB = _smooth(detrended_TB[place].reshape(cycles, -1), _CYCLE_WINDOW, degree=0, beyond=1)
                wide = np.arange(cycles + 2)[:, None] * season + np.arange(first, last)
                cycle_TB[wide] = part_CB.reshape(cycles + 2, last - first, -1)
        low_TB = _running_mean(_running_mean(_running_mean(cycle_TB, season), season), 3)
        season_TB = cycle_TB[season:-season] - _smooth(low_TB, _odd(season + 1), degree=1)
        trend_TB = _smooth(y_TB - season_TB, trend_window, degree=1)
    rest_TB = y_TB - trend_TB - season_TB
    with np.errstate(invalid="ignore", divide="ignore"):
        strength_B = 1.0 - rest_TB.var(0) / (rest_TB + season_TB).var(0)
    return np.clip(np.nan_to_num(strength_B), 0.0, 1.0)


def _odd(value: float) -> int:
    """Smallest odd integer that is at least `value`."""
    whole = int(np.ceil(value))
    return whole + (whole + 1) % 2


def _running_mean(y_TB: np.ndarray, window: int) -> np.ndarray:
    total_TB = np.cumsum(np.concatenate((np.zeros_like(y_TB[:1]), y_TB)), 0)
    return (total_TB[window:] - total_TB[:-window]) / window


def _smooth(y_TB: np.ndarray, window: int, degree: int, beyond: int = 0) -> np.ndarray:
    """Loess on a regular grid with tricube weights over `window` points, `beyond` values past either end as well."""
    steps = len(y_TB)
    reach = min(window, steps)
    edge_ET, centre_T = _loess(window, steps if steps <= window else window + 1, degree, beyond)
    out_TB = np.empty((steps + 2 * beyond, y_TB.shape[1]))
    if steps > window:  # a centred window weighs the same everywhere
        out_TB[beyond : steps + beyond] = correlate1d(y_TB, centre_T, axis=0)
    out_TB[: len(edge_ET)] = edge_ET @ y_TB[:reach]
    out_TB[len(out_TB) - len(edge_ET) :] = edge_ET[::-1, ::-1] @ y_TB[-reach:]
    return out_TB


@lru_cache(maxsize=256)
def _loess(window: int, steps: int, degree: int, beyond: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the first points of a smooth, one row a point, and those of an inner point."""
    reach, edge, widen = (window, window // 2, 0) if steps > window else (steps, steps, (window - steps) // 2)
    points = range(-beyond, edge)
    edge_ET = np.array([_weights(at, reach, max(at, reach - 1 - at) + widen, degree) for at in points])
    return edge_ET.reshape(len(points), reach), _weights(window // 2, window, window // 2, degree)


def _weights(at: int, reach: int, bandwidth: int, degree: int) -> np.ndarray:
    """Weights of points 0 .. reach - 1 in the local fit at `at`."""
    place = np.arange(reach)
    distance = np.abs(place - at) / max(bandwidth, 1)
    weights = np.where(distance <= 0.999, (1.0 - np.where(distance > 0.001, distance, 0.0) ** 3) ** 3, 0.0)
    weights /= weights.sum()
    if degree:
        centre = weights @ place
        spread = weights @ (place - centre) ** 2
        if np.sqrt(spread) > 0.001 * (reach - 1):
            weights = weights * (1.0 + (at - centre) / spread * (place - centre))
    return weights
