"""Errors of a forecaster at rolling origins of its own training data, fitted once before the first of them.

Legend: N items, W origins, H horizon.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from sklearn.base import clone

from tsar.forecasters.base import FallbackWarning, Forecaster
from tsar.panel import Panel

ONE_DEVIATION = np.array([0.15865525393145707, 0.5, 0.8413447460685429])  # of a normal distribution, and its median


class Errors(NamedTuple):
    """Truth minus median, and half the distance between the quantiles of `ONE_DEVIATION`: [N, W, H], NaN if unknown."""

    error_NWH: np.ndarray
    spread_NWH: np.ndarray


def origin_errors(forecaster: Forecaster, panel: Panel, horizon: int, windows: int) -> Errors:
    """Forecast at the last `windows` origins, one step apart, that leave `horizon` steps of truth.

    A copy of the forecaster is fitted on what lies before the first origin and never again. Items that are too short
    to be fitted there have no errors.
    """
    shape = (len(panel), windows, horizon)
    out = Errors(np.full(shape, np.nan), np.full(shape, np.nan))
    before_N = panel.lengths - (windows + horizon - 1)
    rows = np.flatnonzero(before_N > 0)
    if not len(rows):
        return out
    some, before_B = panel.take(rows), before_N[rows]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FallbackWarning)
        copy = clone(forecaster).set_params(on_error="fallback").fit(some.until(before_B))
        able = np.array([item not in copy.failed_ for item in some.ids])
        for w in range(windows):
            history = some.until(before_B + w)
            ahead = some.offsets[:-1, None] + (before_B + w)[:, None] + np.arange(horizon)
            future = {name: some.covariates[name][ahead] for name in copy.known}
            quantiles_BHQ = copy._prediction(history, horizon, future).quantiles(ONE_DEVIATION)
            low, median, high = np.moveaxis(quantiles_BHQ, -1, 0)
            out.error_NWH[rows, w] = np.where(able[:, None], some.values[ahead] - median, np.nan)
            out.spread_NWH[rows, w] = np.where(able[:, None], (high - low) / 2, np.nan)
    return out
