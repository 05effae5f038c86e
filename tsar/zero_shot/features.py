"""What the zero-shot network reads: experts, their back-test and the recent past, all in units of expected error.

B series, L time, E experts, K back-test origins, H horizon, C context steps, F static features.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tsar.experts.bank import NAMES, Bank
from tsar.experts.series import take

CONTEXT = 512  # recent steps that the network itself reads; the experts read more
TRUST = 3.0  # weight of an expert in the pool: (its back-test error)^-TRUST
STATIC = 21
SIGNED = (16, 17)  # static features that change sign with the series; of the features of an expert the last one does
PER_EXPERT = 4


class Features(NamedTuple):
    """Inputs of the network, float32 and free of units; `base + unit · x` turns its outputs into values."""

    context_BC2: Tensor  # last steps, raw and seasonally adjusted, right-aligned, 0 where there is nothing
    seen_BC: Tensor  # bool
    static_BF: Tensor  # STATIC + PER_EXPERT · E
    rank_BE: Tensor  # log(back-test error / smallest one), 0 … 5
    expert_BEH: Tensor  # (forecast - base) / unit
    growth_BH: Tensor  # log(unit_h / mean unit)
    base_BH: Tensor  # float64: back-test-weighted pool of the experts
    unit_BH: Tensor  # float64: expected absolute error of the pool
    memory_B: Tensor  # float64: correlation of the pool's errors at neighbouring steps, for sample paths


def features(bank: Bank) -> Features:
    """Turn forecasts and back-tests into the network's inputs."""
    error_BE, near_BE, far_BE, bias_BE = _errors(bank)
    floor_B, static = _static(bank)
    floor = floor_B[:, None]
    error_BE = torch.where(torch.isnan(error_BE), floor.clamp_min(1e-12), error_BE) + 1e-3 * floor
    rank_BE = (error_BE / error_BE.amin(1, keepdim=True)).log().clamp(0, 5)
    weight_BE = torch.softmax(-TRUST * rank_BE, 1)
    base_BH = torch.einsum("be,beh->bh", weight_BE, bank.forecast_BEH)
    missed_BKH = torch.einsum("be,bekh->bkh", weight_BE, bank.error_BEKH)
    unit_BH = _unit(missed_BKH, floor_B)
    mean_unit = unit_BH.mean(1, keepdim=True)

    series, seasonal = bank.series, bank.seasonal
    steps = torch.arange(-CONTEXT, 0, device=base_BH.device) + series.length_B[:, None]
    seen_BC = (steps >= 0) & take(series.seen_BL, steps)
    time = torch.arange(series.y_BL.shape[1], device=base_BH.device)
    adjusted = seasonal.adjusted.y_BL
    adjusted = torch.where(seasonal.log_B[:, None], adjusted.clamp(max=700).exp(), adjusted)
    centre = take(adjusted, series.length_B[:, None] - 1)
    recent = torch.stack([take(series.y_BL, steps), take(adjusted, steps)], -1)
    context = ((recent - centre[..., None]) / (2 * mean_unit[..., None])).asinh() * (steps >= 0)[..., None]

    inside = time < series.length_B[:, None]
    level = (series.y_BL * inside).sum(1) / series.length_B
    unit = mean_unit[:, 0]
    static += [
        (unit / floor_B).log().clamp(-5, 5),
        (missed_BKH.nanmean((1, 2)) / unit).nan_to_num(0).clamp(-5, 5),
        ((base_BH[:, 0] - level) / unit).asinh(),
        (bank.forecast_BEH.std(1).mean(1) / unit + 1e-3).log().clamp(-5, 5),
        torch.isfinite(missed_BKH).double().mean((1, 2)),
        (unit_BH[:, -1] / unit_BH[:, 0]).log(),
    ]
    per_expert = torch.stack(
        [
            rank_BE,
            (near_BE.nan_to_num(0) / unit[:, None] + 1e-2).log().clamp(-4, 4),
            (far_BE.nan_to_num(0) / unit[:, None] + 1e-2).log().clamp(-4, 4),
            (bias_BE.nan_to_num(0) / unit[:, None]).clamp(-5, 5),
        ],
        -1,
    )
    assert len(static) == STATIC and per_expert.shape[1:] == (len(NAMES), PER_EXPERT)
    scaled = (bank.forecast_BEH - base_BH[:, None]) / unit_BH[:, None]
    return Features(
        context.float(),
        seen_BC,
        torch.cat([torch.stack(static, 1), per_expert.flatten(1)], 1).float(),
        rank_BE.float(),
        scaled.clamp(-50, 50).float(),
        (unit_BH / mean_unit).log().float(),
        base_BH * bank.scale_B[:, None],
        unit_BH * bank.scale_B[:, None],
        _memory(missed_BKH / unit_BH[:, None]),
    )


