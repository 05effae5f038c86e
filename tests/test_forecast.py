"""Forecast: any quantile, intervals, probabilities over paths with their error, and a frame with the caller's names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from tsar.forecast import DECILES, Forecast, check_levels
from tsar.panel import Panel

FRAME = pd.DataFrame(
    {"unique_id": ["a"] * 5 + ["b"] * 5, "ds": [*pd.date_range("2020", periods=5, freq="MS")] * 2, "y": 1.0}
)


def normal(levels: tuple[float, ...] = DECILES, *, sample: bool = False, function: bool = True) -> Forecast:
    panel = Panel.of(FRAME)

    def quantiles(levels_q: np.ndarray) -> np.ndarray:
        return np.broadcast_to(norm.ppf(levels_q), (2, 3, len(levels_q)))

    def draw(count: int) -> np.ndarray:
        return np.random.default_rng(0).normal(size=(2, count, 3))

    return Forecast.of(
        panel, 3, mean_NH=np.zeros((2, 3)), levels=levels, quantiles_NHQ=quantiles(np.array(levels)),
        _quantile=quantiles if function else None, _sample=draw if sample else None, notes={"b": "short"},
    )  # fmt: skip


def test_frame_keeps_the_callers_names_and_continues_the_index() -> None:
    frame = normal().to_frame()
    assert list(frame) == ["unique_id", "ds", "mean", *[f"{q:.1f}" for q in DECILES], "note"]
    assert list(frame.ds[:3]) == list(pd.date_range("2020-06-01", periods=3, freq="MS"))
    assert list(frame.note) == [""] * 3 + ["short"] * 3


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_frame_is_of_the_callers_kind(library: str) -> None:
    import polars
    import pyarrow

    data = polars.from_pandas(FRAME) if library == "polars" else pyarrow.Table.from_pandas(FRAME)
    forecast = Forecast.of(Panel.of(data), 1, mean_NH=np.zeros((2, 1)), levels=(), quantiles_NHQ=np.zeros((2, 1, 0)))
    assert type(forecast.to_frame()).__module__.startswith(library)
    assert len(forecast.to_frame()) == 2


def test_quantiles_beyond_the_levels() -> None:
    assert normal().quantile(0.975) == pytest.approx(1.959964, abs=1e-5)
    low, high = normal().interval(0.95)
    assert low == pytest.approx(-high) and high.shape == (2, 3)


def test_a_bare_table_interpolates_inside_and_refuses_outside() -> None:
    bare = normal(function=False)
    assert bare.quantile(0.55)[0, 0] == pytest.approx((norm.ppf(0.5) + norm.ppf(0.6)) / 2)
    with pytest.raises(ValueError, match=r"0.95 cannot be had.*predict\(levels"):
        bare.quantile(0.95)


def test_probability_of_an_event_on_paths() -> None:
    frame = normal(sample=True).prob(lambda paths: paths.max(-1) > 1, num_samples=4000)
    want = 1 - norm.cdf(1) ** 3
    assert (np.abs(frame.probability - want) < 4 * frame.standard_error).all()
    assert frame.standard_error.to_numpy() == pytest.approx(np.sqrt(want * (1 - want) / 4000), rel=0.1)


def test_probability_is_refused_where_only_marginals_exist() -> None:
    with pytest.raises(ValueError, match="marginal quantiles only"):
        normal().prob(lambda paths: paths.max(-1) > 1)


def test_an_event_must_judge_whole_paths() -> None:
    with pytest.raises(ValueError, match=r"booleans \(2, 1000\)"):
        normal(sample=True).prob(lambda paths: paths > 1)


@pytest.mark.parametrize("levels", [[0.0], [1.0], [-0.1, 0.5], [np.nan], ["many"]])
def test_impossible_levels(levels: list[float]) -> None:
    with pytest.raises(ValueError, match="levels must"):
        check_levels(levels)


def test_levels_are_sorted_and_unique() -> None:
    assert check_levels([0.9, 0.1, 0.9]) == (0.1, 0.9)


@pytest.mark.parametrize("coverage", [0, 1, 80])
def test_impossible_coverage(coverage: float) -> None:
    with pytest.raises(ValueError, match="coverage must lie"):
        normal().interval(coverage)
