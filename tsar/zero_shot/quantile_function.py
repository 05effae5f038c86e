"""Any quantile, the mean and paths from the quantiles at the network's levels.

A value is x = f(z), z standard normal, with f piecewise linear between the trained levels and continued beyond them
with the slope of its outer pieces: Gaussian tails.

N series, H horizon, Q levels asked for, K trained levels, S paths.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from tsar.zero_shot.network import LEVELS

Array = NDArray[np.float64]
SCORES = ndtri(np.array(LEVELS))


def interpolate(values_K: Array, score: Array) -> Array:
    """Evaluate f at scores; the last axis of `values_K` holds the knots and the other axes broadcast with `score`."""
    piece = np.clip(np.searchsorted(SCORES, score) - 1, 0, len(SCORES) - 2)
    share = (score - SCORES[piece]) / (SCORES[piece + 1] - SCORES[piece])
    shape = np.broadcast_shapes(values_K.shape[:-1], piece.shape)
    knots, piece = np.broadcast_to(values_K, (*shape, len(SCORES))), np.broadcast_to(piece, shape)[..., None]
    low = np.take_along_axis(knots, piece, -1)[..., 0]
    high = np.take_along_axis(knots, piece + 1, -1)[..., 0]
    return low + share * (high - low)


def at_levels(values_NHK: Array, levels_Q: Array) -> Array:
    """Quantiles [N, H, Q]; at a trained level exactly the trained one."""
    score = ndtri(np.asarray(levels_Q))
    piece = np.clip(np.searchsorted(SCORES, score) - 1, 0, len(SCORES) - 2)
    share = (score - SCORES[piece]) / (SCORES[piece + 1] - SCORES[piece])
    return values_NHK[..., piece] * (1 - share) + values_NHK[..., piece + 1] * share


def mean(values_NHK: Array) -> Array:
    """Mean of f(z), tails included: [N, H]; f is linear in its knots, so it is one weighting of them."""
    return values_NHK @ mean_weights()


@lru_cache(maxsize=1)
def mean_weights(points: int = 4000) -> Array:
    """Mean of each knot's hat function over the normal distribution."""
    score = ndtri((np.arange(points) + 0.5) / points)
    return np.array([interpolate(unit, score).mean() for unit in np.eye(len(SCORES))])


def paths(values_NHK: Array, memory_N: Array, count: int, seeds_N: NDArray[np.uint64]) -> Array:
    """Draw paths [N, S, H] whose scores follow a first-order autoregression over the horizon.

    Parameters
    ----------
    values_NHK : array
        Quantiles at the trained levels.
    memory_N : array
        Correlation of neighbouring steps' scores.
    count : int
        Paths S.
    seeds_N : array
        One seed a series, so that a series draws the same paths in any batch.
    """
    n, horizon, _ = values_NHK.shape
    out = np.empty((n, count, horizon))
    for row in range(n):
        noise = np.random.default_rng(int(seeds_N[row])).standard_normal((count, horizon))
        rho, score = memory_N[row], np.empty((count, horizon))
        score[:, 0] = noise[:, 0]
        for step in range(1, horizon):
            score[:, step] = rho * score[:, step - 1] + np.sqrt(1 - rho**2) * noise[:, step]
        out[row] = interpolate(values_NHK[row][None], score)
    return out
