"""Stable SARIMA processes: poles are drawn inside the unit circle, not coefficients, and noise may be heavy-tailed.

After SarSim0 (arXiv 2601.00970): several seasonal paths are superposed and the innovations include skewed,
rate-based ones.

B series, L time, K pole pairs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
PAIRS = 2


def innovations(rng: np.random.Generator, n: int, length: int) -> Array:
    """Gaussian, Student-t, gamma, or lognormal noise per series, centred and scaled."""
    kind = rng.choice(4, n, p=(0.55, 0.2, 0.15, 0.1))[:, None]
    out = rng.standard_normal((n, length))
    shape = np.exp(rng.uniform(np.log(0.5), np.log(5.0), (n, 1)))
    gamma = (rng.standard_gamma(np.broadcast_to(shape, (n, length))) - shape) / np.sqrt(shape)
    out = np.where(kind == 1, rng.standard_t(4.0, (n, length)) / np.sqrt(2.0), out)
    out = np.where(kind == 2, gamma * np.where(rng.random((n, 1)) < 0.7, 1, -1), out)
    return np.where(kind == 3, (np.exp(0.8 * np.abs(out)) - 1.9) * 0.8, out)


def autoregress(rng: np.random.Generator, noise: Array) -> Array:
    """Filter by pole pairs: complex with random angle, or real; radii lean towards the unit circle."""
    n, length = noise.shape
    out = noise
    for _ in range(PAIRS):
        radius = 1 - np.exp(rng.uniform(np.log(0.01), 0.0, n))
        angle = rng.uniform(0, np.pi, n) * (rng.random(n) < 0.4)
        second = np.where(angle == 0, rng.uniform(-0.5, 0.9, n), radius)
        one, two = radius * np.exp(1j * angle), second * np.exp(-1j * angle)
        a1, a2 = (one + two).real, -(one * two).real
        path = np.zeros((length + 2, n))
        for t in range(length):
            path[t + 2] = noise_at(out, t) + a1 * path[t + 1] + a2 * path[t]
        out = path[2:].T
        out = out / (out.std(1, keepdims=True) + 1e-9)
    return out


def noise_at(noise: Array, t: int) -> Array:
    """Column t."""
    return noise[:, t]


def generate(rng: np.random.Generator, n: int, length: int, period: Array, longer: Array) -> Array:
    """Draw autoregressive paths, integrated 0 to 2 times, plus seasonal random walks; see `tsar.synthetic`."""
    noise = innovations(rng, n, length)
    base = autoregress(rng, noise)
    order = rng.choice(3, (n, 1), p=(0.45, 0.45, 0.1))
    walk = np.cumsum(base + rng.normal(0, 0.15, (n, 1)), 1)
    twice = np.cumsum(walk * 0.05 + base, 1)
    out = np.choose(order, [base, walk, twice])
    out = out / (out.std(1, keepdims=True) + 1e-9)
    for cycle, chance in ((period, 0.75), (longer, 0.5)):
        out = out + (rng.random((n, 1)) < chance) * seasonal_walk(rng, n, length, cycle)
    return out + 0.1 * rng.random((n, 1)) * innovations(rng, n, length)


def seasonal_walk(rng: np.random.Generator, n: int, length: int, period: Array) -> Array:
    """Pattern whose phases follow random walks (or decay to zero) from season to season."""
    out = np.zeros((n, length))
    drift = np.exp(rng.uniform(np.log(0.01), np.log(0.5), n))
    keep = np.where(rng.random(n) < 0.7, 1.0, rng.uniform(0.7, 1.0, n))
    size = np.exp(rng.normal(0, 0.7, n)) * (period > 1)
    smooth = rng.random(n) < 0.6
    for b in range(n):
        s = int(period[b])
        cycles = -(-length // s)
        pattern = rng.standard_normal(s)
        if smooth[b] and s > 6:
            width = max(2, s // 8)
            ring = np.concatenate([pattern, pattern, pattern])
            pattern = np.convolve(ring, np.ones(width) / width, "same")[s : 2 * s] * np.sqrt(width)
        steps = rng.standard_normal((cycles, s)) * drift[b]
        steps[0] = pattern
        if keep[b] < 1:
            steps *= keep[b] ** -np.arange(cycles)[:, None]
            walk = np.cumsum(steps, 0) * keep[b] ** np.arange(cycles)[:, None]
        else:
            walk = np.cumsum(steps, 0)
        out[b] = size[b] * walk.ravel()[:length]
    return out
