"""Sparse mixture of SwiGLU experts (Shazeer et al. 2017; balancing loss of Fedus et al. 2021, equation 4).

Each token is routed by itself and no expert has a capacity, so what a token becomes does not depend on its batch.
Legend: B rows, N tokens, X = B N tokens in one list, D core width, E experts, A active experts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tsar.nn.ffn.swiglu import SwiGLUFeedForward
from tsar.part import Part


@dataclass(frozen=True, kw_only=True)
class MoE(Part):
    """Options of the mixture of experts.

    Parameters
    ----------
    experts : int
        Routed experts.
    active : int
        Experts used per token.
    shared : int
        Experts that every token uses beside the routed ones.
    expansion : float
        Hidden width of one expert divided by core width.
    """

    experts: int = 8
    active: int = 2
    shared: int = 1
    expansion: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.active <= self.experts:
            raise ValueError(f"active must lie between 1 and experts = {self.experts}, found {self.active}")
        if self.shared < 0 or self.expansion <= 0:
            raise ValueError(f"expected shared >= 0 and expansion > 0, found {self.shared} and {self.expansion}")

    def build(self, width: int) -> MoEFeedForward:
        """Build the feed-forward for a core of `width`."""
        return MoEFeedForward(self, width)


class Routing(NamedTuple):
    """How one layer routed one batch."""

    load_E: Tensor
    """Share of the active slots that each expert got; 1 / E each when balanced."""
    importance_E: Tensor
    """Mean router probability of each expert."""
    balance: Tensor
    """E times the sum of load x importance: 1 when balanced, up to E / A when not; has a gradient."""


class MoEFeedForward(nn.Module):
    """Sum of the active experts, weighted by the router, and of the shared ones."""

    def __init__(self, config: MoE, width: int) -> None:
        super().__init__()
        hidden = max(1, round(width * config.expansion / 8) * 8)
        self.active = config.active
        self.router = nn.Linear(width, config.experts, bias=False)
        self.experts = nn.ModuleList(SwiGLUFeedForward(width, hidden) for _ in range(config.experts))
        self.shared = SwiGLUFeedForward(width, hidden * config.shared) if config.shared else None

    def forward(self, x_BND: Tensor, stats: list[Any] | None = None) -> Tensor:
        """Return the transformed tokens and append the routing statistics to `stats`."""
        x_XD = x_BND.reshape(-1, x_BND.shape[-1])
        prob_XE = self.router(x_XD).float().softmax(-1)
        weight_XA, chosen_XA = prob_XE.topk(self.active, -1)
        weight_XA = (weight_XA / weight_XA.sum(-1, keepdim=True)).to(x_XD.dtype)
        y_XD = torch.zeros_like(x_XD) if self.shared is None else self.shared(x_XD)
        for i, expert in enumerate(self.experts):
            token_J, slot_J = (chosen_XA == i).nonzero(as_tuple=True)
            if len(token_J):
                part_JD = expert(x_XD[token_J]) * weight_XA[token_J, slot_J, None]
                y_XD = y_XD.index_add(0, token_J, part_JD.to(y_XD.dtype))
        if stats is not None:
            load_E = F.one_hot(chosen_XA, prob_XE.shape[1]).float().mean((0, 1))
            importance_E = prob_XE.mean(0)
            balance = prob_XE.shape[1] * (load_E * importance_E).sum()
            stats.append(Routing(load_E, importance_E.detach(), balance))
        return y_XD.view_as(x_BND)
