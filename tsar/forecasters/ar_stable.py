"""Keeps autoregressions from exploding: roots beyond the unit circle are drawn back onto it.

Least squares on a short, growing series often finds a root above one, and its forecasts grow without end. Replacing
phi_i by phi_i r^-i divides every root by r (bandwidth expansion, as speech coders do); with r the largest one, the
process keeps its shape and becomes a random walk, whose drift is estimated again.

Legend: B series, L time, P lags (dense).
"""

from __future__ import annotations

import numpy as np


def radius(phi_BP: np.ndarray) -> np.ndarray:
    """Magnitude of the largest root where it is above one, else one: [B], by bisection on `stable`."""
    out_B = np.ones(len(phi_BP))
    wild = np.flatnonzero(~stable(phi_BP))
    if len(wild):
        power = np.arange(1, phi_BP.shape[1] + 1)
        low, high = np.ones(len(wild)), 1 + np.abs(phi_BP[wild]).max(1)  # Cauchy's bound
        for _ in range(40):
            middle = (low + high) / 2
            calm = stable(phi_BP[wild] * middle[:, None] ** -power)
            low, high = np.where(calm, low, middle), np.where(calm, middle, high)
        out_B[wild] = high
    return out_B


def stable(phi_BP: np.ndarray) -> np.ndarray:
    """Whether all roots lie inside the unit circle: all reflection coefficients of the step-down recursion do."""
    inside_B = np.ones(len(phi_BP), bool)
    rest_BP = phi_BP
    with np.errstate(all="ignore"):
        for order in range(phi_BP.shape[1], 0, -1):
            last_B = rest_BP[:, order - 1]
            inside_B &= np.abs(last_B) < 1
            lower = rest_BP[:, : order - 1]
            rest_BP = (lower + last_B[:, None] * lower[:, ::-1]) / np.where(inside_B, 1 - last_B**2, 1.0)[:, None]
    return inside_B


def errors(y_BL: np.ndarray, input_BL: np.ndarray, phi_BP: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """One-step errors of series aligned at their ends; NaN where the target or a lag is missing: [B, L - P]."""
    top, width = int(lags[-1]) if len(lags) else 0, y_BL.shape[1]
    out_BR = y_BL[:, top:] - input_BL[:, top:]
    for lag in lags:
        out_BR = out_BR - phi_BP[:, lag - 1, None] * y_BL[:, top - lag : width - lag]
    return out_BR
