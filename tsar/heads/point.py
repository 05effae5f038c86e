"""The point head: one value for each value of the next token, and no claim about its spread.

Legend: B rows, N tokens, P token width, D core width, Q levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tsar.nn.head import Head, level_tensor, mean_over_seen, project
from tsar.part import Part

LOSSES = ("mse", "mae", "huber")


@dataclass(frozen=True, kw_only=True)
class Point(Part):
    """Config of the point head.

    Parameters
    ----------
    loss : {"mse", "mae", "huber"}
        Squared error (the value is the mean), absolute error (the median), or Huber's mixture of the two (1964).
    delta : float
        Scaled units at which Huber's loss turns from squared to absolute.
    """

    loss: str = "mse"
    delta: float = 1.0

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"Point: loss must be one of {', '.join(LOSSES)}, found {self.loss!r}")
        if not self.delta > 0:
            raise ValueError(f"Point: delta must be positive, found {self.delta}")

    def build(self, width: int, token_width: int) -> PointHead:
        """Return the head for hidden states of `width` and tokens of `token_width` values."""
        return PointHead(self, width, token_width)


class PointHead(Head):
    """A linear map from the hidden state to the token."""

    spread: ClassVar[bool] = False

    def __init__(self, config: Point, width: int, token_width: int) -> None:
        super().__init__(width, token_width)
        self.config = config
        self.out = nn.Linear(width, token_width)

    def loss(self, h_BND: Tensor, x_BNP: Tensor, seen_BNP: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the chosen error of each token; see `Head.loss`."""
        guess_BNP = project(self.out, h_BND)
        x_BNP = x_BNP.float().masked_fill(~seen_BNP, 0.0)
        if self.config.loss == "mse":
            error_BNP = (guess_BNP - x_BNP).square()
        elif self.config.loss == "mae":
            error_BNP = (guess_BNP - x_BNP).abs()
        else:
            error_BNP = F.huber_loss(guess_BNP, x_BNP, reduction="none", delta=self.config.delta)
        return mean_over_seen(error_BNP, seen_BNP)

    def sample(self, h_BD: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Return the point forecast: a point head has nothing to draw, so all paths are equal."""
        return self.mean(h_BD)

    def mean(self, h_BD: Tensor) -> Tensor:
        """Return the point forecast, [B, P]."""
        return project(self.out, h_BD)

    def quantiles(self, h_BD: Tensor, levels: Sequence[float]) -> Tensor:
        """Return the point forecast at every level, [B, P, Q]."""
        level_Q = level_tensor(levels, h_BD)
        return self.mean(h_BD)[..., None].repeat(1, 1, len(level_Q))
