"""Sums and products of Gaussian-process draws: smooth, rough, linear and periodic kernels.

A stationary kernel is drawn through random frequencies of its spectral density (Rahimi & Recht 2007) and a periodic one
through harmonics of its period, so thousands of series need no matrix factorisation. Kernel bank after KernelSynth
(Ansari et al. 2024, Chronos, appendix A).

B series, L time, F frequencies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FREQUENCIES = 24
Array = NDArray[np.float64]


def stationary(rng: np.random.Generator, n: int, length: int) -> Array:
    """Squared-exponential (half) or heavy-tailed, rough (half) processes of random correlation length."""
    scale = length * np.exp(rng.uniform(np.log(0.01), np.log(1.0), (n, 1)))
    tail = np.where(rng.random((n, 1)) < 0.5, 1.0, np.sqrt(rng.gamma(0.75, 1 / 0.75, (n, FREQUENCIES))) + 1e-3)
    omega = rng.standard_normal((n, FREQUENCIES)) / scale / tail
    shift = rng.uniform(0, 2 * np.pi, (n, FREQUENCIES))
    time = np.arange(length)
    out = np.zeros((n, length))
    for j in range(FREQUENCIES):
        out += np.cos(omega[:, j, None] * time + shift[:, j, None])
    return out * np.sqrt(2 / FREQUENCIES)


def periodic(rng: np.random.Generator, n: int, length: int, period: Array) -> Array:
    """Exactly periodic processes: harmonics with decaying random weights."""
    decay = rng.uniform(0.4, 2.0, (n, 1))
    time = np.arange(length)
    out = np.zeros((n, length))
    for k in range(1, 9):
        weight = rng.standard_normal((2, n, 1)) * k**-decay
        angle = 2 * np.pi * k * time / period[:, None]
        alive = (2 * k <= period)[:, None]
        out += alive * (weight[0] * np.cos(angle) + weight[1] * np.sin(angle))
    return out


def linear(rng: np.random.Generator, n: int, length: int) -> Array:
    """Straight lines."""
    return rng.standard_normal((n, 1)) * np.linspace(-1.7, 1.7, length) + rng.standard_normal((n, 1))


def generate(rng: np.random.Generator, n: int, length: int, period: Array, longer: Array) -> Array:
    """Join two to four draws by sums and products; see `tsar.synthetic`."""
    out = stationary(rng, n, length)
    for _ in range(3):
        kind = rng.choice(5, n, p=(0.25, 0.1, 0.35, 0.15, 0.15))
        new = np.zeros((n, length))
        for which in range(4):
            rows = np.flatnonzero(kind == which)
            if len(rows) == 0:
                continue
            if which == 0:
                new[rows] = stationary(rng, len(rows), length)
            elif which == 1:
                new[rows] = linear(rng, len(rows), length)
            else:
                new[rows] = periodic(rng, len(rows), length, (period if which == 2 else longer)[rows])
        times = (rng.random((n, 1)) < 0.25) & (kind < 4)[:, None]
        out = np.where(times, out * (1 + 0.5 * new), out + new * np.exp(rng.normal(0, 0.5, (n, 1))))
    noise = np.exp(rng.uniform(np.log(0.005), np.log(1.0), (n, 1)))
    return out + noise * rng.standard_normal((n, length))
