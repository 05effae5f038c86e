"""The simplest forecasts: their values by hand, their spreads against statsforecast's."""

from __future__ import annotations

import numpy as np
import pytest

import tsar


def test_means_by_hand() -> None:
    y_L = np.array([1.0, 2.0, 4.0, 7.0, 3.0, 9.0])
    assert tsar.Naive().fit(y_L).predict(3).mean[0].tolist() == [9, 9, 9]
    assert tsar.SeasonalNaive(4).fit(y_L).predict(6).mean[0].tolist() == [4, 7, 3, 9, 4, 7]
    np.testing.assert_allclose(tsar.Drift().fit(y_L).predict(2).mean[0], [9 + 8 / 5, 9 + 16 / 5])
    np.testing.assert_allclose(tsar.WindowAverage(2).fit(y_L).predict(2).mean[0], [6, 6])


def test_missing_values_are_passed_over() -> None:
    y_L = np.array([1.0, 2.0, 3.0, 4.0, np.nan, 6.0, 7.0, np.nan])
    assert tsar.Naive().fit(y_L).predict(1).mean[0, 0] == 7
    assert tsar.SeasonalNaive(4).fit(y_L).predict(4).mean[0].tolist() == [1, 6, 7, 4]
    np.testing.assert_allclose(tsar.Drift().fit(y_L).predict(1).mean[0, 0], 7 + 2 * 1.0)
    wider = tsar.Naive().fit(y_L)
    spread = np.diff(wider.predict(1).interval(0.8), axis=0)[0, 0, 0]
    want = np.sqrt(2) * np.diff(wider.predict(1, y_L[:-1]).interval(0.8), axis=0)[0, 0, 0]
    np.testing.assert_allclose(spread, want)


def test_spreads_are_those_of_statsforecast() -> None:
    models = pytest.importorskip("statsforecast.models")
    y_L = np.random.default_rng(0).normal(size=80).cumsum()
    for own, peer in (
        (tsar.Naive(), models.Naive()),
        (tsar.SeasonalNaive(7), models.SeasonalNaive(7)),
        (tsar.Drift(), models.RandomWalkWithDrift()),
    ):
        theirs = peer.fit(y_L).predict(10, level=[80])
        forecast = own.fit(y_L).predict(10)
        np.testing.assert_allclose(forecast.mean[0], theirs["mean"], rtol=1e-6)
        np.testing.assert_allclose(forecast.quantile(0.9)[0], theirs["hi-80"], rtol=0.02)


def test_fitted_values_are_one_step_ahead() -> None:
    y_NL = np.random.default_rng(0).normal(size=(3, 30)).cumsum(1)
    fitted = tsar.SeasonalNaive(5).fit(y_NL)
    resid = fitted.residuals_.reshape(3, 30)
    assert np.isnan(resid[:, :5]).all()
    np.testing.assert_allclose(resid[:, 5:], y_NL[:, 5:] - y_NL[:, :-5])
    np.testing.assert_allclose(fitted.sigma_, np.sqrt(np.mean(resid[:, 5:] ** 2, axis=1)))
