"""sktime: every forecaster as an sktime forecaster, for its pipelines, tuning and evaluation (extra `tsar[sktime]`).

Legend: N items (columns), H horizon.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import clone
from sktime.forecasting.base import BaseForecaster, ForecastingHorizon

from tsar.forecast import Forecast
from tsar.forecasters.base import Forecaster
from tsar.interop.choice import named


class TsarForecaster(BaseForecaster):
    """A tsar forecaster behind sktime's interface; the columns of a multivariate series are forecast in one batch.

    Parameters
    ----------
    model : Forecaster or str, default "tsar-small"
        A forecaster is cloned and fitted, with the columns of X, if any, as known covariates. A name (or folder, or
        hub repository) is of pretrained weights, which forecast as they are.
    season_length : int, optional
        Steps, default inferred.

    Raises
    ------
    TypeError
        At fit, if `model` is neither.
    ValueError
        As in `Forecaster.fit` and `Forecaster.predict`.

    Examples
    --------
    >>> import tsar
    >>> from sktime.datasets import load_airline
    >>> from tsar.interop.sktime import TsarForecaster
    >>> forecaster = TsarForecaster(tsar.SeasonalNaive()).fit(load_airline(), fh=[1, 2, 3])
    >>> [float(value) for value in forecaster.predict()]
    [417.0, 391.0, 419.0]
    """

    _tags: ClassVar[dict[str, Any]] = {
        "authors": "tsar developers",
        "python_dependencies": "tsar",
        "y_inner_mtype": "pd.DataFrame",
        "X_inner_mtype": "pd.DataFrame",
        "capability:multivariate": True,
        "capability:exogenous": True,
        "capability:categorical_in_X": False,
        "capability:non_contiguous_X": False,
        "capability:missing_values": True,
        "capability:insample": False,
        "capability:pred_int": True,
        "capability:pred_int:insample": False,
        "capability:update": True,
        "requires-fh-in-fit": False,
        "X-y-must-have-same-index": False,
    }

    def __init__(self, model: Forecaster | str = "tsar-small", season_length: int | None = None) -> None:
        self.model = model
        self.season_length = season_length
        super().__init__()
        takes_known = isinstance(model, Forecaster) and "known" in model.get_params(deep=False)
        self.set_tags(**{"capability:exogenous": takes_known})

    def _fit(self, y: pd.DataFrame, X: pd.DataFrame | None, fh: ForecastingHorizon | None) -> TsarForecaster:
        self._seen = y, X
        self._known = [] if X is None else [f"x{i}" for i in range(X.shape[1])]
        if isinstance(self.model, str):
            self.forecaster_ = named(self.model)
        else:
            self.forecaster_ = clone(named(self.model))
            if self._known:
                self.forecaster_.set_params(known=self._known)
            self.forecaster_.fit(_long(y, X), freq=_freq(y.index), season_length=self.season_length)
        return self

    def _update(self, y: pd.DataFrame, X: pd.DataFrame | None = None, update_params: bool = True) -> TsarForecaster:
        seen_y, seen_X = self._seen
        self._seen = _joined(seen_y, y), X if seen_X is None or X is None else _joined(seen_X, X)
        return self._fit(*self._seen, None) if update_params else self

    def _predict(self, fh: ForecastingHorizon, X: pd.DataFrame | None = None) -> pd.DataFrame:
        forecast, rows, index = self._forecast(fh, X)
        return pd.DataFrame(forecast.mean_NH[:, rows].T, index, self._seen[0].columns)

    def _predict_quantiles(self, fh: ForecastingHorizon, X: pd.DataFrame | None, alpha: list[float]) -> pd.DataFrame:
        forecast, rows, index = self._forecast(fh, X, levels=alpha)
        names = self._get_varnames()
        columns = pd.MultiIndex.from_product([names, alpha])
        values = [forecast.quantile(level)[n, rows] for n in range(len(names)) for level in alpha]
        return pd.DataFrame(np.stack(values, 1), index, columns)

    def _forecast(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None, **options: Any
    ) -> tuple[Forecast, np.ndarray, pd.Index]:
        """Forecast up to the last step asked for, the places of the steps asked for, and their index."""
        y, seen_X = self._seen
        steps = fh.to_relative(self.cutoff).to_numpy().astype("i8")
        horizon = int(steps.max())
        forecast = self.forecaster_.predict(
            horizon,
            _long(y, seen_X),
            future=self._ahead(fh, X, horizon) if self._known else None,
            freq=_freq(y.index),
            season_length=self.season_length,
            random_state=0,
            **options,
        )
        return forecast, steps - 1, fh.get_expected_pred_idx(y)

    def _ahead(self, fh: ForecastingHorizon, X: pd.DataFrame | None, horizon: int) -> pd.DataFrame:
        """X at every step up to the last one asked for, under each column of y."""
        columns = self._seen[0].columns
        times = ForecastingHorizon(np.arange(1, horizon + 1), freq=fh.freq).to_absolute_index(self.cutoff)
        if X is None or not times.isin(X.index).all():
            lost = times[0] if X is None else times[~times.isin(X.index)][0]
            raise ValueError(f"X lacks the row of {lost}: expected one for each of the {horizon} steps ahead")
        return _long(pd.DataFrame(np.nan, times, columns), X)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return the parameters with which sktime's own checks run this class."""
        from tsar.forecasters.ar import AR

        return [{"model": AR(lags=2)}, {"model": "tsar-small", "season_length": 4}]


def _long(y: pd.DataFrame, X: pd.DataFrame | None) -> pd.DataFrame:
    """Long frame of the columns of y, named by position, each with the columns of X beside it."""
    wide = {} if X is None else {f"x{i}": X.iloc[:, i].reindex(y.index).to_numpy() for i in range(X.shape[1])}
    parts = [
        pd.DataFrame({"item_id": i, "timestamp": y.index, "target": y.iloc[:, i].to_numpy("f8"), **wide})
        for i in range(y.shape[1])
    ]
    return pd.concat(parts, ignore_index=True)


def _freq(index: pd.Index) -> str | None:
    """Frequency of timestamps that carry one; periods say theirs themselves, and of the rest it is inferred."""
    return index.freqstr if isinstance(index, pd.DatetimeIndex) else None


def _joined(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    both = pd.concat([old, new])
    return both[~both.index.duplicated(keep="last")].sort_index()
