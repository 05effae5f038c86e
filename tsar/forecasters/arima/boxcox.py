"""Box-Cox transformation with Guerrero's choice of the power.

Legend: T time, H horizon.
"""

from __future__ import annotations

import numpy as np

_GRID = np.linspace(-1.0, 2.0, 61)


def transform(y: np.ndarray, power: float) -> np.ndarray:
    """(y^power - 1) / power, the logarithm at 0 (Box & Cox 1964); NaN stays."""
    return np.log(y) if power == 0 else (np.sign(y) * np.abs(y) ** power - 1.0) / power


def inverse(x: np.ndarray, power: float) -> np.ndarray:
    """Undo `transform`; values beyond its range become the nearest value within (0 for positive powers)."""
    with np.errstate(over="ignore"):
        if power == 0:
            return np.exp(x)
        base = np.maximum(power * x + 1.0, 0.0)
        return base ** (1.0 / power) if power > 0 else np.where(base > 0, base, np.finfo(float).tiny) ** (1.0 / power)


def mean_back(x_H: np.ndarray, variance_H: np.ndarray, power: float) -> np.ndarray:
    """Mean on the original scale of a normal variable on the transformed one, to second order in its variance."""
    with np.errstate(over="ignore"):
        if power == 0:
            return np.exp(x_H + variance_H / 2.0)
        base = np.maximum(power * x_H + 1.0, 1e-12)
        return inverse(x_H, power) * (1.0 + variance_H * (1.0 - power) / (2.0 * base**2))


def guerrero(y_T: np.ndarray, season: int) -> float:
    """Power in [-1, 2] that makes the spread of seasons most even relative to their level (Guerrero 1993).

    Raises
    ------
    ValueError
        For values that are not positive, or fewer than two seasons.
    """
    y_T = y_T[~np.isnan(y_T)]
    if (y_T <= 0).any():
        raise ValueError(f"box_cox='auto' needs positive values, found {y_T.min():g}")
    window = max(season, 2)
    if len(y_T) < 2 * window:
        raise ValueError(f"box_cox='auto' needs at least {2 * window} observed values, found {len(y_T)}")
    blocks = y_T[len(y_T) % window :].reshape(-1, window)
    level, spread = blocks.mean(1), blocks.std(1, ddof=1)
    ratio = spread[:, None] / level[:, None] ** (1.0 - _GRID)
    with np.errstate(invalid="ignore", divide="ignore"):
        variation = ratio.std(0, ddof=1) / ratio.mean(0)
    return float(_GRID[int(np.nanargmin(variation))]) if np.isfinite(variation).any() else 1.0
