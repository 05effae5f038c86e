"""Steps, spikes and saw-teeth: what machines and meters record.

B series, L time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tsar.synthetic.kernels import periodic

Array = NDArray[np.float64]


def steps(rng: np.random.Generator, n: int, length: int) -> Array:
    """Levels that jump at random times."""
    chance = np.exp(rng.uniform(np.log(min(1 / length, 0.04)), np.log(0.05), (n, 1)))
    jumps = (rng.random((n, length)) < chance) * rng.standard_normal((n, length))
    out = np.cumsum(jumps, 1)
    back = rng.random((n, 1)) < 0.5  # jump between fixed levels instead of wandering off
    return np.where(back, np.round(np.sin(out * 2), 1) * 2, out)


def spikes(rng: np.random.Generator, n: int, length: int, period: Array) -> Array:
    """Spikes with decay, at random times or once a season."""
    chance = np.exp(rng.uniform(np.log(0.002), np.log(0.1), (n, 1)))
    at = rng.random((n, length)) < chance
    regular = (np.arange(length) % period[:, None]) == (rng.random(n) * period).astype(int)[:, None]
    at = np.where(rng.random((n, 1)) < 0.4, regular & (rng.random((n, length)) < 0.95), at)
    size = at * rng.lognormal(0, rng.uniform(0.05, 0.8, (n, 1)), (n, length))
    decay = rng.uniform(0, 0.9, n)
    out = np.empty((length, n))
    x = np.zeros(n)
    for t in range(length):
        x = decay * x + size[:, t]
        out[t] = x
    return out.T * np.where(rng.random((n, 1)) < 0.8, 1, -1)


def saw(rng: np.random.Generator, n: int, length: int, period: Array) -> Array:
    """Ramps that fall back, with jittered length in half of the series."""
    speed = 1 / period[:, None] * np.where(rng.random((n, 1)) < 0.5, 1, np.exp(rng.normal(0, 0.3, (n, length))))
    turn = (np.cumsum(speed, 1) + rng.random((n, 1))) % 1
    sharp = rng.uniform(0.05, 0.95, (n, 1))
    return np.where(turn < sharp, turn / sharp, (1 - turn) / (1 - sharp)) * 3


def generate(rng: np.random.Generator, n: int, length: int, period: Array, longer: Array) -> Array:
    """One of the three kinds per series, some with a season, all with noise; see `tsar.synthetic`."""
    kind = rng.integers(0, 3, (n, 1))
    cycle = np.maximum(period, 3.0)
    out = np.choose(kind, [steps(rng, n, length), spikes(rng, n, length, cycle) * 3, saw(rng, n, length, cycle)])
    out = out + (rng.random((n, 1)) < 0.4) * periodic(rng, n, length, longer) * 0.5
    noise = np.exp(rng.uniform(np.log(0.005), np.log(0.5), (n, 1)))
    return out + noise * rng.standard_normal((n, length))
