"""The forecasts every other one has to beat: last value, last season, drift, mean of a window.

Intervals are those of the random walk each of them is optimal for (Hyndman and Athanasopoulos 2021, section 5.5); the
innovation variance is the mean square of the one-step errors on the training data. A missing value is passed over: the
walk has taken that many more steps.

Legend: N items, T all rows end to end, H horizon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tsar.forecasters.array_state import ArrayState
from tsar.forecasters.base import Forecaster
from tsar.forecasters.in_sample import InSample
from tsar.forecasters.linear_process import linear_process
from tsar.forecasters.prediction import Prediction
from tsar.panel import Panel

_ALONE = "its history holds no error to learn a spread from: every quantile equals the mean"


class _Walk(ArrayState, InSample, Forecaster):
    """Innovation size of each item from its one-step errors; a subclass says what was expected one step before."""

    def _fit(self, panel: Panel) -> None:
        self._learn(panel)
        error_T = panel.values - self._one_step(panel)
        seen_T = ~np.isnan(error_T)
        count_N = np.add.reduceat(seen_T, panel.offsets[:-1], dtype="i8")
        largest_N = np.maximum.reduceat(np.where(seen_T, np.abs(error_T), 0.0), panel.offsets[:-1])
        size_N = np.where(largest_N > 0, largest_N, 1.0)  # squares of huge or tiny errors stay in range
        share_T = np.where(seen_T, error_T, 0.0) / np.repeat(size_N, panel.lengths)
        total_N = np.add.reduceat(share_T**2, panel.offsets[:-1])
        freedom_N = np.maximum(count_N - self._estimated, 1)
        self.sigma_ = size_N * np.sqrt(total_N / freedom_N)
        self.errors_ = count_N

    _estimated = 0  # parameters learned from the errors' own data

    def _learn(self, panel: Panel) -> None:
        """Learn what `_one_step` needs beyond the history; nothing by default."""

    def _notes(self, place_N: np.ndarray) -> dict[int, str]:
        return {int(i): _ALONE for i in np.flatnonzero(self.errors_[place_N] == 0)}


def _last_seen(panel: Panel, season_N: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Last observed value in the phase of each step after the end, and how many seasons back beyond the last: [N, H].

    Where a phase was never observed, the last observed value stands in, one season back.
    """
    start_N1, end_N1, season_N1 = panel.offsets[:-1, None], panel.offsets[1:, None], season_N[:, None]
    at_NH = end_N1 - season_N1 + (steps - 1) % season_N1
    back_NH = np.zeros(at_NH.shape, "i8")
    while True:
        inside = at_NH >= start_N1
        missing = inside & np.isnan(panel.values[np.where(inside, at_NH, 0)])
        if not missing.any():
            break
        at_NH, back_NH = np.where(missing, at_NH - season_N1, at_NH), back_NH + missing
    step_T = np.where(np.isnan(panel.values), -1, np.arange(len(panel.values)))
    latest_N1 = np.maximum.reduceat(step_T, panel.offsets[:-1])[:, None]
    at_NH = np.where(inside, at_NH, np.maximum(latest_N1, start_N1))
    return panel.values[at_NH], np.where(inside, back_NH, 1)


