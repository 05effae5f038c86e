"""Forecaster: what users, backtests and classical models share; the public methods check once, private hooks compute.

Legend: N items, S sample paths, H horizon, Q quantile levels.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from tsar.forecast import DECILES, Forecast, check_levels
from tsar.forecasters.prediction import Prediction, bounded, weave
from tsar.forecasters.scoring import minus_mase
from tsar.forecasters.store import load_forecaster, save_forecaster
from tsar.panel import Panel
from tsar.seeds import item_seeds, seed_root


class FallbackWarning(UserWarning):
    """Some items could not be forecast as asked and got SeasonalNaive instead; the message names them."""


class Forecaster(BaseEstimator):
    """Base of every forecaster.

    A subclass stores its options in `__init__` and implements two hooks, which see only items with observed values:

    * `_fit(panel)` learns; learned attributes end in `_`; it returns the reasons of items that cannot be fitted, by
      position in `panel`, or None;
    * `_predict(panel, horizon, future)` forecasts after the end of every item of `panel` with what was learned and
      never fits; `future` holds arrays [N, H] of the known covariates by name. Items may come in another order, or
      be fewer: `self._places(panel)` gives their positions in the panel that `_fit` saw.

    The options below are read here when a subclass has them.
    """

    known: Sequence[str] = ()
    past: Sequence[str] = ()
    static: Sequence[str] = ()
    bounds: tuple[float | None, float | None] | None = None
    freq: str | int | None = None
    season_length: int | None = None
    on_error: str = "raise"

    def fit(
        self, data: Any, y: None = None, *, freq: str | int | None = None, season_length: int | None = None
    ) -> Self:
        """Learn from every series of `data`.

        Parameters
        ----------
        data : any input that `Panel.of` reads
        y : must be None; the series is the first argument, as in every forecaster here
        freq, season_length : override the constructor's, default inferred

        Raises
        ------
        ValueError
            For bad data, or an item that cannot be fitted unless on_error="fallback"; the item is named.
        """
        if y is not None:
            raise ValueError(
                "fit takes the series as its first argument, covariates as named columns: expected y=None, found "
                f"{type(y).__name__}"
            )
        self._check_options()
        panel = self._read(data, freq, season_length)
        failed = _unobserved(panel)
        usable = np.setdiff1d(np.arange(len(panel)), list(failed))
        self._refuse(panel, failed, "fitted")
        self.history_ = panel
        self._place = {item: i for i, item in enumerate(panel.ids[usable])}
        if len(usable):
            reasons = self._fit(panel if not failed else panel.take(usable)) or {}
            failed |= {int(usable[i]): reason for i, reason in reasons.items()}
        self.failed_ = {panel.ids[i]: reason for i, reason in failed.items()}
        self._refuse(panel, failed, "fitted")
        return self

    def predict(
        self,
        horizon: int,
        data: Any = None,
        *,
        levels: Sequence[float] = DECILES,
        num_samples: int | None = None,
        future: Any = None,
        freq: str | int | None = None,
        season_length: int | None = None,
        random_state: Any = None,
    ) -> Forecast:
        """Forecast the `horizon` steps after the end of every series.

        Parameters
        ----------
        horizon : int, steps, at least 1
        data : the history to continue, default what was fitted; predict never fits
        levels : quantile levels, default the deciles
        num_samples : int, also draw so many paths that are dependent over the horizon; default none
        future : frame of the known covariates over the horizon
        freq, season_length : override the constructor's, default inferred
        random_state : int, numpy Generator or None; with an int every item draws the same paths in any batch

        Raises
        ------
        NotFittedError
            Before fit.
        ValueError
            For bad input, or an item that cannot be forecast unless on_error="fallback"; the item is named.
        """
        self._check_fitted(needs_history=data is None)
        horizon, levels = check_horizon(horizon), check_levels(levels)
        if num_samples is not None and (int(num_samples) != num_samples or num_samples < 1):
            raise ValueError(f"num_samples must be a positive integer or None, found {num_samples!r}")
        if data is not None:
            panel = self._read(data, freq, season_length)
        else:
            panel = Panel.of(self.history_, freq=freq, season_length=season_length)
        covariates = panel.read_future(future, horizon, tuple(self.known))
        return self._forecast(panel, horizon, covariates, levels, num_samples, seed_root(random_state))

    def score(self, X: Any, y: None = None) -> float:
        """Minus the mean MASE of forecasting the steps of `X`, which continue the training data; higher is better.

        Parameters
        ----------
        X : the steps after the training data, of the same items; known covariates are read from it
        y : must be None

        Raises
        ------
        ValueError
            If X holds other items, or starts at unequal distances from the end of the training data.
        """
        self._check_fitted(needs_history=True)
        return minus_mase(self, X)

    def save(self, path: str | Path) -> None:
        """Write options, fitted parameters and history to the folder `path` (JSON and safetensors, never pickle)."""
        self._check_fitted(needs_history=False)
        save_forecaster(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; ValueError for a truncated or foreign folder, or another class of forecaster."""
        return load_forecaster(Path(path), cls)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "history_")

    def _check_fitted(self, needs_history: bool) -> None:
        if not self.__sklearn_is_fitted__() or (needs_history and not hasattr(self, "history_")):
            raise NotFittedError(f"this {type(self).__name__} has no data to continue: call fit(data) first")

    def _read(self, data: Any, freq: str | int | None, season_length: int | None) -> Panel:
        return Panel.of(
            data,
            covariates=(*self.known, *self.past),
            static=tuple(self.static),
            freq=freq if freq is not None else self.freq,
            season_length=season_length if season_length is not None else self.season_length,
        )

    def _places(self, panel: Panel) -> np.ndarray:
        """Positions of the items of `panel` in the panel that `_fit` saw; ValueError for an item it did not see."""
        if odd := [item for item in panel.ids if item not in self._place]:
            raise ValueError(
                f"item {odd[0]!r} was not in the data that {type(self).__name__} was fitted on: it learns each series "
                f"by itself, so predict expects some of the {len(self._place)} items of fit"
            )
        return np.array([self._place[item] for item in panel.ids], "i8")

    def _forecast(
        self,
        panel: Panel,
        horizon: int,
        future: Mapping[str, np.ndarray],
        levels: tuple[float, ...],
        num_samples: int | None,
        seed: int,
    ) -> Forecast:
        prediction = self._prediction(panel, horizon, future)
        draw = prediction.sample

        def sample(count: int) -> np.ndarray:
            assert draw is not None
            return draw(count, item_seeds(seed, panel.ids))

        if num_samples is not None and draw is None:
            raise ValueError(f"{type(self).__name__} has marginal quantiles only: expected num_samples=None")
        return Forecast.of(
            panel, horizon, mean_NH=prediction.mean_NH, levels=levels,
            quantiles_NHQ=prediction.quantiles(np.array(levels)), _quantile=prediction.quantiles,
            samples_NSH=None if num_samples is None else sample(int(num_samples)),
            _sample=None if draw is None else sample,
            notes={panel.ids[i]: note for i, note in prediction.notes.items()},
        )  # fmt: skip

    def _prediction(self, panel: Panel, horizon: int, future: Mapping[str, np.ndarray]) -> Prediction:
        """Predict every item of `panel` within the bounds, with SeasonalNaive in place of failed ones."""
        known = getattr(self, "failed_", {})
        failed = {i: known[item] for i, item in enumerate(panel.ids) if item in known} if known else {}
        late = {i: reason for i, reason in _unobserved(panel).items() if i not in failed}
        usable = np.setdiff1d(np.arange(len(panel)), [*failed, *late])
        parts = []
        if len(usable):
            whole = len(usable) == len(panel)
            some = future if whole else {name: column[usable] for name, column in future.items()}
            prediction = self._predict(panel if whole else panel.take(usable), horizon, some)
            parts.append((usable, prediction))
            late |= {int(usable[i]): reason for i, reason in prediction.failed.items()}
        self._refuse(panel, late, "forecast")
        if failed := failed | late:
            from tsar.forecasters.naive import SeasonalNaive

            rows = np.array(sorted(failed))
            stand_in = SeasonalNaive().stand_in(panel.take(rows), horizon, [failed[i] for i in rows])
            parts.append((rows, stand_in))
        one = len(parts) == 1 and len(parts[0][0]) == len(panel)
        joined = parts[0][1] if one else weave(len(panel), parts)
        return joined if self.bounds is None else bounded(joined, *self.bounds)

    def _check_options(self) -> None:
        """Check constructor options when fit starts, as scikit-learn does; subclasses extend it."""
        if self.on_error not in ("raise", "fallback"):
            raise ValueError(f"on_error must be 'raise' or 'fallback', found {self.on_error!r}")
        if self.bounds is not None:
            low, high = self.bounds
            if low is not None and high is not None and not low < high:
                raise ValueError(f"bounds must be (lower, upper) with lower < upper, found {self.bounds!r}")

    def _refuse(self, panel: Panel, failed: Mapping[int, str], verb: str) -> None:
        """Raise for the first failed item, or with on_error="fallback" warn once and name the items."""
        if not failed:
            return
        told = [f"item {panel.ids[i]!r} cannot be {verb}: {failed[i]}" for i in sorted(failed)]
        if self.on_error == "raise":
            more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
            raise ValueError(f"{told[0]}{more}; on_error='fallback' would forecast it with SeasonalNaive")
        more = f"; and {len(told) - 5} more" if len(told) > 5 else ""
        warnings.warn(f"SeasonalNaive stands in: {'; '.join(told[:5])}{more}", FallbackWarning, stacklevel=3)

    def _fit(self, panel: Panel) -> Mapping[int, str] | None:
        raise TypeError(f"{type(self).__name__} is abstract: it lacks _fit")

    def _predict(self, panel: Panel, horizon: int, future: Mapping[str, np.ndarray]) -> Prediction:
        raise TypeError(f"{type(self).__name__} is abstract: it lacks _predict")

    def _state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """JSON values and arrays that hold what was learned; None (the default) means: fit again on load."""
        return None

    def _restore(self, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Take back what `_state` gave."""
        raise TypeError(f"{type(self).__name__} keeps no state of its own")


def check_horizon(horizon: Any) -> int:
    """Return `horizon` as int; ValueError unless it is a positive integer."""
    if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or horizon < 1:
        raise ValueError(f"horizon must be a positive integer number of steps, found {horizon!r}")
    return int(horizon)


def _unobserved(panel: Panel) -> dict[int, str]:
    missing = np.isnan(panel.values)
    if not missing.any():
        return {}
    seen = np.add.reduceat(~missing, panel.offsets[:-1], dtype="i8")
    return {int(i): "expected at least one observed value, found only missing ones" for i in np.flatnonzero(seen == 0)}
