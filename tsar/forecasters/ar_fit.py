"""Fits the autoregressions of a panel: which series share a factorisation, which orders are tried, what each learns.

Legend: N items, T all rows end to end, B series fitted together, L time, D deterministic columns, X exogenous columns,
P lags (dense), K nested orders.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tsar.forecasters.ar_gram import deterministic, spans_constant
from tsar.forecasters.ar_moments import burg, into_equation, remove_deterministic, yule_walker
from tsar.forecasters.ar_paths import difference
from tsar.forecasters.ar_solve import Batch, Terms, information, least_squares, nested_criteria
from tsar.forecasters.ar_stable import errors, radius

_SMALL = 8  # fewer gap-free series of one length than this are cheaper to stack with others and mask


@dataclass(frozen=True, kw_only=True)
class Model:
    """Which equation is fitted, and how; see `AR` for the options. `lags` None means: choose the order."""

    lags: tuple[int, ...] | None
    method: str
    trend: str
    seasonal: bool
    diff: int
    seasonal_diff: int
    criterion: str
    explosive: bool

    def reach(self, season: np.ndarray) -> np.ndarray:
        """Steps that differencing costs."""
        return self.diff + self.seasonal_diff * season


class Coefficients(NamedTuple):
    """What was learned, one row an item: [N, D], [N, X], [N, P], [N], and the order chosen [N]."""

    delta_ND: np.ndarray
    beta_NX: np.ndarray
    phi_NP: np.ndarray
    sigma_N: np.ndarray
    order_N: np.ndarray


def fit_panel(
    values_T: np.ndarray,
    offsets: np.ndarray,
    x_TX: np.ndarray | None,
    season_N: np.ndarray,
    highest_N: np.ndarray,
    model: Model,
) -> tuple[Coefficients, dict[int, str]]:
    """Fit every series; return coefficients and the reasons of those that could not be fitted.

    Parameters
    ----------
    values_T, offsets : series end to end and where each starts
    x_TX : exogenous columns or None
    season_N : season length of each series, where dummies or differences need it
    highest_N : the largest order to try, where the order is chosen
    model : Model
    """
    n, lengths_N = len(offsets) - 1, np.diff(offsets)
    n_x = 0 if x_TX is None else x_TX.shape[1]
    n_det = max(Terms(np.empty(0, "i8"), model.trend, int(s)).n_det for s in _dummies(model, np.unique(season_N)))
    top = int(highest_N.max()) if model.lags is None else max(model.lags, default=0)
    out = Coefficients(np.zeros((n, n_det)), np.zeros((n, n_x)), np.zeros((n, top)), np.zeros(n), np.full(n, top, "i8"))
    failed: dict[int, str] = {}
    gaps_N = np.full(n, x_TX is not None)
    if (hole_T := np.isnan(values_T)).any():
        gaps_N |= np.logical_or.reduceat(hole_T, offsets[:-1])
    for rows in _groups(lengths_N, gaps_N, season_N, highest_N):
        season = int(season_N[rows[0]])
        batch = _stack(values_T, offsets, x_TX, rows, model, season)
        part, reasons = _fit_batch(batch, model, season, int(highest_N[rows[0]]))
        failed |= {int(rows[b]): reason for b, reason in reasons.items()}
        for whole, piece in zip(out, part, strict=True):
            if whole.ndim == 2:
                whole[rows, : piece.shape[1]] = piece
            else:
                whole[rows] = piece
    return out, failed


def _dummies(model: Model, season_N: np.ndarray) -> np.ndarray:
    return season_N if model.seasonal else np.zeros_like(season_N)


def _groups(
    lengths_N: np.ndarray, gaps_N: np.ndarray, season_N: np.ndarray, highest_N: np.ndarray
) -> Iterator[np.ndarray]:
    """Positions of series fitted together: gap-free ones of one length, others with those of similar length."""
    if not gaps_N.any() and all((a == a[0]).all() for a in (lengths_N, season_N, highest_N)):
        yield np.arange(len(lengths_N))
        return
    length_N = np.where(gaps_N, 0, lengths_N)
    _, group_N, count_G = np.unique(length_N, return_inverse=True, return_counts=True)
    length_N = np.where(count_G[group_N] < _SMALL, 0, length_N)
    order = np.lexsort((lengths_N, length_N, highest_N, season_N))
    keys = np.stack([length_N, highest_N, season_N])[:, order]
    new = np.any(np.diff(keys, axis=1) != 0, axis=0)
    new |= (keys[0, 1:] == 0) & (lengths_N[order][1:] > 2 * lengths_N[order][:-1])
    for rows in np.split(order, np.flatnonzero(new) + 1):
        step = max(1, (1 << 24) // max(int(lengths_N[rows].max()), 1)) if length_N[rows[0]] == 0 else len(rows)
        for a in range(0, len(rows), step):
            yield np.sort(rows[a : a + step])


def _stack(
    values_T: np.ndarray, offsets: np.ndarray, x_TX: np.ndarray | None, rows: np.ndarray, model: Model, season: int
) -> Batch:
    """Series of these rows aligned at their ends and differenced; exogenous columns likewise."""
    lengths_B = np.diff(offsets)[rows]
    width = int(lengths_B.max())
    if len(rows) == len(offsets) - 1 and (lengths_B == width).all():
        y_BL = values_T.reshape(len(rows), width)
        x_BLX = None if x_TX is None else x_TX.reshape(len(rows), width, -1)
    else:
        index = offsets[rows + 1][:, None] + np.arange(-width, 0)
        inside = index >= offsets[rows][:, None]
        index = np.where(inside, index, 0)
        y_BL = np.where(inside, values_T[index], np.nan)
        x_BLX = None if x_TX is None else np.where(inside[..., None], x_TX[index], np.nan)
    steps = (model.diff, season, model.seasonal_diff)
    reach = int(model.reach(np.array(season)))
    if reach >= width:
        y_BL, x_BLX = np.full((len(rows), 1), np.nan), None if x_BLX is None else x_BLX[:, :1]
    elif reach:
        y_BL, x_BLX = difference(y_BL, *steps), None if x_BLX is None else difference(x_BLX, *steps)
    return Batch(y_BL, x_BLX, np.maximum(lengths_B - reach, 0))


def _fit_batch(batch: Batch, model: Model, season: int, highest: int) -> tuple[Coefficients, dict[int, str]]:
    dummies = season if model.seasonal else 0
    if model.method != "ols":
        return _fit_moments(batch, model, dummies, highest)
    if model.lags is not None:
        lags_of = {len(model.lags): np.array(model.lags, "i8")}
        order_B = np.full(len(batch.y_BL), len(model.lags))
    else:
        order_B = _choose(batch, model, dummies, highest)
        lags_of = {int(k): np.arange(1, k + 1) for k in np.unique(order_B)}
    count, n_x = len(batch.y_BL), 0 if batch.x_BLX is None else batch.x_BLX.shape[2]
    n_det = Terms(np.empty(0, "i8"), model.trend, dummies).n_det
    top = max((int(lags[-1]) for lags in lags_of.values() if len(lags)), default=0)
    delta, beta, phi, sigma = (np.zeros(shape) for shape in ((count, n_det), (count, n_x), (count, top), count))
    reasons: dict[int, str] = {}
    for k, lags in lags_of.items():
        rows = np.flatnonzero(order_B == k)
        terms = Terms(lags, model.trend, dummies)
        if terms.reach >= batch.y_BL.shape[1]:
            reasons |= {int(b): _too_short(terms, n_x, 0) for b in rows}
            continue
        fit = least_squares(batch if len(rows) == count else batch.take(rows), terms)
        freedom_B = fit.rows_B - n_det - n_x - len(lags)
        reasons |= {int(rows[i]): _too_short(terms, n_x, fit.rows_B[i]) for i in np.flatnonzero(freedom_B < 1)}
        delta[rows], beta[rows] = fit.coef_BC[:, :n_det], fit.coef_BC[:, n_det : n_det + n_x]
        phi[rows[:, None], lags - 1] = fit.coef_BC[:, n_det + n_x :]
        sigma[rows] = fit.norm_B / np.sqrt(np.maximum(freedom_B, 1))
        if not model.explosive and len(lags):
            draw_back(batch, terms, rows, (delta, beta, phi, sigma), freedom_B)
    order = order_B if model.lags is None else np.full(count, top)
    return Coefficients(delta, beta, phi, sigma, order), reasons


def draw_back(
    batch: Batch, terms: Terms, rows: np.ndarray, found: tuple[np.ndarray, ...], freedom_B: np.ndarray
) -> None:
    """Take the roots of these rows onto the unit circle, in place; level and spread follow from the new errors."""
    delta, beta, phi, sigma = found
    size_B = radius(phi[rows, : terms.reach])
    wild = np.flatnonzero(size_B > 1)
    if not len(wild):
        return
    at = rows[wild]
    phi[at, : terms.reach] *= size_B[wild, None] ** -np.arange(1.0, terms.reach + 1)
    y_BL, x_BLX, lengths_B = batch.take(at)
    t_BL = np.arange(y_BL.shape[1]) - (y_BL.shape[1] - lengths_B)[:, None] + 1
    input_BL = np.einsum("bld,bd->bl", deterministic(t_BL, terms.trend, terms.season), delta[at])
    if x_BLX is not None:
        input_BL += np.einsum("blx,bx->bl", x_BLX, beta[at])
    error_BR = errors(y_BL, input_BL, phi[at], terms.lags)
    if spans_constant(terms.trend, terms.season):
        level_B = np.nanmean(error_BR, 1)
        error_BR = error_BR - level_B[:, None]
        delta[at[:, None], terms.constant] += level_B[:, None]
    largest_B1 = np.fmax.reduce(np.abs(error_BR), 1)[:, None]
    unit_B1 = np.where(largest_B1 > 0, largest_B1, 1.0)
    sigma[at] = (unit_B1 * np.sqrt(np.nansum((error_BR / unit_B1) ** 2, 1, keepdims=True)))[:, 0]
    sigma[at] /= np.sqrt(np.maximum(freedom_B[wild], 1))


def _choose(batch: Batch, model: Model, dummies: int, highest: int) -> np.ndarray:
    """Order of the smallest criterion; where gaps leave too few complete rows the largest order is halved."""
    count = len(batch.y_BL)
    order_B, open_B = np.zeros(count, "i8"), np.arange(count)
    while len(open_B) and highest > 0:
        part = batch if len(open_B) == count else batch.take(open_B)
        score_BK = nested_criteria(part, highest, model.trend, dummies, model.criterion)
        done = np.isfinite(score_BK[:, -1])
        order_B[open_B[done]] = np.argmin(score_BK[done], 1)
        open_B, highest = open_B[~done], highest // 2
    return order_B


def _too_short(terms: Terms, n_x: int, found: int) -> str:
    columns = terms.n_det + n_x + len(terms.lags)
    return (
        f"an autoregression of {columns} coefficients needs at least {columns + 1} steps with all their lags observed "
        f"(the highest is {terms.reach}), found {found}"
    )


def _fit_moments(batch: Batch, model: Model, dummies: int, highest: int) -> tuple[Coefficients, dict[int, str]]:
    """Yule-Walker or Burg on what the deterministic part leaves."""
    top = min(highest if model.lags is None else len(model.lags), batch.y_BL.shape[1] - 1)
    u_BL, gamma_BD = remove_deterministic(batch, model.trend, dummies)
    rows_B = (~np.isnan(u_BL)).sum(1)
    size_B = np.nan_to_num(np.nanmax(np.abs(u_BL), axis=1, initial=0.0), posinf=1.0)
    size_B = np.where(size_B > 0, size_B, 1.0)
    phi_KBP, var_KB = (yule_walker if model.method == "yule_walker" else burg)(u_BL / size_B[:, None], top)
    used_K = gamma_BD.shape[1] + np.arange(top + 1)
    if model.lags is None:
        rss_BK = np.maximum(var_KB.T, 1e-14 * np.maximum(var_KB[0], 1e-280)[:, None]) * rows_B[:, None]
        order_B = np.argmin(information(rss_BK, rows_B[:, None], used_K, model.criterion), 1)
    else:
        order_B = np.full(len(u_BL), top)
    pick = (order_B, np.arange(len(u_BL)))
    phi_BP, freedom_B = phi_KBP[pick], rows_B - used_K[order_B]
    sigma_B = size_B * np.sqrt(var_KB[pick] * rows_B / np.maximum(freedom_B, 1))
    terms = Terms(np.arange(1, (top if model.lags is None else len(model.lags)) + 1), model.trend, dummies)
    short_B = (freedom_B < 1) | (order_B < (0 if model.lags is None else len(model.lags)))
    reasons = {int(b): _too_short(terms, 0, rows_B[b]) for b in np.flatnonzero(short_B)}
    delta_BD = into_equation(gamma_BD, phi_BP, model.trend, dummies)
    return Coefficients(delta_BD, np.zeros((len(u_BL), 0)), phi_BP, sigma_B, order_B), reasons
