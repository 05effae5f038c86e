"""Detection of the seasonal period from the values, for series without usable time stamps.

B series, L time, K candidates.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tsar.experts.season import LONGER, line
from tsar.experts.series import Series

# Periods that calendars produce are tried with a lower threshold than arbitrary ones.
CALENDAR = (4, 7, 12, 24, 48, 52, 96, 144, 168, 288, 336, 672)
THRESHOLD, CALENDAR_THRESHOLD = 0.45, 0.25
SHORTER = 0.85  # share of the strongest correlation at which a shorter period is preferred


def autocorrelation(series: Series) -> Tensor:
    """Autocorrelations [B, L] of the differenced, detrended series, by FFT; each lag over the pairs it has."""
    y = series.y_BL - line(series)
    time = torch.arange(y.shape[1], device=y.device)
    inside = time < series.length_B[:, None]
    x = y * inside
    size = 2 * x.shape[1]
    power = torch.fft.rfft(x, n=size).abs().square()
    raw = torch.fft.irfft(power, n=size)[:, : x.shape[1]]
    pairs = (series.length_B[:, None] - time).clamp_min(1)
    scaled = raw / pairs
    return scaled / scaled[:, :1].clamp_min(1e-300)


def season_length(series: Series, longest: int = 1008) -> Tensor:
    """Period of each series [B]; 1 where no lag with two full cycles stands out.

    A lag qualifies if it is a local maximum of the autocorrelation, has at least two cycles in the series, exceeds a
    threshold, and the trough before it lies clearly lower (a slowly wandering series has no trough). The shortest of
    those nearly as strong as the strongest wins: multiples of a season are no seasons.
    """
    acf = autocorrelation(series)
    width = min(acf.shape[1], longest + 2)
    if width < 5:
        return torch.ones_like(series.length_B)
    acf = acf[:, :width]
    lag = torch.arange(width, device=acf.device)
    peak = torch.zeros_like(acf, dtype=torch.bool)
    peak[:, 2:-1] = (acf[:, 2:-1] >= acf[:, 1:-2]) & (acf[:, 2:-1] >= acf[:, 3:])
    calendar = torch.isin(lag, torch.tensor(CALENDAR, device=acf.device))
    trough = acf.cummin(1).values
    enough = lag * 2 <= series.length_B[:, None]
    noise = 2 / series.length_B.double().sqrt()[:, None]
    level = torch.where(calendar, CALENDAR_THRESHOLD, THRESHOLD) + noise
    good = peak & enough & (acf > level) & (acf - trough > level)
    strength = torch.where(good, acf, -torch.inf)
    near = strength >= SHORTER * strength.amax(1, keepdim=True)
    return torch.where(good.any(1), (near & good).int().argmax(1), 1)


def longer_season(season_B: Tensor) -> Tensor:
    """The second period that usually goes with a first one (day with week, week with year); 1 where none does."""
    out = torch.ones_like(season_B)
    for one, two in LONGER.items():
        out = torch.where(season_B == one, two, out)
    return out
