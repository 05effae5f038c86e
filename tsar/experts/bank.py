"""All experts at once: forecasts from the end of each series, and what they missed when asked earlier.

B series, L time, R origins (the end first), K earlier origins, E experts, H horizon.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tsar.experts import ar, naive, smoothing
from tsar.experts.season import Seasonal, seasonal
from tsar.experts.series import Series, backtest_origins, left_aligned, tail, take

NAMES = (
    "naive", "drift", "seasonal_naive", "long_seasonal_naive", "seasonal_average", "long_seasonal_average",
    "mean", "recent_mean", "ses", "theta", "log_theta", "far_theta", "damped_holt",
    "far_damped_holt", "holt", "local_drift", "ar_levels",
    "ar_differences", "ar_drift", "ar_seasonal", "ar_long_seasonal",
)  # fmt: skip
LONGEST = 4096  # steps of history that are read
MEMORY = 1024  # steps that trends are smoothed over
ORIGINS = 8  # earlier origins of the back-test


class Bank(NamedTuple):
    """Forecasts and back-test of every expert, in units of `scale_B`, the largest absolute value of each series."""

    forecast_BEH: Tensor
    error_BEKH: Tensor  # signed, forecast - actual; NaN where there is no actual
    series: Series
    seasonal: Seasonal
    scale_B: Tensor


def logarithms(parts: Seasonal) -> tuple[Series, Tensor]:
    """Take logarithms of adjusted series that are positive and not in logarithms yet; say which those are."""
    plain = parts.adjusted
    log_B = ~parts.log_B & (torch.where(plain.seen_BL, plain.y_BL, 1.0) > 0).all(1)
    return plain._replace(y_BL=torch.where(log_B[:, None], plain.y_BL.clamp_min(1e-300).log(), plain.y_BL)), log_B


def experts(values_BL: Tensor, horizon: int, period_B: tuple[Tensor, Tensor]) -> Bank:
    """Forecast with every expert of `NAMES`, for all series in one pass.

    Parameters
    ----------
    values_BL : Tensor
        History, NaN for missing; only the last `LONGEST` steps are read.
    horizon : int
        Steps ahead.
    period_B : pair of Tensor
        The main and the longer seasonal period of each series; 1 where there is none.

    Raises
    ------
    ValueError
        If a series has no value at all.
    """
    series = left_aligned(values_BL[:, -LONGEST:])
    largest_B = series.y_BL.abs().amax(1)
    scale_B = torch.where(largest_B > 0, largest_B, 1.0)
    series = series._replace(y_BL=series.y_BL / scale_B[:, None])
    origins_BR = backtest_origins(series.length_B, horizon, ORIGINS)
    parts = seasonal(series, period_B)
    adjusted = parts.adjusted
    ahead = parts.ahead(origins_BR, horizon)
    span_B = torch.minimum(torch.full_like(series.length_B, horizon), (series.length_B // 3).clamp_min(1))
    logs, log_B = logarithms(parts)
    both = Series(*(torch.cat(pair) for pair in zip(adjusted, logs, strict=True)))
    states = smoothing.ses_states(both)
    near = smoothing.ses_levels(both, states)
    far = smoothing.ses_levels(adjusted, states[: len(states) // 2], span_B=span_B)
    (plain_BL, log_BL), (alpha_B, log_alpha_B) = (part.chunk(2) for part in near)
    log_theta = smoothing.theta(logs, log_BL, log_alpha_B, origins_BR, horizon)
    ceiling = logs.y_BL.amax(1)[:, None, None] + 5  # e^5 of the largest value, so that nothing becomes infinite
    log_theta = torch.where(log_B[:, None, None], torch.minimum(log_theta, ceiling).exp(), log_theta)
    short = tail(adjusted, origins_BR, torch.full_like(series.length_B, MEMORY))
    trends = smoothing.holt_states(short[0], (*smoothing.HOLTS, *smoothing.LINES))
    damped, lines = trends[:, : len(smoothing.HOLTS)], trends[:, len(smoothing.HOLTS) :]
    cycles = tail(adjusted, origins_BR, (24 * period_B[0]).clamp_min(256))
    by_levels, by_steps, by_season, by_long_season = ar.forecast_all(
        [
            ar.levels(*cycles),
            ar.steps_of(adjusted, origins_BR),
            ar.seasonal_steps(series, origins_BR, period_B[0]),
            ar.seasonal_steps(series, origins_BR, period_B[1]),
        ],
        horizon,
        order=12,
    )
    (by_drift,) = ar.forecast_all([ar.steps_of(adjusted, origins_BR, drift=True)], horizon, order=4)
    recent = 2 * period_B[0].clamp(4, 200)
    all_BEORH = torch.stack(
        [
            naive.naive(series, origins_BR, horizon),
            naive.drift(series, origins_BR, horizon),
            naive.seasonal_naive(series, origins_BR, horizon, period_B[0]),
            naive.seasonal_naive(series, origins_BR, horizon, period_B[1]),
            naive.seasonal_naive(series, origins_BR, horizon, period_B[0], cycles=4),
            naive.seasonal_naive(series, origins_BR, horizon, period_B[1], cycles=4),
            *(
                parts.restore(forecast, ahead)
                for forecast in (
                    naive.mean(adjusted, origins_BR, horizon, LONGEST),
                    naive.mean(adjusted, origins_BR, horizon, recent[:, None]),
                    smoothing.ses(plain_BL, origins_BR, horizon),
                    smoothing.theta(adjusted, plain_BL, alpha_B, origins_BR, horizon),
                    log_theta,
                    smoothing.theta(adjusted, *far, origins_BR, horizon),
                    smoothing.holt(short[0], damped, short[1], horizon),
                    smoothing.holt(short[0], damped, short[1], horizon, span_B=span_B),
                    smoothing.holt(short[0], lines, short[1], horizon, smoothing.LINES),
                    naive.local_drift(adjusted, origins_BR, horizon),
                    by_levels,
                    by_steps,
                    by_drift,
                )
            ),
            by_season,
            by_long_season,
        ],
        1,
    )
    index = origins_BR[:, 1:, None] + 1 + torch.arange(horizon, device=origins_BR.device)
    usable = (index < series.length_B[:, None, None]) & (origins_BR[:, 1:, None] >= 0)
    usable &= take(series.seen_BL, index)
    actual = torch.where(usable, take(series.y_BL, index), torch.nan)
    return Bank(all_BEORH[:, :, 0], all_BEORH[:, :, 1:] - actual[:, None], series, parts, scale_B)
