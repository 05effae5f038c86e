"""Panel: every accepted input gives the same series; bad input is named; nothing the caller owns is touched."""

from __future__ import annotations

import warnings
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from tsar.panel import Panel

TIMES = pd.date_range("2020-01-01", periods=30, freq="D")


def long(n: int = 3, names: tuple[str, str, str] = ("item_id", "timestamp", "target")) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    item, time, target = names
    return pd.concat([pd.DataFrame({item: f"s{i}", time: TIMES, target: rng.normal(size=30)}) for i in range(n)])


def inputs() -> dict[str, Any]:
    import polars
    import pyarrow

    frame = long()
    rows = frame.target.to_numpy().reshape(3, 30)
    wide = pd.DataFrame(rows.T, index=TIMES, columns=["s0", "s1", "s2"])
    with warnings.catch_warnings():  # gluonts speaks of pandas aliases
        warnings.simplefilter("ignore")
        from gluonts.dataset.common import ListDataset

        records = [{"start": pd.Period("2020-01-01", "D"), "target": r, "item_id": f"s{i}"} for i, r in enumerate(rows)]
        gluonts = ListDataset(records, freq="D")
    return {
        "long": frame,
        "other names": long(names=("unique_id", "ds", "y")),
        "shuffled": frame.sample(frac=1, random_state=0),
        "categorical ids": frame.assign(item_id=frame.item_id.astype("category")),
        "text stamps": frame.assign(timestamp=frame.timestamp.astype(str)),
        "indexed": frame.set_index(["item_id", "timestamp"]),
        "wide": wide,
        "wide with time column": wide.rename_axis("timestamp").reset_index(),
        "mapping of series": {c: wide[c] for c in wide},
        "polars": polars.from_pandas(frame),
        "arrow": pyarrow.Table.from_pandas(frame, preserve_index=False),
        "gluonts": gluonts,
    }


@pytest.mark.parametrize("kind", list(inputs()))
def test_every_kind_gives_the_same_panel(kind: str) -> None:
    want, got = Panel.of(long()), Panel.of(inputs()[kind])
    assert list(got.ids) == list(want.ids) and got.freq == "D"
    np.testing.assert_allclose(got.values, want.values, rtol=1e-6 if kind == "gluonts" else 0)
    np.testing.assert_array_equal(got.times, want.times)


@pytest.mark.parametrize("data", [np.arange(6.0), [0, 1, 2, 3, 4, 5], pd.Series(np.arange(6.0)), np.arange(6.0)[None]])
def test_bare_values_get_integer_steps(data: Any) -> None:
    panel = Panel.of(data)
    assert len(panel) == 1 and panel.freq == 1
    np.testing.assert_array_equal(panel.times, np.arange(6))
    np.testing.assert_array_equal(panel.future_times(2), [[6, 7]])


def test_ragged_list() -> None:
    panel = Panel.of([np.arange(3.0), np.arange(5.0)])
    np.testing.assert_array_equal(panel.lengths, [3, 5])
    np.testing.assert_array_equal(panel.padded(), [[np.nan, np.nan, 0, 1, 2], [0, 1, 2, 3, 4]])
    np.testing.assert_array_equal(panel.padded(longest=2), [[1, 2], [3, 4]])


def test_missing_rows_become_nan() -> None:
    frame = long(2).drop(index=[5, 6])
    panel = Panel.of(frame)
    np.testing.assert_array_equal(panel.lengths, [30, 30])
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(panel.values)), [5, 6, 35, 36])
    assert panel.times[5] == TIMES[5]


def test_time_zones_keep_their_clock_and_their_calendar() -> None:
    hours = pd.date_range("2024-03-30 20:00", periods=10, freq="h", tz="Europe/Berlin")  # clocks change in between
    panel = Panel.of(pd.Series(np.arange(10.0), index=hours))
    assert panel.freq == "h" and not np.isnan(panel.values).any()
    assert panel.stamp(panel.future_times(1)[0])[0] == hours[-1] + pd.Timedelta("1h")
    days = pd.date_range("2024-03-25", periods=10, freq="D", tz="Europe/Berlin")
    panel = Panel.of(pd.Series(np.arange(10.0), index=days))
    assert panel.freq == "D" and panel.stamp(panel.future_times(1)[0])[0] == pd.Timestamp(
        "2024-04-04", tz="Europe/Berlin"
    )


