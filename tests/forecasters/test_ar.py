"""AR and ARNet: equal to statsmodels, exact with gaps, and their intervals and paths against simulation.

Legend: N items, L time, P lags, H horizon, S paths.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.regression.linear_model import burg, yule_walker
from statsmodels.tsa.ar_model import AutoReg, ar_select_order
from statsmodels.tsa.arima.model import ARIMA

import tsar
from tsar.forecasters.ar_gram import design, shared_gram
from tsar.forecasters.ar_paths import bridge, mean_path, psi_weights, state_response


def walks(n: int = 5, length: int = 120, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 40 + rng.normal(size=(n, length)).cumsum(1) * 0.4 + rng.normal(size=(n, length))


@pytest.mark.parametrize("season", [0, 7])
@pytest.mark.parametrize("trend", ["n", "c", "t", "ct"])
@pytest.mark.parametrize("lags", [3, [1, 2, 5, 12], 0])
def test_least_squares_is_autoreg(lags: int | list[int], trend: str, season: int) -> None:
    if lags == 0 and trend == "n" and not season:
        pytest.skip("statsmodels has no model without any term")
    y_NL = walks()
    fitted = tsar.AR(lags=lags, trend=trend, seasonal=season > 0, season_length=season or None).fit(y_NL)
    forecast = fitted.predict(9)
    for i, y_L in enumerate(y_NL):
        peer = AutoReg(y_L, lags, trend=trend, seasonal=season > 0, period=season or None).fit()
        own = fitted.params_.iloc[i].to_numpy()
        np.testing.assert_allclose(own[own != 0], peer.params, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(forecast.mean[i], peer.predict(len(y_L), len(y_L) + 8), rtol=1e-6)
        resid = fitted.residuals_.reshape(y_NL.shape)[i]
        np.testing.assert_allclose(resid[~np.isnan(resid)], peer.resid, rtol=1e-6, atol=1e-8)
        free = len(peer.resid) - len(peer.params)
        np.testing.assert_allclose(fitted.sigma_[i], np.sqrt(np.sum(peer.resid**2) / free), rtol=1e-6)


def test_real_series_are_autoreg() -> None:
    """Smooth, trending, nearly collinear: the series whose normal equations lose the most digits."""
    co2 = tsar.load_dataset("co2")["target"].interpolate().to_numpy()
    sunspots = tsar.load_dataset("sunspots")["target"].to_numpy()
    for y_L in (co2, sunspots, np.cumsum(co2 - co2.mean()), 1e6 + co2):
        own = tsar.AR(lags=12).fit(y_L).predict(7).mean[0]
        peer = AutoReg(y_L, 12).fit().predict(len(y_L), len(y_L) + 6)
        np.testing.assert_allclose(own, peer, rtol=1e-6)


def test_known_covariates_are_autoreg() -> None:
    rng = np.random.default_rng(1)
    y_L, x_LX = walks(1)[0], rng.normal(size=(130, 2))
    y_L = y_L + x_LX[:120] @ [2.0, -1.0]
    times = pd.date_range("2020-01-01", periods=130, freq="D")
    data = pd.DataFrame({"ds": times[:120], "y": y_L, "a": x_LX[:120, 0], "b": x_LX[:120, 1]})
    future = pd.DataFrame({"ds": times[120:], "a": x_LX[120:, 0], "b": x_LX[120:, 1]})
    fitted = tsar.AR(lags=2, known=["a", "b"]).fit(data)
    peer = AutoReg(y_L, 2, exog=x_LX[:120]).fit()
    np.testing.assert_allclose(fitted.params_.iloc[0][["const", "L1", "L2", "a", "b"]], peer.params, rtol=1e-6)
    want = peer.predict(120, 129, exog_oos=x_LX[120:])
    np.testing.assert_allclose(fitted.predict(10, future=future).mean[0], want, rtol=1e-6)
    with pytest.raises(ValueError, match="'b'"):
        fitted.predict(10, future=future.assign(b=np.nan))


def test_differences_are_autoreg_of_differences() -> None:
    y_NL = walks()
    forecast = tsar.AR(lags=3, diff=1, seasonal_diff=1, season_length=4).fit(y_NL).predict(8)
    for i, y_L in enumerate(y_NL):
        step_L = np.diff(y_L[4:] - y_L[:-4])
        ahead_H = AutoReg(step_L, 3).fit().predict(len(step_L), len(step_L) + 7)
        level = list(y_L)
        for value in ahead_H:
            level.append(value + level[-1] + level[-4] - level[-5])
        np.testing.assert_allclose(forecast.mean[i], level[-8:], rtol=1e-6)


def test_gaps_and_lengths_are_least_squares_on_complete_rows() -> None:
    y_NL = walks()
    y_NL[0, [10, 11, 60]] = np.nan
    series = [y_NL[0], y_NL[1, :90], y_NL[2, 30:], y_NL[3], y_NL[4]]
    params = tsar.AR(lags=4, trend="ct").fit(series).params_.to_numpy()
    for y_L, own in zip(series, params, strict=True):
        rows = np.array([[1, t + 1, *y_L[t - 4 : t][::-1], y_L[t]] for t in range(4, len(y_L))])
        rows = rows[~np.isnan(rows).any(1)]
        want = np.linalg.lstsq(rows[:, :-1], rows[:, -1], rcond=None)[0]
        np.testing.assert_allclose(own, want, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("trend", "season"), [("n", 0), ("c", 0), ("t", 0), ("ct", 5), ("n", 5)])
def test_shared_products_are_the_products(trend: str, season: int) -> None:
    y_BL, lags = walks(3, 50), np.array([1, 4, 6])
    rows_BRC, complete = design(y_BL, None, np.full(3, 50), lags, trend, season, skip=6)
    assert complete.all()
    want = np.moveaxis(rows_BRC.transpose(0, 2, 1) @ rows_BRC, 0, -1)
    lower = np.tril_indices(len(want))
    np.testing.assert_allclose(shared_gram(y_BL, lags, trend, season, skip=6)[lower], want[lower], rtol=1e-9)


def test_many_lags_and_collinear_series_among_others() -> None:
    """Wide designs go another way than narrow ones; a constant and a straight line have exact forecasts in both."""
    y_NL = walks(4, 400)
    y_NL[1], y_NL[2] = 3.0, np.arange(400)
    for lags in (12, 48):
        fitted = tsar.AR(lags=lags).fit(y_NL)
        mean = fitted.predict(3).mean
        np.testing.assert_allclose(mean[1:3], [[3, 3, 3], [400, 401, 402]], rtol=1e-6)
        peer = AutoReg(y_NL[3], lags).fit()
        np.testing.assert_allclose(fitted.params_.iloc[3], peer.params, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(mean[3], peer.predict(400, 402), rtol=1e-6)


@pytest.mark.parametrize("criterion", ["bic", "aicc"])
def test_order_is_that_of_an_exhaustive_search(criterion: str) -> None:
    y_NL = walks(20, 100)
    orders = tsar.AR(criterion=criterion, max_lags=8).fit(y_NL).order_
    for y_L, order in zip(y_NL, orders, strict=True):
        if criterion == "bic":
            want = len(ar_select_order(y_L, 8, ic="bic").ar_lags or [])
        else:
            fits = [AutoReg(y_L, k, hold_back=8).fit() for k in range(9)]
            k, n = np.arange(9) + 2, 92
            want = int(np.argmin([n * np.log(np.mean(f.resid**2)) for f in fits] + 2 * k * n / (n - k - 1)))
        assert order == want


def test_automatic_orders_do_not_explode() -> None:
    """A growing short series: least squares finds a root above one; drawn back it is a random walk with drift."""
    rng = np.random.default_rng(0)
    y_NL = 100 * 1.08 ** np.arange(25) + rng.normal(size=(6, 25))
    free = tsar.AR(explosive=True, max_lags=2).fit(y_NL)
    tamed = tsar.AR(max_lags=2).fit(y_NL)
    for phi_P, wild_P in zip(tamed.phi_, free.phi_, strict=True):
        assert np.abs(np.roots([1, *-wild_P])).max() > 1.03
        np.testing.assert_allclose(np.abs(np.roots([1, *-phi_P])).max(), 1, atol=1e-9)
    resid = tamed.residuals_.reshape(6, 25)
    np.testing.assert_allclose(np.nanmean(resid, 1), 0, atol=1e-9)
    free_rows = (~np.isnan(resid)).sum(1) - tamed.order_ - 1
    np.testing.assert_allclose(tamed.sigma_, np.sqrt(np.nansum(resid**2, 1) / free_rows))
    quiet = walks()
    assert np.array_equal(
        tsar.AR(lags="auto").fit(quiet).params_, tsar.AR(lags="auto", explosive=True).fit(quiet).params_
    )


@pytest.mark.parametrize("order", [1, 4])
def test_yule_walker_and_burg_are_those_of_statsmodels(order: int) -> None:
    y_NL = walks()
    for method, peer in (
        ("yule_walker", lambda y: yule_walker(y, order, method="mle", demean=True)[0]),
        ("burg", lambda y: burg(y, order, demean=True)[0]),
    ):
        params = tsar.AR(lags=order, method=method).fit(y_NL).params_
        for i, y_L in enumerate(y_NL):
            phi_P = peer(y_L)
            np.testing.assert_allclose(params.iloc[i, 1:], phi_P, rtol=1e-6, atol=1e-9)
            np.testing.assert_allclose(params.iloc[i, 0], y_L.mean() * (1 - phi_P.sum()), rtol=1e-6)


def test_deterministic_part_of_yule_walker_is_a_mean_that_moves() -> None:
    """A trend and a season around which the process moves: far ahead the forecast is that mean."""
    t = np.arange(300)
    profile = np.array([3.0, -1.0, 0.0, 2.0, -4.0])
    noise = np.random.default_rng(0).normal(size=300) * 0.01
    y_L = 5 + 0.1 * t + profile[t % 5] + noise
    forecast = tsar.AR(lags=2, method="yule_walker", trend="ct", seasonal=True, season_length=5).fit(y_L).predict(50)
    ahead = np.arange(300, 350)
    np.testing.assert_allclose(forecast.mean[0], 5 + 0.1 * ahead + profile[ahead % 5], atol=0.02)


def test_intervals_follow_from_simulation() -> None:
    """Psi-weight quantiles, drawn paths and a plain simulation of the recursion agree."""
    fitted = tsar.AR(lags=3).fit(walks(1))
    forecast = fitted.predict(6, levels=[0.1, 0.5, 0.9], num_samples=4000, random_state=0)
    const, *phi_P = fitted.params_.iloc[0]
    rng, state = np.random.default_rng(5), np.tile(walks(1)[0, -3:], (20_000, 1))
    for _ in range(6):
        ahead = const + state[:, [-1, -2, -3]] @ phi_P + fitted.sigma_[0] * rng.normal(size=len(state))
        state = np.concatenate([state, ahead[:, None]], 1)
    want_HQ = np.quantile(state[:, 3:], [0.1, 0.5, 0.9], axis=0).T
    np.testing.assert_allclose(forecast.quantiles_NHQ[0], want_HQ, atol=0.08)
    np.testing.assert_allclose(np.quantile(forecast.samples[0], [0.1, 0.5, 0.9], axis=0).T, want_HQ, atol=0.15)
    correlation = np.corrcoef(forecast.samples[0], rowvar=False)[0, 1]
    np.testing.assert_allclose(correlation, np.corrcoef(state[:, 3:], rowvar=False)[0, 1], atol=0.05)


def test_gap_at_the_end_is_bridged_as_by_the_kalman_filter_of_statsmodels() -> None:
    y_L = walks(1)[0] - 40
    y_L[[80, 81, 108, 113, 119]] = np.nan
    params = np.array([0.5, 0.2, 0.1, -0.1, 2.0])
    peer = ARIMA(y_L, order=(4, 0, 0), trend="n").smooth(params).get_forecast(6)
    phi_BP = params[None, :4]
    state_BP, cov_BPP = bridge(y_L[None], np.zeros((1, 120)), phi_BP, np.ones(1))
    np.testing.assert_allclose(mean_path(state_BP, phi_BP, np.zeros((1, 6)))[0], peer.predicted_mean, rtol=1e-9)
    answer_BHP = state_response(phi_BP, 6)
    variance_H = np.cumsum(psi_weights(phi_BP, 6)[0] ** 2)
    variance_H += np.einsum("hp,pq,hq->h", answer_BHP[0], cov_BPP[0], answer_BHP[0])
    np.testing.assert_allclose(2.0 * variance_H, peer.var_pred_mean, rtol=1e-9)


def test_blocks_of_rows_in_another_order_than_their_names() -> None:
    """Items that stand as whole blocks are moved as blocks: "10" sorts before "9", and covariates move along."""
    y_NL = walks(12, 40)
    times = pd.date_range("2020-01-01", periods=42, freq="D")
    parts = [pd.DataFrame({"unique_id": str(i), "ds": times[:40], "y": y, "x": y * i}) for i, y in enumerate(y_NL)]
    data = pd.concat(parts, ignore_index=True)
    ahead = pd.concat([pd.DataFrame({"unique_id": str(i), "ds": times[40:], "x": 1.0}) for i in range(12)])
    forecast = tsar.AR(lags=2).fit(data).predict(2)
    assert list(forecast.ids) == sorted(map(str, range(12)))
    order = [int(item) for item in forecast.ids]
    np.testing.assert_allclose(forecast.mean, tsar.AR(lags=2).fit(y_NL).predict(2).mean[order])
    driven = tsar.AR(lags=2, known=["x"])
    mixed = driven.fit(data.sample(frac=1, random_state=0)).predict(2, future=ahead).mean
    np.testing.assert_allclose(driven.fit(data).predict(2, future=ahead).mean, mixed)


def test_new_history_uses_what_was_learned() -> None:
    y_NL = walks()
    fitted = tsar.AR(lags=2, trend="ct").fit(y_NL[:, :100])
    forecast = fitted.predict(3, y_NL)
    for i, y_L in enumerate(y_NL):
        peer = AutoReg(y_L[:100], 2, trend="ct").fit()
        want = peer.append(y_L[100:]).predict(120, 122)
        np.testing.assert_allclose(forecast.mean[i], want, rtol=1e-6)


@pytest.mark.parametrize("lags", [2, 12, [1, 3, 24]])
def test_arnet_without_penalty_is_least_squares(lags: int | list[int]) -> None:
    y_NL = walks(4, 200)
    y_NL[0, [50, 90]] = np.nan
    own, exact = tsar.ARNet(lags=lags).fit(y_NL), tsar.AR(lags=lags).fit(y_NL)
    np.testing.assert_allclose(own.params_, exact.params_, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(own.sigma_, exact.sigma_, rtol=1e-8)


def test_arnet_finds_the_lags_that_matter() -> None:
    rng = np.random.default_rng(0)
    y_NL, noise = np.zeros((3, 3000)), rng.normal(size=(3, 3000))
    for t in range(24, 3000):
        y_NL[:, t] = 0.4 * y_NL[:, t - 1] + 0.3 * y_NL[:, t - 24] + noise[:, t]
    params = tsar.ARNet(lags=30, sparsity=0.3).fit(y_NL).params_.drop(columns="const")
    kept = params.columns[(params != 0).all()]
    assert list(kept) == ["L1", "L24"]
    assert (params[["L1", "L24"]].to_numpy() > 0.2).all()
    assert ((params != 0).sum(axis=1) <= 4).all()
