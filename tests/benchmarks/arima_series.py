"""Series that the ARIMA benchmarks share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

DATA = Path(os.environ.get("TSAR_DATA", "data"))


def series_of(name: str) -> list[np.ndarray]:
    path = (
        next(p for p in (DATA / "benchmark", DATA / "pretrain") if (p / f"{name}.parquet").exists()) / f"{name}.parquet"
    )
    frame = pd.read_parquet(path)
    return [part.y.to_numpy(float) for _, part in frame.groupby("unique_id", observed=True)]


def sample_of(name: str, horizon: int, season: int, most: int, last: int | None) -> list[np.ndarray]:
    """Complete series that are long enough, drawn with seed 0 where there are more than `most`."""
    shortest = horizon + max(10, 2 * season if season > 1 else 0)
    found = [y for y in series_of(name) if len(y) > shortest and not np.isnan(y).any()]
    if len(found) > most:
        found = [found[i] for i in np.sort(np.random.default_rng(0).permutation(len(found))[:most])]
    return [y if last is None else y[-last:] for y in found]


def seasonal_walks(n: int, length: int, seed: int = 3) -> list[np.ndarray]:
    """Airline models, theta -0.4 and -0.5, season 12."""
    e = np.random.default_rng(seed).normal(size=(n, length + 60))
    w = e.copy()
    w[:, 1:] -= 0.4 * e[:, :-1]
    w[:, 12:] -= 0.5 * e[:, :-12]
    w[:, 13:] += 0.2 * e[:, :-13]
    for j in range(13, w.shape[1]):
        w[:, j] += w[:, j - 1] + w[:, j - 12] - w[:, j - 13]
    return list(100 + w[:, 60:])
