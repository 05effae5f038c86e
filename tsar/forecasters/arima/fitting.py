"""Fits the models of a panel: plain cases at once, the others in batches of series alike in length.

Legend: N series, B series of one batch, K regressors, k parameter slots, E candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tsar.forecasters.arima.candidates import Fits, Slots, batches, fit_candidates, rows_of
from tsar.forecasters.arima.css import Sizes
from tsar.forecasters.arima.data import Differenced, fill, prepare
from tsar.forecasters.arima.differencing import choose_differences, constant, difference
from tsar.forecasters.arima.likelihood import exact
from tsar.forecasters.arima.polynomials import coefs_from_z
from tsar.forecasters.arima.search import Limits, is_long, search

RUNNERS_UP = 5
_BATCH_SERIES, _FEW_SERIES, _BATCH_VALUES = 1024, 64, 4_000_000
_MOST_GAPS = 24  # missing values that the search integrates out; with more it takes them interpolated


@dataclass(frozen=True)
class Wanted:
    """What to fit: given orders, or limits of a search. `d`, `D` None: chosen by the tests."""

    sizes: Sizes
    limits: Limits | None
    d: int | None
    D: int | None
    constant: bool | None  # None: where d + D < 2, and in a search where it lowers the criterion


@dataclass
class Models:
    """Fitted models of N series, arrays only; `order_N7` is (p, d, q, P, D, Q, constant).

    `beta_NK` holds the coefficients of the regressors and, last, the constant, in raw units of the differenced series;
    `beta_root_NKK` is a square root of their covariance over the shocks' variance,
    `tried_NE6` the leading candidates (p, q, P, Q, constant, AICc), best first, NaN where there are fewer.
    """

    sizes: Sizes
    order_N7: np.ndarray
    z_Nk: np.ndarray
    beta_NK: np.ndarray
    beta_root_NKK: np.ndarray
    sigma_N: np.ndarray
    loglik_N: np.ndarray
    aicc_N: np.ndarray
    observed_N: np.ndarray
    tried_NE6: np.ndarray

    @classmethod
    def empty(cls, sizes: Sizes, count: int, columns: int) -> Models:
        """Zeros and NaN in every field."""
        return cls(
            sizes, np.zeros((count, 7), "i8"), np.zeros((count, sum(sizes))), np.zeros((count, columns + 1)),
            np.zeros((count, columns + 1, columns + 1)),
            np.zeros(count), np.full(count, np.nan), np.full(count, np.nan), np.zeros(count, "i8"),
            np.full((count, RUNNERS_UP, 6), np.nan),
        )  # fmt: skip

    def put(self, index: np.ndarray, other: Models) -> None:
        """Copy the models of `other` into the rows `index`."""
        for name in self.__dataclass_fields__:
            if name != "sizes":
                getattr(self, name)[index] = getattr(other, name)

    @property
    def order_N5(self) -> np.ndarray:
        """(p, q, P, Q, constant) of each series."""
        return self.order_N7[:, [0, 2, 3, 5, 6]]


def batches_of(lengths_N: np.ndarray, gaps_N: np.ndarray, season_N: np.ndarray) -> list[np.ndarray]:
    """Positions of series to fit together: of one season and as many gaps, alike in length, of bounded memory."""
    long_N = is_long(lengths_N, season_N)
    order = np.lexsort((lengths_N, gaps_N, long_N, season_N))
    out, start = [], 0
    for stop in range(1, len(order) + 1):
        if stop < len(order):
            first, here = order[start], order[stop]
            alike = all(key_N[first] == key_N[here] for key_N in (season_N, long_N, gaps_N))
            room = lengths_N[here] * (stop + 1 - start) * (2 + gaps_N[here]) <= _BATCH_VALUES
            ratio = 4.0 if stop - start < _FEW_SERIES else 1.25  # padding is cheaper than another small batch
            if alike and room and lengths_N[here] <= ratio * lengths_N[first] and stop - start < _BATCH_SERIES:
                continue
        out.append(order[start:stop])
        start = stop
    return out


def differences(series: Sequence[np.ndarray], season: int, wanted: Wanted) -> tuple[np.ndarray, np.ndarray]:
    """Differences d and D of every series, tested where they are not given."""
    d_B, D_B = np.zeros(len(series), int), np.zeros(len(series), int)
    lengths = np.array([len(y_T) for y_T in series])
    for length in np.unique(lengths).tolist():
        index = np.flatnonzero(lengths == length)
        y_TB = np.stack([fill(series[int(i)]) for i in index], 1)
        d_B[index], D_B[index] = choose_differences(y_TB, season, wanted.d, wanted.D)
    return d_B, D_B


def fit_batch(
    series: Sequence[np.ndarray], regressors: Sequence[np.ndarray], season: int, wanted: Wanted
) -> tuple[Models, dict[int, str]]:
    """Fit one batch of series.

    Parameters
    ----------
    series : arrays [L], raw or transformed units, NaN = missing, observed at both ends
    regressors : arrays [L, K]
    season : steps; 1 for none
    wanted : orders, or limits of the search

    Returns
    -------
    models : one row a series
    failed : reasons why series could not be fitted, by position
    """
    columns = regressors[0].shape[1]
    models, failed = Models.empty(wanted.sizes, len(series), columns), {}
    left = _without(series, regressors)
    d_B, D_B = differences(left, season, wanted)
    models.order_N7[:, 1], models.order_N7[:, 4] = d_B, D_B
    models.observed_N[:] = [int((~np.isnan(y_T)).sum()) for y_T in series]
    rest = []
    for i, (y_T, plain_T) in enumerate(zip(series, left, strict=True)):
        needed = 3 + columns + (sum(wanted.sizes) if wanted.limits is None else 0)
        w_T = difference(fill(plain_T), int(d_B[i]), int(D_B[i]), season)
        spare = int((~np.isnan(y_T)).sum()) - (len(y_T) - len(w_T))
        if not columns and spare >= 3 and constant(w_T):
            _exactly(models, i, w_T, wanted)
        elif spare < needed:
            lost = len(y_T) - len(w_T)
            failed[i] = f"expected at least {needed + lost} observed values, found {spare + lost}"
        else:
            rest.append(i)
    if rest:
        index = np.array(rest)
        models.put(
            index,
            _fit_differenced(
                [series[i] for i in rest], [regressors[i] for i in rest], d_B[index], D_B[index], season, wanted
            ),
        )
    return models, failed


def _without(series: Sequence[np.ndarray], regressors: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Series less what regressors explain by least squares, which the tests for differencing see."""
    out = []
    for y_T, x_TK in zip(series, regressors, strict=True):
        if x_TK.shape[1]:
            seen_T = ~np.isnan(y_T)
            design_TK = np.column_stack((np.ones(len(y_T)), x_TK))
            beta_K = np.linalg.lstsq(design_TK[seen_T], y_T[seen_T], rcond=None)[0]
            y_T = y_T - x_TK @ beta_K[1:]
        out.append(y_T)
    return out


