"""Intermittent counts: demand that is mostly zero, with a rate that moves with season and level.

B series, L time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tsar.synthetic.kernels import periodic, stationary

Array = NDArray[np.float64]


def generate(rng: np.random.Generator, n: int, length: int, period: Array, longer: Array) -> Array:
    """Negative-binomial or hurdle draws around a log rate; see `tsar.synthetic`."""
    rate = rng.normal(0.5, 1.5, (n, 1))
    rate = rate + 0.4 * rng.random((n, 1)) * stationary(rng, n, length)
    season = periodic(rng, n, length, period) + 0.5 * periodic(rng, n, length, longer)
    season = season / (season.std(1, keepdims=True) + 1e-9)
    mean = np.exp(np.clip(rate + rng.uniform(0, 0.9, (n, 1)) * season, -6, 8))
    shape = np.exp(rng.uniform(np.log(0.5), np.log(50.0), (n, 1)))
    draws = rng.poisson(mean * rng.standard_gamma(np.broadcast_to(shape, mean.shape)) / shape).astype(float)
    closed = rng.random((n, length)) < rng.uniform(0, 0.8, (n, 1)) * (rng.random((n, 1)) < 0.4)
    return np.where(closed, 0.0, draws)
