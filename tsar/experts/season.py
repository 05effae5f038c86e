"""Seasonal profiles at two periods, shrunk by how much of them is noise, additive or multiplicative per series.

B series, L time, S phases, H horizon, R origins.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tsar.experts.series import Origins, Series, fill, take

MEMORY = 0.9  # weight of a cycle relative to the next one in a profile

# The longer season that goes with a main one: day and week, week and year.
LONGER = {24: 168, 48: 336, 96: 672, 144: 1008, 288: 2016, 7: 365, 5: 260, 60: 1440, 1440: 10080}


class Seasonal(NamedTuple):
    """A series split into a seasonally adjusted part and its profiles."""

    adjusted: Series  # without the seasons; in logarithms where `log_B`
    season_BL: Tensor  # sum of the profiles over observed time, same units as `adjusted`
    profile_BS: tuple[Tensor, Tensor]
    period_B: tuple[Tensor, Tensor]
    log_B: Tensor  # bool: the seasons multiply
    strength_B: tuple[Tensor, Tensor]  # share of a profile that is kept, 0 … 1

    def ahead(self, origins_BR: Origins, horizon: int) -> Tensor:
        """Sum of the profiles [B, R, H] after each origin."""
        time = origins_BR[..., None] + 1 + torch.arange(horizon, device=origins_BR.device)
        one, two = (
            take(profile, phase(time, period[:, None, None]))
            for profile, period in zip(self.profile_BS, self.period_B, strict=True)
        )
        return one + two

    def restore(self, adjusted_BRH: Tensor, ahead_BRH: Tensor) -> Tensor:
        """Put the seasons (from `ahead`) back on forecasts of the adjusted series."""
        total = adjusted_BRH + ahead_BRH
        # A multiplicative forecast that runs away is stopped at e^5 of the largest value before it becomes infinite.
        ceiling = self.adjusted.y_BL.amax(1)[:, None, None] + 5
        return torch.where(self.log_B[:, None, None], torch.minimum(total, ceiling).exp(), total)


def phase(time: Tensor, period: Tensor) -> Tensor:
    """Position in the season."""
    return time % period


def line(series: Series) -> Tensor:
    """Least-squares line through each series [B, L]."""
    y, time, inside = moments(series)
    centred = (time - ((series.length_B - 1) / 2)[:, None]) * inside
    level = (y * inside).sum(1, keepdim=True) / series.length_B[:, None]
    slope = (y * centred).sum(1, keepdim=True) / centred.square().sum(1, keepdim=True).clamp_min(1e-12)
    return level + slope * (time - ((series.length_B - 1) / 2)[:, None])


def moments(series: Series) -> tuple[Tensor, Tensor, Tensor]:
    """Return values, time and whether a step is inside the series."""
    time = torch.arange(series.y_BL.shape[1], device=series.y_BL.device, dtype=series.y_BL.dtype)
    return series.y_BL, time, time < series.length_B[:, None]


def moving_average(y_BL: Tensor, length_B: Tensor, window_B: Tensor) -> Tensor:
    """Mean over a window of exactly `window_B` steps around each step, pushed inside the series at its ends."""
    sums = torch.nn.functional.pad(y_BL.cumsum(1), (1, 0))
    time = torch.arange(y_BL.shape[1], device=y_BL.device)
    window = torch.minimum(window_B, length_B)[:, None]
    start = torch.minimum((time - window // 2).clamp_min(0), length_B[:, None] - window)
    return (take(sums, start + window) - take(sums, start)) / window


def profile(rest_BL: Tensor, series: Series, period_B: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean of each phase, shrunk towards zero (positive-part James-Stein): ([B, S], share kept [B])."""
    _, time, inside = moments(series)
    age = (series.length_B[:, None] - 1 - time) / period_B[:, None]
    weight = MEMORY ** age.clamp_min(0) * (series.seen_BL & inside)
    where = phase(time.long()[None], period_B[:, None])
    zeros = rest_BL.new_zeros(len(rest_BL), int(period_B.max()))
    total = zeros.scatter_add(1, where, weight)
    square = zeros.scatter_add(1, where, weight.square())
    mean = zeros.scatter_add(1, where, weight * rest_BL) / total.clamp_min(1e-12)
    filled = total > 0
    centre = (mean * filled).sum(1, keepdim=True) / filled.sum(1, keepdim=True).clamp_min(1)
    mean = (mean - centre) * filled
    within = (weight * (rest_BL - centre - take(mean, where)).square()).sum(1) / weight.sum(1).clamp_min(1e-12)
    # Values per phase that carry information; one cycle alone cannot tell season from noise.
    cycles = (total.sum(1).square() / square.sum(1).clamp_min(1e-12)) / filled.sum(1).clamp_min(1)
    noise = within / (cycles - 1).clamp_min(1e-3)
    between = mean.square().sum(1) / filled.sum(1).clamp_min(1)
    kept = (1 - noise / between.clamp_min(1e-30)).clamp(0, 1) * (cycles > 1.2) * (period_B > 1)
    return mean * kept[:, None], kept