def _exactly(models: Models, i: int, w_T: np.ndarray, wanted: Wanted) -> None:
    """A series whose differences are constant: it continues without error."""
    keeps = models.order_N7[i, 1] + models.order_N7[i, 4] < 2 and wanted.constant is not False
    models.order_N7[i, 6] = keeps
    models.beta_NK[i, -1] = w_T[0] if keeps else 0.0
    models.sigma_N[i] = 0.0 if keeps else np.abs(w_T[0])


def _fit_differenced(
    series: Sequence[np.ndarray], regressors: Sequence[np.ndarray], d_B: np.ndarray, D_B: np.ndarray, season: int,
    wanted: Wanted,
) -> Models:  # fmt: skip
    many = max(int(np.isnan(y_T).sum()) for y_T in series) > _MOST_GAPS
    searched = [fill(y_T) for y_T in series] if many else series
    data = prepare(searched, regressors, d_B, D_B, season)
    count, tried = len(series), None
    if wanted.limits is not None:
        found = search(
            data,
            wanted.limits,
            approximate=bool(is_long(data.original_B, season).any()),
            allow_constant=wanted.constant is not False,
        )
        best, tried, slots = found.best, found.tried, found.slots
    else:
        slots = Slots(wanted.sizes)
        with_constant = d_B + D_B < 2 if wanted.constant is None else np.full(count, wanted.constant)
        order_B5 = np.column_stack((np.tile(wanted.sizes, (count, 1)), with_constant)).astype(int)
        best = fit_candidates(data, slots, np.arange(count), order_B5, None, css=30, ml=100, gain=1e-7)
    if many:
        data = prepare(series, regressors, d_B, D_B, season)
        best = fit_candidates(data, slots, best.series_R, best.order_R5, best.z_kR, css=0, ml=10, gain=1e-3)
    models = Models.empty(wanted.sizes, count, data.regressors)
    models.order_N7[:, [0, 2, 3, 5, 6]], models.order_N7[:, 1], models.order_N7[:, 4] = best.order_R5, d_B, D_B
    models.z_Nk[:, Slots(wanted.sizes).within(slots.sizes)] = best.z_kR.T
    models.loglik_N[:], models.aicc_N[:] = best.loglik_R, best.aicc_R
    models.observed_N[:] = data.rows.length_R - data.missing_B
    _estimate_linear(models, data, slots, best)
    if tried is not None:
        models.tried_NE6[:] = _leading(tried, best)
        models.tried_NE6[:, :, 5] += (models.aicc_N - best.aicc_R)[:, None]
    return models


