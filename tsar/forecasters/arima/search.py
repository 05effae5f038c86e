"""Automatic orders for all series together: a stepwise search that ranks neighbours before it fits them.

Legend: B series, R rows (series, candidate), M moves, k parameter slots. An order is (p, q, P, Q, constant).

The search is Hyndman & Khandakar's (2008): four starts, then steps of one in p, q, P, Q and the constant. Fitting all
some seventeen neighbours of a model is what costs. At the best model of a series, one pass gives the Gauss-Newton
quadratic of the sum of squares in its own parameters and in one more of each family; minimised over the parameters of
a neighbour it predicts that neighbour's criterion (Rao's score test for an added parameter, Wald's for a dropped one),
and only the most promising are fitted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tsar.forecasters.arima.candidates import (
    Fits,
    Slots,
    aicc,
    batches,
    fit_candidates,
    reject_unit_roots,
    rows_of,
)
from tsar.forecasters.arima.css import normal_equations
from tsar.forecasters.arima.data import Differenced

_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1))
MOVES_M5 = np.array([(a, b, 0, 0, 0) for a, b in _STEPS] + [(0, 0, a, b, 0) for a, b in _STEPS])
_TOGGLE = len(MOVES_M5)
_CLOSE = 2.0  # criterion units behind the leader within which a candidate is worth its exact maximum
_PASSES = 4


@dataclass(frozen=True)
class Limits:
    """Largest orders of the search."""

    p: int = 5
    q: int = 5
    P: int = 2
    Q: int = 2

    def per_series(self, length_B: np.ndarray, season: int) -> np.ndarray:
        """Largest (p, q, P, Q) of each series: a third of its length, and p, q below the season."""
        below = season - 1 if season > 1 else max(self.p, self.q)
        plain_B = length_B // 3
        seasonal_B = length_B // (3 * season) if season > 1 else np.zeros_like(length_B)
        caps = [np.minimum(plain_B, min(v, below)) for v in (self.p, self.q)]
        return np.stack(caps + [np.minimum(seasonal_B, v) for v in (self.P, self.Q)], 1)


@dataclass(frozen=True)
class Found:
    """The chosen fit of every series and all candidates that were fitted."""

    best: Fits
    tried: Fits
    slots: Slots


def search(
    data: Differenced, limits: Limits, *, fitted: int = 3, polished: int = 3, rounds: int = 12,
    approximate: bool = False, allow_constant: bool = True,
) -> Found:  # fmt: skip
    """Choose orders by AICc.

    Parameters
    ----------
    data : series, differenced
    limits : largest orders
    fitted : neighbours of each series fitted per round
    polished : candidates of each series whose exact likelihood is maximised at the end
    rounds : most rounds
    approximate : rank by conditional sums of squares, for long series
    allow_constant : consider a mean, or a drift, where d + D < 2
    """
    count, season = len(data.rows.length_R), data.rows.season
    cap_B4 = limits.per_series(data.original_B, season)
    constant_B = ((data.d_B + data.D_B < 2) & allow_constant).astype(int)
    p, q, big_p, big_q = (int(v) for v in cap_B4.max(0))
    slots = Slots((p, q, big_p, big_q))
    seen = np.zeros((count, *(cap_B4.max(0) + 1), 2), bool)
    series_R, order_R5 = _starts(cap_B4, constant_B, data.original_B, seen)
    effort = {"css": 3} if approximate else {"css": 2, "ml": 8, "gain": 2e-2}
    tried = fit_candidates(data, slots, series_R, order_R5, None, **(effort | {"css": 15}))
    tried.aicc_R[reject_unit_roots(tried, slots)] = np.inf
    best_B = _best(tried, count)
    improved_B, stale_B = np.ones(count, bool), np.zeros(count, int)
    live = np.arange(count)
    for _ in range(rounds):
        if len(live) == 0:
            break
        series_R, order_R5, z_kR = _promising(
            data, slots, tried.take(best_B[live]), cap_B4, constant_B, seen, improved_B, fitted
        )
        if len(series_R) == 0:
            break
        fresh = fit_candidates(data, slots, series_R, order_R5, z_kR, **effort)
        fresh.aicc_R[reject_unit_roots(fresh, slots)] = np.inf
        tried = tried.join(fresh)
        before_B, best_B = tried.aicc_R[best_B], _best(tried, count)
        improved_B = tried.aicc_R[best_B] < before_B
        stale_B = np.where(improved_B, 0, stale_B + 1)
        live = np.unique(series_R[stale_B[series_R] < 2])
    best, tried = _polish(data, slots, tried, count, polished)
    return Found(best, tried, slots)


def is_long(length_B: np.ndarray, season_B: np.ndarray | int) -> np.ndarray:
    """Whether a search maximises conditional sums of squares, not the likelihood (the rule of R's auto.arima)."""
    return (length_B > 150) | (np.asarray(season_B) > 12)


def _starts(
    cap_B4: np.ndarray, constant_B: np.ndarray, length_B: np.ndarray, seen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    rows = []
    short_B = length_B < 10
    for order in ((2, 2, 1, 1), (0, 0, 0, 0), (1, 0, 1, 0), (0, 1, 0, 1)):
        start_B4 = np.minimum(order, cap_B4)
        if order[0] == 2:
            start_B4 = np.where(short_B[:, None], np.minimum(start_B4, (1, 1, 0, 0)), start_B4)
        rows.append(np.column_stack((start_B4, constant_B)))
    rows.append(np.column_stack((np.zeros_like(cap_B4), np.zeros_like(constant_B))))
    series_R = np.tile(np.arange(len(cap_B4)), len(rows))
    order_R5 = np.concatenate(rows)
    _, first = np.unique(np.column_stack((series_R, order_R5)), axis=0, return_index=True)
    series_R, order_R5 = series_R[first], order_R5[first]
    seen[(series_R, *order_R5.T)] = True
    return series_R, order_R5


def _best(tried: Fits, count: int) -> np.ndarray:
    """Row of the lowest criterion of each series."""
    order = np.lexsort((tried.aicc_R, tried.series_R))
    return order[np.searchsorted(tried.series_R[order], np.arange(count))]


def _promising(
    data: Differenced, slots: Slots, best: Fits, cap_B4: np.ndarray, constant_B: np.ndarray, seen: np.ndarray,
    improved_B: np.ndarray, most: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Neighbours worth fitting, as (series, orders, starting parameters)."""
    rows, moves = len(best.series_R), _TOGGLE + 1
    to_RM5 = best.order_R5[:, None] + np.concatenate((MOVES_M5, np.zeros((1, 5), int)))
    to_RM5[:, _TOGGLE, 4] = 1 - best.order_R5[:, 4]
    valid_RM = ((to_RM5[..., :4] >= 0) & (to_RM5[..., :4] <= cap_B4[best.series_R, None])).all(2)
    valid_RM[:, _TOGGLE] &= constant_B[best.series_R] == 1
    to_RM5 = np.where(valid_RM[..., None], to_RM5, 0)
    owner_RM = np.broadcast_to(best.series_R[:, None], (rows, moves))
    valid_RM &= ~seen[(owner_RM, *np.moveaxis(to_RM5, 2, 0))]
    change_RM, start_RMk = _predict_moves(data, slots, best, to_RM5, valid_RM, cap_B4)
    change_RM[:, _TOGGLE] = np.where(valid_RM[:, _TOGGLE] & improved_B[best.series_R], -1e9, np.inf)
    rank_RM = np.argsort(np.argsort(change_RM, 1), 1)
    slack_R = np.where(improved_B[best.series_R], 3.0, 0.0)
    row_R, move_R = np.nonzero((rank_RM < most + 1) & (change_RM < slack_R[:, None]))
    order_R5 = to_RM5[row_R, move_R]
    seen[(best.series_R[row_R], *order_R5.T)] = True
    return best.series_R[row_R], order_R5, start_RMk[row_R, move_R].T * slots.free(order_R5)


def _predict_moves(
    data: Differenced, slots: Slots, best: Fits, to_RM5: np.ndarray, valid_RM: np.ndarray, cap_B4: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted change of the criterion [R, M] and parameters [R, M, k] after each move."""
    change_RM = np.full(valid_RM.shape, np.inf)
    start_RMk = np.repeat(best.z_kR.T[:, None], valid_RM.shape[1], axis=1)
    wide_R5 = best.order_R5.copy()
    wide_R5[:, :4] = np.minimum(wide_R5[:, :4] + 1, cap_B4[best.series_R])
    for index, sizes in batches(data, best.series_R, wide_R5, exact=False):
        row_N, move_N = np.nonzero(valid_RM[index, :_TOGGLE])
        if len(row_N) == 0:
            continue
        rows, at = rows_of(data, best.series_R[index], best.order_R5[index]), slots.within(sizes)
        z_kR = best.z_kR[np.ix_(at, index)]
        m_Rkk, g_Rk, sum_R = normal_equations(rows, z_kR, Slots(sizes).free(wide_R5[index]), sizes)
        here = index[row_N]
        order_N5 = to_RM5[here, move_N]
        keep_Nk = Slots(sizes).free(order_N5).T
        fixed_Nk = np.where(keep_Nk, 0.0, -z_kR.T[row_N])  # a dropped parameter goes to zero
        m_Nkk, g_Nk = m_Rkk[row_N], g_Rk[row_N]
        pulled_Nk = g_Nk + np.einsum("nij,nj->ni", m_Nkk, fixed_Nk)
        inner_Nkk = m_Nkk * (keep_Nk[:, :, None] & keep_Nk[:, None, :])
        diagonal = np.arange(len(at))
        inner_Nkk[:, diagonal, diagonal] += ~keep_Nk
        rest_Nk = np.where(keep_Nk, pulled_Nk, 0.0)
        step_Nk = -np.linalg.solve(inner_Nkk, rest_Nk[:, :, None])[:, :, 0]
        predicted_N = (
            sum_R[row_N] + np.einsum("nk,nk->n", g_Nk + pulled_Nk, fixed_Nk) + np.einsum("nk,nk->n", rest_Nk, step_Nk)
        )
        ratio_N = np.maximum(predicted_N / np.maximum(sum_R[row_N], 1e-300), 0.05)
        owner_N, none_N = best.series_R[here], np.zeros(len(here))
        penalty_N = aicc(data, owner_N, order_N5, none_N) - aicc(data, owner_N, best.order_R5[here], none_N)
        change_RM[here, move_N] = data.rows.length_R[owner_N] * np.log(ratio_N) + np.nan_to_num(penalty_N, nan=np.inf)
        start_RMk[here[:, None], move_N[:, None], at] = z_kR.T[row_N] + fixed_Nk + np.clip(step_Nk, -0.5, 0.5)
    return change_RM, start_RMk


def _polish(data: Differenced, slots: Slots, tried: Fits, count: int, most: int) -> tuple[Fits, Fits]:
    """Maximise the exact likelihood of the leading candidates of each series: (the chosen ones, all candidates).

    Where all of them end near a unit root the next ones follow; a series left with none keeps its best.
    """
    waiting_R, pending_B = np.ones(len(tried.series_R), bool), np.ones(count, bool)
    done: Fits | None = None
    near_R = np.zeros(0, bool)
    for _ in range(_PASSES):
        order = np.flatnonzero(waiting_R & pending_B[tried.series_R])
        order = order[np.lexsort((tried.aicc_R[order], tried.series_R[order]))]
        if len(order) == 0:
            break
        series_R, start_R = np.unique(tried.series_R[order], return_index=True)
        start_R = start_R[np.searchsorted(series_R, tried.series_R[order])]
        behind_R = np.nan_to_num(tried.aicc_R[order] - tried.aicc_R[order][start_R], nan=0.0, posinf=np.inf)
        rank_R = np.arange(len(order)) - start_R
        leading = order[(rank_R == 0) | ((rank_R < most) & (behind_R < _CLOSE))]
        part = tried.take(leading)
        exact = fit_candidates(data, slots, part.series_R, part.order_R5, part.z_kR, css=0, ml=10, gain=1e-2)
        waiting_R[leading] = False
        near_R = np.concatenate((near_R, reject_unit_roots(exact, slots)))
        done = exact if done is None else done.join(exact)
        pending_B[done.series_R[~near_R & np.isfinite(done.aicc_R)]] = False
    assert done is not None
    ranked = Fits(done.series_R, done.order_R5, done.z_kR, done.loglik_R, done.aicc_R + np.where(near_R, 1e6, 0.0))
    chosen = done.take(_best(ranked, count))
    done.aicc_R[near_R] = np.inf
    return chosen, done.join(tried.take(np.flatnonzero(waiting_R)))
