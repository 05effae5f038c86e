"""The mixture head: K candidate tokens, each with its weight and spread, so that separate futures stay separate.

A component is one multivariate Gaussian or Student t over the whole token, with its own location and scale for each
value, relative to those of a linear base that all components share, and the correlation of `tsar.nn.dependence.Chain`
(Bishop 1994, "Mixture density networks"; Student components as in Moirai, Woo et al. 2024, section 3.2). The joint
density of any set of seen values is exact.

Legend: B rows, N tokens, P token width, D core width, K components, Q levels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from scipy import special
from torch import Tensor, nn

from tsar.nn import noise
from tsar.nn.denoiser import linear_base
from tsar.nn.dependence import Chain
from tsar.nn.head import Head, double, level_tensor, project
from tsar.part import Part

KINDS = ("gaussian", "student_t")
BISECTIONS = 40  # halvings of the bracket of a quantile: to 1e-12 of its width


@dataclass(frozen=True, kw_only=True)
class Mixture(Part):
    """Config of the mixture head.

    Parameters
    ----------
    components : int
        Number of components K.
    kind : {"gaussian", "student_t"}
        Distribution of a component; a Student component learns its degrees of freedom.
    min_scale : float
        Smallest scale, scaled units; keeps a component from collapsing onto one token.
    """

    components: int = 8
    kind: str = "gaussian"
    min_scale: float = 1e-3

    def __post_init__(self) -> None:
        if self.components < 1:
            raise ValueError(f"Mixture: components must be at least 1, found {self.components}")
        if self.kind not in KINDS:
            raise ValueError(f"Mixture: kind must be one of {', '.join(KINDS)}, found {self.kind!r}")
        if not self.min_scale > 0:
            raise ValueError(f"Mixture: min_scale must be positive, found {self.min_scale}")

    def build(self, width: int, token_width: int) -> MixtureHead:
        """Return the head for hidden states of `width` and tokens of `token_width` values."""
        return MixtureHead(self, width, token_width)


class MixtureHead(Head):
    """Weights, locations, scales (and degrees of freedom) of the components, linear in the hidden state."""

    exact: ClassVar[bool] = True
    multimodal: ClassVar[bool] = True

    def __init__(self, config: Mixture, width: int, token_width: int) -> None:
        super().__init__(width, token_width)
        self.config = config
        self.student = config.kind == "student_t"
        self.base = nn.Linear(width, 2 * token_width)
        self.out = nn.Linear(width, config.components * (2 * token_width + 1 + self.student))
        self.chain = Chain()
        with torch.no_grad():  # components that start equal would stay equal
            self.out.weight *= 0.1
            spread_K = torch.linspace(-1.5, 1.5, config.components) if config.components > 1 else torch.zeros(1)
            self.out.bias.view(config.components, -1)[:, :token_width] += spread_K[:, None]

    def _terms(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Log weights [..., K], locations and scales [..., K, P], degrees of freedom [..., K]."""
        sizes = [self.token_width, self.token_width, 1] + [1] * self.student
        base_loc, base_scale = linear_base(self.base, h)
        raw = project(self.out, h).unflatten(-1, (self.config.components, -1)).split(sizes, -1)
        loc = base_loc[..., None, :] + base_scale[..., None, :] * raw[0]
        scale = base_scale[..., None, :] * F.softplus(raw[1]) + self.config.min_scale
        log_weight = raw[2][..., 0].log_softmax(-1)
        df = 10 * F.softplus(raw[3][..., 0]) + 2.1 if self.student else torch.full_like(log_weight, math.inf)
        return log_weight, loc, scale, df

    def log_prob(self, h_BND: Tensor, x_BNP: Tensor, seen_BNP: Tensor) -> Tensor:
        """Return the exact joint log density of each token's seen values, [B, N]."""
        log_weight_BNK, loc_BNKP, scale_BNKP, df_BNK = self._terms(h_BND)
        seen_BN1P = seen_BNP[:, :, None]
        x_BN1P = x_BNP.float().masked_fill(~seen_BNP, 0.0)[:, :, None]
        e_BNKP, log_deviation_BN1P = self.chain.whiten((x_BN1P - loc_BNKP) / scale_BNKP, seen_BN1P)
        log_scale_BNK = (scale_BNKP.log() + log_deviation_BN1P).masked_fill(~seen_BN1P, 0.0).sum(-1)
        square_BNK, n_BN1 = e_BNKP.square().sum(-1), seen_BN1P.sum(-1)
        if self.student:
            constant_BNK = torch.lgamma((df_BNK + n_BN1) / 2) - torch.lgamma(df_BNK / 2)
            constant_BNK = constant_BNK - n_BN1 / 2 * (df_BNK * math.pi).log()
            shape_BNK = constant_BNK - (df_BNK + n_BN1) / 2 * torch.log1p(square_BNK / df_BNK)
        else:
            shape_BNK = -0.5 * (square_BNK + n_BN1 * math.log(2 * math.pi))
        log_prob_BN = (log_weight_BNK + shape_BNK - log_scale_BNK).logsumexp(-1)
        return log_prob_BN.masked_fill(~seen_BNP.any(-1), 0.0)

    def loss(self, h_BND: Tensor, x_BNP: Tensor, seen_BNP: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the negative joint log density of a token, per seen value; see `Head.loss`."""
        return -self.log_prob(h_BND, x_BNP, seen_BNP) / seen_BNP.sum(-1).clamp(min=1)

    def sample(self, h_BD: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Draw one token per row, [B, P]: a component, then its token; see `Head.sample`."""
        log_weight_BK, loc_BKP, scale_BKP, df_BK = self._terms(h_BD)
        u_B2 = noise.uniform(generators, h_BD, 2)
        chosen_B1 = (log_weight_BK.exp().cumsum(-1)[:, :-1] < u_B2[:, :1]).sum(-1, keepdim=True)
        index_B1P = chosen_B1[..., None].expand(-1, -1, self.token_width)
        z_BP = self.chain(noise.normal(generators, h_BD, self.token_width))
        if self.student:
            df_B1 = df_BK.gather(-1, chosen_B1)
            half_chi2 = special.gammaincinv(_numpy(df_B1) / 2, _numpy(u_B2[:, 1:].clamp(min=1e-7)))
            chi2_B1 = 2 * torch.as_tensor(half_chi2, dtype=torch.float32, device=h_BD.device)
            z_BP = z_BP * (df_B1 / chi2_B1.clamp(min=1e-6)).sqrt()
        return loc_BKP.gather(1, index_B1P)[:, 0] + scale_BKP.gather(1, index_B1P)[:, 0] * z_BP

    def mean(self, h_BD: Tensor) -> Tensor:
        """Return the mean over the components, [B, P]."""
        log_weight_BK, loc_BKP, _, _ = self._terms(h_BD)
        return (log_weight_BK.exp()[..., None] * loc_BKP).sum(1)

    def quantiles(self, h_BD: Tensor, levels: Sequence[float]) -> Tensor:
        """Return the marginal quantiles at any levels, [B, P, Q], by bisection of the mixture's distribution."""
        log_weight_BK, loc_BKP, scale_BKP, df_BK = self._terms(h_BD)
        weight_B1KQ = double(log_weight_BK).exp()[:, None, :, None]
        loc_BPK1, scale_BPK1 = (double(v).transpose(1, 2)[..., None] for v in (loc_BKP, scale_BKP))
        df_B1K1 = double(df_BK)[:, None, :, None]
        level_Q = double(level_tensor(levels, h_BD))
        component_BPKQ = loc_BPK1 + scale_BPK1 * self._unit_quantile(level_Q, df_B1K1)
        low_BPQ, high_BPQ = component_BPKQ.amin(2), component_BPKQ.amax(2)  # the mixture's quantile lies between
        for _ in range(BISECTIONS):
            middle_BPQ = (low_BPQ + high_BPQ) / 2
            z_BPKQ = (middle_BPQ[:, :, None] - loc_BPK1) / scale_BPK1
            below_BPQ = (weight_B1KQ * self._unit_cdf(z_BPKQ, df_B1K1)).sum(2) < level_Q
            low_BPQ = torch.where(below_BPQ, middle_BPQ, low_BPQ)
            high_BPQ = torch.where(below_BPQ, high_BPQ, middle_BPQ)
        return ((low_BPQ + high_BPQ) / 2).float().to(h_BD.device)

    def _unit_cdf(self, z: Tensor, df: Tensor) -> Tensor:
        if not self.student:
            return torch.special.ndtr(z)
        return torch.as_tensor(special.stdtr(_numpy(df), _numpy(z)), device=z.device)

    def _unit_quantile(self, level: Tensor, df: Tensor) -> Tensor:
        if not self.student:
            return torch.special.ndtri(level)
        return torch.as_tensor(special.stdtrit(_numpy(df), _numpy(level)), device=level.device)


def _numpy(value: Tensor) -> np.ndarray:
    return value.detach().cpu().double().numpy()
