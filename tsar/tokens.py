"""What travels through a model: windows of values in, tokens with their scale and coordinates inside.

Legend: B items, V variates, L context steps, H horizon steps, T = L + H, K known covariates, C past covariates,
F static features, N tokens, P token width, E extra channels. Rows of `Tokens` are items, or items x variates where a
tokenizer treats variates independently; both are written B.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Window(NamedTuple):
    """What a model sees of B items; absent parts are None and NaN is the one sign of a missing value.

    Parameters
    ----------
    y_BVL : Tensor
        Values in raw units, right-aligned: the last step is the last one known. In training the steps to predict are
        the last ones of `y_BVL` itself.
    known_BKT : Tensor, optional
        Covariates known over the context and the horizon, T >= L.
    past_BCL : Tensor, optional
        Covariates observed in the past only.
    static_BF : Tensor, optional
        One feature vector per item.
    label_B : Tensor, optional
        Integer class per item.
    season_B : Tensor, optional
        Season length per item in steps.
    item : tuple of str, optional
        Keys of the items; they seed samples, so that a series draws the same numbers in any batch.
    """

    y_BVL: Tensor
    known_BKT: Tensor | None = None
    past_BCL: Tensor | None = None
    static_BF: Tensor | None = None
    label_B: Tensor | None = None
    season_B: Tensor | None = None
    item: tuple[str, ...] | None = None

    def to(self, device: torch.device | str) -> Window:
        """Return the window with every tensor on `device`."""
        return self._each(lambda part: part.to(device))

    def repeat(self, n: int) -> Window:
        """Return each item `n` times in a row (item-major)."""
        window = self._each(lambda part: part.repeat_interleave(n, dim=0))
        return window._replace(item=self.item and tuple(key for key in self.item for _ in range(n)))

    def _each(self, function: Callable[[Tensor], Tensor]) -> Window:
        parts: list[Any] = [function(part) if isinstance(part, Tensor) else part for part in self]
        return Window(*parts)

    def keep_last(self, length: int) -> Window:
        """Return the window with exactly `length` context steps: cut, or filled with NaN, on the left."""
        extra = length - self.y_BVL.shape[-1]
        return self._replace(
            y_BVL=left(self.y_BVL, extra),
            known_BKT=None if self.known_BKT is None else left(self.known_BKT, extra),
            past_BCL=None if self.past_BCL is None else left(self.past_BCL, extra),
        )

    def split(self, horizon: int) -> tuple[Window, Tensor]:
        """Cut the last `horizon` steps of the values off: the window before them (known covariates stay), and them."""
        length = self.y_BVL.shape[-1] - horizon
        if length < 1:
            raise ValueError(f"window of {self.y_BVL.shape[-1]} steps: expected more than the horizon of {horizon}")
        past_BCL = None if self.past_BCL is None else self.past_BCL[..., :length]
        return self._replace(y_BVL=self.y_BVL[..., :length], past_BCL=past_BCL), self.y_BVL[..., length:]

    def append(self, y_BVT: Tensor) -> Window:
        """Return the window with values appended; past covariates of the new steps are missing."""
        past_BCL = self.past_BCL
        if past_BCL is not None:
            past_BCL = torch.nn.functional.pad(past_BCL, (0, y_BVT.shape[-1]), value=torch.nan)
        return self._replace(y_BVL=torch.cat([self.y_BVL, y_BVT.to(self.y_BVL.dtype)], -1), past_BCL=past_BCL)


class Coordinates(NamedTuple):
    """Where tokens stand: masks and rotary positions are functions of these alone.

    Parameters
    ----------
    time_BN : Tensor
        Position in time in tokens, counted from the item's first token with a seen value; -1 before it.
    variate_BN : Tensor
        Index of the variate.
    valid_BN : Tensor
        True where the token carries something; other tokens attend to no invalid token.
    segment_BN : Tensor, optional
        What the segment, prefix, block and denoise masks go by.
    """

    time_BN: Tensor
    variate_BN: Tensor
    valid_BN: Tensor
    segment_BN: Tensor | None = None

    def each(self, function: Callable[[Tensor], Tensor]) -> Coordinates:
        """Return the coordinates with `function` applied to every part that is there."""
        parts: list[Any] = [part if part is None else function(part) for part in self]
        return Coordinates(*parts)


class Tokens(NamedTuple):
    """Scaled vectors with what was seen of them, their scale and their coordinates.

    Tokens of several variates are laid out time-major: all variates of a time, then the next time.

    Parameters
    ----------
    x_BNP : Tensor
        Scaled values, 0 where unseen.
    seen_BNP : Tensor
        True where the value was seen.
    loc_BN1, scale_BN1 : Tensor
        Raw value = loc + scale * x. A scale of 0 says that nothing varied so far.
    time_BN, variate_BN : Tensor
        Integer coordinates, see `Coordinates`.
    extra_BNE : Tensor, optional
        Further input channels: covariates, and how loc and scale moved since the token before.
    """

    x_BNP: Tensor
    seen_BNP: Tensor
    loc_BN1: Tensor
    scale_BN1: Tensor
    time_BN: Tensor
    variate_BN: Tensor
    extra_BNE: Tensor | None = None

    def each(self, function: Callable[[Tensor], Tensor]) -> Tokens:
        """Return the tokens with `function` applied to every part that is there."""
        parts: list[Any] = [part if part is None else function(part) for part in self]
        return Tokens(*parts)

    def join(self, after: Tokens) -> Tokens:
        """Return these tokens followed by others."""
        parts: list[Any] = [
            None if a is None or b is None else torch.cat([a, b], 1) for a, b in zip(self, after, strict=True)
        ]
        return Tokens(*parts)

    @property
    def coordinates(self) -> Coordinates:
        """The tokens' coordinates; a token is valid when something of it was seen."""
        return Coordinates(self.time_BN, self.variate_BN, self.seen_BNP.any(-1))


def left(y: Tensor, extra: int) -> Tensor:
    """Fill (`extra` > 0) with NaN or cut (`extra` < 0) steps on the left of the last axis."""
    return torch.nn.functional.pad(y, (extra, 0), value=torch.nan) if extra else y


def context_start(length: int, context: int, step: int, block: int) -> int:
    """Return the step at which the context of a series of `length` steps starts.

    Tokens are right-aligned, so boundaries lie at `length` modulo `step`. The start moves only in blocks: as a series
    grows by whole tokens its old tokens keep their place, and a cache of them stays exact, until the context has grown
    past `context`; then the start jumps by `block`.

    Parameters
    ----------
    length : int
        Steps of the series.
    context : int
        Most steps that a context holds; a multiple of `step`.
    step : int
        Steps per token.
    block : int
        Steps by which the start jumps; a multiple of `step`, at most `context`.

    Returns
    -------
    int
        The start, congruent to `length` modulo `step`; negative (by less than a step) where the first token is only
        partly there.
    """
    first = -(-length % step)
    return first + block * max(0, -(-(length - context - first) // block))
