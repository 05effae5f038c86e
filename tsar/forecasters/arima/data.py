"""From series to the differenced, scaled rows that are fitted together.

Legend: B series, T time, C channels (missing values, regressors, the constant, the series), K regressors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tsar.forecasters.arima.differencing import difference, difference_polynomial
from tsar.forecasters.arima.likelihood import Rows


@dataclass(frozen=True)
class Differenced:
    """Series with the orders of differencing `d_B`, `D_B`, ready to fit: `rows` has one row a series.

    The last regressor is the constant: the mean of the differenced series, the drift where d + D = 1.
    """

    rows: Rows
    scale_CB: np.ndarray  # units of each channel of `rows`
    missing_B: np.ndarray
    d_B: np.ndarray
    D_B: np.ndarray
    regressors: int  # without the constant
    original_B: np.ndarray  # lengths before differencing


def fill(y_T: np.ndarray) -> np.ndarray:
    """Replace missing values by linear interpolation, the outer ones by the nearest value."""
    gap_T = np.isnan(y_T)
    if not gap_T.any():
        return y_T
    time = np.arange(len(y_T))
    return np.where(gap_T, np.interp(time, time[~gap_T], y_T[~gap_T]), y_T)


def prepare(
    series: Sequence[np.ndarray], regressors: Sequence[np.ndarray], d_B: np.ndarray, D_B: np.ndarray, season: int
) -> Differenced:
    """Difference series and regressors and align them at their starts.

    Parameters
    ----------
    series : arrays [L], raw units; NaN = missing
    regressors : arrays [L, K]
    d_B, D_B : differences of each series
    season : season length, steps
    """
    count, columns = len(series), regressors[0].shape[1]
    lengths = np.array([len(y_T) for y_T in series]) - d_B - season * D_B
    missing_B = np.array([int(np.isnan(y_T).sum()) for y_T in series])
    gaps, longest = int(missing_B.max()), int(lengths.max())
    w_TCB = np.zeros((longest, gaps + columns + 2, count))
    for b, (y_T, x_TK) in enumerate(zip(series, regressors, strict=True)):
        d, seasonal, size = int(d_B[b]), int(D_B[b]), lengths[b]
        w_TCB[:size, -1, b] = difference(fill(y_T), d, seasonal, season)
        w_TCB[:size, -2, b] = 1.0
        if columns:
            w_TCB[:size, gaps:-2, b] = difference(x_TK, d, seasonal, season)
        if missing_B[b]:
            weights, lost = difference_polynomial(d, seasonal, season), len(y_T) - size
            for j, at in enumerate(np.flatnonzero(np.isnan(y_T))):
                place = at - lost + np.arange(len(weights))
                inside = (place >= 0) & (place < size)
                w_TCB[place[inside], j, b] = weights[inside]
    scale_CB = np.sqrt(np.einsum("tcb,tcb->cb", w_TCB, w_TCB) / lengths)
    scale_CB[:gaps] = 1.0
    scale_CB = np.where(scale_CB > 0, scale_CB, 1.0)
    scale_CB[-2] = 1.0
    scale_CB[-1] = _spread(w_TCB[:, -1], lengths)
    w_TCB /= scale_CB
    return Differenced(
        Rows(w_TCB, lengths, gaps, season),
        scale_CB,
        missing_B,
        d_B,
        D_B,
        columns,
        np.array([len(y_T) for y_T in series]),
    )


def _spread(w_TB: np.ndarray, length_B: np.ndarray) -> np.ndarray:
    """Standard deviation about the mean of left-aligned series; 1 where it vanishes."""
    mean_B = w_TB.sum(0) / length_B
    square_B = np.maximum((w_TB * w_TB).sum(0) / length_B - mean_B**2, 0.0)
    return np.where(square_B > 0, np.sqrt(square_B), 1.0)
