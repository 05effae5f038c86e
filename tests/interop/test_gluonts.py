"""The gluonts door: gluonts' own evaluation, the same numbers as without it, and its four known traps."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gluonts.dataset.common import ListDataset
from gluonts.dataset.multivariate_grouper import MultivariateGrouper
from gluonts.dataset.pandas import PandasDataset
from gluonts.dataset.split import split
from gluonts.ev.metrics import MASE, MSIS, MeanWeightedSumQuantileLoss
from gluonts.model.evaluation import evaluate_model
from gluonts.model.predictor import ParallelizedPredictor, Predictor

import tsar
from tsar.interop.gluonts import to_predictor


def hourly(items: int = 3, length: int = 240, **fields: np.ndarray) -> ListDataset:
    rng = np.random.default_rng(0)
    wave = np.sin(np.arange(length) * 2 * np.pi / 24)
    rows = [
        {"start": pd.Period("2024-01-01", "h"), "target": 5 + wave + rng.normal(0, 0.2, length), "item_id": f"i{i}"}
        | {name: value for name, value in fields.items()}
        for i in range(items)
    ]
    return ListDataset(rows, freq="h")


def test_evaluate_model_gives_our_own_score() -> None:
    data = hourly()
    _, template = split(data, offset=-24)
    scores = evaluate_model(
        to_predictor(tsar.AR(lags=24), 24),
        test_data=template.generate_instances(24),
        metrics=[MASE(), MSIS(), MeanWeightedSumQuantileLoss(quantile_levels=tsar.forecast.DECILES)],
        seasonality=24,
    )
    own = tsar.backtest(tsar.AR(lags=24), data, horizon=24, windows=1, season_length=24)
    own = own.groupby("metric", observed=True)["value"].mean()
    assert scores["MASE[0.5]"].iloc[0] == pytest.approx(own["MASE"], rel=1e-6)
    assert scores["MSIS"].iloc[0] == pytest.approx(own["MSIS"], rel=1e-6)


def test_windows_of_one_item_are_forecast_apart() -> None:
    _, template = split(hourly(items=2), offset=-72)
    instances = template.generate_instances(24, windows=3)
    predictor = to_predictor(tsar.SeasonalNaive(season_length=24), 24, batch_size=4)
    for entry, forecast in zip(instances.input, predictor.predict(instances.input), strict=True):
        np.testing.assert_allclose(forecast.mean, entry["target"][-24:])
        assert forecast.item_id == entry["item_id"]
        assert forecast.start_date == entry["start"] + len(entry["target"])


def test_sample_paths_and_multivariate_targets() -> None:
    grouped = MultivariateGrouper(max_target_dim=3)(hourly())
    (quantiles,) = to_predictor(tsar.AR(lags=24), 6).predict(grouped)
    (paths,) = to_predictor(tsar.AR(lags=24), 6, num_samples=500).predict(grouped)
    assert quantiles.quantile(0.9).shape == (6, 3) and paths.samples.shape == (500, 6, 3)
    np.testing.assert_allclose(paths.mean, quantiles.mean, atol=0.1)


def test_feat_dynamic_real_holds_the_known_covariates() -> None:
    effect = np.random.default_rng(1).normal(size=246)
    data = ListDataset(
        [{"start": pd.Period("2024-01-01", "h"), "target": 3 * effect[:240], "feat_dynamic_real": effect[None]}], "h"
    )
    (forecast,) = to_predictor(tsar.AR(lags=1, known=["effect"]), 6).predict(data)
    np.testing.assert_allclose(forecast.mean, 3 * effect[240:], atol=1e-3)
    with pytest.raises(ValueError, match=r"expected the shape \(1, 245\), found \(1, 246\)"):
        next(to_predictor(tsar.AR(lags=1, known=["effect"]), 5).predict(data))


@pytest.mark.parametrize("fitted", [False, True])
def test_serialised_without_pickle(tmp_path: Path, fitted: bool) -> None:
    data = hourly()
    model = tsar.AR(lags=24).fit(data) if fitted else tsar.AR(lags=24)
    predictor = to_predictor(model, 6)
    predictor.serialize(tmp_path)
    assert {f.suffix for f in tmp_path.rglob("*.*") if f.is_file()} <= {".json", ".safetensors"}
    again = Predictor.deserialize(tmp_path)
    for one, other in zip(predictor.predict(data), again.predict(data), strict=True):
        np.testing.assert_array_equal(one.forecast_array, other.forecast_array)


def test_pandas_dataset_with_month_aliases_and_doubles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"target": np.arange(36.0)}, pd.period_range("2020-01", periods=36, freq="M"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = PandasDataset({"a": frame})
        (forecast,) = to_predictor(tsar.Drift(), 3).predict(data)
    assert forecast.start_date == pd.Period("2023-01", "M") and forecast.mean.dtype == np.float64
    np.testing.assert_allclose(forecast.mean, [36, 37, 38])
    assert not list(tmp_path.iterdir())


def test_workers_of_gluonts_get_the_predictor_by_its_files() -> None:
    data = hourly()
    predictor = to_predictor(tsar.SeasonalNaive(season_length=24), 4)
    parallel = ParallelizedPredictor(predictor, num_workers=2, chunk_size=1)
    for one, other in zip(predictor.predict(data), parallel.predict(data), strict=True):
        np.testing.assert_array_equal(one.forecast_array, other.forecast_array)
