"""The Theta method: Theta over statsmodels, AutoTheta over statsforecast.

Legend: N items, L time, H horizon, Q levels, S season.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tsar import frequency
from tsar.forecasters.array_state import ArrayState
from tsar.forecasters.base import Forecaster
from tsar.forecasters.ets_states import Form, smooth
from tsar.forecasters.extras import import_extra
from tsar.forecasters.gaps import observed_span, quietly, skip_steps, unit_of, without_gaps
from tsar.forecasters.in_sample import InSample
from tsar.forecasters.linear_process import linear_process
from tsar.forecasters.parallel import each_item
from tsar.forecasters.prediction import Prediction, weave
from tsar.panel import Panel

_LEVEL = Form("A", "N", "N")


class _Theta(InSample, Forecaster):
    def __init__(
        self,
        *,
        season_length: int | None = None,
        freq: str | int | None = None,
        bounds: tuple[float | None, float | None] | None = None,
        n_jobs: int | None = 1,
        progress: bool = False,
        on_error: str = "raise",
    ) -> None:
        self.season_length = season_length
        self.freq = freq
        self.bounds = bounds
        self.n_jobs = n_jobs
        self.progress = progress
        self.on_error = on_error

    def _clean(self, panel: Panel) -> list[np.ndarray]:
        """Each series from its first to its last observed value, gaps interpolated."""
        begin_N, end_N = observed_span(panel)
        return [without_gaps(panel.series(i)[begin_N[i] : end_N[i]]) for i in range(len(panel))]

    def _interpolated(self, panel: Panel) -> dict[int, str]:
        begin_N, end_N = observed_span(panel)
        seen_N = np.add.reduceat(~np.isnan(panel.values), panel.offsets[:-1], dtype="i8")
        lost_N = end_N - begin_N - seen_N
        return {int(i): f"{lost_N[i]} missing values were interpolated" for i in np.flatnonzero(lost_N)}

    def _starts(self, panel: Panel) -> np.ndarray:
        """Times of the first observed values as integers, [N]."""
        return panel.times[panel.offsets[:-1] + observed_span(panel)[0]].astype("i8")

    def _moved(self, panel: Panel, place_N: np.ndarray) -> np.ndarray:
        """Steps by which each history starts later than the one that was fitted, [N]."""
        was_N, now_N = (t.astype(panel.times.dtype) for t in (self.start_[place_N], self._starts(panel)))
        return frequency.positions(now_N, was_N, self.freq_)[0]

    def _each(
        self, series: list[np.ndarray], place_N: np.ndarray, moved_N: np.ndarray, horizon: int
    ) -> list[Prediction]:
        raise TypeError(f"{type(self).__name__} is abstract: it lacks _each")

    def _predict(self, panel: Panel, horizon: int, future: Mapping[str, np.ndarray]) -> Prediction:
        place_N = self._places(panel)
        tail_N = panel.lengths - observed_span(panel)[1]
        series, moved_N, parts = self._clean(panel), self._moved(panel, place_N), []
        for tail in np.unique(tail_N):
            rows = np.flatnonzero(tail_N == tail)
            several = self._each([series[i] for i in rows], place_N[rows], moved_N[rows], horizon + int(tail))
            parts += [(rows[b : b + 1], skip_steps(part, int(tail))) for b, part in enumerate(several)]
        whole = weave(len(panel), parts)
        return Prediction(whole.mean_NH, whole.quantiles, whole.sample, notes=self._interpolated(panel))

    def _one_step(self, panel: Panel) -> np.ndarray:
        begin_N, end_N = observed_span(panel)
        out_T = np.full(len(panel.values), np.nan)
        place_N = self._places(panel)
        for i, fitted_L in enumerate(self._fitted(self._clean(panel), place_N, self._moved(panel, place_N))):
            out_T[panel.offsets[i] + begin_N[i] : panel.offsets[i] + end_N[i]] = fitted_L
        return out_T

    def _fitted(self, series: list[np.ndarray], place_N: np.ndarray, moved_N: np.ndarray) -> list[np.ndarray]:
        raise TypeError(f"{type(self).__name__} is abstract: it lacks _fitted")


class Theta(ArrayState, _Theta):
    """The standard Theta method (Assimakopoulos and Nikolopoulos 2000), estimated by statsmodels.

    Half the slope of a line through the series is added to simple exponential smoothing, after a season that passes a
    test is taken out, by division where all values are positive. Spreads are those of the smoothing.

    Parameters
    ----------
    season_length : int, steps, default from the frequency, else detected
    n_jobs : processes, default 1; progress : a bar on stderr, default off
    freq, bounds, on_error : as in `SeasonalNaive`
    """

    engine = "statsmodels"

    def _fit(self, panel: Panel) -> Mapping[int, str]:
        series, season_N = self._clean(panel), panel.season_of()
        self.start_, self.freq_ = self._starts(panel), panel.freq
        arguments = [(y, int(season)) for y, season in zip(series, season_N, strict=True)]
        found, failed = each_item(_estimate, arguments, n_jobs=self.n_jobs, progress=self.progress)
        n = len(panel)
        self.alpha_, self.slope_, self.sigma_ = np.full(n, np.nan), np.zeros(n), np.zeros(n)
        self.season_, self.divides_ = np.ones(n, "i8"), np.zeros(n, bool)
        self.profile_ = np.zeros((n, max((len(one.profile_S) for one in found if one), default=1)))
        for i, one in enumerate(found):
            if one is not None:
                self.alpha_[i], self.slope_[i], self.divides_[i] = one.alpha, one.slope, one.divides
                self.season_[i], self.profile_[i, : len(one.profile_S)] = len(one.profile_S), one.profile_S
        for i, (y_L, one) in enumerate(zip(series, found, strict=True)):
            if one is not None:
                error_L = self._adjust(y_L, i, 0) - self._smoothed(y_L, i, 0)[1]
                self.sigma_[i] = np.hypot.reduce(error_L[1:]) / np.sqrt(max(len(y_L) - 3, 1))
        return failed

    def _profile(self, place: int, moved: int, length: int) -> np.ndarray:
        """Season of `length` steps from `moved` steps after the start of the fitted series."""
        return self.profile_[place, (moved + np.arange(length)) % self.season_[place]]

    def _adjust(self, y_L: np.ndarray, place: int, moved: int) -> np.ndarray:
        profile_L = self._profile(place, moved, len(y_L))
        return y_L / profile_L if self.divides_[place] else y_L - profile_L

    def _drift(self, place: int, seen: np.ndarray) -> np.ndarray:
        """Half the line's slope, as it adds to the next value after `seen` steps (Hyndman and Billah 2003, eq. 5)."""
        alpha = max(self.alpha_[place], 1e-8)
        return self.slope_[place] / 2 * (1 - (1 - alpha) ** seen) / alpha

    def _smoothed(self, y_L: np.ndarray, place: int, moved: int) -> tuple[float, np.ndarray]:
        """Level at the end, and values expected one step before, without the season."""
        x_L = self._adjust(y_L, place, moved)
        weights_1W = np.array([[self.alpha_[place], 0.0, 0.0, 1.0]])
        state, level_1L = smooth(_LEVEL, np.array([[x_L[0], 0.0, 0.0]]), weights_1W, x_L[None], np.array([len(x_L)]))
        return float(state[0, 0]), level_1L[0] + self._drift(place, np.arange(len(x_L)))

    def _each(
        self, series: list[np.ndarray], place_N: np.ndarray, moved_N: np.ndarray, horizon: int
    ) -> list[Prediction]:
        out = []
        for y_L, place, moved in zip(series, place_N, moved_N, strict=True):
            level, _ = self._smoothed(y_L, place, moved)
            mean_H = level + self._drift(place, np.array(len(y_L))) + self.slope_[place] / 2 * np.arange(horizon)
            psi_H = np.where(np.arange(horizon) == 0, 1.0, self.alpha_[place])
            part = linear_process(mean_H[None], self.sigma_[place].reshape(1, 1), psi_H[None])
            profile_H = self._profile(place, moved + len(y_L), horizon)
            out.append(_with_season(part, profile_H, bool(self.divides_[place])))
        return out

    def _fitted(self, series: list[np.ndarray], place_N: np.ndarray, moved_N: np.ndarray) -> list[np.ndarray]:
        out = []
        for y_L, place, moved in zip(series, place_N, moved_N, strict=True):
            fitted_L, profile_L = self._smoothed(y_L, place, moved)[1], self._profile(place, moved, len(y_L))
            out.append(fitted_L * profile_L if self.divides_[place] else fitted_L + profile_L)
        return out


