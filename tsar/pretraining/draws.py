"""Random training windows: a kind of calendar, a source of series, augmentation; everything from one generator.

B series, L time, H horizon.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tsar.pretraining.corpus import Real
from tsar.synthetic import FAMILIES

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """A calendar: its seasons, how long its series and horizons are, and how often each comes."""

    periods: tuple[tuple[int, int], ...]
    length: tuple[int, int]
    horizon: tuple[int, int]
    weight: float
    real: float  # share of real series, where there are any of these seasons


KINDS = {
    "yearly": Kind(((1, 1),), (8, 120), (3, 10), 0.15, 0.07),
    "quarterly": Kind(((4, 1),), (10, 200), (4, 12), 0.11, 0.2),
    "monthly": Kind(((12, 1),), (20, 500), (6, 24), 0.15, 0.2),
    "weekly": Kind(((52, 1),), (40, 1500), (4, 30), 0.1, 0.2),
    "daily": Kind(((7, 365), (7, 1), (5, 260)), (20, 2600), (7, 60), 0.14, 0.35),
    "hourly": Kind(((24, 168),), (60, 4000), (12, 200), 0.15, 0.6),
    "minutes": Kind(((48, 336), (96, 672), (144, 1008), (288, 2016)), (150, 4000), (12, 200), 0.1, 0.5),
    "aseasonal": Kind(((1, 1),), (30, 2000), (6, 100), 0.05, 0.4),
    "odd": Kind(
        ((8, 56), (6, 42), (12, 84), (4, 28), (30, 1), (60, 1), (10, 1), (3, 21)), (30, 2500), (8, 96), 0.05, 0.4
    ),
}  # fmt: skip

# How often each artificial family is drawn, for coarse calendars and for fine ones. On coarse ones the expert that
# wins differs by family, and only on `smoothing` in the order seen on real series: autoregression wins on the others.
COARSE = {"smoothing": 8, "sarima": 0.8, "regimes": 0.8, "trend_season": 0.5, "counts": 0.5, "kernels": 0.3,
          "events": 0.2, "causal": 0.2, "calendar": 0.2}  # fmt: skip
FINE = {"smoothing": 1, "trend_season": 2, "sarima": 2, "kernels": 2, "regimes": 1.5, "counts": 1, "events": 1.2,
        "causal": 1, "calendar": 3}  # fmt: skip


@dataclass(frozen=True)
class Draw:
    """Series of one kind and family with the steps to forecast at their ends."""

    y_BL: Array  # NaN before the start of shorter ones; the last `horizon` steps are the future
    period_B: NDArray[np.int64]
    longer_B: NDArray[np.int64]
    horizon: int
    family: str


def draw(
    rng: np.random.Generator, n: int, tokens: tuple[int, int], corpus: dict[int, list[Real]], without: str
) -> Draw:
    """Draw `n` series whose horizon lies in the range `tokens`; `without` names a family to leave out."""
    names = [name for name, kind in KINDS.items() if kind.horizon[0] <= tokens[1] and kind.horizon[1] >= tokens[0]]
    weight = np.array([KINDS[name].weight for name in names])
    name = str(rng.choice(names, p=weight / weight.sum()))
    kind = KINDS[name]
    period, longer = kind.periods[int(rng.integers(len(kind.periods)))]
    horizon = int(log_uniform(rng, max(tokens[0], kind.horizon[0]), min(tokens[1], kind.horizon[1])))
    longest = int(log_uniform(rng, max(2 * kind.length[0], 1), kind.length[1]))
    lengths = log_uniform(rng, kind.length[0], longest, n).astype(int)
    lengths[0] = longest
    reals = [real for real in corpus.get(period, []) if len(real.values) >= horizon + kind.length[0]]
    if name == "yearly":
        reals = [real for real in reals if len(real.values) < 200] or reals
    if reals and rng.random() < kind.real:
        family = "real"
        y = real_windows(rng, reals, lengths + horizon)
    else:
        shares = dict(COARSE if name in ("yearly", "quarterly", "monthly", "weekly") else FINE)
        shares.pop(without, None)
        probability = np.array(list(shares.values()))
        family = str(rng.choice(list(shares), p=probability / probability.sum()))
        whole = np.full(n, float(period)), np.full(n, float(longer))
        y = FAMILIES[family](rng, n, longest + horizon + int(rng.integers(0, period)), *whole)[
            :, -(longest + horizon) :
        ]
        time = np.arange(longest + horizon)
        y[time < (longest - lengths)[:, None]] = np.nan
    periods, longers = np.full(n, period), np.full(n, longer)
    blind = rng.random(n) < 0.05  # nobody said what the season is
    periods[blind], longers[blind] = 1, 1
    longers[rng.random(n) < 0.1] = 1
    return Draw(augment(rng, y, horizon), periods, longers, horizon, family)


def log_uniform(rng: np.random.Generator, low: float, high: float, size: int | None = None) -> Array:
    """Log-uniform numbers in [low, high + 1)."""
    return np.exp(rng.uniform(np.log(low), np.log(max(high, low) + 0.999), size))


def real_windows(rng: np.random.Generator, reals: list[Real], lengths: NDArray[np.int64]) -> Array:
    """Random windows of real series, a third of them convex mixtures of up to three (TSMixup).

    Sources come equally often, whatever their number of series.
    """
    sources = sorted({real.source for real in reals})
    by_source = {source: [real for real in reals if real.source == source] for source in sources}

    def one(length: int) -> Array:
        some = by_source[sources[int(rng.integers(len(sources)))]]
        values = some[int(rng.integers(len(some)))].values
        length = min(length, len(values))
        start = int(rng.integers(0, len(values) - length + 1))
        return values[start : start + length]

    out = np.full((len(lengths), int(lengths.max())), np.nan)
    for row, length in enumerate(lengths):
        y = one(int(length))
        if rng.random() < 0.33:
            parts = [y] + [one(int(length)) for _ in range(int(rng.integers(1, 3)))]
            shortest = min(len(part) for part in parts)
            weight = rng.dirichlet(np.full(len(parts), 1.5))
            y = sum(w * scaled(part[-shortest:]) for w, part in zip(weight, parts, strict=True))
        out[row, out.shape[1] - len(y) :] = y
    return out


def scaled(y: Array) -> Array:
    """Divide by the mean absolute value, which keeps positive series positive."""
    return y / max(float(np.nanmean(np.abs(y))) if np.isfinite(y).any() else 1.0, 1e-9)


def augment(rng: np.random.Generator, y: Array, horizon: int) -> Array:
    """Flip, reverse, lift, swell, censor, round, spoil and hide, each in some of the series."""
    n, length = y.shape

    def some(chance: float) -> NDArray[np.bool_]:
        return rng.random((n, 1)) < chance

    y = np.where(some(0.2), -y, y)
    backwards = np.full_like(y, np.nan)
    for row in np.flatnonzero(some(0.1)[:, 0]):
        seen = np.flatnonzero(np.isfinite(y[row]))
        if len(seen):
            backwards[row, seen[0] :] = y[row, seen[0] :][::-1]
    y = np.where(np.isfinite(backwards).any(1, keepdims=True), backwards, y)
    spread = deviation(y)
    y = np.where(some(0.4), y + spread * rng.normal(0, 6, (n, 1)), y)  # seasons and growth relative to level
    lowest = np.nanmin(np.where(np.isfinite(y), y, np.inf), 1, keepdims=True)
    lift = np.exp(rng.uniform(np.log(0.05), np.log(30.0), (n, 1))) * spread
    y = np.where(some(0.3), y - lowest + lift, y)
    swell = 1 + rng.uniform(-0.5, 1.0, (n, 1)) * np.linspace(0, 1, length)
    y = np.where(some(0.08), y * swell, y)
    bounds = np.nanquantile(np.where(np.isfinite(y).any(1, keepdims=True), y, 0.0), rng.uniform(0.02, 0.4), axis=1)
    y = np.where(some(0.03), np.maximum(y, bounds[:, None]), y)
    unit = spread * np.exp(rng.uniform(np.log(0.02), np.log(1.0), (n, 1))) + 1e-12
    y = np.where(some(0.08), np.round(y / unit) * unit, y)
    spoiled = some(0.05) & (rng.random((n, length)) < 0.01) & (np.arange(length) < length - horizon)
    y = np.where(spoiled, y + spread * rng.normal(0, 8, (n, length)), y)
    hidden = some(0.06) & (rng.random((n, length)) < rng.uniform(0, 0.4, (n, 1)))
    start, width = rng.integers(0, length, (n, 1)), rng.integers(1, max(2, length // 5), (n, 1))
    time = np.arange(length)
    block = some(0.04) & (time >= start) & (time < start + width)
    y = np.where((hidden | block) & (time < length - horizon - 4), np.nan, y)
    return y * np.exp(rng.normal(0, 3, (n, 1)))


def deviation(y: Array) -> Array:
    """Standard deviation of what was seen, [n, 1]."""
    seen = np.isfinite(y)
    count = np.maximum(seen.sum(1, keepdims=True), 1)
    filled = np.where(seen, y, 0.0)
    mean = filled.sum(1, keepdims=True) / count
    return np.sqrt((np.where(seen, y - mean, 0.0) ** 2).sum(1, keepdims=True) / count) + 1e-12
