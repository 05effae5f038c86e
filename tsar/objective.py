"""What an objective is: which hidden states predict what, in training and when forecasting.

Legend: B rows, N tokens, P token width, D core width, F tokens of one time, H steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from tsar.part import Part
from tsar.tokenizer import Tokenizer
from tsar.tokens import Window

if TYPE_CHECKING:
    from tsar.model import TSAR


class Terms(NamedTuple):
    """Loss terms: the head's loss of each token, and its weight (the seen share; 0 leaves it out); [B, N] each."""

    loss_BN: Tensor
    weight_BN: Tensor


class Frontier(NamedTuple):
    """Hidden states from which the next steps are read, and the scale to read them in."""

    h_BFD: Tensor
    loc_BF1: Tensor
    scale_BF1: Tensor

    def repeat(self, n: int) -> Frontier:
        """Return the frontier with each row `n` times in a row."""
        return Frontier(*(part.repeat_interleave(n, dim=0) for part in self))


@dataclass(frozen=True, kw_only=True)
class Objective(Part, ABC):
    """Base of the objectives: a config with the methods that the model calls."""

    @property
    @abstractmethod
    def causal(self) -> bool:
        """Whether the frontier is the hidden state of the last tokens, so that a cached roll-out is possible."""

    @property
    def noise_channels(self) -> int:
        """Extra input channels of every token that the objective itself fills."""
        return 0

    @property
    def joint(self) -> bool:
        """Whether one reading draws all its steps together; where not, paths are drawn token by token."""
        return True

    @abstractmethod
    def reach(self, step: int) -> int:
        """Return how many steps one reading of the head covers, given the steps per token."""

    def lookahead(self, step: int) -> int:
        """Return how many steps after a token its covariate channels cover: those that it is to predict."""
        return self.reach(step)

    @abstractmethod
    def head_shape(self, width: int, tokens: int, tokenizer: Tokenizer) -> tuple[int, int]:
        """Return (hidden width, token width) of the head; `tokens` is the count of tokens of a full context."""

    @abstractmethod
    def loss(
        self, model: TSAR, window: Window, generator: torch.Generator | None, stats: list[Any] | None = None
    ) -> Terms:
        """Return the loss terms of a window whose last steps are to be predicted."""

    @abstractmethod
    def frontier(self, model: TSAR, window: Window) -> Frontier:
        """Encode a whole window and return the hidden states that predict the steps after it."""
