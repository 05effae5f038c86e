"""Frames of polars and arrow in, the same kind out, and the same numbers as from pandas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import tsar

polars = pytest.importorskip("polars")
pyarrow = pytest.importorskip("pyarrow")


def long_frame(zone: str | None) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    times = pd.date_range("2024-03-25", periods=240, freq="h", tz=zone)  # over a change to summer time
    rows = {"unique_id": np.repeat(["b", "a"], 240), "ds": np.tile(times, 2), "y": rng.normal(size=480)}
    frame = pd.DataFrame(rows | {"effect": rng.normal(size=480)})
    frame.loc[7, "y"] = np.nan
    return frame.astype({"ds": times.dtype})


CONVERSIONS = {
    "polars": (polars.from_pandas, lambda answer: answer.to_pandas(), polars.DataFrame),
    "lazy polars": (lambda f: polars.from_pandas(f).lazy(), lambda answer: answer.to_pandas(), polars.DataFrame),
    "arrow": (
        lambda f: pyarrow.Table.from_pandas(f, preserve_index=False), lambda answer: answer.to_pandas(), pyarrow.Table,
    ),
}  # fmt: skip


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
@pytest.mark.parametrize("kind", CONVERSIONS)
def test_same_kind_out_and_the_same_numbers(kind: str, zone: str | None) -> None:
    convert, back, expected_type = CONVERSIONS[kind]
    frame = long_frame(zone)
    history, future = frame[frame.groupby("unique_id").cumcount() < 234], frame.groupby("unique_id").tail(6)
    future = future.drop(columns="y")
    given: Any = convert(history)
    model = tsar.AR(lags=2, known=["effect"]).fit(given)
    answer = model.predict(6, future=convert(future)).to_frame()
    assert type(answer) is expected_type
    direct = tsar.AR(lags=2, known=["effect"]).fit(history).predict(6, future=future).to_frame()
    pd.testing.assert_frame_equal(back(answer), direct, check_dtype=False)
    again = given.collect() if kind == "lazy polars" else given
    pd.testing.assert_frame_equal(back(again), history.reset_index(drop=True), check_dtype=False)  # not modified


def test_probabilities_come_in_the_kind_of_the_input_too() -> None:
    forecast = tsar.Naive().fit(polars.from_pandas(long_frame(None))).predict(3, num_samples=50)
    assert isinstance(forecast.prob(lambda paths: paths.max(-1) > 0), polars.DataFrame)


def test_wide_frames_of_polars_and_arrow() -> None:
    wide = pd.DataFrame({"ds": pd.date_range("2024", periods=30), "a": np.arange(30.0), "b": -np.arange(30.0)})
    for given in (polars.from_pandas(wide), pyarrow.Table.from_pandas(wide)):
        np.testing.assert_allclose(tsar.Drift().fit(given).predict(2).mean, [[30, 31], [-30, -31]])
