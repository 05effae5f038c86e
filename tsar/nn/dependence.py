"""Dependence between the values of a token, for heads that model each value by its own distribution.

Values drawn independently of each other average out over a patch, and the spread of a roll-out of many patches
collapses. Here the normal scores z of a token's values form a stationary first-order chain of one learned correlation,
corr(z_i, z_j) = rho^|i - j|: a Gaussian copula (Sklar 1959) whose density is exact for any set of seen values.

Legend: B batch, N tokens, P token width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Chain(nn.Module):
    """Gaussian first-order chain over the values of a token; the marginals stay standard normal."""

    limit = 0.999  # keeps 1 - rho^2 away from 0
    gain = 10.0  # a correlation has to travel further than a weight: at Adam's usual 1e-3, rho moves 1e-2 a step

    def __init__(self) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.tensor(0.05))  # rho = 0.46

    def rho(self) -> Tensor:
        """Return the correlation of neighbouring values, a scalar tensor."""
        return self.limit * torch.tanh(self.gain * self.raw.float())

    def whiten(self, z_BNP: Tensor, seen_BNP: Tensor) -> tuple[Tensor, Tensor]:
        """Return the innovation of each value given the seen ones before it, and the log of the innovation's deviation.

        0 where unseen. Across a gap of d values the correlation is rho^d. `z_BNP` may have axes that `seen_BNP` has as
        ones (several candidate scores of the same values); the log deviations keep the shape of `seen_BNP`.
        """
        place_P = torch.arange(z_BNP.shape[-1], device=z_BNP.device)
        last_BNP = torch.where(seen_BNP, place_P, -1).cummax(-1).values
        before_BNP = torch.cat([torch.full_like(last_BNP[..., :1], -1), last_BNP[..., :-1]], -1)
        linked_BNP = seen_BNP & (before_BNP >= 0)
        gap_BNP = torch.where(linked_BNP, place_P - before_BNP, 1).to(z_BNP.dtype)
        r_BNP = torch.where(linked_BNP, self.rho() ** gap_BNP, 0.0)
        deviation_BNP = (1 - r_BNP.square()).sqrt()
        z_BNP = z_BNP.masked_fill(~seen_BNP, 0.0)
        earlier_BNP = z_BNP.gather(-1, before_BNP.clamp(min=0).expand_as(z_BNP))
        e_BNP = (z_BNP - r_BNP * earlier_BNP) / deviation_BNP
        return e_BNP.masked_fill(~seen_BNP, 0.0), deviation_BNP.log()

    def log_copula(self, z_BNP: Tensor, seen_BNP: Tensor) -> Tensor:
        """Return the log density of the seen scores over that of independent ones, [B, N]."""
        e_BNP, log_deviation_BNP = self.whiten(z_BNP, seen_BNP)
        z_BNP = z_BNP.masked_fill(~seen_BNP, 0.0)
        return (0.5 * (z_BNP.square() - e_BNP.square()) - log_deviation_BNP).sum(-1)

    def forward(self, e_BP: Tensor) -> Tensor:
        """Turn independent standard normal noise into correlated scores, [B, P]."""
        rho = self.rho()
        place_P = torch.arange(e_BP.shape[-1], device=e_BP.device)
        gap_PP = place_P[:, None] - place_P
        factor_PP = torch.where(gap_PP >= 0, rho ** gap_PP.clamp(min=0).float(), 0.0)
        step = (1 - rho.square()).sqrt()
        scale_P = torch.where(place_P == 0, 1.0, step)
        with torch.autocast(e_BP.device.type, enabled=False):
            return (e_BP * scale_P) @ factor_PP.T


def gradient_only(value: Tensor) -> Tensor:
    """Return zeros whose gradient is that of `value`: a term that trains its parameters and leaves the loss's value."""
    return value - value.detach()
