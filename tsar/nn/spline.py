"""Monotone rational-quadratic splines: an invertible map of the line with an exact derivative.

Neural spline flows (Durkan et al. 2019, section 3.1, equations 4 to 8). Inside (-bound, bound) the map is a monotone
rational-quadratic function between K + 1 knots; outside it is the identity, which the outer slopes of 1 join smoothly.

Legend: any leading shape, K pieces.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_SIZE = 1e-3  # smallest width and height of a piece, as a part of the interval
MIN_SLOPE = 1e-3


def parameters_of(pieces: int) -> int:
    """Return how many free numbers a spline of `pieces` pieces takes."""
    return 3 * pieces - 1


def spline(x: Tensor, raw: Tensor, bound: float, *, inverse: bool) -> tuple[Tensor, Tensor]:
    """Map x through its own spline, and give the log of the forward map's slope there.

    Parameters
    ----------
    x : Tensor
        Values of any shape.
    raw : Tensor
        Free numbers of each value's spline, [..., 3 K - 1]; zeros give the identity.
    bound : float
        Half the interval that the spline covers.
    inverse : bool
        Whether to invert the map; the log slope is then that of the forward map at the answer.
    """
    pieces = (raw.shape[-1] + 1) // 3
    inside = x.abs() < bound
    x_in = torch.where(inside, x, 0.0)
    knot_x = _knots(raw[..., :pieces], bound)
    knot_y = _knots(raw[..., pieces : 2 * pieces], bound)
    # softplus(offset) + MIN_SLOPE = 1: zeros give unit slopes
    slope = MIN_SLOPE + F.softplus(raw[..., 2 * pieces :] + math.log(math.expm1(1 - MIN_SLOPE)))
    slope = F.pad(slope, (1, 1), value=1.0)

    along = knot_y if inverse else knot_x
    piece = (x_in[..., None] >= along[..., 1:-1]).sum(-1, keepdim=True)

    def at(knots: Tensor, offset: int = 0) -> Tensor:
        return knots.gather(-1, piece + offset)[..., 0]

    x0, y0, d0, d1 = at(knot_x), at(knot_y), at(slope), at(slope, 1)
    width, height = at(knot_x, 1) - x0, at(knot_y, 1) - y0
    s = height / width
    if inverse:  # equations 6 to 8: the root of a quadratic in the share of the piece
        rise = x_in - y0
        curve = rise * (d0 + d1 - 2 * s)
        a, b, c = height * (s - d0) + curve, height * d0 - curve, -s * rise
        share = 2 * c / (-b - (b.square() - 4 * a * c).clamp(min=0).sqrt())
        share = share.clamp(0, 1)
        out = x0 + share * width
    else:
        share = ((x_in - x0) / width).clamp(0, 1)
    rest = share * (1 - share)
    below = s + (d0 + d1 - 2 * s) * rest
    if not inverse:
        out = y0 + height * (s * share.square() + d0 * rest) / below  # equation 4
    top = s.square() * (d1 * share.square() + 2 * s * rest + d0 * (1 - share).square())
    log_slope = top.log() - 2 * below.log()  # equation 5
    return torch.where(inside, out, x), torch.where(inside, log_slope, 0.0)


def _knots(raw: Tensor, bound: float) -> Tensor:
    size = MIN_SIZE + (1 - MIN_SIZE * raw.shape[-1]) * raw.softmax(-1)
    knots = F.pad(size.cumsum(-1), (1, 0)) * (2 * bound) - bound
    # the ends exactly, whatever the rounding of the sum
    return torch.cat(
        [torch.full_like(knots[..., :1], -bound), knots[..., 1:-1], torch.full_like(knots[..., :1], bound)], -1
    )
