"""A batch is a (nested) named tuple of tensors whose first axis is the window: move it, measure it, split it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


def to(batch: Any, device: torch.device) -> Any:
    """Move the tensors of a (nested) tuple to a device."""
    if isinstance(batch, Tensor):
        if device.type == "mps" and batch.dtype == torch.float64:  # which that device has not
            batch = batch.float()
        return batch.to(device, non_blocking=True)
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(to(part, device) for part in batch))
    return batch


def length(batch: Any) -> int:
    """Windows in a batch: the length of its first tensor."""
    return len(batch if isinstance(batch, Tensor) else next(part for part in batch if isinstance(part, Tensor)))


def pieces(batch: Any, parts: int) -> Iterator[Any]:
    """Split a batch along its windows."""
    if parts == 1:
        yield batch
        return
    size = -(-length(batch) // parts)
    for start in range(0, length(batch), size):
        yield _slice(batch, slice(start, start + size))


def _slice(batch: Any, rows: slice) -> Any:
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(_slice(part, rows) for part in batch))
    return batch[rows] if isinstance(batch, Tensor | tuple | list) else batch
