"""What ETS and AutoETS share: a library estimates, the state space form does the rest.

The states continue, draw paths and run through new histories, so nothing is fitted again after a checkpoint.

Legend: N items, T all rows end to end, B items of one form, L time, H horizon, S paths, Q levels,
Z states, W weights (see `ets_states`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tsar import frequency
from tsar.forecasters.array_state import ArrayState
from tsar.forecasters.base import Forecaster
from tsar.forecasters.ets_states import Form, paths, psi_weights, smooth
from tsar.forecasters.gaps import observed_span, skip_steps, without_gaps
from tsar.forecasters.in_sample import InSample
from tsar.forecasters.linear_process import linear_process
from tsar.forecasters.parallel import each_item
from tsar.forecasters.prediction import Prediction, weave
from tsar.panel import Panel

_PATHS = 2000  # draws behind the quantiles of forms that have no formula; every item uses the same ones


class Learned(NamedTuple):
    """What a library estimated of one series."""

    form: Form
    weights_W: np.ndarray
    first_Z: np.ndarray
    sigma: float
    converged: bool = True


class Smoothing(ArrayState, InSample, Forecaster):
    """Exponential smoothing whose form and parameters a subclass's `_worker` estimates, one series at a time."""

    n_jobs: int | None
    progress: bool

    def _worker(self) -> tuple[Callable[..., Learned], tuple[Any, ...]]:
        raise TypeError(f"{type(self).__name__} is abstract: it lacks _worker")

    def _fit(self, panel: Panel) -> Mapping[int, str]:
        worker, options = self._worker()
        season_N = panel.season_of()
        begin_N, end_N = observed_span(panel)
        series = [without_gaps(panel.series(i)[begin_N[i] : end_N[i]]) for i in range(len(panel))]
        arguments = [(y, int(season), *options) for y, season in zip(series, season_N, strict=True)]
        found, failed = each_item(worker, arguments, n_jobs=self.n_jobs, progress=self.progress)
        width = max((len(one.first_Z) for one in found if one is not None), default=3)
        self.forms_ = ["".join(one.form) if one else "ANN" for one in found]
        self.weights_, self.first_ = np.zeros((len(panel), 4)), np.zeros((len(panel), width))
        self.sigma_, self.states_ = np.zeros(len(panel)), np.full(len(panel), 3)
        self.converged_ = np.array([one is None or one.converged for one in found])
        for i, one in enumerate(found):
            if one is not None:
                self.weights_[i], self.first_[i, : len(one.first_Z)] = one.weights_W, one.first_Z
                self.sigma_[i], self.states_[i] = one.sigma, len(one.first_Z)
        self.start_, self.begin_ = panel.times[panel.offsets[:-1]].astype("i8"), begin_N
        self.gaps_ = np.array([int(np.isnan(panel.series(i)[begin_N[i] : end_N[i]]).sum()) for i in range(len(panel))])
        self.freq_ = panel.freq
        return failed

    def _groups(self, place_N: np.ndarray, tail_N: np.ndarray) -> list[tuple[Form, np.ndarray]]:
        """Positions that advance together: same form, number of states and missing steps at the end."""
        keys: dict[tuple[Any, ...], list[int]] = {}
        for i, place in enumerate(place_N):
            keys.setdefault((self.forms_[place], self.states_[place], tail_N[i]), []).append(i)
        return [(Form(*key[0]), np.array(rows)) for key, rows in keys.items()]

    def _initial(self, panel: Panel, form: Form, place_B: np.ndarray, begin_B: np.ndarray) -> np.ndarray:
        """States before the first observed value: the learned ones, with a new level where a history starts later."""
        state_BZ = self.first_[place_B][:, : self.states_[place_B[0]]].copy()
        start_B = panel.times[panel.offsets[:-1]]
        learned_B = self.start_[place_B].astype(start_B.dtype)
        moved_B = frequency.positions(start_B, learned_B, self.freq_)[0] + begin_B - self.begin_[place_B]
        season = state_BZ.shape[1] - 2
        for b in np.flatnonzero(moved_B).tolist():
            state_BZ[b, 2:] = np.roll(state_BZ[b, 2:], -int(moved_B[b]) % season)
            head_L = panel.series(b)[begin_B[b] :][: max(season, 4)]
            profile_L = np.resize(state_BZ[b, 2:], len(head_L))
            clean_L = head_L if form.season == "N" else head_L - profile_L if form.season == "A" else head_L / profile_L
            state_BZ[b, 0] = np.nanmean(clean_L)
        return state_BZ

    def _predict(self, panel: Panel, horizon: int, future: Mapping[str, np.ndarray]) -> Prediction:
        place_N = self._places(panel)
        begin_N, end_N = observed_span(panel)
        tail_N = panel.lengths - end_N
        parts = []
        for form, rows in self._groups(place_N, tail_N):
            tail, some = int(tail_N[rows[0]]), panel.take(rows)
            state_BZ = self._initial(some, form, place_N[rows], begin_N[rows])
            y_BL = some.padded()[:, : int(some.lengths.max()) - tail]
            weights_BW, sigma_B = self.weights_[place_N[rows]], self.sigma_[place_N[rows]]
            state_BZ, _ = smooth(form, state_BZ, weights_BW, y_BL, (end_N - begin_N)[rows])
            part = self._from_states(form, state_BZ, weights_BW, sigma_B, horizon + tail)
            parts.append((rows, skip_steps(part, tail)))
        notes = {i: text for i, place in enumerate(place_N) if (text := self._said(place))}
        whole = weave(len(panel), parts)
        return Prediction(whole.mean_NH, whole.quantiles, whole.sample, notes=notes)

    def _said(self, place: int) -> str:
        """Return what a reader must know of an item's fit."""
        gaps, stopped = self.gaps_[place], not self.converged_[place]
        parts = [f"{gaps} missing values were interpolated for the fit"] * bool(gaps)
        return "; ".join(parts + ["the optimiser stopped before it converged"] * stopped)

    def _mean(self, form: Form, state_BZ: np.ndarray, weights_BW: np.ndarray, horizon: int) -> np.ndarray:
        return paths(form, state_BZ, weights_BW, np.zeros((len(state_BZ), 1, horizon)))[:, 0]

    def _from_states(
        self, form: Form, state_BZ: np.ndarray, weights_BW: np.ndarray, sigma_B: np.ndarray, horizon: int
    ) -> Prediction:
        own_BH = Smoothing._mean(self, form, state_BZ, weights_BW, horizon)
        mean_BH = self._mean(form, state_BZ, weights_BW, horizon)
        if form.linear:
            psi_BH = psi_weights(form, weights_BW, max(state_BZ.shape[1] - 2, 1), horizon)
            return linear_process(mean_BH, sigma_B[:, None], psi_BH)

        def quantiles(levels_Q: np.ndarray) -> np.ndarray:
            noise_SH = np.random.default_rng(0).standard_normal((_PATHS, horizon))
            out = np.empty((*mean_BH.shape, len(levels_Q)))
            for b in range(len(state_BZ)):
                drawn_SH = paths(form, state_BZ[b : b + 1], weights_BW[b : b + 1], sigma_B[b] * noise_SH[None])[0]
                out[b] = np.quantile(drawn_SH, levels_Q, axis=0).T
            return out + (mean_BH - own_BH)[..., None]

        def sample(count: int, seeds_N: np.ndarray) -> np.ndarray:
            noise_BSH = np.stack(
                [np.random.default_rng(int(seed)).standard_normal((count, horizon)) for seed in seeds_N]
            )
            drawn_BSH = paths(form, state_BZ, weights_BW, sigma_B[:, None, None] * noise_BSH)
            return drawn_BSH + (mean_BH - own_BH)[:, None]

        return Prediction(mean_BH, quantiles, sample)

    def _one_step(self, panel: Panel) -> np.ndarray:
        place_N = self._places(panel)
        begin_N, _ = observed_span(panel)
        out_NL = np.full((len(panel), int(panel.lengths.max())), np.nan)
        for form, rows in self._groups(place_N, np.zeros(len(panel), "i8")):
            some = panel.take(rows)
            state_BZ = self._initial(some, form, place_N[rows], begin_N[rows])
            y_BL, lengths_B = some.padded(), some.lengths - begin_N[rows]
            fitted_BL = smooth(form, state_BZ, self.weights_[place_N[rows]], y_BL, lengths_B)[1]
            out_NL[rows, out_NL.shape[1] - y_BL.shape[1] :] = fitted_BL
        return out_NL[np.arange(out_NL.shape[1]) >= out_NL.shape[1] - panel.lengths[:, None]]