def decompose(series: Series, period_B: tuple[Tensor, Tensor]) -> Seasonal:
    """Split additively."""
    y, time, inside = moments(series)
    flat = y - line(series)
    profiles, kept, season = [], [], torch.zeros_like(y)
    for period in period_B:
        rest = flat - season
        # A series shorter than a cycle and a half has no moving average worth the name.
        one, share = profile(rest - moving_average(rest * inside, series.length_B, period), series, period)
        season = season + take(one, phase(time.long()[None], period[:, None]).expand(len(y), -1))
        profiles.append(one)
        kept.append(share)
    rest = torch.where(series.seen_BL, y - season, 0.0)
    adjusted = Series(fill(rest, series.seen_BL) if not bool(series.seen_BL.all()) else rest, *series[1:])
    log = torch.zeros(len(y), dtype=torch.bool, device=y.device)
    return Seasonal(adjusted, season, (profiles[0], profiles[1]), period_B, log, (kept[0], kept[1]))


def halves(parts: Seasonal) -> tuple[Seasonal, Seasonal]:
    """Take a decomposition of two stacked batches apart."""

    def half(which: int) -> Seasonal:
        def cut(x: Tensor) -> Tensor:
            return x.chunk(2)[which]

        one, two = (tuple(map(cut, pair)) for pair in (parts.profile_BS, parts.strength_B))
        return Seasonal(
            Series(*map(cut, parts.adjusted)),
            cut(parts.season_BL),
            (one[0], one[1]),
            (cut(parts.period_B[0]), cut(parts.period_B[1])),
            cut(parts.log_B),
            (two[0], two[1]),
        )

    return half(0), half(1)


def seasonal(series: Series, period_B: tuple[Tensor, Tensor]) -> Seasonal:
    """Split each series additively or multiplicatively, whichever leaves the smaller residuals around its trend."""
    positive = (torch.where(series.seen_BL, series.y_BL, 1.0) > 0).all(1) & (period_B[0] > 1)
    if not bool(positive.any()):
        return decompose(series, period_B)
    safe = torch.where(positive[:, None], series.y_BL, 1.0).clamp_min(1e-300)
    both = Series(*(torch.cat(pair) for pair in zip(series, series._replace(y_BL=safe.log()), strict=True)))
    plain, logs = halves(decompose(both, (period_B[0].repeat(2), period_B[1].repeat(2))))
    positive &= plain.strength_B[0] > 0

    # Both are judged in the units of the series, against the same trend.
    _, _, inside = moments(series)
    counted = series.seen_BL & inside
    trend = moving_average(series.y_BL, series.length_B, period_B[0])
    log_trend = moving_average(safe.log(), series.length_B, period_B[0])
    error = ((series.y_BL - trend - plain.season_BL).square() * counted).sum(1)
    log_error = ((series.y_BL - (log_trend + logs.season_BL).clamp(max=700).exp()).square() * counted).sum(1)
    log = positive & (log_error < error)
    pick = log[:, None]
    adjusted = Series(torch.where(pick, logs.adjusted.y_BL, plain.adjusted.y_BL), *series[1:])
    return Seasonal(
        adjusted,
        torch.where(pick, logs.season_BL, plain.season_BL),
        (
            torch.where(pick, logs.profile_BS[0], plain.profile_BS[0]),
            torch.where(pick, logs.profile_BS[1], plain.profile_BS[1]),
        ),
        period_B,
        log,
        (
            torch.where(log, logs.strength_B[0], plain.strength_B[0]),
            torch.where(log, logs.strength_B[1], plain.strength_B[1]),
        ),
    )
