"""Linear recurrences over time as matrix products, so that exponential smoothing needs no loop over steps.

B series, L time, G grid points (one recurrence each), K state size, C block length, J blocks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 32


def matrix_powers(f_GKK: Tensor, count: int) -> Tensor:
    """Return F^0 … F^(count-1) as [count, G, K, K], by doubling."""
    powers = torch.eye(f_GKK.shape[-1], dtype=f_GKK.dtype, device=f_GKK.device).expand_as(f_GKK)[None]
    factor = f_GKK
    while len(powers) < count:
        powers = torch.cat([powers, factor @ powers])
        factor = factor @ factor
    return powers[:count]


Matrix = tuple[tuple[float, ...], ...]


class Responses(NamedTuple):
    """What a grid of recurrences does to a block; a function of the grid and the number of blocks alone."""

    inside: Tensor  # [C, G·K·C] inputs of a block -> states in it
    carry: Tensor  # [G, J·K, J·K] states at the ends of blocks -> states before each block
    start: Tensor  # [G, K, J·K] state before the first input -> states before each block
    outside: Tensor  # [G, K, K·C] state before a block -> states in it


@lru_cache(maxsize=64)
def responses(transitions: tuple[Matrix, ...], gains: Matrix, n_blocks: int, device: torch.device) -> Responses:
    """Compute and keep the matrices of a grid."""
    f_GKK = torch.tensor(transitions, dtype=torch.float64, device=device)
    g_GK = torch.tensor(gains, dtype=torch.float64, device=device)
    (n_grid, k), c = g_GK.shape, BLOCK
    powers_CGKK = matrix_powers(f_GKK, c + 1)
    response_CGK = (powers_CGKK[:c] @ g_GK[None, :, :, None])[..., 0]
    lag_CC = torch.arange(c, device=device)[:, None] - torch.arange(c, device=device)[None, :]
    inside = response_CGK[lag_CC.clamp_min(0)] * (lag_CC >= 0)[..., None, None]  # [to, from, G, K]
    inside = inside.permute(1, 2, 3, 0).reshape(c, n_grid * k * c)

    # Block-end states: X_j = F^C X_{j-1} + e_j with X_{-1} = x0; carried into block j is X_{j-1}.
    leaps = matrix_powers(powers_CGKK[c], n_blocks + 1)
    lag_JJ = torch.arange(n_blocks, device=device)
    lag_JJ = lag_JJ[:, None] - lag_JJ[None, :] - 1
    carry = leaps[lag_JJ.clamp_min(0)] * (lag_JJ >= 0)[..., None, None, None]  # [to, from, G, K, K]
    carry = carry.permute(2, 1, 4, 0, 3).reshape(n_grid, n_blocks * k, n_blocks * k)
    start = leaps[:n_blocks].permute(1, 3, 0, 2).reshape(n_grid, k, n_blocks * k)
    outside = powers_CGKK[1:].permute(1, 3, 2, 0).reshape(n_grid, k, k * c)
    return Responses(inside, carry, start, outside)


def filter_states(u_BL: Tensor, transitions: tuple[Matrix, ...], gains: Matrix, x0_BK: Tensor) -> Tensor:
    """States of x_t = F x_{t-1} + g u_t for every series, grid point and time.

    Time is cut into blocks of `BLOCK` steps. Inside a block the response to the inputs is one product with a
    triangular Toeplitz matrix; the states at the ends of the blocks obey the same recurrence with F^BLOCK and are
    solved by a second such product. The cost is linear in time and the result does not depend on the padded length.

    Parameters
    ----------
    u_BL : Tensor
        Inputs, left-aligned; whatever follows the end of a series only reaches later states.
    transitions, gains : tuples [G, K, K] and [G, K]
        Transition matrices and input gains.
    x0_BK : Tensor
        State before the first input.

    Returns
    -------
    Tensor
        States [B, G, K, L].
    """
    n_series, length = u_BL.shape
    n_grid, k, c = len(gains), len(gains[0]), BLOCK
    n_blocks = -(-length // c)
    matrices = responses(transitions, gains, n_blocks, u_BL.device)
    u_BJC = torch.nn.functional.pad(u_BL, (0, n_blocks * c - length)).view(n_series, n_blocks, c)
    inside = (u_BJC.reshape(-1, c) @ matrices.inside).view(n_series, n_blocks, n_grid, k, c)
    ends = inside[..., -1].permute(2, 0, 1, 3).reshape(n_grid, n_series, n_blocks * k)
    carried = (ends @ matrices.carry + x0_BK[None] @ matrices.start).view(n_grid, -1, k)
    outside = (carried @ matrices.outside).view(n_grid, n_series, n_blocks, k, c)
    states = inside.permute(0, 2, 3, 1, 4) + outside.permute(1, 0, 3, 2, 4)
    return states.reshape(n_series, n_grid, k, n_blocks * c)[..., :length]


def rollout(coef_BP: Tensor, recent_BPR: Tensor, horizon: int) -> Tensor:
    """Iterate x_t = Σ_j coef_j x_{t-j} for `horizon` steps from R starting points, by doubling.

    Parameters
    ----------
    coef_BP : Tensor
        Autoregressive coefficients, lag 1 first.
    recent_BPR : Tensor
        The last P values before each start, newest first.

    Returns
    -------
    Tensor
        The next values [B, R, horizon].
    """
    n_series, order = coef_BP.shape
    companion = torch.zeros(n_series, order, order, dtype=coef_BP.dtype, device=coef_BP.device)
    companion[:, 0] = coef_BP
    if order > 1:
        companion[:, 1:, :-1] = torch.eye(order - 1, dtype=coef_BP.dtype, device=coef_BP.device)
    states = companion @ recent_BPR  # [B, P, R·steps], steps grow by doubling
    n_starts, steps = recent_BPR.shape[-1], 1
    while steps < horizon:
        states = torch.cat([states, companion @ states], -1)
        companion = companion @ companion
        steps *= 2
    return states[:, 0].view(n_series, steps, n_starts).transpose(1, 2)[..., :horizon]
