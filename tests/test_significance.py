"""The tests hold their level, equal their textbook cases, and say when there is nothing to tell."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from tsar.significance import bootstrap_interval, bootstrap_weights, compare_losses, diebold_mariano, holm


def test_without_overlap_it_is_the_paired_t_test():
    a, b = np.random.default_rng(0).gamma(2, size=(2, 15))
    ours, theirs = diebold_mariano(a, b), stats.ttest_rel(a, b)
    assert ours.statistic == pytest.approx(theirs.statistic, rel=1e-12)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-12)


def test_overlapping_forecasts_hold_the_level_where_the_plain_test_does_not():
    rng = np.random.default_rng(1)
    shocks = rng.normal(size=(600, 2, 83))
    losses = sum(shocks[..., lag : lag + 80] for lag in range(4))
    rejected = {h: np.mean([diebold_mariano(a, b, overlap=h).p_value < 0.05 for a, b in losses]) for h in (1, 4)}
    assert rejected[1] > 0.2
    assert 0.02 < rejected[4] < 0.11


@pytest.mark.parametrize("items, observations", [(30, 30), (3, 12)])
def test_items_are_the_observations_where_there_are_enough(items, observations):
    rng = np.random.default_rng(2)
    base = rng.gamma(2, size=(items, 12))
    better = base - 0.3 + rng.normal(0, 0.1, base.shape)
    found = compare_losses(better, base)
    assert found.observations == observations
    assert found.difference == pytest.approx(-0.3, abs=0.03) and found.p_value < 0.001


def test_a_shared_item_effect_is_not_mistaken_for_evidence():
    rng = np.random.default_rng(3)
    item = rng.normal(size=(300, 20, 1))
    p = [compare_losses(e + rng.normal(0, 0.1, (20, 25)), np.zeros((20, 25))).p_value for e in item]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.09


def test_edges():
    a = np.array([1.0, 2.0, np.nan, 4.0])
    assert diebold_mariano(a, a).p_value == 1
    assert diebold_mariano(a + 1, a)[1:3] == (np.inf, 0.0)
    assert np.isnan(diebold_mariano(a[:2], a[:2] + 1).p_value)
    assert diebold_mariano(a[2:3], a[2:3]).observations == 0
    assert np.isnan(compare_losses(np.full((9, 2), np.nan), np.ones((9, 2))).p_value)
    with pytest.raises(ValueError, match="one length"):
        diebold_mariano(a, a[:2])
    with pytest.raises(ValueError, match="overlap"):
        diebold_mariano(a, a, overlap=0)


def test_holm_equals_statsmodels():
    p = np.random.default_rng(4).random(12) ** 3
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], rtol=1e-12)
    with_gap = holm([0.01, np.nan, 0.04])
    np.testing.assert_allclose(with_gap, [0.02, np.nan, 0.04])


def test_bootstrap_intervals_cover_the_mean_of_the_population():
    rng = np.random.default_rng(5)
    draws = bootstrap_weights(60, 400, 0)
    hits = []
    for _ in range(300):
        weights = rng.integers(1, 5, 60).astype(float)
        low, high = bootstrap_interval(rng.gamma(4, 0.5, 60), weights, draws)
        hits.append(low <= 2.0 <= high)
    assert 0.90 < np.mean(hits) < 0.98
    assert np.isnan(bootstrap_interval(np.ones(3), np.array([1.0, 0, 0]), bootstrap_weights(3, 10, 0))).all()
