"""ETS, Theta and their automatic versions against the libraries that estimate them, and the state space form itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.forecasting.theta import ThetaModel

import tsar

statsforecast = pytest.importorskip("statsforecast.models")


def monthly(length: int = 96) -> np.ndarray:
    rng, t = np.random.default_rng(0), np.arange(length)
    return 50 + 0.3 * t + 8 * np.sin(t * 2 * np.pi / 12) + rng.normal(size=length).cumsum()


@pytest.mark.parametrize(
    ("error", "trend", "damped", "seasonal"),
    [
        ("add", "add", True, "add"),
        ("add", None, False, None),
        ("add", "add", False, None),
        ("mul", "add", False, "mul"),
    ],
)
def test_ets_is_that_of_statsmodels(error: str, trend: str | None, damped: bool, seasonal: str | None) -> None:
    y_L = monthly()
    size = y_L.max()
    fitted = tsar.ETS(error, trend, damped, seasonal, season_length=12).fit(y_L)
    forecast = fitted.predict(18, levels=[0.1, 0.5, 0.9])
    peer = ETSModel(
        pd.Series(y_L / size), error=error, trend=trend, damped_trend=damped, seasonal=seasonal,
        seasonal_periods=12 if seasonal else None,
    ).fit(disp=False)  # fmt: skip
    np.testing.assert_allclose(forecast.mean[0], size * np.asarray(peer.forecast(18)), rtol=1e-6)
    np.testing.assert_allclose(fitted.fitted_["fitted"], size * peer.fittedvalues, rtol=1e-6)
    if error == "add":
        table = peer.get_prediction(start=96, end=113).summary_frame(alpha=0.2)
        np.testing.assert_allclose(forecast.quantile(0.9)[0], size * table["pi_upper"], rtol=1e-6)
    else:
        paths = peer.simulate(18, anchor="end", repetitions=4000, rng=np.random.default_rng(0)).to_numpy()
        want = size * np.quantile(paths, 0.9, axis=1)
        np.testing.assert_allclose(forecast.quantile(0.9)[0], want, rtol=0.03)


def test_states_run_on_through_a_longer_history() -> None:
    """Predicting from more data equals statsmodels' smoothing of that data with the learned parameters."""
    y_L = monthly()
    fitted = tsar.ETS("add", "add", True, None).fit(y_L[:80])
    size = y_L[:80].max()
    peer = ETSModel(pd.Series(y_L[:80] / size), error="add", trend="add", damped_trend=True).fit(disp=False)
    longer = ETSModel(
        pd.Series(y_L / size), error="add", trend="add", damped_trend=True, initialization_method="known",
        initial_level=peer.initial_level, initial_trend=peer.initial_trend,
    )  # fmt: skip
    params = [peer.smoothing_level, peer.smoothing_trend, peer.damping_trend]
    want = size * np.asarray(longer.smooth(np.array([*params, peer.initial_level, peer.initial_trend])).forecast(6))
    np.testing.assert_allclose(fitted.predict(6, y_L).mean[0], want, rtol=1e-6)


@pytest.mark.parametrize("model", ["ANN", "AAN", "AAA", "MAM", "ZZZ"])
@pytest.mark.parametrize("damped", [None, True])
def test_auto_ets_is_that_of_statsforecast(model: str, damped: bool | None) -> None:
    y_L = monthly()
    if damped and model == "ANN":
        pytest.skip("there is no trend to damp")
    peer = statsforecast.AutoETS(12, model=model, damped=damped).fit(y_L)
    fitted = tsar.AutoETS(model, damped, season_length=12).fit(y_L)
    np.testing.assert_allclose(fitted.predict(18).mean[0], peer.predict(18)["mean"], rtol=1e-9)
    np.testing.assert_allclose(fitted.fitted_["fitted"], peer.model_["fitted"], rtol=1e-9)
    if model in ("ANN", "AAN") and not damped:  # its spreads of seasonal and damped forms are not those of the form
        theirs = peer.predict(18, level=[80])["hi-80"]
        np.testing.assert_allclose(fitted.predict(18).quantile(0.9)[0], theirs, rtol=1e-6)


@pytest.mark.parametrize("seasonal", [True, False])
def test_theta_is_that_of_statsmodels(seasonal: bool) -> None:
    y_L = monthly() if seasonal else np.random.default_rng(3).normal(size=60).cumsum() + 30
    season = 12 if seasonal else 1
    peer = ThetaModel(y_L, period=season, deseasonalize=seasonal).fit()
    forecast = tsar.Theta(season_length=season).fit(y_L).predict(24)
    np.testing.assert_allclose(forecast.mean[0], np.asarray(peer.forecast(24)), rtol=1e-5)


def test_auto_theta_is_that_of_statsforecast() -> None:
    y_L = monthly()
    want = statsforecast.AutoTheta(12).fit(y_L).predict(18)["mean"]
    np.testing.assert_allclose(tsar.AutoTheta(season_length=12).fit(y_L).predict(18).mean[0], want, rtol=1e-9)


@pytest.mark.parametrize("forecaster", [tsar.ETS(), tsar.Theta(), tsar.AutoETS(), tsar.AutoTheta()], ids=repr)
def test_a_later_start_keeps_the_phase_of_the_season(forecaster: tsar.Forecaster) -> None:
    times = pd.date_range("2015-01-01", periods=96, freq="MS")
    data = pd.DataFrame({"ds": times, "y": 100 + 20 * np.sin(np.arange(96) * 2 * np.pi / 12)})
    data["y"] += np.random.default_rng(0).normal(size=96)
    fitted = forecaster.fit(data)
    later = fitted.predict(12, data.iloc[41:]).mean[0]
    np.testing.assert_allclose(later, fitted.predict(12).mean[0], atol=8)


@pytest.mark.parametrize("forecaster", [tsar.ETS(), tsar.Theta(), tsar.AutoETS(), tsar.AutoTheta()], ids=repr)
def test_missing_values_are_told(forecaster: tsar.Forecaster) -> None:
    times = pd.date_range("2015-01-01", periods=60, freq="MS")
    data = pd.DataFrame({"ds": times, "y": monthly(60)})
    whole = forecaster.fit(data).predict(3)
    assert not whole.notes
    data.loc[[20, 59], "y"] = np.nan
    forecast = forecaster.fit(data).predict(2)
    assert "1 missing" in next(iter(forecast.notes.values()))
    np.testing.assert_allclose(forecast.mean[0], whole.mean[0, :2], atol=5)
