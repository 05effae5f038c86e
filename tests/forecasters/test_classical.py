"""Every classical forecaster passes the battery and takes bad input as it should."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.tree import DecisionTreeRegressor

import tsar
from tests.forecaster_battery import forecaster_battery, frame
from tsar.forecasters.base import FallbackWarning, Forecaster

TREE = DecisionTreeRegressor(max_depth=3, random_state=0)
EACH_BY_ITSELF: list[Forecaster] = [
    tsar.Naive(),
    tsar.SeasonalNaive(),
    tsar.Drift(),
    tsar.WindowAverage(),
    tsar.AR(),
    tsar.AR(lags=3, trend="ct", seasonal=True, season_length=4),
    tsar.AR(lags=2, diff=1, seasonal_diff=1, season_length=4),
    tsar.AR(lags=3, method="burg"),
    tsar.AR(method="yule_walker", criterion="bic"),
    tsar.ARNet(lags=[1, 2, 12]),
    tsar.ARTree(lags=4, tree=TREE, pooled=False),
    tsar.ETS(season_length=4),
    tsar.Theta(season_length=4),
    tsar.AutoETS(season_length=4),
    tsar.AutoTheta(season_length=4),
    tsar.Ensemble([tsar.AR(lags=2), tsar.Naive()], weights="backtest"),
    tsar.Conformal(tsar.AR(lags=2), horizon=5, by="item"),
]
TOGETHER: list[Forecaster] = [tsar.ARTree(lags=4, tree=TREE), tsar.Conformal(tsar.Drift(), horizon=3)]


def name(forecaster: Forecaster) -> str:
    return " ".join(repr(forecaster).split())[:60]


@pytest.mark.parametrize("forecaster", EACH_BY_ITSELF, ids=name)
def test_battery(forecaster: Forecaster) -> None:
    forecaster_battery(forecaster)


@pytest.mark.parametrize("forecaster", TOGETHER, ids=name)
def test_battery_of_pooled(forecaster: Forecaster) -> None:
    forecaster_battery(forecaster, alone=False)


SIMPLE = [one for one in (*EACH_BY_ITSELF, *TOGETHER) if not isinstance(one, tsar.ETS | tsar.AutoETS)]


@pytest.mark.parametrize("forecaster", [*EACH_BY_ITSELF, *TOGETHER, tsar.VAR(lags=1)], ids=name)
@pytest.mark.parametrize("case", ["one point", "two points", "constant", "huge", "tiny", "mostly missing", "gaps"])
def test_odd_series(forecaster: Forecaster, case: str) -> None:
    """A finite forecast in the order of the series, or a ValueError that names it; never a crash, never silence."""
    good = frame(items=2)
    y = good["y"].to_numpy()[:60]
    odd = {
        "one point": y[:1],
        "two points": y[:2],
        "constant": np.full(60, 7.3),
        "huge": y * 1e200,
        "tiny": y * 1e-200,
        "mostly missing": np.where(np.arange(60) == 30, y, np.nan),
        "gaps": np.where(np.arange(60) % 7 == 3, np.nan, y),
    }[case]
    tail = good["ds"].iloc[60 - len(odd) : 60] if case != "mostly missing" else good["ds"].iloc[:60]
    data = pd.concat([good, pd.DataFrame({"unique_id": "odd", "ds": tail.to_numpy(), "y": odd})])
    try:
        forecast = clone(forecaster).fit(data).predict(4, levels=[0.1, 0.9])
    except ValueError as error:
        assert "odd" in str(error) or "panel" in str(error) or isinstance(forecaster, tsar.VAR), error
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            forecast = clone(forecaster).set_params(on_error="fallback").fit(data).predict(4, levels=[0.1, 0.9])
        assert "odd" in forecast.notes or isinstance(forecaster, tsar.VAR)
    row = list(forecast.ids).index("odd")
    assert np.isfinite(forecast.mean[row]).all()
    assert (forecast.quantiles_NHQ[row, :, 0] <= forecast.quantiles_NHQ[row, :, 1]).all()
    size = np.nanmax(np.abs(odd))
    assert np.abs(forecast.mean[row]).max() <= 20 * size, "the forecast has another magnitude than the series"
    if case == "constant":
        np.testing.assert_allclose(forecast.mean[row], 7.3, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6, width=32) | st.just(float("nan")), min_size=1, max_size=40),
    st.integers(1, 9),
    st.sampled_from(SIMPLE[:10]),
)
def test_any_values(values: list[float], horizon: int, forecaster: Forecaster) -> None:
    """Whatever the values, the answer has the right shape and order, or one ValueError names the item."""
    try:
        forecast = clone(forecaster).fit(np.array(values)).predict(horizon)
    except ValueError as error:
        assert "item 0" in str(error)
        return
    assert forecast.mean.shape == (1, horizon)
    assert np.isfinite(forecast.mean).all()
    assert (np.diff(forecast.quantiles_NHQ, axis=-1) >= -1e-9 * np.abs(forecast.mean).max()).all()


def test_one_bad_series_does_not_kill_a_panel() -> None:
    data = pd.concat([frame(items=2), frame(items=1).head(3).assign(unique_id="short")])
    with pytest.raises(ValueError, match="item 'short' cannot be fitted: .*at least"):
        tsar.AR(lags=12).fit(data)
    with pytest.warns(FallbackWarning, match="short"):
        forecaster = tsar.AR(lags=12, on_error="fallback").fit(data)
    forecast = forecaster.predict(4)
    assert forecast.notes["short"].startswith("SeasonalNaive instead")
    np.testing.assert_array_equal(
        forecast.mean[:2], tsar.AR(lags=12).fit(frame(items=2)).predict(4).mean, "others are as without it"
    )


@pytest.mark.parametrize(
    "forecaster",
    [
        tsar.AR(lags="atuo"), tsar.AR(lags=-1), tsar.AR(lags=[0, 1]), tsar.AR(method="olss"), tsar.AR(trend="x"),
        tsar.AR(criterion="aic"), tsar.AR(diff=-1), tsar.AR(method="burg", lags=[1, 3]), tsar.ARNet(lags="auto"),
        tsar.ARNet(sparsity=-1.0), tsar.ARTree(lags=0), tsar.ARTree(tree="oak"), tsar.ETS(error="x"),
        tsar.AutoETS(model="ZZ"), tsar.VAR(trend="x"), tsar.VAR(lags=-1), tsar.Ensemble([]),
        tsar.Ensemble([tsar.Naive()], weights=[1, 2]), tsar.Ensemble([tsar.Naive()], weights="best"),
        tsar.Conformal("AR"), tsar.Conformal(tsar.Naive(), windows=1), tsar.WindowAverage(window=0),
        tsar.Naive(bounds=(1.0, 0.0)), tsar.Naive(on_error="ignore"), tsar.SeasonalNaive(season_length=0),
    ],
    ids=name,
)  # fmt: skip
def test_impossible_options_are_named_at_fit(forecaster: Forecaster) -> None:
    with pytest.raises(ValueError, match="must|expected|expects|fits|needs|has no"):
        forecaster.fit(frame())


def test_statsforecast_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for module in [m for m in sys.modules if m.split(".")[0] == "statsforecast"]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "statsforecast", None)
    for forecaster in (tsar.AutoETS(), tsar.AutoTheta()):
        with pytest.raises(ImportError, match=r"tsar\[statsforecast\]"):
            forecaster.fit(frame())
