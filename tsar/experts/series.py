"""The series that every expert reads: left-aligned, filled, with the points in time from which to forecast.

B series, L time, R origins, H horizon.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

Origins = Tensor  # o_BR int64: index of the last observed step of each forecast; -1 where a series is too short for it


class Series(NamedTuple):
    """Left-aligned series: step t of series b is `y_BL[b, t]`, its last step is `length_B[b] - 1`."""

    y_BL: Tensor  # float64, missing values filled, the last value repeated after the end
    seen_BL: Tensor  # bool
    length_B: Tensor  # int64


def take(x_BL: Tensor, index_BX: Tensor) -> Tensor:
    """Values of each series at its own indices (clamped into the array), any shape after B."""
    flat = index_BX.reshape(len(x_BL), -1).clamp(0, x_BL.shape[1] - 1)
    return x_BL.gather(1, flat).view(index_BX.shape)


def left_aligned(values_BL: Tensor) -> Series:
    """Move each series to the left edge, cutting missing values at both ends, and fill gaps linearly.

    Parameters
    ----------
    values_BL : Tensor
        Values with NaN for what is missing, padding included, wherever it stands.

    Raises
    ------
    ValueError
        If a series has no value at all.
    """
    seen = torch.isfinite(values_BL)
    if not bool(seen.any(1).all()):
        first = int((~seen.any(1)).nonzero()[0, 0])
        raise ValueError(f"series {first} has no observed value, expected at least one")
    width = values_BL.shape[1]
    time = torch.arange(width, device=values_BL.device)
    start_B = seen.int().argmax(1)
    end_B = width - seen.flip(1).int().argmax(1)
    index = time[None] + start_B[:, None]
    seen = take(seen, index) & (index < end_B[:, None])
    length_B = end_B - start_B
    longest = int(length_B.max())
    y = take(values_BL, index)[:, :longest].double()
    seen = seen[:, :longest]
    return Series(fill(y, seen), seen, length_B)


def tail(series: Series, origins_BR: Origins, width_B: Tensor) -> tuple[Series, Origins]:
    """Keep the last `width_B` steps of each series; origins before them are clamped to their start."""
    width = int(torch.minimum(width_B, series.length_B).max())
    if width == series.y_BL.shape[1] and bool((width_B >= series.length_B).all()):
        return series, origins_BR
    shift_B1 = (series.length_B - width_B).clamp_min(0)[:, None]
    index = shift_B1 + torch.arange(width, device=shift_B1.device)
    kept = Series(take(series.y_BL, index), take(series.seen_BL, index), torch.minimum(series.length_B, width_B))
    return kept, (origins_BR - shift_B1).clamp_min(0)


def fill(y_BL: Tensor, seen_BL: Tensor) -> Tensor:
    """Interpolate linearly between the nearest seen neighbours; repeat the outermost value outside them."""
    if bool(seen_BL.all()):
        return y_BL
    width = y_BL.shape[1]
    time = torch.arange(width, device=y_BL.device).expand_as(y_BL)
    before = torch.where(seen_BL, time, -1).cummax(1).values
    after = torch.where(seen_BL, time, width).flip(1).cummin(1).values.flip(1)
    before, after = torch.where(before < 0, after, before), torch.where(after >= width, before, after)
    y = torch.where(seen_BL, y_BL, 0.0)
    low, high = take(y, before), take(y, after)
    part = (time - before).double() / (after - before).clamp_min(1)
    return torch.where(seen_BL, y, low + (high - low) * part)


def backtest_origins(length_B: Tensor, horizon: int, count: int) -> Origins:
    """Return the end of each series first, then `count` earlier origins spread over the last 2·horizon steps.

    At most half of a series is used, so that what is forecast from an origin rests on as much past.
    """
    span_B = torch.minimum(length_B // 2, torch.full_like(length_B, 2 * horizon))
    back = torch.arange(1, count + 1, device=length_B.device)
    step_BR = torch.div(span_B[:, None] * back[None], count, rounding_mode="floor")
    # Repeated origins of short series are voided, or a single error would count several times.
    fresh = torch.cat([step_BR[:, :1] > 0, step_BR[:, 1:] > step_BR[:, :-1]], 1)
    origin = torch.where(fresh, length_B[:, None] - 1 - step_BR, -1)
    return torch.cat([(length_B - 1)[:, None], origin], 1)
