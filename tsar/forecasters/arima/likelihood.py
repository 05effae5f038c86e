"""Exact Gaussian likelihood of seasonal ARMA rows in one pass, without a Kalman filter.

Legend: R rows, T time, C channels (a column per missing value, the regressors, last the series), K = C - 1 columns,
U = q + s Q unknown values before the sample, M = p + s P, N = n + U the extended length.

Write w = theta(B) x, x an AR process, and put U unknown values u before the sample (the back-forecasts of Box & Jenkins
1976, ch. 7): x = theta(B)^-1 (u, w) has unit Jacobian, and the precision of N consecutive values of an AR is A'A - B'B
with triangular Toeplitz A and B (Gohberg & Semencul 1972). With u integrated out,

    -2 log L = n log(2 pi s2) + S / s2 + log det(Z'(A'A - B'B)Z) + log det(Gamma_M),                            (1)

where column j of Z, the response of x to u_j, is one impulse response shifted by j, so the matrix follows from that
response's products alone. Regression coefficients and s2 are concentrated out. A missing value is one more unknown,
integrated out under a flat prior: exactly the likelihood of what was observed (Gomez, Maravall & Pena 1999).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tsar.forecasters.arima.polynomials import Coefs, log_det_ar, multiply
from tsar.forecasters.arima.recursions import moving, moving_inverse

_NOTHING = 1e-40


@dataclass(frozen=True)
class Rows:
    """Differenced data of R rows: time from 0 to `length_R`, zeros after; an unused column is all zero."""

    w_TCR: np.ndarray
    length_R: np.ndarray
    missing: int  # the first `missing` channels are unit impulses of missing values
    season: int

    def take(self, index: np.ndarray) -> Rows:
        """Rows `index`, with repetition where wanted."""
        return Rows(self.w_TCR[:, :, index], self.length_R[index], self.missing, self.season)

    @property
    def observed_R(self) -> np.ndarray:
        """Observed values of each row."""
        return self.length_R - (self.w_TCR[:, : self.missing] != 0).any(0).sum(0)


@dataclass(frozen=True)
class Exact:
    """One evaluation of the likelihood; `root_RAA` is the lower Cholesky factor of the cross products, A = U + C."""

    loglik_R: np.ndarray
    sigma2_R: np.ndarray
    root_RAA: np.ndarray
    x_NCR: np.ndarray  # theta(B)^-1 of every column at u = 0, extended sample; last the response to u_0
    e_NCR: np.ndarray  # phi(B) of these: innovations, and last rho

    def solution(self) -> np.ndarray:
        """Minus the estimated u, then missing values and regression coefficients: [A - 1, R]."""
        upper_RAA = self.root_RAA[:, :-1, :-1].swapaxes(1, 2)
        return np.linalg.solve(upper_RAA, self.root_RAA[:, -1, :-1, None])[:, :, 0].T

    def combine(self, columns_NCR: np.ndarray, unknown_AR: np.ndarray) -> np.ndarray:
        """The series' column of `x_NCR` or `e_NCR` at the unknowns `solution` gave: [N, R]."""
        columns = columns_NCR.shape[1] - 2
        before = len(unknown_AR) - columns
        out_NR = columns_NCR[:, -2].copy()
        for c in range(columns):
            out_NR -= unknown_AR[before + c] * columns_NCR[:, c]
        for j in range(before):
            out_NR[j:] -= unknown_AR[j] * columns_NCR[: len(out_NR) - j, -1]
        return out_NR

    def shocks(self) -> np.ndarray:
        """E[e_t | whole sample], [T, R]; meaningless after a row's end. The last ones are what a forecast needs."""
        unknown_AR = self.solution()
        before = len(unknown_AR) - self.e_NCR.shape[1] + 2
        return self.combine(self.e_NCR, unknown_AR)[before:]


