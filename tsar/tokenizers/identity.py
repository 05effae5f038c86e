"""Identity: a step of the series, all its channels together, is a token as it is.

For sequences that are tokens already: latents, audio frames, digits, other tokenizers' output.
Legend: B items, C channels, L steps, N tokens, F tokens of one time (1), E extra channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tsar.part import Part
from tsar.scale import Running, high
from tsar.tokenizer import Covariates, Inputs, State, Tokenizer
from tsar.tokens import Tokens, Window


@dataclass(frozen=True, kw_only=True)
class Identity(Part):
    """Options of the identity tokenizer.

    Parameters
    ----------
    channels : int
        Channels of a step, which are the token's values.
    """

    channels: int = 1

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise ValueError(f"channels must be at least 1, found {self.channels}")

    def build(self, inputs: Inputs) -> IdentityTokenizer:
        """Build the tokenizer."""
        return IdentityTokenizer(self.channels, inputs)


class IdentityTokenizer(Tokenizer):
    """One token per step, unscaled."""

    def __init__(self, channels: int, inputs: Inputs) -> None:
        self.token_width = self.channels = channels
        self.step, self.causal, self.chained = 1, True, True
        self.covariates = Covariates(1, 1, inputs)
        self.extra_width = self.covariates.extra_width

    def count(self, length: int) -> int:
        """Return the number of steps."""
        return length

    def encode(self, window: Window, state: State | None = None) -> tuple[Tokens, State]:
        """Encode values [B, C, L]; see `Tokenizer.encode`."""
        B, C, L = window.y_BVL.shape
        if C != self.channels:
            raise ValueError(f"expected {self.channels} channels, as in training, found {C}")
        y_BNC = window.y_BVL.transpose(1, 2)
        seen_BNC = ~y_BNC.isnan()
        some_BN = seen_BNC.any(-1)
        start_B1 = state.next_B1 if state is not None else torch.zeros(B, 1, dtype=torch.long, device=y_BNC.device)
        begun_BN = (start_B1 > 0) | (some_BN.cumsum(1) > 0)
        time_BN = torch.where(begun_BN, start_B1 + begun_BN.cumsum(1) - 1, -1)
        extra_BNE, known, past = self.covariates.encode(
            window, L, state.known if state else None, state.past if state else None
        )
        zero_BN1 = torch.zeros(B, L, 1, dtype=high(y_BNC.device), device=y_BNC.device)
        next_B1 = torch.where(begun_BN[:, -1:], time_BN[:, -1:] + 1, 0)
        none_B1 = zero_BN1[:, 0]
        x_BNC = y_BNC.nan_to_num(nan=0.0).float()
        tokens = Tokens(x_BNC, seen_BNC, zero_BN1, zero_BN1 + 1, time_BN, torch.zeros_like(time_BN), extra_BNE)
        sums = Running(*[none_B1] * 5)
        return tokens, State(sums, known, past, torch.cat([none_B1, none_B1 + 1], -1), next_B1)

    def frontier(self, variates: int) -> int:
        """Return 1: all channels are one token."""
        return 1

    def series(self, values_BFT: Tensor, variates: int) -> Tensor:
        """Lay one or several steps' values out as series, [B, C, steps]."""
        return values_BFT.reshape(len(values_BFT), -1, self.channels).transpose(1, 2)

    def tokens(self, y_BVT: Tensor) -> Tensor:
        """Lay series out as one token of all steps, [B, 1, steps * C]."""
        return y_BVT.transpose(1, 2).reshape(len(y_BVT), 1, -1)
