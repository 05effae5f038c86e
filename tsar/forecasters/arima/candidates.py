"""Fits many (series, order) pairs together: one order, one batch; rare orders are padded to a common one.

Legend: B series, R rows (pairs), T time, C channels, k parameter slots (phi 1-5, theta 1-5, Phi 1-2, Theta 1-2).
An order is (p, q, P, Q, constant).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tsar.forecasters.arima.css import Sizes, fit_css
from tsar.forecasters.arima.data import Differenced
from tsar.forecasters.arima.likelihood import Rows
from tsar.forecasters.arima.optimise import loglik, maximise
from tsar.forecasters.arima.polynomials import coefs_from_z, near_unit_root
from tsar.forecasters.arima.start import hannan_rissanen

_FEW, _FEW_EXACT = 24, 12  # rows of one order that are cheaper padded to a common order than alone
_BATCH_BYTES = 1e6  # of one array of a batch; what the inner caches hold


@dataclass(frozen=True)
class Slots:
    """Where the parameters of every family lie in a row's parameter vector."""

    sizes: Sizes

    @property
    def total(self) -> int:
        """Number of slots."""
        return sum(self.sizes)

    def free(self, order_R5: np.ndarray) -> np.ndarray:
        """Which slots each order uses: [k, R]."""
        return np.concatenate([np.arange(size)[:, None] < order_R5[:, f] for f, size in enumerate(self.sizes)])

    def within(self, sizes: Sizes) -> np.ndarray:
        """Slots that smaller sizes use."""
        starts = np.cumsum((0, *self.sizes[:3]))
        return np.concatenate([start + np.arange(size) for start, size in zip(starts, sizes, strict=True)]).astype(int)


@dataclass
class Fits:
    """Fitted rows: parameters, exact log-likelihood, corrected Akaike criterion."""

    series_R: np.ndarray
    order_R5: np.ndarray
    z_kR: np.ndarray
    loglik_R: np.ndarray
    aicc_R: np.ndarray

    def join(self, other: Fits) -> Fits:
        """These rows, then those of `other`."""
        return Fits(
            np.concatenate((self.series_R, other.series_R)),
            np.concatenate((self.order_R5, other.order_R5)),
            np.concatenate((self.z_kR, other.z_kR), axis=1),
            np.concatenate((self.loglik_R, other.loglik_R)),
            np.concatenate((self.aicc_R, other.aicc_R)),
        )

    def take(self, index: np.ndarray) -> Fits:
        """Rows `index`."""
        return Fits(
            self.series_R[index], self.order_R5[index], self.z_kR[:, index], self.loglik_R[index], self.aicc_R[index]
        )


def batches(
    data: Differenced, series_R: np.ndarray, order_R5: np.ndarray, exact: bool
) -> Iterator[tuple[np.ndarray, Sizes]]:
    """Split rows into batches (positions, common sizes) of bounded memory.

    The exact likelihood costs by the square of q + s Q, so seasonal orders are not padded there.
    """
    alone_R = order_R5[:, :4] @ np.array([1, 10, 100, 1000])
    pooled_R = -1 - (order_R5[:, 2:4] @ np.array([1, 10]) if exact else order_R5[:, :2].max(1) > 2)
    _, group_R, size_G = np.unique(alone_R, return_inverse=True, return_counts=True)
    steps, channels = data.rows.w_TCR.shape[:2]
    group_R = np.where(size_G[group_R] >= (_FEW_EXACT if exact else _FEW), group_R, pooled_R)
    most = int(np.clip(_BATCH_BYTES / (8 * steps * channels), 16, 1024))
    for group in np.unique(group_R):
        index = np.flatnonzero(group_R == group)
        sizes = tuple(int(v) for v in order_R5[index, :4].max(0))
        for start in range(0, len(index), most):
            yield index[start : start + most], (sizes[0], sizes[1], sizes[2], sizes[3])


