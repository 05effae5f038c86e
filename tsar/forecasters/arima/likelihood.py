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
    """One evaluation of the likelihood; `solved` holds the eliminated cross products, unknowns in front."""

    loglik_R: np.ndarray
    sigma2_R: np.ndarray
    solved_AAR: np.ndarray
    e_NCR: np.ndarray  # innovations at u = 0, extended sample, one channel per column
    rho_NR: np.ndarray  # their response to u_0

    def solution(self) -> np.ndarray:
        """Minus the estimated u, then missing values and regression coefficients, by back substitution: [A - 1, R]."""
        last = len(self.solved_AAR) - 1
        x_AR = self.solved_AAR[:last, last].copy()
        for i in range(last - 1, -1, -1):
            x_AR[i] -= np.einsum("ar,ar->r", self.solved_AAR[i, i + 1 : last], x_AR[i + 1 :])
            x_AR[i] /= self.solved_AAR[i, i]
        return x_AR

    def shocks(self) -> np.ndarray:
        """E[e_t | whole sample], [T, R]; meaningless after a row's end. The last ones are what a forecast needs."""
        x_AR = self.solution()
        columns = self.e_NCR.shape[1] - 1
        before = len(x_AR) - columns
        e_NR = self.e_NCR[:, -1] - np.einsum("ncr,cr->nr", self.e_NCR[:, :-1], x_AR[before:])
        for j in range(before):
            e_NR[j:] -= x_AR[j] * self.rho_NR[: len(e_NR) - j]
        return e_NR[before:]


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
    e_NCR = moving(moving(x_NCR, -coefs.Phi_PR, s), -coefs.phi_pR, 1)
    if (n_R < steps).any():
        e_NCR *= (np.arange(steps + before)[:, None] < n_R + before)[:, None]
    rho_NR = e_NCR[:, channels]
    a_AAR = _cross_products(e_NCR, n_R + before, before)
    if order:  # the B'B part: the same products over the first M values of a reversed filter
        f_MR = multiply(-coefs.phi_pR, -coefs.Phi_PR, s)[::-1]
        b_MCR = np.zeros((order, channels + 1, count))
        for lag, f_R in enumerate(f_MR):
            b_MCR[lag:] += f_R * x_NCR[: order - lag]
        a_AAR -= _cross_products(b_MCR, np.full(count, order), before)
    logdet_R = _eliminate(a_AAR, before + rows.missing) + log_det_ar(coefs.phi_pR, coefs.Phi_PR, s)
    sum_R, observed_R = a_AAR[-1, -1], rows.observed_R
    with np.errstate(invalid="ignore", divide="ignore"):
        sigma2_R = sum_R / observed_R
        loglik_R = -0.5 * (observed_R * (np.log(2.0 * np.pi * sigma2_R) + 1.0) + logdet_R)
    return Exact(np.where(np.isfinite(loglik_R), loglik_R, -np.inf), sigma2_R, a_AAR, e_NCR[:, :channels], rho_NR)


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


def _eliminate(a_AAR: np.ndarray, integrated: int) -> np.ndarray:
    """Eliminate every unknown from the cross products, in place; log det of the `integrated` leading ones."""
    logdet_R = np.zeros(a_AAR.shape[2])
    scale_AR = np.einsum("aar->ar", a_AAR).copy()
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for i in range(len(a_AAR) - 1):
            unused_R = a_AAR[i, i] <= 1e-11 * scale_AR[i]  # an absent column, or one that others explain
            if unused_R.any():
                a_AAR[i, i + 1 :, unused_R] = 0.0
                a_AAR[i, i] = np.where(unused_R, 1.0, a_AAR[i, i])
            if i < integrated:
                logdet_R += np.log(a_AAR[i, i])
            ratio_AR = a_AAR[i, i + 1 :] / a_AAR[i, i]
            a_AAR[i + 1 :, i + 1 :] -= ratio_AR[:, None] * a_AAR[i, i + 1 :]
    return logdet_R
