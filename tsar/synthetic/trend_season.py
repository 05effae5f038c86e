"""Trend, season and irregular part: broken trends, harmonic seasons that change, growth, multiplicative levels.

B series, L time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tsar.synthetic.kernels import periodic

Array = NDArray[np.float64]


def trend(rng: np.random.Generator, n: int, length: int) -> Array:
    """Piecewise linear trend with up to four breaks, some saturating or exponential."""
    time = np.linspace(0, 1, length)
    out = rng.normal(0, 1, (n, 1)) * time
    for _ in range(4):
        where, size = rng.uniform(0, 1, (n, 1)), rng.normal(0, 2, (n, 1)) * (rng.random((n, 1)) < 0.4)
        out += size * np.maximum(time - where, 0)
    kind = rng.random((n, 1))
    rate = rng.uniform(0.5, 3, (n, 1)) * np.sign(rng.standard_normal((n, 1)))
    out = np.where(kind < 0.15, (np.exp(rate * time) - 1) / np.exp(np.abs(rate)) * 3, out)
    middle, speed = rng.uniform(0.2, 0.9, (n, 1)), rng.uniform(4, 20, (n, 1))
    return np.where(kind > 0.9, rng.normal(0, 2, (n, 1)) / (1 + np.exp(-speed * (time - middle))), out)


def generate(rng: np.random.Generator, n: int, length: int, period: Array, longer: Array) -> Array:
    """Add or multiply trend, two seasons whose amplitude drifts, and noise; see `tsar.synthetic`."""
    level = trend(rng, n, length) * np.exp(rng.normal(0, 0.8, (n, 1)))
    swell = 1 + rng.uniform(-0.9, 1.5, (n, 1)) * np.linspace(0, 1, length)
    season = periodic(rng, n, length, period) * np.exp(rng.normal(-0.2, 0.8, (n, 1)))
    season += (rng.random((n, 1)) < 0.6) * periodic(rng, n, length, longer) * np.exp(rng.normal(-0.7, 0.8, (n, 1)))
    season = np.where(rng.random((n, 1)) < 0.3, season * swell, season)
    noise = rng.standard_normal((n, length))
    noise = np.where(rng.random((n, 1)) < 0.25, rng.standard_t(3.0, (n, length)), noise)
    size = np.exp(rng.uniform(np.log(0.01), np.log(1.0), (n, 1)))
    walk = np.cumsum(noise, 1) / np.sqrt(length)
    noise = np.where(rng.random((n, 1)) < 0.35, walk * 2, noise)
    total = level + season + size * noise
    multiply = rng.random((n, 1)) < 0.35
    spread = np.abs(total).max(1, keepdims=True) + 1e-9
    return np.where(multiply, np.exp(np.clip(total / spread * rng.uniform(0.3, 2.5, (n, 1)), -6, 6)), total)
