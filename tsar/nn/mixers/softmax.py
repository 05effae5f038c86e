"""Softmax attention with rotary positions, QK-norm and grouped queries.

Legend: B rows, N new tokens, M cached + new tokens, D core width, H query heads, G key/value heads, d head width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tsar.nn.core import Cache, Sight
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
        Normalise queries and keys, with a learned temperature per head (keeps logits bounded, so bf16 and long
        training stay stable).
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

    turn_BN1c2: Tensor | None
    """Cosine and sine of each token's angle, for each of the c = d / 2 pairs of a head."""
    sight: Sight
    same_BNM: Tensor | None


class SoftmaxMixer(nn.Module):
    """Multi-head softmax attention."""

    def __init__(self, config: Softmax, width: int) -> None:
        super().__init__()
        self.config = config
        self.heads, self.groups = config.heads, config.kv_heads or config.heads
        self.d = width // self.heads
        self.entry = nn.Linear(width, (self.heads + 2 * self.groups) * self.d, bias=False)
        self.out = nn.Linear(self.heads * self.d, width, bias=False)
        self.gain_H11 = nn.Parameter(torch.ones(self.heads, 1, 1)) if config.qk_norm else None
        self.bias_H2 = nn.Parameter(torch.zeros(self.heads, 2)) if config.variate_bias else None

    def share(self, at: Coordinates, keys: Coordinates, sight: Sight) -> Shared:
        """Compute rotary angles and masks once for all layers."""
        turn = same = None
        if self.config.rotary:
            part_c = torch.arange(0, self.d, 2, device=at.time_BN.device, dtype=torch.float32) / self.d
            angle_BN1c = (at.time_BN[..., None].float() * self.config.base**-part_c)[:, :, None]
            turn = torch.stack([angle_BN1c.cos(), angle_BN1c.sin()], -1)
        if self.bias_H2 is not None:
            same = at.variate_BN[:, :, None] == keys.variate_BN[:, None, sight.first :]
        return Shared(turn, sight, same)

    def forward(self, x_BND: Tensor, shared: Shared, layer: int, cache: Cache | None = None) -> Tensor:
        """Return the mixed tokens, [B, N, D]."""
        B, N, _ = x_BND.shape
        qkv_BNXd = self.entry(x_BND).view(B, N, -1, self.d)  # X = H + 2 G heads
        qk_BNXd, v_BNGd = qkv_BNXd.split([self.heads + self.groups, self.groups], 2)
        if self.gain_H11 is not None:  # queries and keys of one length, and a learned temperature per head
            qk_BNXd = F.layer_norm(qk_BNXd, (self.d,))
        if shared.turn_BN1c2 is not None:
            qk_BNXd = rotate(qk_BNXd, shared.turn_BN1c2)
        qk_BXNd = qk_BNXd.to(qkv_BNXd.dtype).transpose(1, 2)
        q_BHNd, k_BGMd = qk_BXNd.split([self.heads, self.groups], 1)
        v_BGMd = v_BNGd.transpose(1, 2)
        if cache is not None:
            k_BGMd, v_BGMd = (part[:, :, shared.sight.first :] for part in cache.append(layer, k_BGMd, v_BGMd))
        scale = 1.0 if self.gain_H11 is None else self.gain_H11.to(q_BHNd.dtype)
        y_BHNd = self.attend(q_BHNd * (scale * self.d**-0.5), k_BGMd, v_BGMd, shared)
        return self.out(y_BHNd.transpose(1, 2).reshape(B, N, -1))

    def attend(self, q_BHNd: Tensor, k_BGMd: Tensor, v_BGMd: Tensor, shared: Shared) -> Tensor:
        """softmax(q k' + bias) v, with queries grouped over the key/value heads."""
        B, H, N, d = q_BHNd.shape
        G, M = k_BGMd.shape[1:3]
        see = None if shared.sight.see_BNM is None else shared.sight.see_BNM[:, None]
        bias = None
        if self.bias_H2 is not None and shared.same_BNM is not None:
            bias = torch.where(shared.same_BNM[:, None], self.bias_H2[:, :1, None], self.bias_H2[:, 1:, None])
            bias = bias.to(q_BHNd.dtype) if see is None else bias.to(q_BHNd.dtype).masked_fill(~see, -torch.inf)
        if M > SHORT or q_BHNd.device.type != "cpu":
            mask = see if bias is None else bias
            return F.scaled_dot_product_attention(q_BHNd, k_BGMd, v_BGMd, attn_mask=mask, scale=1.0, enable_gqa=G != H)
        if G != H:
            k_BGMd, v_BGMd = (part.repeat_interleave(H // G, 1) for part in (k_BGMd, v_BGMd))
        q_XNd, k_XMd, v_XMd = (part.reshape(B * H, -1, d) for part in (q_BHNd, k_BGMd, v_BGMd))
        logits_XNM = torch.bmm(q_XNd, k_XMd.transpose(1, 2))
        if bias is not None:
            logits_XNM = (logits_XNM.view(B, H, N, M) + bias).view(B * H, N, M)
        elif see is not None:
            logits_XNM = logits_XNM.view(B, H, N, M).masked_fill(~see, -torch.inf).view(B * H, N, M)
        return torch.bmm(logits_XNM.softmax(-1), v_XMd).view(B, H, N, d)


def rotate(x_BNXd: Tensor, turn_BN1c2: Tensor) -> Tensor:
    """Rotate pairs (2i, 2i + 1) of each head by the token's angles."""
    pair_BNXc2 = x_BNXd.float().unflatten(-1, (-1, 2))
    if x_BNXd.device.type == "cpu":  # one complex product takes a quarter of the time of four real ones
        turned = torch.view_as_complex(pair_BNXc2) * torch.view_as_complex(turn_BN1c2)
        return torch.view_as_real(turned).flatten(-2)
    (a, b), (cos, sin) = pair_BNXc2.unbind(-1), turn_BN1c2.unbind(-1)
    return torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)
