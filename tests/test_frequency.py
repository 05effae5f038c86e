"""Frequencies: inferred from stamps, gaps allowed, continued over the horizon, and a season for each."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tsar import frequency

ALIASES = ["h", "D", "B", "W-SUN", "W-TUE", "MS", "ME", "QS", "QE", "QE-NOV", "QS-FEB", "YS", "YE", "YE-JUN", "15min"]
ALIASES += ["10s", "5ms", "2h", "2MS", "2YS-JAN", "4W-MON", "30D"]


def stamps(freq: str, n: int = 60) -> np.ndarray:
    return pd.date_range("2000-01-01", periods=n, freq=freq).as_unit("ns").to_numpy()


@pytest.mark.parametrize("freq", ALIASES)
def test_infers_places_and_continues(freq: str) -> None:
    times = stamps(freq)
    assert frequency.infer(times, np.array([0, 60]), ["a"]) == freq
    place, on_grid = frequency.positions(times, np.repeat(times[:1], 60), freq)
    assert on_grid.all() and (place == np.arange(60)).all()
    ahead = frequency.advance(times[[0, 7]], np.arange(1, 40), freq)
    np.testing.assert_array_equal(ahead, np.stack([times[1:40], times[8:47]]))


@pytest.mark.parametrize("freq", ["h", "B", "W-TUE", "MS", "QE", "YS", "15min"])
def test_gaps_do_not_hide_the_frequency(freq: str) -> None:
    times = np.delete(stamps(freq), [10, 11, 30])
    assert frequency.infer(times, np.array([0, 57]), ["a"]) == freq


@pytest.mark.parametrize("freq", ["BME", "SMS"])
def test_a_given_frequency_may_be_any_offset(freq: str) -> None:
    times = stamps(freq)
    place, on_grid = frequency.positions(times, np.repeat(times[:1], 60), freq)
    assert on_grid.all() and (place == np.arange(60)).all()
    np.testing.assert_array_equal(frequency.advance(times[:1], np.arange(1, 20), freq)[0], times[1:20])


def test_irregular_and_mixed_steps_name_the_item() -> None:
    times = stamps("D", 20)
    times[13] += np.timedelta64(7, "m")
    with pytest.raises(ValueError, match="'b'.*irregular"):
        frequency.infer(np.concatenate([stamps("D", 20), times]), np.array([0, 20, 40]), ["a", "b"])
    with pytest.raises(ValueError, match=r"'b' has steps of 1 days.*'a'"):
        frequency.infer(np.concatenate([stamps("h", 20), stamps("D", 20)]), np.array([0, 20, 40]), ["a", "b"])


def test_one_stamp_has_no_frequency() -> None:
    with pytest.raises(ValueError, match="single timestamp"):
        frequency.infer(stamps("D", 1), np.array([0, 1]), ["a"])


@pytest.mark.parametrize(
    ("freq", "season"),
    [("h", 24), ("D", 7), ("B", 5), ("W-TUE", 52), ("ME", 12), ("QS", 4), ("YE", 1), ("15min", 96), ("30min", 48)],
)
def test_season_of_a_frequency(freq: str, season: int) -> None:
    assert frequency.season_length(freq) == season


@pytest.mark.parametrize("period", [4, 7, 12, 24, 52])
def test_detects_a_season(period: int) -> None:
    rng = np.random.default_rng(0)
    step = np.arange(period * 8)
    y = 3 * np.sin(2 * np.pi * step / period) + 0.05 * step + rng.normal(size=len(step)) * 0.5
    assert frequency.detect_season(y) == period
    y[rng.integers(0, len(y), 5)] = np.nan
    assert frequency.detect_season(y) == period


@pytest.mark.parametrize("y", [np.ones(50), np.full(50, np.nan), np.arange(60.0), np.zeros(3)])
def test_no_season_where_there_is_none(y: np.ndarray) -> None:
    assert frequency.detect_season(y) == 1


def test_no_season_in_noise() -> None:
    rng = np.random.default_rng(1)
    assert np.mean([frequency.detect_season(rng.normal(size=300)) == 1 for _ in range(50)]) > 0.9
