"""ARIMA and AutoARIMA as forecasters: the battery, statsmodels' forecasts, automatic orders, reports, bad input."""

from __future__ import annotations

import builtins
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from statsmodels.tsa.statespace.sarimax import SARIMAX
from statsmodels.tsa.stattools import acf

import tsar
from tests.forecaster_battery import forecaster_battery, frame
from tsar.forecasters.base import FallbackWarning


def walks(n: int, length: int, seed: int = 0) -> list[np.ndarray]:
    """Airline models, season 4."""
    e = np.random.default_rng(seed).normal(size=(n, length + 20))
    w = e.copy()
    w[:, 1:] -= 0.4 * e[:, :-1]
    w[:, 4:] -= 0.5 * e[:, :-4]
    w[:, 5:] += 0.2 * e[:, :-5]
    for t in range(5, w.shape[1]):
        w[:, t] += w[:, t - 1] + w[:, t - 4] - w[:, t - 5]
    return list(100 + w[:, 20:])


@pytest.mark.parametrize(
    "forecaster",
    [
        tsar.ARIMA((1, 1, 1)),
        tsar.ARIMA((0, 1, 1), (0, 1, 1), 4, box_cox=0.5),
        tsar.AutoARIMA(season_length=4, max_p=2, max_q=2, max_P=1, max_Q=1),
        tsar.AutoARIMA(season_length=1, max_p=1, max_q=1, box_cox="auto"),
    ],
    ids=["ARIMA", "seasonal", "AutoARIMA", "Box-Cox"],
)
def test_battery(forecaster: tsar.Forecaster) -> None:
    forecaster_battery(forecaster)


@pytest.mark.parametrize("gaps", [[], [30, 31, 70], [96, 98, 99]], ids=["whole", "gaps", "gaps at the end"])
@pytest.mark.parametrize(
    ("order", "seasonal"), [((1, 0, 1), (0, 0, 0)), ((0, 1, 1), (0, 1, 1)), ((2, 1, 0), (1, 0, 0))]
)
def test_forecast_is_statsmodels_at_the_same_parameters(
    order: tuple[int, int, int], seasonal: tuple[int, int, int], gaps: list[int]
) -> None:
    y = walks(1, 100, 3)[0]
    y[gaps] = np.nan
    ours = tsar.ARIMA(order, seasonal, 4 if any(seasonal) else None, trend="n").fit(y)
    model = SARIMAX(y, order=order, seasonal_order=(*seasonal, 4) if any(seasonal) else (0, 0, 0, 0))
    coefs = ours.summary()["coef"].to_numpy()
    sigma = ours.sigma_[0] * np.sqrt(1 + len(coefs) / ours.observed_[0])  # with the final prediction error
    peer = model.filter(np.append(coefs, sigma**2)).get_forecast(8)
    forecast = ours.predict(8)
    np.testing.assert_allclose(forecast.mean[0], peer.predicted_mean, rtol=2e-4)
    spread = (forecast.quantile(0.9) - forecast.quantile(0.1))[0] / (2 * 1.2815515655)
    np.testing.assert_allclose(spread, peer.se_mean, rtol=2e-3)


def test_covariates_and_summary_are_statsmodels() -> None:
    rng = np.random.default_rng(0)
    data = frame(items=1, length=120).assign(x=rng.normal(size=120))
    data["y"] += 3 * data["x"]
    model = tsar.ARIMA((1, 1, 1), known=["x"]).fit(data)
    peer = SARIMAX(data["y"].to_numpy(), data[["x"]], order=(1, 1, 1), trend="t", simple_differencing=False).fit(disp=0)
    table = model.summary()
    assert list(table.index) == ["ar 1", "ma 1", "x", "drift"]
    assert table.attrs["loglik"] >= peer.llf - 0.05
    np.testing.assert_allclose(table.loc["x", ["coef", "std_err"]], [peer.params["x"], peer.bse["x"]], rtol=0.1)
    future = pd.DataFrame(
        {"unique_id": "item 0", "ds": pd.date_range("2010-01-01", periods=2, freq="MS"), "x": [0.0, 10.0]}
    )
    want = peer.get_forecast(2, exog=future[["x"]]).predicted_mean
    np.testing.assert_allclose(model.predict(2, future=future).mean[0], want, rtol=0.02)
    acf_of_statsmodels = acf(model.residuals_[1:], nlags=5)[1:]
    np.testing.assert_allclose(model.residual_acf(lags=5), acf_of_statsmodels, atol=1e-12)
    roots = model.roots()
    np.testing.assert_allclose(roots["ar"], table.loc["ar 1", "coef"])
    np.testing.assert_allclose(roots["ma"], -table.loc["ma 1", "coef"])
    assert 0 <= table.attrs["ljung_box_p"] <= 1
    assert len(model.plot_diagnostics().axes) == 3
    fitted = model.fitted_
    assert np.isnan(fitted["fitted"].iloc[0]) and fitted["residual"].iloc[1:].std() < data["y"].diff().std()


def test_automatic_orders_find_the_process() -> None:
    rng = np.random.default_rng(1)
    e = rng.normal(size=(12, 600))
    y = e.copy()
    for t in range(2, 600):
        y[:, t] += 1.2 * y[:, t - 1] - 0.5 * y[:, t - 2]
    model = tsar.AutoARIMA(season_length=1).fit(list(5 + y[:, 100:]))
    orders = model.orders_
    assert (orders["d"] == 0).mean() > 0.6 and (orders["p"] == 2).mean() > 0.4
    assert orders["constant"].mean() > 0.6
    best = model.runners_up_.groupby("item_id")["aicc"]
    assert (best.first() <= best.min() + 1e-6).all()
    assert (best.first().to_numpy() == orders.sort_values("item_id")["aicc"].to_numpy()).all()
    airline = tsar.AutoARIMA(season_length=4, d=1, D=1).fit(walks(12, 300))
    assert ((airline.orders_["q"] == 1) & (airline.orders_["Q"] == 1)).mean() > 0.4


