"""Points: each step of one variate is a token."""

from __future__ import annotations

from dataclasses import dataclass

from tsar.part import Part
from tsar.tokenizer import Inputs
from tsar.tokenizers.patch import NORMS, PatchTokenizer


@dataclass(frozen=True, kw_only=True)
class Point(Part):
    """Options of the point tokenizer; `norm` and `joint` as for `Patch`."""

    norm: str = "causal"
    joint: bool = False

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise ValueError(f"unknown norm {self.norm!r}: expected one of {', '.join(NORMS)}")

    def build(self, inputs: Inputs) -> PatchTokenizer:
        """Build the tokenizer: patches of one step."""
        return PatchTokenizer(1, 1, self.norm, self.joint, inputs)
