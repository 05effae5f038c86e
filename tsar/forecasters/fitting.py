"""Train a model on a panel's groups: windows, validation, the closed-form start, the loop.

Legend: G groups, B windows of a batch, F tokens at the frontier, R rows of the normal equations, D features, T steps.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor, nn

from tsar.batches import to
from tsar.generate import Rollout
from tsar.groups import Groups
from tsar.heads.point import PointHead
from tsar.model import TSAR
from tsar.scale import standardise
from tsar.systems import System
from tsar.train import Progress, train
from tsar.windows import Windows

log = logging.getLogger(__name__)

SOLVE_WINDOWS = 20_000
"""The closed-form start uses at most so many windows, evenly spread."""
RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Its penalties, relative to the mean squared feature."""


def fit_model(
    model: TSAR,
    groups: Groups,
    system: System,
    *,
    seed: int,
    device: torch.device,
    directory: str | None = None,
    progress: bool = False,
) -> Progress:
    """Train `model` in place on the windows of `groups`; return the state of the run.

    Parameters
    ----------
    model : TSAR
    groups : Groups
    system : System
        Gives the training options and whether to start from the least-squares solution.
    seed : int
        Of the order of the windows, of dropout and noise.
    device, directory, progress
        As in `tsar.train.train`.
    """
    config = system.train
    longest, hold = int(groups.lengths.max()), config.validation
    steps = 0 if hold is None else hold if isinstance(hold, int) else max(model.reach, round(hold * longest))
    # Series hardly longer than a context still give windows to train on and to hold out, with less before the origin.
    least = min(model.context, max(1, (longest - steps - model.reach) // 2))
    windows = Windows(
        **groups.arrays(),
        context=model.context,
        horizon=model.reach,
        sampling=config.sampling,
        min_context=least,
    )
    held: Windows | None = None
    if steps:
        try:
            windows, held = windows.split(steps)
        except ValueError as error:
            log.info("training without validation: %s", error)
    model.to(device)

    def validate(candidate: nn.Module) -> float:
        assert held is not None and isinstance(candidate, TSAR)
        return held_out_loss(candidate, held, config.validation_windows, config.batch_size)

    if system.closed_form and isinstance(model.head, PointHead):
        solve_head(model, windows, None if held is None else validate)
    return train(
        model,
        lambda index: windows.batch(config.batch_size, seed, index),
        config,
        seed=seed,
        validate=None if held is None else validate,
        device=device,
        directory=directory,
        identity=_identity(model, groups),
        progress=progress,
    )


def frontiers(model: TSAR, windows: Windows, most: int, batch_size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield what the head reads before the targets of evenly spread windows, and the targets in its units.

    Yields
    ------
    h_BFD, x_BFT, seen_BFT : Tensor
    """
    group_B, end_B = windows.grid(most)
    device = next(model.parameters()).device
    for first in range(0, len(group_B), batch_size):
        rows = slice(first, first + batch_size)
        context, y_BVT = to(windows.gather(group_B[rows], end_B[rows]), device).split(model.reach)
        h_BFD, loc_BF1, scale_BF1 = model.objective.frontier(model, context)
        y_BFT = _as_read(model, y_BVT, h_BFD.shape[1])
        yield h_BFD, standardise(y_BFT, loc_BF1, scale_BF1), ~y_BFT.isnan() & (scale_BF1 > 0)


@torch.inference_mode()
def predict_windows(model: TSAR, windows: Windows, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the mean forecast of every window, one reading of the head, and its targets: raw values [B, V, T] each."""
    group_B, end_B = windows.grid()
    device = next(model.parameters()).device
    for first in range(0, len(group_B), batch_size):
        rows = slice(first, first + batch_size)
        context, y_BVT = to(windows.gather(group_B[rows], end_B[rows]), device).split(model.reach)
        yield Rollout(model, context).read(model.head.mean), y_BVT


def _as_read(model: TSAR, y_BVT: Tensor, readings: int) -> Tensor:
    """Lay targets out as the head gives them: one time's tokens, or several times' one after the other."""
    if readings == model.tokenizer.frontier(y_BVT.shape[1]):
        return model.tokenizer.tokens(y_BVT)
    return torch.cat([model.tokenizer.tokens(part) for part in y_BVT.split(model.tokenizer.step, -1)], 1)


def held_out_loss(model: TSAR, windows: Windows, most: int, batch_size: int) -> float:
    """Mean loss of the head over the targets of evenly spread windows: forecasts only, not what a context repeats."""
    total = weight = 0.0
    for h_BFD, x_BFT, seen_BFT in frontiers(model, windows, most, batch_size):
        weight_BF = seen_BFT.float().mean(-1)
        total += float((model.head.loss(h_BFD, x_BFT, seen_BFT) * weight_BF).sum())
        weight += float(weight_BF.sum())
    return total / max(weight, 1e-12)


@torch.inference_mode()
def solve_head(model: TSAR, windows: Windows, validate: Callable[[TSAR], float] | None) -> None:
    """Set a linear point head to the ridge solution over the training windows, given its features.

    The penalty is the one of `RIDGES` that `validate` likes best, the middle one without it. Rows with a missing target
    are left out.
    """
    assert isinstance(model.head, PointHead), "a closed form needs a point head"
    D, T = model.head.out.in_features, model.head.out.out_features
    gram_DD = torch.zeros(D + 1, D + 1, dtype=torch.float64)
    cross_DT = torch.zeros(D + 1, T, dtype=torch.float64)
    model.eval()
    for h_BFD, x_BFT, seen_BFT in frontiers(model, windows, SOLVE_WINDOWS, 256):
        keep_R = seen_BFT.all(-1).flatten().cpu()
        h_RD = h_BFD.flatten(0, 1).double().cpu()[keep_R]
        h_RD = torch.cat([h_RD, torch.ones(len(h_RD), 1, dtype=torch.float64)], 1)
        gram_DD += h_RD.T @ h_RD
        cross_DT += h_RD.T @ x_BFT.flatten(0, 1).double().cpu()[keep_R]
    if gram_DD[-1, -1] == 0:
        return  # no complete window: training starts from random weights
    best = float("inf")
    for ridge in RIDGES if validate is not None else RIDGES[len(RIDGES) // 2 :][:1]:
        penalty_D = torch.full((D + 1,), float(ridge * gram_DD.diagonal()[:-1].mean() + 1e-9), dtype=torch.float64)
        penalty_D[-1] = 0.0
        solution_DT = torch.linalg.solve(gram_DD + penalty_D.diag(), cross_DT)
        before = [part.clone() for part in model.head.out.parameters()]
        model.head.out.weight.copy_(solution_DT[:-1].T)
        model.head.out.bias.copy_(solution_DT[-1])
        loss = 0.0 if validate is None else validate(model)
        if loss < best:
            best = loss
        else:
            for part, was in zip(model.head.out.parameters(), before, strict=True):
                part.copy_(was)


def _identity(model: TSAR, groups: Groups) -> str:
    """What a run was made from: the model's configuration and the data."""
    digest = blake2b(repr(model.config.to_dict()).encode(), digest_size=16)
    for array in groups.arrays().values():
        if isinstance(array, np.ndarray):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
