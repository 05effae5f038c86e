"""Compare: scores with intervals, honest verdicts, costs, and forecasters that fail."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from tsar.catalog import load_dataset
from tsar.comparison import compare
from tsar.evaluate import backtest
from tsar.forecasters.naive import Drift, Naive, SeasonalNaive, WindowAverage


@pytest.fixture(scope="module")
def macro():
    return compare([Naive(), Drift()], load_dataset("macrodata"), windows=3)


def test_the_leaderboard(macro):
    table = macro.to_frame()
    assert list(table.index) == ["Drift", "Naive", "SeasonalNaive"]
    assert (table["MASE_low"] < table["MASE"]).all() and (table["MASE"] < table["MASE_high"]).all()
    assert table.loc["SeasonalNaive", ["MASE_relative", "WQL_relative"]].tolist() == [1, 1]
    assert table.loc["SeasonalNaive", "verdict"] == "the baseline"
    assert table.loc["Drift", "verdict"] == "better than SeasonalNaive"
    assert (table["fit_seconds"] > 0).all() and (table["predict_seconds"] > 0).all()
    single = backtest(Drift(), load_dataset("macrodata"), windows=3).query("metric == 'MASE'")["value"].mean()
    assert table.loc["Drift", "MASE"] == pytest.approx(single, rel=1e-12)
    assert set(macro.scores.columns) == {"model", "item_id", "cutoff", "metric", "value"}


def test_pairs_are_corrected(macro):
    pairs = macro.pairs()
    assert len(pairs) == 3 and (pairs["p_holm"] >= pairs["p_value"]).all() and (pairs["observations"] == 12).all()


def test_calibration_rises_with_the_level(macro):
    shares = macro.calibration()
    assert list(shares.columns) == ["Naive", "Drift", "SeasonalNaive"]
    assert (shares.diff().dropna() >= 0).all(axis=None) and shares.iloc[-1].max() <= 1


def noise(items=12, length=80):
    rng = np.random.default_rng(0)
    t = pd.date_range("2020-01-01", periods=length, freq="D")
    return pd.concat(
        [pd.DataFrame({"unique_id": f"s{i}", "ds": t, "y": rng.normal(size=length)}) for i in range(items)]
    )


def test_a_model_that_is_not_better_is_said_so():
    table = compare({"one week": SeasonalNaive(7), "last": Naive()}, noise(), 7, windows=3).to_frame()
    assert table.loc["one week", "verdict"] == "the baseline"
    assert table.loc["last", "verdict"] == "not shown to be better than one week"
    steps = noise(items=60).assign(y=lambda d: d.groupby("unique_id")["y"].cumsum())
    worse = compare([WindowAverage(window=20), SeasonalNaive(1)], steps, 7, windows=3).to_frame()
    assert worse.loc["WindowAverage", "verdict"] == "not better than SeasonalNaive: worse"


def test_one_series_is_resampled_over_origins():
    one = compare(Naive(), load_dataset("elnino"), horizon=12, windows=4)
    assert one.units == "origins"
    row = one.to_frame().loc["Naive"]
    assert row["MASE_low"] < row["MASE"] < row["MASE_high"]
    alone = compare(Naive(), load_dataset("elnino"), horizon=12, windows=1).to_frame().loc["Naive"]
    assert np.isnan(alone["MASE_low"]) and "too few observations" in alone["verdict"]


class Slow(Naive):
    def _fit(self, panel):
        self.block_ = np.ones(int(6e7 / 8))
        time.sleep(0.15)
        del self.block_
        super()._fit(panel)


class Failing(Naive):
    def _fit(self, panel):
        raise ValueError("item 's3' is not to my taste")


def test_costs_are_measured_and_a_failure_is_reported():
    comparison = compare([Slow(), Failing()], noise(), 7, windows=2)
    table = comparison.to_frame()
    assert 0.3 <= table.loc["Slow", "fit_seconds"] < 3
    assert table.loc["Slow", "peak_mb"] > 40
    assert table.index[-1] == "Failing" and np.isnan(table.loc["Failing", "MASE"])
    assert table.loc["Failing", "verdict"] == "failed: ValueError: item 's3' is not to my taste"
    with pytest.raises(ValueError, match="not to my taste"):
        compare(Failing(), noise(), 7)


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="expected a forecaster under 'x', found str"):
        compare({"x": "AR"}, noise(), 7)
    with pytest.raises(ValueError, match="at least one"):
        compare([], noise(), 7)
    with pytest.raises(ValueError, match="different forecasters"):
        compare([Naive(), Naive()], noise(), 7)
