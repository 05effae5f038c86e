"""The pool of training windows on disk: experts and features computed once, read many times while training.

A chunk is a file of windows of one shape, drawn from its own seed, so a pool can be built in any order, by several
processes, and continued after a kill. The content is a function of (seed, index) alone.

B windows, H horizon.
"""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tsar.checkpoint import load_state, save_state
from tsar.experts.bank import experts
from tsar.pretraining.corpus import Real
from tsar.pretraining.draws import Draw, draw
from tsar.zero_shot.features import features
from tsar.zero_shot.network import Batch, timing

log = logging.getLogger(__name__)

WINDOWS, DRAWS = 256, 8  # windows of a chunk, and independent draws that they come from
# Horizons of a chunk (shortest, longest), the steps that its windows are padded to, and how often it comes.
SHAPES = (((3, 16), 16, 0.5), ((17, 48), 48, 0.22), ((49, 200), 96, 0.28))
SEGMENT = 96


def windows(drawn: Draw, width: int, rng: np.random.Generator) -> Batch:
    """Turn a draw into training windows; of horizons past a segment one segment is kept."""
    y = torch.from_numpy(drawn.y_BL)
    past, future = y[:, : -drawn.horizon], y[:, -drawn.horizon :]
    enough = torch.isfinite(past).sum(1) >= 3
    past, future = past[enough], future[enough]
    period = (torch.from_numpy(drawn.period_B)[enough], torch.from_numpy(drawn.longer_B)[enough])
    inputs = features(experts(past, drawn.horizon, period))
    target = (future - inputs.base_BH) / inputs.unit_BH
    start = SEGMENT * int(rng.integers(0, -(-drawn.horizon // SEGMENT)))
    end = min(start + SEGMENT, drawn.horizon)

    def cut(x: Tensor, value: float = 0.0) -> Tensor:
        return torch.nn.functional.pad(x[..., start:end], (0, width - (end - start)), value=value)

    batch = Batch(
        inputs.context_BC2,
        inputs.seen_BC,
        inputs.static_BF,
        inputs.rank_BE,
        cut(inputs.expert_BEH),
        cut(inputs.growth_BH),
        timing(len(past), start, drawn.horizon, past.device),
        cut(target.clamp(-200, 200), torch.nan),
    )
    numbers = torch.cat([part.flatten(1).double() for part in batch[:-1] if part is not None], 1)
    good = torch.isfinite(numbers).all(1) & torch.isfinite(batch[-1]).any(1)  # type: ignore[arg-type]
    return batch.map(lambda part: part[good])


def chunk(seed: int, index: int, corpus: dict[int, list[Real]], without: str = "") -> tuple[Batch, Counter[str]]:
    """Draw chunk `index` of the pool with `seed`: the windows, and how many of each family."""
    rng = np.random.default_rng([seed, index])
    reach, width, _ = SHAPES[int(rng.choice(len(SHAPES), p=[share for *_, share in SHAPES]))]
    parts, families = [], Counter[str]()
    for _ in range(DRAWS):
        drawn = draw(rng, WINDOWS // DRAWS, reach, corpus, without)
        parts.append(windows(drawn, width, rng))
        families[drawn.family] += len(parts[-1].rank_BE)
    return Batch.join(parts), families


def path(folder: Path, index: int) -> Path:
    """File of a chunk."""
    return folder / f"{index:06d}.safetensors"


def build(folder: Path, seed: int, indices: range, corpus: dict[int, list[Real]], without: str = "") -> None:
    """Write the chunks that are not there yet."""
    for index in indices:
        if path(folder, index).exists():
            continue
        batch, families = chunk(seed, index, corpus, without)
        named = {
            name: part.half() if part.is_floating_point() else part
            for name, part in batch._asdict().items()
            if part is not None
        }
        save_state(path(folder, index), named, {"seed": seed, "families": dict(families)})
        if index % 50 == 0:
            log.info("pool: chunk %d of %d", index, indices.stop)


def read(folder: Path, index: int) -> Batch:
    """Read a chunk."""
    tensors, _ = load_state(path(folder, index))
    return Batch(**{name: part.float() if part.is_floating_point() else part for name, part in tensors.items()})


def by_period(series: list[Real]) -> dict[int, list[Real]]:
    """Group real series by their main season."""
    out: dict[int, list[Real]] = {}
    for one in series:
        out.setdefault(one.period, []).append(one)
    return out


def families_of(folder: Path, index: int) -> dict[str, Any]:
    """How many windows of each family a chunk holds."""
    return dict(load_state(path(folder, index))[1]["families"])
