"""Companion-matrix state space (SpaceTime, Zhang et al. 2023, section 3.1): a linear recurrence that contains AR(p).

x_n = A x_(n-1) + b u_n,  y_n = c . x_n, with A the companion matrix: a shift, and a learned last column `a`.
With a = 0 and b = e_1 the state holds the last p inputs, so c is a set of AR(p) coefficients.

Legend: B rows, D core width (one recurrence per channel), N new tokens, p order, J powers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tsar.nn.core import Cache, Sight
from tsar.part import Part
from tsar.tokens import Coordinates

SHORT = 4  # up to this many new tokens the recurrence is run step by step


@dataclass(frozen=True, kw_only=True)
class Companion(Part):
    """Options of the companion state space; mask "causal" (one token per time).

    Parameters
    ----------
    order : int
        Size p of the state, in tokens: the order of the autoregression it can express.
    """

    order: int = 16
    spans: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.order < 1:
            raise ValueError(f"order must be at least 1, found {self.order}")

    def build(self, width: int, mask: str) -> CompanionMixer:
        """Build the mixer for a core of `width`."""
        if mask != "causal":
            raise ValueError(f"a recurrence knows the mask causal only, found {mask!r}")
        return CompanionMixer(self.order, width)


class Shared(NamedTuple):
    """What all layers of one forward pass need."""

    valid_BN1: Tensor


class CompanionMixer(nn.Module):
    """One companion recurrence per channel between two linear maps."""

    def __init__(self, order: int, width: int) -> None:
        super().__init__()
        self.order = order
        self.entry = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.a_Dp = nn.Parameter(0.1 * torch.randn(width, order) / order)
        self.b_Dp = nn.Parameter(F.one_hot(torch.zeros(width, dtype=torch.long), order).float())
        self.c_Dp = nn.Parameter(torch.randn(width, order) / order**0.5)

    def share(self, at: Coordinates, keys: Coordinates, sight: Sight) -> Shared:
        """Say which tokens count."""
        return Shared(at.valid_BN[..., None])

    def forward(self, x_BND: Tensor, shared: Shared, layer: int, cache: Cache | None = None) -> Tensor:
        """Return the mixed tokens, [B, N, D]."""
        B, N, D = x_BND.shape
        u_BDN = (self.entry(x_BND).float() * shared.valid_BN1).transpose(1, 2)
        kept = cache.state(layer) if cache is not None else None
        state_BDp = u_BDN.new_zeros(B, D, self.order) if kept is None else kept[0]
        run = self.steps if N <= SHORT else self.convolve
        y_BDN, state_BDp = run(u_BDN, state_BDp, fresh=kept is None)
        if cache is not None:
            cache.set_state(layer, state_BDp)
        return self.out(y_BDN.transpose(1, 2).to(x_BND.dtype))

    def column(self) -> Tensor:
        """Return the last column of A; absolute values that sum to at most 1 keep the recurrence from growing."""
        a_Dp = self.a_Dp.float()
        return a_Dp / a_Dp.abs().sum(-1, keepdim=True).clamp(min=1.0)

    def steps(self, u_BDN: Tensor, state_BDp: Tensor, fresh: bool = False) -> tuple[Tensor, Tensor]:
        """Run the recurrence step by step: outputs [B, D, N] and the state after the last token."""
        a_Dp, outputs = self.column(), []
        for u_BD in u_BDN.unbind(-1):
            shifted_BDp = F.pad(state_BDp[..., :-1], (1, 0))
            state_BDp = shifted_BDp + a_Dp * state_BDp[..., -1:] + self.b_Dp.float() * u_BD[..., None]
            outputs.append((state_BDp * self.c_Dp.float()).sum(-1))
        return torch.stack(outputs, -1), state_BDp

    def convolve(self, u_BDN: Tensor, state_BDp: Tensor, fresh: bool = False) -> tuple[Tensor, Tensor]:
        """Return the same as `steps`, as a convolution with the kernel c A^j b."""
        N = u_BDN.shape[-1]
        A_Dpp = F.pad(torch.eye(self.order - 1, device=u_BDN.device), (0, 1, 1, 0)).repeat(len(self.a_Dp), 1, 1)
        A_Dpp = torch.cat([A_Dpp[..., :-1], A_Dpp[..., -1:] + self.column()[..., None]], -1)
        reach_DpN = powers(A_Dpp, self.b_Dp.float(), N)
        kernel_DN = (self.c_Dp.float()[..., None] * reach_DpN).sum(1)
        size = 2 * N
        y_BDN = torch.fft.irfft(torch.fft.rfft(u_BDN, size) * torch.fft.rfft(kernel_DN, size), size)[..., :N]
        end_BDp = torch.einsum("bdn,dpn->bdp", u_BDN.flip(-1), reach_DpN)
        if not fresh:
            later_DpJ = powers(A_Dpp.transpose(-1, -2), self.c_Dp.float(), N + 1)  # c A^j, j = 0 .. N
            y_BDN = y_BDN + torch.einsum("bdp,dpn->bdn", state_BDp, later_DpJ[..., 1:])
            end_BDp = end_BDp + torch.einsum("dqp,bdp->bdq", torch.linalg.matrix_power(A_Dpp, N), state_BDp)
        return y_BDN, end_BDp


def powers(A_Dpp: Tensor, v_Dp: Tensor, count: int) -> Tensor:
    """Return v, A v, …, A^(count-1) v as [D, p, count], by doubling."""
    out_DpJ = v_Dp[..., None]
    while out_DpJ.shape[-1] < count:
        out_DpJ = torch.cat([out_DpJ, A_Dpp @ out_DpJ], -1)
        A_Dpp = A_Dpp @ A_Dpp
    return out_DpJ[..., :count]
