"""Panel: the one in-memory form of every input, ragged series end to end with ids, times and covariates.

Legend: N items, T all rows of the panel end to end, L time, H horizon, K known covariates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tsar import frequency
from tsar.frames import read_table
from tsar.grid import counts_clock, local_times, regular


class Names(NamedTuple):
    """The caller's column names, which every answer keeps."""

    item: str = "item_id"
    time: str = "timestamp"
    target: str = "target"


@dataclass(frozen=True)
class Panel:
    """Series of unequal length on one time grid; `Panel.of(data)` reads every accepted input.

    Attributes
    ----------
    ids : object array [N], item ids in the order of the answer
    offsets : int64 array [N + 1]; item i is `values[offsets[i]:offsets[i + 1]]`
    values : float64 array [T], raw units, NaN = missing; rows missing from the input stand here as NaN
    times : datetime64[ns] or int64 array [T]
    freq : pandas alias, or the integer step between points
    covariates : arrays [T] by column name, float64 or object (categories)
    static : arrays [N] by column name
    names : the caller's column names
    kind : what the caller gave ("long", "wide", "series", "array", "gluonts"), and `library` ("pandas", "polars", …)
    has_id : whether the caller's frame had an id column
    tz : time zone of the timestamps, or None
    season : season length asked for by the caller, or None
    """

    ids: np.ndarray
    offsets: np.ndarray
    values: np.ndarray
    times: np.ndarray
    freq: str | int
    covariates: Mapping[str, np.ndarray] = field(default_factory=dict)
    static: Mapping[str, np.ndarray] = field(default_factory=dict)
    names: Names = Names()
    kind: str = "long"
    library: str = "pandas"
    has_id: bool = True
    tz: Any = None
    season: int | None = None

    @classmethod
    def of(
        cls,
        data: Any,
        *,
        covariates: Sequence[str] = (),
        static: Sequence[str] = (),
        freq: str | int | None = None,
        season_length: int | None = None,
    ) -> Panel:
        """Read a long or wide frame, Series, array, list or mapping of arrays, gluonts dataset, polars or arrow frame.

        Parameters
        ----------
        data : any accepted input; never modified
        covariates : names of columns that vary in time (known or past)
        static : names of columns that are constant within an item
        freq : pandas alias, default inferred from the timestamps
        season_length : int, steps, default inferred by the forecaster that needs it

        Raises
        ------
        TypeError
            If `data` is of no accepted type.
        ValueError
            For empty data, infinities, duplicate, missing or irregular timestamps, unknown columns: the message names
            the item, what was expected and what was found.
        """
        season = check_season_length(season_length)
        if isinstance(data, Panel):
            if missing := [c for c in covariates if c not in data.covariates]:
                raise ValueError(f"the panel lacks the covariates {missing}; it has {sorted(data.covariates)}")
            if missing := [c for c in static if c not in data.static]:
                raise ValueError(f"the panel lacks the static covariates {missing}; it has {sorted(data.static)}")
            if freq is not None and data.freq not in (
                freq,
                frequency.canonical(freq) if isinstance(freq, str) else freq,
            ):
                raise ValueError(f"the panel has frequency {data.freq!r}, expected freq={freq!r}")
            return replace(data, season=season or data.season)
        table = read_table(data, covariates, static)
        return cls(names=Names(*table.names), **regular(table, freq, season))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        """Number of steps of each item, int64 [N]."""
        return np.diff(self.offsets)

    @property
    def stamped(self) -> bool:
        """Whether times are timestamps (else integer steps)."""
        return self.times.dtype.kind == "M"

    def series(self, i: int) -> np.ndarray:
        """Values of item `i`, a view [L]."""
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def season_of(self, given: int | None = None) -> np.ndarray:
        """Season of each item in steps [N]: given, else the caller's, else from the frequency, else detected."""
        known = given or self.season or frequency.season_length(self.freq)
        if known:
            return np.full(len(self), known, "i8")
        return np.array([frequency.detect_season(self.series(i)) for i in range(len(self))], "i8")

    def padded(self, values: np.ndarray | None = None, longest: int | None = None) -> np.ndarray:
        """Stack the series into [N, L], aligned at their ends, NaN before their starts.

        Parameters
        ----------
        values : array [T], default the target
        longest : keep at most so many last steps
        """
        flat = self.values if values is None else values
        lengths = self.lengths
        width = int(lengths.max(initial=0)) if longest is None else min(int(lengths.max(initial=0)), longest)
        if (lengths == width).all():
            return flat.reshape(len(self), width)
        step = np.arange(-width, 0)
        index = self.offsets[1:, None] + step
        inside = step >= -lengths[:, None]
        return np.where(inside, flat[np.where(inside, index, 0)], np.nan)

    def future_times(self, horizon: int) -> np.ndarray:
        """Times of the `horizon` steps after each item's end: [N, H]."""
        return frequency.advance(self.times[self.offsets[1:] - 1], np.arange(1, horizon + 1), self.freq)

    def take(self, items: Sequence[int] | np.ndarray) -> Panel:
        """Panel of the items at these positions, in this order."""
        items = np.asarray(items, "i8")
        starts, lengths = self.offsets[items], self.lengths[items]
        return self._slice(items, starts, lengths)

    def until(self, lengths: np.ndarray) -> Panel:
        """Panel of the first `lengths[i]` steps of every item; items left without a step are dropped."""
        keep = np.flatnonzero(np.asarray(lengths) > 0)
        return self._slice(keep, self.offsets[keep], np.minimum(np.asarray(lengths)[keep], self.lengths[keep]))

    def last(self, steps: int) -> Panel:
        """Panel of the last `steps` steps of every item."""
        lengths = np.minimum(self.lengths, steps)
        return self._slice(np.arange(len(self)), self.offsets[1:] - lengths, lengths)

    def _slice(self, items: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> Panel:
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        rows = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        return replace(
            self,
            ids=self.ids[items],
            offsets=offsets,
            values=self.values[rows],
            times=self.times[rows],
            covariates={name: column[rows] for name, column in self.covariates.items()},
            static={name: column[items] for name, column in self.static.items()},
        )

    def stamp(self, times: np.ndarray) -> Any:
        """Turn grid times into what the caller sees: timestamps in the caller's zone, or integers."""
        if times.dtype.kind != "M" or self.tz is None:
            return times
        index = pd.DatetimeIndex(times)
        if counts_clock(self.freq):
            return index.tz_localize("UTC").tz_convert(self.tz)
        return index.tz_localize(self.tz, ambiguous=True, nonexistent="shift_forward")

    def to_frame(self) -> pd.DataFrame:
        """Long pandas frame with the caller's column names; gaps of the input stand as rows with NaN."""
        frame = {
            self.names.item: np.repeat(self.ids, self.lengths),
            self.names.time: self.stamp(self.times),
            self.names.target: self.values,
        }
        frame |= dict(self.covariates) | {k: np.repeat(v, self.lengths) for k, v in self.static.items()}
        return pd.DataFrame(frame)

    def read_future(self, future: Any, horizon: int, known: Sequence[str]) -> dict[str, np.ndarray]:
        """Read the frame of known covariates over the horizon, one row an item and step.

        Parameters
        ----------
        future : frame with this panel's id and time columns and the columns `known`
        horizon : int, steps
        known : column names

        Returns
        -------
        Arrays [N, H] by column name.

        Raises
        ------
        ValueError
            If `future` is missing, lacks a column, or lacks the row of an item and time (both are named).
        """
        if not known:
            if future is not None:
                raise ValueError(
                    "future= was given, but no known covariates were named: expected known=[…] in the constructor"
                )
            return {}
        if future is None:
            raise ValueError(
                f"the known covariates {list(known)} are needed over the horizon: expected future=, found None"
            )
        table = read_table(future, known, (), target_needed=False)
        times = local_times(table.times_T, table.tz, self.freq) if table.times_T.dtype.kind == "M" else table.times_T
        want = self.future_times(horizon)
        if times.dtype.kind != want.dtype.kind:
            raise ValueError(f"future has times of type {times.dtype}, expected {want.dtype} as in the history")
        row = pd.Series(np.arange(len(times)), index=pd.MultiIndex.from_arrays([_keys(table.owner_ids(), self), times]))
        if row.index.has_duplicates:
            item, time = row.index[row.index.duplicated()][0]
            raise ValueError(f"future has two rows for item {item!r} at {time}")
        place = row.reindex(pd.MultiIndex.from_arrays([np.repeat(self.ids, horizon), want.ravel()])).to_numpy()
        if (lost := np.isnan(place)).any():
            at = int(np.argmax(lost))
            raise ValueError(
                f"future lacks item {self.ids[at // horizon]!r} at {want.ravel()[at]}: expected one row for "
                f"each of the {horizon} steps after its end"
            )
        return {name: table.covariates[name][place.astype("i8")].reshape(-1, horizon) for name in known}


def check_season_length(season_length: int | None) -> int | None:
    """Return `season_length` as int; ValueError unless it is None or a positive integer."""
    if season_length is None:
        return None
    if isinstance(season_length, bool) or int(season_length) != season_length or season_length < 1:
        raise ValueError(f"season_length must be a positive integer number of steps, found {season_length!r}")
    return int(season_length)


def _keys(ids: np.ndarray, panel: Panel) -> np.ndarray:
    return ids if panel.has_id or len(panel) != 1 else np.full(len(ids), panel.ids[0], object)
