"""Tests for differencing against statsmodels, and the Box-Cox transformation against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.tsa.seasonal import STL
from statsmodels.tsa.stattools import kpss as kpss_of_statsmodels

from tsar.forecasters.arima import boxcox
from tsar.forecasters.arima.differencing import choose_differences, difference, kpss, season_strength


@pytest.mark.parametrize(("season", "steps"), [(4, 9), (7, 40), (12, 150), (24, 49), (52, 300)])
def test_strength_of_season_is_that_of_stl(season: int, steps: int) -> None:
    rng = np.random.default_rng(season)
    y_TB = rng.normal(size=(steps, 3)).cumsum(0) + np.sin(2 * np.pi * np.arange(steps) / season)[:, None]
    for b, ours in enumerate(season_strength(y_TB, season)):
        fit = STL(y_TB[:, b], period=season, seasonal=11, seasonal_deg=0).fit()
        want = max(0.0, 1 - fit.resid.var() / (fit.resid + fit.seasonal).var())
        assert ours == pytest.approx(want, abs=1e-10)


@pytest.mark.filterwarnings("ignore")
def test_kpss_is_statsmodels() -> None:
    y_TB = np.random.default_rng(0).normal(size=(90, 4))
    y_TB[:, 2:] = y_TB[:, 2:].cumsum(0)
    lags = int(3 * np.sqrt(90) / 13)
    want = [kpss_of_statsmodels(y_TB[:, b], "c", nlags=lags)[0] for b in range(4)]
    np.testing.assert_allclose(kpss(y_TB), want)


def test_differences_of_known_processes() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(200, 30))
    season = 5 * np.sin(2 * np.pi * np.arange(200) / 12)[:, None]
    assert choose_differences(noise, 12, None, None)[0].mean() < 0.2
    assert (choose_differences(noise.cumsum(0), 1, None, None)[0] == 1).mean() > 0.8
    assert (choose_differences(noise.cumsum(0).cumsum(0), 1, None, None)[0] == 2).mean() > 0.8
    assert (choose_differences(noise + season, 12, None, None)[1] == 1).all()
    assert (choose_differences(noise, 12, 1, 0)[0] == 1).all()
    np.testing.assert_allclose(difference(np.arange(20.0) ** 2, 1, 1, 4), np.full(15, 8.0))


@pytest.mark.parametrize("power", [-0.5, 0.0, 0.5, 2.0])
def test_box_cox_goes_back(power: float) -> None:
    y = np.array([0.5, 1.0, 7.0, 40.0])
    np.testing.assert_allclose(boxcox.inverse(boxcox.transform(y, power), power), y)


def test_mean_goes_back_as_samples_do_and_guerrero_finds_the_logarithm() -> None:
    rng = np.random.default_rng(2)
    draws = boxcox.inverse(rng.normal(3.0, 0.3, 200_000), 0.3)
    assert boxcox.mean_back(np.array([3.0]), np.array([0.09]), 0.3)[0] == pytest.approx(draws.mean(), rel=2e-3)
    level = np.exp(np.repeat(np.linspace(0, 5, 60), 12))
    assert abs(boxcox.guerrero(level * np.exp(0.1 * rng.normal(size=720)), 12)) < 0.15
    with pytest.raises(ValueError, match="positive"):
        boxcox.guerrero(np.array([1.0, -1.0, 2.0, 3.0]), 1)
