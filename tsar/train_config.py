"""How a model is trained: the options of `tsar.train`, with the learning-rate schedule they describe."""

from __future__ import annotations

import math
from dataclasses import dataclass

SCHEDULES = ("cosine", "wsd", "constant")
PRECISIONS = ("auto", "fp32", "bf16")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a model is trained.

    Parameters
    ----------
    max_steps, batch_size : int
        Optimiser steps, and windows per step and process.
    learning_rate : float
        Peak of the schedule.
    schedule : {"cosine", "wsd", "constant"}
        Shape after the warm-up: half a cosine to `final`, or constant then linear over the last `decay` of the run, or
        constant.
    warmup, decay, final : float
        Fraction of the run spent warming up, fraction spent decaying (wsd), and last rate relative to the peak.
    weight_decay : float
        AdamW's, on matrices only.
    betas : tuple of float
        AdamW's.
    clip : float
        Largest norm of the gradient; 0 for none.
    ema : float
        Decay of the exponential moving average of the weights that is validated and kept; 0 for none.
    sharpness : float
        Radius of sharpness-aware minimisation (Foret et al. 2021); 0 for none. Doubles the cost of a step.
    precision : {"auto", "fp32", "bf16"}
        Autocast; "auto" is bf16 on a GPU that has it, fp32 elsewhere.
    validation : float or int or None
        Last fraction, or last number of steps, of each series held out for early stopping; None for no validation.
    validate_every, patience : int
        Steps between validations, and validations without improvement before training stops; 0 never stops.
    validation_windows : int
        At most so many held-out windows, evenly spread.
    sampling : {"length", "series"}
        Draw every window, or every series, equally often.
    checkpoint_every : int
        Steps between checkpoints when a directory is given.

    Raises
    ------
    ValueError
        For an impossible value.
    """

    max_steps: int = 1000
    batch_size: int = 32
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup: float = 0.05
    decay: float = 0.2
    final: float = 0.0
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = 1.0
    ema: float = 0.0
    sharpness: float = 0.0
    precision: str = "auto"
    validation: float | int | None = 0.1
    validate_every: int = 50
    patience: int = 5
    validation_windows: int = 256
    sampling: str = "length"
    checkpoint_every: int = 200

    def __post_init__(self) -> None:
        for name in ("max_steps", "batch_size", "validate_every", "validation_windows", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}")
        for name in ("learning_rate", "weight_decay", "clip", "sharpness", "patience", "final"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, found {getattr(self, name)}")
        for name in ("warmup", "decay", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), found {getattr(self, name)}")
        for name, known in (("schedule", SCHEDULES), ("precision", PRECISIONS), ("sampling", ("length", "series"))):
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}: expected one of {known}")
        hold = self.validation
        if hold is not None and (hold <= 0 or (isinstance(hold, float) and hold >= 1)):
            raise ValueError(f"validation must be a fraction in (0, 1), a number of steps or None, found {hold}")
        object.__setattr__(self, "betas", tuple(self.betas))

    def rate(self, step: int) -> float:
        """Learning rate of step `step` (counted from 0), relative to the peak."""
        warm = max(1, round(self.warmup * self.max_steps))
        if step < warm and self.warmup > 0:
            return (step + 1) / warm
        if self.schedule == "constant":
            return 1.0
        if self.schedule == "wsd":
            start = self.max_steps - round(self.decay * self.max_steps)
            done = max(0.0, (step - start) / max(1, self.max_steps - start))
            return 1.0 - (1.0 - self.final) * done
        done = (step - warm) / max(1, self.max_steps - warm)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * done))
