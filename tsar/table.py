"""The flat table that every reader fills: rows sorted by item and time.

Legend: N items, T all rows end to end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd


@dataclass
class Table:
    """Rows sorted by item and time, without duplicates; what `Panel` puts on a grid."""

    ids: np.ndarray
    offsets: np.ndarray
    values_T: np.ndarray
    times_T: np.ndarray
    names: tuple[str, str, str]
    kind: str
    timed: bool = True
    has_id: bool = True
    library: str = "pandas"
    tz: Any = None
    freq: str | None = None
    covariates: dict[str, np.ndarray] = field(default_factory=dict)
    static: dict[str, np.ndarray] = field(default_factory=dict)

    def owner_ids(self) -> np.ndarray:
        """Id of the item of every row, object [T]."""
        return np.repeat(self.ids, np.diff(self.offsets))


def describe(data: Any) -> str:
    """Type and shape of an input, for messages."""
    shape = getattr(data, "shape", None)
    return f"{type(data).__name__}" + (f" of shape {tuple(shape)}" if shape is not None else "")


def numbers(column: Any, name: Any) -> np.ndarray:
    """Column as float64; missing values of any kind become NaN."""
    if getattr(getattr(column, "dtype", None), "kind", "") == "c":
        raise ValueError(f"column {name!r}: Complex data not supported, expected real numbers, found {column.dtype}")
    try:
        if isinstance(column, pd.Series):
            if pd.api.types.is_datetime64_any_dtype(column.dtype):
                raise TypeError("found timestamps")
            return column.to_numpy(np.float64, na_value=np.nan)
        return np.asarray(column, np.float64)
    except (ValueError, TypeError) as error:
        raise ValueError(f"column {name!r} is not numeric: {error}") from error


def parse_times(index: pd.Index, name: str, ids: np.ndarray, code: np.ndarray) -> tuple[np.ndarray, Any, str | None]:
    """Times as int64 steps or UTC datetime64[ns], their zone, and the frequency if periods carry one."""
    freq = None
    if isinstance(index, pd.PeriodIndex):
        freq = {"M": "MS", "Q": "QS", "Y": "YS"}.get(index.freqstr.split("-")[0], index.freqstr)
        index = index.to_timestamp()
    if index.isna().any():
        raise ValueError(f"item {ids[code[int(np.argmax(index.isna()))]]!r} has a missing time in column {name!r}")
    if index.dtype == object or isinstance(index.dtype, pd.StringDtype):
        try:
            index = pd.DatetimeIndex(pd.to_datetime(index))
        except (ValueError, TypeError) as error:
            raise ValueError(f"column {name!r} is neither timestamps nor integer steps: {error}") from error
    if isinstance(index, pd.DatetimeIndex):
        utc = index.tz_convert("UTC").tz_localize(None) if index.tz is not None else index
        return utc.to_numpy().astype("M8[ns]", copy=False), index.tz, freq
    if pd.api.types.is_bool_dtype(index.dtype) or not pd.api.types.is_numeric_dtype(index.dtype):
        raise ValueError(f"column {name!r} has type {index.dtype}, expected timestamps or integer steps")
    steps = index.to_numpy()
    if steps.dtype.kind == "f" and (steps != np.floor(steps)).any():
        raise ValueError(
            f"column {name!r} holds fractions such as {steps[steps != np.floor(steps)][0]}: expected integer steps"
        )
    return steps.astype("i8"), None, None
