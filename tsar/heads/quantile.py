"""The quantile head: levels that cannot cross, tails beyond the outer ones, and dependence over the token.

Each value is x = f(z), z standard normal, with f increasing and piecewise linear between the scores of the trained
levels; the end pieces continue, which gives Gaussian tails of their slopes. From that one sentence follow samples,
quantiles at any level, the mean (a fixed weighting of the knots) and an exact density.

Legend: B rows, N tokens, P token width, D core width, Q asked levels, K trained levels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tsar.nn import noise
from tsar.nn.dependence import Chain, gradient_only
from tsar.nn.head import Head, double, level_tensor, mean_over_seen, project
from tsar.part import Part

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True, kw_only=True)
class Quantile(Part):
    """Config of the quantile head.

    Parameters
    ----------
    levels : tuple of float
        Levels trained with the pinball loss (Koenker and Bassett 1978), ascending, at least two.
    min_width : float
        Smallest distance of neighbouring levels, scaled units; keeps the density finite.
    """

    levels: tuple[float, ...] = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
    min_width: float = 1e-4

    def __post_init__(self) -> None:
        levels = self.levels
        ascending = all(a < b for a, b in zip(levels, levels[1:], strict=False))
        if len(levels) < 2 or not ascending or not 0 < levels[0] or not levels[-1] < 1:
            raise ValueError(f"Quantile: levels must be two or more ascending numbers in (0, 1), found {levels}")
        if not self.min_width > 0:
            raise ValueError(f"Quantile: min_width must be positive, found {self.min_width}")

    def build(self, width: int, token_width: int) -> QuantileHead:
        """Return the head for hidden states of `width` and tokens of `token_width` values."""
        return QuantileHead(self, width, token_width)


class QuantileHead(Head):
    """An anchor level and positive widths to both sides of it, linear in the hidden state."""

    exact: ClassVar[bool] = True

    def __init__(self, config: Quantile, width: int, token_width: int) -> None:
        super().__init__(width, token_width)
        self.config = config
        levels = torch.tensor(config.levels, dtype=torch.float64)
        self.knots = len(levels)
        self.anchor = int((levels - 0.5).abs().argmin())
        self.out = nn.Linear(width, token_width * self.knots)
        self.chain = Chain()
        score_K = torch.special.ndtri(levels)
        self.register_buffer("level_K", levels.float(), persistent=False)
        self.register_buffer("score_K", score_K.float(), persistent=False)
        self.register_buffer("mean_K", _mean_weights(score_K).float(), persistent=False)
        # start at a unit normal: softplus(bias) = distance of the scores
        gap = score_K.diff()
        with torch.no_grad():
            bias_PK = self.out.bias.view(token_width, self.knots)
            bias_PK[:, 0] = score_K[self.anchor]
            bias_PK[:, 1:] = torch.log(torch.expm1(gap))

    level_K: Tensor
    score_K: Tensor
    mean_K: Tensor

    def _values(self, h: Tensor) -> Tensor:
        """Quantiles at the trained levels, [..., P, K], ascending by construction."""
        raw = project(self.out, h).unflatten(-1, (self.token_width, self.knots))
        gaps = F.softplus(raw[..., 1:]) + self.config.min_width
        above = raw[..., :1] + gaps[..., self.anchor :].cumsum(-1)
        below = raw[..., :1] - gaps[..., : self.anchor].flip(-1).cumsum(-1).flip(-1)
        return torch.cat([below, raw[..., :1], above], -1)

    def loss(self, h_BND: Tensor, x_BNP: Tensor, seen_BNP: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return twice the pinball loss averaged over levels (an estimate of the CRPS); see `Head.loss`."""
        value_BNPK = self._values(h_BND)
        x_BNP = x_BNP.float().masked_fill(~seen_BNP, 0.0)
        error_BNPK = x_BNP[..., None] - value_BNPK
        pinball_BNP = 2 * torch.maximum(self.level_K * error_BNPK, (self.level_K - 1) * error_BNPK).mean(-1)
        z_BNP, _ = _score(x_BNP, value_BNPK.detach(), self.score_K)
        # outliers would drown the correlation, and no score past 4 is to be believed early in training
        dependence_BN = self.chain.log_copula(z_BNP.clamp(-4, 4), seen_BNP) / seen_BNP.sum(-1).clamp(min=1)
        return mean_over_seen(pinball_BNP, seen_BNP) - gradient_only(dependence_BN)

    def log_prob(self, h_BND: Tensor, x_BNP: Tensor, seen_BNP: Tensor) -> Tensor:
        """Return the exact joint log density of each token's seen values, [B, N]."""
        x_BNP = x_BNP.float().masked_fill(~seen_BNP, 0.0)
        z_BNP, log_slope_BNP = _score(x_BNP, self._values(h_BND), self.score_K)
        marginal_BNP = -0.5 * z_BNP.square() - LOG_SQRT_2PI - log_slope_BNP
        return marginal_BNP.masked_fill(~seen_BNP, 0.0).sum(-1) + self.chain.log_copula(z_BNP, seen_BNP)

    def sample(self, h_BD: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Draw one token per row, [B, P]; see `Head.sample`."""
        z_BP = self.chain(noise.normal(generators, h_BD, self.token_width))
        return _value(z_BP[..., None], self._values(h_BD), self.score_K)[..., 0]

    def mean(self, h_BD: Tensor) -> Tensor:
        """Return the mean of each value, tails included, [B, P]."""
        return (self._values(h_BD) * self.mean_K).sum(-1)

    def quantiles(self, h_BD: Tensor, levels: Sequence[float]) -> Tensor:
        """Return the quantiles at any levels, [B, P, Q]; at a trained level exactly the trained one."""
        z_Q = torch.special.ndtri(double(level_tensor(levels, h_BD))).float().to(h_BD.device)
        value_BPK = self._values(h_BD)
        return _value(z_Q.expand(*value_BPK.shape[:-1], -1), value_BPK, self.score_K)


def _value(z: Tensor, value_K: Tensor, score_K: Tensor) -> Tensor:
    """Map scores z [..., Q] through the piecewise linear functions with knots (score_K, value_K [..., K])."""
    piece = torch.searchsorted(score_K[1:-1].contiguous(), z.contiguous())
    left = value_K.gather(-1, piece)
    width = value_K.gather(-1, piece + 1) - left
    share = (z - score_K[piece]) / (score_K[piece + 1] - score_K[piece])
    return left + share * width


def _score(x: Tensor, value_K: Tensor, score_K: Tensor) -> tuple[Tensor, Tensor]:
    """Invert `_value` at x [...]: the scores, and the log slopes dx/dz there."""
    piece = (x[..., None] > value_K[..., 1:-1]).sum(-1, keepdim=True)
    left = value_K.gather(-1, piece)[..., 0]
    piece_width = value_K.gather(-1, piece + 1)[..., 0] - left
    piece = piece[..., 0]
    slope = piece_width / (score_K[piece + 1] - score_K[piece])
    return score_K[piece] + (x - left) / slope, slope.log()


def _mean_weights(score_K: Tensor) -> Tensor:
    """Weights w with E f(Z) = sum w_k f(score_k): expectations of the piecewise linear hat functions, float64."""
    inf = torch.full((1,), math.inf, dtype=score_K.dtype)
    edge = torch.cat([-inf, score_K[1:-1], inf])
    mass = torch.special.ndtr(edge).diff()
    density = torch.exp(-0.5 * edge.square() - LOG_SQRT_2PI)
    first_moment = -density.diff()  # integral of z phi(z) over each piece
    gap = score_K.diff()
    right = (first_moment - score_K[:-1] * mass) / gap
    weight_K = torch.zeros_like(score_K)
    weight_K[:-1] += mass - right
    weight_K[1:] += right
    return weight_K
