"""The normalizing-flow head: an invertible network between the next token and noise, with an exact density.

A linear base gives each value's location and scale; the standardised token then passes through coupling layers (Dinh et
al. 2017): one half of the values, with the hidden state, sets monotone splines (Durkan et al. 2019) through which the
other half goes. A token of one value is still any distribution: its splines depend on the hidden state alone. TARFlow
(Zhai et al. 2024) chains masked attention layers instead, each of which takes a pass per value to invert.

Unseen values are left out of the map and shown to the network as unseen: what it gives is then, for any set of seen
values, a normalised density of just those.

Legend: B rows, N tokens, P token width, D core width, W network width, K free numbers of a spline.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tsar.nn.denoiser import linear_base
from tsar.nn.head import project
from tsar.nn.spline import parameters_of, spline
from tsar.nn.transport import Transport
from tsar.part import Part


@dataclass(frozen=True, kw_only=True)
class NormalizingFlow(Part):
    """Config of the normalizing-flow head.

    Parameters
    ----------
    layers : int
        Coupling layers, each moving one half of the values.
    pieces : int
        Pieces of a spline.
    hidden : int
        Width of the layers' networks.
    bound : float
        Half the interval that the splines cover, in units of the base's scale; linear outside.
    """

    layers: int = 4
    pieces: int = 8
    hidden: int = 64
    bound: float = 4.0

    def __post_init__(self) -> None:
        for option, least in (("layers", 1), ("pieces", 2), ("hidden", 1)):
            if getattr(self, option) < least:
                raise ValueError(f"NormalizingFlow: {option} must be at least {least}, found {getattr(self, option)}")
        if not self.bound > 0:
            raise ValueError(f"NormalizingFlow: bound must be positive, found {self.bound}")

    def build(self, width: int, token_width: int) -> NormalizingFlowHead:
        """Return the head for hidden states of `width` and tokens of `token_width` values."""
        return NormalizingFlowHead(self, width, token_width)


class Coupling(nn.Module):
    """Splines for the values at `moved_P`, set by the others, the hidden state and which values were seen."""

    def __init__(self, config: NormalizingFlow, width: int, moved_P: Tensor) -> None:
        super().__init__()
        self.bound = config.bound
        self.free = parameters_of(config.pieces)
        self.register_buffer("moved_P", moved_P, persistent=False)
        token_width, count = len(moved_P), int(moved_P.sum())
        self.register_buffer("index_M", moved_P.nonzero()[:, 0], persistent=False)
        self.from_h = nn.Linear(width, config.hidden)
        self.from_x = nn.Linear(2 * token_width, config.hidden, bias=False)
        self.middle = nn.Linear(config.hidden, config.hidden)
        self.out = nn.Linear(config.hidden, count * self.free + count)
        with torch.no_grad():
            self.out.weight *= 0.1
            self.out.bias.zero_()

    moved_P: Tensor
    index_M: Tensor

    def forward(self, y: Tensor, seen: Tensor, h: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        """Map y [..., P], or invert the map, and give the log slope of the forward map of each value, [..., P]."""
        dtype = self.from_h.weight.dtype
        shown = torch.cat([y.masked_fill(self.moved_P | ~seen, 0.0), seen.to(y)], -1)
        u = F.silu(self.from_h(h.to(dtype)) + self.from_x(shown.to(dtype)))
        u = u + F.silu(self.middle(u))
        raw, shift = project(self.out, u).split([len(self.index_M) * self.free, len(self.index_M)], -1)
        value = y[..., self.index_M]
        if inverse:
            value = value - shift
        moved, log_slope = spline(value, raw.unflatten(-1, (-1, self.free)), self.bound, inverse=inverse)
        if not inverse:
            moved = moved + shift
        seen_M = seen[..., self.index_M]
        y = y.index_copy(-1, self.index_M, torch.where(seen_M, moved, y[..., self.index_M]))
        return y, torch.zeros_like(y).index_copy(-1, self.index_M, log_slope.masked_fill(~seen_M, 0.0))


class NormalizingFlowHead(Transport):
    """Coupling layers between the standardised token and standard normal noise."""

    exact: ClassVar[bool] = True

    def __init__(self, config: NormalizingFlow, width: int, token_width: int) -> None:
        super().__init__(width, token_width)
        self.config = config
        self.base = nn.Linear(width, 2 * token_width)
        place_P = torch.arange(token_width)
        moved = [(place_P % 2 == layer % 2) | (token_width == 1) for layer in range(config.layers)]
        self.couplings = nn.ModuleList(Coupling(config, width, moved_P) for moved_P in moved)

    def log_prob(self, h_BND: Tensor, x_BNP: Tensor, seen_BNP: Tensor) -> Tensor:
        """Return the exact joint log density of each token's seen values, [B, N]."""
        x_BNP = x_BNP.float().masked_fill(~seen_BNP, 0.0)
        loc_BNP, scale_BNP = linear_base(self.base, h_BND)
        z_BNP = ((x_BNP - loc_BNP) / scale_BNP).masked_fill(~seen_BNP, 0.0)
        log_slope_BNP = -scale_BNP.log()
        for coupling in self.couplings:
            z_BNP, step_BNP = coupling(z_BNP, seen_BNP, h_BND, inverse=False)
            log_slope_BNP = log_slope_BNP + step_BNP
        log_prob_BNP = -0.5 * (z_BNP.square() + math.log(2 * math.pi)) + log_slope_BNP
        return log_prob_BNP.masked_fill(~seen_BNP, 0.0).sum(-1)

    def loss(self, h_BND: Tensor, x_BNP: Tensor, seen_BNP: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the negative joint log density of a token, per seen value; see `Head.loss`."""
        return -self.log_prob(h_BND, x_BNP, seen_BNP) / seen_BNP.sum(-1).clamp(min=1)

    def transport(self, z_BRP: Tensor, h_BD: Tensor) -> Tensor:
        """Invert the layers and the base."""
        y_BP = z_BRP[:, 0]
        seen_BP = torch.ones_like(y_BP, dtype=torch.bool)
        for coupling in reversed(self.couplings):
            y_BP, _ = coupling(y_BP, seen_BP, h_BD, inverse=True)
        loc_BP, scale_BP = linear_base(self.base, h_BD)
        return loc_BP + scale_BP * y_BP
