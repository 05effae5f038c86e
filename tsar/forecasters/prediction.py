"""Prediction: what a forecaster computes, before it becomes the caller's Forecast, and how rows are put together.

Legend: N items, S sample paths, H horizon, Q quantile levels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True)
class Prediction:
    """What a forecaster's `_predict` hook returns, one row an item of the panel it was given; raw units.

    Attributes
    ----------
    mean_NH : float array [N, H]
    quantiles : function of levels [Q] that gives [N, H, Q], ascending
    sample : function of (number of paths S, item seeds uint64 [N]) that gives paths [N, S, H], or None
    failed : reasons why items could not be forecast, by position; their rows are ignored
    notes : what a reader must know of an item, by position
    """

    mean_NH: np.ndarray
    quantiles: Callable[[np.ndarray], np.ndarray]
    sample: Callable[[int, np.ndarray], np.ndarray] | None = None
    failed: Mapping[int, str] = field(default_factory=dict)
    notes: Mapping[int, str] = field(default_factory=dict)


def weave(n: int, parts: list[tuple[np.ndarray, Prediction]]) -> Prediction:
    """Join predictions of disjoint rows: `parts` holds (positions among `n`, prediction of those rows).

    Rows that several parts name are taken from the last of them. Paths exist where every part has them.
    """
    horizon = parts[0][1].mean_NH.shape[1]
    mean = np.full((n, horizon), np.nan)
    notes: dict[int, str] = {}
    for rows, part in parts:
        mean[rows] = part.mean_NH
        notes |= {int(rows[i]): note for i, note in part.notes.items()}

    def quantiles(levels_Q: np.ndarray) -> np.ndarray:
        out = np.full((n, horizon, len(levels_Q)), np.nan)
        for rows, part in parts:
            out[rows] = part.quantiles(levels_Q)
        return out

    def sample(count: int, seeds_N: np.ndarray) -> np.ndarray:
        out = np.full((n, count, horizon), np.nan)
        for rows, part in parts:
            assert part.sample is not None
            out[rows] = part.sample(count, seeds_N[rows])
        return out

    has_paths = all(part.sample is not None for _, part in parts)
    return Prediction(mean, quantiles, sample if has_paths else None, notes=notes)


def bounded(prediction: Prediction, low: float | None, high: float | None) -> Prediction:
    """Prediction with mean, quantiles and paths clipped to [low, high]; None leaves a side open."""
    draw = prediction.sample
    return replace(
        prediction,
        mean_NH=np.clip(prediction.mean_NH, low, high),
        quantiles=lambda levels_Q: np.clip(prediction.quantiles(levels_Q), low, high),
        sample=None if draw is None else lambda count, seeds_N: np.clip(draw(count, seeds_N), low, high),
    )


def with_marginals(paths_NSH: np.ndarray, quantiles: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Paths of the same ranks whose values at each step are the given quantiles (Schefzik et al. 2013, ECC-Q)."""
    count = paths_NSH.shape[1]
    rank_NSH = np.argsort(np.argsort(paths_NSH, axis=1, kind="stable"), axis=1)
    values_NHS = quantiles((np.arange(count) + 0.5) / count)
    return np.take_along_axis(np.moveaxis(values_NHS, -1, 1), rank_NSH, axis=1)


def gaussian(mean_NH: np.ndarray, deviation_NH: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Quantile function of independent normal marginals, for `Prediction.quantiles`."""
    from scipy.special import ndtri

    def quantiles(levels_Q: np.ndarray) -> np.ndarray:
        return mean_NH[..., None] + deviation_NH[..., None] * ndtri(levels_Q)

    return quantiles
