"""Trend and remainder: the lookback of a variate as two tokens that add up to it (Autoformer, Wu et al. 2021, eq. 1).

Legend: B rows, L steps of the lookback, P token width (the context), W steps averaged.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from tsar.part import Part
from tsar.scale import high
from tsar.tokenizer import Inputs, State, Tokenizer
from tsar.tokenizers.patch import NORMS, PatchTokenizer
from tsar.tokens import Tokens, Window


@dataclass(frozen=True, kw_only=True)
class Trend(Part):
    """Options of the trend tokenizer.

    Parameters
    ----------
    window : int
        Steps of the centred moving average that is the trend; odd.
    norm : str
        As for `Patch`.
    """

    window: int = 25
    norm: str = "window"

    def __post_init__(self) -> None:
        if self.window < 1 or self.window % 2 == 0:
            raise ValueError(f"window must be a positive odd number of steps, found {self.window}")
        if self.norm not in NORMS:
            raise ValueError(f"unknown norm {self.norm!r}: expected one of {', '.join(NORMS)}")

    def build(self, inputs: Inputs) -> TrendTokenizer:
        """Build the tokenizer."""
        return TrendTokenizer(self.window, self.norm, inputs)


class TrendTokenizer(Tokenizer):
    """One patch of the whole context per variate, split into its moving average and the rest."""

    def __init__(self, window: int, norm: str, inputs: Inputs) -> None:
        self.window = window
        self.whole = PatchTokenizer(inputs.context, inputs.context, norm, False, inputs)
        self.token_width, self.step, self.channels = self.whole.token_width, self.whole.step, 1
        self.extra_width = self.whole.extra_width
        self.causal = self.chained = False

    def count(self, length: int) -> int:
        """Return two tokens for every context's worth of steps."""
        return 2 * self.whole.count(length)

    def encode(self, window: Window, state: State | None = None) -> tuple[Tokens, State]:
        """Encode values [items, V, L] as trends and remainders; see `Tokenizer.encode`."""
        whole, after = self.whole.encode(window, state)
        trend_BNP = moving_average(whole.x_BNP, whole.seen_BNP, self.window) * whole.seen_BNP
        rest_BNP = whole.x_BNP - trend_BNP
        twice = whole.each(_twice)
        return twice._replace(x_BNP=torch.stack([trend_BNP, rest_BNP], 2).flatten(1, 2)), after

    def frontier(self, variates: int) -> int:
        """Return 1: every variate is a row of its own."""
        return 1

    def series(self, values_BFT: Tensor, variates: int) -> Tensor:
        """Lay values of the frontier's tokens out as series, [items, V, steps]."""
        return self.whole.series(values_BFT, variates)

    def tokens(self, y_BVT: Tensor) -> Tensor:
        """Lay series out as one time's tokens, [B, 1, steps]."""
        return self.whole.tokens(y_BVT)


def moving_average(x_BNP: Tensor, seen_BNP: Tensor, window: int) -> Tensor:
    """Centred average of what was seen in `window` steps; the ends are continued by the first and the last value."""
    if bool(seen_BNP.all()):
        return _average(x_BNP, window)
    count_BNP = _average(seen_BNP.to(x_BNP.dtype), window)
    return _average(x_BNP * seen_BNP, window) / count_BNP.clamp(min=1e-9)


def _average(x_BNP: Tensor, window: int) -> Tensor:
    # differences of a running sum: a pooling kernel would add each value `window` times
    padded = F.pad(x_BNP, (window // 2 + 1, window // 2), mode="replicate")
    sums = padded.cumsum(-1, dtype=high(x_BNP.device))
    return ((sums[..., window:] - sums[..., :-window]) / window).to(x_BNP.dtype)


def _twice(part: Tensor) -> Tensor:
    """Repeat every token: [B, N, ...] to [B, 2 N, ...]."""
    return part[:, :, None].expand(-1, -1, 2, *part.shape[2:]).flatten(1, 2)
