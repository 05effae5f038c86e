"""Batched BFGS on the exact likelihood: every row has its own step, and rows that have converged leave the batch.

Legend: R rows, k ARMA parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tsar.forecasters.arima.css import Sizes
from tsar.forecasters.arima.likelihood import Rows, exact
from tsar.forecasters.arima.polynomials import coefs_from_z

Z_LIMIT = 60.0  # partial autocorrelations stay within 0.99986
_NUDGE = 1e-6
_PIECE_BYTES = 1e6


@dataclass
class Optimum:
    """Parameters and exact log-likelihood of every row."""

    z_kR: np.ndarray
    loglik_R: np.ndarray


def loglik(rows: Rows, z_kR: np.ndarray, sizes: Sizes) -> np.ndarray:
    """Exact log-likelihood of every row at its parameters."""
    parts = [exact(rows.take(part), coefs_from_z(z_kR[:, part], sizes)).loglik_R for part in _pieces(rows)]
    return np.concatenate(parts)


def _pieces(rows: Rows) -> list[np.ndarray]:
    """Positions of rows in pieces that stay in the inner caches."""
    steps, channels, count = rows.w_TCR.shape
    piece = max(int(_PIECE_BYTES / (8 * steps * (channels + 1))), 16)
    return np.array_split(np.arange(count), -(-count // piece))


def maximise(
    rows: Rows,
    z_kR: np.ndarray,
    free_kR: np.ndarray,
    sizes: Sizes,
    curvature_Rkk: np.ndarray,
    iterations: int,
    gain: float,
) -> Optimum:
    """Climb to the maximum of the exact likelihood.

    Parameters
    ----------
    rows, z_kR, free_kR, sizes : as in `fit_css`
    curvature_Rkk : first guess of minus the Hessian; Gauss-Newton's serves
    iterations : most steps of a row
    gain : a row is done when a step raises the log-likelihood by less than this
    """
    size, count = z_kR.shape
    best_kR = z_kR.copy()
    if size == 0:
        return Optimum(best_kR, loglik(rows, best_kR, sizes))
    part, live, free = rows, np.arange(count), free_kR
    value_R, slope_kR = _value_and_slope(part, best_kR, free, sizes)
    best_R = value_R.copy()
    inverse_Rkk = np.linalg.inv(curvature_Rkk + 1e-3 * np.eye(size))
    step_R, here_kR = np.ones(count), best_kR.copy()
    for _ in range(iterations):
        direction_kR = np.einsum("rij,jr->ir", inverse_Rkk, slope_kR) * free
        uphill_R = np.einsum("kr,kr->r", direction_kR, slope_kR) > 0
        direction_kR = np.where(uphill_R, direction_kR, slope_kR / (1.0 + np.abs(slope_kR)))
        long_R = np.maximum(np.abs(direction_kR).max(0) / 2.0, 1.0)  # no parameter moves by more than 2
        trial_kR = np.clip(here_kR + step_R / long_R * direction_kR, -Z_LIMIT, Z_LIMIT)
        trial_R, trial_slope_kR = _value_and_slope(part, trial_kR, free, sizes)
        better_R = trial_R > value_R
        rise_R = np.where(better_R, trial_R - value_R, np.inf)
        moved_kR, bent_kR = trial_kR - here_kR, slope_kR - trial_slope_kR
        inverse_Rkk = np.where(better_R[:, None, None], _bfgs(inverse_Rkk, moved_kR.T, bent_kR.T), inverse_Rkk)
        step_R = np.where(better_R, 1.0, step_R * 0.3)
        here_kR = np.where(better_R, trial_kR, here_kR)
        slope_kR = np.where(better_R, trial_slope_kR, slope_kR)
        value_R = np.where(better_R, trial_R, value_R)
        best_kR[:, live], best_R[live] = here_kR, value_R
        going_R = (rise_R > gain) & (step_R > 1e-3)
        if not going_R.any():
            break
        if not going_R.all():
            keep = np.flatnonzero(going_R)
            live, part, free = live[keep], part.take(keep), free[:, keep]
            value_R, slope_kR, here_kR, step_R = value_R[keep], slope_kR[:, keep], here_kR[:, keep], step_R[keep]
            inverse_Rkk = inverse_Rkk[keep]
    return Optimum(best_kR, best_R)


def _value_and_slope(rows: Rows, z_kR: np.ndarray, free_kR: np.ndarray, sizes: Sizes) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihood and its forward differences, the nudged copies of all rows in one evaluation."""
    count = z_kR.shape[1]
    k_N, row_N = np.nonzero(free_kR)
    nudge_kR = _NUDGE * (1.0 + np.abs(z_kR))
    index = np.concatenate((np.arange(count), row_N))
    copies_kN = z_kR[:, index]
    copies_kN[k_N, count + np.arange(len(k_N))] += nudge_kR[k_N, row_N]
    value_N = loglik(rows.take(index), copies_kN, sizes)
    slope_kR = np.zeros_like(z_kR)
    with np.errstate(invalid="ignore"):
        slope_kR[k_N, row_N] = (value_N[count:] - value_N[row_N]) / nudge_kR[k_N, row_N]
    return value_N[:count], np.nan_to_num(slope_kR, posinf=0.0, neginf=0.0)


def _bfgs(inverse_Rkk: np.ndarray, s_Rk: np.ndarray, y_Rk: np.ndarray) -> np.ndarray:
    """Update inverse Hessians of minus the likelihood; a row whose curvature s'y is not positive keeps its own."""
    sy_R = np.einsum("rk,rk->r", s_Rk, y_Rk)
    valid_R = sy_R > 1e-10 * np.sqrt((s_Rk**2).sum(1) * (y_Rk**2).sum(1)) + 1e-300
    rho_R11 = np.where(valid_R, 1.0 / np.where(valid_R, sy_R, 1.0), 0.0)[:, None, None]
    left_Rkk = np.eye(s_Rk.shape[1]) - rho_R11 * s_Rk[:, :, None] * y_Rk[:, None, :]
    updated_Rkk = left_Rkk @ inverse_Rkk @ left_Rkk.swapaxes(1, 2) + rho_R11 * s_Rk[:, :, None] * s_Rk[:, None, :]
    return np.where(valid_R[:, None, None], updated_Rkk, inverse_Rkk)
