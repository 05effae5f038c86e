"""Least squares for a batch of autoregressions, from one vectorised factorisation of their normal equations.

The target is the last column of every Gram matrix, so the factorisation G = L diag(d) L' gives the coefficients and the
residual sum of squares of every nested model at once: order selection costs no further fit. Rows whose pivots lost more
than eight digits (collinear or constant series) are solved again by a singular value decomposition of their design.

Legend: B series, L time, R rows, D deterministic columns, P lags, X exogenous columns,
C all columns (deterministic, exogenous, lags, target last), K = P + 1 nested orders.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tsar.forecasters.ar_gram import design, deterministic, shared_gram, spans_constant

_LOST = 1e-8  # pivot relative to its column: below it the normal equations have lost half of float64's digits
_WIDE = 32  # columns from which LAPACK is faster than a loop over columns
_BLOCK = 1 << 17  # numbers in flight: a block of series and its Gram matrices stay in the processor's cache


class Batch(NamedTuple):
    """Series aligned at their ends, [B, L], NaN where missing; exogenous columns [B, L, X] or None; lengths [B]."""

    y_BL: np.ndarray
    x_BLX: np.ndarray | None
    lengths_B: np.ndarray

    def take(self, rows: np.ndarray | slice) -> Batch:
        """Return the series at these positions."""
        return Batch(self.y_BL[rows], None if self.x_BLX is None else self.x_BLX[rows], self.lengths_B[rows])


class Terms(NamedTuple):
    """What a model regresses on: lags (ascending int array), trend "n", "c", "t" or "ct", period of dummies or 0."""

    lags: np.ndarray
    trend: str = "c"
    season: int = 0

    @property
    def n_det(self) -> int:
        """Number of deterministic columns."""
        return deterministic(np.zeros(0, "i8"), self.trend, self.season).shape[1]

    @property
    def constant(self) -> np.ndarray:
        """The deterministic columns that take a shift of the level: the constant, or without one all dummies."""
        return np.arange(1) if "c" in self.trend else np.arange(int("t" in self.trend), self.n_det)

    @property
    def reach(self) -> int:
        """The highest lag."""
        return int(self.lags[-1]) if len(self.lags) else 0


class Fit(NamedTuple):
    """Coefficients [B, C - 1] (deterministic, exogenous, lags), root of the residual sum of squares [B], rows [B]."""

    coef_BC: np.ndarray
    norm_B: np.ndarray
    rows_B: np.ndarray


def solve(gram_CCB: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Regress the target on the other columns, and on the first 0, 1, … of them; overwrites the Gram matrices.

    Parameters
    ----------
    gram_CCB : lower triangles

    Returns
    -------
    coef_CB : coefficients [C - 1, B]
    rss_CB : squared sum of the target after removing the first 0, 1, …, C - 1 columns
    ratio_B : the smallest pivot relative to its column's sum of squares; small, or NaN, means collinear
    """
    diagonal_CB = np.einsum("ccb->cb", gram_CCB)
    scale_CB, rss_CB = diagonal_CB.copy(), np.empty(diagonal_CB.shape)
    if len(gram_CCB) > _WIDE:
        return _solve_wide(gram_CCB, scale_CB)
    for j in range(len(gram_CCB) - 1):
        rss_CB[j] = gram_CCB[-1, -1]
        factor = gram_CCB[j + 1 :, j] / gram_CCB[j, j]
        for i in range(j + 1, len(gram_CCB)):  # the lower triangle only
            gram_CCB[i, j + 1 : i + 1] -= factor[i - j - 1] * gram_CCB[j + 1 : i + 1, j]
        gram_CCB[j + 1 :, j] = factor
    rss_CB[-1] = gram_CCB[-1, -1]
    coef_CB = gram_CCB[-1, :-1].copy()
    for j in range(len(coef_CB) - 2, -1, -1):
        coef_CB[j] -= np.einsum("cb,cb->b", gram_CCB[j + 1 : -1, j], coef_CB[j + 1 :])
    return coef_CB, rss_CB, np.min(diagonal_CB / scale_CB, axis=0)


