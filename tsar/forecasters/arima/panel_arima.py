"""What ARIMA and AutoARIMA share: from a panel to batches of series, predictions and fitted values.

Legend: N items, H horizon, K known covariates, L time, T all rows of a panel end to end, k parameter slots, G gaps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tsar.forecasters.arima import boxcox
from tsar.forecasters.arima.candidates import Slots
from tsar.forecasters.arima.data import Differenced, prepare
from tsar.forecasters.arima.differencing import difference
from tsar.forecasters.arima.fitting import Models, Wanted, batches_of, fit_safely
from tsar.forecasters.arima.forecast import ahead, one_step
from tsar.forecasters.arima.report import Reports
from tsar.forecasters.array_state import ArrayState
from tsar.forecasters.base import Forecaster
from tsar.forecasters.in_sample import InSample
from tsar.forecasters.linear_process import linear_process
from tsar.forecasters.parallel import each_item
from tsar.forecasters.prediction import Prediction
from tsar.panel import Panel

ENGINES = ("tsar", "statsforecast", "statsmodels")
_EXACT = "its differences are constant: it continues without error and every quantile equals the mean"


class PanelARIMA(Reports, ArrayState, InSample, Forecaster):
    """Fits every series of a panel with the batched engine, or one by one with another library's."""

    engine: str
    box_cox: float | str | None
    n_jobs: int | None

    def _check_options(self) -> None:
        super()._check_options()
        if self.engine not in ENGINES:
            raise ValueError(f"engine must be one of {', '.join(ENGINES)}, found {self.engine!r}")
        number = isinstance(self.box_cox, int | float) and not isinstance(self.box_cox, bool)
        if not (self.box_cox is None or self.box_cox == "auto" or (number and np.isfinite(float(self.box_cox)))):
            raise ValueError(f"box_cox must be a number, 'auto' or None, found {self.box_cox!r}")

    def _wanted(self, season: int) -> Wanted:
        raise TypeError(f"{type(self).__name__} is abstract: it lacks _wanted")

    def _seasons(self, panel: Panel) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} is abstract: it lacks _seasons")

    def _fit(self, panel: Panel) -> Mapping[int, str]:
        self.season_ = self._seasons(panel)
        self.power_, failed = self._powers(panel)
        series, regressors, unusable = self._arrays(panel, self.power_)
        failed |= unusable
        usable = np.array([i for i in range(len(panel)) if i not in failed], "i8")
        models = Models.empty(self._wanted(1).sizes, len(panel), len(self.known))
        own = self.engine == "tsar" or (self.engine == "statsmodels" and self._wanted(1).limits is not None)
        batches = self._batches(series, self.season_, usable if own else usable[:0])
        if self.n_jobs not in (None, 1):  # pieces for the processes to share
            batches = [part for batch in batches for part in np.array_split(batch, 1 + len(batch) // 64)]
        jobs = [
            ([series[i] for i in part], [regressors[i] for i in part], int(season), self._wanted(int(season)))
            for part in batches
            for season in self.season_[part[:1]]
        ]
        results, broken = each_item(fit_safely, jobs, n_jobs=self.n_jobs)
        for place, (part, result) in enumerate(zip(batches, results, strict=True)):
            if result is None:
                failed |= {int(i): broken[place] for i in part}
                continue
            models.put(part, result[0])
            failed |= {int(part[i]): reason for i, reason in result[1].items()}
        self.order_, self.z_, self.sigma_ = models.order_N7, models.z_Nk, models.sigma_N
        self.beta_, self.beta_root_ = models.beta_NK, models.beta_root_NKK
        self.loglik_, self.aicc_, self.observed_ = models.loglik_N, models.aicc_N, models.observed_N
        self.tried_ = models.tried_NE6
        if self.engine != "tsar":
            from tsar.forecasters.arima.engines import fit_items

            if not own:
                self.order_[:] = self._given_order()
            self.fits_, more = fit_items(self, series, regressors, failed)
            failed |= more
        return failed

    def _given_order(self) -> tuple[int, ...]:
        """(p, d, q, P, D, Q, constant) where orders are given, else zeros."""
        wanted = self._wanted(2)
        if wanted.limits is not None:
            return (0,) * 7
        p, q, big_p, big_q = wanted.sizes
        d, big_d = wanted.d or 0, wanted.D or 0
        return (p, d, q, big_p, big_d, big_q, int(d + big_d < 2 if wanted.constant is None else wanted.constant))

    def _state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:  # type: ignore[override]
        return super()._state() if self.engine == "tsar" else None

    def _powers(self, panel: Panel) -> tuple[np.ndarray, dict[int, str]]:
        """Box-Cox powers, NaN where nothing is transformed, and the series that cannot be."""
        power_N = np.full(len(panel), np.nan)
        failed: dict[int, str] = {}
        if self.box_cox is None:
            return power_N, failed
        for i in range(len(panel)):
            y_L = panel.series(i)
            try:
                power_N[i] = boxcox.guerrero(y_L, int(self.season_[i])) if self.box_cox == "auto" else self.box_cox
                if power_N[i] <= 0 and np.nanmin(y_L) <= 0:
                    raise ValueError(f"box_cox={power_N[i]:g} needs positive values, found {np.nanmin(y_L):g}")
            except ValueError as error:
                failed[i] = str(error)
        return power_N, failed

    def _arrays(self, panel: Panel, power_N: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray], dict[int, str]]:
        """Series without leading gaps, transformed; their covariates [L, K]; reasons why one cannot be used."""
        series: list[np.ndarray] = []
        regressors: list[np.ndarray] = []
        failed: dict[int, str] = {}
        columns = [panel.covariates[name] for name in self.known]
        for name, column in zip(self.known, columns, strict=True):
            if column.dtype == object:
                raise ValueError(f"the known covariate {name!r} holds text: {type(self).__name__} expects numbers")
        for i, (start, stop) in enumerate(zip(panel.offsets[:-1], panel.offsets[1:], strict=True)):
            first = start + int(np.argmax(~np.isnan(panel.values[start:stop])))
            y_L = panel.values[first:stop]
            if not np.isnan(power_N[i]):
                if power_N[i] <= 0 and np.nanmin(y_L) <= 0:
                    failed[i] = f"box_cox={power_N[i]:g} needs positive values, found {np.nanmin(y_L):g}"
                y_L = boxcox.transform(np.maximum(y_L, np.finfo(float).tiny) if power_N[i] <= 0 else y_L, power_N[i])
            x_LK = np.stack([column[first:stop] for column in columns], 1) if columns else np.zeros((stop - first, 0))
            if np.isnan(x_LK).any():
                name = self.known[int(np.isnan(x_LK).any(0).argmax())]
                failed[i] = f"expected the known covariate {name!r} at every step, found missing values"
            series.append(y_L)
            regressors.append(x_LK)
        return series, regressors, failed

    def _batches(self, series: list[np.ndarray], season_N: np.ndarray, usable: np.ndarray) -> list[np.ndarray]:
        lengths = np.array([len(series[i]) for i in usable], "i8")
        gaps = np.array([int(np.isnan(series[i]).sum()) for i in usable], "i8")
        return [usable[part] for part in batches_of(lengths, gaps, season_N[usable])]

    def _prepared(
        self, series: list[np.ndarray], regressors: list[np.ndarray], index: np.ndarray, place: np.ndarray
    ) -> Differenced:
        d, seasonal = self.order_[place, 1], self.order_[place, 4]
        return prepare(
            [series[i] for i in index], [regressors[i] for i in index], d, seasonal, int(self.season_[place[0]])
        )

    def _too_short(self, series: list[np.ndarray], place_N: np.ndarray) -> dict[int, str]:
        lost_N = self.order_[place_N, 1] + self.season_[place_N] * self.order_[place_N, 4]
        return {
            i: f"expected more than the {lost} steps that differencing takes, found {len(y_L)}"
            for i, (y_L, lost) in enumerate(zip(series, lost_N, strict=True))
            if len(y_L) <= lost
        }

    def _predict(self, panel: Panel, horizon: int, future: Mapping[str, np.ndarray]) -> Prediction:
        place_N = self._places(panel)
        power_N, season_N = self.power_[place_N], self.season_[place_N]
        series, regressors, failed = self._arrays(panel, power_N)
        future_NHK = np.zeros((len(panel), horizon, 0))
        if self.known:
            future_NHK = np.stack([np.asarray(future[name], "f8") for name in self.known], -1)
            lost = np.isnan(future_NHK).any((1, 2))
            failed |= {
                int(i): "expected the known covariates at every step of the horizon" for i in np.flatnonzero(lost)
            }
        if self.engine != "tsar":
            from tsar.forecasters.arima.engines import predict_items

            own = predict_items(self, series, regressors, future_NHK, place_N, failed)
            return _back(own, power_N)
        failed |= self._too_short(series, place_N)
        usable = np.array([i for i in range(len(panel)) if i not in failed], "i8")
        gaps = max((int(np.isnan(series[i]).sum()) for i in usable), default=0)
        mean_NH, psi_NH = np.zeros((len(panel), horizon)), np.zeros((len(panel), horizon))
        open_ends = gaps + len(self.known) + 1
        unknown_NHG = np.zeros((len(panel), horizon, open_ends))
        for part in self._batches(series, season_N, usable):
            place = place_N[part]
            data = self._prepared(series, regressors, part, place)
            columns = [self._future_columns(regressors[i], future_NHK[i], p) for i, p in zip(part, place, strict=True)]
            found = ahead(
                data, [series[i] for i in part], columns, Slots(self._sizes()), self.order_[place][:, [0, 2, 3, 5, 6]],
                self.z_[place].T, self.beta_[place], self.beta_root_[place], horizon,
            )  # fmt: skip
            mean_NH[part], psi_NH[part] = found.mean_RH, found.psi_RH
            unknown_NHG[part, :, : found.unknown_RHG.shape[2]] = found.unknown_RHG
        # Errors of an estimated model exceed those of the true one by k / n in variance (Akaike 1970).
        estimated_N = self.order_[place_N][:, [0, 2, 3, 5]].sum(1) / np.maximum(self.observed_[place_N], 1)
        sigma_N = self.sigma_[place_N] * np.sqrt(1.0 + estimated_N)
        notes = {int(i): _EXACT for i in np.flatnonzero(sigma_N == 0) if int(i) not in failed}
        unknown = unknown_NHG * sigma_N[:, None, None] if unknown_NHG.any() else None
        process = linear_process(mean_NH, sigma_N[:, None], psi_NH, unknown, failed=failed, notes=notes)
        return _back(process, power_N)

    def _sizes(self) -> tuple[int, int, int, int]:
        return self._wanted(1).sizes

    def _future_columns(self, x_LK: np.ndarray, future_HK: np.ndarray, place: int) -> np.ndarray:
        """Differenced covariates over the horizon, and the constant: [H, K + 1]."""
        d, seasonal, season = int(self.order_[place, 1]), int(self.order_[place, 4]), int(self.season_[place])
        whole = difference(np.concatenate((x_LK, future_HK)), d, seasonal, season)
        return np.column_stack((whole[len(whole) - len(future_HK) :], np.ones(len(future_HK))))

    def _one_step(self, panel: Panel) -> np.ndarray:
        place_N = self._places(panel)
        power_N = self.power_[place_N]
        series, regressors, failed = self._arrays(panel, power_N)
        failed |= self._too_short(series, place_N) if self.engine == "tsar" else {}
        usable = np.array([i for i in range(len(panel)) if i not in failed], "i8")
        found: dict[int, np.ndarray] = {}
        if self.engine != "tsar":
            from tsar.forecasters.arima.engines import fitted_items

            found = fitted_items(self, series, place_N[usable], usable)
            usable = usable[:0]
        for part in self._batches(series, self.season_[place_N], usable):
            place = place_N[part]
            data = self._prepared(series, regressors, part, place)
            expected = one_step(
                data, [series[i] for i in part], Slots(self._sizes()), self.order_[place][:, [0, 2, 3, 5, 6]],
                self.z_[place].T, self.beta_[place],
            )  # fmt: skip
            found |= dict(zip(part.tolist(), expected, strict=True))
        out_T = np.full(len(panel.values), np.nan)
        for i, fitted_L in found.items():
            values = fitted_L if np.isnan(power_N[i]) else boxcox.inverse(fitted_L, power_N[i])
            out_T[panel.offsets[i + 1] - len(values) : panel.offsets[i + 1]] = values
        return out_T


def _back(process: Prediction, power_N: np.ndarray) -> Prediction:
    """Undo the Box-Cox transformation of the rows that have one."""
    rows = np.flatnonzero(~np.isnan(power_N))
    if len(rows) == 0:
        return process
    inner = process.quantiles

    def quantiles(levels_Q: np.ndarray) -> np.ndarray:
        out = inner(levels_Q)
        for i in rows:
            out[i] = boxcox.inverse(out[i], power_N[i])
        return out

    def sample(count: int, seeds_N: np.ndarray) -> np.ndarray:
        assert process.sample is not None
        out = process.sample(count, seeds_N)
        for i in rows:
            out[i] = boxcox.inverse(out[i], power_N[i])
        return out

    one_sigma = inner(np.array([0.5, 0.841344746068543]))
    mean_NH = process.mean_NH.copy()
    for i in rows:
        variance_H = (one_sigma[i, :, 1] - one_sigma[i, :, 0]) ** 2
        mean_NH[i] = boxcox.mean_back(mean_NH[i], variance_H, power_N[i])
    return Prediction(
        mean_NH, quantiles, None if process.sample is None else sample, failed=process.failed, notes=process.notes
    )
