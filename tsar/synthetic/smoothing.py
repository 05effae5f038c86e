"""Innovations state-space models (ETS) with random parameters: the short yearly, quarterly and monthly series.

Hyndman, Koehler, Ord & Snyder (2008): level, damped trend and season, additive errors, or in logarithms for
multiplicative ones. The drift and noise ratios cover what economic series show: nearly straight growth to random walks.

B series, L time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def generate(rng: np.random.Generator, n: int, length: int, period: Array, longer: Array) -> Array:
    """Simulate the recursions for all series at once; see `tsar.synthetic`."""
    alpha = np.where(rng.random(n) < 0.3, rng.uniform(0.8, 1.0, n), rng.beta(1.2, 1.2, n))
    beta = alpha * np.exp(rng.uniform(np.log(0.005), np.log(0.4), n)) * (rng.random(n) < 0.5)
    phi = np.where(rng.random(n) < 0.6, 1.0, rng.uniform(0.8, 1.0, n))
    phi = np.where((beta > 0.15) & (length > 100), np.minimum(phi, 0.95), phi)
    gamma = rng.beta(1.0, 4.0, n) * (1 - alpha) * (period > 1)
    sigma = np.exp(rng.uniform(np.log(0.003), np.log(0.1), n))
    level = np.zeros(n)
    # Nearly flat, moderate, or the steady growth of economies and populations, which mostly goes up. Growth is per
    # year, so a month's share of it is small beside a month's noise.
    kind = rng.choice(3, n, p=(0.3, 0.35, 0.35))
    growth = rng.lognormal(-0.3, 0.8, n) * np.where(rng.random(n) < 0.85, 1, -1)
    slope = sigma * np.choose(kind, [0.05 * rng.standard_t(3.0, n), 0.5 * rng.standard_t(3.0, n), growth])
    slope, beta = slope / np.sqrt(period), beta / np.sqrt(period)
    slope = np.where(length > 200, slope * 0.3, slope)
    s = int(period.max())
    season = rng.standard_normal((n, s)) * (sigma * np.exp(rng.normal(0.5, 1.0, n)))[:, None] * (period > 1)[:, None]
    index = np.arange(n)
    error = rng.standard_normal((length, n))
    heavy = rng.random(n) < 0.3
    error[:, heavy] = rng.standard_t(3.5, (length, int(heavy.sum()))) * 0.65
    error *= sigma
    out = np.empty((length, n))
    for t in range(length):
        at = (t % period).astype(int)
        now = season[index, at]
        e = error[t]
        out[t] = level + phi * slope + now + e
        level, slope = level + phi * slope + alpha * e, phi * slope + beta * e
        season[index, at] = now + gamma * e
    y = out.T
    multiply = (rng.random(n) < 0.5)[:, None]
    grown = np.exp(np.clip(y, -8, 8))
    scale = y.std(1, keepdims=True) + 1e-9
    return np.where(multiply, grown, y / scale + rng.normal(0, 3, (n, 1)))
