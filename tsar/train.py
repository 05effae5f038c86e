"""The one training loop: every model of the package is trained by `train`, on one device or several processes.

All randomness is a function of (seed, step): a batch, dropout and noise are drawn from generators seeded per step, so a
run that was killed and resumed takes the very steps of one that was not.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tsar.run import Progress, Run
from tsar.train_config import TrainConfig

__all__ = ["Progress", "TrainConfig", "train"]


def train(
    model: nn.Module,
    batches: Callable[[int], Any],
    config: TrainConfig,
    *,
    seed: int = 0,
    validate: Callable[[nn.Module], float] | None = None,
    device: str | torch.device = "cpu",
    directory: str | Path | None = None,
    identity: str = "",
    progress: bool = False,
) -> Progress:
    """Train `model` in place and leave it with its best weights, in eval mode.

    Parameters
    ----------
    model : module with ``loss(batch) -> scalar``
    batches : callable
        Index of a draw to a batch, a (nested) named tuple of tensors whose first axis is the window; a pure function,
        so that a resumed run sees the batches of an uninterrupted one.
    config : TrainConfig
    seed : int
        Of dropout and of every noise the loss draws.
    validate : callable, optional
        Model to validation loss; lower is better. Without it the last weights are kept.
    device : str
        Where to train; with several processes (torchrun, accelerate launch) each takes its own.
    directory : path, optional
        Where checkpoints go. A checkpoint found there is resumed; a file is replaced whole or not at all.
    identity : str
        What the run was made from; a checkpoint of another identity is refused.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Progress

    Raises
    ------
    ValueError
        If the checkpoint found belongs to another run.
    FloatingPointError
        If the loss is not finite.
    """
    run = Run(model, config, device)
    file = None if directory is None else Path(directory) / "training.safetensors"
    about = {"identity": identity, "seed": seed, "config": dataclasses.asdict(config), "world": run.world}
    if file is not None and file.exists():
        run.restore(file, about)
    began = time.perf_counter() - run.state.seconds
    with torch.random.fork_rng(devices=run.cuda), _bar(progress and run.rank == 0, config.max_steps, run.state) as bar:
        while run.state.step < config.max_steps and not (config.patience and run.state.stale >= config.patience):
            step = run.state.step
            run.reseed(_mix(seed, step, run.rank))
            loss = run.advance(batches(step * run.world + run.rank))
            if bar is not None:
                bar.update()
            last = step + 1 == config.max_steps
            if last or (step + 1) % config.validate_every == 0:
                value = run.validate(validate, float(loss), seed)
                if bar is not None:
                    bar.set_postfix(loss=f"{float(loss):.4f}", **({} if value is None else {"val": f"{value:.4f}"}))
            run.state.seconds = time.perf_counter() - began
            if file is not None and run.rank == 0 and (last or (step + 1) % config.checkpoint_every == 0):
                run.save(file, about)
    run.finish()
    return run.state


def _mix(*numbers: int) -> int:
    """One seed from several numbers: a step of splitmix64 (Steele et al. 2014) for each."""
    mixed = 0
    for number in numbers:
        mixed = (mixed + number + 1) * 0x9E3779B97F4A7C15 & 0xFFFF_FFFF_FFFF_FFFF
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFF_FFFF_FFFF_FFFF
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & 0xFFFF_FFFF_FFFF_FFFF
        mixed ^= mixed >> 31
    return mixed >> 1


@contextmanager
def _bar(show: bool, total: int, state: Progress) -> Iterator[Any]:
    """Progress bar, or None."""
    if not show:
        yield None
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, initial=state.step, desc="training", unit="step") as bar:
        yield bar
