"""Conditional sum of squares: Gauss-Newton over all rows at once, the fast search behind the exact likelihood.

Legend: R rows, T time, C channels (see likelihood.py), k ARMA parameters in the order phi, theta, Phi, Theta,
A all columns of the least-squares problem.

The residual of (1 - phi B)(1 - Phi B^s) w = (1 + theta B)(1 + Theta B^s) e has four families of derivatives, and within
a family they are shifts of one series, so that an iteration costs one pass for e and one for each MA factor
(Box & Jenkins 1976, ch. 7; regressors are projected out as in Kaufman 1975). Values that need the AR presample are left
out of the sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tsar.forecasters.arima.likelihood import Rows
from tsar.forecasters.arima.polynomials import ar_jacobian
from tsar.forecasters.arima.recursions import moving, moving_inverse

Z_LIMIT = 12.0  # partial autocorrelations stay within 0.9965 while searching
Sizes = tuple[int, int, int, int]


@dataclass
class Descent:
    """Where Gauss-Newton arrived: parameters, their curvature (half the Hessian of n log S) and the sum of squares."""

    z_kR: np.ndarray
    curvature_Rkk: np.ndarray
    sum_R: np.ndarray


def fit_css(rows: Rows, z_kR: np.ndarray, free_kR: np.ndarray, sizes: Sizes, iterations: int, gain: float) -> Descent:
    """Minimise the conditional sum of squares of every row by Levenberg-Marquardt steps.

    Parameters
    ----------
    rows : data of R rows
    z_kR : start, unconstrained partial autocorrelations
    free_kR : which parameters a row has; the others stay at zero
    sizes : number of phi, theta, Phi, Theta
    iterations : most steps
    gain : a row is done when a step lowers n log S by less than this
    """
    z_kR = np.clip(z_kR, -Z_LIMIT, Z_LIMIT) * free_kR
    size, count = z_kR.shape
    skip_R = _conditioned(free_kR, sizes, rows)
    m_Rkk, g_Rk, sum_R = _normal(rows, z_kR, free_kR, sizes, skip_R)
    if size == 0:
        return Descent(z_kR, m_Rkk, sum_R)
    damping_R = np.full(count, 1e-2)
    live, diagonal = np.arange(count), np.arange(size)
    part = rows
    for _ in range(iterations):
        damped_Rkk = m_Rkk[live].copy()
        damped_Rkk[:, diagonal, diagonal] *= 1.0 + damping_R[live, None]
        step_kR = -np.linalg.solve(damped_Rkk, g_Rk[live, :, None])[:, :, 0].T
        trial_kR = np.clip(z_kR[:, live] + np.clip(step_kR, -2.0, 2.0), -Z_LIMIT, Z_LIMIT)
        trial_m_Rkk, trial_g_Rk, trial_sum_R = _normal(part, trial_kR, free_kR[:, live], sizes, skip_R[live])
        with np.errstate(invalid="ignore", divide="ignore"):
            gain_R = part.length_R * np.log(sum_R[live] / trial_sum_R)
        better_R = gain_R > 0
        moved = live[better_R]
        z_kR[:, moved], sum_R[moved] = trial_kR[:, better_R], trial_sum_R[better_R]
        m_Rkk[moved], g_Rk[moved] = trial_m_Rkk[better_R], trial_g_Rk[better_R]
        damping_R[live] = np.where(better_R, damping_R[live] * 0.1, damping_R[live] * 10.0)
        going_R = np.where(better_R, gain_R > gain, damping_R[live] < 1e3)
        if not going_R.any():
            break
        if not going_R.all():
            live, part = live[going_R], part.take(np.flatnonzero(going_R))
    return Descent(z_kR, m_Rkk * (rows.length_R / np.maximum(sum_R, 1e-300))[:, None, None], sum_R)


def normal_equations(
    rows: Rows, z_kR: np.ndarray, free_kR: np.ndarray, sizes: Sizes
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gauss-Newton matrix [R, k, k] and half gradient [R, k] of the sum of squares [R], regressors projected out."""
    return _normal(rows, z_kR, free_kR, sizes, _conditioned(free_kR, sizes, rows))