def rows_of(data: Differenced, series_R: np.ndarray, order_R5: np.ndarray) -> Rows:
    """Rows of the pairs; the constant's column is zero, or left out, where a pair has none."""
    longest = int(data.rows.length_R[series_R].max())
    without_R = order_R5[:, 4] == 0
    w_TCB = data.rows.w_TCR[:longest]
    if without_R.all():
        w_TCB = np.delete(w_TCB, -2, axis=1)
    w_TCR = w_TCB[:, :, series_R]
    if not without_R.all():
        w_TCR[:, -2, without_R] = 0.0
    return Rows(w_TCR, data.rows.length_R[series_R], data.rows.missing, data.rows.season)


def fit_candidates(
    data: Differenced,
    slots: Slots,
    series_R: np.ndarray,
    order_R5: np.ndarray,
    z_kR: np.ndarray | None,
    *,
    css: int,
    ml: int = 0,
    gain: float = 1e-2,
) -> Fits:
    """Fit every pair: Gauss-Newton on the conditional sum of squares, then the exact likelihood.

    Parameters
    ----------
    data : series, differenced
    slots : layout of the parameters
    series_R, order_R5 : the pairs
    z_kR : start, default by `hannan_rissanen`
    css, ml : most iterations on either objective; with ml=0 the likelihood is evaluated once, where Gauss-Newton ended
    gain : a row is done when the log-likelihood rises by less than this
    """
    loglik_R = np.full(len(series_R), -np.inf)
    given_kR, z_kR = z_kR, np.zeros((slots.total, len(series_R)))
    curvature_Rkk = np.zeros((len(series_R), slots.total, slots.total)) if ml else None
    for index, sizes in batches(data, series_R, order_R5, exact=False):
        rows, at = rows_of(data, series_R[index], order_R5[index]), slots.within(sizes)
        free_kR = Slots(sizes).free(order_R5[index])
        start_kR = hannan_rissanen(rows, free_kR, sizes) if given_kR is None else given_kR[np.ix_(at, index)]
        descent = fit_css(rows, start_kR, free_kR, sizes, css, 2.0 * gain)
        z_kR[np.ix_(at, index)] = descent.z_kR
        if curvature_Rkk is not None:
            curvature_Rkk[np.ix_(index, at, at)] = descent.curvature_Rkk
    for index, sizes in batches(data, series_R, order_R5, exact=True):
        rows, at = rows_of(data, series_R[index], order_R5[index]), slots.within(sizes)
        start_kR = z_kR[np.ix_(at, index)]
        if curvature_Rkk is None:
            loglik_R[index] = loglik(rows, start_kR, sizes)
        else:
            free_kR = Slots(sizes).free(order_R5[index])
            best = maximise(rows, start_kR, free_kR, sizes, curvature_Rkk[np.ix_(index, at, at)], ml, gain)
            z_kR[np.ix_(at, index)], loglik_R[index] = best.z_kR, best.loglik_R
    return Fits(series_R, order_R5, z_kR, loglik_R, aicc(data, series_R, order_R5, loglik_R))


def aicc(data: Differenced, series_R: np.ndarray, order_R5: np.ndarray, loglik_R: np.ndarray) -> np.ndarray:
    """Corrected Akaike criterion (Hurvich & Tsai 1989); infinite where parameters exhaust the observations."""
    observed_R = data.rows.length_R[series_R] - data.missing_B[series_R]
    parameters_R = order_R5.sum(1) + data.regressors + 1
    spare_R = observed_R - parameters_R - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        penalty_R = 2.0 * parameters_R * (1.0 + (parameters_R + 1.0) / spare_R)
    return np.where(spare_R > 0, penalty_R, np.inf) - 2.0 * loglik_R


def reject_unit_roots(fits: Fits, slots: Slots) -> np.ndarray:
    """Whether a row has an AR or MA root within 1.01 of the origin (Hyndman & Khandakar 2008, section 3.2).

    The roots of a seasonal factor are those in B^s: a stable season with Theta = -0.9 at s = 12, whose roots in B are
    within 1.009, stays.
    """
    return near_unit_root(coefs_from_z(fits.z_kR, slots.sizes), 1.01)