class SeasonalNaive(_Walk):
    """Repeat the last season.

    Parameters
    ----------
    season_length : int, steps, default from the frequency, else detected; 1 repeats the last value
    freq : pandas alias or integer step, default inferred
    bounds : (lower, upper) of every forecast, either may be None
    on_error : "raise" or "fallback"
    """

    def __init__(
        self,
        season_length: int | None = None,
        *,
        freq: str | int | None = None,
        bounds: tuple[float | None, float | None] | None = None,
        on_error: str = "raise",
    ) -> None:
        self.season_length = season_length
        self.freq = freq
        self.bounds = bounds
        self.on_error = on_error

    def _learn(self, panel: Panel) -> None:
        self.season_ = self._seasons(panel)

    def _seasons(self, panel: Panel) -> np.ndarray:
        return panel.season_of()

    def _one_step(self, panel: Panel) -> np.ndarray:
        season_T = np.repeat(self.season_[self._places(panel)], panel.lengths)
        step_T = np.arange(len(panel.values)) - np.repeat(panel.offsets[:-1], panel.lengths)
        before_T = panel.values[np.maximum(np.arange(len(step_T)) - season_T, 0)]
        return np.where(step_T >= season_T, before_T, np.nan)

    def _predict(self, panel: Panel, horizon: int, future: Mapping[str, np.ndarray]) -> Prediction:
        place_N = self._places(panel)
        return self._walk(panel, horizon, self.season_[place_N], self.sigma_[place_N], self._notes(place_N))

    def _walk(
        self, panel: Panel, horizon: int, season_N: np.ndarray, sigma_N: np.ndarray, notes: Mapping[int, str]
    ) -> Prediction:
        mean_NH, back_NH = _last_seen(panel, season_N, np.arange(1, horizon + 1))
        first_NH = np.arange(horizon) < season_N[:, None]
        size_NH = sigma_N[:, None] * np.sqrt(1 + np.where(first_NH, back_NH, 0))
        psi_NH = (np.arange(horizon) % season_N[:, None] == 0).astype("f8")
        return linear_process(mean_NH, size_NH, psi_NH, notes=notes)

    def stand_in(self, panel: Panel, horizon: int, reasons: Sequence[str]) -> Prediction:
        """Forecast items that another forecaster could not, whatever state they are in; `reasons` become notes."""
        self._place = {item: i for i, item in enumerate(panel.ids)}
        self._fit(panel)
        notes = {i: f"SeasonalNaive instead: {reason}" for i, reason in enumerate(reasons)}
        return self._walk(panel, horizon, self.season_, self.sigma_, notes)


class Naive(SeasonalNaive):
    """Repeat the last value; optimal for a random walk.

    Parameters
    ----------
    freq, bounds, on_error : as in `SeasonalNaive`
    """

    def __init__(
        self,
        *,
        freq: str | int | None = None,
        bounds: tuple[float | None, float | None] | None = None,
        on_error: str = "raise",
    ) -> None:
        self.freq = freq
        self.bounds = bounds
        self.on_error = on_error

    def _seasons(self, panel: Panel) -> np.ndarray:
        return np.ones(len(panel), "i8")


class Drift(Naive):
    """Continue the line from the first to the last value; optimal for a random walk with drift.

    Parameters
    ----------
    freq, bounds, on_error : as in `SeasonalNaive`
    """

    _estimated = 1

    def _learn(self, panel: Panel) -> None:
        super()._learn(panel)
        seen_T = ~np.isnan(panel.values)
        step_T = np.arange(len(seen_T))
        first_N = np.minimum.reduceat(np.where(seen_T, step_T, len(seen_T)), panel.offsets[:-1])
        last_N = np.maximum.reduceat(np.where(seen_T, step_T, -1), panel.offsets[:-1])
        self.span_ = last_N - first_N
        rise_N = panel.values[last_N] - panel.values[first_N]
        self.slope_ = np.divide(rise_N, self.span_, out=np.zeros(len(panel)), where=self.span_ > 0)

    def _one_step(self, panel: Panel) -> np.ndarray:
        return super()._one_step(panel) + np.repeat(self.slope_[self._places(panel)], panel.lengths)

    def _predict(self, panel: Panel, horizon: int, future: Mapping[str, np.ndarray]) -> Prediction:
        place_N = self._places(panel)
        last_NH, back_NH = _last_seen(panel, np.ones(len(panel), "i8"), np.arange(1, horizon + 1))
        ahead_NH = np.arange(1, horizon + 1) + back_NH
        sigma_N1 = self.sigma_[place_N, None]
        size_NH = np.broadcast_to(sigma_N1, last_NH.shape).copy()
        size_NH[:, :1] *= np.sqrt(1 + back_NH[:, :1])
        unknown_NH = sigma_N1 * ahead_NH / np.sqrt(np.maximum(self.span_[place_N, None], 1))
        mean_NH = last_NH + ahead_NH * self.slope_[place_N, None]
        return linear_process(
            mean_NH, size_NH, np.ones(last_NH.shape), unknown_NH[..., None], notes=self._notes(place_N)
        )


