"""Forecasts of fitted models after the end of any history: the mean, psi weights, and what missing values leave open.

Legend: R rows (series), T time, C channels, H horizon, K regressors, m AR order, q MA order, G missing values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tsar.forecasters.arima.candidates import Slots, batches, rows_of
from tsar.forecasters.arima.data import Differenced, fill
from tsar.forecasters.arima.differencing import difference_polynomial
from tsar.forecasters.arima.kalman import innovations
from tsar.forecasters.arima.likelihood import Exact, Rows, exact
from tsar.forecasters.arima.polynomials import Coefs, coefs_from_z, multiply


@dataclass(frozen=True)
class Ahead:
    """Mean, psi weights of the shocks and response to the unknowns of the present, each over the horizon; raw units."""

    mean_RH: np.ndarray
    psi_RH: np.ndarray
    unknown_RHG: np.ndarray  # in units of the shocks' standard deviation


@dataclass(frozen=True)
class _Smoothed:
    """A batch at given parameters: rows less their regressors, gaps estimated, shocks; units of the scaled rows."""

    index: np.ndarray
    coefs: Coefs
    known: Rows
    result: Exact
    gap_GR: np.ndarray
    v_TR: np.ndarray


def _smooth(
    data: Differenced, slots: Slots, order_R5: np.ndarray, z_kR: np.ndarray, beta_RK: np.ndarray
) -> Iterator[_Smoothed]:
    every, gaps = np.arange(len(order_R5)), data.rows.missing
    beta_KR = (beta_RK / data.scale_CB[-1][:, None]).T * data.scale_CB[gaps:-1]
    with_constant_R5 = np.column_stack((order_R5[:, :4], np.ones(len(order_R5), int)))
    for index, sizes in batches(data, every, order_R5, exact=True):
        rows = rows_of(data, index, with_constant_R5[index])
        w_TCR = rows.w_TCR
        w_TCR[:, -1] -= np.einsum("tkr,kr->tr", w_TCR[:, gaps:-1], beta_KR[:, index])
        known = Rows(np.delete(w_TCR, np.s_[gaps:-1], axis=1), rows.length_R, gaps, rows.season)
        coefs = coefs_from_z(z_kR[np.ix_(slots.within(sizes), index)], sizes)
        result = exact(known, coefs)
        x_AR = result.solution()
        gap_GR = x_AR[len(x_AR) - gaps :]
        v_TR = known.w_TCR[:, -1] - np.einsum("tgr,gr->tr", known.w_TCR[:, :gaps], gap_GR)
        yield _Smoothed(index, coefs, known, result, gap_GR, v_TR)


def ahead(
    data: Differenced,
    series: Sequence[np.ndarray],
    future: Sequence[np.ndarray],
    slots: Slots,
    order_R5: np.ndarray,
    z_kR: np.ndarray,
    beta_RK: np.ndarray,
    beta_root_RKK: np.ndarray,
    horizon: int,
) -> Ahead:
    """Forecast every series of `data` with the parameters given for it; nothing is estimated but the missing values.

    Parameters
    ----------
    data, series : the histories, differenced and raw [L]
    future : regressors over the horizon and the constant [H, K], differenced as the series are
    slots, order_R5, z_kR : the models
    beta_RK : coefficients of the regressors and, last, of the constant; raw units
    beta_root_RKK : square root of those coefficients' covariance, in units of the shocks' standard deviation
    horizon : steps
    """
    found = _ahead(data, series, future, slots, order_R5, z_kR, beta_RK, horizon)
    gaps, columns = data.rows.missing, beta_RK.shape[1]
    w_TCR = data.rows.w_TCR[:, gaps:].copy()
    w_TCR[:, -1] = 0.0
    nothing = Rows(w_TCR, data.rows.length_R, 0, data.rows.season)
    bare = replace(data, rows=nothing, scale_CB=data.scale_CB[gaps:], missing_B=np.zeros_like(data.missing_B))
    response_RHK = np.zeros((len(series), horizon, columns))
    for k in range(columns):  # the mean is linear in the coefficients: what it is for a series of zeros
        if beta_root_RKK[:, k].any():
            unit_RK = np.zeros_like(beta_RK)
            unit_RK[:, k] = beta_root_RKK[:, k].any(1)
            zeros = [np.zeros(len(y_T)) for y_T in series]
            response_RHK[:, :, k] = _ahead(bare, zeros, future, slots, order_R5, z_kR, unit_RK, horizon).mean_RH
    unknown_RHG = np.concatenate((found.unknown_RHG, response_RHK @ beta_root_RKK), axis=2)
    return Ahead(found.mean_RH, found.psi_RH, unknown_RHG)


def _ahead(
    data: Differenced,
    series: Sequence[np.ndarray],
    future: Sequence[np.ndarray],
    slots: Slots,
    order_R5: np.ndarray,
    z_kR: np.ndarray,
    beta_RK: np.ndarray,
    horizon: int,
) -> Ahead:
    count, gaps, season = len(series), data.rows.missing, data.rows.season
    mean_RH, psi_RH = np.empty((count, horizon)), np.empty((count, horizon))
    unknown_RHG = np.zeros((count, horizon, gaps))
    for batch in _smooth(data, slots, order_R5, z_kR, beta_RK):
        coefs, length_R = batch.coefs, batch.known.length_R
        ar_mR = -multiply(-coefs.phi_pR, -coefs.Phi_PR, season)
        ma_qR = multiply(coefs.theta_qR, coefs.Theta_QR, season)
        v_TCR = np.concatenate((batch.known.w_TCR[:, :gaps], batch.v_TR[:, None]), axis=1)
        e_TCR = batch.result.e_NCR[len(batch.result.e_NCR) - len(v_TCR) :, :-1].copy()
        e_TCR[:, -1] = batch.result.shocks()
        v_HCR = _arma(_tail(v_TCR, length_R, len(ar_mR)), _tail(e_TCR, length_R, len(ma_qR)), ar_mR, ma_qR, horizon)
        for place, r in enumerate(batch.index):
            weights = difference_polynomial(int(data.d_B[r]), int(data.D_B[r]), season)
            unit = data.scale_CB[-1, r]
            y_T, at = _filled(series[r], batch.gap_GR[:, place] * unit)
            past = len(y_T) + 1 - len(weights)
            w_H = v_HCR[:, -1, place] * unit + future[r] @ beta_RK[r]
            mean_RH[r] = _integrate(y_T[past:], w_H, weights)
            psi_RH[r] = _psi(ar_mR[:, place], ma_qR[:, place], weights, horizon)
            for g, t in enumerate(at):
                impulse_T = np.zeros(len(y_T))
                impulse_T[t] = 1.0
                unknown_RHG[r, :, g] = _integrate(impulse_T[past:], v_HCR[:, g, place], weights)
            if len(at):
                unknown_RHG[r] = unknown_RHG[r] @ _root(batch.result.root_RAA[place], gaps)
    return Ahead(mean_RH, psi_RH, unknown_RHG)


def one_step(
    data: Differenced,
    series: Sequence[np.ndarray],
    slots: Slots,
    order_R5: np.ndarray,
    z_kR: np.ndarray,
    beta_RK: np.ndarray,
) -> list[np.ndarray]:
    """What each value was expected to be one step before: arrays [L], NaN where differencing leaves none.

    Arguments are those of `ahead`. A missing value enters later expectations as its estimate.
    """
    out: dict[int, np.ndarray] = {}
    for batch in _smooth(data, slots, order_R5, z_kR, beta_RK):
        e_TR = innovations(batch.v_TR, batch.known.length_R, batch.coefs, data.rows.season)
        for place, r in enumerate(batch.index):
            unit, length = data.scale_CB[-1, r], int(batch.known.length_R[place])
            y_T, _ = _filled(series[r], batch.gap_GR[:, place] * unit)
            fitted_T = np.full(len(y_T), np.nan)
            fitted_T[len(y_T) - length :] = y_T[len(y_T) - length :] - e_TR[:length, place] * unit
            out[int(r)] = fitted_T
    return [out[r] for r in range(len(series))]


def _filled(y_T: np.ndarray, gap_G: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Series with its missing values estimated, and where they are; `gap_G` is what interpolation had too much."""
    at = np.flatnonzero(np.isnan(y_T))
    y_T = fill(y_T).copy()
    y_T[at] -= gap_G[: len(at)]
    return y_T, at