def _estimate_linear(models: Models, data: Differenced, slots: Slots, best: Fits) -> None:
    """Regression coefficients and innovation variance at the estimated parameters, in raw units."""
    gaps, unit_B = data.rows.missing, data.scale_CB[-1]
    for index, sizes in batches(data, best.series_R, best.order_R5, exact=True):
        rows = rows_of(data, best.series_R[index], best.order_R5[index])
        result = exact(rows, coefs_from_z(best.z_kR[np.ix_(slots.within(sizes), index)], sizes))
        kept = rows.w_TCR.shape[1] - 1 - gaps  # all regressors, or all but the constant
        beta_KR = result.solution()[result.root_RAA.shape[1] - 1 - kept :]
        models.beta_NK[index, :kept] = (beta_KR * unit_B[index] / data.scale_CB[gaps : gaps + kept, index]).T
        unit_KR = unit_B[index] / data.scale_CB[gaps : gaps + kept, index]
        if kept:
            block_RKK = result.root_RAA[:, -1 - kept : -1, -1 - kept : -1]
            used_RK = (rows.w_TCR[:, gaps:-1] != 0).any(0).T
            root_RKK = np.linalg.inv(block_RKK.swapaxes(1, 2)) * used_RK[:, :, None]
            models.beta_root_NKK[np.ix_(index, np.arange(kept), np.arange(kept))] = (
                root_RKK * (unit_KR / unit_B[index]).T[:, :, None]
            )
        parameters_R = best.order_R5[index].sum(1) + data.regressors
        spare_R = np.maximum(models.observed_N[index] - parameters_R, 1)
        models.sigma_N[index] = np.sqrt(result.sigma2_R * models.observed_N[index] / spare_R) * unit_B[index]
    models.loglik_N -= models.observed_N * np.log(unit_B)
    models.aicc_N += 2.0 * models.observed_N * np.log(unit_B)


def _leading(tried: Fits, best: Fits) -> np.ndarray:
    """The candidates of lowest criterion of each series, the chosen one first: (p, q, P, Q, constant, AICc)."""
    count = len(best.series_R)
    out = np.full((count, RUNNERS_UP, 6), np.nan)
    order = np.lexsort((tried.aicc_R, tried.series_R))
    for b, part in enumerate(np.split(order, np.searchsorted(tried.series_R[order], np.arange(1, count)))):
        others = [e for e in part if (tried.order_R5[e] != best.order_R5[b]).any()][: RUNNERS_UP - 1]
        out[b, 0] = (*best.order_R5[b], best.aicc_R[b])
        for rank, e in enumerate(others, start=1):
            out[b, rank] = (*tried.order_R5[e], tried.aicc_R[e])
    return out


def fit_safely(
    series: Sequence[np.ndarray], regressors: Sequence[np.ndarray], season: int, wanted: Wanted
) -> tuple[Models, dict[int, str]]:
    """`fit_batch`; where it breaks down numerically, halves are fitted by themselves until the bad series is found."""
    try:
        return fit_batch(series, regressors, season, wanted)
    except (ArithmeticError, ValueError, IndexError, np.linalg.LinAlgError) as error:
        models = Models.empty(wanted.sizes, len(series), regressors[0].shape[1])
        if len(series) == 1:
            return models, {0: f"no model could be estimated ({type(error).__name__}: {error})"}
        failed: dict[int, str] = {}
        for half in np.array_split(np.arange(len(series)), 2):
            part, bad = fit_safely([series[i] for i in half], [regressors[i] for i in half], season, wanted)
            models.put(half, part)
            failed |= {int(half[i]): reason for i, reason in bad.items()}
        return models, failed
