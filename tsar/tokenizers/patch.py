"""Patches: `size` consecutive values of one variate are a token.

Legend: B rows (items x variates where variates are independent), V variates, L steps, N tokens, P patch size, S stride,
O = P - S overlap, E extra channels, F tokens at the frontier.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tsar.part import Part
from tsar.scale import Running, running, standardise, whole
from tsar.tokenizer import Covariates, Inputs, State, Tokenizer
from tsar.tokens import Tokens, Window, left

NORMS = ("causal", "window", "last", "mean_abs", "none")


@dataclass(frozen=True, kw_only=True)
class Patch(Part):
    """Options of the patch tokenizer.

    Parameters
    ----------
    size : int
        Steps per patch.
    stride : int, optional
        Steps from one patch to the next; `size` by default, less for overlapping patches.
    norm : {"causal", "window", "last", "mean_abs", "none"}
        "causal" scales each patch by the mean and deviation of everything up to its end; the others scale the whole
        window at once (see `tsar.scale.whole`) and cannot be streamed.
    joint : bool
        False folds variates into the batch (channel independence); True lays all variates' patches out as one
        sequence, time by time.
    """

    size: int = 16
    stride: int | None = None
    norm: str = "causal"
    joint: bool = False

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"patch size must be at least 1 step, found {self.size}")
        if self.stride is not None and not 1 <= self.stride <= self.size:
            raise ValueError(f"stride must lie between 1 and the patch size {self.size}, found {self.stride}")
        if self.norm not in NORMS:
            raise ValueError(f"unknown norm {self.norm!r}: expected one of {', '.join(NORMS)}")

    def build(self, inputs: Inputs) -> PatchTokenizer:
        """Build the tokenizer."""
        return PatchTokenizer(self.size, self.stride or self.size, self.norm, self.joint, inputs)


class PatchTokenizer(Tokenizer):
    """Right-aligned patches of each variate."""

    def __init__(self, size: int, stride: int, norm: str, joint: bool, inputs: Inputs) -> None:
        self.token_width, self.step, self.norm, self.joint = size, stride, norm, joint
        self.overlap, self.channels = size - stride, 1
        self.chained = size == stride
        self.causal = self.chained and norm in ("causal", "none")
        self.covariates = Covariates(size, stride, inputs)
        self.moves = 2 if norm == "causal" else 0
        self.extra_width = self.covariates.extra_width + self.moves

    def count(self, length: int) -> int:
        """Return the number of patches, the first one perhaps partial: ceil(length / stride)."""
        return -(-length // self.step)

    def encode(self, window: Window, state: State | None = None) -> tuple[Tokens, State]:
        """Encode values [items, V, L]; see `Tokenizer.encode`.

        Raises
        ------
        ValueError
            If a continuation is not a whole number of patches, or if patches overlap or are scaled by the whole window.
        """
        items, V, L = window.y_BVL.shape
        N = self.count(L)
        if state is not None and not (self.causal and L % self.step == 0):
            raise ValueError(
                f"cannot continue norm {self.norm!r} by {L} steps: expected a causal norm, no overlap and multiples "
                f"of {self.step}"
            )
        y_BL = window.y_BVL.reshape(items * V, L)
        if state is None:
            y_BL = left(y_BL, N * self.step - L + self.overlap)
        y_BNP = y_BL.unfold(-1, self.token_width, self.step)
        seen_BNP = ~y_BNP.isnan()
        if self.norm == "causal":
            loc_BN1, scale_BN1, sums = running(y_BNP[..., self.overlap :], state and state.sums)
        else:
            loc_B1, scale_B1 = whole(y_BL, self.norm)
            loc_BN1, scale_BN1 = (part[:, None].expand(-1, N, -1) for part in (loc_B1, scale_B1))
            sums = Running(*[loc_B1] * 5)
        x_BNP = standardise(y_BNP, loc_BN1, scale_BN1)

        some_BN = seen_BNP.any(-1)
        if self.joint:  # one clock for all variates of an item
            some_BN = some_BN.view(items, V, N).any(1, keepdim=True).expand(-1, V, -1).reshape(items * V, N)
        start_B1 = state.next_B1 if state is not None else torch.zeros_like(some_BN[:, :1], dtype=torch.long)
        begun_BN = (start_B1 > 0) | (some_BN.cumsum(1) > 0)
        time_BN = torch.where(begun_BN, start_B1 + begun_BN.cumsum(1) - 1, -1)
        extra_BNE, moved_B2 = self._moves(loc_BN1, scale_BN1, state)
        channels, known, past = self.covariates.encode(
            window, N, state.known if state else None, state.past if state else None
        )
        if channels is not None:
            channels = channels.repeat_interleave(V, dim=0)
            extra_BNE = channels if extra_BNE is None else torch.cat([extra_BNE, channels], -1)
        next_B1 = torch.where(begun_BN[:, -1:], time_BN[:, -1:] + 1, 0) if N else start_B1
        variate_BN = torch.arange(V, device=y_BL.device).repeat(items)[:, None].expand(-1, N)
        tokens = Tokens(x_BNP, seen_BNP, loc_BN1, scale_BN1, time_BN, variate_BN, extra_BNE)
        if self.joint and V > 1:
            tokens = tokens.each(lambda part: _interleave(part, V))
        return tokens, State(sums, known, past, moved_B2, next_B1)

    def _moves(self, loc_BN1: Tensor, scale_BN1: Tensor, state: State | None) -> tuple[Tensor | None, Tensor]:
        # Each token is scaled by its own statistics; without their movement it could not be compared with the last one.
        moved_B2 = torch.cat([loc_BN1[:, -1], scale_BN1[:, -1]], -1) if loc_BN1.shape[1] else loc_BN1.new_zeros(0, 2)
        if not self.moves:
            return None, moved_B2
        first_B12 = state.moved_B2[:, None] if state else torch.cat([loc_BN1, scale_BN1], -1)[:, :1]
        was_BN2 = torch.cat([first_B12, torch.cat([loc_BN1, scale_BN1], -1)[:, :-1]], 1)
        known_BN1 = (scale_BN1 > 0) & (was_BN2[..., 1:] > 0)
        unit_BN1 = torch.where(known_BN1, scale_BN1, 1.0)
        drift_BN1 = torch.where(known_BN1, (loc_BN1 - was_BN2[..., :1]) / unit_BN1, 0.0)
        growth_BN1 = torch.where(known_BN1, (unit_BN1 / torch.where(known_BN1, was_BN2[..., 1:], 1.0)).log(), 0.0)
        return torch.cat([drift_BN1, growth_BN1], -1).asinh().float(), moved_B2

    def frontier(self, variates: int) -> int:
        """Return the number of tokens of one time: the variates where they are joint, else 1."""
        return variates if self.joint else 1

    def series(self, values_BFT: Tensor, variates: int) -> Tensor:
        """Lay values of one or several times' tokens out as series, [items, V, steps]."""
        if not self.joint:
            return values_BFT.reshape(values_BFT.shape[0] // variates, variates, -1)
        B, FK, T = values_BFT.shape
        return values_BFT.view(B, FK // variates, variates, T).transpose(1, 2).reshape(B, variates, -1)

    def tokens(self, y_BVT: Tensor) -> Tensor:
        """Lay series out as one time's tokens, [B, F, steps]."""
        return y_BVT if self.joint else y_BVT.reshape(-1, 1, y_BVT.shape[-1])


def _interleave(part: Tensor, V: int) -> Tensor:
    """[items * V, N, ...] to [items, N * V, ...], time by time."""
    rows, N = part.shape[:2]
    return part.reshape(rows // V, V, N, *part.shape[2:]).transpose(1, 2).reshape(rows // V, N * V, *part.shape[2:])
