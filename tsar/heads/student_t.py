"""The Student-t head: a multivariate t over the token, with closed-form density, marginals and quantiles.

The seen values of a token follow a multivariate t with one number of degrees of freedom per token, a location and a
scale per value and the correlation of `tsar.nn.dependence.Chain`. Locations, scales and degrees of freedom are trained
on the marginals (what the quantiles need); the correlation alone is trained on the joint density, so that a token whose
correlation is not of first order does not distort its marginals.

Legend: B rows, N tokens, P token width, D core width, Q levels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from scipy import special
from torch import Tensor, nn

from tsar.nn import noise
from tsar.nn.dependence import Chain, gradient_only
from tsar.nn.head import Head, level_tensor, mean_over_seen, project
from tsar.part import Part


@dataclass(frozen=True, kw_only=True)
class StudentT(Part):
    """Config of the Student-t head.

    Parameters
    ----------
    min_scale : float
        Smallest scale, scaled units; keeps the density of a constant series finite.
    min_df : float
        Smallest degrees of freedom; above 2 the variance is finite.
    """

    min_scale: float = 1e-3
    min_df: float = 2.1

    def __post_init__(self) -> None:
        if not self.min_scale > 0:
            raise ValueError(f"StudentT: min_scale must be positive, found {self.min_scale}")
        if not self.min_df > 1:
            raise ValueError(f"StudentT: min_df must be above 1, where the mean exists, found {self.min_df}")

    def build(self, width: int, token_width: int) -> StudentTHead:
        """Return the head for hidden states of `width` and tokens of `token_width` values."""
        return StudentTHead(self, width, token_width)


class StudentTHead(Head):
    """Location and scale of each value and degrees of freedom of the token, linear in the hidden state."""

    exact: ClassVar[bool] = True

    def __init__(self, config: StudentT, width: int, token_width: int) -> None:
        super().__init__(width, token_width)
        self.config = config
        self.out = nn.Linear(width, 2 * token_width + 1)
        self.chain = Chain()

    def _terms(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Location [..., P], scale [..., P] and degrees of freedom [..., 1]."""
        loc, scale, df = project(self.out, h).split([self.token_width, self.token_width, 1], -1)
        # slow in the raw parameter, which ranges over (2, 100): softplus(0) * 10 + 2.1 = 9 at the start
        return loc, F.softplus(scale) + self.config.min_scale, 10 * F.softplus(df) + self.config.min_df

    def _joint(self, z_BNP: Tensor, scale_BNP: Tensor, df_BN1: Tensor, seen_BNP: Tensor) -> Tensor:
        """Joint log density of the seen standardised values, [B, N] (multivariate t, whitened by the chain)."""
        e_BNP, log_deviation_BNP = self.chain.whiten(z_BNP, seen_BNP)
        n_BN, df_BN = seen_BNP.sum(-1), df_BN1[..., 0]
        log_scale_BN = (scale_BNP.log() + log_deviation_BNP).masked_fill(~seen_BNP, 0.0).sum(-1)
        constant_BN = torch.lgamma((df_BN + n_BN) / 2) - torch.lgamma(df_BN / 2) - n_BN / 2 * (df_BN * math.pi).log()
        return constant_BN - log_scale_BN - (df_BN + n_BN) / 2 * torch.log1p(e_BNP.square().sum(-1) / df_BN)

    def loss(self, h_BND: Tensor, x_BNP: Tensor, seen_BNP: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the mean negative log density of a token's values, each by itself; see `Head.loss`."""
        loc_BNP, scale_BNP, df_BN1 = self._terms(h_BND)
        x_BNP = x_BNP.float().masked_fill(~seen_BNP, 0.0)
        z_BNP = (x_BNP - loc_BNP) / scale_BNP
        constant_BN1 = torch.lgamma((df_BN1 + 1) / 2) - torch.lgamma(df_BN1 / 2) - 0.5 * (df_BN1 * math.pi).log()
        marginal_BNP = constant_BN1 - scale_BNP.log() - (df_BN1 + 1) / 2 * torch.log1p(z_BNP.square() / df_BN1)
        joint_BN = self._joint(z_BNP.detach(), scale_BNP.detach(), df_BN1.detach(), seen_BNP)
        dependence_BN = joint_BN / seen_BNP.sum(-1).clamp(min=1)
        return -mean_over_seen(marginal_BNP, seen_BNP) - gradient_only(dependence_BN)

    def log_prob(self, h_BND: Tensor, x_BNP: Tensor, seen_BNP: Tensor) -> Tensor:
        """Return the exact joint log density of each token's seen values, [B, N]."""
        loc_BNP, scale_BNP, df_BN1 = self._terms(h_BND)
        x_BNP = x_BNP.float().masked_fill(~seen_BNP, 0.0)
        return self._joint((x_BNP - loc_BNP) / scale_BNP, scale_BNP, df_BN1, seen_BNP)

    def sample(self, h_BD: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Draw one token per row, [B, P]; see `Head.sample`."""
        loc_BP, scale_BP, df_B1 = self._terms(h_BD)
        z_BP = self.chain(noise.normal(generators, h_BD, self.token_width))
        # chi-square by its inverse: smooth in df, so that rounding in a batch never flips a rejection step
        u_B1 = noise.uniform(generators, h_BD, 1).clamp(min=1e-7)
        half_chi2 = special.gammaincinv(df_B1.detach().cpu().double().numpy() / 2, u_B1.cpu().double().numpy())
        chi2_B1 = 2 * torch.as_tensor(half_chi2, dtype=torch.float32, device=h_BD.device)
        return loc_BP + scale_BP * z_BP * (df_B1 / chi2_B1.clamp(min=1e-6)).sqrt()

    def mean(self, h_BD: Tensor) -> Tensor:
        """Return the location of each value, [B, P]."""
        return self._terms(h_BD)[0]

    def quantiles(self, h_BD: Tensor, levels: Sequence[float]) -> Tensor:
        """Return the marginal quantiles at any levels, [B, P, Q]."""
        loc_BP, scale_BP, df_B1 = self._terms(h_BD)
        level_Q = level_tensor(levels, h_BD).cpu().double().numpy()
        t_BQ = torch.as_tensor(special.stdtrit(df_B1.detach().cpu().double().numpy(), level_Q)).float().to(loc_BP)
        return loc_BP[..., None] + scale_BP[..., None] * t_BQ[:, None, :]
