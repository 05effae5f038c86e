"""Softmax attention with rotary positions, QK-norm and grouped queries.

Legend: B rows, N new tokens, M cached + new tokens, D core width, H query heads, G key/value heads, d head width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tsar.nn.core import Cache
from tsar.part import Part
from tsar.tokens import Coordinates

SHORT = 64  # up to this many keys, two batched products beat the fused kernel's backward pass on a CPU


@dataclass(frozen=True, kw_only=True)
class Softmax(Part):
    """Options of softmax attention.

    Parameters
    ----------
    heads : int
        Query heads; must divide the core's width.
    kv_heads : int, optional
        Key and value heads, shared by groups of query heads; `heads` by default.
    qk_norm : bool
        Normalise queries and keys (keeps logits bounded, so bf16 and long training stay stable).
    rotary : bool
        Rotate queries and keys by their time (RoPE, Su et al. 2021); without it attention is blind to order.
    base : float
        Longest rotary wavelength divided by 2 pi, in tokens.
    variate_bias : bool
        Learn one bias per head for keys of the same variate and one for others (Moirai, section 3.1.2), which tells
        variates apart and stays equivariant to their permutation.
    """

    heads: int = 4
    kv_heads: int | None = None
    qk_norm: bool = True
    rotary: bool = True
    base: float = 10_000.0
    variate_bias: bool = False

    def __post_init__(self) -> None:
        if self.heads < 1 or self.heads % (self.kv_heads or self.heads):
            raise ValueError(f"heads must be a positive multiple of kv_heads, found {self.heads} and {self.kv_heads}")
        if self.base <= 1:
            raise ValueError(f"base must exceed 1, found {self.base}")

    def build(self, width: int, mask: str) -> SoftmaxMixer:
        """Build the mixer for a core of `width`."""
        if width % self.heads or (self.rotary and width // self.heads % 2):
            raise ValueError(f"width {width} must split into {self.heads} heads of even width")
        return SoftmaxMixer(self, width)


class Shared(NamedTuple):
    """What all layers of one forward pass need."""

    cos_BN1d: Tensor | None
    sin_BN1d: Tensor | None
    see_BNM: Tensor | None
    same_BNM: Tensor | None


class SoftmaxMixer(nn.Module):
    """Multi-head softmax attention."""

    def __init__(self, config: Softmax, width: int) -> None:
        super().__init__()
        self.config = config
        self.heads, self.groups = config.heads, config.kv_heads or config.heads
        self.d = width // self.heads
        self.qkv = nn.Linear(width, (self.heads + 2 * self.groups) * self.d, bias=False)
        self.out = nn.Linear(self.heads * self.d, width, bias=False)
        self.q_norm = nn.RMSNorm(self.d) if config.qk_norm else nn.Identity()
        self.k_norm = nn.RMSNorm(self.d) if config.qk_norm else nn.Identity()
        self.bias_H2 = nn.Parameter(torch.zeros(self.heads, 2)) if config.variate_bias else None

    def share(self, at: Coordinates, keys: Coordinates, see_BNM: Tensor | None) -> Shared:
        """Compute rotary angles and masks once for all layers."""
        cos = sin = same = None
        if self.config.rotary:
            half = torch.arange(0, self.d, 2, device=at.time_BN.device, dtype=torch.float32) / self.d
            angle_BNd = at.time_BN[..., None].float() * self.config.base**-half
            angle_BN1d = torch.cat([angle_BNd, angle_BNd], -1)[:, :, None]
            cos, sin = angle_BN1d.cos(), angle_BN1d.sin()
        if self.bias_H2 is not None:
            same = at.variate_BN[:, :, None] == keys.variate_BN[:, None, :]
        return Shared(cos, sin, see_BNM, same)

    def forward(self, x_BND: Tensor, shared: Shared, layer: int, cache: Cache | None = None) -> Tensor:
        """Return the mixed tokens, [B, N, D]."""
        B, N, _ = x_BND.shape
        q, k, v = self.qkv(x_BND).split([self.heads * self.d, self.groups * self.d, self.groups * self.d], -1)
        q_BNHd, k_BNGd = self.q_norm(q.view(B, N, -1, self.d)), self.k_norm(k.view(B, N, -1, self.d))
        if shared.cos_BN1d is not None and shared.sin_BN1d is not None:
            q_BNHd = rotate(q_BNHd, shared.cos_BN1d, shared.sin_BN1d)
            k_BNGd = rotate(k_BNGd, shared.cos_BN1d, shared.sin_BN1d)
        q_BHNd = q_BNHd.transpose(1, 2)
        k_BGMd, v_BGMd = k_BNGd.transpose(1, 2), v.view(B, N, -1, self.d).transpose(1, 2)
        if cache is not None:
            k_BGMd, v_BGMd = cache.append(layer, k_BGMd.to(v.dtype), v_BGMd)
        y_BHNd = self.attend(q_BHNd.to(v.dtype), k_BGMd.to(v.dtype), v_BGMd, shared)
        return self.out(y_BHNd.transpose(1, 2).reshape(B, N, -1))

    def attend(self, q_BHNd: Tensor, k_BGMd: Tensor, v_BGMd: Tensor, shared: Shared) -> Tensor:
        """softmax(q k' / sqrt(d) + bias) v, with queries grouped over the key/value heads."""
        B, H, N, d = q_BHNd.shape
        G, M = k_BGMd.shape[1:3]
        see = None if shared.see_BNM is None else shared.see_BNM[:, None]
        bias = None
        if self.bias_H2 is not None and shared.same_BNM is not None:
            bias = torch.where(shared.same_BNM[:, None], self.bias_H2[:, :1, None], self.bias_H2[:, 1:, None])
            bias = bias.to(q_BHNd.dtype) if see is None else bias.to(q_BHNd.dtype).masked_fill(~see, -torch.inf)
        if M > SHORT or q_BHNd.device.type != "cpu":
            mask = see if bias is None else bias
            return F.scaled_dot_product_attention(q_BHNd, k_BGMd, v_BGMd, attn_mask=mask, enable_gqa=G != H)
        if G != H:  # the query heads of a group become further queries of its one key/value head
            k_BGMd, v_BGMd = (t.repeat_interleave(H // G, 1) for t in (k_BGMd, v_BGMd))
        logits_XNM = torch.bmm((q_BHNd * d**-0.5).reshape(B * H, N, d), k_BGMd.reshape(B * H, M, d).transpose(1, 2))
        if bias is not None:
            logits_XNM = (logits_XNM.view(B, H, N, M) + bias).view(B * H, N, M)
        elif see is not None:
            logits_XNM = logits_XNM.view(B, H, N, M).masked_fill(~see, -torch.inf).view(B * H, N, M)
        return torch.bmm(logits_XNM.softmax(-1), v_BGMd.reshape(B * H, M, d)).view(B, H, N, d)


def rotate(x_BNHd: Tensor, cos_BN1d: Tensor, sin_BN1d: Tensor) -> Tensor:
    """Rotate pairs (i, i + d/2) of each head by the token's angles."""
    a, b = x_BNHd.chunk(2, -1)
    return x_BNHd * cos_BN1d + torch.cat([-b, a], -1) * sin_BN1d
