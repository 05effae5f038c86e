"""Start values by the two regressions of Hannan & Rissanen (1982), for all rows at once.

Legend: R rows, T time, C channels, K lags of the long autoregression, k ARMA parameters.
"""

from __future__ import annotations

import numpy as np

from tsar.forecasters.arima.css import Sizes, linear
from tsar.forecasters.arima.likelihood import Rows
from tsar.forecasters.arima.polynomials import Coefs, z_from_coefs
from tsar.forecasters.arima.recursions import moving


def hannan_rissanen(rows: Rows, free_kR: np.ndarray, sizes: Sizes) -> np.ndarray:
    """Unconstrained parameters [k, R]: a long autoregression gives residuals, then w is regressed on lags of both.

    Seasonal factors enter by their main lags; what is not stationary or invertible is pulled inside.
    """
    steps, count = len(rows.w_TCR), rows.w_TCR.shape[2]
    beta_KR = linear(rows.w_TCR)
    w_TR = rows.w_TCR[:, -1] - np.einsum("tkr,kr->tr", rows.w_TCR[:, :-1], beta_KR)
    w_TR *= np.arange(steps)[:, None] < rows.length_R
    seasonal = sizes[2] + sizes[3] > 0
    longest = min(max(10, rows.season + 2 if seasonal else 0), max(int(rows.length_R.min()) // 3, 1))
    e_TR = moving(w_TR[:, None], -yule_walker(w_TR, longest), 1)[:, 0]
    columns = []
    sources = ((w_TR, 1), (e_TR, 1), (w_TR, rows.season), (e_TR, rows.season))
    for (source_TR, lag), size in zip(sources, sizes, strict=True):
        for j in range(1, size + 1):
            column_TR = np.zeros((steps, count))
            column_TR[lag * j :] = source_TR[: max(steps - lag * j, 0)]
            columns.append(column_TR)
    inside_TR = (np.arange(steps)[:, None] >= longest) & (np.arange(steps)[:, None] < rows.length_R)
    a_TkR = np.stack([*columns, w_TR], 1) * inside_TR[:, None]
    gram_Rkk = np.einsum("tir,tjr->rij", a_TkR, a_TkR)
    keep_Rk = free_kR.T
    inner_Rkk = gram_Rkk[:, :-1, :-1] * (keep_Rk[:, :, None] & keep_Rk[:, None, :])
    diagonal = np.arange(len(columns))
    inner_Rkk[:, diagonal, diagonal] = np.where(keep_Rk, inner_Rkk[:, diagonal, diagonal] * (1 + 1e-6) + 1e-12, 1.0)
    solved_kR = np.linalg.solve(inner_Rkk, (gram_Rkk[:, :-1, -1] * keep_Rk)[:, :, None])[:, :, 0].T
    return z_from_coefs(Coefs(*np.split(solved_kR, np.cumsum(sizes)[:-1])), limit=0.9) * free_kR


def yule_walker(w_TR: np.ndarray, order: int) -> np.ndarray:
    """Coefficients [K, R] of autoregressions by the Levinson-Durbin recursion on sample autocovariances."""
    spectrum = np.abs(np.fft.rfft(w_TR, 2 * len(w_TR), axis=0)) ** 2
    gamma_KR = np.fft.irfft(spectrum, axis=0)[: order + 1]
    phi_KR, error_R = np.zeros((order, w_TR.shape[1])), np.maximum(gamma_KR[0], 1e-300)
    for k in range(order):
        r_R = (gamma_KR[k + 1] - np.einsum("kr,kr->r", phi_KR[:k], gamma_KR[k:0:-1])) / error_R
        phi_KR[:k] = phi_KR[:k] - r_R * phi_KR[:k][::-1]
        phi_KR[k] = r_R
        error_R = np.maximum(error_R * (1.0 - r_R * r_R), 1e-300)
    return phi_KR
