"""Causal mixes: series that are lagged, transformed sums of hidden drivers.

After CauKer (Xie et al. 2025): roots are Gaussian processes, each edge passes through a random activation.

B series, L time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tsar.synthetic import kernels

Array = NDArray[np.float64]


def activate(rng: np.random.Generator, x: Array) -> Array:
    """One of six activations per series, on standardised values."""
    z = (x - x.mean(1, keepdims=True)) / (x.std(1, keepdims=True) + 1e-9)
    kind = rng.integers(0, 6, (len(x), 1))
    return np.choose(kind, [z, np.tanh(z), np.maximum(z, 0), np.sin(2 * z), np.abs(z), np.where(z > 0, z, 0.1 * z)])


def generate(rng: np.random.Generator, n: int, length: int, period: Array, longer: Array) -> Array:
    """Mix three drivers through two layers of lagged edges; see `tsar.synthetic`."""
    nodes = [kernels.generate(rng, n, length, period, longer) for _ in range(2)]
    nodes.append(kernels.periodic(rng, n, length, np.where(rng.random(n) < 0.7, period, longer)))
    for _ in range(2):
        total = np.zeros((n, length))
        for parent in nodes[-3:]:
            lag = int(rng.integers(0, max(1, length // 10)))
            total += rng.normal(0, 1, (n, 1)) * np.roll(activate(rng, parent), lag, axis=1)
        nodes.append(total + 0.1 * rng.standard_normal((n, length)))
    return nodes[-1] + np.exp(rng.uniform(np.log(0.01), np.log(0.5), (n, 1))) * rng.standard_normal((n, length))
