"""Ensemble, Conformal and ARTree: what they are built for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeRegressor

import tsar
from tests.forecaster_battery import frame


def heavy_tails(n: int = 40, length: int = 140, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise, y_NL = rng.standard_t(3, size=(n, length)), np.zeros((n, length))
    for t in range(1, length):
        y_NL[:, t] = 0.8 * y_NL[:, t - 1] + noise[:, t]
    return y_NL


def test_equal_weights_average_means_and_quantiles() -> None:
    data, members = frame(), [tsar.AR(lags=2), tsar.Drift()]
    forecast = tsar.Ensemble(members).fit(data).predict(4, levels=[0.2, 0.7])
    parts = [one.fit(data).predict(4, levels=[0.2, 0.7]) for one in members]
    np.testing.assert_allclose(forecast.mean, sum(p.mean for p in parts) / 2)
    np.testing.assert_allclose(forecast.quantiles_NHQ, sum(p.quantiles_NHQ for p in parts) / 2)
    given = tsar.Ensemble(members, weights=[3, 1]).fit(data).predict(4)
    np.testing.assert_allclose(given.mean, (3 * parts[0].mean + parts[1].mean) / 4)


def test_backtest_weights_prefer_the_right_model() -> None:
    t = np.arange(120)
    season = 10 * np.sin(t * 2 * np.pi / 12) + np.random.default_rng(0).normal(size=(3, 120))
    fitted = tsar.Ensemble([tsar.Naive(), tsar.SeasonalNaive(12)], weights="backtest").fit(season)
    assert (fitted.weights_[:, 1] > 0.9).all()
    np.testing.assert_allclose(fitted.weights_.sum(1), 1)


def test_a_member_that_fails_is_left_out_and_told() -> None:
    data = pd.concat([frame(items=1), frame(items=1).head(5).assign(unique_id="short")])
    forecast = tsar.Ensemble([tsar.AR(lags=12), tsar.Naive()]).fit(data).predict(3)
    row = list(forecast.ids).index("short")
    np.testing.assert_allclose(forecast.mean[row], tsar.Naive().fit(data).predict(3).mean[row])
    assert forecast.notes["short"] == "without AR"


def test_conformal_covers_what_the_model_does_not() -> None:
    """A naive forecast claims the spread of a random walk; calibrated on the past it covers what it says."""
    y_NL = heavy_tails(200, 160)
    past, truth = y_NL[:, :148], y_NL[:, 148:]

    def covered(forecaster: tsar.Forecaster) -> float:
        low, high = forecaster.fit(past).predict(12).interval(0.8)
        return float(((truth >= low) & (truth <= high)).mean())

    assert covered(tsar.Naive()) > 0.85
    assert covered(tsar.Conformal(tsar.Naive(), horizon=12, windows=40)) == pytest.approx(0.8, abs=0.04)


def test_conformal_levels_are_order_statistics() -> None:
    """With n scores, the level k / (n + 1) is the k-th score; beyond them the tail goes on, ordered."""
    fitted = tsar.Conformal(tsar.Naive(), horizon=2, windows=9).fit(heavy_tails(1))
    forecast = fitted.predict(2, levels=[0.01, 0.1, 0.5, 0.9, 0.999])
    inner = fitted.forecaster_.predict(2)
    scores = (forecast.quantiles_NHQ[0, :, 1:4] - inner.quantile(0.5)[0][:, None]) / (
        inner.quantile(0.8413447460685429)[0] - inner.quantile(0.5)[0]
    )[:, None]
    np.testing.assert_allclose(scores, fitted.scores_[0][:, [0, 4, 8]], rtol=1e-9)
    assert (np.diff(forecast.quantiles_NHQ, axis=-1) > 0).all()


def test_conformal_by_group_and_too_short() -> None:
    data = frame(items=4, length=80).assign(kind=lambda d: np.where(d["unique_id"] < "item 2", "calm", "wild"))
    wild = data["kind"] == "wild"
    data.loc[wild, "y"] += np.random.default_rng(0).normal(size=int(wild.sum())) * 30
    fitted = tsar.Conformal(tsar.Naive(), by="kind", windows=20).fit(data)
    assert fitted.groups_ == ["calm", "wild"] and fitted.scores_.shape == (2, 8, 40)
    with pytest.raises(ValueError, match="item 'item 0' cannot be fitted: .*to calibrate on.*found 20"):
        tsar.Conformal(tsar.Naive(), by="item", windows=20).fit(data.groupby("unique_id").head(20))


def test_tree_runs_an_automaton_only_where_its_state_is_shown() -> None:
    """A counter that shows only its overflow is beyond two lags; with its count as intermediate tokens it is not."""
    hidden = np.tile([0.0, 0, 0, 0, 0, 1], 40)
    count = np.tile(np.arange(6.0) + 2, 40)
    shown = np.stack([count, hidden], 1).ravel()

    def right(series: np.ndarray, steps: int) -> float:
        tree = DecisionTreeRegressor(random_state=0)
        cut = len(series) - steps
        mean = tsar.ARTree(lags=2, tree=tree, relative=False).fit(series[:cut]).predict(steps).mean[0]
        return float((np.rint(mean) == series[cut:]).mean())

    assert right(shown, 48) == 1.0
    assert right(hidden, 24) < 0.9


def test_tree_follows_a_known_covariate() -> None:
    rng = np.random.default_rng(0)
    data = frame(items=2, length=120)
    data["promo"] = rng.integers(0, 2, len(data)).astype(float)
    data["y"] += 40 * data["promo"]
    history, future = data.groupby("unique_id").head(110), data.groupby("unique_id").tail(10)
    tree = DecisionTreeRegressor(max_depth=6, random_state=0)
    error = {}
    for known in ([], ["promo"]):
        fitted = tsar.ARTree(lags=4, tree=tree, known=known).fit(history)
        mean = fitted.predict(10, future=future.drop(columns="y") if known else None).mean
        error[bool(known)] = np.abs(mean.ravel() - future["y"].to_numpy()).mean()
    assert error[True] < 0.5 * error[False]
