"""Fine-tuning of the zero-shot network on the series at hand, kept only if a rolling validation says that it helps.

Legend: N items, B windows, L time, H horizon.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tsar.experts.bank import LONGEST, experts
from tsar.panel import Panel
from tsar.train import TrainConfig, train
from tsar.zero_shot.features import features
from tsar.zero_shot.network import Batch, ZeroShot, timing

log = logging.getLogger(__name__)

MODES = ("full", "head")
GAIN = 0.005  # share by which the validation loss must fall
MOST = 2048  # training windows
SHORTEST = 8  # steps of history of a window


@dataclass(frozen=True)
class Tuning:
    """What a fine-tuning did.

    Attributes
    ----------
    kept : bool
        Whether the tuned weights were kept.
    before, after : float
        Validation loss of the zero-shot and of the tuned weights.
    windows : int
        Training windows.
    """

    kept: bool
    before: float
    after: float
    windows: int


def fine_tune(
    network: ZeroShot,
    panel: Panel,
    periods: tuple[NDArray[np.int64], NDArray[np.int64]],
    horizon: int,
    mode: str,
    config: TrainConfig,
    seed: int,
) -> Tuning:
    """Train `network` in place on windows of `panel`; restore it where the last horizon is not forecast better.

    The last `horizon` steps of every series validate, windows that end before them train.

    Parameters
    ----------
    network : ZeroShot
    panel : Panel
    periods : pair of arrays [N]
        Main and longer season of every item.
    horizon : int
        Steps that are forecast; at most the network's segment is trained on.
    mode : {"full", "head"}
        Which weights move.
    config : TrainConfig
        Of the training loop; validation is the gate's.
    seed : int
        Of the choice and order of windows.

    Raises
    ------
    ValueError
        If no series is long enough for a training window and a validation window.
    """
    horizon = min(horizon, network.config.segment)
    ends = [(i, n - k * horizon) for i, n in enumerate(panel.lengths) for k in range(2, 200)]
    ends = [(i, end) for i, end in ends if end >= SHORTEST]
    if not ends:
        need = SHORTEST + 2 * horizon
        raise ValueError(
            f"fine-tuning on a horizon of {horizon} needs a series of {need} steps, the longest has "
            f"{int(panel.lengths.max())}: shorten horizon= or use fine_tune=None"
        )
    rng = np.random.default_rng(seed)
    chosen = [ends[i] for i in rng.permutation(len(ends))[:MOST]]
    checked = [(i, int(n) - horizon) for i, n in enumerate(panel.lengths) if n >= SHORTEST + horizon]
    training, held_out = windows(panel, periods, chosen, horizon), windows(panel, periods, checked, horizon)
    before_state = {name: value.clone() for name, value in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(mode == "full" or name.startswith("head"))

    def batches(index: int) -> Batch:
        some = np.random.default_rng([seed, index]).integers(0, len(training.rank_BE), config.batch_size)
        return training.map(lambda part: part[torch.from_numpy(some)])

    def loss(model: torch.nn.Module) -> float:
        assert isinstance(model, ZeroShot)
        with torch.inference_mode():
            return float(model.loss(held_out))

    before = loss(network.eval())
    try:
        state = train(network, batches, config, seed=seed, validate=loss)
    finally:
        network.requires_grad_(True)
    kept = state.best < before * (1 - GAIN)
    if not kept:
        network.load_state_dict(before_state)
        log.warning(
            "fine-tuning did not help: held-out loss %.4f zero-shot, %.4f tuned; the zero-shot weights are kept",
            before,
            state.best,
        )
    else:
        log.info("fine-tuning kept: held-out loss %.4f zero-shot, %.4f tuned", before, state.best)
    return Tuning(kept, before, state.best, len(training.rank_BE))


def windows(
    panel: Panel, periods: tuple[NDArray[np.int64], NDArray[np.int64]], ends: list[tuple[int, int]], horizon: int
) -> Batch:
    """Windows whose history ends before step `end` of item `i`, for every (i, end)."""
    parts: list[Batch] = []
    ends = sorted(ends, key=lambda one: one[1])
    for first in range(0, len(ends), 32):
        some = ends[first : first + 32]
        width = min(LONGEST, max(end for _, end in some))
        past, future = np.full((len(some), width), np.nan), np.full((len(some), horizon), np.nan)
        for row, (i, end) in enumerate(some):
            y = panel.series(i)
            recent = y[max(0, end - width) : end]
            past[row, width - len(recent) :] = recent
            future[row] = y[end : end + horizon]
        usable = np.isfinite(past).any(1) & np.isfinite(future).any(1)
        if not usable.any():
            continue
        items = np.array([i for i, _ in some])[usable]
        pair = (torch.from_numpy(periods[0][items]), torch.from_numpy(periods[1][items]))
        inputs = features(experts(torch.from_numpy(past[usable]), horizon, pair))
        target = (torch.from_numpy(future[usable]) - inputs.base_BH) / inputs.unit_BH
        place = timing(len(items), 0, horizon, target.device)
        parts.append(Batch(*inputs[:6], place, target.clamp(-200, 200).float()))
    return Batch.join(parts)
