"""The ARINAR head: the values of a token one after the other, each from a small mixture, with an exact density.

ARINAR (Zhao et al. 2025, "Bi-level autoregressive feature-by-feature generative models"): p(x | h) is the product over
the token's values of p(x_i | x_<i, h), each a mixture of Gaussians. The inner network here is masked (MADE, Germain et
al. 2015) instead of a transformer: one pass gives all conditionals of a token in training, and a pass for each value
draws them. A value that was not seen is shown to the later ones as unseen and leaves the product.

Legend: B rows, N tokens, P token width, D core width, W network width, K components, R noises of a row (2: which
component, and where in it).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tsar.nn.denoiser import linear_base
from tsar.nn.transport import Transport
from tsar.part import Part

MIN_SCALE = 1e-2  # of a component, in units of the base's scale


@dataclass(frozen=True, kw_only=True)
class Arinar(Part):
    """Config of the ARINAR head.

    Parameters
    ----------
    components : int
        Gaussians in the mixture of a value.
    hidden, depth : int
        Width and masked layers of the inner network.
    """

    components: int = 4
    hidden: int = 128
    depth: int = 2

    def __post_init__(self) -> None:
        for option in ("components", "hidden", "depth"):
            if getattr(self, option) < 1:
                raise ValueError(f"Arinar: {option} must be at least 1, found {getattr(self, option)}")

    def build(self, width: int, token_width: int) -> ArinarHead:
        """Return the head for hidden states of `width` and tokens of `token_width` values."""
        return ArinarHead(self, width, token_width)


class MaskedLinear(nn.Linear):
    """A linear layer some of whose weights do not exist."""

    def __init__(self, mask_OI: Tensor) -> None:
        super().__init__(mask_OI.shape[1], mask_OI.shape[0])
        self.register_buffer("mask_OI", mask_OI.float(), persistent=False)

    mask_OI: Tensor

    def forward(self, u: Tensor) -> Tensor:
        """Apply the layer in the precision of its weight (or of autocast)."""
        return self.rows(u, slice(None))

    def rows(self, u: Tensor, which: slice) -> Tensor:
        """Give some of the layer's outputs only."""
        weight = self.weight[which] * self.mask_OI[which].to(self.weight.dtype)
        return F.linear(u.to(weight.dtype), weight, self.bias[which])


class ArinarHead(Transport):
    """A linear base and, on its residual, the mixtures of a masked network."""

    exact: ClassVar[bool] = True

    def __init__(self, config: Arinar, width: int, token_width: int) -> None:
        super().__init__(width, token_width, noises=2)
        self.config = config
        self.base = nn.Linear(width, 2 * token_width)
        # a unit of degree d sees the values before place d; value i may use units of degree <= i
        place_P = torch.arange(token_width)
        degree_W = torch.arange(config.hidden) % token_width
        degree_O = place_P.repeat_interleave(3 * config.components)
        self.from_h = nn.Linear(width, config.hidden)
        self.enter = MaskedLinear(degree_W[:, None] > place_P.repeat(2))
        inner_WW = degree_W[:, None] >= degree_W
        self.layers = nn.ModuleList(MaskedLinear(inner_WW) for _ in range(config.depth))
        self.leave = MaskedLinear(degree_O[:, None] >= degree_W)
        with torch.no_grad():  # start near a standard normal, with components that differ
            self.leave.weight *= 0.1
            bias_P3K = self.leave.bias.view(token_width, 3, config.components)
            bias_P3K[:] = 0.0
            if config.components > 1:
                bias_P3K[:, 1] = torch.linspace(-1.0, 1.0, config.components)

    def _features(self, y: Tensor, seen: Tensor, condition: Tensor) -> Tensor:
        """What the masked network knows at each place, [..., W], given values and the hidden state's part."""
        u = F.silu(self.enter(torch.cat([y, seen.to(y)], -1)) + condition)
        for layer in self.layers:
            u = u + F.silu(layer(u))
        return u

    def _condition(self, h: Tensor) -> Tensor:
        return self.from_h(h.to(self.from_h.weight.dtype))

    def _split(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log weights, locations and scales, each [..., K]."""
        weight, loc, width = raw.float().unflatten(-1, (3, self.config.components)).unbind(-2)
        return weight.log_softmax(-1), loc, F.softplus(width) + MIN_SCALE

    def log_prob(self, h_BND: Tensor, x_BNP: Tensor, seen_BNP: Tensor) -> Tensor:
        """Return the exact joint log density of each token's seen values, [B, N]."""
        x_BNP = x_BNP.float().masked_fill(~seen_BNP, 0.0)
        loc_BNP, scale_BNP = linear_base(self.base, h_BND)
        y_BNP = ((x_BNP - loc_BNP) / scale_BNP).masked_fill(~seen_BNP, 0.0)
        raw_BNO = self.leave(self._features(y_BNP, seen_BNP, self._condition(h_BND)))
        log_weight_BNPK, loc_BNPK, width_BNPK = self._split(raw_BNO.unflatten(-1, (self.token_width, -1)))
        square_BNPK = ((y_BNP[..., None] - loc_BNPK) / width_BNPK).square()
        component_BNPK = log_weight_BNPK - 0.5 * (square_BNPK + math.log(2 * math.pi)) - width_BNPK.log()
        log_prob_BNP = component_BNPK.logsumexp(-1) - scale_BNP.log()
        return log_prob_BNP.masked_fill(~seen_BNP, 0.0).sum(-1)

    def loss(self, h_BND: Tensor, x_BNP: Tensor, seen_BNP: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the negative joint log density of a token, per seen value; see `Head.loss`."""
        return -self.log_prob(h_BND, x_BNP, seen_BNP) / seen_BNP.sum(-1).clamp(min=1)

    def transport(self, z_BRP: Tensor, h_BD: Tensor) -> Tensor:
        """Draw the values in turn: a component by the first noise, a place in it by the second."""
        u_BP1 = 0.5 + 0.5 * torch.erf(z_BRP[:, 0, :, None] / math.sqrt(2))
        y_BP = torch.zeros_like(z_BRP[:, 0])
        seen_BP = torch.ones_like(y_BP, dtype=torch.bool)
        condition_BW, size = self._condition(h_BD), 3 * self.config.components
        for place in range(self.token_width):
            u_BW = self._features(y_BP, seen_BP, condition_BW)
            raw_BO = self.leave.rows(u_BW, slice(place * size, (place + 1) * size))
            log_weight_BK, loc_BK, width_BK = self._split(raw_BO)
            chosen_B1 = (log_weight_BK.exp().cumsum(-1)[:, :-1] < u_BP1[:, place]).sum(-1, keepdim=True)
            y_B1 = loc_BK.gather(-1, chosen_B1) + width_BK.gather(-1, chosen_B1) * z_BRP[:, 1, place, None]
            y_BP[:, place] = y_B1[:, 0]
        loc_BP, scale_BP = linear_base(self.base, h_BD)
        return loc_BP + scale_BP * y_BP