def _tail(x_TCR: np.ndarray, length_R: np.ndarray, size: int) -> np.ndarray:
    """Last `size` values of every row; zeros where it has fewer."""
    at_SR = length_R - size + np.arange(size)[:, None]
    tail_SCR = np.take_along_axis(x_TCR, np.maximum(at_SR, 0)[:, None], 0)
    return np.where((at_SR >= 0)[:, None], tail_SCR, 0.0)


def _arma(v_mCR: np.ndarray, e_qCR: np.ndarray, ar_mR: np.ndarray, ma_qR: np.ndarray, horizon: int) -> np.ndarray:
    """Continue v = ar v + e + ma e with e = 0 from now on: [H, C, R]."""
    m, q = len(ar_mR), len(ma_qR)
    path = (
        np.concatenate((v_mCR, np.zeros((horizon, *v_mCR.shape[1:])))) if m else np.zeros((horizon, *e_qCR.shape[1:]))
    )
    for h in range(horizon):
        path[m + h] = np.einsum("mr,mcr->cr", ar_mR[::-1], path[h : m + h])
        if h < q:
            path[m + h] += np.einsum("qr,qcr->cr", ma_qR[h:][::-1], e_qCR[h:])
    return path[m:]


def _integrate(last: np.ndarray, w_H: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Undo the differencing polynomial `weights` after the values `last`."""
    lost = len(weights) - 1
    y = np.concatenate((last, w_H))
    lags = np.flatnonzero(weights[1:]) + 1
    for h in range(len(w_H)):
        y[lost + h] -= weights[lags] @ y[lost + h - lags]
    return y[lost:]


def _psi(ar_m: np.ndarray, ma_q: np.ndarray, weights: np.ndarray, horizon: int) -> np.ndarray:
    """Weights of (1 + ma(B)) / ((1 - ar(B)) weights(B))."""
    pole = np.convolve(np.concatenate(([1.0], -ar_m)), weights)
    lags = np.flatnonzero(pole[1:]) + 1
    psi = np.zeros(horizon)
    psi[0] = 1.0
    size = min(len(ma_q), horizon - 1)
    psi[1 : size + 1] = ma_q[:size]
    for h in range(1, horizon):
        reach = lags[lags <= h]
        psi[h] -= pole[reach] @ psi[h - reach]
    return psi


def _root(root_AA: np.ndarray, gaps: int) -> np.ndarray:
    """Square root [G, G] of the missing values' covariance, in units of the shocks' variance."""
    start = len(root_AA) - 1 - gaps
    return np.linalg.inv(root_AA[start:-1, start:-1].T)
