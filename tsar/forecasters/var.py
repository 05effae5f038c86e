"""VAR: vector autoregression; the items of a panel are the variates.

Legend: K variates, L time, R complete rows, C columns (constant, trend, lag 1 of all variates, lag 2, …), P lags,
H horizon, S paths.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tsar import frequency
from tsar.forecasters.ar_gram import deterministic
from tsar.forecasters.array_state import ArrayState
from tsar.forecasters.base import Forecaster
from tsar.forecasters.in_sample import InSample
from tsar.forecasters.prediction import Prediction, gaussian
from tsar.panel import Panel


class VAR(ArrayState, InSample, Forecaster):
    """y_t = c + b t + sum_i A_i y_{t-i} + u_t, by least squares on complete rows (Lütkepohl 2005, chapters 3 and 4).

    All items must end at the same time. A gap at the end of the history is filled with one-step forecasts.

    Parameters
    ----------
    lags : int, or "auto" (default): the order of the smallest `criterion`
    trend : "n", "c" (default), "t" or "ct"
    criterion : "bic" (default) or "aic"
    max_lags : int, the largest order that "auto" tries, default 12 (L / 100)^(1/4)
    season_length, freq, bounds, on_error : as in `SeasonalNaive`

    Attributes
    ----------
    coef_ : float array [C, K]; covariance_ : innovation covariance [K, K]; order_ : int

    Raises
    ------
    ValueError
        At fit for items that end at different times or too few complete rows; at predict for items other than in fit.
    """

    def __init__(
        self,
        lags: int | str = "auto",
        *,
        trend: str = "c",
        criterion: str = "bic",
        max_lags: int | None = None,
        season_length: int | None = None,
        freq: str | int | None = None,
        bounds: tuple[float | None, float | None] | None = None,
        on_error: str = "raise",
    ) -> None:
        self.lags = lags
        self.trend = trend
        self.criterion = criterion
        self.max_lags = max_lags
        self.season_length = season_length
        self.freq = freq
        self.bounds = bounds
        self.on_error = on_error

    def _check_options(self) -> None:
        super()._check_options()
        for name, allowed in {"trend": ("n", "c", "t", "ct"), "criterion": ("bic", "aic")}.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, found {getattr(self, name)!r}")
        if self.lags != "auto" and (not isinstance(self.lags, int | np.integer) or self.lags < 0):
            raise ValueError(f"lags must be an integer of at least 0 or 'auto', found {self.lags!r}")

    def _aligned(self, panel: Panel) -> np.ndarray:
        """Variates beside each other [L, K]; ValueError unless all end at the same time."""
        end_N = panel.times[panel.offsets[1:] - 1]
        if (odd := np.flatnonzero(end_N != end_N[0])).size:
            i = odd[0]
            raise ValueError(
                f"item {panel.ids[i]!r} ends at {end_N[i]}, item {panel.ids[0]!r} at {end_N[0]}: VAR expects variates "
                "that end together"
            )
        return panel.padded().T

    def _fit(self, panel: Panel) -> Mapping[int, str] | None:
        y_LK = self._aligned(panel)
        count, k = y_LK.shape
        size_K = np.nanmax(np.abs(y_LK), axis=0)
        self.size_ = np.where(size_K > 0, size_K, 1.0)  # scales apart by many digits would spoil one least squares
        y_LK = y_LK / self.size_
        n_det = len(self.trend) if self.trend != "n" else 0
        if self.lags == "auto":
            wanted = round(12 * (count / 100) ** 0.25) if self.max_lags is None else self.max_lags
            highest = max(0, min(int(wanted), (count - n_det - k - 1) // (k + 1)))
            scores = [self._criterion(y_LK, order, highest) for order in range(highest + 1)]
            self.order_ = int(np.argmin(scores))
        else:
            self.order_ = int(self.lags)
        x_RC, target_RK = self._rows(y_LK, self.order_, self.order_)
        if len(x_RC) <= x_RC.shape[1]:
            reason = (
                f"a vector autoregression of {x_RC.shape[1]} coefficients a variate needs at least {x_RC.shape[1] + 1} "
                f"steps at which all {k} items and their {self.order_} lags are observed, found {len(x_RC)}"
            )
            return dict.fromkeys(range(k), reason)
        self.coef_ = np.linalg.lstsq(x_RC, target_RK, rcond=None)[0]
        rest_RK = target_RK - x_RC @ self.coef_
        self.covariance_ = rest_RK.T @ rest_RK / (len(x_RC) - x_RC.shape[1])
        self.start_, self.freq_ = panel.times[panel.offsets[:-1]].astype("i8").min(keepdims=True), panel.freq
        return None

    def _rows(self, y_LK: np.ndarray, order: int, skip: int) -> tuple[np.ndarray, np.ndarray]:
        """Design [R, C] and targets [R, K] of the complete rows from step `skip` on."""
        count = len(y_LK)
        t_L = np.arange(skip, count) + 1
        columns = [deterministic(t_L, self.trend, 0)] + [y_LK[skip - i : count - i] for i in range(1, order + 1)]
        x_LC = np.concatenate(columns, axis=1)
        complete = ~(np.isnan(x_LC).any(1) | np.isnan(y_LK[skip:]).any(1))
        return x_LC[complete], y_LK[skip:][complete]

    def _criterion(self, y_LK: np.ndarray, order: int, highest: int) -> float:
        x_RC, target_RK = self._rows(y_LK, order, highest)
        if len(x_RC) <= x_RC.shape[1]:
            return np.inf
        rest_RK = target_RK - x_RC @ np.linalg.lstsq(x_RC, target_RK, rcond=None)[0]
        _, log_det = np.linalg.slogdet(rest_RK.T @ rest_RK / len(x_RC))
        weight = np.log(len(x_RC)) if self.criterion == "bic" else 2.0
        return float(log_det + weight * x_RC.shape[1] * y_LK.shape[1] / len(x_RC))

    def _expected(self, state_LK: np.ndarray, t: int) -> np.ndarray:
        """Value expected at step `t` (from 1) after the last rows of `state_LK`: [K]."""
        lags_C = state_LK[::-1][: self.order_].ravel()
        return np.concatenate([deterministic(np.array(t), self.trend, 0), lags_C]) @ self.coef_

    def _history(self, panel: Panel) -> tuple[np.ndarray, int]:
        """Scaled variates in the order of fit [L, K], and the step of the last row, counted as in fit."""
        place_N = self._places(panel)
        if missing := set(self._place) - set(panel.ids):
            raise ValueError(
                f"item {min(missing, key=str)!r} is missing: VAR continues all {len(self._place)} variates"
            )
        y_LK = np.empty((int(panel.lengths.max()), len(place_N)))
        y_LK[:, place_N] = self._aligned(panel)
        first = panel.times[panel.offsets[:-1]].min(keepdims=True)
        moved = int(frequency.positions(first, self.start_.astype(first.dtype), self.freq_)[0][0])
        return y_LK / self.size_, moved + len(y_LK)

    def _predict(self, panel: Panel, horizon: int, future: Mapping[str, np.ndarray]) -> Prediction:
        place_N = self._places(panel)
        y_LK, last = self._history(panel)
        y_LK, filled_K = self._filled(y_LK, last)
        path_LK = y_LK
        for h in range(1, horizon + 1):
            path_LK = np.concatenate([path_LK, self._expected(path_LK, last + h)[None]])
        mean_HK = path_LK[len(y_LK) :]
        psi_HKK = self._psi(horizon)
        spread_HK = np.sqrt(np.cumsum(np.einsum("hij,jk,hik->hi", psi_HKK, self.covariance_, psi_HKK), axis=0))
        mean_NH, spread_NH = (a.T[place_N] * self.size_[place_N, None] for a in (mean_HK, spread_HK))
        eigenvalue, axes_KK = np.linalg.eigh(self.covariance_)
        root_KK = axes_KK * np.sqrt(np.maximum(eigenvalue, 0.0))

        def sample(count: int, seeds_N: np.ndarray) -> np.ndarray:
            # variates share their innovations, so one generator serves them all, whatever their order
            rng = np.random.default_rng(int(np.bitwise_xor.reduce(seeds_N)))
            noise_SHK = rng.standard_normal((count, horizon, len(root_KK))) @ root_KK.T
            out_SHK = np.zeros_like(noise_SHK)
            for j in range(horizon):
                out_SHK[:, j:] += np.einsum("hij,sj->shi", psi_HKK[: horizon - j], noise_SHK[:, j])
            out_NSH = np.moveaxis(out_SHK, -1, 0)[place_N] * self.size_[place_N, None, None]
            return mean_NH[:, None] + out_NSH

        notes = {i: f"{filled_K[k]} missing steps at the end were filled" for i, k in enumerate(place_N) if filled_K[k]}
        return Prediction(mean_NH, gaussian(mean_NH, spread_NH), sample, notes=notes)

    def _filled(self, y_LK: np.ndarray, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Last steps of the history, missing ones filled by one-step forecasts, and their numbers: [P, K], [K]."""
        holes_LK = np.isnan(y_LK)
        steps = max(self.order_, 1)
        if not holes_LK[-steps:].any():
            return y_LK[-steps:] if self.order_ else y_LK[:0], np.zeros(y_LK.shape[1], "i8")
        whole_L = ~holes_LK.any(1)
        run = np.convolve(whole_L, np.ones(steps), "valid") == steps
        if not run.any():
            raise ValueError(f"the history holds no {steps} steps in a row at which all variates are observed")
        begin = len(run) - 1 - int(np.argmax(run[::-1])) + steps
        out_LK = y_LK.copy()
        for row in range(begin, len(y_LK)):
            step = last - len(y_LK) + row + 1
            out_LK[row] = np.where(holes_LK[row], self._expected(out_LK[:row], step), y_LK[row])
        return out_LK[len(out_LK) - self.order_ :], holes_LK[begin:].sum(0)

    def _psi(self, horizon: int) -> np.ndarray:
        """Weights of the innovations after 0, 1, … steps (Lütkepohl 2005, eq. 2.1.22): [H, K, K]."""
        k = len(self.covariance_)
        lags_PKK = self.coef_[len(self.coef_) - self.order_ * k :].reshape(self.order_, k, k).transpose(0, 2, 1)
        psi_HKK = np.zeros((horizon, k, k))
        psi_HKK[0] = np.eye(k)
        for h in range(1, horizon):
            for i in range(1, min(h, self.order_) + 1):
                psi_HKK[h] += lags_PKK[i - 1] @ psi_HKK[h - i]
        return psi_HKK

    def _one_step(self, panel: Panel) -> np.ndarray:
        y_LK, last = self._history(panel)
        out_LK = np.full(y_LK.shape, np.nan)
        for row in range(self.order_, len(y_LK)):
            out_LK[row] = self._expected(y_LK[:row], last - len(y_LK) + row + 1)
        out_NL = (out_LK * self.size_).T[self._places(panel)]
        return out_NL[np.arange(out_NL.shape[1]) >= out_NL.shape[1] - panel.lengths[:, None]]
