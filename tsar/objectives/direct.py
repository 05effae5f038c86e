"""One reading of a whole context predicts the whole horizon: PatchTST, iTransformer, linear maps.

Legend: B rows, N tokens, D core width, F tokens of one time, V variates, H horizon.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from tsar.objective import Frontier, Objective, Terms
from tsar.scale import standardise
from tsar.tokenizer import Tokenizer
from tsar.tokens import Window

if TYPE_CHECKING:
    from tsar.model import TSAR

POOLS = ("flatten", "last", "mean")


@dataclass(frozen=True, kw_only=True)
class Direct(Objective):
    """Options of direct multi-step prediction.

    Parameters
    ----------
    horizon : int
        Steps predicted at once; longer forecasts repeat with the forecast appended.
    pool : {"flatten", "last", "mean"}
        What the head reads of a variate's tokens: all of them side by side, the last one, or their mean.
    """

    horizon: int = 96
    pool: str = "flatten"

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise ValueError(f"horizon must be at least 1 step, found {self.horizon}")
        if self.pool not in POOLS:
            raise ValueError(f"unknown pool {self.pool!r}: expected one of {', '.join(POOLS)}")

    @property
    def causal(self) -> bool:
        """A whole context is read at once."""
        return False

    def reach(self, step: int) -> int:
        """Return the horizon."""
        return self.horizon

    def head_shape(self, width: int, tokens: int, tokenizer: Tokenizer) -> tuple[int, int]:
        """Return the shape of a head that predicts the horizon of one variate."""
        return width * (tokens if self.pool == "flatten" else 1), self.horizon * tokenizer.channels

    def loss(
        self, model: TSAR, window: Window, generator: torch.Generator | None, stats: list[Any] | None = None
    ) -> Terms:
        """Return one term per row and variate."""
        context, y_BVH = window.split(self.horizon)
        h_BFD, loc_BF1, scale_BF1 = self.frontier(model, context, stats)
        y_BFH = model.tokenizer.tokens(y_BVH)
        seen_BFH = ~y_BFH.isnan() & (scale_BF1 > 0)
        loss_BF = model.head.loss(h_BFD, standardise(y_BFH, loc_BF1, scale_BF1), seen_BFH, generator=generator)
        return Terms(loss_BF, seen_BFH.float().mean(-1))

    def frontier(self, model: TSAR, window: Window, stats: list[Any] | None = None) -> Frontier:
        """Encode exactly `model.context` steps and pool the tokens of each variate."""
        window = window.keep_last(model.context)
        tokens, _ = model.tokenizer.encode(window)
        h_BND = model.hidden(tokens, window, stats=stats)
        B, FN, D = h_BND.shape
        F = model.tokenizer.frontier(window.y_BVL.shape[1])
        h_BFND = h_BND.view(B, FN // F, F, D).transpose(1, 2)
        if self.pool == "flatten":
            h_BFD = h_BFND.reshape(B, F, -1)
        elif self.pool == "last":
            h_BFD = h_BFND[:, :, -1]
        else:
            valid_BFN1 = tokens.coordinates.valid_BN.view(B, FN // F, F, 1).transpose(1, 2)
            h_BFD = (h_BFND * valid_BFN1).sum(2) / valid_BFN1.sum(2).clamp(min=1)
        return Frontier(h_BFD, tokens.loc_BN1[:, -F:], tokens.scale_BN1[:, -F:])
