"""One training run: model, optimiser, moving average, best weights, and the file that holds them all."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import math
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tsar.batches import length, pieces, to
from tsar.checkpoint import load_state, save_state
from tsar.train_config import TrainConfig

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """State of a run: what a checkpoint holds beside tensors.

    Attributes
    ----------
    step : int
        Steps taken.
    best, best_step : float, int
        Lowest validation loss and the step that had it.
    stale : int
        Validations since then.
    losses : list of (step, training loss, validation loss or None)
        One entry a validation, or every `validate_every` steps.
    parts : int
        Pieces each batch is split into, for want of memory.
    seconds : float
        Time spent, over all resumptions.
    """

    step: int = 0
    best: float = math.inf
    best_step: int = -1
    stale: int = 0
    losses: list[tuple[int, float, float | None]] = field(default_factory=list)
    parts: int = 1
    seconds: float = 0.0


class _Loss(nn.Module):
    """Gives `model.loss` the name `forward`, which is what a data-parallel wrapper calls."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Any) -> Tensor:
        loss: Tensor = self.model.loss(batch)
        return loss


class Run:
    """Model, optimiser, moving average and best weights of one call of `train`."""

    def __init__(self, model: nn.Module, config: TrainConfig, device: str | torch.device) -> None:
        self.config, self.state = config, Progress()
        self.accelerator = None
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from accelerate import Accelerator

            self.accelerator = Accelerator(cpu=torch.device(device).type == "cpu")
            device = self.accelerator.device
        self.device = torch.device(device)
        self.cuda = [self.device] if self.device.type == "cuda" else []
        self.world = self.accelerator.num_processes if self.accelerator else 1
        self.rank = self.accelerator.process_index if self.accelerator else 0
        self.model: Any = model.to(self.device).train()
        matrices: list[Tensor] = [p for p in model.parameters() if p.requires_grad and p.ndim >= 2]
        others: list[Tensor] = [p for p in model.parameters() if p.requires_grad and p.ndim < 2]
        self.parameters = matrices + others
        groups: list[dict[str, Any]] = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
        self.optimizer: Any = torch.optim.AdamW(
            [g for g in groups if g["params"]],
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
            fused=self.device.type in ("cpu", "cuda"),
        )
        self.loss: Any = _Loss(model)
        if self.accelerator is not None:
            self.loss, self.optimizer = self.accelerator.prepare(self.loss, self.optimizer)
        self.average = copy.deepcopy(model).eval().requires_grad_(False) if config.ema else None
        self.best: dict[str, Tensor] | None = None
        wanted = config.precision == "bf16" or (
            config.precision == "auto" and self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        )
        self.autocast = (lambda: torch.autocast(self.device.type, torch.bfloat16)) if wanted else nullcontext

    def advance(self, batch: Any) -> Tensor:
        """Take one optimiser step; the batch goes through in pieces when it does not fit."""
        rate = self.config.learning_rate * self.config.rate(self.state.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = to(batch, self.device)
        while True:
            try:
                loss = self._gradient(batch)
                break
            except RuntimeError as error:
                if not _out_of_memory(error) or self.accelerator is not None:
                    raise
                if 2 * self.state.parts > length(batch):
                    raise MemoryError("not enough memory to train on a single window: shorten the context") from error
            self.state.parts *= 2
            if self.cuda:
                torch.cuda.empty_cache()
            size = -(-length(batch) // self.state.parts)
            log.warning("out of memory: halving the batch to %d windows at a time, gradients accumulated", size)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"loss is {float(loss)} at step {self.state.step}: expected a finite value; "
                f"try a learning rate below {self.config.learning_rate}"
            )
        self.optimizer.step()
        if self.average is not None:
            weight = 1 - min(self.config.ema, (1 + self.state.step) / (10 + self.state.step))  # short memory early on
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), weight)
        self.state.step += 1
        return loss

    def reseed(self, seed: int) -> None:
        """Seed the default generators; `torch.manual_seed` would queue a stack trace for every GPU not yet in use."""
        torch.default_generator.manual_seed(seed)
        for device in self.cuda:
            torch.cuda.default_generators[device.index or 0].manual_seed(seed)

    def _gradient(self, batch: Any) -> Tensor:
        """Leave the gradient of the batch in the parameters and return its loss."""
        loss = self._backward(batch)
        if self.config.sharpness:  # the gradient at the worst point of a ball (Foret et al. 2021, eq. 2)
            with torch.no_grad():
                grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.parameters]
                norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
                climb = [grad * (self.config.sharpness / float(norm + 1e-12)) for grad in grads]
                for p, c in zip(self.parameters, climb, strict=True):
                    p.add_(c)
            try:
                self._backward(batch)
            finally:
                with torch.no_grad():
                    for p, c in zip(self.parameters, climb, strict=True):
                        p.sub_(c)
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.parameters, self.config.clip, foreach=self.device.type != "mps")
        return loss

    def _backward(self, batch: Any) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        total: Tensor = torch.zeros((), device=self.device)
        size = length(batch)
        for piece in pieces(batch, self.state.parts):
            with self.autocast():
                loss = self.loss(piece) * (length(piece) / size)
            if self.accelerator is not None:
                self.accelerator.backward(loss)
            else:
                loss.backward()
            total = total + loss.detach()
        return total

    @property
    def kept(self) -> nn.Module:
        """The weights that are validated and kept: the moving average, where there is one."""
        return self.model if self.average is None else self.average

    def validate(self, validate: Callable[[nn.Module], float] | None, loss: float, seed: int) -> float | None:
        """Record the losses and remember the best weights."""
        value = None
        if validate is not None:
            self.reseed(seed)  # the same noise at every validation
            with torch.inference_mode(), self.autocast():
                value = float(validate(self.kept.eval()))
            self.model.train()
            self.state.stale += 1
            if value < self.state.best:
                self.state.best, self.state.best_step, self.state.stale = value, self.state.step, 0
                self.best = {k: v.detach().clone() for k, v in self.kept.state_dict().items()}
        self.state.losses.append((self.state.step, loss, value))
        return value

    def finish(self) -> None:
        """Put the weights to keep into the model."""
        keep = self.best if self.best is not None else self.kept.state_dict()
        if keep is not None:
            self.model.load_state_dict(keep)
        self.model.eval()

    def save(self, file: Path, about: dict[str, Any]) -> None:
        """Write the run's checkpoint, whole or not at all."""
        trees = {"model": self.model.state_dict(), "best": self.best or {}}
        trees["average"] = self.average.state_dict() if self.average is not None else {}
        for number, state in self.optimizer.state_dict()["state"].items():
            trees[f"optimizer.{number}"] = state
        tensors = {f"{tree}/{name}": tensor for tree, part in trees.items() for name, tensor in part.items()}
        save_state(file, tensors, about | {"progress": dataclasses.asdict(self.state)})

    def restore(self, file: Path, about: dict[str, Any]) -> None:
        """Read a checkpoint of the same run."""
        tensors, found = load_state(file)
        progress = found.pop("progress", {})
        expected = json.loads(json.dumps(about))
        if found != expected:
            differ = sorted(k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k))
            raise ValueError(
                f"{file} belongs to another training run ({', '.join(differ)} differ): "
                "expected a checkpoint of this one; use another directory or delete it"
            )
        trees: dict[str, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            tree, _, name = key.partition("/")
            trees.setdefault(tree, {})[name] = tensor.to(self.device)
        self.model.load_state_dict(trees["model"])
        if self.average is not None:
            self.average.load_state_dict(trees["average"])
        self.best = trees.get("best")
        optimizer = self.optimizer.state_dict()
        optimizer["state"] = {int(t.partition(".")[2]): s for t, s in trees.items() if t.startswith("optimizer.")}
        self.optimizer.load_state_dict(optimizer)
        self.state = Progress(**progress | {"losses": [tuple(entry) for entry in progress["losses"]]})
        log.info("resuming from step %d of %s", self.state.step, file)


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
