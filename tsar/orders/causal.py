"""Decode from first to last: each group of tokens is given all tokens before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tsar.part import Part


@dataclass(frozen=True, kw_only=True)
class Causal(Part):
    """Options of the causal order.

    Parameters
    ----------
    take : int, optional
        Tokens kept of each reading of the head before the model reads its own output; all that the head gives by
        default. Fewer cost more passes and see newer values.
    """

    take: int | None = None

    def __post_init__(self) -> None:
        if self.take is not None and self.take < 1:
            raise ValueError(f"take must be at least 1 token, found {self.take}")

    def groups(self, tokens: int, most: int) -> Iterator[range]:
        """Yield the positions decoded together, one reading of the head after another.

        Parameters
        ----------
        tokens : int
            Tokens to decode.
        most : int
            Tokens that one reading gives.
        """
        size = min(most, self.take or most)
        for start in range(0, tokens, size):
            yield range(start, min(start + size, tokens))
