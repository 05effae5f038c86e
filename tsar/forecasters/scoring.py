"""The score of a forecaster on the steps after its training data.

Legend: N items, H horizon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tsar import frequency, metrics
from tsar.panel import Panel

if TYPE_CHECKING:
    from tsar.forecasters.base import Forecaster


def minus_mase(forecaster: Forecaster, data: Any) -> float:
    """Minus the mean MASE over items of forecasting the steps of `data`; see `Forecaster.score`."""
    seen: Panel = forecaster.history_
    truth = forecaster._read(data, seen.freq if seen.stamped else None, None)
    place = {item: i for i, item in enumerate(truth.ids)}
    if odd := set(place) ^ set(seen.ids):
        raise ValueError(f"score expects the items of fit: item {min(odd, key=str)!r} is in only one of the two")
    truth = truth.take([place[item] for item in seen.ids])
    gap = _gap(seen, truth)
    if gap and forecaster.known:
        raise ValueError(f"score needs the known covariates of the {gap} steps between the training data and X")
    lengths = truth.lengths
    future = {name: _left_aligned(truth, truth.covariates[name]) for name in forecaster.known}
    horizon = gap + int(lengths.max())
    forecast = forecaster._forecast(seen, horizon, future, (0.5,), None, 0)
    median_NH = forecast.quantile(0.5)[:, gap:]
    truth_NH = _left_aligned(truth, truth.values)
    seasons = seen.season_of(forecaster.season_length)
    scale_N = np.array([metrics.seasonal_error(seen.series(i), int(seasons[i])) for i in range(len(seen))])
    return -float(np.nanmean(metrics.mase(truth_NH, median_NH, scale_N)))


def _gap(seen: Panel, truth: Panel) -> int:
    """Count the steps between the end of `seen` and the start of `truth`, the same for every item."""
    starts = truth.times[truth.offsets[:-1]]
    if not seen.stamped and (starts == 0).all():  # rows cut from an array carry no time: they follow at once
        return 0
    ahead, _ = frequency.positions(starts, seen.times[seen.offsets[1:] - 1], seen.freq)
    if ahead.min() != ahead.max() or ahead.min() < 1:
        raise ValueError(
            "score expects X to start after the training data, equally many steps for every item: found "
            f"{ahead.min()} to {ahead.max()} steps"
        )
    return int(ahead.min()) - 1


def _left_aligned(panel: Panel, values_T: np.ndarray) -> np.ndarray:
    """Stack series into [N, H], aligned at their starts, NaN (or None) after their ends."""
    lengths = panel.lengths
    out = np.full((len(panel), int(lengths.max())), None if values_T.dtype == object else np.nan, values_T.dtype)
    out[np.arange(out.shape[1]) < lengths[:, None]] = values_T
    return out
