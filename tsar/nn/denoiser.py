"""Heads that remove noise from a token step by step: what they share beside the steps.

A token is x = loc(h) + scale(h) * y. The linear base (loc, scale) is fitted by its own likelihood; the network denoises
y, which is of unit size whatever the series: without it a small network has to learn from noisy targets both where the
next token is and what its distribution looks like. Its likelihood is hyperbolic (Barndorff-Nielsen 1977), Gaussian
in the middle and exponential in the tails, so that a few wild tokens do not move it.

Legend: B rows, N tokens, P token width, D core width, R noises of a row.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tsar.nn.head import mean_over_seen, project
from tsar.nn.transport import Transport

MIN_SCALE = 1e-3


class Denoiser(Transport):
    """Base of the heads trained on noisy tokens.

    Parameters
    ----------
    width, token_width : int
        Width D of the hidden state, values P of a token.
    base : bool
        Whether the network models the standardised residual of a linear base instead of the token itself.
    noises : int
        Standard normal draws of the token's shape that one sample consumes.
    """

    def __init__(self, width: int, token_width: int, *, base: bool, noises: int = 1) -> None:
        super().__init__(width, token_width, noises)
        self.base = nn.Linear(width, 2 * token_width) if base else None

    @abstractmethod
    def denoise(self, z_BRP: Tensor, h_BD: Tensor) -> Tensor:
        """Turn noise [B, noises, P] into standardised tokens [B, P]."""

    @abstractmethod
    def denoising_loss(
        self, h_BND: Tensor, y_BNP: Tensor, seen_BNP: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """Return each value's loss given the standardised tokens (0 where unseen), [B, N, P]."""

    def loss(self, h_BND: Tensor, x_BNP: Tensor, seen_BNP: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the denoising loss plus the base's negative log density, up to a constant; see `Head.loss`."""
        x_BNP = x_BNP.float().masked_fill(~seen_BNP, 0.0)
        if self.base is None:
            return mean_over_seen(self.denoising_loss(h_BND, x_BNP, seen_BNP, generator), seen_BNP)
        loc_BNP, scale_BNP = linear_base(self.base, h_BND)
        y_BNP = (x_BNP - loc_BNP) / scale_BNP
        base_BNP = (1 + y_BNP.square()).sqrt() - 1 + scale_BNP.log()
        loss_BNP = self.denoising_loss(h_BND, y_BNP.detach().masked_fill(~seen_BNP, 0.0), seen_BNP, generator)
        return mean_over_seen(loss_BNP + base_BNP, seen_BNP)

    def transport(self, z_BRP: Tensor, h_BD: Tensor) -> Tensor:
        """Turn noise [B, noises, P] into tokens [B, P]."""
        y_BP = self.denoise(z_BRP, h_BD)
        if self.base is None:
            return y_BP
        loc_BP, scale_BP = linear_base(self.base, h_BD)
        return loc_BP + scale_BP * y_BP


def linear_base(base: nn.Linear, h: Tensor) -> tuple[Tensor, Tensor]:
    """Return location and scale of each value, [..., P], linear in the hidden state."""
    loc, scale = project(base, h).chunk(2, -1)
    return loc, F.softplus(scale) + MIN_SCALE
