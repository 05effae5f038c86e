"""Every token predicts the next ones: the objective of a causal decoder.

Legend: B rows, N times, F tokens of one time, P token width, A tokens ahead, D core width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tsar.objective import Frontier, Objective, Terms
from tsar.scale import rescale
from tsar.tokenizer import Tokenizer
from tsar.tokens import Tokens, Window

if TYPE_CHECKING:
    from tsar.model import TSAR


@dataclass(frozen=True, kw_only=True)
class NextToken(Objective):
    """Options of next-token prediction.

    Parameters
    ----------
    ahead : int
        Tokens predicted at once from each hidden state, as one wide token: fewer and longer steps of roll-out.
    start : bool
        Also learn the first token from nothing, so that sequences can be generated from scratch; for tokenizers with
        norm "none".
    """

    ahead: int = 1
    start: bool = False

    def __post_init__(self) -> None:
        if self.ahead < 1:
            raise ValueError(f"ahead must be at least 1 token, found {self.ahead}")

    @property
    def causal(self) -> bool:
        """The last token's hidden state is the frontier."""
        return True

    def reach(self, step: int) -> int:
        """Return the steps of `ahead` tokens."""
        return self.ahead * step

    def head_shape(self, width: int, tokens: int, tokenizer: Tokenizer) -> tuple[int, int]:
        """Return the shape of a head that predicts `ahead` tokens."""
        if not tokenizer.chained:
            raise ValueError("next_token expects tokens that follow one another without overlap, found others")
        return width, self.ahead * tokenizer.token_width

    def loss(
        self, model: TSAR, window: Window, generator: torch.Generator | None, stats: list[Any] | None = None
    ) -> Terms:
        """Return one term per token that has a successor."""
        if self.start:
            window = window.keep_last(window.y_BVL.shape[-1] + model.tokenizer.step)
        tokens, _ = model.tokenizer.encode(window)
        h_BND = model.hidden(tokens, window, stats=stats)
        F = model.tokenizer.frontier(window.y_BVL.shape[1])
        x_BNP, seen_BNP = successors(tokens, F, self.ahead)
        if not self.start:  # before anything varied there is no scale to predict in
            seen_BNP = seen_BNP & ((tokens.scale_BN1 > 0) & (tokens.time_BN >= 0)[..., None])[:, : seen_BNP.shape[1]]
        loss_BN = model.head.loss(h_BND[:, : x_BNP.shape[1]], x_BNP, seen_BNP, generator=generator)
        return Terms(loss_BN, seen_BNP.float().mean(-1))

    def frontier(self, model: TSAR, window: Window) -> Frontier:
        """Encode the window and return the hidden states of its last time."""
        tokens, _ = model.tokenizer.encode(window)
        return last(model.hidden(tokens, window), tokens, model.tokenizer.frontier(window.y_BVL.shape[1]))


def last(h_BND: Tensor, tokens: Tokens, F: int) -> Frontier:
    """Return the frontier at the last time: its F tokens."""
    return Frontier(h_BND[:, -F:], tokens.loc_BN1[:, -F:], tokens.scale_BN1[:, -F:])


def successors(tokens: Tokens, F: int, ahead: int) -> tuple[Tensor, Tensor]:
    """Return, for all tokens but those of the last time, the next `ahead` tokens of the same variate in its units."""
    B, NF, P = tokens.x_BNP.shape
    steps = NF // F - 1
    pad = (0, 0, 0, (ahead - 1) * F)
    x_BNP, seen_BNP = (torch.nn.functional.pad(part, pad) for part in (tokens.x_BNP, tokens.seen_BNP))
    loc_BN1, scale_BN1 = (torch.nn.functional.pad(part, pad) for part in (tokens.loc_BN1, tokens.scale_BN1))
    to = slice(0, steps * F)
    xs, seens = [], []
    for k in range(1, ahead + 1):
        of = slice(k * F, (k + steps) * F)
        x = rescale(x_BNP[:, of], loc_BN1[:, of], scale_BN1[:, of], loc_BN1[:, to], scale_BN1[:, to])
        xs.append(torch.where(seen_BNP[:, of], x, 0.0))
        seens.append(seen_BNP[:, of])
    return torch.cat(xs, -1), torch.cat(seens, -1)
