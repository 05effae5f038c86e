"""The bins head: the value's range is cut into bins, and classification learns any shape of distribution.

Chronos (Ansari et al. 2024, section 3.1) reads a value as a token of a vocabulary of bins. Here the answer stays
continuous: a bin holds a uniform density, the two outer bins exponential tails of learned length, so that samples are
no grid and extremes are not cut off. A bin's logit is a correction to a bell whose centre and width follow the hidden
state: free logits have to learn the order of the bins from data, and need many times the steps for it.

Legend: B rows, N tokens, P token width, D core width, K bins, Q levels.
"""

from __future__ import annotations

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

SPACINGS = ("quantile", "uniform")
MARGIN = 1e-12  # keeps a level off 0 and 1 in float64


@dataclass(frozen=True, kw_only=True)
class Bins(Part):
    """Config of the bins head.

    Parameters
    ----------
    bins : int
        Number of bins K, the two tails included; at least 4.
    spacing : {"quantile", "uniform"}
        Bins of equal mass under a Student t with 2 degrees of freedom (narrow in the middle, wide outside, to
        +-sqrt(K / 2) or so), or of equal width within +-`limit`.
    limit : float
        Half the range of uniform bins, scaled units.
    """

    bins: int = 64
    spacing: str = "quantile"
    limit: float = 6.0

    def __post_init__(self) -> None:
        if self.bins < 4:
            raise ValueError(f"Bins: bins must be at least 4, found {self.bins}")
        if self.spacing not in SPACINGS:
            raise ValueError(f"Bins: spacing must be one of {', '.join(SPACINGS)}, found {self.spacing!r}")
        if not self.limit > 0:
            raise ValueError(f"Bins: limit must be positive, found {self.limit}")

    def edges(self) -> Tensor:
        """Return the K - 1 edges between the bins, scaled units."""
        if self.spacing == "uniform":
            return torch.linspace(-self.limit, self.limit, self.bins - 1)
        p = torch.arange(1, self.bins, dtype=torch.float64) / self.bins
        return ((2 * p - 1) / (2 * p * (1 - p)).sqrt()).float()

    def build(self, width: int, token_width: int) -> BinsHead:
        """Return the head for hidden states of `width` and tokens of `token_width` values."""
        return BinsHead(self, width, token_width)


