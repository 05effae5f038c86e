"""The two linear filters of an ARMA, run for all rows at once: multiply by a lag polynomial, divide by one.

Legend: T time, C channels that share a row's coefficients, R rows, k lags. Time is the first axis and rows the last, so
that every step is one contiguous vector operation. Values before time 0 are zero.
"""

from __future__ import annotations

import numpy as np

_VECTOR = 384  # values that make one vector operation worth its call


def moving(x_TCR: np.ndarray, coef_kR: np.ndarray, lag: int) -> np.ndarray:
    """Apply 1 + sum_j coef_j B^(lag j)."""
    y_TCR = x_TCR.copy()
    for j, coef_R in enumerate(coef_kR, start=1):
        if lag * j < len(x_TCR):
            y_TCR[lag * j :] += coef_R * x_TCR[: -lag * j]
    return y_TCR


def moving_inverse(x_TCR: np.ndarray, coef_kR: np.ndarray, lag: int) -> np.ndarray:
    """Apply the inverse of c(B) = 1 + sum_j coef_j B^(lag j).

    A recursion with lag l is T / l vector operations. Where these are short, the lag is doubled first: c(B) c(-B) holds
    even powers only, so 1 / c(B) = c(-B) / (c(B) c(-B)) is a moving average and a recursion of twice the lag, whose
    roots are the squares of the old ones (Graeffe).
    """
    steps, width = len(x_TCR), x_TCR.shape[1] * x_TCR.shape[2]
    while len(coef_kR) and lag * width < _VECTOR and 2 * lag < steps:
        sign_k1 = (-1.0) ** np.arange(1, len(coef_kR) + 1)[:, None]
        x_TCR = moving(x_TCR, sign_k1 * coef_kR, lag)
        coef_kR = _even_part(coef_kR, sign_k1 * coef_kR)
        lag *= 2
    y_TCR = x_TCR.copy()
    term_lCR = np.empty((min(lag, steps), *x_TCR.shape[1:]))
    for t in range(lag, steps, lag):
        block_lCR = y_TCR[t : t + lag]
        size = len(block_lCR)
        for j in range(1, min(len(coef_kR), t // lag) + 1):
            np.multiply(coef_kR[j - 1], y_TCR[t - lag * j : t - lag * j + size], out=term_lCR[:size])
            block_lCR -= term_lCR[:size]
    return y_TCR


def _even_part(a_kR: np.ndarray, b_kR: np.ndarray) -> np.ndarray:
    """Even coefficients of (1 + a(B)) (1 + b(B)), without the leading one."""
    size = len(a_kR)
    product_kR = np.zeros((2 * size + 1, a_kR.shape[1]))
    product_kR[: size + 1] = np.concatenate((np.ones_like(a_kR[:1]), b_kR))
    for j in range(size):
        product_kR[j + 1] += a_kR[j]
        product_kR[j + 2 : j + 2 + size] += a_kR[j] * b_kR
    return product_kR[2::2]
