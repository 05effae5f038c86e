"""Filters against loops and against statsmodels' fixed forms."""

import numpy as np
import pytest
import torch
from statsmodels.tsa.api import Holt, SimpleExpSmoothing
from statsmodels.tsa.forecasting.theta import ThetaModel

from tsar.experts import ar, naive, smoothing
from tsar.experts.scan import BLOCK, filter_states, rollout
from tsar.experts.series import Series, left_aligned


def series(y):
    return left_aligned(torch.as_tensor(np.atleast_2d(y), dtype=torch.float64))


def ends(s: Series):
    return (s.length_B - 1)[:, None]


@pytest.fixture
def walk():
    rng = np.random.default_rng(0)
    return 50 + np.cumsum(rng.standard_normal((3, 120)) + 0.3, 1)


@pytest.mark.parametrize("length", [1, BLOCK, 3 * BLOCK + 5])
def test_filter_states_equal_the_recurrence(length):
    g = torch.Generator().manual_seed(0)
    u = torch.randn(2, length, generator=g, dtype=torch.float64)
    f = torch.randn(3, 2, 2, generator=g, dtype=torch.float64) * 0.5
    gain = torch.randn(3, 2, generator=g, dtype=torch.float64)
    x0 = torch.randn(2, 2, generator=g, dtype=torch.float64)

    def tuples(x):
        return tuple(map(tuples, x)) if isinstance(x, list) else x

    got = filter_states(u, tuples(f.tolist()), tuples(gain.tolist()), x0)
    x = x0[:, None].expand(-1, 3, -1)
    for t in range(length):
        x = torch.einsum("gij,bgj->bgi", f, x) + gain * u[:, t, None, None]
        torch.testing.assert_close(got[..., t], x, rtol=1e-9, atol=1e-9)


def test_rollout_equals_the_recurrence():
    g = torch.Generator().manual_seed(1)
    coef = torch.randn(2, 4, generator=g, dtype=torch.float64) * 0.4
    recent = torch.randn(2, 4, 3, generator=g, dtype=torch.float64)
    got = rollout(coef, recent, 11)
    past = recent.clone()
    for h in range(11):
        new = torch.einsum("bp,bpr->br", coef, past)
        torch.testing.assert_close(got[..., h], new)
        past = torch.cat([new[:, None], past[:, :-1]], 1)


def test_ses_equals_statsmodels(walk):
    s = series(walk)
    levels, _ = smoothing.ses_levels(s, smoothing.ses_states(s, (0.37,)), (0.37,))
    got = smoothing.ses(levels, ends(s), 5)[:, 0]
    for row, y in enumerate(walk):
        fit = SimpleExpSmoothing(y, initialization_method="known", initial_level=y[0])
        want = fit.fit(smoothing_level=0.37, optimized=False).forecast(5)
        np.testing.assert_allclose(got[row], want, rtol=1e-9)


def test_damped_holt_equals_statsmodels(walk):
    s = series(walk)
    grid = ((0.6, 0.6 * 0.2, 0.9),)
    got = smoothing.holt(s, smoothing.holt_states(s, grid), ends(s), 7, grid)[:, 0]
    for row, y in enumerate(walk):
        model = Holt(
            y, damped_trend=True, initialization_method="known", initial_level=y[0], initial_trend=(y[4] - y[0]) / 4
        )
        # statsmodels names β of b = b + β(l_t - l_{t-1} - φb), which multiplies α e: our β is its α β.
        fit = model.fit(smoothing_level=0.6, smoothing_trend=0.2, damping_trend=0.9, optimized=False)
        np.testing.assert_allclose(got[row], fit.forecast(7), rtol=1e-9)


def test_theta_equals_statsmodels(walk):
    y = walk[0]
    fit = ThetaModel(y, deseasonalize=False).fit()
    s = series(y)
    alphas = (float(fit.params["alpha"]),)
    levels, alpha = smoothing.ses_levels(s, smoothing.ses_states(s, alphas), alphas)
    got = smoothing.theta(s, levels, alpha, ends(s), 6)[0, 0]
    np.testing.assert_allclose(got, fit.forecast(6, theta=2), rtol=2e-3)
    np.testing.assert_allclose(np.diff(got), float(fit.params["b0"]) / 2, rtol=1e-6)


def test_parameters_are_chosen_by_one_step_error():
    rng = np.random.default_rng(3)
    noise, walk = rng.standard_normal(400), np.cumsum(rng.standard_normal(400))
    s = series(np.stack([noise, walk]))
    _, alpha = smoothing.ses_levels(s, smoothing.ses_states(s))
    assert alpha[0] <= 0.1 and alpha[1] >= 0.8


def test_spans_forgive_what_does_not_last():
    rng = np.random.default_rng(4)
    y = np.zeros(600)
    for t in range(1, 600):
        y[t] = 0.8 * y[t - 1] + rng.standard_normal()
    s = series(y)
    states = smoothing.ses_states(s)
    near, far = (smoothing.ses_levels(s, states, span_B=span)[1] for span in (None, torch.tensor([40])))
    assert far < 0.2 < 0.6 <= near


def test_ar_coefficients_equal_least_squares():
    rng = np.random.default_rng(2)
    y = np.zeros(300)
    for t in range(2, 300):
        y[t] = 0.6 * y[t - 1] - 0.5 * y[t - 2] + rng.standard_normal()
    rows = np.stack([y[1:-1], y[:-2]], 1)
    want = np.linalg.lstsq(rows, y[2:], rcond=None)[0]
    zero, n = torch.zeros(1).long(), torch.tensor([300])
    got = ar.coefficients(torch.as_tensor(y)[None], zero, n, order=2, ridge=0.0)[0]
    np.testing.assert_allclose(got, want, rtol=2e-2)  # the penalty is worth a few rows of 298


def test_copying_experts_on_paper():
    y = np.array([1.0, 2, 3, 4, 5, 6, 8, 10])
    s, h = series(y), 3
    four = torch.tensor([4])
    assert naive.naive(s, ends(s), h)[0, 0].tolist() == [10, 10, 10]
    np.testing.assert_allclose(naive.drift(s, ends(s), h)[0, 0], 10 + 9 / 7 * np.arange(1, 4))
    assert naive.seasonal_naive(s, ends(s), 5, four)[0, 0].tolist() == [5, 6, 8, 10, 5]
    assert naive.seasonal_naive(s, ends(s), h, four, cycles=2)[0, 0].tolist() == [3, 4, 5.5]
    assert naive.seasonal_naive(s, ends(s), 1, torch.tensor([20]))[0, 0].tolist() == [10]
    assert naive.mean(s, ends(s), 1, 2)[0, 0].tolist() == [9]
