"""SwiGLU feed-forward (Shazeer 2020). Legend: B rows, N tokens, D core width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from tsar.part import Part


@dataclass(frozen=True, kw_only=True)
class SwiGLU(Part):
    """Options of the SwiGLU feed-forward.

    Parameters
    ----------
    expansion : float
        Hidden width divided by core width; 8/3 has the parameters of a plain feed-forward of 4.
    """

    expansion: float = 8 / 3

    def __post_init__(self) -> None:
        if self.expansion <= 0:
            raise ValueError(f"expansion must be positive, found {self.expansion}")

    def build(self, width: int) -> SwiGLUFeedForward:
        """Build the feed-forward for a core of `width`."""
        return SwiGLUFeedForward(width, max(1, round(width * self.expansion / 8) * 8))


class SwiGLUFeedForward(nn.Module):
    """W2 (silu(W1 x) * W3 x)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x_BND: Tensor, stats: list[Any] | None = None) -> Tensor:
        """Return the transformed tokens; nothing is routed, so `stats` stays as it is."""
        gate, value = self.up(x_BND).chunk(2, -1)
        return self.down(F.silu(gate) * value)