def _memory(missed_BKH: Tensor, prior: float = 0.7, strength: float = 4.0) -> Tensor:
    """Lag-one correlation of errors along the horizon, shrunk to `prior` as if seen `strength` times."""
    if missed_BKH.shape[-1] < 2:
        return torch.full_like(missed_BKH[:, 0, 0], prior)
    one, two = missed_BKH[..., :-1], missed_BKH[..., 1:]
    both = torch.isfinite(one) & torch.isfinite(two)
    one, two = torch.where(both, one, 0.0), torch.where(both, two, 0.0)
    power = (one.square() + two.square()).sum((1, 2)) / 2
    count = both.sum((1, 2))
    typical = power / count.clamp_min(1)
    extra = strength * torch.where(count > 0, typical, torch.ones_like(typical))
    return ((one * two).sum((1, 2)) + prior * extra).div(power + extra + 1e-12).clamp(0.0, 0.99)


def _errors(bank: Bank) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean absolute back-test error of each expert over all, the nearer and the farther half of steps; mean error."""
    size_BEKH = bank.error_BEKH.abs()
    half = (bank.error_BEKH.shape[-1] + 1) // 2
    far = size_BEKH[..., half:] if size_BEKH.shape[-1] > half else size_BEKH
    return (
        size_BEKH.nanmean((2, 3)),
        size_BEKH[..., :half].nanmean((2, 3)),
        far.nanmean((2, 3)),
        bank.error_BEKH.nanmean((2, 3)),
    )


def _unit(missed_BKH: Tensor, floor_B: Tensor) -> Tensor:
    """Expected absolute error of the pool at each step: back-test errors shrunk to a power of the step, smoothed."""
    size = missed_BKH.abs()
    count_BH = torch.isfinite(size).sum(1)
    total_BH = size.nan_to_num(0).sum(1)
    overall = total_BH.sum(1, keepdim=True) / count_BH.sum(1, keepdim=True).clamp_min(1)
    overall = torch.where(count_BH.sum(1, keepdim=True) > 0, overall, floor_B[:, None])
    h = torch.arange(1, size.shape[-1] + 1, device=size.device, dtype=size.dtype)
    # The shape is normalised over the steps that the errors come from.
    shape = h**0.3
    seen_shape = (shape * count_BH).sum(1, keepdim=True) / count_BH.sum(1, keepdim=True).clamp_min(1)
    seen_shape = torch.where(count_BH.sum(1, keepdim=True) > 0, seen_shape, torch.ones_like(seen_shape))
    prior = overall * shape / seen_shape
    unit = (total_BH + 3 * prior) / (count_BH + 3)
    reach = min(4, size.shape[-1] - 1)
    if reach:
        padded = torch.nn.functional.pad(unit[:, None], (reach, reach), mode="replicate")
        unit = torch.nn.functional.avg_pool1d(padded, 2 * reach + 1, 1)[:, 0]
    return unit + 0.05 * floor_B[:, None]


def _static(bank: Bank) -> tuple[Tensor, list[Tensor]]:
    """Smallest of the naive and the seasonal naive in-sample error (never 0), and features of the whole series."""
    series, seasonal = bank.series, bank.seasonal
    y, seen, n = series.y_BL, series.seen_BL, series.length_B.double()
    time = torch.arange(y.shape[1], device=y.device)
    inside = (time < series.length_B[:, None]) & seen
    one, two = seasonal.period_B
    jump = _mean_jump(y, inside, torch.ones_like(one))
    cycle = _mean_jump(y, inside, one)
    magnitude = (y.abs() * inside).sum(1) / inside.sum(1)
    rough = torch.where((one > 1) & (series.length_B > one), torch.minimum(jump, cycle), jump)
    floor = torch.where(rough > 1e-9 * magnitude, rough, 1e-6 * magnitude) + 1e-30
    z = seasonal.adjusted.y_BL
    x = (z[:, 1:] - z[:, :-1]) * inside[:, 1:]
    power = x.square().sum(1).clamp_min(1e-300)
    tail = time[1:] >= (series.length_B - (series.length_B // 5).clamp_min(2))[:, None]
    recent = (x.abs() * tail).sum(1) / (inside[:, 1:] & tail).sum(1).clamp_min(1)
    overall = x.abs().sum(1) / inside[:, 1:].sum(1).clamp_min(1)
    spiky = (power / inside[:, 1:].sum(1).clamp_min(1)).sqrt() / overall.clamp_min(1e-150)
    log_period = (one.double().log(), two.double().log())
    return floor, [
        n.log() / 2,
        *log_period,
        (n / one).log() / 2,
        (n / two).log() / 2,
        *seasonal.strength_B,
        seasonal.log_B.double(),
        1 - inside.sum(1) / n,
        ((jump + floor) / (cycle + floor)).log(),
        ((y == 0) & inside).sum(1) / inside.sum(1),
        ((y >= 0) | ~inside).all(1).double(),
        (x[:, 1:] * x[:, :-1]).sum(1) / power,
        ((recent + 1e-3 * overall + 1e-300) / (overall + 1e-300)).log().clamp(-5, 5),
        spiky.clamp(0, 10).log1p(),
    ]


def _mean_jump(y: Tensor, inside: Tensor, lag_B: Tensor) -> Tensor:
    """Mean absolute difference at a lag, over pairs of which both values were seen."""
    index = torch.arange(y.shape[1], device=y.device) - lag_B[:, None]
    both = inside & (index >= 0) & take(inside, index)
    return ((y - take(y, index)).abs() * both).sum(1) / both.sum(1).clamp_min(1)
