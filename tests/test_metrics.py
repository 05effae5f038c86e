"""Every metric equals gluonts.ev on random data, with gaps in the actuals."""

from __future__ import annotations

import numpy as np
import pytest
from gluonts.ev import metrics as ev
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tsar import metrics

LEVELS = [0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975]
B, H, S = 7, 11, 20


@pytest.fixture
def case():
    rng = np.random.default_rng(3)
    y_BH = rng.normal(2, 3, (B, H))
    y_BH[rng.random((B, H)) < 0.2] = np.nan
    y_BH[2, 1:] = np.nan
    history = [rng.normal(size=n).cumsum() for n in (3, 15, 16, 40, 41, 50, 60)]
    quantiles_BHQ = np.sort(rng.normal(2, 3, (B, H, len(LEVELS))), axis=-1)
    return y_BH, quantiles_BHQ, quantiles_BHQ.mean(-1), history, rng.normal(2, 3, (B, S, H))


def gluonts(definition, y_BH, quantiles_BHQ, mean_BH, scale_B, axis, levels=LEVELS):
    data = {str(level): quantiles_BHQ[..., i] for i, level in enumerate(levels)}
    data |= {"label": np.ma.masked_invalid(y_BH), "mean": mean_BH, "seasonal_error": np.asarray(scale_B)[:, None]}
    metric = definition(axis=None if axis is None else 1)
    metric.update(data)
    return np.ma.filled(metric.get(), np.nan)


@pytest.mark.parametrize("axis", [-1, None])
def test_equal_to_gluonts(case, axis):
    y_BH, q_BHQ, mean_BH, history, _ = case
    scale_B = [metrics.seasonal_error(h, 12) for h in history]
    median_BH, low_BH, high_BH = q_BHQ[..., 3], q_BHQ[..., 0], q_BHQ[..., -1]
    inside = metrics.coverage(y_BH, low_BH, high_BH, axis=axis)
    below = metrics.coverage(y_BH, np.full_like(y_BH, -np.inf), low_BH, axis=axis)
    pairs = [
        (metrics.mae(y_BH, median_BH, axis=axis), ev.MAE()),
        (metrics.rmse(y_BH, mean_BH, axis=axis), ev.RMSE()),
        (metrics.smape(y_BH, median_BH, axis=axis), ev.SMAPE()),
        (metrics.mase(y_BH, median_BH, scale_B, axis=axis), ev.MASE()),
        (metrics.wql(y_BH, q_BHQ, LEVELS, axis=axis), ev.MeanWeightedSumQuantileLoss(LEVELS)),
        (metrics.msis(y_BH, low_BH, high_BH, scale_B, axis=axis), ev.MSIS()),
        (metrics.coverage(y_BH, np.full_like(y_BH, -np.inf), high_BH, axis=axis), ev.Coverage(0.975)),
        (inside + below, ev.Coverage(0.975)),
    ]
    for ours, definition in pairs:
        theirs = gluonts(definition, y_BH, q_BHQ, mean_BH, scale_B, axis)
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, err_msg=str(definition))
        assert np.shape(ours) == (() if axis is None else (B,))


def test_rmsse_is_gluonts_rmse_of_scaled_errors(case):
    y_BH, q_BHQ, mean_BH, history, _ = case
    scale_B = np.array([metrics.seasonal_error(h, 12, power=2) for h in history])
    lags = [12 if len(h) > 12 else 1 for h in history]
    by_hand = [np.sqrt(np.mean((h[k:] - h[:-k]) ** 2)) for h, k in zip(history, lags, strict=True)]
    np.testing.assert_allclose(scale_B, by_hand, rtol=1e-12)
    theirs = gluonts(ev.RMSE(), y_BH / scale_B[:, None], q_BHQ, mean_BH / scale_B[:, None], scale_B, -1)
    np.testing.assert_allclose(metrics.rmsse(y_BH, mean_BH, scale_B), theirs, rtol=1e-12)


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_squares_stay_in_range(case, unit):
    y_BH, _, mean_BH, _, _ = case
    np.testing.assert_allclose(metrics.rmse(y_BH * unit, mean_BH * unit), metrics.rmse(y_BH, mean_BH) * unit, rtol=1e-9)
    history = np.array([1.0, 2, 4, 8]) * unit
    assert metrics.seasonal_error(history, power=2) == pytest.approx(np.sqrt(7) * unit)


def test_crps_of_samples_is_gluonts_quantile_loss_and_the_energy_form(case):
    y_BH, _, _, _, samples_BSH = case
    levels = [(i + 0.5) / S for i in range(S)]
    order_BHS = np.sort(samples_BSH, axis=1).transpose(0, 2, 1)
    total = gluonts(ev.MeanSumQuantileLoss(levels), y_BH, order_BHS, y_BH, np.ones(B), None, levels)
    ours = metrics.crps(y_BH, samples_BSH, axis=None)
    np.testing.assert_allclose(ours, metrics.mean_quantile_loss(y_BH, order_BHS, levels, axis=None), rtol=1e-12)
    np.testing.assert_allclose(ours, total / np.isfinite(y_BH).sum(), rtol=1e-12)
    to_y = np.abs(samples_BSH - y_BH[:, None]).mean(1)
    between = np.abs(samples_BSH[:, :, None] - samples_BSH[:, None]).mean((1, 2))
    np.testing.assert_allclose(metrics.crps(y_BH, samples_BSH), np.nanmean(to_y - between / 2, axis=1), rtol=1e-12)


def test_seasonal_error_equals_gluonts(case):
    from gluonts.evaluation.metrics import calculate_seasonal_error

    for history in case[3]:
        theirs = calculate_seasonal_error(history, None, 12)
        assert metrics.seasonal_error(history, 12) == pytest.approx(theirs, rel=1e-12)
    assert metrics.seasonal_error([1, np.nan, 3, 6], 1) == 3
    assert np.isnan(metrics.seasonal_error([5.0]))


@settings(max_examples=60, deadline=None)
@given(arrays(float, (3, 4), elements=st.floats(-1e300, 1e300) | st.just(np.nan)), st.floats(-1e300, 1e300))
def test_any_actuals_give_a_score_or_nan_and_never_a_warning(y_BH, value):
    forecast_BH = np.full_like(y_BH, value)
    with np.errstate(all="raise", over="ignore", under="ignore"):
        scores = [f(y_BH, forecast_BH) for f in (metrics.mae, metrics.rmse, metrics.smape)]
        scores.append(metrics.mase(y_BH, forecast_BH, [0.0, np.nan, 1.0]))
    nothing_B = np.isnan(y_BH).all(-1)
    for score_B in scores[:3]:
        np.testing.assert_array_equal(np.isnan(score_B), nothing_B)
    assert np.isnan(scores[3][:2]).all()
    assert (scores[2][~nothing_B] <= 2 + 1e-12).all()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: metrics.mae(np.ones((2, 3)), np.ones((2, 4))), r"\(2, 3\), found \(2, 4\)"),
        (lambda: metrics.mase(np.ones((2, 3)), np.ones((2, 3)), [1.0]), "one number per series"),
        (lambda: metrics.wql(np.ones((2, 3)), np.ones((2, 3, 1)), [1.5]), r"inside \(0, 1\)"),
        (lambda: metrics.wql(np.ones((2, 3)), np.ones((2, 3, 2)), [0.5]), r"expected shape \(2, 3, 1\)"),
        (lambda: metrics.seasonal_error([1, 2], 0), "at least 1"),
        (lambda: metrics.seasonal_error([[1, 2]]), "one series"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
