"""Forecasts that copy the past: naive, drift, mean, seasonal naive, seasonal window average.

B series, L time, R origins, H horizon. Every function returns [B, R, H].
"""

from __future__ import annotations

import torch
from torch import Tensor

from tsar.experts.series import Origins, Series, take


def steps(horizon: int, like: Tensor) -> Tensor:
    """1 … horizon as float64."""
    return torch.arange(1, horizon + 1, device=like.device, dtype=torch.float64)


def naive(series: Series, origins_BR: Origins, horizon: int) -> Tensor:
    """Repeat the last value."""
    return take(series.y_BL, origins_BR)[..., None].expand(-1, -1, horizon)


def drift(series: Series, origins_BR: Origins, horizon: int) -> Tensor:
    """Continue the line through the first and the last value (Hyndman & Athanasopoulos, FPP3, section 5.2)."""
    last = take(series.y_BL, origins_BR)
    slope = (last - series.y_BL[:, :1]) / origins_BR.clamp_min(1)
    return last[..., None] + slope[..., None] * steps(horizon, last)


def mean(series: Series, origins_BR: Origins, horizon: int, window: int | Tensor) -> Tensor:
    """Mean of the last `window` values (all of them where there are fewer)."""
    sums = torch.nn.functional.pad(series.y_BL.cumsum(1), (1, 0))
    end = origins_BR + 1
    start = (end - window).clamp_min(0)
    average = (take(sums, end) - take(sums, start)) / (end - start).clamp_min(1)
    return average[..., None].expand(-1, -1, horizon)


def seasonal_naive(series: Series, origins_BR: Origins, horizon: int, season_B: Tensor, cycles: int = 1) -> Tensor:
    """Average the values at the same phase of the last `cycles` seasons.

    Steps of a season that lie before the start of the series are left out; where none is left, the last value stands.
    """
    h = torch.arange(horizon, device=season_B.device)
    season = season_B[:, None, None]
    at = origins_BR[..., None] + 1 - season + h % season  # the last season, repeated
    back = torch.arange(cycles, device=season_B.device)
    index = at[..., None] - back * season[..., None]
    inside = index >= 0
    total = (take(series.y_BL, index) * inside).sum(-1)
    count = inside.sum(-1)
    return torch.where(count > 0, total / count.clamp_min(1), naive(series, origins_BR, horizon))


def local_drift(series: Series, origins_BR: Origins, horizon: int, window: int = 8, phi: float = 0.9) -> Tensor:
    """Continue the mean of the last `window` differences, damped by `phi` a step."""
    last = take(series.y_BL, origins_BR)
    span = origins_BR.clamp(1, window)
    slope = (last - take(series.y_BL, origins_BR - span)) / span
    damping = (phi ** steps(horizon, last)).cumsum(0)
    return last[..., None] + slope[..., None] * damping
