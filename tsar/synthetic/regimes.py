"""Ornstein-Uhlenbeck processes that switch between two regimes: calm and wild, low and high.

After TempoPFN (automl/TempoPFN, generator parameters): mean reversion, level and volatility differ by regime, the
regime is a Markov chain, seasons and trends are added.

B series, L time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tsar.synthetic.kernels import periodic
from tsar.synthetic.trend_season import trend

Array = NDArray[np.float64]


def generate(rng: np.random.Generator, n: int, length: int, period: Array, longer: Array) -> Array:
    """Euler steps of both regimes' processes for all series at once; see `tsar.synthetic`."""
    step = 0.1
    pull = np.stack([rng.uniform(1, 5, n), np.exp(rng.uniform(np.log(0.05), np.log(0.5), n))]) * step
    centre = np.stack([rng.normal(-2, 1, n), rng.normal(2, 1, n)])
    noise = np.exp(np.stack([rng.normal(np.log(0.3), 0.3, n), rng.normal(np.log(1.5), 0.5, n)])) * np.sqrt(step)
    stay = 1 - np.exp(rng.uniform(np.log(0.001), np.log(0.15), n))
    single = rng.random(n) < 0.4
    regime = (rng.random(n) < 0.5).astype(int)
    switch = (rng.random((length, n)) > stay) & ~single
    shock = rng.standard_normal((length, n))
    x, index = centre[regime, np.arange(n)], np.arange(n)
    out = np.empty((length, n))
    for t in range(length):
        regime = regime ^ switch[t]
        x = x + pull[regime, index] * (centre[regime, index] - x) + noise[regime, index] * shock[t]
        out[t] = x
    y = out.T
    y = y + (rng.random((n, 1)) < 0.4) * trend(rng, n, length) * 2
    for cycle, chance in ((period, 0.6), (longer, 0.4)):
        size = rng.uniform(0.2, 2.0, (n, 1)) * (rng.random((n, 1)) < chance)
        y = y + size * periodic(rng, n, length, cycle)
    return y
