"""Variates: the whole lookback of a variate is one token (iTransformer, Liu et al. 2024, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass

from tsar.part import Part
from tsar.tokenizer import Inputs
from tsar.tokenizers.patch import NORMS, PatchTokenizer


@dataclass(frozen=True, kw_only=True)
class Variate(Part):
    """Options of the variate tokenizer.

    Parameters
    ----------
    norm : str
        As for `Patch`.
    joint : bool
        True gives an item V tokens, among which the core mixes; False makes every variate a row of its own, as linear
        maps from lookback to horizon want it.
    """

    norm: str = "window"
    joint: bool = True

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise ValueError(f"unknown norm {self.norm!r}: expected one of {', '.join(NORMS)}")

    def build(self, inputs: Inputs) -> PatchTokenizer:
        """Build the tokenizer: one patch of the whole context."""
        return PatchTokenizer(inputs.context, inputs.context, self.norm, self.joint, inputs)
