"""Human activity: a profile of the day that differs by day of the week, holidays, slow levels, multiplicative noise.

`period` is the day (or the week, where `longer` is a year) and `longer` the week: 24 and 168, 48 and 336, 7 and 365.

B series, L time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tsar.synthetic.kernels import stationary

Array = NDArray[np.float64]


def profile(rng: np.random.Generator, n_days: int, points: int) -> Array:
    """Sum of a few bumps around the clock for each kind of day [n_days, points], similar across kinds."""
    clock = np.arange(points) / points
    count = int(rng.integers(1, 5))
    centre, width = rng.random(count), rng.uniform(0.03, 0.2, count)
    height = rng.lognormal(0, 0.6, count)
    out = np.zeros((n_days, points))
    for day in range(n_days):
        tilt = rng.lognormal(0, 0.25, count)
        distance = np.abs(clock[:, None] - centre)
        distance = np.minimum(distance, 1 - distance)
        out[day] = (height * tilt * np.exp(-0.5 * (distance / width) ** 2)).sum(1)
    return out + rng.uniform(0, 1)


def generate(rng: np.random.Generator, n: int, length: int, period: Array, longer: Array) -> Array:
    """Build each series' calendar and draw its level and noise; see `tsar.synthetic`."""
    level = np.exp(0.3 * rng.random((n, 1)) * stationary(rng, n, length))
    noise = rng.standard_normal((n, length))
    rough = np.cumsum(noise, 1)
    rough -= np.concatenate([np.zeros((n, min(50, length))), rough], 1)[:, :length]  # moving sum: short memory
    noise = np.where(rng.random((n, 1)) < 0.5, noise, rough / 7)
    out = np.empty((n, length))
    for b in range(n):
        points = max(2, int(period[b]))
        days = max(1, round(longer[b] / points)) if longer[b] > points else 1
        kinds = profile(rng, 3, points)
        week = (
            rng.permutation(np.array([0] * max(1, days - 2) + [1, 2])[:days])
            if rng.random() < 0.3
            else np.array([0] * max(1, days - 2) + [1, 2])[:days]
        )
        n_days = -(-length // points) + 1
        kind = week[np.arange(n_days) % days]
        holiday = rng.random(n_days) < rng.choice([0.0, 0.02])
        kind = np.where(holiday, 2, kind)
        height = np.exp(rng.normal(0, rng.uniform(0.0, 0.15), n_days))[:, None]
        path = (kinds[kind] * height).ravel()
        shift = int(rng.integers(0, points))
        out[b] = path[shift : shift + length]
    size = np.exp(rng.uniform(np.log(0.01), np.log(0.3), (n, 1)))
    return out * level * np.maximum(1 + size * noise, 0) if rng.random() < 0.7 else out * level + size * noise
