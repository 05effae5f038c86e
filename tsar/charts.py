"""Charts as inline SVG: lines, bands and dots over linear, logarithmic and calendar axes; colours come from CSS.

A chart is 480 units wide, so that its text stays readable when it fills a phone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
import pandas as pd

WIDTH = 480
LEFT, RIGHT, TOP, BOTTOM = 46, 20, 18, 30
STEPS = ("min", "5min", "15min", "h", "3h", "6h", "12h", "D", "2D", "4D", "7D", "14D", "MS", "2MS", "QS", "2QS", "YS")


class Chart:
    """One chart: ranges are given first, then marks in the order in which they are painted.

    Parameters
    ----------
    x, y : pair of numbers or of times
        Ends of the axes.
    height : int, default 270
    log_x : bool, default False
    title : str
        What a screen reader says.
    """

    def __init__(
        self, x: Sequence[object], y: Sequence[float], *, height: int = 270, log_x: bool = False, title: str = ""
    ) -> None:
        self.height, self.log_x, self.title = height, log_x, title
        self.calendar = isinstance(np.asarray(x).flat[0], np.datetime64)
        self.x_from, self.x_to = (float(v) for v in self._number(x))
        self.y_from, self.y_to = float(y[0]), float(y[1])
        if self.x_to <= self.x_from:
            self.x_to = self.x_from + 1
        if self.y_to <= self.y_from:
            self.y_from, self.y_to = self.y_from - 0.5, self.y_to + 0.5
        self.marks: list[str] = []
        self.texts: list[str] = []

    def line(self, x: Iterable[object], y: Iterable[float], css: str) -> None:
        """Draw a line; it breaks where a value is missing."""
        self.marks.append(f'<path class="line {css}" d="{self._path(x, y)}"/>')

    def band(self, x: Iterable[object], low: np.ndarray, high: np.ndarray, css: str) -> None:
        """Fill between two lines."""
        xs = list(x)
        path = self._path([*xs, *xs[::-1]], [*low, *high[::-1]])
        self.marks.append(f'<path class="band {css}" d="{path}Z"/>')

    def dots(self, x: Iterable[object], y: Iterable[float], css: str, radius: float = 2.5) -> None:
        """Draw a dot at every point."""
        for px, py in zip(self._px(x), self._py(y), strict=True):
            self.marks.append(f'<circle class="dot {css}" cx="{px:.1f}" cy="{py:.1f}" r="{radius}"/>')

    def labels(self, x: Sequence[object], y: Sequence[float], texts: Sequence[str], css: Sequence[str]) -> None:
        """Write beside points, moved apart where they would overlap."""
        order = np.argsort(np.asarray(y, dtype=float))[::-1]
        px, py = self._px(x), self._py(y)
        placed = [(v + 4, u - 7, u + 7) for u, v in zip(px, py, strict=True)]  # the dots themselves
        for i in order:
            width = 7.4 * len(texts[i])
            right, left = (px[i] + 10, "start"), (px[i] - 10 - width, "end")
            spots = [(at, side, py[i] + 4 + down) for down in range(0, 60, 4) for at, side in (right, left)]
            free = [
                (at, side, top)
                for at, side, top in spots
                if at > LEFT - 10 and at + width < WIDTH
                and not any(abs(top - t) < 12 and at < b and a < at + width for t, a, b in placed)
            ]  # fmt: skip
            at, side, top = (free or spots)[0]
            placed.append((top, at, at + width))
            anchor = at if side == "start" else at + width
            place = f'x="{anchor:.1f}" y="{top:.1f}" text-anchor="{side}"'
            self.texts.append(f'<text class="tag {css[i]}" {place}>{escape(texts[i])}</text>')

    def vertical(self, x: object, css: str) -> None:
        """Draw a vertical rule."""
        (px,) = self._px([x])
        self.marks.append(f'<path class="{css}" d="M{px:.1f} {TOP}V{self.height - BOTTOM}"/>')

    def svg(self, *, x_label: str = "", y_label: str = "") -> str:
        """Return the chart with its axes and grid."""
        low, right = self.height - BOTTOM, WIDTH - RIGHT
        parts = []
        for value, text in _number_ticks(self.y_from, self.y_to, 5):
            (py,) = self._py([value])
            parts.append(f'<path class="grid" d="M{LEFT} {py:.1f}H{right}"/>')
            parts.append(f'<text class="tick" x="{LEFT - 7}" y="{py + 4:.1f}" text-anchor="end">{text}</text>')
        for value, text in self._x_ticks():
            px = LEFT + (value - self.x_from) / (self.x_to - self.x_from) * (right - LEFT)
            parts.append(f'<path class="grid" d="M{px:.1f} {TOP}V{low}"/>')
            px, anchor = (WIDTH, "end") if px > WIDTH - 25 else (px, "middle")
            parts.append(f'<text class="tick" x="{px:.1f}" y="{low + 17}" text-anchor="{anchor}">{text}</text>')
        extra = 16 if x_label else 0
        if x_label:
            middle = (LEFT + right) / 2
            parts.append(
                f'<text class="tick" x="{middle}" y="{low + 35}" text-anchor="middle">{escape(x_label)}</text>'
            )
        if y_label:
            parts.append(f'<text class="tick" x="0" y="11">{escape(y_label)}</text>')
        inside = f'x="{LEFT}" y="{TOP}" width="{right - LEFT}" height="{low - TOP}"'
        view = f'viewBox="{LEFT} {TOP} {right - LEFT} {low - TOP}"'
        body = f"{''.join(parts)}<svg {inside} {view}>{''.join(self.marks)}</svg>{''.join(self.texts)}"
        size = f'viewBox="0 0 {WIDTH} {self.height + extra}"'
        return f'<svg class="chart" {size} role="img" aria-label="{escape(self.title, quote=True)}">{body}</svg>'

    def _number(self, x: Iterable[object]) -> np.ndarray:
        values = np.asarray(list(x))
        if self.calendar:
            return values.astype("M8[ns]").astype("i8").astype(float)
        numbers = values.astype(float)
        return np.log10(numbers) if self.log_x else numbers

    def _px(self, x: Iterable[object]) -> np.ndarray:
        return LEFT + (self._number(x) - self.x_from) / (self.x_to - self.x_from) * (WIDTH - LEFT - RIGHT)

    def _py(self, y: Iterable[float]) -> np.ndarray:
        share = (np.asarray(list(y), dtype=float) - self.y_from) / (self.y_to - self.y_from)
        return self.height - BOTTOM - np.clip(share, -0.5, 1.5) * (self.height - BOTTOM - TOP)

    def _path(self, x: Iterable[object], y: Iterable[float]) -> str:
        words, pen_up = [], True
        for px, py in zip(self._px(x), self._py(y), strict=True):
            if math.isnan(py):
                pen_up = True
                continue
            words.append(f"{'M' if pen_up else 'L'}{px:.1f} {py:.1f}")
            pen_up = False
        return "".join(words)

    def _x_ticks(self) -> list[tuple[float, str]]:
        if self.calendar:
            return _calendar_ticks(self.x_from, self.x_to)
        if self.log_x:
            powers = range(math.ceil(self.x_from - 1e-9), math.floor(self.x_to + 1e-9) + 1)
            return [(float(p), _seconds(10.0**p)) for p in powers]
        return _number_ticks(self.x_from, self.x_to, 5)


def value_range(arrays: Iterable[np.ndarray], margin: float = 0.06) -> tuple[float, float]:
    """Range of all finite values, with a margin."""
    values = np.concatenate([np.ravel(a) for a in arrays])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    pad = margin * (high - low)
    return low - pad, high + pad


def number(value: float) -> str:
    """Write a number shortly: three significant digits, k, M and G for thousands."""
    if not math.isfinite(value):
        return "–"
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):#.3g}".rstrip(".") + letter
    return f"{value:.0f}" if abs(value) >= 1000 or value == 0 else f"{value:#.3g}".rstrip(".")


def _seconds(value: float) -> str:
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= size * 0.999:
            return f"{value / size:g} {unit}"
    return f"{value:g} s"


def _number_ticks(low: float, high: float, count: int) -> list[tuple[float, str]]:
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.95)
    first = math.ceil(low / step - 1e-9)
    values = [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]
    scale, letter = next(
        ((s, u) for s, u in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if max(map(abs, values), default=0) >= 10 * s),
        (1.0, ""),
    )
    digits = max(0, -math.floor(math.log10(step / scale) + 1e-9))
    if step / scale * 10**digits % 1 > 1e-9:  # steps of 2.5
        digits += 1
    return [(v, f"{v / scale + 0.0:,.{digits}f}{letter}".replace("-", "−").replace(",", "\u202f")) for v in values]


def _calendar_ticks(low: float, high: float, most: int = 6) -> list[tuple[float, str]]:
    start, end = pd.Timestamp(int(low)), pd.Timestamp(int(high))
    years = [f"{n}YS" for n in (2, 5, 10, 20, 25, 50, 100)]
    for step in (*STEPS, *years):
        if (end - start) / pd.Timedelta(days=_days(step)) > most:
            continue
        if step.endswith("YS") and step != "YS":
            every = int(step[:-2])
            first = -(-start.year // every) * every
            ticks = [pd.Timestamp(year=y, month=1, day=1) for y in range(first, end.year + 1, every)]
        else:
            ticks = list(pd.date_range(start.normalize(), end, freq=step))
        form = "%Y" if step.endswith("YS") else "%b %Y" if step.endswith("S") else "%-d %b"
        clock = _days(step) < 1
        inside = [t for t in ticks if start <= t <= end]
        return [(float(t.value), t.strftime("%H:%M" if clock and t != t.normalize() else form)) for t in inside]
    return [(low, str(start.year)), (high, str(end.year))]


def _days(step: str) -> float:
    count = int("".join(c for c in step if c.isdigit()) or 1)
    unit = step.lstrip("0123456789")
    return count * {"min": 1 / 1440, "h": 1 / 24, "D": 1, "MS": 30.4, "QS": 91.3, "YS": 365.25}[unit]
