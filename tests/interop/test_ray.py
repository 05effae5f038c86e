"""The Ray door on a local cluster of two nodes: the single-process answer, whatever dies on the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tsar
from tsar.forecasters.prediction import Prediction

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


class Deadly(tsar.AR):
    """Kills its own process the first time that anything is asked of it, as a machine that is taken away does."""

    def __init__(self, flag: str = "", *, lags: int = 2, on_error: str = "raise") -> None:
        super().__init__(lags, on_error=on_error)
        self.flag = flag

    def _predict(self, panel: tsar.Panel, horizon: int, future: Mapping[str, np.ndarray]) -> Prediction:
        if not Path(self.flag).exists():
            Path(self.flag).write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._predict(panel, horizon, future)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}  # beside other tests on the same cores
    import ray
    from ray.cluster_utils import Cluster

    import_path = str(Path(__file__).parent)  # workers import `Deadly` by the name that pytest gives this module
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 2**27})
    nodes.add_node(num_cpus=1, object_store_memory=2**27)
    ray.init(nodes.address, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": import_path}})
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    lengths = rng.integers(40, 80, 30)
    parts = [
        pd.DataFrame({"unique_id": f"s{i:02d}", "ds": pd.date_range("2024-01-01", periods=n), "y": rng.normal(size=n)})
        for i, n in enumerate(lengths)
    ]
    return pd.concat(parts).sample(frac=1, random_state=0)  # rows of a series lie scattered


def same(answer: Any, frame: pd.DataFrame, model: tsar.Forecaster, **options: Any) -> bool:
    direct = model.fit(frame).predict(3, random_state=0, **options).to_frame()
    got = answer.to_pandas().sort_values(["unique_id", "ds"], ignore_index=True)
    pd.testing.assert_frame_equal(got.drop(columns="note"), direct, check_dtype=False, rtol=1e-9)
    return True


def test_a_data_set_is_forecast_as_in_one_process(cluster: None, frame: pd.DataFrame) -> None:
    import ray.data

    from tsar.interop.ray import forecast

    data = ray.data.from_pandas(frame).repartition(5)
    assert same(forecast(data, tsar.AR(lags=2), 3, parts=4, workers=2), frame, tsar.AR(lags=2))
    model = tsar.AutoARIMA(season_length=7, max_p=1, max_q=1)
    assert same(forecast(data, model, 3, parts=4, workers=2), frame, model)


def test_a_killed_worker_is_replaced(cluster: None, frame: pd.DataFrame, tmp_path: Path) -> None:
    import ray.data

    from tsar.interop.ray import forecast

    flag = tmp_path / "killed"
    answer = forecast(ray.data.from_pandas(frame), Deadly(str(flag)), 3, parts=4, workers=2, out=str(tmp_path / "out"))
    assert same(answer, frame, tsar.AR(lags=2))
    assert flag.exists()


def test_a_run_that_failed_goes_on_where_it_stopped(cluster: None, frame: pd.DataFrame, tmp_path: Path) -> None:
    from tsar.interop.ray import forecast

    (tmp_path / "in").mkdir()
    for number, ids in enumerate(np.array_split(frame["unique_id"].unique(), 3)):
        rows = frame[frame["unique_id"].isin(ids)]
        broken = rows.assign(y=np.inf) if number == 2 else rows
        broken.to_parquet(tmp_path / "in" / f"{number}.parquet")
    run = {"data": str(tmp_path / "in"), "model": tsar.AR(lags=2), "horizon": 3, "out": str(tmp_path / "out")}
    with pytest.raises(Exception, match="expected finite values"):
        forecast(workers=1, **run)
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "out").iterdir() if file.name[0] != "."}
    assert len(before) == 2
    rows.to_parquet(tmp_path / "in" / "2.parquet")
    assert same(forecast(workers=1, **run), frame, tsar.AR(lags=2))
    after = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "out").iterdir() if file.name[0] != "."}
    assert len(after) == 3 and before.items() <= after.items()
    with pytest.raises(ValueError, match="answers of another run: expected horizon=4, found 3"):
        forecast(workers=1, **{**run, "horizon": 4})


def test_impossible_input_is_refused_before_any_work(cluster: None, tmp_path: Path) -> None:
    import ray.data

    from tsar.interop.ray import forecast

    with pytest.raises(ValueError, match="expected an id column"):
        forecast(ray.data.from_pandas(pd.DataFrame({"y": [1.0]})), tsar.Naive(), 3)
    with pytest.raises(ValueError, match="lies in"):
        forecast(str(tmp_path), tsar.Naive(), 3, out=str(tmp_path / "answers"))
    with pytest.raises(ValueError, match="found none"):
        forecast(str(tmp_path), tsar.Naive(), 3)