class BinsHead(Head):
    """A bell's centre and width for every value, and each bin's correction to it, linear in the hidden state."""

    exact: ClassVar[bool] = True

    def __init__(self, config: Bins, width: int, token_width: int) -> None:
        super().__init__(width, token_width)
        self.config = config
        self.out = nn.Linear(width, token_width * (config.bins + 2))
        self.tail_2 = nn.Parameter(torch.zeros(2))
        self.chain = Chain()
        edge = config.edges()
        inner = torch.stack([(edge[:-1] + edge[1:]) / 2, edge.diff()])
        self.register_buffer("edge", edge, persistent=False)
        self.register_buffer("centre", torch.cat([edge[:1], inner[0], edge[-1:]]), persistent=False)
        self.register_buffer("log_width", torch.cat([inner[1][:1], inner[1], inner[1][-1:]]).log(), persistent=False)

    edge: Tensor
    centre: Tensor
    log_width: Tensor

    def _log_mass(self, h: Tensor) -> Tensor:
        """Log probability of the bins, [..., P, K]."""
        raw = project(self.out, h).unflatten(-1, (self.token_width, self.config.bins + 2))
        middle, spread = raw[..., :1], F.softplus(raw[..., 1:2]) + 1e-3
        bell = -3 * torch.log1p(((self.centre - middle) / spread).square() / 5)  # Student t, 5 degrees of freedom
        return (raw[..., 2:] + bell + self.log_width).log_softmax(-1)

    def _tails(self) -> Tensor:
        """Mean excess beyond the outer edges, left and right."""
        return F.softplus(self.tail_2.float()) + 1e-3

    def _place(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Bin of each value, the part of the bin's mass below it, and the log density of the bin's mass there."""
        bin_ = torch.bucketize(x, self.edge)
        last, (tail_left, tail_right) = len(self.edge), self._tails()
        in_left, outside = bin_ == 0, (bin_ == 0) | (bin_ == last)
        left, right = self.edge[(bin_ - 1).clamp(min=0)], self.edge[bin_.clamp(max=last - 1)]
        tail = torch.where(in_left, tail_left, tail_right)
        excess = torch.where(in_left, self.edge[0] - x, x - self.edge[-1]).clamp(min=0) / tail
        width = torch.where(outside, 1.0, right - left)
        beyond = torch.where(in_left, torch.exp(-excess), -torch.expm1(-excess))
        share = torch.where(outside, beyond, (x - left) / width)
        log_density = torch.where(outside, -excess - tail.log(), -width.log())
        return bin_, share, log_density

    def _marginals(self, log_mass: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Log density of each value, and its normal score (without gradient)."""
        bin_, share, log_density = self._place(x)
        at = log_mass.gather(-1, bin_[..., None])[..., 0]
        with torch.no_grad():
            mass = double(log_mass).exp()
            below = mass.cumsum(-1).gather(-1, bin_[..., None].to(mass.device))[..., 0]
            below = below - double(at).exp() * (1 - double(share))
            z = torch.special.ndtri(below.clamp(MARGIN, 1 - MARGIN)).float().to(x.device)
        return at + log_density, z

    def loss(self, h_BND: Tensor, x_BNP: Tensor, seen_BNP: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the mean negative log density of a token's values (cross-entropy plus a constant); see `Head.loss`."""
        x_BNP = x_BNP.float().masked_fill(~seen_BNP, 0.0)
        marginal_BNP, z_BNP = self._marginals(self._log_mass(h_BND), x_BNP)
        dependence_BN = self.chain.log_copula(z_BNP.clamp(-4, 4), seen_BNP) / seen_BNP.sum(-1).clamp(min=1)
        return -mean_over_seen(marginal_BNP, seen_BNP) - gradient_only(dependence_BN)

    def log_prob(self, h_BND: Tensor, x_BNP: Tensor, seen_BNP: Tensor) -> Tensor:
        """Return the exact joint log density of each token's seen values, [B, N]; scores carry no gradient."""
        x_BNP = x_BNP.float().masked_fill(~seen_BNP, 0.0)
        marginal_BNP, z_BNP = self._marginals(self._log_mass(h_BND), x_BNP)
        return marginal_BNP.masked_fill(~seen_BNP, 0.0).sum(-1) + self.chain.log_copula(z_BNP, seen_BNP)

    def _inverse(self, log_mass_BPK: Tensor, u_BPQ: Tensor) -> Tensor:
        """Values whose distribution function is u (float64), [B, P, Q]."""
        mass_BPK = double(log_mass_BPK).exp()
        top_BPK = mass_BPK.cumsum(-1)
        top_BPK = top_BPK / top_BPK[..., -1:]
        u_BPQ = double(u_BPQ).clamp(MARGIN, 1 - MARGIN)
        bin_BPQ = torch.searchsorted(top_BPK, u_BPQ).clamp(max=len(self.edge))
        mass_BPQ = mass_BPK.gather(-1, bin_BPQ)
        rest_BPQ = (top_BPK.gather(-1, bin_BPQ) - u_BPQ) / mass_BPQ  # part of the bin's mass above u
        last, (tail_left, tail_right) = len(self.edge), double(self._tails())
        edge = double(self.edge)
        left, right = edge[(bin_BPQ - 1).clamp(min=0)], edge[bin_BPQ.clamp(max=last - 1)]
        inner_BPQ = right - rest_BPQ.clamp(0, 1) * (right - left)
        lower_BPQ = edge[0] + tail_left * torch.log((1 - rest_BPQ).clamp(MARGIN, 1))
        upper_BPQ = edge[-1] - tail_right * torch.log(rest_BPQ.clamp(MARGIN, 1))
        return (
            torch.where(bin_BPQ == 0, lower_BPQ, torch.where(bin_BPQ == last, upper_BPQ, inner_BPQ))
            .float()
            .to(log_mass_BPK.device)
        )

    def sample(self, h_BD: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Draw one token per row, [B, P], by the inverse distribution function; see `Head.sample`."""
        z_BP = self.chain(noise.normal(generators, h_BD, self.token_width))
        return self._inverse(self._log_mass(h_BD), torch.special.ndtr(double(z_BP))[..., None])[..., 0]

    def mean(self, h_BD: Tensor) -> Tensor:
        """Return the mean of each value, tails included, [B, P]."""
        tail_left, tail_right = self._tails()
        mass_BPK = self._log_mass(h_BD).exp()
        return (mass_BPK * self.centre).sum(-1) + mass_BPK[..., -1] * tail_right - mass_BPK[..., 0] * tail_left

    def quantiles(self, h_BD: Tensor, levels: Sequence[float]) -> Tensor:
        """Return the marginal quantiles at any levels, [B, P, Q]."""
        log_mass_BPK = self._log_mass(h_BD)
        level_Q = double(level_tensor(levels, h_BD))
        return self._inverse(log_mass_BPK, level_Q.expand(*log_mass_BPK.shape[:-1], -1).contiguous())
