"""The shortcut head: a flow whose network also knows how long its step is, so that a few steps are enough.

Shortcut models (Frans et al. 2025, "One step diffusion via shortcut models"), a token at a time as in FAR. The network
s(y, t, d) gives the mean velocity over the step from t to t + d: for d = 0 it is the velocity of flow matching, and a
step of 2 d must equal two steps of d after each other (their equation 5), which is taught with the network's own
answers as targets.

Legend: B rows, N tokens, P token width, D core width, K times that tokens share, R noises of a row.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tsar.nn import noise
from tsar.nn.adaln import AdaLN
from tsar.nn.denoiser import Denoiser
from tsar.part import Part

TIMES = 64  # distinct pairs of time and step in one call of the loss


@dataclass(frozen=True, kw_only=True)
class Shortcut(Part):
    """Config of the shortcut head.

    Parameters
    ----------
    steps : int
        Steps of a sample, one evaluation of the network each; a power of two, at most `finest`.
    finest : int
        Most steps the network is taught; a power of two.
    consistency : float
        Share of the loss's times that teach long steps; the rest teach the velocity (Frans et al.: 1/4).
    hidden, depth : int
        Width and residual layers of the network.
    base : bool
        Whether the flow models the residual of a linear base; see `tsar.nn.denoiser`.
    """

    steps: int = 4
    finest: int = 32
    consistency: float = 0.25
    hidden: int = 128
    depth: int = 3
    base: bool = True

    def __post_init__(self) -> None:
        for option in ("steps", "finest"):
            value = getattr(self, option)
            if value < 1 or value & (value - 1):
                raise ValueError(f"Shortcut: {option} must be a power of two, found {value}")
        if self.steps > self.finest or self.finest < 2:
            raise ValueError(f"Shortcut: finest must be at least 2 and steps, found {self.finest} and {self.steps}")
        if not 0 < self.consistency < 1:
            raise ValueError(f"Shortcut: consistency must lie between 0 and 1, found {self.consistency}")
        for option in ("hidden", "depth"):
            if getattr(self, option) < 1:
                raise ValueError(f"Shortcut: {option} must be at least 1, found {getattr(self, option)}")

    def build(self, width: int, token_width: int) -> ShortcutHead:
        """Return the head for hidden states of `width` and tokens of `token_width` values."""
        return ShortcutHead(self, width, token_width)


class ShortcutHead(Denoiser):
    """Mean velocities over steps of any length, conditioned on the hidden state."""

    def __init__(self, config: Shortcut, width: int, token_width: int) -> None:
        super().__init__(width, token_width, base=config.base)
        self.config = config
        self.net = AdaLN(width, token_width, config.hidden, config.depth, levels=2)

    def denoising_loss(
        self, h_BND: Tensor, y_BNP: Tensor, seen_BNP: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """Return the squared error of velocity and long steps at random times, [B, N, P]."""
        shape = y_BNP.shape
        y_RP, seen_RP = y_BNP.flatten(0, 1), seen_BNP.flatten(0, 1)
        e_RP = noise.like(y_RP, generator)
        u_K1, index_BN = noise.times(TIMES, y_BNP[..., 0], generator)
        index_R, condition_RM = index_BN.flatten(), self.net.condition(h_BND).flatten(0, 1)
        step_K1 = self._lengths(u_K1, generator)
        # a long step starts at a multiple of its length, as in sampling
        time_K1 = torch.where(step_K1 > 0, (u_K1 / step_K1.clamp(min=1e-6)).floor() * step_K1, u_K1)
        at_RP = e_RP + time_K1[index_R] * (y_RP - e_RP)
        out_RP = self._velocity(at_RP, seen_RP, time_K1, step_K1, index_R, condition_RM)

        target_RP = y_RP - e_RP
        long_R = (step_K1[:, 0] > 0)[index_R]
        with torch.no_grad():
            half_K1 = step_K1 / 2
            # half of the finest step was taught to nobody: it is made of velocities, d = 0
            taught_K1 = torch.where(half_K1 * self.config.finest >= 1, half_K1, 0.0)
            rest = (index_R[long_R], condition_RM[long_R])
            first_RP = self._velocity(at_RP[long_R], seen_RP[long_R], time_K1, taught_K1, *rest)
            middle_RP = at_RP[long_R] + half_K1[rest[0]] * first_RP
            second_RP = self._velocity(middle_RP, seen_RP[long_R], time_K1 + half_K1, taught_K1, *rest)
            target_RP[long_R] = (first_RP + second_RP) / 2
        return (out_RP - target_RP).square().view(shape)

    def _velocity(
        self, at_RP: Tensor, seen_RP: Tensor, time_K1: Tensor, step_K1: Tensor, index_R: Tensor, condition_RM: Tensor
    ) -> Tensor:
        level_KM = self.net.level(torch.cat([time_K1, step_K1], -1))
        return self.net(at_RP, seen_RP, condition_RM + level_KM[index_R])

    def _lengths(self, like_K1: Tensor, generator: torch.Generator | None) -> Tensor:
        """Length of the step taught at each of the shared times: 0 (the velocity), or 1 / finest, ... 1 / 2, 1."""
        device = like_K1.device if generator is None else generator.device
        halvings_K1 = torch.randint(self.config.finest.bit_length(), like_K1.shape, generator=generator, device=device)
        long_K1 = torch.rand(like_K1.shape, generator=generator, device=device) < self.config.consistency
        return torch.where(long_K1, 0.5 ** halvings_K1.float(), 0.0).to(like_K1.device)

    def denoise(self, z_BRP: Tensor, h_BD: Tensor) -> Tensor:
        """Take `steps` steps of equal length from noise to token."""
        y_BP, condition_BM = z_BRP[:, 0], self.net.condition(h_BD)
        step = 1 / self.config.steps
        time_K1 = torch.arange(self.config.steps, device=h_BD.device)[:, None] * step
        level_KM = self.net.level(torch.cat([time_K1, torch.full_like(time_K1, step)], -1))
        for index in range(self.config.steps):
            y_BP = y_BP + step * self.net(y_BP, None, condition_BM + level_KM[index])
        return y_BP
