"""Time grids: infer a panel's frequency, place timestamps on it, continue it, and name its season.

Times are either int64 steps or datetime64[ns]; a grid is a pandas frequency alias, or the integer step between points.
Legend: T all rows of a panel end to end, N items, H horizon.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

_NS = {"D": 86_400_000_000_000, "h": 3_600_000_000_000, "min": 60_000_000_000, "s": 10**9, "ms": 10**6, "us": 1000}
_DAY = _NS["D"]
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTHS_IN = {"M": 1, "Q": 3, "Y": 12}


class _Spec:
    """A frequency alias taken apart: a fixed number of nanoseconds, of months, of business days, or none of these."""

    def __init__(self, freq: str) -> None:
        try:
            self.offset: Any = pd.tseries.frequencies.to_offset(freq)
        except ValueError as error:
            raise ValueError(
                f"unknown frequency {freq!r}: expected a pandas alias such as 'h', 'D', 'W', 'MS'"
            ) from error
        self.fixed = self.months = 0
        self.at_end = self.business = False
        base = self.offset.name.split("-")[0]
        if isinstance(self.offset, pd.offsets.Tick):
            self.fixed = int(self.offset.nanos)
        elif isinstance(self.offset, pd.offsets.Week):
            self.fixed = 7 * _DAY * self.offset.n
        elif base in ("MS", "ME", "QS", "QE", "YS", "YE"):
            self.months, self.at_end = _MONTHS_IN[base[0]] * self.offset.n, base[1] == "E"
        elif base == "B" and self.offset.n == 1:
            self.business = True
        if self.offset.n < 1:
            raise ValueError(f"frequency {freq!r} runs backwards: expected a positive step")


spec = lru_cache(maxsize=256)(_Spec)


def canonical(freq: str) -> str:
    """Return pandas' own spelling of `freq`, period aliases included ("M" becomes "ME"); ValueError if unknown."""
    renamed = {"M": "ME", "Q": "QE", "Y": "YE", "A": "YE", "H": "h", "T": "min", "S": "s", "L": "ms"}
    name = str(spec(renamed.get(freq, freq)).offset.freqstr)
    return {"QS-JAN": "QS", "QE-DEC": "QE", "YS-JAN": "YS", "YE-DEC": "YE"}.get(name, name)


def infer(times_T: np.ndarray, offsets: np.ndarray, ids: Sequence[Any] | np.ndarray) -> str | int:
    """Infer the one grid that all items of a panel share; missing rows (gaps) are allowed.

    Parameters
    ----------
    times_T : array of int64 or datetime64[ns], items end to end, ascending within an item
    offsets : int array [N + 1], where each item starts
    ids : item ids, for messages

    Returns
    -------
    A pandas alias for timestamps, the step for integers (1 if no item has two points).

    Raises
    ------
    ValueError
        If no item has two points (timestamps only), or the spacing is irregular; the message names an item.
    """
    inside = np.ones(max(len(times_T) - 1, 0), bool)
    inside[offsets[1:-1][(offsets[1:-1] > 0) & (offsets[1:-1] < len(times_T))] - 1] = False
    owner = np.repeat(np.arange(len(ids)), np.diff(offsets))[1:][inside]
    gaps = np.diff(times_T.view("i8") if times_T.dtype.kind == "M" else times_T)[inside]
    if times_T.dtype.kind != "M":
        return int(_common_step(gaps, owner, ids)) if len(gaps) else 1
    if not len(gaps):
        raise ValueError(
            f"cannot infer the frequency of item {ids[0]!r} from a single timestamp: pass freq=, e.g. freq='D'"
        )
    smallest = int(gaps.min())
    if smallest >= 28 * _DAY and (alias := _month_alias(times_T)):
        return alias
    if smallest == _DAY and (gaps == 3 * _DAY).any() and not (_weekday(times_T) >= 5).any():
        if not (times_T.view("i8") % _DAY).any():
            return "B"
    step = _common_step(gaps, owner, ids)
    if step % (7 * _DAY) == 0:
        days = np.unique(_weekday(times_T))
        weeks = step // (7 * _DAY)
        return f"{weeks if weeks > 1 else ''}W-{_DAYS[days[0]]}" if len(days) == 1 else f"{step // _DAY}D"
    for unit, size in _NS.items():
        if step % size == 0:
            return f"{step // size if step > size else ''}{unit}"
    return f"{step}ns"


def even_step(times_T: np.ndarray, offsets: np.ndarray) -> int | None:
    """Gap between neighbours (nanoseconds or steps) where it is the same throughout all items, else None."""
    gaps = np.diff(times_T.view("i8") if times_T.dtype.kind == "M" else times_T)
    long = np.diff(offsets) > 1
    if not long.any():
        return None
    step = int(gaps[offsets[int(np.argmax(long))]])
    return step if np.isin(np.flatnonzero(gaps != step) + 1, offsets).all() else None


