"""Denoise each token given the clean tokens before it (TimeDART, Wang et al. 2025, section 3).

The core reads every window twice in one pass: the clean tokens, causally, and a noised copy of each token that sees
only the clean ones before it and itself. The head recovers the clean token; at full noise that is p(token | past), from
which forecasts are read.

Legend: B rows, N tokens, P token width, F tokens of one time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tsar.nn.noise import like
from tsar.objective import Frontier, Objective, Terms
from tsar.objectives.next_token import successors
from tsar.tokenizer import Tokenizer
from tsar.tokens import Tokens, Window

if TYPE_CHECKING:
    from tsar.model import TSAR


@dataclass(frozen=True, kw_only=True)
class Denoise(Objective):
    """Options of per-token denoising; the core's mask must be "denoise".

    Parameters
    ----------
    full : float
        Share of tokens trained at full noise, where nothing of the token is left and the head must forecast.
    """

    full: float = 0.25

    def __post_init__(self) -> None:
        if not 0 <= self.full <= 1:
            raise ValueError(f"full must lie in [0, 1], found {self.full}")

    @property
    def causal(self) -> bool:
        """A forecast reads noised tokens, which the cached past does not hold."""
        return False

    @property
    def noise_channels(self) -> int:
        """The noise level is an input of every token: 0 clean, 1 pure noise."""
        return 1

    def reach(self, step: int) -> int:
        """Return the steps of one token."""
        return step

    def head_shape(self, width: int, tokens: int, tokenizer: Tokenizer) -> tuple[int, int]:
        """Return the shape of a head that predicts one token."""
        if not tokenizer.chained:
            raise ValueError("denoise expects tokens that follow one another without overlap, found others")
        return width, tokenizer.token_width

    def loss(
        self, model: TSAR, window: Window, generator: torch.Generator | None, stats: list[Any] | None = None
    ) -> Terms:
        """Return one term per token that has a predecessor to scale it by."""
        tokens, _ = model.tokenizer.encode(window)
        F = model.tokenizer.frontier(window.y_BVL.shape[1])
        x_BNP, seen_BNP = successors(tokens, F, 1)
        before = tokens.each(lambda part: part[:, :-F])
        draw = torch.rand(2, *x_BNP.shape[:2], 1, generator=generator, device=generator.device if generator else None)
        draw = draw.to(x_BNP.device)
        level_BN1 = torch.where(draw[0] < self.full, 1.0, draw[1])
        # variance-preserving: cos^2 + sin^2 = 1, so a noised token has the spread of a clean one at every level
        noised_BNP = (level_BN1 * math.pi / 2).cos() * x_BNP + (level_BN1 * math.pi / 2).sin() * like(x_BNP, generator)
        noised = before._replace(x_BNP=torch.where(seen_BNP, noised_BNP, 0.0), seen_BNP=seen_BNP)
        h_BND = self._both(model, window, tokens, noised, level_BN1, stats)
        seen_BNP = seen_BNP & ((before.scale_BN1 > 0) & (before.time_BN >= 0)[..., None])
        loss_BN = model.head.loss(h_BND, x_BNP, seen_BNP, generator=generator)
        return Terms(loss_BN, seen_BNP.float().mean(-1))

    def frontier(self, model: TSAR, window: Window) -> Frontier:
        """Return the hidden states of one fully noised token (its mean, 0) after the window."""
        tokens, _ = model.tokenizer.encode(window)
        F = model.tokenizer.frontier(window.y_BVL.shape[1])
        end = tokens.each(lambda part: part[:, -F:])
        noise = end._replace(x_BNP=torch.zeros_like(end.x_BNP), seen_BNP=torch.ones_like(end.seen_BNP))
        h_BFD = self._both(model, window, tokens, noise, torch.ones_like(end.x_BNP[..., :1]))
        return Frontier(h_BFD, end.loc_BN1, end.scale_BN1)

    def _both(
        self, model: TSAR, window: Window, clean: Tokens, noised: Tokens, level_BN1: Tensor, stats: Any = None
    ) -> Tensor:
        """Return the hidden states of the noised tokens, which stand one time after what scales them."""
        both = clean.join(noised._replace(time_BN=noised.time_BN + 1))
        noise_BN1 = torch.cat([torch.zeros_like(clean.x_BNP[..., :1]), level_BN1], 1)
        segment_BN = torch.zeros_like(both.time_BN)
        segment_BN[:, clean.time_BN.shape[1] :] = 1
        at = both.coordinates._replace(segment_BN=segment_BN)
        h_BND = model.hidden(both, window, at=at, noise_BNC=noise_BN1, stats=stats)
        return h_BND[:, clean.x_BNP.shape[1] :]
