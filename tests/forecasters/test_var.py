"""VAR equals statsmodels' VAR; its paths keep the correlation between variates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa.api import VAR as PeerVAR

import tsar


def system(length: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    lag = np.array([[0.5, 0.2, 0.0], [0.0, 0.6, 0.1], [0.1, 0.0, 0.4]])
    mix = np.array([[1.0, 0.8, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    y_LK = np.zeros((length, 3))
    for t in range(1, length):
        y_LK[t] = 1 + lag @ y_LK[t - 1] + rng.normal(size=3) @ mix
    return pd.DataFrame(y_LK, index=pd.date_range("2020-01-01", periods=length, freq="D"), columns=list("abc"))


@pytest.mark.parametrize("trend", ["n", "c", "ct"])
def test_var_is_that_of_statsmodels(trend: str) -> None:
    wide = system()
    peer = PeerVAR(wide.to_numpy()).fit(2, trend=trend)
    fitted = tsar.VAR(2, trend=trend).fit(wide)
    forecast = fitted.predict(8, levels=[0.1, 0.9])
    mean, low, high = peer.forecast_interval(wide.to_numpy()[-2:], 8, alpha=0.2)
    np.testing.assert_allclose(forecast.mean.T, mean, rtol=1e-6)
    np.testing.assert_allclose(forecast.quantile(0.1).T, low, rtol=1e-6)
    np.testing.assert_allclose(forecast.quantile(0.9).T, high, rtol=1e-6)
    resid = fitted.residuals_.reshape(3, -1).T[2:]
    np.testing.assert_allclose(resid, peer.resid, atol=1e-8)


def test_order_is_that_of_statsmodels() -> None:
    wide = system()
    assert tsar.VAR(max_lags=6).fit(wide).order_ == PeerVAR(wide.to_numpy()).select_order(6).bic
    assert tsar.VAR(max_lags=6, criterion="aic").fit(wide).order_ == PeerVAR(wide.to_numpy()).select_order(6).aic


def test_paths_keep_the_correlation_and_the_order_of_items_does_not_matter() -> None:
    fitted = tsar.VAR(1).fit(system())
    forecast = fitted.predict(2, num_samples=4000, random_state=0)
    found = np.corrcoef(forecast.samples[:, :, 0])
    scale = np.sqrt(np.diag(fitted.covariance_))
    np.testing.assert_allclose(found, fitted.covariance_ / np.outer(scale, scale), atol=0.05)
    other = fitted.predict(2, system()[["c", "a", "b"]])
    for item, row in zip(other.ids, other.mean, strict=True):
        np.testing.assert_allclose(row, forecast.mean[list(forecast.ids).index(item)])


def test_variates_must_end_together_and_all_be_there() -> None:
    wide = system()
    series = {"a": wide["a"], "b": wide["b"].iloc[:-1]}
    with pytest.raises(ValueError, match="item 'b' ends at"):
        tsar.VAR(1).fit(series)
    with pytest.raises(ValueError, match="'c' is missing"):
        tsar.VAR(1).fit(wide).predict(1, wide[["a", "b"]])
    with pytest.raises(ValueError, match="coefficients a variate"):
        tsar.VAR(5).fit(wide.head(12))


def test_gap_at_the_end_is_filled_and_told() -> None:
    wide = system()
    holes = wide.copy()
    holes.iloc[-1, 0] = np.nan
    fitted = tsar.VAR(1).fit(wide)
    one_before = fitted.predict(1, wide.iloc[:-1]).mean[0, 0]
    filled = wide.copy()
    filled.iloc[-1, 0] = one_before
    forecast = fitted.predict(3, holes)
    np.testing.assert_allclose(forecast.mean, fitted.predict(3, filled).mean)
    assert "1 missing" in forecast.notes["a"]