def fixed_step(freq: str | int) -> int:
    """Length of one step of `freq` (nanoseconds or integer steps), 0 where it varies."""
    return freq if isinstance(freq, int) else spec(freq).fixed


def _common_step(gaps: np.ndarray, owner: np.ndarray, ids: Sequence[Any] | np.ndarray) -> int:
    """Return the smallest gap, which every other gap must be a multiple of and every long item must show."""
    step = int(gaps.min())
    if (gaps % step != 0).any():
        sizes, counts = np.unique(gaps, return_counts=True)
        usual = int(sizes[np.argmax(counts)])
        at = int(np.argmax(gaps % usual != 0))
        raise ValueError(
            f"item {ids[owner[at]]!r} has irregular timestamps: expected steps of {_spell(usual)} or multiples "
            f"(missing rows are fine), found a step of {_spell(int(gaps[at]))}; pass freq= or resample"
        )
    n = len(ids)
    count = np.bincount(owner, minlength=n)
    low = np.full(n, np.iinfo("i8").max)
    high = np.zeros(n, "i8")
    np.minimum.at(low, owner, gaps)
    np.maximum.at(high, owner, gaps)
    if (other := (count >= 3) & (low == high) & (low != step)).any():
        i = int(np.argmax(other))
        raise ValueError(
            f"item {ids[i]!r} has steps of {_spell(int(low[i]))}, expected {_spell(step)} as in item "
            f"{ids[int(owner[int(np.argmin(gaps))])]!r}: one panel has one frequency"
        )
    return step


def _spell(step: int) -> str:
    return str(pd.Timedelta(step, "ns")) if step >= 1000 else str(step)


