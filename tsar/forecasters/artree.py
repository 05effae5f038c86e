"""ARTree: a scikit-learn tree, or any of its regressors, on lags, rolled forward.

Legend: N items, L time, R rows, P lags, X known columns, H horizon, S paths, Q levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from threadpoolctl import threadpool_limits

from tsar.forecasters.base import Forecaster
from tsar.forecasters.in_sample import InSample
from tsar.forecasters.prediction import Prediction
from tsar.panel import Panel

_PATHS = 200  # paths behind the quantiles


class ARTree(InSample, Forecaster):
    """Regress the next value on the last ones with a tree, and feed forecasts back (Gan et al. 2024).

    Each window is seen relative to its last value, in units of its item's one-step changes, so that trees, which cannot
    leave the range of their targets, follow a level. Paths add errors that the tree made on the last fifth of the
    training rows when it had seen only the others. A saved ARTree is fitted again when it is loaded.

    Parameters
    ----------
    lags : int (1 … lags) or list of ints; default a season and a step, at least 8 and at most 60
    tree : scikit-learn regressor, default `HistGradientBoostingRegressor(max_iter=100, random_state=0)`
    relative : subtract the last value of a window, default True; False lets the tree see levels, as for states of an
        automaton
    pooled : one tree for all items (default), or one tree an item
    known : names of numeric columns that are known over the horizon
    season_length, freq, bounds, on_error : as in `SeasonalNaive`

    Raises
    ------
    ValueError
        At fit for an item (of a pooled tree: where no item) with more than one step whose lags are all observed.
    """

    def __init__(
        self,
        lags: int | Sequence[int] | None = None,
        tree: Any = None,
        *,
        relative: bool = True,
        pooled: bool = True,
        known: Sequence[str] = (),
        season_length: int | None = None,
        freq: str | int | None = None,
        bounds: tuple[float | None, float | None] | None = None,
        on_error: str = "raise",
    ) -> None:
        self.lags = lags
        self.tree = tree
        self.relative = relative
        self.pooled = pooled
        self.known = known
        self.season_length = season_length
        self.freq = freq
        self.bounds = bounds
        self.on_error = on_error

    def _check_options(self) -> None:
        super()._check_options()
        if self.tree is not None and not (isinstance(self.tree, BaseEstimator) and hasattr(self.tree, "predict")):
            raise ValueError(f"tree must be a scikit-learn regressor, found {type(self.tree).__name__}")
        given = np.atleast_1d(np.asarray([] if self.lags is None else self.lags))
        if any(lag != int(lag) or lag < 1 for lag in given):
            raise ValueError(f"lags must be an int or a list of ints of at least 1, found {self.lags!r}")

    def _fit(self, panel: Panel) -> Mapping[int, str]:
        if self.lags is None:
            self.lags_ = np.arange(1, min(max(int(np.median(panel.season_of())) + 1, 8), 60) + 1)
        else:
            given = np.asarray(self.lags, "i8")
            self.lags_ = np.arange(1, int(given) + 1) if given.ndim == 0 else np.unique(given)
        self.size_ = np.array([_step_size(panel.series(i), self.relative) for i in range(len(panel))])
        rows = [self._rows(panel, i, self.size_[i]) for i in range(len(panel))]
        need = f"expected at least two steps with the lags {self.lags_.tolist()} observed"
        failed = {
            i: f"{need}, found {len(target_R)} in {panel.lengths[i]} steps"
            for i, (_, target_R, _) in enumerate(rows)
            if len(target_R) < (1 if self.pooled else 2)
        }
        able = [i for i in range(len(panel)) if i not in failed]
        groups = [able] if self.pooled else [[i] for i in able]
        self.trees_: list[Any] = []
        self.errors_: list[np.ndarray] = []
        self.group_ = np.zeros(len(panel), "i8")
        for group in groups:
            if not group:
                continue
            if sum(len(rows[i][1]) for i in group) < 2:
                failed |= dict.fromkeys(group, f"{need} in the panel")
            else:
                self.group_[group] = len(self.trees_)
                self._grow([rows[i] for i in group])
        return failed

    def _grow(self, rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
        """Fit one tree, and gather its errors on the last fifth of each item's rows when it knew only the others."""
        cuts = [len(target_R) - max(len(target_R) // 5, 1 if len(target_R) > 1 else 0) for _, target_R, _ in rows]
        x_RP, y_R = (np.concatenate([r[k][:c] for r, c in zip(rows, cuts, strict=True)]) for k in (0, 1))
        late_RP, late_R = (np.concatenate([r[k][c:] for r, c in zip(rows, cuts, strict=True)]) for k in (0, 1))
        with _one_thread():
            early = self._model().fit(x_RP, y_R)
            self.errors_.append(np.sort(late_R - early.predict(late_RP)))
            self.trees_.append(
                self._model().fit(np.concatenate([r[0] for r in rows]), np.concatenate([r[1] for r in rows]))
            )

    def _model(self) -> Any:
        if self.tree is not None:
            return clone(self.tree)
        from sklearn.ensemble import HistGradientBoostingRegressor

        return HistGradientBoostingRegressor(max_iter=100, random_state=0)

    def _columns(self, panel: Panel) -> np.ndarray:
        """Known columns [T, X] as numbers."""
        for name in self.known:
            if panel.covariates[name].dtype == object:
                raise ValueError(f"the known covariate {name!r} holds text: ARTree expects numbers")
        return np.stack([panel.covariates[name] for name in self.known], 1) if self.known else np.empty((0, 0))

    def _rows(self, panel: Panel, i: int, size: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features [R, P + X], targets [R] and steps [R] of the rows of an item whose lags and target are observed."""
        y_L, top = panel.series(i), int(self.lags_[-1])
        if len(y_L) <= top:
            return np.empty((0, len(self.lags_) + len(self.known))), np.empty(0), np.empty(0, "i8")
        lags_RP = np.stack([y_L[top - lag : len(y_L) - lag] for lag in self.lags_], 1)
        last_R = y_L[top - 1 : -1] if self.relative else np.zeros(len(y_L) - top)
        whole_R = ~(np.isnan(lags_RP).any(1) | np.isnan(y_L[top:]) | np.isnan(last_R))
        x_RC = self._seen(lags_RP, last_R, size)
        if self.known:
            x_RC = np.concatenate([x_RC, self._columns(panel)[panel.offsets[i] : panel.offsets[i + 1]][top:]], 1)
        return x_RC[whole_R], (y_L[top:] - last_R)[whole_R] / (size or 1.0), np.flatnonzero(whole_R) + top

    @staticmethod
    def _seen(lags_RP: np.ndarray, last_R: np.ndarray, size: Any) -> np.ndarray:
        unit = np.where(np.asarray(size) > 0, size, 1.0)
        return (lags_RP - last_R[:, None]) / (unit if unit.ndim == 0 else unit[:, None])

    def _predict(self, panel: Panel, horizon: int, future: Mapping[str, np.ndarray]) -> Prediction:
        place_N, top = self._places(panel), int(self.lags_[-1])
        recent_NP = panel.padded(longest=top)
        short = top - recent_NP.shape[1]
        recent_NP = np.pad(recent_NP, ((0, 0), (short, 0)), constant_values=np.nan) if short else recent_NP
        notes = {}
        for i in np.flatnonzero(np.isnan(recent_NP).any(1)).tolist():
            lost = int(np.isnan(recent_NP[i]).sum())
            recent_NP[i] = _filled(recent_NP[i], panel.series(i))
            notes[i] = f"{lost} missing values among the lags were filled"
        x_NHX = np.stack([future[name].astype("f8") for name in self.known], -1) if self.known else None
        rolled = _Rolled(self, recent_NP, place_N, horizon, x_NHX)

        def quantiles(levels_Q: np.ndarray) -> np.ndarray:
            return np.moveaxis(np.quantile(rolled.drawn_NSH, levels_Q, axis=1), 0, -1)

        def sample(count: int, seeds_N: np.ndarray) -> np.ndarray:
            draws = [np.random.default_rng(int(seed)).random((count, horizon)) for seed in seeds_N]
            return rolled.forward(np.stack(draws))

        return Prediction(rolled.forward(None)[:, 0], quantiles, sample, notes=notes)

    def _one_step(self, panel: Panel) -> np.ndarray:
        out_T, place_N = np.full(len(panel.values), np.nan), self._places(panel)
        for i, place in enumerate(place_N):
            x_RC, _, step_R = self._rows(panel, i, self.size_[place])
            if len(step_R):
                last_R = panel.series(i)[step_R - 1] if self.relative else 0.0
                change_R = self.trees_[self.group_[place]].predict(x_RC)
                out_T[panel.offsets[i] + step_R] = last_R + self.size_[place] * change_R
        return out_T


class _Rolled:
    """Rolls the trees of a panel forward; the paths behind the quantiles are drawn once, when they are asked for."""

    def __init__(
        self, owner: ARTree, recent_NP: np.ndarray, place_N: np.ndarray, horizon: int, x_NHX: np.ndarray | None
    ) -> None:
        self.owner, self.recent_NP, self.place_N, self.horizon, self.x_NHX = owner, recent_NP, place_N, horizon, x_NHX

    @cached_property
    def drawn_NSH(self) -> np.ndarray:
        strata_SH = np.tile(np.arange(_PATHS)[:, None], self.horizon)  # the same for every item, evenly spread
        draws_SH = (np.random.default_rng(0).permuted(strata_SH, axis=0) + 0.5) / _PATHS
        return self.forward(np.broadcast_to(draws_SH, (len(self.recent_NP), *draws_SH.shape)))

    def forward(self, uniform_NSH: np.ndarray | None) -> np.ndarray:
        """Paths whose errors are the quantiles `uniform_NSH` of the trees' errors; one path without errors for None."""
        owner, lags = self.owner, self.owner.lags_
        n, count = len(self.recent_NP), 1 if uniform_NSH is None else uniform_NSH.shape[1]
        top, group_N = self.recent_NP.shape[1], owner.group_[self.place_N]
        path = np.empty((n, count, top + self.horizon))
        path[..., :top] = self.recent_NP[:, None]
        for g in np.unique(group_N):
            rows = np.flatnonzero(group_N == g)
            size = np.repeat(owner.size_[self.place_N[rows]], count)
            for h in range(self.horizon):
                past_RL = path[rows, :, : top + h].reshape(-1, top + h)
                last_R = past_RL[:, -1] if owner.relative else np.zeros(len(past_RL))
                x_RC = owner._seen(past_RL[:, -lags], last_R, size)
                if self.x_NHX is not None:
                    x_RC = np.concatenate([x_RC, np.repeat(self.x_NHX[rows, h], count, 0)], 1)
                with _one_thread():
                    step_R = owner.trees_[g].predict(x_RC)
                if uniform_NSH is not None:
                    step_R = step_R + np.quantile(owner.errors_[g], uniform_NSH[rows, :, h].ravel())
                path[rows, :, top + h] = (last_R + size * step_R).reshape(len(rows), count)
        return path[..., top:]


def _one_thread() -> threadpool_limits:
    """Keep OpenMP to one thread: on few rows its threads wait for each other far longer than they work."""
    return threadpool_limits(1, user_api="openmp")


def _step_size(y_L: np.ndarray, relative: bool) -> float:
    """Unit of an item: the mean size of its one-step changes, zero if it never changes, or 1 where levels are kept."""
    change = np.abs(np.diff(y_L[~np.isnan(y_L)])) if relative else np.ones(1)
    return float(change.mean()) if len(change) else 0.0


def _filled(recent_P: np.ndarray, y_L: np.ndarray) -> np.ndarray:
    """Lags with gaps filled by the last value before them, or the first after them."""
    seen = np.flatnonzero(~np.isnan(recent_P))
    if not len(seen):
        return np.full(recent_P.shape, y_L[~np.isnan(y_L)][-1])
    before = np.searchsorted(seen, np.arange(len(recent_P)), side="right") - 1
    return recent_P[seen[np.maximum(before, 0)]]
