"""Location and scale of tokens: running ones that use only the past, or one pair for the whole window.

Sums are kept in float64 around the first seen value, so that a level of 1e9 with noise of 1 keeps its noise.
Legend: B rows, N tokens, S new steps per token.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Running(NamedTuple):
    """Sums over everything seen so far, each [B, 1].

    They are of (value - anchor) / unit: the anchor is the first seen value (NaN before it), the unit a power of two
    near the first deviations from it (0 before one), so that squares neither overflow nor vanish at any magnitude.
    """

    anchor_B1: Tensor
    unit_B1: Tensor
    count_B1: Tensor
    total_B1: Tensor
    square_B1: Tensor


def high(device: torch.device) -> torch.dtype:
    """Return the accumulation type: float64 wherever the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


def running(y_BNS: Tensor, state: Running | None = None) -> tuple[Tensor, Tensor, Running]:
    """Mean and standard deviation of all values up to and including each token.

    Parameters
    ----------
    y_BNS : Tensor
        New values of each token in raw units, NaN = missing.
    state : Running, optional
        What an earlier call returned, to go on from there.

    Returns
    -------
    loc_BN1, scale_BN1 : Tensor
        A scale of 0 where nothing varied so far; (0, 0) before the first seen value.
    state : Running
        The sums after the last token.
    """
    y_BNS = y_BNS.to(high(y_BNS.device))
    rows = y_BNS.shape[0]
    if state is None:
        zero_B1 = y_BNS.new_zeros(rows, 1)
        state = Running(torch.full_like(zero_B1, torch.nan), zero_B1, zero_B1, zero_B1, zero_B1)
    if y_BNS.shape[1] == 0:
        empty = y_BNS.new_zeros(rows, 0, 1)
        return empty, empty, state
    seen_BNS = ~y_BNS.isnan()
    flat_BL, seen_BL = y_BNS.reshape(rows, -1), seen_BNS.reshape(rows, -1)
    first_B1 = flat_BL.gather(1, seen_BL.int().argmax(1, keepdim=True))  # NaN where nothing was seen
    anchor_B1 = torch.where(state.anchor_B1.isnan(), first_B1, state.anchor_B1)
    dev_BNS = torch.where(seen_BNS, y_BNS - anchor_B1[..., None], 0.0)
    unit_B1 = torch.where(state.unit_B1 > 0, state.unit_B1, _power_of_two(dev_BNS.flatten(1)))
    dev_BNS = dev_BNS / torch.where(unit_B1 > 0, unit_B1, 1.0)[..., None]
    count_BN = state.count_B1 + seen_BNS.sum(-1).cumsum(1)
    total_BN = state.total_B1 + dev_BNS.sum(-1).cumsum(1)
    square_BN = state.square_B1 + dev_BNS.square().sum(-1).cumsum(1)
    n_BN = count_BN.clamp(min=1)
    mean_BN = total_BN / n_BN
    var_BN = (square_BN / n_BN - mean_BN.square()).clamp(min=0)
    some_BN = count_BN > 0
    # float64 cannot tell a variance below this from the rounding of a constant stretch after a jump
    var_BN = torch.where(var_BN > 1e-14 * square_BN / n_BN, var_BN, 0.0)
    loc_BN = torch.where(some_BN, anchor_B1 + unit_B1 * mean_BN, 0.0)
    scale_BN = torch.where(some_BN, unit_B1 * var_BN.sqrt(), 0.0)
    after = Running(anchor_B1, unit_B1, count_BN[:, -1:], total_BN[:, -1:], square_BN[:, -1:])
    return loc_BN[..., None], scale_BN[..., None], after


def whole(y_BL: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """Location and scale of whole rows, [B, 1] each.

    Parameters
    ----------
    y_BL : Tensor
        Values in raw units, NaN = missing.
    kind : str
        "window" (mean and standard deviation, as RevIN), "last" (the last seen value and 1, as NLinear), "mean_abs"
        (0 and the mean absolute value, as Chronos) or "none" (0 and 1).
    """
    y_BL = y_BL.to(high(y_BL.device))
    zero_B1 = y_BL.new_zeros(len(y_BL), 1)
    if kind == "none":
        return zero_B1, zero_B1 + 1
    if kind == "window":
        mean_B1 = y_BL.mean(1, keepdim=True)
        var_B1 = (y_BL - mean_B1).square_().mean(1, keepdim=True)
        if bool(((var_B1 > 1e-24 * mean_B1.square()) & (var_B1 < torch.inf)).all()):
            return mean_B1, var_B1.sqrt()  # nothing is missing, (nearly) constant, huge or tiny
    seen_BL = ~y_BL.isnan()
    count_B1 = seen_BL.sum(1, keepdim=True)
    some_B1, n_B1 = count_B1 > 0, count_B1.clamp(min=1)
    if kind == "last":
        steps_L = torch.arange(y_BL.shape[1], device=y_BL.device)
        last_B1 = torch.where(seen_BL, steps_L, 0).amax(1, keepdim=True)
        return torch.where(some_B1, y_BL.gather(1, last_B1), 0.0), zero_B1 + 1
    if kind == "mean_abs":
        scale_B1 = torch.where(seen_BL, y_BL.abs(), 0.0).sum(1, keepdim=True) / n_B1
        return zero_B1, scale_B1
    first_B1 = y_BL.gather(1, seen_BL.int().argmax(1, keepdim=True))
    dev_BL = torch.where(seen_BL, y_BL - first_B1, 0.0)
    unit_B1 = _power_of_two(dev_BL)
    dev_BL = dev_BL / torch.where(unit_B1 > 0, unit_B1, 1.0)
    mean_B1 = dev_BL.sum(1, keepdim=True) / n_B1
    var_B1 = torch.where(seen_BL, dev_BL - mean_B1, 0.0).square().sum(1, keepdim=True) / n_B1
    return torch.where(some_B1, first_B1 + unit_B1 * mean_B1, 0.0), unit_B1 * var_B1.sqrt()


def _power_of_two(dev_BL: Tensor) -> Tensor:
    """Power of two at most the largest magnitude of each row, [B, 1]; 0 where all are 0."""
    most_B1 = dev_BL.abs().amax(1, keepdim=True)
    return torch.where(most_B1 > 0, most_B1.log2().floor().exp2(), 0.0)


def standardise(y: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """(y - loc) / scale in float32; 0 where the scale is 0 or the value is missing."""
    x = (y.to(loc.dtype) - loc) / torch.where(scale > 0, scale, 1.0)
    return torch.where(x.isnan() | (scale <= 0), 0.0, x).float()


def rescale(x: Tensor, loc_from: Tensor, scale_from: Tensor, loc_to: Tensor, scale_to: Tensor) -> Tensor:
    """Express values scaled by one pair in units of another, without passing through raw units."""
    unit = torch.where(scale_to > 0, scale_to, 1.0)
    return (x * (scale_from / unit) + (loc_from - loc_to) / unit).float()
