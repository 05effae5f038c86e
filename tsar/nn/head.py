"""What a head is: the only code that knows distributions and sampling.

A head models p(next token | hidden state) in scaled units; it never sees a token's loc and scale.

Legend: B rows (items, or items x paths), N tokens, P token width, D core width, S paths per item, Q levels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn


class Head(nn.Module, ABC):
    """Distribution of the next token given a hidden state.

    Parameters
    ----------
    width : int
        Width D of the hidden state.
    token_width : int
        Values P in a token.
    """

    exact: ClassVar[bool] = False
    """Whether `log_prob` is the exact log density that `sample` draws from."""
    spread: ClassVar[bool] = True
    """Whether the head models anything beside one value; where it does not, all its quantiles are equal."""
    multimodal: ClassVar[bool] = False
    """Whether two separate modes of a whole token are kept apart, instead of being averaged or mixed value by value."""

    def __init__(self, width: int, token_width: int) -> None:
        super().__init__()
        self.width, self.token_width = width, token_width

    @abstractmethod
    def loss(self, h_BND: Tensor, x_BNP: Tensor, seen_BNP: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the loss of each token, averaged over its seen values: [B, N]; 0 where nothing was seen.

        Parameters
        ----------
        h_BND, x_BNP, seen_BNP : Tensor
            Hidden states, the scaled tokens they predict, and which values of those were seen.
        generator : torch.Generator, optional
            Source of the loss's own noise, where it has any; torch's default generator otherwise.
        """

    @abstractmethod
    def sample(self, h_BD: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Draw one token per row: [B, P]; rows are items x paths, item by item, one generator per item."""

    @abstractmethod
    def mean(self, h_BD: Tensor) -> Tensor:
        """Return the mean token of each row: [B, P]."""

    @abstractmethod
    def quantiles(self, h_BD: Tensor, levels: Sequence[float]) -> Tensor:
        """Return each value's quantiles at `levels` (each in (0, 1)): [B, P, Q]; ascending in the level."""

    def log_prob(self, h_BND: Tensor, x_BNP: Tensor, seen_BNP: Tensor) -> Tensor:
        """Return the joint log density of each token's seen values: [B, N]; only heads with `exact` have one."""
        raise TypeError(f"{type(self).__name__} has no exact density; heads with one say `exact = True`")


def project(linear: nn.Linear, h: Tensor) -> Tensor:
    """Apply `linear` in the precision of its weight (or of autocast) and give float32, which densities need."""
    return linear(h.to(linear.weight.dtype)).float()


def mean_over_seen(value_BNP: Tensor, seen_BNP: Tensor) -> Tensor:
    """Average over a token's seen values: [B, N]; 0 where nothing was seen."""
    total_BN = value_BNP.masked_fill(~seen_BNP, 0.0).sum(-1)
    return total_BN / seen_BNP.sum(-1).clamp(min=1)


def level_tensor(levels: Sequence[float], like: Tensor) -> Tensor:
    """Return `levels` as a float32 tensor [Q] on the device of `like`.

    Raises
    ------
    ValueError
        If a level is not strictly between 0 and 1.
    """
    level_Q = torch.as_tensor(levels, dtype=torch.float32, device=like.device)
    if level_Q.ndim != 1 or not bool(((level_Q > 0) & (level_Q < 1)).all()):
        raise ValueError(f"quantile levels must be a list of numbers strictly between 0 and 1, found {levels}")
    return level_Q


def double(x: Tensor) -> Tensor:
    """Return `x` in float64, on the CPU where its device (mps) has none."""
    return x.cpu().double() if x.device.type == "mps" else x.double()
