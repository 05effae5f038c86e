"""Missing values for libraries that cannot have any: cut at the ends, interpolated inside, forecast over at the end.

Legend: N items, H horizon, L time.
"""

from __future__ import annotations

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
