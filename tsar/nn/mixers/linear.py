"""Linear attention with a decay per head: parallel inside chunks to train, a constant-size state to decode.

y_n = sum_{m <= n} a^(n-m) (f(q_n) . f(k_m)) v_m / sum_{m <= n} a^(n-m) f(q_n) . f(k_m), with f = elu + 1
(Katharopoulos et al. 2020, equation 8; decay as in RetNet, Sun et al. 2023, equation 5).

Legend: B rows, H heads, N new tokens, C tokens of a chunk, d head width, e = d + 1 (values and the normaliser's ones).
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

CHUNK = 64


@dataclass(frozen=True, kw_only=True)
class Linear(Part):
    """Options of linear attention; masks "causal" (one token per time) and "bidirectional".

    Parameters
    ----------
    heads : int
        Heads; must divide the core's width.
    half_life : tuple of float
        Shortest and longest half-life of a head's memory at the start of training, in tokens.
    """

    heads: int = 4
    half_life: tuple[float, float] = (4.0, 512.0)
    spans: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.heads < 1:
            raise ValueError(f"heads must be at least 1, found {self.heads}")
        if len(self.half_life) != 2 or not 0 < self.half_life[0] <= self.half_life[1]:
            raise ValueError(f"half_life must be two positive ascending numbers, found {self.half_life}")

    def build(self, width: int, mask: str) -> LinearMixer:
        """Build the mixer for a core of `width`."""
        if width % self.heads:
            raise ValueError(f"width {width} must split into {self.heads} heads")
        if mask not in ("causal", "bidirectional"):
            raise ValueError(f"linear attention knows the masks causal and bidirectional, found {mask!r}")
        return LinearMixer(self, width, mask == "causal")


class Shared(NamedTuple):
    """What all layers of one forward pass need."""

    valid_B1N1: Tensor


class LinearMixer(nn.Module):
    """Multi-head linear attention."""

    def __init__(self, config: Linear, width: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.d, self.causal = config.heads, width // config.heads, causal
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm = nn.LayerNorm(self.d, bias=False)
        low, high = (torch.tensor(life).log2() for life in config.half_life)
        decay_H = 0.5 ** torch.linspace(-float(low), -float(high), self.heads).exp2()  # a^half_life = 1/2
        self.decay_logit_H = nn.Parameter(decay_H.logit())

    def share(self, at: Coordinates, keys: Coordinates, sight: Sight) -> Shared:
        """Say which tokens count."""
        return Shared(at.valid_BN[:, None, :, None])

    def forward(self, x_BND: Tensor, shared: Shared, layer: int, cache: Cache | None = None) -> Tensor:
        """Return the mixed tokens, [B, N, D]."""
        B, N, _ = x_BND.shape
        q, k, v = (part.view(B, N, self.heads, self.d).transpose(1, 2) for part in self.qkv(x_BND).chunk(3, -1))
        q_BHNd = F.elu(q.float()) + 1
        k_BHNd = (F.elu(k.float()) + 1) * shared.valid_B1N1
        v_BHNe = F.pad(v.float(), (0, 1), value=1.0)
        state = cache.state(layer) if cache is not None else None
        start_BHde = q_BHNd.new_zeros(B, self.heads, self.d, self.d + 1) if state is None else state[0]
        y_BHNe, end_BHde = self.scan(q_BHNd, k_BHNd, v_BHNe, start_BHde)
        if cache is not None:
            cache.set_state(layer, end_BHde)
        if not self.causal:
            back, _ = self.scan(q_BHNd.flip(2), k_BHNd.flip(2), v_BHNe.flip(2), start_BHde)
            y_BHNe = y_BHNe + back.flip(2) - (q_BHNd * k_BHNd).sum(-1, keepdim=True) * v_BHNe
        y_BHNd = self.norm((y_BHNe[..., :-1] / y_BHNe[..., -1:].clamp(min=1e-6)).to(x_BND.dtype))
        return self.out(y_BHNd.transpose(1, 2).reshape(B, N, -1))

    def scan(self, q_BHNd: Tensor, k_BHNd: Tensor, v_BHNe: Tensor, state_BHde: Tensor) -> tuple[Tensor, Tensor]:
        """Return the decayed sums sum_m a^(n-m) (q_n . k_m) v_m and the state after the last token."""
        log_H11 = F.logsigmoid(self.decay_logit_H.float())[:, None, None]
        outputs = []
        for q, k, v in zip(*(part.split(CHUNK, 2) for part in (q_BHNd, k_BHNd, v_BHNe)), strict=True):
            C = q.shape[2]
            i_C = torch.arange(C, device=q.device, dtype=q.dtype)
            gap_CC = i_C[:, None] - i_C
            decay_HCC = torch.where(gap_CC >= 0, (gap_CC.clamp(min=0) * log_H11).exp(), 0.0)
            inside = (q @ k.transpose(-1, -2) * decay_HCC) @ v
            before = (q * ((i_C[:, None] + 1) * log_H11).exp()) @ state_BHde
            outputs.append(inside + before)
            late = k * ((C - 1 - i_C[:, None]) * log_H11).exp()
            state_BHde = (C * log_H11).exp() * state_BHde + late.transpose(-1, -2) @ v
        return torch.cat(outputs, 2), state_BHde
