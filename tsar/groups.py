"""Panels as the arrays that models read: groups of series end to end, and the context of each as one padded batch.

Legend: G groups (series, or joint sets of series), N items, V variates of a group, T steps end to end, B groups of a
batch, L context, H horizon, K known covariates, C past covariates, F static features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tsar import frequency
from tsar.features import Features
from tsar.model import TSAR
from tsar.panel import Panel
from tsar.tokens import Window, context_start


@dataclass(frozen=True)
class Groups:
    """Arrays of a panel, as `tsar.windows.Windows` takes them, and the known covariates after each group's end."""

    values_VT: NDArray[Any]
    offsets_G: NDArray[np.int64]
    keys: tuple[str, ...]
    known_KT: NDArray[Any] | None = None
    past_CT: NDArray[Any] | None = None
    static_GF: NDArray[Any] | None = None
    future_GKH: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of each group."""
        return np.diff(self.offsets_G)

    @property
    def variates(self) -> int:
        """Series of a group."""
        return len(self.values_VT)

    def arrays(self) -> dict[str, Any]:
        """Return the arguments of `Windows` that are data."""
        return {name: value for name, value in vars(self).items() if name != "future_GKH"}

    def contexts(self, groups: NDArray[np.int64], model: TSAR) -> Window:
        """Contexts of some groups as one batch, right-aligned and filled with NaN on the left.

        Where a context starts is a function of the group's own length alone: `tsar.tokens.context_start` for models
        that stream, the last `model.context` steps for others.
        """
        ends = self.offsets_G[groups + 1]
        starts = np.array([start_of(model, int(n)) for n in self.lengths[groups]])
        width = int((self.lengths[groups] - starts).max())
        time_BL = ends[:, None] + np.arange(-width, 0)
        inside_BL = time_BL >= (self.offsets_G[groups] + np.maximum(starts, 0))[:, None]
        index_BL = np.where(inside_BL, time_BL, 0)

        def cut(array_XT: NDArray[Any] | None) -> torch.Tensor | None:
            if array_XT is None:
                return None
            rows_BXL = np.where(inside_BL[:, None], np.swapaxes(array_XT[:, index_BL], 0, 1), np.nan)
            return torch.from_numpy(np.ascontiguousarray(rows_BXL))

        y_BVL, known_BKT = cut(self.values_VT), cut(self.known_KT)
        assert y_BVL is not None
        if known_BKT is not None and self.future_GKH is not None:
            known_BKT = torch.cat([known_BKT, torch.from_numpy(self.future_GKH[groups])], -1)
        static_GF = self.static_GF
        return Window(
            y_BVL=y_BVL,
            known_BKT=known_BKT,
            past_BCL=cut(self.past_CT),
            static_BF=None if static_GF is None else torch.from_numpy(static_GF[groups].astype("f4")),
            item=tuple(self.keys[g] for g in groups),
        )


def start_of(model: TSAR, length: int) -> int:
    """Return the step at which the context of a series of `length` steps starts."""
    if model.streams:
        return context_start(length, model.context, model.tokenizer.step, model.block)
    return max(0, length - model.context)


def groups_of(
    panel: Panel,
    features: Features,
    *,
    joint: bool,
    future: dict[str, NDArray[Any]] | None = None,
) -> Groups:
    """Arrays of a panel.

    Parameters
    ----------
    panel : Panel
    features : Features
    joint : bool
        All items are variates of one group; they must end at the same time.
    future : arrays [N, H] by name, optional
        Known covariates after each item's end.

    Raises
    ------
    ValueError
        If a joint panel's items end at different times, or do not share one time grid.
    """
    known_KT, past_CT = features.channels("known", panel.covariates), features.channels("past", panel.covariates)
    static_FN = features.channels("static", panel.static)
    future_KNH = features.channels("known", future) if future else None
    keys = tuple(str(item) for item in panel.ids)
    if not joint:
        return Groups(
            panel.values[None], panel.offsets, keys, known_KT, past_CT,
            static_GF=None if static_FN is None else static_FN.T,
            future_GKH=None if future_KNH is None else np.ascontiguousarray(np.swapaxes(future_KNH, 0, 1)),
        )  # fmt: skip
    place_T, length = _common_grid(panel)
    item_T = np.repeat(np.arange(len(panel)), panel.lengths)

    def align(array_XT: NDArray[Any]) -> NDArray[Any]:
        """[X, T] to [X, N, length]."""
        out = np.full((len(array_XT), len(panel), length), np.nan)
        out[:, item_T, place_T] = array_XT
        return out

    def stack(array_XT: NDArray[Any] | None) -> NDArray[Any] | None:
        return None if array_XT is None else align(array_XT).reshape(-1, length)

    return Groups(
        align(panel.values[None])[0],
        np.array([0, length]),
        (" ".join(keys),),
        stack(known_KT),
        stack(past_CT),
        static_GF=None if static_FN is None else static_FN.reshape(1, -1),
        future_GKH=None if future_KNH is None else future_KNH.reshape(1, -1, future_KNH.shape[-1]),
    )


def _common_grid(panel: Panel) -> tuple[NDArray[np.int64], int]:
    """Position of every row on the time grid that all items share, and the grid's length."""
    first_N, last_N = panel.times[panel.offsets[:-1]], panel.times[panel.offsets[1:] - 1]
    if (last_N != last_N[0]).any():
        odd = int(np.argmax(last_N != last_N[0]))
        raise ValueError(
            f"item {panel.ids[odd]!r} ends at {last_N[odd]}: expected {last_N[0]}, the end of item {panel.ids[0]!r}, "
            "since series modelled jointly are forecast from one time on"
        )
    place_T, on_grid_T = frequency.positions(panel.times, np.repeat(first_N.min(), len(panel.times)), panel.freq)
    if not on_grid_T.all():
        odd = int(np.searchsorted(panel.offsets, np.argmin(on_grid_T), side="right")) - 1
        raise ValueError(f"item {panel.ids[odd]!r} is not on the time grid of the others, expected one grid")
    return place_T, int(place_T.max()) + 1
