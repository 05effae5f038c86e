"""Heads that turn noise into a token: what they share once they can transport noise given a hidden state.

Means and quantiles of one step come from a fixed number of draws of fixed, evenly spread noise: they are deterministic,
the same in any batch, and move smoothly with the hidden state.

Legend: B rows, R noises of a row, P token width, D core width, S draws, Q levels.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from tsar.nn import noise
from tsar.nn.head import Head, level_tensor

ROWS = 1024  # rows that go through a network at once: what its wide modulations still fit the cache with
TAIL = 0.05  # the outer part of the draws that an exponential tail is fitted to


class Transport(Head):
    """Base of the heads whose samples are a deterministic map of noise and hidden state.

    Parameters
    ----------
    width, token_width : int
        Width D of the hidden state, values P of a token.
    noises : int
        Standard normal draws of the token's shape that one sample consumes.
    """

    multimodal: ClassVar[bool] = True
    draws: ClassVar[int] = 64

    def __init__(self, width: int, token_width: int, noises: int = 1) -> None:
        super().__init__(width, token_width)
        self.noises = noises

    @abstractmethod
    def transport(self, z_BRP: Tensor, h_BD: Tensor) -> Tensor:
        """Turn noise [B, noises, P] into tokens [B, P]."""

    def sample(self, h_BD: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Draw one token per row, [B, P]; see `Head.sample`."""
        return self._pieces(noise.normal(generators, h_BD, self.noises, self.token_width), h_BD)

    def mean(self, h_BD: Tensor) -> Tensor:
        """Return the mean of the fixed draws, [B, P]."""
        return self._draws(h_BD).mean(1)

    def quantiles(self, h_BD: Tensor, levels: Sequence[float]) -> Tensor:
        """Return the marginal quantiles of the fixed draws, [B, P, Q], with exponential tails beyond them."""
        return quantiles_of_draws(self._draws(h_BD), level_tensor(levels, h_BD))

    def _pieces(self, z_BRP: Tensor, h_BD: Tensor) -> Tensor:
        """Transport a bounded number of rows at a time: the networks in between are wide."""
        pieces = zip(z_BRP.split(ROWS), h_BD.split(ROWS), strict=True)
        return torch.cat([self.transport(z_RRP, h_RD) for z_RRP, h_RD in pieces])

    def _draws(self, h_BD: Tensor) -> Tensor:
        """Tokens made of the fixed noise, [B, S, P]."""
        z_SRP = even_noise(self.draws, self.noises, self.token_width).to(h_BD.device)
        z_BRP = z_SRP.repeat(len(h_BD), 1, 1)
        return self._pieces(z_BRP, h_BD.repeat_interleave(self.draws, 0)).unflatten(0, (-1, self.draws))


def even_noise(draws: int, *shape: int) -> Tensor:
    """Return fixed standard normal noise [draws, *shape], each coordinate evenly spread (a Latin hypercube)."""
    generator = torch.Generator().manual_seed(0)
    order = torch.rand(draws, *shape, generator=generator).argsort(0)
    return torch.special.ndtri((order.double() + 0.5) / draws).float()


def quantiles_of_draws(x_BSP: Tensor, level_Q: Tensor) -> Tensor:
    """Return the quantiles of draws, [B, P, Q]: linear between order statistics, exponential in the outer tails."""
    x_BPS = x_BSP.sort(1).values.transpose(1, 2)
    draws = x_BPS.shape[-1]
    outer = max(1, round(TAIL * draws))
    # order statistic i stands for the level (i + 1/2) / draws
    place_Q = (level_Q * draws - 0.5).clamp(outer, draws - 1 - outer)
    below_Q = place_Q.floor().long().clamp(max=draws - 2)
    low_BPQ, high_BPQ = x_BPS[..., below_Q], x_BPS[..., below_Q + 1]
    value_BPQ = low_BPQ + (place_Q - below_Q) * (high_BPQ - low_BPQ)
    edge = (outer + 0.5) / draws
    # mean excess over the edge is the scale of an exponential tail
    left_BP1 = (x_BPS[..., outer : outer + 1] - x_BPS[..., :outer]).mean(-1, keepdim=True)
    right_BP1 = (x_BPS[..., -outer:] - x_BPS[..., -outer - 1 : -outer]).mean(-1, keepdim=True)
    value_BPQ = value_BPQ - left_BP1.clamp(min=1e-6) * (math.log(edge) - level_Q.log()).clamp(min=0)
    return value_BPQ + right_BP1.clamp(min=1e-6) * (math.log(edge) - torch.log1p(-level_Q)).clamp(min=0)
