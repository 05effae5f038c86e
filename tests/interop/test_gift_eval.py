"""The loop that GIFT-Eval runs, on local data in its layout: an arrow data set with start, freq and target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gluonts.dataset.split import split
from gluonts.ev.metrics import MAE, MAPE, MASE, MSE, MSIS, ND, NRMSE, RMSE, SMAPE, MeanWeightedSumQuantileLoss
from gluonts.itertools import Map
from gluonts.model.evaluation import evaluate_model

import tsar
from tsar.interop.gluonts import to_predictor

HORIZON, WINDOWS, SEASON = 12, 3, 12
LEVELS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    datasets = pytest.importorskip("datasets")
    rng = np.random.default_rng(0)
    rows = [
        {
            "item_id": f"item_{i}", "start": pd.Timestamp("2010-01-31"), "freq": "ME",
            "target": (20 + 5 * np.sin(np.arange(n) * 2 * np.pi / 12) + rng.normal(0, 1, n)).astype("f4"),
        }
        for i, n in enumerate((120, 144, 99))
    ]  # fmt: skip
    rows[1]["target"][50:55] = np.nan
    path = tmp_path_factory.mktemp("gift") / "monthly"
    datasets.Dataset.from_list(rows).save_to_disk(str(path))
    return path


def scores(folder: Path, model: Any) -> pd.Series:
    import datasets

    def entry(row: dict[str, Any]) -> dict[str, Any]:
        freq = {"ME": "M"}.get(str(row["freq"]), str(row["freq"]))  # periods are spelt the old way
        return {**row, "start": pd.Period(np.ravel(row["start"])[0], freq), "target": np.asarray(row["target"])}

    data = Map(entry, datasets.load_from_disk(str(folder)).with_format("numpy"))
    _, template = split(data, offset=-HORIZON * WINDOWS)
    test = template.generate_instances(prediction_length=HORIZON, windows=WINDOWS, distance=HORIZON)
    metrics = [
        MSE(forecast_type="mean"), MSE(forecast_type=0.5), MAE(), MASE(), MAPE(), SMAPE(), MSIS(), RMSE(), NRMSE(),
        ND(), MeanWeightedSumQuantileLoss(quantile_levels=LEVELS),
    ]  # fmt: skip
    found = evaluate_model(
        to_predictor(model, HORIZON), test_data=test, metrics=metrics, batch_size=512, axis=None,
        mask_invalid_label=True, allow_nan_forecast=False, seasonality=SEASON,
    )  # fmt: skip
    return found.reset_index(drop=True).iloc[0]


@pytest.mark.slow
def test_the_loop_runs_for_local_fitted_and_pretrained_models(folder: Path) -> None:
    naive = scores(folder, tsar.SeasonalNaive())
    assert len(naive) == 11 and np.isfinite(naive).all()
    for model in (tsar.AR(lags=12), "tsar-small"):
        better = scores(folder, model)
        assert better["MASE[0.5]"] < naive["MASE[0.5]"]
        assert better["mean_weighted_sum_quantile_loss"] < naive["mean_weighted_sum_quantile_loss"]
