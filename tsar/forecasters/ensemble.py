"""Ensemble: the weighted mean of several forecasters' means and quantiles.

Legend: N items, M members, H horizon, W origins.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import clone

from tsar.forecasters.base import FallbackWarning, Forecaster
from tsar.forecasters.prediction import Prediction, with_marginals
from tsar.forecasters.rolling import origin_errors
from tsar.panel import Panel


class Ensemble(Forecaster):
    """Average several forecasters; simple means are hard to beat (Clemen 1989; Petropoulos and Svetunkov 2020).

    Quantiles are averaged level by level, and paths of the members' mean get those quantiles. A member that cannot
    forecast an item is left out for that item, and the forecast says so.

    Parameters
    ----------
    forecasters : list of forecasters; they are copied, never changed
    weights : None (equal, default), "backtest" (inverse mean square error of each item over rolling origins), or one
        non-negative number a member
    horizon, windows : steps and origins of the backtest, default 8 and 3
    season_length, freq, bounds, on_error : as in `SeasonalNaive`

    Attributes
    ----------
    members_ : fitted copies; weights_ : float array [N, M], rows sum to 1
    """

    def __init__(
        self,
        forecasters: Sequence[Forecaster],
        *,
        weights: str | Sequence[float] | None = None,
        horizon: int = 8,
        windows: int = 3,
        season_length: int | None = None,
        freq: str | int | None = None,
        bounds: tuple[float | None, float | None] | None = None,
        on_error: str = "raise",
    ) -> None:
        self.forecasters = forecasters
        self.weights = weights
        self.horizon = horizon
        self.windows = windows
        self.season_length = season_length
        self.freq = freq
        self.bounds = bounds
        self.on_error = on_error

    @property
    def known(self) -> list[str]:  # type: ignore[override]
        """Known covariates of all members."""
        return _together(self.forecasters, "known")

    @property
    def past(self) -> list[str]:  # type: ignore[override]
        """Past covariates of all members."""
        return _together(self.forecasters, "past")

    @property
    def static(self) -> list[str]:  # type: ignore[override]
        """Static covariates of all members."""
        return _together(self.forecasters, "static")

    def _check_options(self) -> None:
        super()._check_options()
        if isinstance(self.forecasters, Forecaster) or not len(self.forecasters):
            raise ValueError("forecasters must be a list of at least one forecaster")
        if odd := [one for one in self.forecasters if not isinstance(one, Forecaster)]:
            raise ValueError(f"forecasters must be a list of forecasters, found {type(odd[0]).__name__} in it")
        if isinstance(self.weights, str):
            if self.weights != "backtest":
                raise ValueError(f"weights must be 'backtest', numbers or None, found {self.weights!r}")
        elif self.weights is not None:
            given = np.asarray(self.weights, "f8")
            if given.shape != (len(self.forecasters),) or (given < 0).any() or not given.sum() > 0:
                raise ValueError(
                    f"weights must be {len(self.forecasters)} numbers of at least 0 with a positive sum, "
                    f"found {self.weights!r}"
                )

    def _fit(self, panel: Panel) -> Mapping[int, str]:
        copies = [clone(one) for one in self.forecasters]
        if self.weights == "backtest":
            weights_NM = self._from_backtest(copies, panel)
        else:
            given = np.ones(len(copies)) if self.weights is None else np.asarray(self.weights, "f8")
            weights_NM = np.tile(given, (len(panel), 1))
        self.members_ = [_fit_quietly(one, panel) for one in copies]
        lost_NM = np.array([[item in one.failed_ for one in self.members_] for item in panel.ids])
        weights_NM = np.where(lost_NM, 0.0, weights_NM)
        hopeless = np.flatnonzero(weights_NM.sum(1) == 0)
        total_N1 = weights_NM.sum(1, keepdims=True)
        self.weights_ = np.divide(weights_NM, total_N1, out=np.zeros(weights_NM.shape), where=total_N1 > 0)
        return {int(i): f"no member can forecast it: {self.members_[0].failed_.get(panel.ids[i])}" for i in hopeless}

    def _from_backtest(self, copies: Sequence[Forecaster], panel: Panel) -> np.ndarray:
        """Inverse mean square errors; equal weights for items with too little history."""
        loss_NM = np.full((len(panel), len(copies)), np.nan)
        for m, one in enumerate(copies):
            errors = origin_errors(one, panel, self.horizon, self.windows)
            seen = (~np.isnan(errors.error_NWH)).sum((1, 2))
            with np.errstate(over="ignore"):
                loss_NM[:, m] = np.nansum(errors.error_NWH**2, (1, 2)) / np.where(seen > 0, seen, np.nan)
        least_N1 = np.fmin.reduce(loss_NM, 1)[:, None]
        usable = np.isfinite(loss_NM) & (least_N1 >= 0)
        share_NM = np.divide(
            least_N1, loss_NM, out=np.where(usable & (loss_NM == least_N1), 1.0, 0.0), where=usable & (loss_NM > 0)
        )
        return np.where(share_NM.sum(1, keepdims=True) > 0, share_NM, 1.0)

    def _predict(self, panel: Panel, horizon: int, future: Mapping[str, np.ndarray]) -> Prediction:
        weights_NM = self.weights_[self._places(panel)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FallbackWarning)
            parts = [
                one._prediction(panel, horizon, {name: future[name] for name in one.known}) for one in self.members_
            ]
        said = [{i for i, note in part.notes.items() if note.startswith("SeasonalNaive instead")} for part in parts]
        for m, out in enumerate(said):  # what a member could not do at this very call
            weights_NM[sorted(out), m] = 0.0
        total_N1 = weights_NM.sum(1, keepdims=True)
        failed = {int(i): "no member can forecast it" for i in np.flatnonzero(total_N1[:, 0] == 0)}
        weights_NM = np.divide(weights_NM, total_N1, out=np.full(weights_NM.shape, 1 / len(parts)), where=total_N1 > 0)
        names = [type(one).__name__ for one in self.members_]
        notes = {
            i: "without " + ", ".join(names[m] for m, out in enumerate(said) if i in out)
            for i in sorted(set().union(*said))
        }

        def mixed(arrays: list[np.ndarray]) -> np.ndarray:
            total = np.zeros(arrays[0].shape)
            for m, array in enumerate(arrays):
                weight = weights_NM[:, m].reshape(-1, *[1] * (array.ndim - 1))
                total += np.where(weight > 0, weight * array, 0.0)
            return total

        def quantiles(levels_Q: np.ndarray) -> np.ndarray:
            return mixed([part.quantiles(levels_Q) for part in parts])

        def sample(count: int, seeds_N: np.ndarray) -> np.ndarray:
            return with_marginals(mixed([part.sample(count, seeds_N) for part in parts if part.sample]), quantiles)

        drawable = all(part.sample is not None for part in parts)
        mean_NH = mixed([part.mean_NH for part in parts])
        return Prediction(mean_NH, quantiles, sample if drawable else None, failed=failed, notes=notes)


def _fit_quietly(forecaster: Forecaster, panel: Panel) -> Forecaster:
    """Fit, leaving out the items that cannot be: their reasons are in `failed_`, so no warning is needed here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FallbackWarning)
        return forecaster.set_params(on_error="fallback").fit(panel)


def _together(forecasters: Any, name: str) -> list[str]:
    return list(dict.fromkeys(column for one in forecasters for column in getattr(one, name, ())))
