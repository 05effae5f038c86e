"""Autoregression by ridge least squares, all series at once, forecast from any origin without a loop over steps.

B series, L time, P order, R origins, H horizon.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tsar.experts.scan import rollout
from tsar.experts.series import Origins, Series, take

RIDGE = 1e-2
CONTRACTION = 0.998  # every pole is moved inwards by this factor


def coefficients(x_BL: Tensor, start_B: Tensor, end_B: Tensor, order: int, ridge: float = RIDGE) -> Tensor:
    """Ridge coefficients [B, P] of x_t on x_{t-1} … x_{t-P} over rows that lie inside [start, end).

    The penalty is `ridge` times the mean square of x times (1 + P): a few rows' worth, whatever the length.
    """
    rows = x_BL.unfold(1, order + 1, 1)  # row t: x_t … x_{t+P}
    first = torch.arange(rows.shape[1], device=x_BL.device)
    inside = (first >= start_B[:, None]) & (first + order < end_B[:, None])
    rows = rows * inside[..., None]
    gram = rows.transpose(1, 2) @ rows
    past, cross = gram[:, :order, :order].flip(1, 2), gram[:, :order, order].flip(1)
    power = gram.diagonal(dim1=1, dim2=2).mean(1)
    floor = ridge * power + power / inside.sum(1).clamp_min(1) * order + 1e-30
    penalised = past + torch.diag_embed(floor[:, None].expand(-1, order))
    return torch.linalg.solve(penalised, cross)


def shrink_poles(coef_BP: Tensor) -> Tensor:
    """Multiply coefficient j by `CONTRACTION`^j, which moves every pole towards the origin."""
    lag = torch.arange(1, coef_BP.shape[1] + 1, device=coef_BP.device, dtype=coef_BP.dtype)
    return coef_BP * CONTRACTION**lag


def recent(x_BL: Tensor, origins_BR: Origins, start_B: Tensor, order: int) -> Tensor:
    """Return the last P values up to each origin, newest first, zero before the start: [B, P, R]."""
    index = origins_BR[:, None, :] - torch.arange(order, device=x_BL.device)[:, None]
    return take(x_BL, index) * (index >= start_B[:, None, None])


def forecast(x_BL: Tensor, start_B: Tensor, end_B: Tensor, origins_BR: Origins, horizon: int, order: int) -> Tensor:
    """Iterated forecasts [B, R, H] of a zero-mean series, held within twice its range."""
    if x_BL.shape[1] <= order:  # the order must not depend on how long the other series of a batch are
        x_BL = torch.nn.functional.pad(x_BL, (0, order + 1 - x_BL.shape[1]))
    coef = shrink_poles(coefficients(x_BL, start_B, end_B, order))
    path = rollout(coef, recent(x_BL, origins_BR, start_B, order), horizon)
    bound = 2 * x_BL.abs().amax(1)[:, None, None]
    return path.nan_to_num(0.0).clamp(-bound, bound)


class Task(NamedTuple):
    """A zero-mean series to forecast by AR, and how its forecasts become those of the original."""

    x_BL: Tensor
    start_B: Tensor
    end_B: Tensor
    origins_BR: Origins
    finish: Callable[[Tensor], Tensor]


def forecast_all(tasks: Sequence[Task], horizon: int, order: int) -> list[Tensor]:
    """Forecast several tasks at the price of one: forecasts [B, R, H] of each."""
    width = max(task.x_BL.shape[1] for task in tasks)
    x = torch.cat([torch.nn.functional.pad(task.x_BL, (0, width - task.x_BL.shape[1])) for task in tasks])
    start, end = torch.cat([task.start_B for task in tasks]), torch.cat([task.end_B for task in tasks])
    origins = torch.cat([task.origins_BR for task in tasks])
    steps = forecast(x, start, end, origins, horizon, order).chunk(len(tasks))
    return [task.finish(path) for task, path in zip(tasks, steps, strict=True)]


def levels(series: Series, origins_BR: Origins) -> Task:
    """AR around the mean: forecasts return to it."""
    time = torch.arange(series.y_BL.shape[1], device=series.y_BL.device)
    inside = time < series.length_B[:, None]
    mean = (series.y_BL * inside).sum(1, keepdim=True) / series.length_B[:, None]
    x = (series.y_BL - mean) * inside
    return Task(x, torch.zeros_like(series.length_B), series.length_B, origins_BR, lambda path: mean[..., None] + path)


def differences(y_BL: Tensor, length_B: Tensor, lag_B: Tensor) -> Tensor:
    """y_t - y_{t-lag}, zero where that leaves the series."""
    time = torch.arange(y_BL.shape[1], device=y_BL.device)[None]
    index = time - lag_B[:, None]
    return (y_BL - take(y_BL, index)) * ((index >= 0) & (time < length_B[:, None]))


def steps_of(series: Series, origins_BR: Origins, drift: bool = False) -> Task:
    """AR of the first differences, summed: forecasts start from the last value; with `drift` around a straight line."""
    y, one = series.y_BL, torch.ones_like(series.length_B)
    last = take(y, origins_BR)[..., None]
    slope = torch.zeros_like(y[:, :1])
    if drift:
        slope = (take(y, series.length_B[:, None] - 1) - y[:, :1]) / (series.length_B[:, None] - 1).clamp_min(1)
    inside = torch.arange(1, y.shape[1], device=y.device) < series.length_B[:, None]
    x = torch.nn.functional.pad((y[:, 1:] - y[:, :-1] - slope) * inside, (1, 0))
    return Task(x, one, series.length_B, origins_BR, lambda path: last + (path + slope[..., None]).cumsum(-1))


def seasonal_steps(series: Series, origins_BR: Origins, season_B: Tensor) -> Task:
    """AR of the seasonal differences, added to the last season: y_{o+h} = y_{o+h-s} + x_{o+h}."""

    def finish(path: Tensor) -> Tensor:
        h = torch.arange(path.shape[-1], device=season_B.device)
        same_phase = (h[:, None] >= h) & ((h[:, None] - h) % season_B[:, None, None] == 0)  # [B, H to, H from]
        index = origins_BR[..., None] + 1 - season_B[:, None, None] + h % season_B[:, None, None]
        return take(series.y_BL, index) + path @ same_phase.double().transpose(1, 2)

    x = differences(series.y_BL, series.length_B, season_B)
    return Task(x, season_B, series.length_B, origins_BR, finish)