def test_search_comes_near_the_whole_grid() -> None:
    """The stepwise search must reach within two units the best AICc of all orders fitted one by one."""
    series = walks(3, 80, 7)
    found = tsar.AutoARIMA(season_length=4, d=1, D=1, max_p=1, max_q=2, max_P=1, max_Q=1).fit(series).aicc_
    grid = [
        tsar.ARIMA((p, 1, q), (big_p, 1, big_q), 4).fit(series).aicc_
        for p in range(2) for q in range(3) for big_p in range(2) for big_q in range(2)
    ]  # fmt: skip
    assert (found <= np.min(grid, 0) + 2.0).all()


@pytest.mark.parametrize("engine", ["statsmodels", "statsforecast"])
def test_other_engines(engine: str) -> None:
    if engine == "statsforecast":
        pytest.importorskip("statsforecast")
    data = frame(items=2)
    for model in (
        tsar.ARIMA((1, 1, 0), engine=engine),
        tsar.AutoARIMA(season_length=4, max_p=1, max_q=1, max_P=1, max_Q=0, engine=engine),
    ):
        forecast = model.fit(data).predict(4)
        ours = clone(model).set_params(engine="tsar").fit(data).predict(4)
        np.testing.assert_allclose(forecast.mean, ours.mean, rtol=0.1)
        assert (np.diff(forecast.quantiles_NHQ, axis=-1) > 0).all()
    assert {"coef", "std_err"} <= set(model.summary("item 0").columns)
    assert np.isfinite(model.fitted_["fitted"].iloc[-1])


def test_a_missing_statsforecast_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: object, **options: object) -> object:
        if name.startswith("statsforecast"):
            raise ImportError(name)
        return real(name, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"tsar\[statsforecast\]"):
        tsar.AutoARIMA(engine="statsforecast").fit(frame())


BAD = {
    "constant": np.full(40, 7.0),
    "line": np.arange(40.0),
    "near unit root": np.random.default_rng(0).normal(size=40).cumsum().cumsum(),
    "exploding": 1.5 ** np.arange(60.0),
    "huge": 1e120 * np.random.default_rng(0).normal(size=40),
    "tiny": 1e-120 * np.random.default_rng(0).normal(size=40),
    "gaps": np.where(np.arange(60) % 3 == 0, np.nan, np.sin(np.arange(60.0))),
    "season longer": np.random.default_rng(1).normal(size=10),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("model", [tsar.AutoARIMA(season_length=12), tsar.ARIMA((1, 1, 1))], ids=["auto", "fixed"])
def test_bad_series(case: str, model: tsar.Forecaster) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forecast = model.fit([BAD[case], walks(1, 60)[0]]).predict(3)
    assert np.isfinite(forecast.mean).all() and np.isfinite(forecast.quantiles_NHQ).all()
    if case in ("constant", "line"):
        step = BAD[case][1] - BAD[case][0]
        np.testing.assert_allclose(forecast.mean[0], BAD[case][-1] + step * np.arange(1, 4), rtol=1e-9)
        assert "continues without error" in forecast.notes[forecast.ids[0]]


@pytest.mark.parametrize("short", [np.array([1.0]), np.array([1.0, 2.0]), np.array([np.nan, 3.0, np.nan, np.nan])])
def test_too_short_series_are_named_and_fall_back(short: np.ndarray) -> None:
    data = [short, walks(1, 60)[0]]
    with pytest.raises(ValueError, match=r"item 0 cannot be .*expected at least \d+ observed"):
        tsar.ARIMA((2, 1, 1)).fit(data)
    with pytest.warns(FallbackWarning, match="SeasonalNaive stands in: item 0 ") as caught:
        model = tsar.AutoARIMA(season_length=4, on_error="fallback").fit(data)
    assert len(caught) == 1 and list(model.failed_) == [0]
    assert np.isfinite(model.predict(3).mean).all()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (tsar.ARIMA((1, 0)), "order"),
        (tsar.ARIMA((1, -1, 0)), "order"),
        (tsar.ARIMA((0, 1, 1), (0, 1, 1), 1), "season"),
        (tsar.ARIMA(trend="ct"), "trend"),
        (tsar.AutoARIMA(engine="r"), "engine"),
        (tsar.AutoARIMA(box_cox="log"), "box_cox"),
        (tsar.AutoARIMA(box_cox="auto"), "positive"),
        (tsar.AutoARIMA(max_p=-1), "max_p"),
    ],
)
def test_wrong_options(model: tsar.Forecaster, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.fit(np.random.default_rng(0).normal(size=50))


def test_the_same_in_any_batch_with_any_number_of_processes() -> None:
    series = walks(20, 60, 5)
    alone = tsar.AutoARIMA(season_length=4).fit(series[3]).predict(6)
    batch = tsar.AutoARIMA(season_length=4).fit([*series, *walks(3, 200)]).predict(6)
    split = tsar.AutoARIMA(season_length=4, n_jobs=2).fit(series).predict(6)
    np.testing.assert_allclose(batch.mean[3], alone.mean[0], rtol=1e-5)
    np.testing.assert_allclose(split.mean, batch.mean[:20], rtol=1e-5)
