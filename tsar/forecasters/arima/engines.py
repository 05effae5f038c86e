"""ARIMA by other libraries, one series at a time: the references behind the same interface.

Legend: N items, H horizon, K known covariates, L time, Q levels.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsar.forecasters.parallel import each_item
from tsar.forecasters.prediction import Prediction, gaussian

if TYPE_CHECKING:
    from tsar.forecasters.arima.panel_arima import PanelARIMA


def fit_items(
    forecaster: PanelARIMA, series: Sequence[np.ndarray], regressors: Sequence[np.ndarray], failed: dict[int, str]
) -> tuple[list[Any], dict[int, str]]:
    """Fit every series with the library that `forecaster.engine` names; the orders it chose enter `order_`.

    Raises
    ------
    ImportError
        Where statsforecast is asked for and not installed.
    """
    chooses = not hasattr(forecaster, "order")
    if forecaster.engine == "statsforecast":
        require_statsforecast()
        function: Any = _auto_statsforecast if chooses else _statsforecast
    else:
        function = _statsmodels
    jobs, items = [], [i for i in range(len(series)) if i not in failed]
    for i in items:
        limits = forecaster._wanted(int(forecaster.season_[i]))
        jobs.append(
            (series[i], regressors[i], tuple(int(v) for v in forecaster.order_[i]), int(forecaster.season_[i]), limits)
        )
    results, broken = each_item(function, jobs, n_jobs=forecaster.n_jobs)
    fits: list[Any] = [None] * len(series)
    for i, result in zip(items, results, strict=True):
        if result is not None:
            fits[i], forecaster.order_[i], forecaster.sigma_[i], forecaster.loglik_[i], forecaster.aicc_[i] = result
    return fits, {items[place]: reason for place, reason in broken.items()}


def require_statsforecast() -> None:
    """Raise ImportError that names the extra unless statsforecast is installed."""
    try:
        import statsforecast  # noqa: F401
    except ImportError as error:
        raise ImportError("engine='statsforecast' needs the extra: pip install 'tsar[statsforecast]'") from error


def _statsmodels(y_L: np.ndarray, x_LK: np.ndarray, order: tuple[int, ...], season: int, _: Any) -> tuple[Any, ...]:
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    p, d, q, big_p, big_d, big_q, constant = order
    seasonal = (big_p, big_d, big_q, season) if season > 1 else (0, 0, 0, 0)
    trend = "n" if not constant else "c" if d + big_d == 0 else "t"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of one fit; what matters is told by its values
        model = SARIMAX(y_L, x_LK if x_LK.shape[1] else None, order=(p, d, q), seasonal_order=seasonal, trend=trend)
        result = model.fit(disp=0, maxiter=200)
    return result, order, float(np.sqrt(result.params[-1])), float(result.llf), float(result.aicc)


def _auto_statsforecast(
    y_L: np.ndarray, x_LK: np.ndarray, order: tuple[int, ...], season: int, wanted: Any
) -> tuple[Any, ...]:
    from statsforecast.models import AutoARIMA

    limits = wanted.limits
    model = AutoARIMA(
        d=wanted.d, D=wanted.D, max_p=limits.p, max_q=limits.q, max_P=limits.P, max_Q=limits.Q, season_length=season,
        allowdrift=wanted.constant is not False, allowmean=wanted.constant is not False,
    )  # fmt: skip
    return _fit_statsforecast(model, y_L, x_LK)


def _statsforecast(y_L: np.ndarray, x_LK: np.ndarray, order: tuple[int, ...], season: int, _: Any) -> tuple[Any, ...]:
    from statsforecast.models import ARIMA

    p, d, q, big_p, big_d, big_q, constant = order
    model = ARIMA(
        order=(p, d, q), season_length=season, seasonal_order=(big_p, big_d, big_q), include_mean=bool(constant),
        include_drift=bool(constant) and d + big_d == 1,
    )  # fmt: skip
    return _fit_statsforecast(model, y_L, x_LK)


def _fit_statsforecast(model: Any, y_L: np.ndarray, x_LK: np.ndarray) -> tuple[Any, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(y_L, x_LK if x_LK.shape[1] else None)
    inner = model.model_
    p, q, big_p, big_q, _, d, big_d = inner["arma"]
    constant = int(any(name in inner["coef"] for name in ("intercept", "drift")))
    order = (p, d, q, big_p, big_d, big_q, constant)
    return model, order, float(np.sqrt(inner["sigma2"])), float(inner["loglik"]), float(inner.get("aicc") or np.nan)


def predict_items(
    forecaster: PanelARIMA,
    series: Sequence[np.ndarray],
    regressors: Sequence[np.ndarray],
    future_NHK: np.ndarray,
    place_N: np.ndarray,
    failed: dict[int, str],
) -> Prediction:
    """Forecasts of the libraries: normal marginals, without paths."""
    count, horizon = future_NHK.shape[:2]
    mean_NH, size_NH, failed = np.zeros((count, horizon)), np.zeros((count, horizon)), dict(failed)
    for i in range(count):
        if i in failed:
            continue
        fit, x_HK = forecaster.fits_[place_N[i]], future_NHK[i]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if forecaster.engine == "statsmodels":
                    mean_NH[i], size_NH[i] = _ahead_statsmodels(fit, series[i], regressors[i], x_HK)
                else:
                    mean_NH[i], size_NH[i] = _ahead_statsforecast(fit, series[i], regressors[i], x_HK)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            failed[i] = f"{forecaster.engine} could not forecast it: {error}"
    return Prediction(mean_NH, gaussian(mean_NH, size_NH), None, failed=failed)


def _ahead_statsmodels(fit: Any, y_L: np.ndarray, x_LK: np.ndarray, x_HK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    used = x_LK.shape[1] > 0
    if not np.array_equal(fit.model.orig_endog.ravel(), y_L, equal_nan=True):
        fit = fit.apply(y_L, exog=x_LK if used else None)
    result = fit.get_forecast(len(x_HK), exog=x_HK if used else None)
    return result.predicted_mean, result.se_mean


def _ahead_statsforecast(
    fit: Any, y_L: np.ndarray, x_LK: np.ndarray, x_HK: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    used = x_LK.shape[1] > 0
    options: dict[str, Any] = {"h": len(x_HK), "level": [95]}
    if np.array_equal(fit.model_["x"], y_L, equal_nan=True):
        out = fit.predict(X=x_HK if used else None, **options)
    else:
        out = fit.forward(y_L, X=x_LK if used else None, X_future=x_HK if used else None, **options)
    return out["mean"], (out["hi-95"] - out["mean"]) / 1.959963984540054


def fitted_items(
    forecaster: PanelARIMA, series: Sequence[np.ndarray], place_N: np.ndarray, usable: np.ndarray
) -> dict[int, np.ndarray]:
    """One-step fitted values of the libraries, by position."""
    out = {}
    for i, place in zip(usable, place_N, strict=True):
        fit = forecaster.fits_[place]
        if forecaster.engine == "statsmodels":
            out[int(i)] = np.asarray(fit.fittedvalues)
        else:
            out[int(i)] = series[i] - fit.model_["residuals"]
    return out


def coefficients(fit: Any, engine: str) -> pd.DataFrame:
    """Coefficients and standard errors that the library reports."""
    if engine == "statsmodels":
        names = [name for name in fit.model.param_names if name != "sigma2"]
        return pd.DataFrame({"coef": fit.params[: len(names)], "std_err": fit.bse[: len(names)]}, index=names)
    inner = fit.model_
    names, covariance = list(inner["coef"]), inner["var_coef"]
    errors = np.full(len(names), np.nan)
    if covariance is not None and np.ndim(covariance) == 2:
        errors[inner["mask"]] = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    return pd.DataFrame({"coef": [inner["coef"][name] for name in names], "std_err": errors}, index=names)
