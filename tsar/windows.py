"""Training windows as index pairs (group, end) gathered straight from contiguous arrays.

Nothing is materialised but the batch at hand: the arrays may be memory-mapped files larger than memory. A group is one
series, or V series measured at the same times when they are modelled jointly.

Legend: G groups, V variates of a group, T all groups' steps end to end, B windows of a batch, L context, H horizon,
K known covariates, C past covariates, F static features.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tsar.tokens import Window

SAMPLING = ("length", "series")


@dataclass(frozen=True)
class Windows:
    """Windows of `context` + `horizon` steps over groups of series stored end to end.

    A window that reaches before its group's first step or past its last one is filled with NaN there, so a series
    shorter than the context still gives windows, and nothing ever leaks from one group into the next.

    Parameters
    ----------
    values_VT : array [V, T]
        Values of all groups, one after the other; NaN is missing. May be an `np.memmap`.
    offsets_G : array [G + 1] of int
        Group g owns the steps offsets[g] : offsets[g + 1].
    context, horizon : int
        Steps seen and steps ahead of a window.
    known_KT, past_CT : array [K, T], [C, T], optional
        Covariates known over context and horizon, and covariates observed in the past only.
    static_GF : array [G, F], optional
        Features of a group that do not change with time.
    season_G : array [G] of int, optional
        Season length of each group, in steps.
    keys : sequence of str
        Position-free identity of each group; default its number.
    sampling : {"length", "series"}
        Draw every window equally often, or every group equally often.
    min_context : int, optional
        Least number of steps before the forecast origin in a drawn window; default `context`, where the group has
        that many.
    ends_2G : array [2, G] of int, optional
        First and last end of a group's windows (the index after the last target); `split` sets them.

    Raises
    ------
    ValueError
        If shapes disagree or a size is not positive.
    """

    values_VT: NDArray[Any]
    offsets_G: NDArray[np.int64]
    context: int
    horizon: int
    known_KT: NDArray[Any] | None = None
    past_CT: NDArray[Any] | None = None
    static_GF: NDArray[Any] | None = None
    season_G: NDArray[np.int64] | None = None
    keys: Sequence[str] = ()
    sampling: str = "length"
    min_context: int | None = None
    ends_2G: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        offsets_G = np.asarray(self.offsets_G, dtype=np.int64)
        length_G = np.diff(offsets_G)
        if self.values_VT.ndim != 2:
            raise ValueError(f"values must be [variates, steps], found shape {self.values_VT.shape}")
        if len(length_G) == 0 or (length_G < 1).any() or offsets_G[-1] != self.values_VT.shape[1] or offsets_G[0] != 0:
            raise ValueError(
                f"offsets must rise from 0 to {self.values_VT.shape[1]} with no empty group, found {offsets_G}"
            )
        if self.context < 1 or self.horizon < 0:
            raise ValueError(f"expected context >= 1 and horizon >= 0, found {self.context} and {self.horizon}")
        if self.sampling not in SAMPLING:
            raise ValueError(f"unknown sampling {self.sampling!r}: expected one of {SAMPLING}")
        for name, array in (("known", self.known_KT), ("past", self.past_CT)):
            if array is not None and array.shape[1] != self.values_VT.shape[1]:
                raise ValueError(f"{name} covariates must have {self.values_VT.shape[1]} steps, found {array.shape[1]}")
        object.__setattr__(self, "offsets_G", offsets_G)
        if len(self) == 0:
            raise ValueError("no group is long enough for a window")

    @cached_property
    def _first_G(self) -> NDArray[np.int64]:
        if self.ends_2G is not None:
            return self.ends_2G[0]
        length_G = np.diff(self.offsets_G)
        least = self.context if self.min_context is None else min(self.min_context, self.context)
        # A group too short for the whole window gives the one window that keeps a step of context.
        return self.offsets_G[:-1] + np.maximum(np.minimum(least, length_G - self.horizon), 1) + self.horizon

    @cached_property
    def _last_G(self) -> NDArray[np.int64]:
        return np.maximum(self.offsets_G[1:], self._first_G) if self.ends_2G is None else self.ends_2G[1]

    @cached_property
    def _counts_G(self) -> NDArray[np.int64]:
        return np.maximum(self._last_G - self._first_G + 1, 0)

    @cached_property
    def _weight_G(self) -> NDArray[np.int64]:
        """Running sum of how often each group is drawn."""
        return np.cumsum(self._counts_G if self.sampling == "length" else self._counts_G > 0)

    def __len__(self) -> int:
        """Count the windows."""
        return int(self._counts_G.sum())

    @property
    def width(self) -> int:
        """Steps of one window: context + horizon."""
        return self.context + self.horizon

    def draw(self, size: int, seed: int, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Index pairs (group, end) of training step `step`: a pure function of (seed, step), so a run can resume."""
        rng = np.random.default_rng((seed, step))
        total = int(self._weight_G[-1])
        pick_B = rng.integers(total, size=size)
        group_B = np.searchsorted(self._weight_G, pick_B, side="right")
        end_B = self._first_G[group_B] + (rng.random(size) * self._counts_G[group_B]).astype(np.int64)
        return group_B, end_B

    def grid(self, most: int | None = None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Index pairs of all windows, or of `most` of them evenly spread over groups and time."""
        total = len(self)
        pick_B = np.arange(total) if most is None or most >= total else np.linspace(0, total - 1, most).astype(np.int64)
        bounds_G = np.cumsum(self._counts_G)
        group_B = np.searchsorted(bounds_G, pick_B, side="right")
        return group_B, self._first_G[group_B] + pick_B - (bounds_G - self._counts_G)[group_B]

    def split(self, steps: int) -> tuple[Windows, Windows]:
        """Split in time: windows ending before the last `steps` of their group, and windows whose targets lie in them.

        Raises
        ------
        ValueError
            If no group is long enough to leave windows on both sides.
        """
        cut_G = self.offsets_G[1:] - steps
        left_2G = np.stack([self._first_G, np.minimum(self._last_G, cut_G)])
        right_2G = np.stack([np.maximum(self._first_G, cut_G + self.horizon), self._last_G])
        try:
            return replace(self, ends_2G=left_2G), replace(self, ends_2G=right_2G)
        except ValueError:
            need = steps + self.horizon + 1
            raise ValueError(
                f"cannot hold out {steps} steps for validation: the longest series has "
                f"{int(np.diff(self.offsets_G).max())} steps, expected at least {need}"
            ) from None

    def gather(self, group_B: NDArray[np.int64], end_B: NDArray[np.int64]) -> Window:
        """Copy the windows at the index pairs into one batch of tensors."""
        start_B = end_B - self.width
        low_B, high_B = self.offsets_G[group_B], self.offsets_G[group_B + 1]
        rows = _Rows(start_B, low_B, high_B, self.width)
        y_BVT = rows.take(self.values_VT)
        return Window(
            y_BVL=y_BVT,
            known_BKT=None if self.known_KT is None else rows.take(self.known_KT),
            past_BCL=None if self.past_CT is None else rows.take(self.past_CT),
            static_BF=None
            if self.static_GF is None
            else torch.from_numpy(np.asarray(self.static_GF[group_B], dtype=np.float32)),
            season_B=None if self.season_G is None else torch.from_numpy(np.asarray(self.season_G[group_B])),
            item=tuple(self.keys[g] for g in group_B) if self.keys else None,
        )

    def batch(self, size: int, seed: int, step: int) -> Window:
        """Gather the batch of training step `step`."""
        return self.gather(*self.draw(size, seed, step))


class _Rows:
    """Copies rows [start, start + width) out of arrays [X, T], NaN outside [low, high)."""

    def __init__(
        self, start_B: NDArray[np.int64], low_B: NDArray[np.int64], high_B: NDArray[np.int64], width: int
    ) -> None:
        self.start_B, self.width = start_B, width
        self.outside_BT: NDArray[np.bool_] | None = None
        if (start_B < low_B).any() or (start_B + width > high_B).any():
            self.index_BT = start_B[:, None] + np.arange(width)
            self.outside_BT = (self.index_BT < low_B[:, None]) | (self.index_BT >= high_B[:, None])

    def take(self, array_XT: NDArray[Any]) -> torch.Tensor:
        """Rows of every line of `array_XT`, in its own precision: [B, X, width]."""
        if self.outside_BT is None:  # whole rows: contiguous copies, the fast path
            view_XNT = sliding_window_view(array_XT, self.width, axis=1)
            out_BXT = np.empty((len(self.start_B), len(array_XT), self.width), dtype=array_XT.dtype)
            for x in range(len(array_XT)):
                out_BXT[:, x] = view_XNT[x, self.start_B]
        else:
            clipped_BT = self.index_BT.clip(0, array_XT.shape[1] - 1)
            out_BXT = np.ascontiguousarray(np.swapaxes(array_XT[:, clipped_BT], 0, 1))
            out_BXT[np.broadcast_to(self.outside_BT[:, None], out_BXT.shape)] = np.nan
        return torch.from_numpy(out_BXT)


def save_arrays(directory: str | Path, values_VT: NDArray[Any], offsets_G: NDArray[np.int64], **more: Any) -> None:
    """Write arrays as .npy files that `open_arrays` maps back without reading them.

    Parameters
    ----------
    directory : path
        Made if it does not exist.
    values_VT, offsets_G, **more
        As in `Windows`: also `known_KT`, `past_CT`, `static_GF`, `season_G`, `keys`.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    keys = list(more.pop("keys", ()))
    arrays = {"values_VT": values_VT, "offsets_G": offsets_G} | {k: v for k, v in more.items() if v is not None}
    for name, array in arrays.items():
        np.save(directory / f"{name}.npy", np.asarray(array), allow_pickle=False)
    (directory / "windows.json").write_text(json.dumps({"arrays": sorted(arrays), "keys": keys}))


def open_arrays(directory: str | Path) -> dict[str, Any]:
    """Map the arrays that `save_arrays` wrote: `Windows(**open_arrays(dir), context=512, horizon=96)`."""
    directory = Path(directory)
    listing = json.loads((directory / "windows.json").read_text())
    out = {n: np.load(directory / f"{n}.npy", mmap_mode="r", allow_pickle=False) for n in listing["arrays"]}
    return out | {"keys": tuple(listing["keys"])}
