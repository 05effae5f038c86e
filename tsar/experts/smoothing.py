"""Exponential smoothing for every series, grid point and origin at once: SES, Theta and damped Holt.

Smoothing parameters are chosen from a grid, per series, by the squared error over what was seen: of one step ahead, or
of the mean over several steps ahead, which forgives what does not last.

B series, L time, R origins, H horizon, G grid points.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from tsar.experts.naive import steps
from tsar.experts.scan import filter_states
from tsar.experts.series import Origins, Series, take

ALPHAS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 0.99)
# (alpha, beta, phi) of x_t = φ-damped trend in the form of Hyndman et al. (2008), table 2.2: β multiplies α·error.
HOLTS = tuple((a, a * b, phi) for a, b, phi in itertools.product((0.1, 0.3, 0.6, 0.95), (0.05, 0.3), (0.9, 0.98)))
# Undamped: Holt's linear trend.
LINES = tuple((a, a * b, 1.0) for a, b in itertools.product((0.1, 0.3, 0.6, 0.95), (0.01, 0.1, 0.4)))


def best(ahead_BGL: Tensor, series: Series, span_B: Tensor | None = None) -> Tensor:
    """Index of the grid point with the smallest squared error of each series [B].

    Parameters
    ----------
    ahead_BGL : Tensor
        Forecast made at each time: of the next value, or of the mean of the next `span_B` values.
    span_B : Tensor, optional
        Steps whose mean is forecast; 1 by default.
    """
    y, n = series.y_BL, series.length_B[:, None]
    time = torch.arange(y.shape[1], device=y.device)
    if span_B is None:
        target, counted = y[:, 1:], series.seen_BL[:, 1:] & (time[1:] < n)
    else:
        sums = torch.nn.functional.pad(y.cumsum(1), (1, 0))
        end = time + 1 + span_B[:, None]
        target = ((take(sums, end) - sums[:, 1:]) / span_B[:, None])[:, :-1]
        counted = ((end <= n) & (time >= 2))[:, :-1]
    error = (target[:, None] - ahead_BGL[..., :-1]) * counted[:, None]
    return error.square().sum(-1).argmin(1)


def ses_states(series: Series, alphas: Sequence[float] = ALPHAS) -> Tensor:
    """Levels l_t = α y_t + (1 - α) l_{t-1}, l_0 = y_0, for every α: [B, G, L]."""
    transitions, gains = tuple(((1 - a,),) for a in alphas), tuple((a,) for a in alphas)
    return filter_states(series.y_BL, transitions, gains, series.y_BL[:, :1])[:, :, 0]


def ses_levels(
    series: Series, states_BGL: Tensor, alphas: Sequence[float] = ALPHAS, span_B: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Levels with each series' best α: ([B, L], α [B])."""
    chosen = best(states_BGL, series, span_B)
    alpha_G = torch.tensor(alphas, dtype=states_BGL.dtype, device=states_BGL.device)
    return states_BGL[torch.arange(len(chosen), device=chosen.device), chosen], alpha_G[chosen]


def ses(levels_BL: Tensor, origins_BR: Origins, horizon: int) -> Tensor:
    """Simple exponential smoothing: the level stays."""
    return take(levels_BL, origins_BR)[..., None].expand(-1, -1, horizon)


def theta(series: Series, levels_BL: Tensor, alpha_B: Tensor, origins_BR: Origins, horizon: int) -> Tensor:
    """Theta method with lines 0 and 2, as SES with half the slope of the regression on time.

    Hyndman & Billah (2003), "Unmasking the Theta method", equation (2); the slope is that of the past of each origin.
    """
    y = series.y_BL - series.y_BL[:, :1]  # sums of t·y keep their digits when the level is far from zero
    time = torch.arange(y.shape[1], device=y.device, dtype=y.dtype)
    n = (origins_BR + 1).clamp_min(1).double()
    sum_y, sum_ty = take(y.cumsum(1), origins_BR), take((y * time).cumsum(1), origins_BR)
    slope = 6 * (2 * sum_ty - (n - 1) * sum_y) / (n * (n * n - 1)).clamp_min(1)
    alpha = alpha_B[:, None]
    start = (1 - (1 - alpha) ** n) / alpha
    path = (steps(horizon, y) - 1)[None, None] + start[..., None]
    return take(levels_BL, origins_BR)[..., None] + slope[..., None] / 2 * path


def holt_states(series: Series, grid: Sequence[tuple[float, float, float]] = HOLTS) -> Tensor:
    """Levels and slopes of Holt's linear trend with damping φ, for every (α, β, φ): [B, G, 2, L].

    Gardner & McKenzie (1985); error-correction form l_t = l + φb + αe, b_t = φb + βe. The slope starts at the mean of
    the first four differences.
    """
    y = series.y_BL
    transitions = tuple(((1 - a, (1 - a) * phi), (-b, (1 - b) * phi)) for a, b, phi in grid)
    gains = tuple((a, b) for a, b, _ in grid)
    first = (series.length_B - 1).clamp(1, 4)
    slope0_B = (take(y, first[:, None])[:, 0] - y[:, 0]) / first
    return filter_states(y, transitions, gains, torch.stack([y[:, 0], slope0_B], 1))


def holt(
    series: Series,
    states_BG2L: Tensor,
    origins_BR: Origins,
    horizon: int,
    grid: Sequence[tuple[float, float, float]] = HOLTS,
    span_B: Tensor | None = None,
) -> Tensor:
    """Forecast l_t + (φ + … + φ^h) b_t with each series' best grid point."""
    phi_G = torch.tensor(grid, dtype=states_BG2L.dtype, device=states_BG2L.device)[:, 2]
    h = steps(horizon, states_BG2L)
    damping_GH = (phi_G[:, None] ** h).cumsum(1)
    reach_BG = phi_G[None]
    if span_B is not None:  # mean over the span of what the slope adds
        reach_BG = (damping_GH.cumsum(1) / h).T[span_B.clamp_max(horizon) - 1]
    chosen = best(states_BG2L[:, :, 0] + reach_BG[..., None] * states_BG2L[:, :, 1], series, span_B)
    level, slope = states_BG2L[torch.arange(len(chosen), device=chosen.device), chosen].unbind(1)
    return take(level, origins_BR)[..., None] + take(slope, origins_BR)[..., None] * damping_GH[chosen][:, None]