def _weekday(times_T: np.ndarray) -> np.ndarray:
    return (times_T.view("i8") // _DAY + 3) % 7  # 1970-01-01 was a Thursday


def _month_alias(times_T: np.ndarray) -> str | None:
    """Return the month-based alias that `times_T` lies on: all first days, or all last days, of months."""
    if (times_T.view("i8") % _DAY).any():
        return None
    day = times_T.astype("M8[D]")
    month = day.astype("M8[M]")
    if (day == month.astype("M8[D]")).all():
        suffix = "S"
    elif (day + 1 == (month + 1).astype("M8[D]")).all():
        suffix = "E"
    else:
        return None
    number = month.astype("i8")
    step = int(np.gcd.reduce(np.abs(number - number[0])))
    first = int(number[0] % 12)
    if step % 12 == 0:
        years = step // 12
        return canonical(f"{years if years > 1 else ''}Y{suffix}-{_MONTHS[first]}")
    if step % 3 == 0:
        # quarters are anchored at the month in which a year's last (QE) or first (QS) quarter ends or starts
        anchor = first % 3 if suffix == "S" else first % 3 + 9
        return canonical(f"{step // 3 if step > 3 else ''}Q{suffix}-{_MONTHS[anchor]}")
    return f"{step if step > 1 else ''}M{suffix}"


def positions(times_T: np.ndarray, first_T: np.ndarray, freq: str | int) -> tuple[np.ndarray, np.ndarray]:
    """Count the grid steps from `first_T` to `times_T`, and say which times lie on the grid.

    Returns
    -------
    steps : int64 array, and on_grid : bool array, both of the shape of `times_T`.
    """
    if isinstance(freq, int):
        difference = times_T - first_T
        return difference // freq, difference % freq == 0
    rule = spec(freq)
    if rule.fixed:
        difference = (times_T - first_T).astype("i8")
        anchored = not isinstance(rule.offset, pd.offsets.Week) or rule.offset.weekday is None
        right_day = np.ones(len(times_T), bool) if anchored else _weekday(times_T) == rule.offset.weekday
        return difference // rule.fixed, (difference % rule.fixed == 0) & right_day
    if rule.months:
        number, first = (t.astype("M8[M]").astype("i8") for t in (times_T, first_T))
        anchor = _month_anchor(rule)
        aligned = (
            (number - anchor) % rule.months == 0 if rule.months in (3, 12) else (number - first) % rule.months == 0
        )
        return (number - first) // rule.months, aligned & (_from_months(number, rule.at_end) == times_T)
    if rule.business:
        days = times_T.astype("M8[D]")
        whole = (days.astype("M8[ns]") == times_T) & np.is_busday(days)
        return np.busday_count(first_T.astype("M8[D]"), days), whole
    grid = pd.date_range(first_T.min(), times_T.max(), freq=rule.offset).to_numpy("M8[ns]")
    place = np.searchsorted(grid, times_T)
    found = grid[np.minimum(place, len(grid) - 1)] == times_T if len(grid) else np.zeros(len(times_T), bool)
    return place - np.searchsorted(grid, first_T), found


def _month_anchor(rule: _Spec) -> int:
    month = getattr(rule.offset, "month", None) or getattr(rule.offset, "startingMonth", None) or 1
    return int(month) - 1


def _from_months(number: np.ndarray, at_end: bool) -> np.ndarray:
    if at_end:
        return ((number + 1).astype("M8[M]").astype("M8[D]") - 1).astype("M8[ns]")
    return number.astype("M8[M]").astype("M8[ns]")


def advance(start_N: np.ndarray, steps: np.ndarray, freq: str | int) -> np.ndarray:
    """Give the grid times `steps` (broadcast against `start_N[:, None]`) after the times `start_N`: array [N, H]."""
    if isinstance(freq, int):
        return start_N[:, None] + freq * steps
    rule = spec(freq)
    if rule.fixed:
        return start_N[:, None] + (rule.fixed * steps).astype("m8[ns]")
    if rule.months:
        return _from_months(start_N.astype("M8[M]").astype("i8")[:, None] + rule.months * steps, rule.at_end)
    if rule.business:
        return np.busday_offset(start_N.astype("M8[D]")[:, None], steps, roll="forward").astype("M8[ns]")
    steps = np.broadcast_to(steps, (len(start_N), np.shape(steps)[-1]))
    rows = [
        pd.date_range(start, periods=int(row.max()) + 1, freq=rule.offset).to_numpy("M8[ns]")[row]
        for start, row in zip(start_N, steps, strict=True)
    ]
    return np.stack(rows) if rows else np.empty(steps.shape, "M8[ns]")


def season_length(freq: str | int | None) -> int | None:
    """Give the main season of a frequency in steps (h 24, D 7, W 52, MS 12, …); None for integer steps."""
    if freq is None or isinstance(freq, int):
        return None
    rule = spec(freq)
    if rule.months:
        return max(12 // rule.months, 1)
    if rule.business:
        return 5
    if not rule.fixed:
        return 1
    if rule.fixed >= _DAY:
        return {_DAY: 7, 7 * _DAY: 52}.get(rule.fixed, 1)
    for cycle in (_DAY, _NS["h"], _NS["min"]):  # the longest clock cycle of at most 1,440 steps
        if cycle % rule.fixed == 0 and 2 <= cycle // rule.fixed <= 1440:
            return cycle // rule.fixed
    return 1


def detect_season(values_L: np.ndarray, longest: int = 1000) -> int:
    """Detect the main season of one series from its values: the highest significant peak of its autocorrelation.

    Parameters
    ----------
    values_L : array [L], raw units, NaN = missing
    longest : int, default 1000, steps; seasons up to min(longest, L // 3) are considered

    Returns
    -------
    The season in steps, 1 where none stands out.
    """
    seen = ~np.isnan(values_L)
    n = int(seen.sum())
    if n < 12:
        return 1
    step = np.arange(len(values_L))
    slope, level = np.polyfit(step[seen] / len(step), values_L[seen], 1)
    x = np.where(seen, values_L - level - slope * step / len(step), 0.0)
    if not np.isfinite(x).all() or x.std() <= 1e-12 * max(1.0, float(np.abs(values_L[seen]).max())):
        return 1
    size = 1 << (2 * len(x) - 1).bit_length()
    products = np.fft.irfft(np.abs(np.fft.rfft(x / x.std(), size)) ** 2, size)[: len(x)]
    pairs = np.fft.irfft(np.abs(np.fft.rfft(seen.astype(float), size)) ** 2, size)[: len(x)]
    acf = products / np.maximum(pairs, 1.0)
    acf = acf / acf[0]
    top = min(longest, len(x) // 3)
    lag = np.arange(2, top)
    if not len(lag):
        return 1
    peak = (acf[lag] >= acf[lag - 1]) & (acf[lag] >= acf[lag + 1]) & (acf[lag] > max(0.2, 2.0 / np.sqrt(n)))
    peaks = lag[peak]
    if not len(peaks):
        return 1
    first = int(peaks[acf[peaks] >= 0.9 * acf[peaks].max()][0])  # the shortest of nearly equal: a multiple is no season
    near = [lag for lag in range(max(2, first - 2), first + 3) if 2 * lag < len(acf)]
    return max(near, key=lambda lag: acf[lag : 3 * lag + 1 : lag].mean(), default=first)  # its multiples sharpen a peak
