"""The fev door: fev's own task runner on a local file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tsar
from tsar import metrics

fev = pytest.importorskip("fev")
pytestmark = pytest.mark.slow  # importing `datasets` alone takes seconds


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    wave = 10 + np.sin(np.arange(200) * 2 * np.pi / 24)
    effect = rng.normal(size=(3, 200))
    frame = pd.concat(
        pd.DataFrame(
            {
                "id": f"s{i}", "timestamp": pd.date_range("2024-01-01", periods=200, freq="h"),
                "target": wave + 3 * effect[i], "other": 2 * effect[i] - wave, "effect": effect[i],
            }
        )
        for i in (2, 0, 1)
    )  # fmt: skip
    frame.to_parquet(tmp_path / "data.parquet")
    return tmp_path / "data.parquet"


def run(task: fev.Task, model: tsar.Forecaster) -> dict[str, object]:
    from tsar.interop.fev import TsarModel

    runner = TsarModel(model)
    answers = runner.fit_predict(task)
    return task.evaluation_summary(answers, model_name="tsar", inference_time_s=runner.inference_time)


def test_the_task_runner_gives_our_own_score(file: Path) -> None:
    options = {"horizon": 12, "num_windows": 2, "seasonality": 24, "eval_metric": "MASE", "extra_metrics": ["SQL"]}
    summary = run(fev.Task(dataset_path=str(file), quantile_levels=[0.1, 0.5, 0.9], **options), tsar.AR(lags=24))
    frame = pd.read_parquet(file)
    expected = []
    for end in (188, 176):
        for _, rows in frame.groupby("id"):
            y = rows["target"].to_numpy()
            median = tsar.AR(lags=24).fit(y[:end]).predict(12).quantile(0.5)[0]
            scale = metrics.seasonal_error(y[:end], 24)
            expected.append(np.abs(y[end : end + 12] - median).mean() / scale)
    assert summary["test_error"] == pytest.approx(np.mean(expected), rel=1e-6)
    assert np.isfinite(summary["SQL"])


def test_covariates_and_several_targets(file: Path) -> None:
    options = {"dataset_path": str(file), "horizon": 12, "target": ["target", "other"], "seasonality": 24}
    blind = run(fev.Task(**options), tsar.AR(lags=24))
    seeing = run(fev.Task(**options, known_dynamic_columns=["effect"]), tsar.AR(lags=24))
    assert seeing["test_error"] < 0.3 * blind["test_error"]