class WindowAverage(_Walk):
    """Repeat the mean of the last observed steps.

    Parameters
    ----------
    window : int, steps, default one season but at least 4
    season_length, freq, bounds, on_error : as in `SeasonalNaive`
    """

    def __init__(
        self,
        window: int | None = None,
        *,
        season_length: int | None = None,
        freq: str | int | None = None,
        bounds: tuple[float | None, float | None] | None = None,
        on_error: str = "raise",
    ) -> None:
        self.window = window
        self.season_length = season_length
        self.freq = freq
        self.bounds = bounds
        self.on_error = on_error

    def _check_options(self) -> None:
        super()._check_options()
        if self.window is not None and (not isinstance(self.window, int | np.integer) or self.window < 1):
            raise ValueError(f"window must be a positive integer number of steps or None, found {self.window!r}")

    def _learn(self, panel: Panel) -> None:
        given = None if self.window is None else np.full(len(panel), self.window)
        self.window_ = np.maximum(panel.season_of(), 4) if given is None else given

    def _one_step(self, panel: Panel) -> np.ndarray:
        return self._means(panel, np.arange(len(panel.values)), np.repeat(np.arange(len(panel)), panel.lengths))

    def _means(self, panel: Panel, row_R: np.ndarray, item_R: np.ndarray) -> np.ndarray:
        """Mean of the window before each row of an item, NaN where nothing was observed in it."""
        seen_T = ~np.isnan(panel.values)
        high_N = np.fmax.reduceat(panel.values, panel.offsets[:-1])
        low_N = np.fmin.reduceat(panel.values, panel.offsets[:-1])
        half_N = np.where(high_N > low_N, high_N / 2 - low_N / 2, 1.0)
        scaled_T = (panel.values - np.repeat(low_N, panel.lengths)) / np.repeat(half_N, panel.lengths)
        sums = np.concatenate([[0.0], np.cumsum(np.where(seen_T, scaled_T, 0.0))])  # every item counts equally little
        counts = np.concatenate([[0], np.cumsum(seen_T)])
        first_R = np.maximum(row_R - self.window_[self._places(panel)][item_R], panel.offsets[item_R])
        count_R = counts[row_R] - counts[first_R]
        share_R = np.divide(sums[row_R] - sums[first_R], count_R, out=np.full(len(row_R), np.nan), where=count_R > 0)
        return low_N[item_R] + half_N[item_R] * share_R

    def _predict(self, panel: Panel, horizon: int, future: Mapping[str, np.ndarray]) -> Prediction:
        place_N = self._places(panel)
        mean_N = self._means(panel, panel.offsets[1:], np.arange(len(panel)))
        last_N = _last_seen(panel, np.ones(len(panel), "i8"), np.ones(1, "i8"))[0][:, 0]
        mean_NH = np.repeat(np.where(np.isnan(mean_N), last_N, mean_N)[:, None], horizon, 1)
        # an error is a new innovation minus the window's own noise: shares w / (w + 1) and 1 / (w + 1) of its variance
        window_N1, sigma_N1 = self.window_[place_N, None], self.sigma_[place_N, None]
        psi_NH = np.broadcast_to(np.arange(horizon) == 0, mean_NH.shape).astype("f8")
        size_NH = np.broadcast_to(sigma_N1 * np.sqrt(window_N1 / (window_N1 + 1)), mean_NH.shape)
        unknown_NH = np.broadcast_to(sigma_N1 / np.sqrt(window_N1 + 1), mean_NH.shape)
        return linear_process(mean_NH, size_NH, psi_NH, unknown_NH[..., None], notes=self._notes(place_N))
