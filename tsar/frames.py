"""Reads long and wide frames (pandas, polars, arrow) into one flat table; other inputs go to `tsar.records`.

Legend: N items, T all rows end to end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tsar.records import from_arrays
from tsar.table import Table, describe, numbers, parse_times

_ITEM, _TIME, _TARGET = ("item_id", "unique_id"), ("timestamp", "ds"), ("target", "y")


def read_table(data: Any, covariates: Sequence[str], static: Sequence[str], *, target_needed: bool = True) -> Table:
    """Read any accepted input; see `Panel.of` for what is raised."""
    if hasattr(data, "tocsr"):
        raise TypeError(f"sparse input is not supported: expected a dense array or a frame, found {describe(data)}")
    frame, library = _as_pandas(data)
    if isinstance(frame, Mapping) and frame and all(isinstance(value, pd.Series) for value in frame.values()):
        frame = pd.concat([_long(name, series) for name, series in frame.items()])
    if isinstance(frame, pd.Series):
        name = frame.name if frame.name is not None else 0
        table = _from_columns({name: frame.to_numpy()}, frame.index, "series", ("item_id", "timestamp", "target"))
    elif isinstance(frame, pd.DataFrame):
        table = _from_frame(frame, covariates, static, target_needed)
    else:
        table = from_arrays(frame)
    table.library = library
    missing = [name for name in (*covariates, *static) if name not in table.covariates and name not in table.static]
    if missing:
        raise ValueError(f"covariates {missing} are not in the data, which is no long frame with such columns")
    if not len(table.ids):
        raise ValueError(f"the data is empty: expected at least one series, found none in {describe(data)}")
    if np.isinf(table.values_T).any():
        at = int(np.argmax(np.isinf(table.values_T)))
        raise ValueError(
            f"item {table.owner_ids()[at]!r} holds {table.values_T[at]} at {table.times_T[at]}: expected finite "
            "values, or NaN where missing"
        )
    return table


def _long(name: Any, series: pd.Series) -> pd.DataFrame:
    return pd.DataFrame({"item_id": name, "timestamp": series.index, "target": series.to_numpy()})


def _as_pandas(data: Any) -> tuple[Any, str]:
    """Turn polars and arrow frames into pandas ones, column by column; leave the rest."""
    library = type(data).__module__.partition(".")[0]
    if library == "polars" and hasattr(data, "collect_schema"):
        data = data.collect() if hasattr(data, "collect") else data
        if hasattr(data, "columns"):
            return pd.DataFrame({name: _polars_column(data[name]) for name in data.columns}), library
        return pd.Series(_polars_column(data), name=data.name), library
    if library == "pyarrow":
        return data.to_pandas(), library
    return data, "pandas"


def _polars_column(column: Any) -> Any:
    values = (
        column.to_list()
        if str(column.dtype).startswith(("String", "Categorical", "Enum", "Date"))
        else column.to_numpy()
    )
    zone = getattr(column.dtype, "time_zone", None)
    return pd.to_datetime(column.to_numpy()).tz_localize("UTC").tz_convert(zone) if zone else values


def _from_frame(frame: pd.DataFrame, covariates: Sequence[str], static: Sequence[str], target_needed: bool) -> Table:
    levels = [name for name in frame.index.names if name in (*_ITEM, *_TIME)]
    if levels:
        frame = frame.reset_index(levels)
    item, time, target = (next((c for c in known if c in frame.columns), None) for known in (_ITEM, _TIME, _TARGET))
    if target is None and target_needed:
        if item is not None:
            raise ValueError(
                f"the frame has the column {item!r} but no target: expected 'target' or 'y', found {list(frame)}"
            )
        index = pd.Index(frame[time]) if time else frame.index
        names = ("item_id", time or "timestamp", "target")
        return _from_columns({c: frame[c].to_numpy() for c in frame.columns if c != time}, index, "wide", names)
    missing = [name for name in (*covariates, *static) if name not in frame.columns]
    if missing:
        raise ValueError(f"the frame lacks the columns {missing}: it has {list(map(str, frame.columns))}")
    if not len(frame):
        raise ValueError(
            f"the data is empty: found a frame with the columns {list(map(str, frame.columns))} and no row"
        )
    names = (item or "item_id", time or "timestamp", target or "target")
    timed = time is not None or isinstance(frame.index, pd.DatetimeIndex | pd.PeriodIndex)
    values = numbers(frame[target], names[2]) if target else np.full(len(frame), np.nan)
    ids, code = _items(frame[item]) if item else (np.array([0], object), np.zeros(len(frame), "i8"))
    if timed:
        times, tz, freq = parse_times(pd.Index(frame[time]) if time else frame.index, names[1], ids, code)
    else:
        times, tz, freq = _steps(code, len(ids)), None, None
    order = _order(code, times)
    if order is not None:
        times, values = times[order], values[order]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(code, minlength=len(ids)))])
    number = times.view("i8")  # compared as integers, which skips a look for NaT at every row
    stays = np.flatnonzero(number[1:] == number[:-1]) + 1
    if len(same := stays[~np.isin(stays, offsets)]):
        owner = ids[np.searchsorted(offsets, same[0], side="right") - 1]
        raise ValueError(f"item {owner!r} has two rows at {times[same[0]]}: expected one row for an item and time")
    table = Table(ids, offsets, values, times, names, "long", timed, item is not None, tz=tz, freq=freq)
    for name in (*covariates, *static):
        column = _covariate(frame[name])
        table.covariates[name] = column if order is None else column[order]
    for name in static:
        table.static[name] = _constant(table.covariates.pop(name), table, name)
    return table


def _items(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Sorted ids and the item of every row, hashing one id a block of equal neighbours instead of one a row."""
    raw = column.cat.codes.to_numpy() if isinstance(column.dtype, pd.CategoricalDtype) else column.to_numpy()
    starts = np.concatenate([[0], np.flatnonzero(raw[1:] != raw[:-1]) + 1])
    blocks = np.asarray(column.iloc[starts].astype(object))
    if (missing := pd.isna(blocks)).any():
        raise ValueError(f"column {column.name!r} has a missing item id in row {starts[int(np.argmax(missing))]}")
    code, ids = pd.factorize(blocks)
    try:
        rank = np.argsort(ids, kind="stable")
    except TypeError:  # ids of mixed types have no order of their own
        rank = np.argsort(np.array([str(i) for i in ids]), kind="stable")
    place = np.empty(len(ids), "i8")
    place[rank] = np.arange(len(ids))
    return np.asarray(ids, object)[rank], np.repeat(place[code], np.diff(np.append(starts, len(raw))))


