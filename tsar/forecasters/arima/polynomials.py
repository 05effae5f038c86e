"""Lag polynomials of many rows at once: stationarity by partial autocorrelations, products, roots, weights.

Legend: R rows (series x candidate orders), k a lag axis. A polynomial 1 + c_1 B + ... + c_k B^k is stored as its
coefficients c_kR, without the leading one; AR coefficients phi enter as c = -phi. Padding with zeros changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Coefs(NamedTuple):
    """Coefficients of (1 - phi B)(1 - Phi B^s) w = (1 + theta B)(1 + Theta B^s) e, one column per row, zero-padded."""

    phi_pR: np.ndarray
    theta_qR: np.ndarray
    Phi_PR: np.ndarray
    Theta_QR: np.ndarray


def squash(z_kR: np.ndarray) -> np.ndarray:
    """Map the real line to (-1, 1); algebraic tails keep gradients alive near a unit root, where tanh's vanish."""
    return z_kR / np.sqrt(1.0 + z_kR * z_kR)


def unsquash(r_kR: np.ndarray) -> np.ndarray:
    """Inverse of `squash`."""
    return r_kR / np.sqrt(1.0 - r_kR * r_kR)


def ar_from_pacf(r_kR: np.ndarray) -> np.ndarray:
    """Coefficients of the stationary AR with partial autocorrelations `r_kR` (Barndorff-Nielsen & Schou 1973)."""
    phi_kR = np.array(r_kR, dtype=float)
    for k in range(1, len(phi_kR)):
        phi_kR[:k] = phi_kR[:k] - r_kR[k] * phi_kR[k - 1 :: -1][:k]
    return phi_kR


def pacf_from_ar(phi_kR: np.ndarray) -> np.ndarray:
    """Partial autocorrelations of an AR by the step-down recursion; outside (-1, 1) where it is not stationary."""
    r_kR = np.array(phi_kR, dtype=float)
    for k in range(len(r_kR) - 1, 0, -1):
        last_R = r_kR[k]
        r_kR[:k] = (r_kR[:k] + last_R * r_kR[k - 1 :: -1][:k]) / (1.0 - last_R * last_R)
    return r_kR


def coefs_from_z(z_kR: np.ndarray, sizes: tuple[int, int, int, int]) -> Coefs:
    """Stationary and invertible coefficients from unconstrained parameters in the order phi, theta, Phi, Theta."""
    parts, start = [], 0
    for index, size in enumerate(sizes):
        part_kR = ar_from_pacf(squash(z_kR[start : start + size]))
        parts.append(-part_kR if index % 2 else part_kR)
        start += size
    return Coefs(*parts)


def z_from_coefs(coefs: Coefs, limit: float = 0.98) -> np.ndarray:
    """Unconstrained parameters near `coefs`; a non-stationary or non-invertible part is pulled inside `limit`."""
    parts = []
    for index, part_kR in enumerate(coefs):
        r_kR = pacf_from_ar(-part_kR if index % 2 else part_kR)
        parts.append(unsquash(np.clip(np.nan_to_num(r_kR), -limit, limit)))
    return np.concatenate(parts)


def multiply(a_kR: np.ndarray, b_kR: np.ndarray, season: int) -> np.ndarray:
    """Coefficients of (1 + a(B)) (1 + b(B^season)), without the leading one."""
    size_a, size_b = len(a_kR), len(b_kR)
    out_kR = np.zeros((size_a + season * size_b, a_kR.shape[1]))
    out_kR[:size_a] = a_kR
    for j in range(size_b):
        at = season * (j + 1)
        out_kR[at - 1] += b_kR[j]
        out_kR[at : at + size_a] += b_kR[j] * a_kR
    return out_kR


def log_det_ar(phi_pR: np.ndarray, Phi_PR: np.ndarray, season: int) -> np.ndarray:
    """Log det of the covariance of p + season P consecutive values of the AR with unit innovations.

    It is -sum_k k log(1 - r_k^2) in the partial autocorrelations r of the product polynomial (Durbin-Levinson).
    """
    if len(Phi_PR) == 0:
        r_kR, copies = pacf_from_ar(phi_pR), 1
    elif len(phi_pR) == 0:
        r_kR, copies = pacf_from_ar(Phi_PR), season  # `season` interleaved, independent AR(P)
    else:
        r_kR, copies = pacf_from_ar(-multiply(-phi_pR, -Phi_PR, season)), 1
    k_k1 = np.arange(1, len(r_kR) + 1)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        return -copies * (k_k1 * np.log1p(-r_kR * r_kR)).sum(0)


def near_unit_root(coefs: Coefs, modulus: float) -> np.ndarray:
    """Whether a polynomial of a row, each in its own lag, has a root within `modulus` of the origin.

    The polynomial in modulus * B is stationary exactly where none does, which its partial autocorrelations tell.
    """
    near_R = np.zeros(coefs.phi_pR.shape[1], bool)
    for index, part_kR in enumerate(coefs):
        scale_k1 = modulus ** np.arange(1, len(part_kR) + 1)[:, None]
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            r_kR = pacf_from_ar((-part_kR if index % 2 else part_kR) * scale_k1)
        near_R |= ~(np.abs(r_kR) < 1.0).all(0)
    return near_R


def ar_jacobian(z_kR: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AR coefficients of unconstrained parameters and their derivatives: [k, R] and [k, k of z, R]."""
    size, count = z_kR.shape
    r_kR = squash(z_kR)
    phi_kR, slope_kkR = r_kR.copy(), np.zeros((size, size, count))
    for k in range(size):
        before_kR = phi_kR[:k][::-1].copy()
        slope_kkR[:k] -= r_kR[k] * slope_kkR[:k][::-1]
        slope_kkR[:k, k] -= before_kR
        slope_kkR[k, k] = 1.0
        phi_kR[:k] -= r_kR[k] * before_kR
    return phi_kR, slope_kkR * (1.0 + z_kR * z_kR) ** -1.5
