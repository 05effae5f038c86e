"""Autoregressions from autocovariances (Yule-Walker) and from reflection coefficients (Burg), all series at once.

Both fit u_t = sum_i phi_i u_{t-i} + e_t to what is left of a series after its deterministic part was regressed out, and
both give every lower order on the way.

Legend: B series, L time, D deterministic columns, P lags, K = P + 1 nested orders.
"""

from __future__ import annotations

import numpy as np

from tsar.forecasters.ar_gram import deterministic
from tsar.forecasters.ar_solve import Batch, Terms, least_squares


def remove_deterministic(batch: Batch, trend: str, season: int) -> tuple[np.ndarray, np.ndarray]:
    """Regress the deterministic columns out: residuals [B, L] (NaN where missing), coefficients [B, D]."""
    fit = least_squares(batch, Terms(np.empty(0, "i8"), trend, season))
    width = batch.y_BL.shape[1]
    t_BL = np.arange(width) - (width - batch.lengths_B)[:, None] + 1
    part_BL = np.einsum("bld,bd->bl", deterministic(t_BL, trend, season), fit.coef_BC)
    return batch.y_BL - part_BL, fit.coef_BC


def into_equation(coef_BD: np.ndarray, phi_BP: np.ndarray, trend: str, season: int) -> np.ndarray:
    """Turn the deterministic part mu_t = D_t gamma into the equation's own term, mu_t - sum_i phi_i mu_{t-i}."""
    t = np.arange(1, 2 * season + 4)
    now = deterministic(t, trend, season)
    out_BD = coef_BD.copy()
    for i in range(phi_BP.shape[1]):
        back_DD = np.rint(np.linalg.lstsq(now, deterministic(t - i - 1, trend, season), rcond=None)[0])
        out_BD -= phi_BP[:, i, None] * (coef_BD @ back_DD.T)
    return out_BD


def yule_walker(u_BL: np.ndarray, highest: int) -> tuple[np.ndarray, np.ndarray]:
    """Solve the Yule-Walker equations of all orders by Levinson's recursion (Brockwell and Davis 1991, section 8.2).

    Autocovariances are divided by the number of observations, and pairs with a missing partner count as zero: the
    fitted model is then always stationary.

    Parameters
    ----------
    u_BL : residuals, NaN where missing
    highest : int, the largest order

    Returns
    -------
    phi_KBP : coefficients of each order, zero beyond it; var_KB : innovation variances
    """
    seen_BL = ~np.isnan(u_BL)
    x_BL, length = np.where(seen_BL, u_BL, 0.0), u_BL.shape[1]
    cov_KB = np.stack([np.einsum("bl,bl->b", x_BL[:, k:], x_BL[:, : length - k]) for k in range(highest + 1)])
    cov_KB /= np.maximum(seen_BL.sum(1), 1)

    def reflect(order: int, phi_BP: np.ndarray, var_B: np.ndarray) -> np.ndarray:
        rest_B = cov_KB[order] - np.einsum("bp,pb->b", phi_BP[:, : order - 1], cov_KB[order - 1 : 0 : -1])
        return _ratio(rest_B, var_B)

    return _levinson(len(u_BL), highest, cov_KB[0], reflect)


def burg(u_BL: np.ndarray, highest: int) -> tuple[np.ndarray, np.ndarray]:
    """Minimise forward plus backward prediction errors order by order (Burg 1975).

    Only steps whose `order` predecessors are all observed count. Arguments and returns as in `yule_walker`.
    """
    forward, backward = u_BL[:, 1:], u_BL[:, :-1]
    seen_B = np.maximum((~np.isnan(u_BL)).sum(1), 1)

    def reflect(order: int, phi_BP: np.ndarray, var_B: np.ndarray) -> np.ndarray:
        nonlocal forward, backward
        both = ~np.isnan(forward) & ~np.isnan(backward)
        f, b = np.where(both, forward, 0.0), np.where(both, backward, 0.0)
        power_B = np.einsum("bl,bl->b", f, f) + np.einsum("bl,bl->b", b, b)
        k_B = _ratio(2 * np.einsum("bl,bl->b", f, b), power_B)
        step_f = forward - k_B[:, None] * backward
        step_b = backward - k_B[:, None] * forward
        forward, backward = step_f[:, 1:], step_b[:, :-1]
        return k_B

    return _levinson(len(u_BL), highest, np.nansum(u_BL**2, 1) / seen_B, reflect)


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.zeros(top.shape), where=bottom > 0)


def _levinson(count: int, highest: int, var_B: np.ndarray, reflect) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[no-untyped-def]
    """Build the coefficients of every order from the reflection coefficients that `reflect(order, phi, var)` gives."""
    phi_KBP = np.zeros((highest + 1, count, highest))
    var_KB = np.empty((highest + 1, count))
    var_KB[0] = var_B
    for order in range(1, highest + 1):
        last = phi_KBP[order - 1]
        k_B = reflect(order, last, var_KB[order - 1])
        phi_KBP[order, :, : order - 1] = last[:, : order - 1] - k_B[:, None] * last[:, : order - 1][:, ::-1]
        phi_KBP[order, :, order - 1] = k_B
        var_KB[order] = var_KB[order - 1] * np.maximum(1 - k_B**2, 0.0)
    return phi_KBP, var_KB