def _conditioned(free_kR: np.ndarray, sizes: Sizes, rows: Rows) -> np.ndarray:
    p, q, big_p, _ = sizes
    skip_R = free_kR[:p].sum(0) + rows.season * free_kR[p + q : p + q + big_p].sum(0)
    return np.minimum(skip_R, rows.length_R // 2).astype(int)


def _normal(
    rows: Rows, z_kR: np.ndarray, free_kR: np.ndarray, sizes: Sizes, skip_R: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gauss-Newton matrix [R, k, k] and gradient [R, k] in z, with the linear columns projected out, and S [R]."""
    s = rows.season
    cuts = np.cumsum((0, *sizes))
    parts = [ar_jacobian(z_kR[a:b]) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]
    (phi_pR, _), (minus_theta_qR, _), (Phi_PR, _), (minus_Theta_QR, _) = parts
    x_TCR = moving_inverse(moving_inverse(rows.w_TCR, -minus_Theta_QR, s), -minus_theta_qR, 1)
    by_season_TCR = moving(x_TCR, -Phi_PR, s)
    e_TCR = moving(by_season_TCR, -phi_pR, 1)
    steps, columns, count = len(e_TCR), e_TCR.shape[1] - 1, e_TCR.shape[2]
    time_T1 = np.arange(steps)[:, None]
    inside_TR = ((time_T1 >= skip_R) & (time_T1 < rows.length_R)).astype(float)
    kept_TCR = e_TCR * inside_TR[:, None]
    beta_KR = linear(kept_TCR)
    e_TR = e_TCR[:, -1] - np.einsum("tkr,kr->tr", e_TCR[:, :-1], beta_KR) if columns else e_TCR[:, -1]
    size = sum(sizes)
    a_TAR = np.zeros((steps, columns + size + 1, count))
    a_TAR[:, :columns] = kept_TCR[:, :-1]
    np.multiply(e_TR, inside_TR, out=a_TAR[:, -1])
    at = columns
    for family, length in enumerate(sizes):
        if length == 0:
            continue
        if family % 2:  # d e / d theta_j = - B^j theta^-1 e, and theta = minus the AR-like coefficients
            coef_kR, lag = ((-minus_theta_qR, 1), (-minus_Theta_QR, s))[family // 2]
            u_TR = moving_inverse(e_TR[:, None], coef_kR, lag)[:, 0]
        else:  # d e / d phi_j = - B^j Phi x
            lag = (1, s)[family // 2]
            seen_TCR = by_season_TCR if family == 0 else moving(x_TCR, -phi_pR, 1)
            u_TR = seen_TCR[:, -1]
            if columns:
                u_TR = u_TR - np.einsum("tkr,kr->tr", seen_TCR[:, :-1], beta_KR)
            u_TR = -u_TR
        for j in range(1, length + 1):
            if lag * j < steps:
                np.multiply(u_TR[: -lag * j], inside_TR[lag * j :], out=a_TAR[lag * j :, at])
            at += 1
    gram_AAR = np.empty((columns + size + 1, columns + size + 1, count))
    for i in range(columns + size + 1):
        for j in range(i, columns + size + 1):
            gram_AAR[i, j] = gram_AAR[j, i] = np.einsum("tr,tr->r", a_TAR[:, i], a_TAR[:, j])
    for i in range(columns):
        pivot_R = np.where(gram_AAR[i, i] > 0, gram_AAR[i, i], 1.0)
        gram_AAR[i + 1 :, i + 1 :] -= (gram_AAR[i + 1 :, i] / pivot_R)[:, None] * gram_AAR[i, i + 1 :]
    slope_kkR = np.zeros((size, size, count))
    for (_, part_kkR), a, b in zip(parts, cuts[:-1], cuts[1:], strict=True):
        slope_kkR[a:b, a:b] = part_kkR
    slope_kkR *= free_kR
    inner_kkR = gram_AAR[columns:-1, columns:-1]
    slope_Rkk = slope_kkR.transpose(2, 0, 1)
    m_Rkk = slope_Rkk.swapaxes(1, 2) @ inner_kkR.transpose(2, 0, 1) @ slope_Rkk
    diagonal = np.arange(size)
    m_Rkk[:, diagonal, diagonal] += np.where(free_kR, 1e-9 * np.abs(gram_AAR[-1, -1]) + 1e-300, 1.0).T
    g_Rk = (slope_Rkk.swapaxes(1, 2) @ gram_AAR[columns:-1, -1].T[:, :, None])[:, :, 0]
    return m_Rkk, g_Rk, gram_AAR[-1, -1].copy()


def linear(kept_TCR: np.ndarray) -> np.ndarray:
    """Least-squares coefficients of the columns: [K, R], zero for an absent column."""
    columns = kept_TCR.shape[1] - 1
    if columns == 0:
        return np.zeros((0, kept_TCR.shape[2]))
    gram_RCC = np.einsum("tcr,tdr->rcd", kept_TCR, kept_TCR)
    diagonal = np.arange(columns)
    size_RC = gram_RCC[:, diagonal, diagonal]
    gram_RCC[:, diagonal, diagonal] = np.where(size_RC > 0, size_RC * (1.0 + 1e-10), 1.0)
    return np.linalg.solve(gram_RCC[:, :-1, :-1], gram_RCC[:, :-1, -1:])[:, :, 0].T
