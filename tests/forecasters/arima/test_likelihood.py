"""The exact likelihood against statsmodels' Kalman filter, and the optimiser against its maximum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter
from statsmodels.tsa.statespace.sarimax import SARIMAX

from tsar.forecasters.arima.css import normal_equations
from tsar.forecasters.arima.diagnostics import parameter_covariance, regression_covariance
from tsar.forecasters.arima.kalman import innovations
from tsar.forecasters.arima.likelihood import Rows, exact
from tsar.forecasters.arima.optimise import maximise
from tsar.forecasters.arima.polynomials import ar_from_pacf, coefs_from_z, log_det_ar, near_unit_root, z_from_coefs
from tsar.forecasters.arima.recursions import moving_inverse

ORDERS = [((2, 1), (0, 0)), ((0, 2), (0, 0)), ((1, 1), (1, 1)), ((2, 0), (2, 0)), ((0, 1), (0, 2)), ((3, 2), (1, 2))]


def row(y: np.ndarray, season: int) -> Rows:
    at = np.flatnonzero(np.isnan(y))
    w_TCR = np.zeros((len(y), len(at) + 1, 1))
    w_TCR[:, -1, 0] = np.nan_to_num(y)
    w_TCR[at, np.arange(len(at)), 0] = 1.0
    return Rows(w_TCR, np.array([len(y)]), len(at), season)


def sarimax(y: np.ndarray, order: tuple[int, int], seasonal: tuple[int, int], season: int, exog=None) -> SARIMAX:
    (p, q), (big_p, big_q) = order, seasonal
    model = SARIMAX(
        y, exog, order=(p, 0, q), seasonal_order=(big_p, 0, big_q, season) if big_p + big_q else (0, 0, 0, 0),
        concentrate_scale=True,
    )  # fmt: skip
    model.tolerance = 0
    return model


@pytest.mark.parametrize("gaps", [(), (0, 5, 6, 59)])
@pytest.mark.parametrize(("order", "seasonal"), ORDERS)
def test_log_likelihood_is_statsmodels(
    order: tuple[int, int], seasonal: tuple[int, int], gaps: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(sum(order) + 7 * sum(seasonal))
    sizes = (order[0], order[1], seasonal[0], seasonal[1])
    coefs = coefs_from_z(rng.normal(size=(sum(sizes), 1)) * 1.5, sizes)
    y = rng.normal(size=60).cumsum()
    y[list(gaps)] = np.nan
    peer = sarimax(y, order, seasonal, 4).loglike(np.concatenate([part[:, 0] for part in coefs]))
    assert exact(row(y, 4), coefs).loglik_R[0] == pytest.approx(peer, rel=1e-8)


def test_rows_of_unequal_length_and_padded_orders_do_not_touch_each_other() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=80), rng.normal(size=50)
    w_TCR = np.zeros((80, 1, 2))
    w_TCR[:, 0, 0], w_TCR[:50, 0, 1] = one, two
    z_kR = rng.normal(size=(7, 2))
    z_kR[[1, 3, 5, 6], 1] = 0.0  # the second row is a (1, 1)(1, 0)
    both = exact(Rows(w_TCR, np.array([80, 50]), 0, 6), coefs_from_z(z_kR, (2, 2, 1, 2))).loglik_R
    alone = exact(row(two, 6), coefs_from_z(z_kR[[0, 2, 4], 1:], (1, 1, 1, 0))).loglik_R[0]
    assert both[1] == pytest.approx(alone, rel=1e-10)
    assert both[0] == pytest.approx(exact(row(one, 6), coefs_from_z(z_kR[:, :1], (2, 2, 1, 2))).loglik_R[0], rel=1e-10)


def test_shocks_and_innovations() -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(size=90).cumsum()
    coefs = coefs_from_z(rng.normal(size=(4, 1)), (1, 1, 1, 1))
    peer = sarimax(y, (1, 1), (1, 1), 4).filter(np.concatenate([part[:, 0] for part in coefs]))
    ours = innovations(y[:, None], np.array([90]), coefs, 4)[:, 0]
    np.testing.assert_allclose(ours, y - peer.fittedvalues, atol=1e-8)
    smoothed = exact(row(y, 4), coefs).shocks()[:, 0]
    np.testing.assert_allclose(smoothed[-5:], ours[-5:], atol=0.05 * np.std(ours))  # they meet as the past grows


def test_gradient_of_the_sum_of_squares() -> None:
    rng = np.random.default_rng(3)
    rows = Rows(np.concatenate((np.ones((60, 1, 3)), rng.normal(size=(60, 1, 3))), 1), np.array([60, 45, 60]), 0, 4)
    free_kR = np.ones((5, 3), bool)
    free_kR[1, 2] = False
    z_kR = rng.normal(size=(5, 3)) * 0.5 * free_kR
    _, slope_Rk, sum_R = normal_equations(rows, z_kR, free_kR, (2, 1, 1, 1))
    for k in range(5):
        nudged_kR = z_kR.copy()
        nudged_kR[k] += 1e-6
        change_R = (normal_equations(rows, nudged_kR * free_kR, free_kR, (2, 1, 1, 1))[2] - sum_R) / 1e-6
        np.testing.assert_allclose(change_R, 2 * slope_Rk[:, k], atol=1e-3)


def test_maximum_is_not_below_statsmodels() -> None:
    rng = np.random.default_rng(4)
    e = rng.normal(size=(260, 1, 20))
    y_TCR = moving_inverse(e + 0.5 * np.roll(e, 1, 0), np.full((1, 20), -0.8), 1)[60:]
    rows = Rows(y_TCR, np.full(20, 200), 0, 1)
    start_kR, free_kR = np.zeros((2, 20)), np.ones((2, 20), bool)
    best = maximise(rows, start_kR, free_kR, (1, 1, 0, 0), np.tile(np.eye(2) * 200, (20, 1, 1)), 100, 1e-8)
    for r in range(0, 20, 5):
        peer = sarimax(y_TCR[:, 0, r], (1, 1), (0, 0), 1).fit(disp=0).llf
        assert best.loglik_R[r] >= peer - 1e-4


def test_standard_errors_are_those_of_statsmodels() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(300, 1))
    y = lfilter([1, 0.4], [1, -0.6], rng.normal(size=300)) + 2 * x[:, 0]
    fit = sarimax(y, (1, 1), (0, 0), 1, x).fit(disp=0, cov_type="approx")
    rows = Rows(np.stack((x[:, 0], y), 1)[:, :, None], np.array([300]), 0, 1)
    coefs = coefs_from_z(z_from_coefs(coefs_from_z(np.zeros((2, 1)), (1, 1, 0, 0))), (1, 1, 0, 0))
    coefs = coefs._replace(phi_pR=fit.params[1:2, None], theta_qR=fit.params[2:3, None])
    np.testing.assert_allclose(np.sqrt(np.diag(parameter_covariance(rows, coefs))), fit.bse[1:], rtol=0.02)
    np.testing.assert_allclose(np.sqrt(regression_covariance(rows, coefs)[0, 0]), fit.bse[0], rtol=0.02)


@pytest.mark.parametrize("count", [1, 5, 300])
def test_inverse_filter_is_lfilter(count: int) -> None:
    coef_kR = -ar_from_pacf(np.random.default_rng(6).uniform(-0.97, 0.97, size=(5, count)))
    x_TCR = np.random.default_rng(7).normal(size=(200, 2, count))
    ours = moving_inverse(x_TCR, coef_kR, 1)
    for r in range(0, count, 97):
        want = lfilter([1], np.r_[1, coef_kR[:, r]], x_TCR[:, :, r], axis=0)
        np.testing.assert_allclose(ours[:, :, r], want, rtol=1e-7, atol=1e-7 * np.abs(want).max())


def test_polynomials() -> None:
    coefs = coefs_from_z(np.random.default_rng(8).normal(size=(6, 50)), (2, 1, 2, 1))
    np.testing.assert_allclose(
        coefs_from_z(z_from_coefs(coefs, 0.999999), (2, 1, 2, 1)).phi_pR, coefs.phi_pR, atol=1e-9
    )
    roots = [np.abs(np.roots(np.r_[1, -coefs.phi_pR[:, r]])).max() for r in range(50)]
    none = coefs._replace(theta_qR=coefs.theta_qR[:0], Phi_PR=coefs.Phi_PR[:0], Theta_QR=coefs.Theta_QR[:0])
    assert (near_unit_root(none, 1.05) == (np.array(roots) > 1 / 1.05)).all()
    one = log_det_ar(np.array([[0.9]]), np.zeros((0, 1)), 1)
    assert one[0] == pytest.approx(-np.log(1 - 0.81))