def test_covariates_and_future() -> None:
    frame = long(2).assign(price=np.arange(60.0), shop=np.repeat(["a", "b"], 30))
    panel = Panel.of(frame, covariates=["price"], static=["shop"])
    assert list(panel.static["shop"]) == ["a", "b"] and panel.covariates["price"][31] == 31
    ahead = pd.date_range("2020-01-31", periods=2, freq="D")
    future = pd.DataFrame({"item_id": ["s1"] * 2 + ["s0"] * 2, "timestamp": [*ahead, *ahead], "price": [3.0, 4, 1, 2]})
    np.testing.assert_array_equal(panel.read_future(future, 2, ["price"])["price"], [[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="future lacks item 's1' at 2020-02-01"):
        panel.read_future(future.drop(index=1), 2, ["price"])
    with pytest.raises(ValueError, match="expected future="):
        panel.read_future(None, 2, ["price"])
    with pytest.raises(ValueError, match="'shop' changes within item"):
        Panel.of(frame.assign(shop=np.arange(60)), static=["shop"])


def test_slices_agree_with_the_whole() -> None:
    panel = Panel.of([np.arange(3.0), np.arange(5.0), np.arange(2.0)])
    np.testing.assert_array_equal(panel.take([2, 0]).values, [0, 1, 0, 1, 2])
    np.testing.assert_array_equal(panel.until([1, 0, 9]).values, [0, 0, 1])
    np.testing.assert_array_equal(panel.last(2).values, [1, 2, 3, 4, 0, 1])
    assert list(panel.until([1, 0, 9]).ids) == [0, 2]


def test_input_is_never_modified() -> None:
    frame = long().sample(frac=1, random_state=0)
    before = frame.copy(deep=True)
    panel = Panel.of(frame)
    panel.values[:] = 0
    pd.testing.assert_frame_equal(frame, before)


FRAME = long(2).reset_index(drop=True)
BAD: dict[str, tuple[Any, str]] = {
    "text": ("series.csv", "cannot read str"),
    "number": (3, "cannot read int"),
    "empty list": ([], "empty"),
    "empty frame": (pd.DataFrame(), "empty"),
    "frame without rows": (FRAME.iloc[:0], "empty"),
    "empty array": (np.zeros(0), "empty"),
    "cube": (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
    "no target": (FRAME.drop(columns="target"), "no target"),
    "text target": (FRAME.assign(target="a"), "'target' is not numeric"),
    "infinity": (FRAME.assign(target=np.inf), r"item 's0' holds inf at 2020-01-01"),
    "duplicate": (pd.concat([FRAME, FRAME.iloc[[31]]]), r"item 's1' has two rows at 2020-01-02"),
    "missing id": (FRAME.assign(item_id=[None, *FRAME.item_id[1:]]), "missing item id in row 0"),
    "missing time": (FRAME.assign(timestamp=FRAME.timestamp.where(FRAME.index != 40)), "'s1' has a missing time"),
    "no time": (FRAME.assign(timestamp="soon"), "'timestamp' is neither timestamps nor integer steps"),
    "fractional steps": (FRAME.assign(timestamp=np.arange(60) / 2), "expected integer steps"),
    "irregular": (FRAME.assign(timestamp=FRAME.timestamp + pd.to_timedelta(FRAME.index**2, "s")), "irregular"),
    "one row": (FRAME.iloc[:1], "single timestamp"),
    "sparse": (FRAME.assign(timestamp=np.r_[0:29, 10**9, 0:30]), "too sparse"),
    "wide with text": (pd.DataFrame({"a": ["x", "y"]}), "'a' is not numeric"),
    "record without start": ([{"target": [1.0]}], "expected at least 'start' and 'target'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case: str) -> None:
    data, message = BAD[case]
    with pytest.raises((ValueError, TypeError), match=message):
        Panel.of(data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"freq": "fortnight"}, "unknown frequency 'fortnight'"),
        ({"freq": "h"}, None),
        ({"freq": "MS"}, "not on the grid of frequency 'MS'"),
        ({"freq": 1}, "does not fit times"),
        ({"season_length": 0}, "season_length must be a positive integer"),
        ({"season_length": 2.5}, "season_length must be a positive integer"),
        ({"covariates": ["price"]}, r"lacks the columns \['price'\]"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str | None) -> None:
    if message is None:
        assert Panel.of(FRAME, **options).lengths[0] == 29 * 24 + 1  # days on an hourly grid: 23 of 24 are missing
    else:
        with pytest.raises(ValueError, match=message):
            Panel.of(FRAME, **options)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=0, max_dims=3, max_side=6)), st.booleans())
def test_any_array_is_read_whole_or_refused(array: np.ndarray, as_list: bool) -> None:
    data = array.tolist() if as_list else array
    try:
        panel = Panel.of(data)
    except (ValueError, TypeError) as error:
        bad = array.ndim not in (1, 2) or not array.size or np.isinf(array).any()
        assert str(error) and (bad or as_list)
    else:
        np.testing.assert_array_equal(panel.values, array.ravel())
