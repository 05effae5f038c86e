"""Exponential smoothing for every series, grid point and origin at once: SES, Theta and damped Holt.

Smoothing parameters are chosen from a grid, per series, by the squared one-step error over what was seen.

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


def best(error_BGL: Tensor, series: Series) -> Tensor:
    """Index of the grid point with the smallest squared one-step error of each series [B]."""
    time = torch.arange(1, series.y_BL.shape[1], device=series.y_BL.device)
    counted = series.seen_BL[:, 1:] & (time < series.length_B[:, None])
    return (error_BGL.square() * counted[:, None]).sum(-1).argmin(1)


def ses_levels(series: Series, alphas: Sequence[float] = ALPHAS) -> tuple[Tensor, Tensor]:
    """Levels l_t = α y_t + (1 - α) l_{t-1}, l_0 = y_0, with each series' best α: ([B, L], [B])."""
    y = series.y_BL
    alpha_G = torch.tensor(alphas, dtype=y.dtype, device=y.device)
    levels = filter_states(y, (1 - alpha_G)[:, None, None], alpha_G[:, None], y[:, :1])[:, :, 0]
    chosen = best(y[:, None, 1:] - levels[..., :-1], series) if len(alphas) > 1 else y.new_zeros(len(y)).long()
    return levels.gather(1, chosen[:, None, None].expand(-1, 1, y.shape[1]))[:, 0], alpha_G[chosen]


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


def damped_holt(
    series: Series, origins_BR: Origins, horizon: int, grid: Sequence[tuple[float, float, float]] = HOLTS
) -> Tensor:
    """Holt's linear trend with damping φ: level l_t, slope b_t, forecast l_t + (φ + … + φ^h) b_t.

    Gardner & McKenzie (1985); error-correction form l_t = l + φb + αe, b_t = φb + βe. The slope starts at the mean of
    the first four differences.
    """
    y = series.y_BL
    alpha_G, beta_G, phi_G = torch.tensor(grid, dtype=y.dtype, device=y.device).unbind(1)
    transition = torch.stack(
        [torch.stack([1 - alpha_G, (1 - alpha_G) * phi_G], 1), torch.stack([-beta_G, (1 - beta_G) * phi_G], 1)], 1
    )
    first = (series.length_B - 1).clamp(1, 4)
    slope0_B = (take(y, first[:, None])[:, 0] - y[:, 0]) / first
    states = filter_states(y, transition, torch.stack([alpha_G, beta_G], 1), torch.stack([y[:, 0], slope0_B], 1))
    chosen = y.new_zeros(len(y)).long()
    if len(grid) > 1:
        ahead = states[:, :, 0, :-1] + phi_G[:, None] * states[:, :, 1, :-1]
        chosen = best(y[:, None, 1:] - ahead, series)
    level, slope = states.gather(1, chosen[:, None, None, None].expand(-1, 1, 2, y.shape[1]))[:, 0].unbind(1)
    damping = (phi_G[chosen][:, None] ** steps(horizon, y)).cumsum(1)
    return take(level, origins_BR)[..., None] + take(slope, origins_BR)[..., None] * damping[:, None]