def exact(rows: Rows, coefs: Coefs) -> Exact:
    """Evaluate equation (1) for every row; `loglik_R` is -inf where coefficients or data make it degenerate."""
    w_TCR, n_R, s = rows.w_TCR, rows.length_R, rows.season
    steps, channels, count = w_TCR.shape
    before = len(coefs.theta_qR) + s * len(coefs.Theta_QR)
    order = len(coefs.phi_pR) + s * len(coefs.Phi_PR)
    x_NCR = np.zeros((steps + before, channels + 1, count))
    x_NCR[before:, :channels] = w_TCR
    x_NCR[0, channels] = 1.0
    x_NCR = moving_inverse(moving_inverse(x_NCR, coefs.Theta_QR, s), coefs.theta_qR, 1)
    response_NR = x_NCR[:, channels]
    response_NR[np.abs(response_NR) < _NOTHING] = 0.0  # products of such values would be denormal numbers, and slow
    e_NCR = moving(moving(x_NCR, -coefs.Phi_PR, s), -coefs.phi_pR, 1)
    if (n_R < steps).any():
        e_NCR *= (np.arange(steps + before)[:, None] < n_R + before)[:, None]
    a_AAR = _cross_products(e_NCR, n_R + before, before)
    if order:  # the B'B part: the same products over the first M values of a reversed filter
        f_MR = multiply(-coefs.phi_pR, -coefs.Phi_PR, s)[::-1]
        b_MCR = np.zeros((order, channels + 1, count))
        for lag, f_R in enumerate(f_MR):
            b_MCR[lag:] += f_R * x_NCR[: order - lag]
        a_AAR -= _cross_products(b_MCR, np.full(count, order), before)
    root_RAA = _cholesky(a_AAR)
    pivot_RA = np.einsum("raa->ra", root_RAA)
    observed_R = rows.observed_R
    with np.errstate(invalid="ignore", divide="ignore"):
        logdet_R = 2.0 * np.log(pivot_RA[:, : before + rows.missing]).sum(1) + log_det_ar(coefs.phi_pR, coefs.Phi_PR, s)
        sigma2_R = pivot_RA[:, -1] ** 2 / observed_R
        loglik_R = -0.5 * (observed_R * (np.log(2.0 * np.pi * sigma2_R) + 1.0) + logdet_R)
    return Exact(np.where(np.isfinite(loglik_R), loglik_R, -np.inf), sigma2_R, root_RAA, x_NCR, e_NCR)


def _cross_products(e_NCR: np.ndarray, length_R: np.ndarray, before: int) -> np.ndarray:
    """Products of all columns: the response (last channel) shifted by 0 .. U-1, then the other channels; [A, A, R]."""
    steps, channels, count = len(e_NCR), e_NCR.shape[1] - 1, e_NCR.shape[2]
    rho_NR = e_NCR[:, channels]
    a_AAR = np.empty((before + channels, before + channels, count))
    for c in range(channels):
        for d in range(c, channels):
            value_R = np.einsum("nr,nr->r", e_NCR[:, c], e_NCR[:, d])
            a_AAR[before + c, before + d] = a_AAR[before + d, before + c] = value_R
        for j in range(before):
            value_R = np.einsum("nr,nr->r", e_NCR[j:, c], rho_NR[: max(steps - j, 0)]) if j < steps else 0.0
            a_AAR[j, before + c] = a_AAR[before + c, j] = value_R
    if before:
        for j in range(before):
            a_AAR[0, j] = np.einsum("nr,nr->r", rho_NR[j:], rho_NR[: steps - j]) if j < steps else 0.0
        at_UR = length_R - 1 - np.arange(before)[:, None]
        tail_UR = np.where(at_UR >= 0, np.take_along_axis(rho_NR, np.maximum(at_UR, 0), 0), 0.0)
        for i in range(1, before):  # a shift by one loses the product of the last values
            a_AAR[i, i:before] = a_AAR[i - 1, i - 1 : before - 1] - tail_UR[i - 1] * tail_UR[i - 1 : before - 1]
            a_AAR[i:before, i - 1] = a_AAR[i - 1, i:before]
    return a_AAR


def _cholesky(a_AAR: np.ndarray) -> np.ndarray:
    """Lower Cholesky factors [R, A, A]; an absent column, or one that others explain, drops out with pivot 1."""
    a_RAA = np.ascontiguousarray(a_AAR.transpose(2, 0, 1))
    size_RA = np.einsum("raa->ra", a_RAA).copy()
    diagonal = np.arange(len(a_AAR) - 1)
    a_RAA[:, diagonal, diagonal] = np.where(size_RA[:, :-1] > 0, size_RA[:, :-1], 1.0)
    try:
        root_RAA = np.linalg.cholesky(a_RAA)
    except np.linalg.LinAlgError:
        root_RAA = None
    if root_RAA is not None and (np.einsum("raa->ra", root_RAA)[:, :-1] ** 2 > 1e-11 * size_RA[:, :-1]).all():
        return root_RAA
    root_RAA = np.zeros_like(a_RAA)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for i in range(len(a_AAR)):
            rest_RA = a_RAA[:, i:, i] - np.einsum("raj,rj->ra", root_RAA[:, i:, :i], root_RAA[:, i, :i])
            if i < len(a_AAR) - 1:
                rest_RA[rest_RA[:, 0] <= 1e-11 * size_RA[:, i]] = np.eye(1, rest_RA.shape[1])[0]
            root_RAA[:, i:, i] = rest_RA / np.sqrt(rest_RA[:, :1])
    return root_RAA
