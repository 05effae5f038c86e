"""Puts the rows of a table on one time grid.

Legend: N items, T all rows end to end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tsar import frequency
from tsar.frames import Table


def counts_clock(freq: str | int) -> bool:
    """Whether steps of `freq` are counted on the clock (in UTC) rather than on the local calendar."""
    return isinstance(freq, str) and 0 < frequency.spec(freq).fixed < 86_400_000_000_000


def local_times(times_T: np.ndarray, tz: Any, freq: str | int) -> np.ndarray:
    """Give UTC times as the grid counts them: clock frequencies in UTC, days and longer on the local calendar."""
    if tz is None or counts_clock(freq):
        return times_T
    return pd.DatetimeIndex(times_T).tz_localize("UTC").tz_convert(tz).tz_localize(None).to_numpy("M8[ns]")


def regular(table: Table, freq: str | int | None, season: int | None) -> dict[str, Any]:
    """Put a table's rows on one grid and return the fields of its panel; rows that are missing appear as NaN.

    Parameters
    ----------
    table : rows sorted by item and time
    freq : pandas alias or integer step, default inferred
    season : season length asked for, or None

    Raises
    ------
    ValueError
        If no frequency can be inferred, a time is not on the grid, or the rows are too sparse for it.
    """
    times, offsets, ids = table.times_T, table.offsets, table.ids
    if freq is not None and (times.dtype.kind == "M") != isinstance(freq, str):
        if not isinstance(freq, str) or table.timed:
            wanted = "an alias for timestamps, an int for steps"
            raise ValueError(f"freq={freq!r} does not fit times of type {times.dtype}: expected {wanted}")
        # bare values with a named frequency: only its season counts
        season, freq = season or frequency.season_length(frequency.canonical(freq)), None
    step = frequency.even_step(times, offsets) if table.tz is None else None
    if freq is None:
        freq = table.freq
    if freq is None and step and step < 28 * 86_400_000_000_000:  # evenly spaced: two rows an item say all
        freq = frequency.infer(*_first_rows(times, offsets), ids)
    elif freq is None:
        on_clock = times.dtype.kind != "M" or table.tz is None or _short_gap(times, offsets)
        freq = frequency.infer(times if on_clock else local_times(times, table.tz, "D"), offsets, ids)
    elif isinstance(freq, str):
        freq = frequency.canonical(freq)
    times = local_times(times, table.tz, freq)
    lengths = np.diff(offsets)
    starts_N = times[offsets[:-1]]
    steady = step is not None and step == frequency.fixed_step(freq)  # then a start on the grid puts all rows on it
    place, on_grid = frequency.positions(
        starts_N if steady else times, starts_N if steady else np.repeat(starts_N, lengths), freq
    )
    if not on_grid.all():
        at = int(offsets[np.argmin(on_grid)] if steady else np.argmin(on_grid))
        raise ValueError(
            f"item {table.owner_ids()[at]!r} has the time {times[at]}, which is not on the grid of frequency {freq!r}"
        )
    columns = {"": table.values_T, **table.covariates}
    full = lengths if steady else place[offsets[1:] - 1] + 1
    if (full != lengths).any():
        if full.sum() > 50 * len(times) + 10_000:
            worst = int(np.argmax(full - lengths))
            raise ValueError(
                f"item {ids[worst]!r} has {lengths[worst]} rows over {full[worst]} steps of frequency {freq!r}: "
                "too sparse for that grid, pass a longer freq= or resample"
            )
        offsets, times, columns = _fill_gaps(offsets, times, columns, place, full, freq)
    values = columns.pop("")
    return dict(
        ids=ids, offsets=offsets, values=values, times=times, freq=freq, covariates=columns, static=table.static,
        kind=table.kind, library=table.library, has_id=table.has_id, tz=table.tz, season=season,
    )  # fmt: skip


def _fill_gaps(
    offsets: np.ndarray,
    times_T: np.ndarray,
    columns: dict[str, np.ndarray],
    place_T: np.ndarray,
    full_N: np.ndarray,
    freq: str | int,
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Spread the rows over full grids of `full_N` steps an item, NaN (or None) where there was no row."""
    wide = np.concatenate([[0], np.cumsum(full_N)])
    rows = np.repeat(wide[:-1], np.diff(offsets)) + place_T
    step = np.arange(wide[-1]) - np.repeat(wide[:-1], full_N)

    def spread(column: np.ndarray) -> np.ndarray:
        out = np.full(wide[-1], None if column.dtype == object else np.nan, column.dtype)
        out[rows] = column
        return out

    times = np.empty(wide[-1], times_T.dtype)
    times[rows] = times_T
    holes = np.ones(len(times), bool)
    holes[rows] = False
    first = np.repeat(times_T[offsets[:-1]], full_N)
    times[holes] = frequency.advance(first[holes], step[holes][:, None], freq)[:, 0]
    return wide, times, {name: spread(column) for name, column in columns.items()}


def _first_rows(times_T: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First two rows of every item, and where each item starts among them."""
    kept_N = np.minimum(np.diff(offsets), 2)
    fewer = np.concatenate([[0], np.cumsum(kept_N)])
    rows = np.repeat(offsets[:-1] - fewer[:-1], kept_N) + np.arange(fewer[-1])
    return times_T[rows], fewer


def _short_gap(times_T: np.ndarray, offsets: np.ndarray) -> bool:
    """Whether some gap is shorter than 23 hours, so that steps are counted on the clock and not on the calendar."""
    gaps = np.diff(times_T).astype("i8")
    gaps[offsets[1:-1] - 1] = np.iinfo("i8").max
    return bool(len(gaps) and gaps.min() < 23 * 3_600_000_000_000)
