"""The sktime door: sktime's own suite, and the same numbers as without sktime."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import tsar

pytest.importorskip("sktime")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sktime.forecasting.model_evaluation import evaluate
    from sktime.split import ExpandingWindowSplitter
    from sktime.utils.estimator_checks import check_estimator

    from tsar.interop.sktime import TsarForecaster


@pytest.fixture
def monthly() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    index = pd.period_range("2010-01", periods=96, freq="M")
    wave = np.sin(np.arange(96) * 2 * np.pi / 12)
    return pd.DataFrame({"b": wave + rng.normal(0, 0.1, 96), "a": 5 * wave + rng.normal(0, 0.1, 96)}, index)


def test_the_answer_is_that_of_the_forecaster(monthly: pd.DataFrame) -> None:
    door = TsarForecaster(tsar.AR(lags=12)).fit(monthly, fh=[1, 3])
    direct = tsar.AR(lags=12).fit(monthly.reset_index(drop=True)).predict(3, levels=[0.05, 0.95])
    assert list(door.predict().columns) == ["b", "a"]
    np.testing.assert_allclose(door.predict().to_numpy(), direct.mean[:, [0, 2]].T, rtol=1e-9)
    lower, upper = direct.interval(0.9)
    interval = door.predict_interval(coverage=0.9)
    np.testing.assert_allclose(interval["a"][0.9]["lower"], lower[1, [0, 2]], rtol=1e-9)
    np.testing.assert_allclose(interval["b"][0.9]["upper"], upper[0, [0, 2]], rtol=1e-9)


def test_update_without_refitting_continues_the_new_data(monthly: pd.DataFrame) -> None:
    door = TsarForecaster(tsar.AR(lags=12)).fit(monthly[:84])
    door.update(monthly[84:], update_params=False)
    direct = tsar.AR(lags=12).fit(monthly[:84].reset_index(drop=True)).predict(2, monthly.reset_index(drop=True))
    np.testing.assert_allclose(door.predict([1, 2]).to_numpy(), direct.mean.T, rtol=1e-9)


def test_columns_of_X_become_known_covariates(monthly: pd.DataFrame) -> None:
    X = pd.DataFrame({"effect": np.random.default_rng(1).normal(size=96)}, monthly.index)
    y = monthly[["a"]] + 100 * X.to_numpy()
    door = TsarForecaster(tsar.AR(lags=12)).fit(y[:90], X[:90])
    assert np.abs(door.predict(np.arange(1, 7), X[90:]) - y[90:]).to_numpy().max() < 10
    with pytest.raises(ValueError, match="X lacks the row of 2017-07"):
        door.predict(np.arange(1, 7))


def test_it_runs_through_the_evaluation_of_sktime(monthly: pd.DataFrame) -> None:
    cv = ExpandingWindowSplitter(fh=[1, 2], initial_window=60, step_length=18)
    scores = evaluate(TsarForecaster(tsar.SeasonalNaive()), cv, monthly["a"])
    assert len(scores) == 2 and np.isfinite(scores.iloc[:, 0]).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_check_of_sktime_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "local")  # its checks use Ray: not the cluster of another test, which ends first
    results = check_estimator(TsarForecaster, raise_exceptions=False, verbose=False)
    assert len(results) > 700
    assert not {name: result for name, result in results.items() if result != "PASSED"}
