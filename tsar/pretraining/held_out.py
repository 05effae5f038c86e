"""Validation on whole real sets that are never trained on: accuracy relative to seasonal naive, by set.

N series, L time, H horizon, Q levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tsar.experts.bank import LONGEST, experts
from tsar.experts.season import LONGER
from tsar.pretraining.corpus import Real, read_corpus
from tsar.zero_shot.features import Features, features
from tsar.zero_shot.network import LEVELS, ZeroShot, segments

Array = NDArray[np.float64]
HORIZONS = {1: 6, 4: 8, 12: 12, 52: 13, 7: 30, 5: 20, 24: 48, 48: 48, 288: 48, 169: 48}
DECILES = tuple(LEVELS.index(q / 10) for q in range(1, 10))


@dataclass(frozen=True)
class HeldOut:
    """One set: histories as network inputs, what came true, and seasonal naive's errors."""

    name: str
    inputs: list[Features]
    actual_NH: Array
    scale_N: Array  # in-sample mean absolute seasonal difference
    naive_NH: Array


class Score(NamedTuple):
    """MASE and scaled quantile loss relative to seasonal naive's, and how often 80% intervals hold.

    The quantile loss is divided by the scale of MASE, or a few series of large values would decide a set.
    """

    mase: float
    sql: float
    coverage: float


def read_held_out(file: str | Path, sources: tuple[str, ...], most: int = 60, seed: int = 0) -> list[HeldOut]:
    """Prepare the last horizon of at most `most` series of each source."""
    rng = np.random.default_rng(seed)
    out = []
    originals = read_corpus(file, sources, shortest=10**9)
    for source in sources:
        series = [one for one in originals if one.source == source]
        if len(series) > most:
            series = [series[i] for i in np.sort(rng.choice(len(series), most, replace=False))]
        out.append(held_out(source, series))
    return out


def held_out(name: str, series: list[Real]) -> HeldOut:
    """Cut the last horizon off each series and compute the network's inputs."""
    period, longer = series[0].period, LONGER.get(series[0].period, 1)
    horizon = HORIZONS.get(period, 48)
    series = [one for one in series if len(one.values) > horizon + 8]
    actual = np.stack([one.values[-horizon:] for one in series])
    past = [one.values[:-horizon][-LONGEST:] for one in series]
    scale = np.array([np.nanmean(np.abs(y[period:] - y[:-period])) if len(y) > period else np.nan for y in past])
    naive = np.stack([y[-period:][np.arange(horizon) % min(period, len(y))] for y in past])
    naive = np.where(np.isfinite(naive), naive, np.array([np.nanmean(y[-4 * period :]) for y in past])[:, None])
    inputs = []
    for first in range(0, len(past), 32):
        some = past[first : first + 32]
        y = np.full((len(some), max(map(len, some))), np.nan)
        for row, values in enumerate(some):
            y[row, y.shape[1] - len(values) :] = values
        periods = (torch.full((len(some),), period), torch.full((len(some),), longer))
        inputs.append(features(experts(torch.from_numpy(y), horizon, periods)))
    return HeldOut(name, inputs, actual, np.where(scale > 0, scale, np.nan), naive)


@torch.no_grad()
def quantiles(model: ZeroShot, inputs: Features) -> Tensor:
    """Quantiles of all levels in units of the series, [N, H, Q] float64."""
    rows = segments(inputs, model.config, inputs.base_BH.shape[1])
    scaled = torch.cat([model.symmetric(row) for row in rows], 1).double()
    return inputs.base_BH[..., None] + inputs.unit_BH[..., None] * scaled


def score(model: ZeroShot, data: HeldOut) -> Score:
    """Score the model on one set."""
    q_NHQ = torch.cat([quantiles(model, inputs) for inputs in data.inputs]).numpy()[..., DECILES]
    actual = data.actual_NH

    def mase(point_NH: Array) -> float:
        return float(np.nanmean(np.nanmean(np.abs(point_NH - actual), 1) / data.scale_N))

    def pinball(q_NHQ: Array) -> float:
        level_Q = np.arange(1, 10) / 10
        error = actual[..., None] - q_NHQ
        loss_NH = np.maximum(level_Q * error, (level_Q - 1) * error).mean(-1)
        return float(np.nanmean(np.nanmean(loss_NH, 1) / data.scale_N))

    inside = np.where(np.isfinite(actual), (actual >= q_NHQ[..., 0]) & (actual <= q_NHQ[..., -1]), np.nan)
    return Score(
        mase(q_NHQ[..., 4]) / mase(data.naive_NH),
        pinball(q_NHQ) / pinball(np.repeat(data.naive_NH[..., None], 9, -1)),
        float(np.nanmean(inside)),
    )


def overall(scores: dict[str, Score]) -> Score:
    """Geometric means over sets; mean coverage."""
    table = np.array(list(scores.values()))
    mase, sql = np.exp(np.log(table[:, :2]).mean(0))
    return Score(float(mase), float(sql), float(table[:, 2].mean()))
