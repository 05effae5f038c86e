"""Linear recurrences over time as matrix products, so that exponential smoothing needs no loop over steps.

B series, L time, G grid points (one recurrence each), K state size, C block length, J blocks.
"""

from __future__ import annotations

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


def filter_states(u_BL: Tensor, f_GKK: Tensor, g_GK: Tensor, x0_BK: Tensor) -> Tensor:
    """States of x_t = F x_{t-1} + g u_t for every series, grid point and time.

    Time is cut into blocks of `BLOCK` steps. Inside a block the response to the inputs is one product with a
    triangular Toeplitz matrix; the states at the ends of the blocks obey the same recurrence with F^BLOCK and are
    solved by a second such product. The cost is linear in time and the result does not depend on the padded length.

    Parameters
    ----------
    u_BL : Tensor
        Inputs, left-aligned; whatever follows the end of a series only reaches later states.
    f_GKK, g_GK : Tensor
        Transition matrices and input gains.
    x0_BK : Tensor
        State before the first input.

    Returns
    -------
    Tensor
        States [B, G, K, L].
    """
    n_series, length = u_BL.shape
    n_grid, k = g_GK.shape
    c = BLOCK
    n_blocks = -(-length // c)
    u_BJC = torch.nn.functional.pad(u_BL, (0, n_blocks * c - length)).view(n_series, n_blocks, c)

    powers_CGKK = matrix_powers(f_GKK, c + 1)
    response_CGK = (powers_CGKK[:c] @ g_GK[None, :, :, None])[..., 0]
    lag_CC = torch.arange(c, device=u_BL.device)[:, None] - torch.arange(c, device=u_BL.device)[None, :]
    toeplitz = response_CGK[lag_CC.clamp_min(0)] * (lag_CC >= 0)[..., None, None]  # [to, from, G, K]
    toeplitz = toeplitz.permute(1, 2, 3, 0).reshape(c, n_grid * k * c)
    inside = (u_BJC.reshape(-1, c) @ toeplitz).view(n_series, n_blocks, n_grid, k, c)

    # Block-end states: X_j = F^C X_{j-1} + e_j with X_{-1} = x0; carried into block j is X_{j-1}.
    leaps = matrix_powers(powers_CGKK[c], n_blocks + 1)
    ends = inside[..., -1]  # [B, J, G, K]
    lag_JJ = torch.arange(n_blocks, device=u_BL.device)
    lag_JJ = lag_JJ[:, None] - lag_JJ[None, :] - 1
    carry = leaps[lag_JJ.clamp_min(0)] * (lag_JJ >= 0)[..., None, None, None]  # [to, from, G, K, K]
    carry = carry.permute(2, 1, 4, 0, 3).reshape(n_grid, n_blocks * k, n_blocks * k)
    carried = ends.permute(2, 0, 1, 3).reshape(n_grid, n_series, n_blocks * k) @ carry
    carried = carried.view(n_grid, n_series, n_blocks, k)
    start = leaps[:n_blocks].permute(1, 3, 0, 2).reshape(n_grid, k, n_blocks * k)
    carried = carried + (x0_BK[None] @ start).view(n_grid, n_series, n_blocks, k)

    spread = powers_CGKK[1:].permute(1, 3, 2, 0).reshape(n_grid, k, k * c)  # state before the block -> state inside it
    outside = (carried.reshape(n_grid, -1, k) @ spread).view(n_grid, n_series, n_blocks, k, c)
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
