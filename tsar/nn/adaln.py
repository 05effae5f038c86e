"""The small network of the denoising heads: residual layers modulated by a hidden state and a noise level.

After the head of MAR (Li et al. 2024, section 3.2 and appendix B) with one departure: the modulation is the sum of a
map of the hidden state and a map of the noise level, so that sampling computes the first once and the second once a
step for all rows, and a solver step costs two matrix products a layer instead of five.

Legend: R rows (any leading shape), P token width, D core width, W network width, M modulation width, L noise levels.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FREQUENCIES = 32


class AdaLN(nn.Module):
    """Map (noisy token, which values were seen, noise level, condition) to an estimate of the token's width.

    Parameters
    ----------
    width : int
        Width D of the hidden state.
    token_width : int
        Values P in a token.
    hidden : int
        Width W of the network.
    depth : int
        Number of residual layers.
    levels : int
        How many scalars describe the noise level (2 for a level and a step size).
    """

    def __init__(self, width: int, token_width: int, hidden: int, depth: int, levels: int = 1) -> None:
        super().__init__()
        self.depth, self.hidden = depth, hidden
        modulation = (3 * depth + 2) * hidden
        self.enter = nn.Linear(2 * token_width, hidden)
        self.from_h = nn.Sequential(nn.Linear(width, hidden), nn.SiLU(), nn.Linear(hidden, modulation))
        out_of_level = nn.Linear(hidden, modulation)
        self.from_level = nn.Sequential(nn.Linear(2 * FREQUENCIES * levels, hidden), nn.SiLU(), out_of_level)
        self.up = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(depth))
        self.down = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(depth))
        self.leave = nn.Linear(hidden, token_width)
        frequency = torch.exp(torch.linspace(math.log(1.0), math.log(200.0), FREQUENCIES))
        self.register_buffer("frequency", frequency, persistent=False)
        nn.init.zeros_(out_of_level.weight)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    frequency: Tensor

    def condition(self, h_RD: Tensor) -> Tensor:
        """Return the hidden state's part of the modulation, [R, M]; the same for every noise level."""
        return self.from_h(h_RD.to(self.enter.weight.dtype))

    def level(self, level_RL: Tensor) -> Tensor:
        """Return the noise level's part of the modulation, [R, M]; the levels, [R, L], lie in [0, 1]."""
        angle_RF = (level_RL[..., None] * self.frequency.float()).flatten(-2)
        return self.from_level(torch.cat([angle_RF.sin(), angle_RF.cos()], -1).to(self.enter.weight.dtype))

    def forward(self, x_RP: Tensor, seen_RP: Tensor | None, modulation_RM: Tensor) -> Tensor:
        """Return the estimate in float32, [R, P].

        Parameters
        ----------
        x_RP, seen_RP : Tensor
            Noisy token and which of its values were seen (None: all).
        modulation_RM : Tensor
            The sum of what `condition` and `level` gave.
        """
        seen_RP = torch.ones_like(x_RP) if seen_RP is None else seen_RP.to(x_RP).expand_as(x_RP)
        *layers, last_shift, last_scale = modulation_RM.chunk(3 * self.depth + 2, -1)
        u = self.enter(torch.cat([x_RP, seen_RP], -1).to(self.enter.weight.dtype))
        for index, (up, down) in enumerate(zip(self.up, self.down, strict=True)):
            shift, scale, gate = layers[3 * index : 3 * index + 3]
            u = u + gate * down(F.silu(up(self._norm(u) * (1 + scale) + shift)))
        return self.leave(self._norm(u) * (1 + last_scale) + last_shift).float()

    def _norm(self, u: Tensor) -> Tensor:
        return F.layer_norm(u, (self.hidden,))