def _solve_wide(gram_CCB: np.ndarray, scale_CB: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`solve` for many columns, where LAPACK takes series one by one faster than numpy takes columns one by one."""
    root_BCC = _cholesky(np.ascontiguousarray(gram_CCB.transpose(2, 0, 1)))
    last_BC = root_BCC[:, -1, :-1]
    coef_BC = np.linalg.solve(root_BCC[:, :-1, :-1].transpose(0, 2, 1), last_BC[..., None])[..., 0]
    removed_CB = np.cumsum(last_BC**2, axis=1).T
    rss_CB = scale_CB[-1] - np.concatenate([np.zeros((1, len(root_BCC))), removed_CB])
    rss_CB[-1] = root_BCC[:, -1, -1] ** 2  # without the cancellation
    pivot_CB = np.einsum("bcc->cb", root_BCC) ** 2
    return coef_BC.T, rss_CB, np.min(pivot_CB / scale_CB, axis=0)


def _cholesky(gram_BCC: np.ndarray) -> np.ndarray:
    """Cholesky roots; matrices that have none, found by halving the batch, give NaN."""
    try:
        return np.linalg.cholesky(gram_BCC)
    except np.linalg.LinAlgError:
        if len(gram_BCC) == 1:
            return np.full(gram_BCC.shape, np.nan)
        half = len(gram_BCC) // 2
        return np.concatenate([_cholesky(gram_BCC[:half]), _cholesky(gram_BCC[half:])])


def _centre(batch: Batch, terms: Terms) -> tuple[Batch, np.ndarray]:
    """Remove each series' mean where the deterministic part can take it back: sums keep more digits."""
    count, width = batch.y_BL.shape
    if not spans_constant(terms.trend, terms.season):
        return batch, np.zeros(count)
    mean_B = batch.y_BL @ np.full(width, 1 / width)
    if np.isnan(mean_B).any():
        seen_BL = ~np.isnan(batch.y_BL)
        mean_B = np.where(seen_BL, batch.y_BL, 0.0) @ np.ones(width) / np.maximum(seen_BL.sum(1), 1)
    mean_B[~np.isfinite(mean_B)] = 0.0
    return batch._replace(y_BL=batch.y_BL - mean_B[:, None]), mean_B


def _size(y_BL: np.ndarray, mean_B: np.ndarray) -> np.ndarray:
    """Largest magnitude of each series, [B, 1]; infinite where only rounding is left of it, so that it becomes zero."""
    size_B = np.fmax.reduce(np.abs(y_BL), 1)
    return np.where(size_B > 1e-14 * np.abs(mean_B), size_B, np.inf)[:, None]


def _gram(batch: Batch, terms: Terms, skip: int) -> tuple[np.ndarray, np.ndarray]:
    """Gram matrices [C, C, B] and the number of complete rows [B]; shared products where there is no gap."""
    width = batch.y_BL.shape[1]
    if batch.x_BLX is None and not np.isnan(batch.y_BL.sum()):
        return shared_gram(batch.y_BL, *terms, skip), np.full(len(batch.y_BL), width - skip)
    rows_BRC, complete_BR = design(*batch, *terms, skip)
    gram_BCC = rows_BRC.transpose(0, 2, 1) @ rows_BRC
    return np.ascontiguousarray(gram_BCC.transpose(1, 2, 0)), complete_BR.sum(1)


def _blocks(batch: Batch, columns: int) -> Iterator[slice]:
    """Cut a batch so that values and Gram matrices (or, with gaps, designs) stay small."""
    count, length = batch.y_BL.shape
    explicit = batch.x_BLX is not None or bool(np.isnan(batch.y_BL.sum()))
    room = 16 * _BLOCK if explicit or columns > _WIDE else _BLOCK
    step = room // (length * columns if explicit else max(length, columns * columns))
    return (slice(a, min(a + max(step, 1), count)) for a in range(0, count, max(step, 1)))


def least_squares(batch: Batch, terms: Terms) -> Fit:
    """Fit every series of a batch on its complete rows; collinear ones get the solution of smallest norm."""
    count, n_det = len(batch.y_BL), terms.n_det
    n_x = 0 if batch.x_BLX is None else batch.x_BLX.shape[2]
    columns = n_det + n_x + len(terms.lags) + 1
    coef_BC, norm_B, rows_B = np.empty((count, columns - 1)), np.empty(count), np.empty(count, "i8")
    for part in _blocks(batch, columns):
        with np.errstate(all="ignore"):  # what goes wrong here is seen in the pivots and solved again below
            centred, mean_B = _centre(batch.take(part), terms)
            gram_CCB, rows_B[part] = _gram(centred, terms, terms.reach)
            power_B = gram_CCB[-1, -1].copy()
            coef_CB, rss_CB, ratio_B = solve(gram_CCB)
            norm_b = np.sqrt(np.maximum(rss_CB[-1], 0.0))
        for b in np.flatnonzero(~((ratio_B > _LOST) & (power_B > 1e-200) & (power_B < 1e200))):
            one = centred.take(slice(b, b + 1))
            size = _size(one.y_BL, mean_B[b])
            rows_RC, complete_R = (a[0] for a in design(*one._replace(y_BL=one.y_BL / size), *terms, terms.reach))
            coef_CB[:, b], norm_b[b] = _smallest_norm(rows_RC[complete_R])
            if np.isfinite(size[0, 0]):
                coef_CB[: n_det + n_x, b] *= size[0, 0]
                norm_b[b] *= size[0, 0]
        coef_CB[terms.constant] += mean_B * (1 - coef_CB[n_det + n_x :].sum(0))
        coef_BC[part], norm_B[part] = coef_CB.T, norm_b
    return Fit(coef_BC, norm_B, rows_B)


def _smallest_norm(rows_RC: np.ndarray) -> tuple[np.ndarray, float]:
    coef_C = np.linalg.lstsq(rows_RC[:, :-1], rows_RC[:, -1], rcond=None)[0]
    return coef_C, float(np.linalg.norm(rows_RC[:, -1] - rows_RC[:, :-1] @ coef_C))


def nested_criteria(batch: Batch, highest: int, trend: str, season: int, criterion: str) -> np.ndarray:
    """Information criterion of the orders 0 … `highest` on the same rows, from one factorisation: [B, K].

    Parameters
    ----------
    batch : Batch
    highest : int, the largest order; its first `highest` steps are no targets for any order
    trend, season : see `Terms`
    criterion : "aicc" (Hurvich and Tsai 1989) or "bic" (Schwarz 1978)
    """
    terms = Terms(np.arange(1, highest + 1), trend, season)
    fixed = terms.n_det + (0 if batch.x_BLX is None else batch.x_BLX.shape[2])
    out_BK = np.empty((len(batch.y_BL), highest + 1))
    for part in _blocks(batch, fixed + highest + 1):
        with np.errstate(all="ignore"):
            centred, mean_B = _centre(batch.take(part), terms)
            scaled = centred._replace(y_BL=centred.y_BL / _size(centred.y_BL, mean_B))
            gram_CCB, rows_b = _gram(scaled, terms, highest)
            rss_CB = solve(gram_CCB)[1]
        # a pivot below the digits of its column is noise: a perfect fit gets no better by more lags
        rss_bK = np.nan_to_num(np.fmin.accumulate(rss_CB)[fixed:].T, nan=np.inf)
        floor_b = np.maximum(rows_b * 1e-20, rss_CB[0] * 1e-14)
        used_K = fixed + np.arange(highest + 1)
        out_BK[part] = information(np.maximum(rss_bK, floor_b[:, None]), rows_b[:, None], used_K, criterion)
    return out_BK


def information(rss: np.ndarray, rows: np.ndarray, used: np.ndarray, criterion: str) -> np.ndarray:
    """Criterion of Gaussian fits with `used` coefficients and a variance; infinite where rows do not suffice."""
    k = used + 1
    with np.errstate(divide="ignore", invalid="ignore"):
        penalty = k * np.log(rows) if criterion == "bic" else 2 * k * rows / (rows - k - 1)
        return np.where(rows > k + 1, rows * np.log(rss / rows) + penalty, np.inf)
