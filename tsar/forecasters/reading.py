"""What a model says of encoded contexts: mean, quantiles and paths of every item.

Legend: N items, G groups (items, or joint sets), B groups of a batch, V variates, S paths, H horizon, Q levels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tsar.forecasters.prediction import Prediction
from tsar.generate import Rollout, generate, generate_quantiles
from tsar.groups import Groups
from tsar.model import TSAR

QUANTILE_PATHS = 10  # carried beyond what one reading of the head covers

Batch = tuple[Rollout, NDArray[np.int64]]
"""Encoded contexts, and the positions of their groups."""


def read(model: TSAR, groups: Groups, encode: Callable[[int], Iterable[Batch]], items: int, horizon: int) -> Prediction:
    """Forecast every item of `groups`.

    Parameters
    ----------
    model : TSAR
    groups : Groups
    encode : callable
        Number of copies that will be made of each context to the batches of contexts.
    items : int
        N.
    horizon : int
        Steps.
    """
    kept: list[Batch] = []

    def each(compute: Callable[[Rollout, NDArray[np.int64]], Tensor], paths: int) -> NDArray[np.float64]:
        """Compute [B, V, ...] of every batch and lay the rows out by item, [N, ...]."""
        parts: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        batches: list[Batch] = []
        for start, rows in kept or encode(paths):
            parts.append((rows, compute(start, rows).double().cpu().numpy()))
            batches = [*batches, (start, rows)] if len(rows) == len(groups) else []
        kept[:] = batches  # a single batch stays encoded for the next question
        out_GV = np.empty((len(groups), *parts[0][1].shape[1:]))
        for rows, part in parts:
            out_GV[rows] = part
        return out_GV.reshape(items, *out_GV.shape[2:])

    def quantiles(levels_Q: NDArray[np.float64]) -> NDArray[np.float64]:
        levels = [float(level) for level in levels_Q]
        return each(
            lambda start, rows: generate_quantiles(model, start, horizon, levels, paths=QUANTILE_PATHS), QUANTILE_PATHS
        )

    def sample(count: int, seeds_N: NDArray[np.uint64]) -> NDArray[np.float64]:
        # a joint set draws from one generator, whatever the order of its items
        seeds_G = np.bitwise_xor.reduce(seeds_N, keepdims=True) if len(groups) < items else seeds_N

        def draw(start: Rollout, rows: NDArray[np.int64]) -> Tensor:
            generators = [torch.Generator(device_of(model)).manual_seed(int(seeds_G[g])) for g in rows]
            return generate(model, start, horizon, num_samples=count, generators=generators).transpose(1, 2)

        return each(draw, count)

    mean_NH = each(lambda start, rows: generate(model, start, horizon)[:, 0], 1)
    return Prediction(mean_NH, quantiles, sample)


def device_of(model: TSAR) -> torch.device:
    """Return where a model's weights are."""
    return next(model.parameters()).device