class _Line(NamedTuple):
    alpha: float
    slope: float
    profile_S: np.ndarray
    divides: bool


def _estimate(y_L: np.ndarray, season: int) -> _Line:
    from statsmodels.tsa.forecasting.theta import ThetaModel

    if len(y_L) < 4:
        raise ValueError(f"Theta needs at least 4 values, found {len(y_L)}")
    seasonal = season > 1 and len(y_L) >= 2 * season
    size = float(np.abs(y_L).max()) or 1.0
    model = ThetaModel(y_L / size, period=season if seasonal else 1, deseasonalize=seasonal)
    with quietly():
        result = model.fit()
    slope, alpha = (float(value) for value in result.params)
    if not seasonal or not model.deseasonalize:
        return _Line(alpha, slope * size, np.zeros(1), False)
    ahead_S = result.forecast_components(season)["seasonal"].to_numpy()
    profile_S = np.roll(ahead_S, len(y_L) % season)
    divides = model.method.startswith("mul")
    return _Line(alpha, slope * size, profile_S if divides else profile_S * size, divides)


def _with_season(part: Prediction, profile_H: np.ndarray, multiply: bool) -> Prediction:
    times, plus = (profile_H, np.zeros(1)) if multiply else (np.ones(1), profile_H)
    draw = part.sample
    assert draw is not None
    return Prediction(
        part.mean_NH * times + plus,
        lambda levels_Q: part.quantiles(levels_Q) * times[:, None] + plus[:, None],
        lambda count, seeds_N: draw(count, seeds_N) * times + plus,
    )


