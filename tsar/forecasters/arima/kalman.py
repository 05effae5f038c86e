"""One-step innovations by the Kalman filter, for fitted values and residuals; the likelihood does not need it.

Legend: R rows, T time, S state (Harvey's form, size max(m, q + 1)), m AR order, q MA order.
"""

from __future__ import annotations

import numpy as np

from tsar.forecasters.arima.polynomials import Coefs, multiply

_STEADY = 1e-10


def innovations(w_TR: np.ndarray, length_R: np.ndarray, coefs: Coefs, season: int) -> np.ndarray:
    """Differences between stationary ARMA values and what their past predicts: [T, R], zero after a row's end.

    Parameters
    ----------
    w_TR : values without their mean, no missing ones, left-aligned
    length_R : values of each row
    coefs, season : the models
    """
    ar_mR, ma_qR = -multiply(-coefs.phi_pR, -coefs.Phi_PR, season), multiply(coefs.theta_qR, coefs.Theta_QR, season)
    size, count = max(len(ar_mR), len(ma_qR) + 1), w_TR.shape[1]
    phi_SR, load_SR = np.zeros((size, count)), np.zeros((size, count))
    phi_SR[: len(ar_mR)], load_SR[0], load_SR[1 : len(ma_qR) + 1] = ar_mR, 1.0, ma_qR
    shock_SSR = load_SR[:, None] * load_SR
    p_SSR, a_SR = _stationary(phi_SR, shock_SSR), np.zeros((size, count))
    out_TR, steady = np.zeros_like(w_TR), False
    gain_SR = np.zeros_like(a_SR)
    for t in range(len(w_TR)):
        out_TR[t] = w_TR[t] - a_SR[0]
        if not steady:
            gain_SR = p_SSR[:, 0] / p_SSR[0, 0]
            p_SSR = _advance(p_SSR - gain_SR[:, None] * p_SSR[0], phi_SR) + shock_SSR
            steady = bool((p_SSR[0, 0] < 1.0 + _STEADY).all())  # the variance falls to that of the shock, 1
        a_SR = a_SR + gain_SR * out_TR[t]
        first_R = a_SR[0].copy()
        a_SR[:-1], a_SR[-1] = a_SR[1:].copy(), 0.0
        a_SR += phi_SR * first_R
    return out_TR * (np.arange(len(w_TR))[:, None] < length_R)


def _advance(p_SSR: np.ndarray, phi_SR: np.ndarray) -> np.ndarray:
    """Apply the transition of Harvey's form on both sides of `p_SSR`."""
    left_SSR = phi_SR[:, None] * p_SSR[0]
    left_SSR[:-1] += p_SSR[1:]
    out_SSR = left_SSR[:, :1] * phi_SR
    out_SSR[:, :-1] += left_SSR[:, 1:]
    return out_SSR


def _stationary(phi_SR: np.ndarray, shock_SSR: np.ndarray) -> np.ndarray:
    """Stationary covariance by doubling: P <- P + A P A', A <- A A (Anderson & Moore 1979, section 6.7)."""
    size = len(phi_SR)
    a_RSS = np.zeros((phi_SR.shape[1], size, size))
    a_RSS[:, :, 0] = phi_SR.T
    a_RSS[:, np.arange(size - 1), np.arange(1, size)] = 1.0
    p_RSS = np.ascontiguousarray(shock_SSR.transpose(2, 0, 1))
    for _ in range(40):
        more_RSS = a_RSS @ p_RSS @ a_RSS.swapaxes(1, 2)
        p_RSS = p_RSS + more_RSS
        if np.abs(more_RSS).max(initial=0.0) <= 1e-14 * np.abs(p_RSS).max(initial=0.0):
            break
        a_RSS = a_RSS @ a_RSS
    return np.ascontiguousarray(p_RSS.transpose(1, 2, 0))
