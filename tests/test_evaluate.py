"""Backtest: the right histories are shown, the scores are the metrics', nothing of the future leaks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from gluonts.ev import metrics as ev

from tsar import metrics
from tsar.catalog import load_dataset
from tsar.evaluate import backtest
from tsar.forecasters.base import Forecaster
from tsar.forecasters.naive import Naive, SeasonalNaive
from tsar.forecasters.prediction import Prediction
from tsar.origins import origins
from tsar.panel import Panel
from tsar.scores import LEVELS, combine, score_items


class Spy(Naive):
    """Remembers what it was fitted on and asked to continue."""

    def __init__(self, seen=None):
        self.seen = seen

    def __sklearn_clone__(self):
        return type(self)(self.seen)

    def _fit(self, panel):
        self.seen.append(("fit", panel))
        super()._fit(panel)

    def _predict(self, panel, horizon, future):
        self.seen.append(("predict", panel))
        return super()._predict(panel, horizon, future)


def frame(lengths=(40, 30, 12), freq="D"):
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {"unique_id": name, "ds": pd.date_range("2024-01-01", periods=n, freq=freq), "y": rng.normal(5, 1, n)}
        )
        for name, n in zip("abc", lengths, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def test_tidy_frame_keeps_the_callers_names_and_scores_by_the_metrics():
    df = frame()
    out = backtest(SeasonalNaive(), df, horizon=3, windows=2, season_length=1)
    assert list(out.columns) == ["model", "unique_id", "cutoff", "metric", "value"]
    a = df.query("unique_id == 'a'").set_index("ds")["y"]
    row = out.query("unique_id == 'a' and metric == 'MASE'").set_index("cutoff")["value"]
    assert list(row.index) == [a.index[33], a.index[36]]
    for cutoff, value in row.items():
        past, y = a[:cutoff], a[cutoff:].iloc[1:4]
        want = metrics.mase(y, np.full(3, past.iloc[-1]), metrics.seasonal_error(past, 1))
        assert value == pytest.approx(float(want), rel=1e-12)


@pytest.mark.parametrize("refit", [True, False])
def test_only_the_past_is_shown(refit):
    df, seen = frame(), []
    backtest(Spy(seen), df, horizon=3, windows=4, step=2, refit=refit, season_length=1)
    fits, asks = ([p for kind, p in seen if kind == k] for k in ("fit", "predict"))
    assert len(fits) == (4 if refit else 1) and len(asks) == 4
    for k, panel in enumerate(asks):
        for i, item in enumerate(panel.ids):
            whole = df.loc[df["unique_id"] == item, "y"].to_numpy()
            np.testing.assert_array_equal(panel.series(i), whole[: len(whole) - 3 - (3 - k) * 2])
    if refit:
        assert all(np.array_equal(f.values, a.values) for f, a in zip(fits, asks, strict=True))


def test_the_model_given_is_not_touched_and_a_fitted_one_forgets():
    df, seen = frame(), []
    model = Spy(seen).fit(df)
    before = model.history_
    backtest(model, df, horizon=3, windows=1, season_length=1)
    assert model.history_ is before
    assert seen[1][0] == "fit" and seen[1][1].lengths.tolist() == [37, 27, 9]


def test_a_short_item_joins_later_and_max_history_cuts(caplog):
    panel = Panel.of(frame((40, 30, 12)), season_length=1)
    places = origins(panel, 3, 4, max_history=10)
    assert [p.items.tolist() for p in places] == [[0, 1], [0, 1, 2], [0, 1, 2], [0, 1, 2]]
    assert places[0].history.lengths.max() == 10 and places[0].full.lengths.max() == 28
    assert "1 of 12 pairs of item and origin left out" in caplog.text


def test_items_without_observations_do_not_stop_the_others():
    df = frame()
    df.loc[df["unique_id"] == "b", "y"] = np.nan
    df.loc[df.index[37:40], "y"] = np.nan  # the last origin of item a
    out = backtest(SeasonalNaive(), df, horizon=3, windows=2, season_length=1)
    assert out.groupby("unique_id")["cutoff"].nunique().to_dict() == {"a": 1, "c": 2}
    assert out["value"].notna().all()


def test_scores_of_a_set_equal_gluonts_over_all_items():
    rng = np.random.default_rng(1)
    df = load_dataset("macrodata")
    panel = Panel.of(df, season_length=4)
    (origin,) = origins(panel, 8, 1)
    y_NH = np.where(rng.random(origin.y_NH.shape) < 0.1, np.nan, origin.y_NH)
    forecast = SeasonalNaive().fit(origin.history).predict(8, levels=LEVELS)
    histories = [origin.full.series(i) for i in range(len(panel))]
    season_N = np.full(len(panel), 4)
    parts = score_items(forecast, y_NH, histories, season_N)
    data = {f"{q:g}": forecast.quantile(q) for q in LEVELS}
    data |= {"label": np.ma.masked_invalid(y_NH), "mean": forecast.mean_NH}
    data["seasonal_error"] = np.array([metrics.seasonal_error(h, 4) for h in histories])[:, None]
    deciles = [round(0.1 * k, 1) for k in range(1, 10)]
    for name, definition in {
        "MASE": ev.MASE(),
        "WQL": ev.MeanWeightedSumQuantileLoss(deciles),
        "RMSE": ev.RMSE(),
        "MAE": ev.MAE(),
        "sMAPE": ev.SMAPE(),
        "MSIS": ev.MSIS(),
    }.items():
        metric = definition(axis=None)
        metric.update(data)
        assert combine(name, *parts[name]) == pytest.approx(float(metric.get()), rel=1e-9), name


def test_known_covariates_are_shown_over_the_horizon():
    class Told(Forecaster):
        """Forecasts its known covariate."""

        known = ("x",)

        def _fit(self, panel):
            return None

        def _predict(self, panel, horizon, future):
            return Prediction(future["x"], lambda levels: future["x"][..., None] + 0 * levels)

    df = frame().assign(x=lambda d: d["y"])
    out = backtest(Told(), df, horizon=3, windows=2, season_length=1)
    assert out.query("metric == 'MAE'")["value"].max() == 0


def test_samples_make_the_crps_exact():
    df = frame()
    few, many = (
        backtest(Naive(), df, horizon=3, windows=1, season_length=1, num_samples=n).query("metric == 'CRPS'")["value"]
        for n in (None, 4000)
    )
    np.testing.assert_allclose(few, many, rtol=0.12)
    assert not np.allclose(few, many, rtol=1e-3)


class Broken(Naive):
    def _predict(self, panel, horizon, future):
        bad = np.full((len(panel), horizon), np.nan)
        return Prediction(bad, lambda levels: bad[..., None] + 0 * levels)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda df: backtest(Naive(), df), "horizon: expected a number of steps"),
        (lambda df: backtest(Naive(), df, horizon=40), "longest item 'a' has 40 steps"),
        (lambda df: backtest(Naive(), df, horizon=2.5), "horizon"),
        (lambda df: backtest(Naive(), df, horizon=2, windows=0), "windows: expected a positive integer, found 0"),
        (lambda df: backtest(Naive(), df, horizon=2, step=-1), "step: expected a positive integer, found -1"),
        (lambda df: backtest(Broken(), df, horizon=2, windows=1), "item 'a': expected a finite forecast"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(frame())
