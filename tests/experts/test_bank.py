"""All experts together: batch invariance, scale, missing values, back-tests, seasons."""

import numpy as np
import pytest
import torch

from tsar.experts.bank import NAMES, experts
from tsar.experts.detect import season_length
from tsar.experts.series import left_aligned


def forecasts(y, horizon, period):
    bank = experts(y, horizon, period)
    return bank.forecast_BEH * bank.scale_B[:, None, None]


def periods(n, one=12, two=1):
    return torch.full((n,), one), torch.full((n,), two)


@pytest.fixture
def seasonal():
    rng = np.random.default_rng(0)
    time = np.arange(150)
    y = 0.05 * time + np.sin(2 * np.pi * time / 12) * 3 + rng.standard_normal((4, 150)) * 0.3
    return torch.as_tensor(y)


def test_alone_equals_in_batch(seasonal):
    short = torch.cat([torch.full((90,), torch.nan, dtype=torch.float64), seasonal[1, -60:]])
    short[100] = torch.nan
    together = forecasts(torch.stack([seasonal[0], short, torch.ones(150).double()]), 10, periods(3))
    alone = forecasts(short[None, 90:], 10, periods(1))
    torch.testing.assert_close(together[1:2], alone, rtol=1e-9, atol=1e-9)


def test_every_expert_follows_shift_and_scale(seasonal):
    y = seasonal - 100  # negative: nothing is taken in logarithms
    base = forecasts(y, 8, periods(4))
    moved = forecasts(y * 1e4 - 3e5, 8, periods(4))
    torch.testing.assert_close(moved, base * 1e4 - 3e5, rtol=1e-6, atol=1e-3)


def test_backtest_errors_are_those_of_earlier_forecasts(seasonal):
    bank = experts(seasonal, 10, periods(4))
    naive = bank.error_BEKH[0, NAMES.index("naive")]
    y = seasonal[0]
    last = naive[-1]  # the earliest origin: two horizons before the end
    torch.testing.assert_close(last * bank.scale_B[0], y[129] - y[130:140])
    assert torch.isnan(naive[0][3:]).all() and torch.isfinite(naive[0][:2]).all()


def test_seasonal_experts_beat_the_others_on_a_seasonal_series(seasonal):
    truth = 0.05 * np.arange(150, 162) + np.sin(2 * np.pi * np.arange(150, 162) / 12) * 3
    error = (forecasts(seasonal, 12, periods(4)) - torch.as_tensor(truth)).abs().mean((0, 2))
    assert error[NAMES.index("theta")] < 0.6 < 1.5 < error[NAMES.index("naive")]
    assert error[NAMES.index("damped_holt")] < 0.6 and error[NAMES.index("ar_seasonal")] < 0.8


@pytest.mark.parametrize("kind", ["constant", "three", "one", "huge", "tiny", "gaps"])
def test_odd_series_get_finite_forecasts(kind):
    rng = np.random.default_rng(1)
    y = rng.standard_normal(40)
    if kind == "gaps":
        y[5:30] = np.nan
    y = {
        "constant": np.full(30, 7.0), "three": y[:3], "one": y[:1], "huge": y * 1e30, "tiny": y * 1e-30, "gaps": y
    }[kind]  # fmt: skip
    got = forecasts(torch.as_tensor(y)[None], 20, periods(1, 4, 1))
    assert torch.isfinite(got).all()
    if kind == "constant":
        np.testing.assert_allclose(got.numpy(), 7.0, rtol=1e-9)


def test_no_value_at_all_is_an_error():
    with pytest.raises(ValueError, match="series 1 has no observed value"):
        experts(torch.tensor([[1.0, 2.0], [torch.nan, torch.nan]]), 3, periods(2))


def test_detection_finds_a_season_and_no_season():
    rng = np.random.default_rng(5)
    time = np.arange(400)
    day = np.sin(2 * np.pi * time / 24) + 0.4 * rng.standard_normal(400)
    walk = np.cumsum(rng.standard_normal(400))
    noise = rng.standard_normal(400)
    found = season_length(left_aligned(torch.as_tensor(np.stack([day, walk, noise]))))
    assert found.tolist() == [24, 1, 1]
