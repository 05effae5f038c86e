"""Predictions of linear Gaussian processes y_{T+h} = mean_h + sum_j psi_{h-j} s_j e_j + F_h z, e and z standard normal.

Random walks, seasonal walks, drift, window means, autoregressions and exponential smoothing all end here: e are the
innovations to come, psi their weights, s their sizes, and F z is what is not known of the present (gaps, estimates).

Legend: N items, S sample paths, H horizon, R parts of the present that are not known.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tsar.forecasters.prediction import Prediction, gaussian


def linear_process(
    mean_NH: np.ndarray,
    size_NH: np.ndarray,
    psi_NH: np.ndarray,
    unknown_NHR: np.ndarray | None = None,
    *,
    failed: Mapping[int, str] | None = None,
    notes: Mapping[int, str] | None = None,
) -> Prediction:
    """Prediction with analytic quantiles and exact paths.

    Parameters
    ----------
    mean_NH : expected values, raw units
    size_NH : standard deviation of each innovation, [N, H], or [N, 1] where it stays the same
    psi_NH : weights of an innovation after 0, 1, … steps; the first is 1
    unknown_NHR : how each step answers to independent standard normal unknowns of the present, or None
    failed, notes : see `Prediction`
    """
    horizon = mean_NH.shape[1]
    with np.errstate(over="ignore"):
        if size_NH.shape[1] == 1:
            spread_NH = np.sqrt(np.cumsum(psi_NH**2, 1)) * size_NH
        else:
            unit_N1 = size_NH.max(1, keepdims=True)  # squares of huge or tiny sizes stay in range
            share_NH = np.divide(size_NH, unit_N1, out=np.zeros(size_NH.shape), where=unit_N1 > 0)
            squares = [np.sum((psi_NH[:, h::-1] * share_NH[:, : h + 1]) ** 2, 1) for h in range(horizon)]
            spread_NH = np.sqrt(np.stack(squares, 1)) * unit_N1
        if unknown_NHR is not None:
            spread_NH = np.hypot(spread_NH, np.hypot.reduce(unknown_NHR, axis=-1))
    lag = np.arange(horizon)[None, :] - np.arange(horizon)[:, None]  # [j, h] = h - j

    def sample(count: int, seeds_N: np.ndarray) -> np.ndarray:
        out = np.empty((len(mean_NH), count, horizon))
        for i, seed in enumerate(seeds_N):
            rng = np.random.default_rng(int(seed))
            weights_HH = np.where(lag >= 0, psi_NH[i][np.abs(lag)], 0.0)
            out[i] = mean_NH[i] + (rng.standard_normal((count, horizon)) * size_NH[i]) @ weights_HH
            if unknown_NHR is not None:
                out[i] += rng.standard_normal((count, unknown_NHR.shape[2])) @ unknown_NHR[i].T
        return out

    return Prediction(mean_NH, gaussian(mean_NH, spread_NH), sample, failed=failed or {}, notes=notes or {})
