"""Normal equations of many autoregressions at once: y_t = D_t delta + sum_i phi_i y_{t-i} + X_t beta + e_t.

A Gram matrix over p lags holds p(p+1)/2 sums of products, but shifting both factors of a sum by one step changes only
its two ends, so p + 1 sums of length L determine all of them (the covariance method of linear prediction: Makhoul 1975,
"Linear prediction: a tutorial review", section II). Series with gaps take the explicit design instead: rows in which
the target or a lag is missing are left out, which is least squares on the complete rows.

Legend: B series, L time, R rows of the design, D deterministic columns, P highest lag, X exogenous columns,
C all columns (deterministic, exogenous, lags, target last).
"""

from __future__ import annotations

import numpy as np


def deterministic(t: np.ndarray, trend: str, season: int) -> np.ndarray:
    """Deterministic columns at times `t` = 1, 2, … counted from the start of a series: shape of t, then D.

    Parameters
    ----------
    t : int array
    trend : "n", "c", "t" or "ct"
    season : period of the dummies, 0 for none; beside a constant the first phase has no dummy
    """
    columns = [np.ones(t.shape)] * ("c" in trend) + [t.astype("f8")] * ("t" in trend)
    phase = (t - 1) % season if season else t
    columns += [(phase == k).astype("f8") for k in range(int("c" in trend), season)]
    return np.stack(columns, -1) if columns else np.empty((*t.shape, 0))


def spans_constant(trend: str, season: int) -> bool:
    """Whether the deterministic columns can absorb a shift of the level."""
    return "c" in trend or season > 0


def shared_gram(y_BL: np.ndarray, lags: np.ndarray, trend: str, season: int, skip: int) -> np.ndarray:
    """Gram matrices [C, C, B] of gap-free series of one length, from P + 1 products of length L; lower triangles only.

    Parameters
    ----------
    y_BL : array without NaN
    lags : ascending int array
    trend, season : see `deterministic`
    skip : int ≥ max(lags); the first target is y[:, skip]
    """
    length, top = y_BL.shape[1], int(lags[-1]) if len(lags) else 0
    wide = "ct" if trend == "t" and not season else trend  # a lone trend is not closed under shifts in time
    d_LD = deterministic(np.arange(1, length + 1), wide, season)
    shift_DD = _shift(wide, season)
    first_PB = np.ascontiguousarray(y_BL[:, skip - top : skip].T[::-1])  # y_{skip-1-i}: what a shift lets in …
    last_PB = np.ascontiguousarray(y_BL[:, length - top :].T[::-1])  # … and what it drops, y_{L-1-i}
    target_BR, n_det = y_BL[:, skip:], d_LD.shape[1]

    gram = np.empty((n_det + top + 1, n_det + top + 1, len(y_BL)))
    chain_PB = np.empty((top + 1, len(y_BL)))  # [j - i] = sum_t y_{t-i} y_{t-j} for the lag i at hand
    for j in range(top + 1):
        np.einsum("bl,bl->b", target_BR, y_BL[:, skip - j : length - j], out=chain_PB[j])
    gram[-1, -1], gram[-1, n_det:-1] = chain_PB[0], chain_PB[1:]
    for i in range(top):
        chain_PB = chain_PB[:-1]
        chain_PB += first_PB[i] * first_PB[i:]
        chain_PB -= last_PB[i] * last_PB[i:]
        gram[n_det + i : -1, n_det + i] = chain_PB
    gram[:n_det, :n_det] = (d_LD[skip:].T @ d_LD[skip:])[..., None]
    cross_DB = d_LD[skip:].T @ target_BR.T
    gram[-1, :n_det] = cross_DB
    for i in range(top):
        ends_DB = d_LD[skip - 1][:, None] * first_PB[i] - d_LD[-1][:, None] * last_PB[i]
        cross_DB = shift_DD.T @ (cross_DB + ends_DB)
        gram[n_det + i, :n_det] = cross_DB
    keep = np.r_[n_det - _count(trend, season) : n_det, n_det + lags - 1, n_det + top]
    return gram if len(keep) == len(gram) else gram[keep[:, None], keep]


def _count(trend: str, season: int) -> int:
    return deterministic(np.zeros(0, "i8"), trend, season).shape[1]


def _shift(trend: str, season: int) -> np.ndarray:
    """Matrix A [D, D] with D_{t+1} = D_t A; its entries are whole numbers."""
    t = np.arange(1, 2 * season + 4)
    now, then = deterministic(t, trend, season), deterministic(t + 1, trend, season)
    return np.rint(np.linalg.lstsq(now, then, rcond=None)[0]) if now.shape[1] else np.empty((0, 0))


def design(
    y_BL: np.ndarray,
    x_BLX: np.ndarray | None,
    lengths_B: np.ndarray,
    lags: np.ndarray,
    trend: str,
    season: int,
    skip: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Explicit design [B, R, C] of series aligned at their ends, and which rows are complete [B, R]; others are zero.

    Parameters
    ----------
    y_BL : array, NaN where missing and before the start
    x_BLX : exogenous columns, or None
    lengths_B : number of steps of each series, which sets the clock of its deterministic columns
    lags, trend, season, skip : as in `shared_gram`
    """
    width = y_BL.shape[1]
    t_BR = np.arange(skip, width) - (width - lengths_B)[:, None] + 1
    columns = [deterministic(t_BR, trend, season)]
    columns += [] if x_BLX is None else [x_BLX[:, skip:]]
    columns += [y_BL[:, skip - lag : width - lag, None] for lag in lags]
    rows_BRC = np.concatenate([*columns, y_BL[:, skip:, None]], axis=-1)
    complete_BR = ~np.isnan(rows_BRC).any(-1) & (t_BR > skip)
    return np.where(complete_BR[..., None], rows_BRC, 0.0), complete_BR