class AutoTheta(_Theta):
    """The Theta variant that statsforecast finds best (Fiorucci et al. 2016); needs `tsar[statsforecast]`.

    Means are statsforecast's; spreads are those of its smoothing, from the one-step errors. A saved AutoTheta is fitted
    again when it is loaded.

    Parameters
    ----------
    season_length : int, steps, default from the frequency, else detected
    n_jobs : processes, default 1; progress : a bar on stderr, default off
    freq, bounds, on_error : as in `SeasonalNaive`

    Raises
    ------
    ImportError
        At fit, without statsforecast; the message names the extra.
    """

    engine = "statsforecast"

    def _fit(self, panel: Panel) -> Mapping[int, str]:
        import_extra("statsforecast.theta", "statsforecast", "AutoTheta")
        self.series_, self.start_, self.freq_ = self._clean(panel), self._starts(panel), panel.freq
        arguments = [(y, int(season)) for y, season in zip(self.series_, panel.season_of(), strict=True)]
        self.models_, failed = each_item(_choose, arguments, n_jobs=self.n_jobs, progress=self.progress)
        return failed

    def _applied(self, y_L: np.ndarray, place: int) -> dict[str, Any]:
        """Return the fitted variant, run through another history if it is not the fitted one."""
        fitted = self.models_[place]
        assert fitted is not None
        if np.array_equal(y_L, self.series_[place]):
            return fitted
        if len(y_L) < 4:
            raise ValueError(f"AutoTheta needs at least 4 values of a history to continue, found {len(y_L)}")
        theta = import_extra("statsforecast.theta", "statsforecast", "AutoTheta")
        with quietly():
            return {**theta.forward_theta(fitted, y_L / fitted["unit"]), "unit": fitted["unit"]}

    def _each(
        self, series: list[np.ndarray], place_N: np.ndarray, moved_N: np.ndarray, horizon: int
    ) -> list[Prediction]:
        theta = import_extra("statsforecast.theta", "statsforecast", "AutoTheta")
        out = []
        for y_L, place in zip(series, place_N, strict=True):
            model = self._applied(y_L, place)
            mean_H = theta.forecast_theta(model, horizon)["mean"] * model["unit"]
            psi_H = np.where(np.arange(horizon) == 0, 1.0, model["par"]["alpha"])
            error_L = _residuals(model)
            tail_L = error_L[3:] if len(error_L) > 5 else error_L
            sigma = model["unit"] * np.std(tail_L / model["unit"], ddof=1)
            out.append(linear_process(mean_H[None], sigma.reshape(1, 1), psi_H[None]))
        return out

    def _fitted(self, series: list[np.ndarray], place_N: np.ndarray, moved_N: np.ndarray) -> list[np.ndarray]:
        return [y_L - _residuals(self._applied(y_L, place)) for y_L, place in zip(series, place_N, strict=True)]


def _residuals(model: Mapping[str, Any]) -> np.ndarray:
    """One-step errors; statsforecast adds an additive season to them, which is taken off again."""
    error_L = np.asarray(model["residuals"])
    if model.get("decompose") and model["decomposition_type"] == "additive":
        ahead_S = np.asarray(model["seas_forecast"]["mean"])
        error_L = error_L - ahead_S[np.arange(-len(error_L), 0) % len(ahead_S)]
    return error_L * model["unit"]


def _choose(y_L: np.ndarray, season: int) -> dict[str, Any]:
    from statsforecast.theta import auto_theta

    if len(y_L) < 4:
        raise ValueError(f"AutoTheta needs at least 4 values, found {len(y_L)}")
    unit = unit_of(y_L)
    try:
        with quietly():
            return {**auto_theta(y=y_L / unit, m=season), "unit": unit}
    except NotImplementedError as reason:
        raise ValueError(f"statsforecast has no Theta for {len(y_L)} values: {reason}") from reason