def _order(code: np.ndarray, times: np.ndarray) -> np.ndarray | None:
    """Order that sorts rows by item and time, None where they are sorted; whole blocks move as blocks."""
    number = times.view("i8")
    falls = np.flatnonzero(number[1:] < number[:-1]) + 1
    starts = np.flatnonzero(code[1:] != code[:-1]) + 1
    item = code[np.concatenate([[0], starts])]
    if not np.isin(falls, starts, assume_unique=True).all() or len(np.unique(item)) < len(item):
        return np.lexsort((times, code))
    if (item[1:] > item[:-1]).all():
        return None
    rank = np.argsort(item)
    sizes = np.diff(starts, prepend=0, append=len(code))[rank]
    shift = np.concatenate([[0], starts])[rank] - (np.cumsum(sizes) - sizes)
    moved: np.ndarray = np.arange(len(code)) + np.repeat(shift, sizes)
    return moved


def _steps(code: np.ndarray, n: int) -> np.ndarray:
    """Number the rows of each item in the order given, where the frame has no times."""
    order = np.argsort(code, kind="stable")
    counts = np.bincount(code, minlength=n)
    out = np.empty(len(code), "i8")
    out[order] = np.arange(len(code)) - np.repeat(np.cumsum(counts) - counts, counts)
    return out


def _covariate(column: pd.Series) -> np.ndarray:
    if pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        return numbers(column, column.name)
    values = column.to_numpy(object, copy=True)
    values[pd.isna(values)] = None
    return values


def _constant(column: np.ndarray, table: Table, name: str) -> np.ndarray:
    first = column[table.offsets[:-1]]
    spread = np.repeat(first, np.diff(table.offsets))
    differs = (column != spread) & ~(pd.isna(column) & pd.isna(spread))
    if differs.any():
        at = int(np.argmax(differs))
        raise ValueError(
            f"static covariate {name!r} changes within item {table.owner_ids()[at]!r}: {spread[at]!r}, {column[at]!r}"
        )
    return first


def _from_columns(columns: Mapping[Any, np.ndarray], index: pd.Index, kind: str, names: tuple[str, str, str]) -> Table:
    """Table of equally long series that share one index."""
    stamped = isinstance(index, pd.DatetimeIndex | pd.PeriodIndex) or index.dtype == object
    ids = np.empty(len(columns), object)
    ids[:] = list(columns)
    if not len(index) or not len(ids):
        return Table(ids[:0], np.zeros(1, "i8"), np.zeros(0), np.zeros(0, "i8"), names, kind)
    zeros = np.zeros(len(index), "i8")
    timed = stamped or pd.api.types.is_numeric_dtype(index.dtype)
    times, tz, freq = parse_times(index, names[1], ids, zeros) if timed else (np.arange(len(index)), None, None)
    order = np.argsort(times, kind="stable")
    times = times[order]
    if len(same := np.flatnonzero(times[1:] == times[:-1])):
        raise ValueError(f"item {ids[0]!r} has two rows at {times[same[0]]}: expected one row for an item and time")
    values = np.concatenate([numbers(column, name)[order] for name, column in columns.items()])
    offsets = np.arange(len(ids) + 1) * len(index)
    return Table(ids, offsets, values, np.tile(times, len(ids)), names, kind, stamped, tz=tz, freq=freq)
