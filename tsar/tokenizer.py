"""What a tokenizer is, and the covariate channels that all of them share.

Legend: B rows (items x variates where variates are independent), V variates, L context steps, N tokens, P token width,
S new steps per token, K known and C past covariates, E extra channels, F tokens at the frontier.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from tsar.scale import Running, running, standardise
from tsar.tokens import Tokens, Window


class State(NamedTuple):
    """Where `encode` stopped, so that the next chunk goes on as if there had been one: tensors only, all per row."""

    sums: Running
    known: Running | None
    past: Running | None
    moved_B2: Tensor
    """loc and scale of the last token."""
    next_B1: Tensor
    """Time coordinate of the next token: 0 until something was seen."""

    def repeat(self, n: int = 1) -> State:
        """Return the state with each row `n` times in a row."""
        return State(*(_repeat(part, n) for part in self))  # type: ignore[arg-type]


def _repeat(part: Tensor | Running | None, n: int) -> Tensor | Running | None:
    if isinstance(part, Running):
        return Running(*(sums.repeat_interleave(n, dim=0) for sums in part))
    return None if part is None else part.repeat_interleave(n, dim=0)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a tokenizer is built for, beside its own options.

    Parameters
    ----------
    context : int
        Most steps of a context.
    lookahead : int
        Steps ahead of a token whose known covariates the token carries: those its prediction is about.
    known, past : int
        Number of known and of past covariates.
    """

    context: int = 512
    lookahead: int = 0
    known: int = 0
    past: int = 0


class Tokenizer(ABC):
    """Values to scaled tokens and back: the only code that knows scaling, patching and missing values.

    Attributes
    ----------
    token_width : int
        Values P in a token.
    channels : int
        Variates that a token holds side by side: 1 wherever a token is of one variate.
    extra_width : int
        Extra input channels E of a token.
    step : int
        Steps by which one token is later than the one before.
    causal : bool
        Whether a token depends on nothing after its own last step, so that chunks can be encoded one by one.
    chained : bool
        Whether tokens follow one another without gap or overlap, so that decoded tokens continue the series.
    """

    token_width: int
    channels: int
    extra_width: int
    step: int
    causal: bool
    chained: bool

    @abstractmethod
    def encode(self, window: Window, state: State | None = None) -> tuple[Tokens, State]:
        """Encode a window, or the continuation of one whose encoding ended in `state`.

        A first chunk is right-aligned: its first token may be partly unseen. A continuation must be whole tokens, and
        its known covariates must reach `lookahead` steps past its values.
        """

    @abstractmethod
    def count(self, length: int) -> int:
        """Return how many tokens (per row) a first chunk of `length` steps gives."""

    def decode(self, x_BFP: Tensor, loc_BF1: Tensor, scale_BF1: Tensor) -> Tensor:
        """Return raw values loc + scale * x; the last axis may hold any number of steps."""
        return loc_BF1 + scale_BF1 * x_BFP

    @abstractmethod
    def frontier(self, variates: int) -> int:
        """Return how many tokens of a row share one time: those from which the next step is predicted."""

    @abstractmethod
    def series(self, values_BFT: Tensor, variates: int) -> Tensor:
        """Lay values of one or several times' tokens out as series, [items, V, steps]."""

    @abstractmethod
    def tokens(self, y_BVT: Tensor) -> Tensor:
        """Lay series out as one time's tokens, [B, F, steps]: the inverse of `series`."""


class Covariates:
    """Extra channels of tokens of `width` steps, `step` apart: scaled covariates and whether they were seen.

    Known covariates come with the steps of the token and the `lookahead` steps after it, past ones with the steps of
    the token. Each is standardised by its own running statistics, which for known covariates include the lookahead (a
    first holiday must not vanish because none was seen before), and then compressed by asinh.
    """

    def __init__(self, width: int, step: int, inputs: Inputs) -> None:
        self.width, self.step, self.inputs = width, step, inputs
        self.extra_width = 2 * (inputs.known * (width + inputs.lookahead) + inputs.past * width)

    def check(self, window: Window) -> None:
        """Raise ValueError where the window's covariates are not those the tokenizer was built for."""
        for name, part, expected in (
            ("known", window.known_BKT, self.inputs.known),
            ("past", window.past_BCL, self.inputs.past),
        ):
            found = 0 if part is None else part.shape[1]
            if found != expected:
                raise ValueError(f"expected {expected} {name} covariates, as in training, found {found}")
        if window.past_BCL is not None and window.past_BCL.shape[-1] != window.y_BVL.shape[-1]:
            steps, found = window.y_BVL.shape[-1], window.past_BCL.shape[-1]
            raise ValueError(f"past covariates must cover the {steps} steps of the values, found {found}")

    def encode(
        self, window: Window, count: int, known: Running | None, past: Running | None
    ) -> tuple[Tensor | None, Running | None, Running | None]:
        """Return the channels of `count` tokens, [items, N, E], and the running statistics after them."""
        self.check(window)
        length, ahead, parts = window.y_BVL.shape[-1], self.inputs.lookahead, []
        if window.known_BKT is not None:
            part, known = self._channels(window.known_BKT, length, count, ahead, known)
            parts.append(part)
        if window.past_BCL is not None:
            part, past = self._channels(window.past_BCL, length, count, 0, past)
            parts.append(part)
        return (torch.cat(parts, -1) if parts else None), known, past

    def _channels(
        self, z_BKT: Tensor, length: int, count: int, ahead: int, state: Running | None
    ) -> tuple[Tensor, Running]:
        B, K, total = z_BKT.shape
        z_BKT = torch.nn.functional.pad(z_BKT, (0, max(0, length + ahead - total)), value=torch.nan)
        overlap = self.width - self.step
        before = max(0, count * self.step + overlap - length)
        z_BKT = torch.nn.functional.pad(z_BKT[..., : length + ahead], (before, 0), value=torch.nan)
        z_BKNW = z_BKT[..., -(count * self.step + overlap + ahead) :].unfold(-1, self.width + ahead, self.step)
        new_XNS = z_BKNW[..., -self.step :].reshape(B * K, count, self.step)
        if state is None and ahead:  # the steps ahead of the first token were never anybody's new ones
            _, _, state = running(z_BKNW[:, :, :1, : -self.step].reshape(B * K, 1, -1))
        loc_XN1, scale_XN1, state = running(new_XNS, state)
        x_BKNW = standardise(z_BKNW, loc_XN1.view(B, K, count, 1), scale_XN1.view(B, K, count, 1)).asinh()
        channels = torch.stack([x_BKNW, (~z_BKNW.isnan()).float()], -1)
        return channels.transpose(1, 2).reshape(B, count, -1), state
