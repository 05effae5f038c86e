"""Series as libraries can take them.

Missing values are cut at the ends, interpolated inside and forecast over at the end; sizes that a square would take out
of float64's range are scaled.

Legend: N items, H horizon, L time.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tsar.forecasters.prediction import Prediction
from tsar.panel import Panel


def observed_span(panel: Panel) -> tuple[np.ndarray, np.ndarray]:
    """Steps from the start of each item to its first observed value, and to the step after its last one: [N] each."""
    rows = np.arange(len(panel.values))
    seen = ~np.isnan(panel.values)
    first = np.minimum.reduceat(np.where(seen, rows, len(rows)), panel.offsets[:-1])
    last = np.maximum.reduceat(np.where(seen, rows, -1), panel.offsets[:-1])
    return first - panel.offsets[:-1], last + 1 - panel.offsets[:-1]


def without_gaps(y_L: np.ndarray) -> np.ndarray:
    """Series with missing values interpolated along a line."""
    holes = np.isnan(y_L)
    if not holes.any():
        return y_L
    step = np.arange(len(y_L))
    return np.where(holes, np.interp(step, step[~holes], y_L[~holes]), y_L)


def unit_of(y_L: np.ndarray) -> float:
    """Return 1, or the largest magnitude where squares would overflow or vanish."""
    largest = float(np.abs(y_L).max(initial=0.0))
    return 1.0 if largest == 0 or 1e-60 < largest < 1e60 else largest


@contextmanager
def quietly() -> Iterator[None]:
    """Keep a library's numerical warnings, one series at a time, from becoming a storm."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        for category in (RuntimeWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        yield


def skip_steps(prediction: Prediction, steps: int) -> Prediction:
    """Prediction without its first `steps` steps, which lie in a gap at the end of the history."""
    if not steps:
        return prediction
    draw = prediction.sample
    return Prediction(
        prediction.mean_NH[:, steps:],
        lambda levels_Q: prediction.quantiles(levels_Q)[:, steps:],
        None if draw is None else lambda count, seeds_N: draw(count, seeds_N)[:, :, steps:],
        failed=prediction.failed,
        notes=prediction.notes,
    )
