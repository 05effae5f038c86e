"""Reads bare values into a table: arrays, lists, mappings, and the records of a gluonts dataset.

Legend: N items, L time, V variates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tsar.table import Table, describe, numbers, parse_times

_ACCEPTED = (
    "a long frame (item_id, timestamp, target or unique_id, ds, y), a wide frame, a Series, a 1-D array, a 2-D array "
    "(one row a series), a list or mapping of arrays, a gluonts dataset, or a polars or arrow frame"
)


def from_arrays(data: Any) -> Table:
    """Table of bare values: arrays, lists, mappings, or the records of a gluonts dataset."""
    names = ("item_id", "timestamp", "target")
    if isinstance(data, str | bytes) or not isinstance(data, Iterable):
        raise TypeError(f"cannot read {describe(data)}: expected {_ACCEPTED}")
    if isinstance(data, Mapping):
        pairs = list(data.items())
    elif hasattr(data, "__array__") and not isinstance(data, list | tuple):
        array = numbers(data, "values")
        if array.ndim not in (1, 2):
            raise ValueError(
                f"cannot read an array of shape {array.shape}: expected one series [L] or one row a series [N, L]"
            )
        rows = array.reshape(1, -1) if array.ndim == 1 else array
        ids = np.arange(len(rows) if rows.shape[1] else 0).astype(object)
        times = np.tile(np.arange(rows.shape[1]), len(ids))
        return Table(ids, np.arange(len(ids) + 1) * rows.shape[1], rows.ravel(), times, names, "array", False)
    else:
        records = list(data)
        if records and isinstance(records[0], Mapping):
            return _from_records(records)
        if records and np.ndim(records[0]) == 0:
            return from_arrays(numbers(records, "values"))
        pairs = list(enumerate(records))
    columns = [(name, np.atleast_1d(numbers(series, name))) for name, series in pairs]
    for name, column in columns:
        if column.ndim != 1 or not len(column):
            raise ValueError(f"item {name!r} has shape {column.shape}: expected a series of at least one value")
    lengths = [len(column) for _, column in columns]
    ids = np.empty(len(columns), object)
    ids[:] = [name for name, _ in columns]
    values = np.concatenate([c for _, c in columns]) if columns else np.zeros(0)
    times = np.concatenate([np.arange(n) for n in lengths]) if columns else np.zeros(0, "i8")
    return Table(ids, np.concatenate([[0], np.cumsum(lengths)]).astype("i8"), values, times, names, "array", False)


def _from_records(records: Sequence[Mapping[str, Any]]) -> Table:
    """Records of a gluonts dataset: {"start": Period, "target": [L] or [V, L], "item_id": …}; variates become items."""
    ids, targets, starts = [], [], []
    for i, record in enumerate(records):
        if "target" not in record or "start" not in record:
            raise ValueError(f"record {i} has the fields {sorted(record)}: expected at least 'start' and 'target'")
        target = np.asarray(record["target"], np.float64)
        name = record.get("item_id", i)
        for v, row in enumerate(np.atleast_2d(target)):
            ids.append(name if target.ndim == 1 else f"{name}/{v}")
            targets.append(row)
            starts.append(pd.Period(record["start"]) if isinstance(record["start"], pd.Period) else record["start"])
    if not isinstance(starts[0], pd.Period):
        raise ValueError(f"record 0 has the start {starts[0]!r}: expected a pandas Period, which carries the frequency")
    times = [
        pd.period_range(s, periods=len(t)).to_timestamp().to_numpy("M8[ns]")
        for s, t in zip(starts, targets, strict=True)
    ]
    lengths = [len(t) for t in targets]
    freq = parse_times(pd.PeriodIndex([starts[0]]), "start", np.array(ids[:1], object), np.zeros(1, "i8"))[2]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype("i8")
    out = np.empty(len(ids), object)
    out[:] = ids
    names = ("item_id", "timestamp", "target")
    return Table(out, offsets, np.concatenate(targets), np.concatenate(times), names, "gluonts", freq=freq)
