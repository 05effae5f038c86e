"""Recover hidden tokens from the others: masked encoders such as Moirai, and imputation.

Legend: B rows, N tokens, L steps, V variates, P token width, F tokens of one time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tsar.objective import Frontier, Objective, Terms
from tsar.scale import rescale
from tsar.tokenizer import Tokenizer
from tsar.tokens import Window

if TYPE_CHECKING:
    from tsar.model import TSAR


@dataclass(frozen=True, kw_only=True)
class Masked(Objective):
    """Options of masked-token recovery.

    Parameters
    ----------
    horizon : int
        Steps forecast at once, as hidden tokens after the context.
    ratio : float
        Share of tokens hidden at random.
    tail : float
        Share of items whose last tokens (as many as the horizon, or as there are) are hidden instead, as in a forecast.
    """

    horizon: int = 64
    ratio: float = 0.4
    tail: float = 0.5

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise ValueError(f"horizon must be at least 1 step, found {self.horizon}")
        if not 0 < self.ratio < 1 or not 0 <= self.tail <= 1:
            raise ValueError(f"expected 0 < ratio < 1 and 0 <= tail <= 1, found {self.ratio} and {self.tail}")

    @property
    def causal(self) -> bool:
        """The tokens to predict are inputs, so each reading encodes anew."""
        return False

    @property
    def joint(self) -> bool:
        """Each hidden token is drawn by itself."""
        return False

    def reach(self, step: int) -> int:
        """Return the horizon in whole tokens."""
        return -(-self.horizon // step) * step

    def lookahead(self, step: int) -> int:
        """Return 0: a hidden token carries the covariates of its own steps."""
        return 0

    def head_shape(self, width: int, tokens: int, tokenizer: Tokenizer) -> tuple[int, int]:
        """Return the shape of a head that predicts the token it stands on."""
        if not tokenizer.chained:
            raise ValueError("masked expects tokens that follow one another without overlap, found others")
        return width, tokenizer.token_width

    def hide(self, items: int, V: int, times: int, tail: int, generator: torch.Generator | None) -> Tensor:
        """Draw which tokens to hide: [items, V, times] booleans."""
        draw = torch.rand(items, V, times, generator=generator, device=generator.device if generator else None)
        tailed = torch.rand(items, 1, 1, generator=generator, device=generator.device if generator else None)
        last_N = torch.arange(times, device=draw.device) >= times - min(tail, times - 1)
        return torch.where(tailed < self.tail, last_N, draw < self.ratio)

    def loss(
        self, model: TSAR, window: Window, generator: torch.Generator | None, stats: list[Any] | None = None
    ) -> Terms:
        """Return one term per hidden token, scaled by what is left to see."""
        items, V, L = window.y_BVL.shape
        step, F = model.tokenizer.step, model.tokenizer.frontier(V)
        full, _ = model.tokenizer.encode(window)
        times = full.x_BNP.shape[1] // F
        hidden_BVN = self.hide(items, V, times, self.reach(step) // step, generator).to(window.y_BVL.device)
        hidden_BVL = hidden_BVN.repeat_interleave(step, -1)[..., times * step - L :]
        left = window._replace(y_BVL=window.y_BVL.masked_fill(hidden_BVL, torch.nan))
        tokens, _ = model.tokenizer.encode(left)
        seen_BNP = full.seen_BNP & ~tokens.seen_BNP & ((tokens.scale_BN1 > 0) & (tokens.time_BN >= 0)[..., None])
        x_BNP = rescale(full.x_BNP, full.loc_BN1, full.scale_BN1, tokens.loc_BN1, tokens.scale_BN1)
        h_BND = model.hidden(tokens, left, stats=stats)
        loss_BN = model.head.loss(h_BND, torch.where(seen_BNP, x_BNP, 0.0), seen_BNP, generator=generator)
        return Terms(loss_BN, seen_BNP.float().mean(-1))

    def frontier(self, model: TSAR, window: Window) -> Frontier:
        """Append the horizon as hidden tokens, encode, and return their hidden states."""
        V, reach = window.y_BVL.shape[1], self.reach(model.tokenizer.step)
        window = window.append(torch.full_like(window.y_BVL[..., :1], torch.nan).expand(-1, -1, reach))
        tokens, _ = model.tokenizer.encode(window)
        new = reach // model.tokenizer.step * model.tokenizer.frontier(V)
        h_BND = model.hidden(tokens, window)
        return Frontier(h_BND[:, -new:], tokens.loc_BN1[:, -new:], tokens.scale_BN1[:, -new:])
