"""Is a difference more than luck: bootstrap intervals over items, Diebold-Mariano tests, Holm's correction.

Shapes: N items, W rolling origins, R bootstrap replications.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

FEWEST_ITEMS = 8


class Difference(NamedTuple):
    """A mean loss difference (first minus second), its test statistic, two-sided p-value and number of observations."""

    difference: float
    statistic: float
    p_value: float
    observations: int


def diebold_mariano(loss_a: np.ndarray, loss_b: np.ndarray, *, overlap: int = 1) -> Difference:
    """Test whether two forecasters have the same expected loss.

    Parameters
    ----------
    loss_a, loss_b : array [W]
        Losses at consecutive forecast origins.
    overlap : int, default 1
        How many consecutive origins have forecasts that overlap in time (1: none); autocovariances up to
        `overlap` - 1 enter the variance.

    Returns
    -------
    Difference
        With the small-sample correction of Harvey, Leybourne & Newbold (1997, eq. 9) and Student's t with W - 1
        degrees of freedom. The p-value is NaN for fewer than three origins, and 1 where the losses are equal.

    Raises
    ------
    ValueError
        If the shapes differ or `overlap` is below 1.
    """
    a_W, b_W = np.asarray(loss_a, dtype=float), np.asarray(loss_b, dtype=float)
    if a_W.shape != b_W.shape or a_W.ndim != 1:
        raise ValueError(f"expected two loss series of one length, found shapes {a_W.shape} and {b_W.shape}")
    if overlap < 1:
        raise ValueError(f"overlap: expected at least 1, found {overlap}")
    d_W = a_W - b_W
    d_W = d_W[~np.isnan(d_W)]
    n = len(d_W)
    if n < 3:
        return Difference(float(d_W.mean()) if n else np.nan, np.nan, np.nan, n)
    centred_W = d_W - d_W.mean()
    gamma = [centred_W[lag:] @ centred_W[: n - lag] / n for lag in range(min(overlap, n - 1))]
    variance = gamma[0] + 2 * sum(gamma[1:])
    if variance <= 0:  # the truncated kernel can fail; the lag-0 variance cannot (Harvey et al. 1997, section 2)
        variance, overlap = gamma[0], 1
    if variance <= 1e-30 * max(1.0, float(np.abs(a_W).max()) ** 2):
        return Difference(float(d_W.mean()), *_certain(float(d_W.mean())), n)
    correction = (n + 1 - 2 * overlap + overlap * (overlap - 1) / n) / n
    statistic = d_W.mean() / np.sqrt(variance / n) * np.sqrt(max(correction, 1 / n))
    return Difference(float(d_W.mean()), float(statistic), float(2 * stats.t.sf(abs(statistic), n - 1)), n)


def compare_losses(loss_a_NW: np.ndarray, loss_b_NW: np.ndarray, *, overlap: int = 1) -> Difference:
    """Diebold-Mariano test of two forecasters over a panel.

    With at least `FEWEST_ITEMS` items the items are the observations, each with its mean loss over origins, since
    origins of one item are dependent; with fewer, the origins are, each with its mean loss over items.

    Parameters
    ----------
    loss_a_NW, loss_b_NW : array [N, W]
        Losses, NaN where an item has no score at an origin.
    overlap : int, default 1
        As in `diebold_mariano`, for the second case.
    """
    both_NW = ~np.isnan(loss_a_NW) & ~np.isnan(loss_b_NW)
    axis = 1 if both_NW.any(1).sum() >= FEWEST_ITEMS else 0
    kept = both_NW.any(axis)
    count = both_NW.sum(axis)[kept]
    mean_a, mean_b = (np.where(both_NW, loss, 0.0).sum(axis)[kept] / count for loss in (loss_a_NW, loss_b_NW))
    return diebold_mariano(mean_a, mean_b, overlap=1 if axis == 1 else overlap)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """P-values corrected for testing them all (Holm 1979); NaN stays NaN and does not count."""
    p = np.asarray(p_values, dtype=float)
    out = np.full(p.shape, np.nan)
    order = np.argsort(p)[: (~np.isnan(p)).sum()]
    steps = np.arange(len(order), 0, -1)
    out[order] = np.minimum(np.maximum.accumulate(p[order] * steps), 1.0)
    return out


def bootstrap_weights(count: int, replications: int, random_state: int | np.random.Generator) -> np.ndarray:
    """How often each of `count` units is drawn in each replication, [R, count]: shared by all models, so paired."""
    rng = np.random.default_rng(random_state)
    return rng.multinomial(count, np.full(count, 1 / count), size=replications).astype(float)


def bootstrap_interval(
    values_N: np.ndarray, weights_N: np.ndarray, draws_RN: np.ndarray, *, power: float = 1.0, coverage: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of a weighted power mean over units resampled with replacement.

    Parameters
    ----------
    values_N, weights_N : array [N]
        Value and weight of every unit; a weight of zero leaves it out.
    draws_RN : array [R, N]
        From `bootstrap_weights`.
    power : float, default 1
        2 where the score is a root of mean squares.
    coverage : float, default 0.95
        Of the interval.

    Returns
    -------
    (low, high)
        NaN with fewer than two units that count.
    """
    if (weights_N > 0).sum() < 2:
        return np.nan, np.nan
    total_R = draws_RN @ weights_N
    sum_R = draws_RN @ np.where(weights_N > 0, weights_N * np.nan_to_num(values_N) ** power, 0.0)
    score_R = (sum_R[total_R > 0] / total_R[total_R > 0]) ** (1 / power)
    low, high = np.quantile(score_R, [(1 - coverage) / 2, (1 + coverage) / 2])
    return float(low), float(high)


def _certain(difference: float) -> tuple[float, float]:
    """Statistic and p-value of a difference without any spread."""
    return (0.0, 1.0) if difference == 0 else (float(np.copysign(np.inf, difference)), 0.0)
