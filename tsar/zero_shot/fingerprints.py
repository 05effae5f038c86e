"""What share of a series the network was trained on: hashes of short stretches of the training series.

A stretch of `STRETCH` values is known by the order of its values, which survives scaling, shifting and rounding to half
precision. Of all stretches those are kept whose hash falls into one of `ONE_IN` residues, so that a few bytes stand for
a thousand values and a test series, cut anywhere, is sampled at the same stretches.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STRETCH, ONE_IN = 16, 64
TURNS = 5  # stretches with fewer turning points (ramps, arches) are alike everywhere and say nothing

Hashes = NDArray[np.uint32]


def sampled(values: NDArray[np.floating]) -> Hashes:
    """Hashes of the sampled stretches of one series, without repeats."""
    values = np.asarray(values, float)
    if len(values) < STRETCH:
        return np.zeros(0, np.uint32)
    rows = np.lib.stride_tricks.sliding_window_view(values, STRETCH)
    step = np.sign(np.diff(rows, axis=1))
    turns = (step[:, 1:] * step[:, :-1] < 0).sum(1)
    rows = rows[np.isfinite(rows).all(1) & (turns >= TURNS)]
    if not len(rows):
        return np.zeros(0, np.uint32)
    order = np.argsort(rows, axis=1, kind="stable").astype(np.uint64)
    # A random linear form modulo 2^64 of the order, then its high bits, mixed once more.
    weights = np.random.default_rng(20240229).integers(1, 2**63, STRETCH, dtype=np.uint64) | np.uint64(1)
    with np.errstate(over="ignore"):
        mixed = (order * weights).sum(1, dtype=np.uint64)
        mixed ^= mixed >> np.uint64(31)
        mixed *= np.uint64(0x9E3779B97F4A7C15)
    kept = mixed[(mixed >> np.uint64(8)) % np.uint64(ONE_IN) == 0]
    return np.unique((kept >> np.uint64(32)).astype(np.uint32))


def fingerprints(series: list[NDArray[np.floating]]) -> Hashes:
    """Sorted hashes of many series."""
    return np.unique(np.concatenate([np.zeros(0, np.uint32), *(sampled(values) for values in series)]))


def share_seen(values: NDArray[np.floating], known: Hashes) -> float:
    """Share of a series' sampled stretches that are among `known`; NaN where it has none.

    A short series has few samples (one in `ONE_IN` steps), so its share is coarse.
    """
    found = sampled(values)
    if not len(found):
        return float("nan")
    place = np.minimum(np.searchsorted(known, found), max(len(known) - 1, 0))
    return float((known[place] == found).mean()) if len(known) else 0.0
