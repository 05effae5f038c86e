"""Real series for pretraining: the compact corpus, restricted to named sources, with coarser copies of each.

N series, L time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tsar.experts.season import LONGER

Array = NDArray[np.float64]

# Steps that are averaged into one, with the seasons of the result, for each main season of the original.
COARSER = {
    24: ((2, 12), (3, 8), (4, 6), (6, 4), (8, 3), (24, 7), (168, 52), (730, 12), (2190, 4)),
    48: ((2, 24), (48, 7), (336, 52)),
    288: ((2, 144), (3, 96), (6, 48), (12, 24)),
    1: ((2, 1), (3, 1), (4, 1)),
}


@dataclass(frozen=True)
class Real:
    """One real series at one resolution, standardised units."""

    source: str
    values: Array
    period: int
    longer: int


def read_corpus(file: str | Path, sources: tuple[str, ...], shortest: int = 24) -> list[Real]:
    """Read the series of `sources` from a corpus file, each also at coarser resolutions.

    Parameters
    ----------
    file : path
        An npz with `values`, `offsets`, `mean`, `std`, `source`, `season_length`, `source_names` (no pickle).
    sources : tuple of str
        Names of the sources to read.
    shortest : int, default 24
        Coarser copies with fewer values are left out.

    Raises
    ------
    ValueError
        If a source is not in the file.
    """
    with np.load(file, allow_pickle=False) as data:
        names = [str(name) for name in data["source_names"]]
        if missing := sorted(set(sources) - set(names)):
            raise ValueError(f"{file} has no source {missing[0]!r}: expected some of {', '.join(names)}")
        values, offsets = data["values"], data["offsets"]
        source, season, mean, std = data["source"], data["season_length"], data["mean"], data["std"]
    out = []
    for i in np.flatnonzero(np.isin(source, [names.index(name) for name in sources])):
        y = values[offsets[i] : offsets[i + 1]].astype(float) * std[i] + mean[i]
        period = int(season[i])
        out.append(Real(names[source[i]], y, period, LONGER.get(period, 1)))
        for width, coarse in COARSER.get(period, ()):
            if len(y) // width >= shortest:
                longer = {7: 365, 12: 84, 8: 56, 6: 42, 4: 28, 3: 21}.get(coarse, LONGER.get(coarse, 1))
                longer = 1 if width > 200 else longer
                out.append(Real(names[source[i]], block_means(y, width), coarse, longer))
    return out


def block_means(y: Array, width: int) -> Array:
    """Means of consecutive blocks that end with the series; NaN where more than half of a block is missing."""
    count = len(y) // width
    blocks = y[len(y) - count * width :].reshape(count, width)
    seen = np.isfinite(blocks)
    total = np.where(seen, blocks, 0.0).sum(1)
    return np.where(seen.mean(1) >= 0.5, total / np.maximum(seen.sum(1), 1), np.nan)
