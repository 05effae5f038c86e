"""tsar-small beside classical models on real sets: accuracy, coverage, by frequency, with bootstrap intervals.

    python -m tests.benchmarks.zero_shot run tsar-small experts AutoTheta AutoETS AutoARIMA
    python -m tests.benchmarks.zero_shot report

`run` keeps the scores of every model, series and origin under runs/zero_shot, so models can be added one by one;
`report` writes docs/benchmarks/zero_shot.md from them. Needs TSAR_DATA.

N series, L time, H horizon, Q levels, W origins.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import ndtri

import tsar
from tsar import metrics
from tsar.experts.bank import LONGEST, NAMES, experts
from tsar.experts.season import LONGER
from tsar.zero_shot.features import features

Array = NDArray[np.float64]
LEVELS = (0.025, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.975)
DECILES = slice(1, 10)
KEPT = Path("runs/zero_shot")
SERIES, ORIGINS = 100, 2  # series of a set, and origins of series of at least 20 horizons
SLOW = {"AutoTheta": 12, "AutoETS": 12, "AutoARIMA": 6}  # series of a set for models that take up to seconds each
CLASSICAL_HISTORY = 700  # steps that the classical models are given


@dataclass(frozen=True)
class Case:
    """One set at one origin: histories, what came true, and what is known of the calendar."""

    name: str
    origin: int
    past: list[Array]
    actual_NH: Array
    season: int
    freq: str


def cases(names: list[str] | None = None) -> Iterator[Case]:
    """Every benchmark set at every origin, the last horizon first."""
    root = Path(os.environ["TSAR_DATA"])
    for about in json.loads((root / "index.json").read_text()):
        if about["section"] != "benchmark" or (names and about["name"] not in names):
            continue
        df = pd.read_parquet(root / about["file"], columns=["unique_id", "ds", "y"])
        df["unique_id"] = df.unique_id.astype(str)
        chosen = sorted(df.unique_id.unique())[:SERIES]
        rows = df[df.unique_id.isin(chosen)].sort_values(["unique_id", "ds"]).groupby("unique_id")
        series = [group.y.to_numpy(float) for _, group in rows]
        horizon = int(about["horizon"])
        long = min(map(len, series)) >= 20 * horizon
        for origin in range(ORIGINS if long else 1):
            cut = [len(y) - horizon * origin for y in series]
            yield Case(
                about["name"],
                origin,
                [y[: end - horizon] for y, end in zip(series, cut, strict=True)],
                np.stack([y[end - horizon : end] for y, end in zip(series, cut, strict=True)]),
                int(about["season_length"]),
                about["freq"],
            )


def normal(point_NH: Array, size_NH: Array) -> Array:
    """Quantiles of a normal whose mean absolute error is `size_NH`: [N, H, Q]."""
    return point_NH[..., None] + 1.2533 * size_NH[..., None] * ndtri(LEVELS)


def from_small(case: Case) -> dict[str, Array]:
    """Forecast with the bundled weights, the season told and not told."""
    model = tsar.from_pretrained("tsar-small")
    horizon = case.actual_NH.shape[1]
    told = model.predict(horizon, case.past, levels=LEVELS, season_length=case.season)
    out = {"tsar-small": told.quantiles_NHQ}
    if case.origin == 0:
        out["tsar-small, season detected"] = model.predict(horizon, case.past, levels=LEVELS).quantiles_NHQ
    return out


def from_experts(case: Case) -> dict[str, Array]:
    """Forecast without learning: every expert, their median, their back-test-weighted pool; back-tested widths."""
    horizon = case.actual_NH.shape[1]
    out: dict[str, list[Array]] = {}
    for first in range(0, len(case.past), 32):
        some = [y[-LONGEST:] for y in case.past[first : first + 32]]
        y_BL = np.full((len(some), max(map(len, some))), np.nan)
        for row, y in enumerate(some):
            y_BL[row, y_BL.shape[1] - len(y) :] = y
        period = torch.full((len(some),), case.season), torch.full((len(some),), LONGER.get(case.season, 1))
        bank = experts(torch.from_numpy(y_BL), horizon, period)
        scale = bank.scale_B.numpy()[:, None, None]
        inputs = features(bank)
        unit = inputs.unit_BH.numpy()
        forecast = bank.forecast_BEH.numpy() * scale
        size = bank.error_BEKH.abs().nanmean((2, 3)).numpy()[..., None] * scale
        size = np.where(np.isfinite(size), size, unit.mean(1)[:, None, None])
        for e, name in enumerate(NAMES):
            out.setdefault(f"expert: {name}", []).append(
                normal(forecast[:, e], np.broadcast_to(size[:, e], unit.shape))
            )
        out.setdefault("median of the experts", []).append(normal(np.median(forecast, 1), unit))
        out.setdefault("pool of the experts", []).append(normal(inputs.base_BH.numpy(), unit))
    return {name: np.concatenate(parts) for name, parts in out.items()}


def classical(name: str) -> Callable[[Case], dict[str, Array]]:
    """Forecast with an automatic model of statsforecast."""

    def run(case: Case) -> dict[str, Array]:
        from statsforecast import models

        season = case.season if name == "AutoTheta" or case.season <= 24 else 1  # what these models are made for
        model = getattr(models, name)(season_length=season)
        levels = [95, 80, 60, 40, 20]
        horizon = case.actual_NH.shape[1]
        out = np.full((*case.actual_NH.shape, len(LEVELS)), np.nan)
        for row, y in enumerate(case.past[: SLOW.get(name, SERIES)]):
            y = pd.Series(y[-CLASSICAL_HISTORY:]).interpolate(limit_direction="both").to_numpy()
            try:
                fc = model.forecast(y=y, h=horizon, level=levels)
            except (ValueError, ZeroDivisionError, FloatingPointError, np.linalg.LinAlgError):
                out[row] = y[-1]  # a failed fit is scored as a naive forecast
                continue
            low, high = [fc[f"lo-{level}"] for level in levels], [fc[f"hi-{level}"] for level in levels]
            out[row] = np.stack([*low, fc["mean"], *high[::-1]], -1)
        return {name: out}

    return run


def naive(case: Case) -> dict[str, Array]:
    """Forecast with SeasonalNaive: its point forecast is the denominator of every ratio; and with its own intervals."""
    horizon = case.actual_NH.shape[1]
    fc = tsar.SeasonalNaive(season_length=case.season).fit(case.past).predict(horizon, levels=LEVELS)
    point = np.repeat(fc.quantile(0.5)[..., None], len(LEVELS), -1)
    return {"SeasonalNaive, point": point, "SeasonalNaive": fc.quantiles_NHQ}


def scores(case: Case, q_NHQ: Array) -> pd.DataFrame:
    """Per series: MASE, quantile loss over the deciles and its weight, share of values inside 80% and 95% intervals."""
    scale = np.array([metrics.seasonal_error(y, case.season) for y in case.past])
    actual = case.actual_NH
    loss = metrics.quantile_loss(actual, q_NHQ[..., DECILES], [i / 10 for i in range(1, 10)]).mean(-1)
    done = np.isfinite(q_NHQ).all((1, 2))
    return pd.DataFrame(
        {
            "set": case.name, "origin": case.origin, "freq": case.freq, "series": np.arange(len(actual)),
            "mase": np.where(done, metrics.mase(actual, q_NHQ[..., 5], scale), np.nan),
            "loss": np.where(done, np.nanmean(loss, 1), np.nan),
            "in80": np.where(done, metrics.coverage(actual, q_NHQ[..., 1], q_NHQ[..., 9]), np.nan),
            "in95": np.where(done, metrics.coverage(actual, q_NHQ[..., 0], q_NHQ[..., 10]), np.nan),
        }
    )  # fmt: skip


MODELS: dict[str, Callable[[Case], dict[str, Array]]] = {
    "naive": naive,
    "tsar-small": from_small,
    "experts": from_experts,
    **{name: classical(name) for name in ("AutoTheta", "AutoETS", "AutoARIMA")},
}


def run(names: list[str], sets: list[str] | None) -> None:
    """Score models and keep the results."""
    KEPT.mkdir(parents=True, exist_ok=True)
    for group in names:
        parts: dict[str, list[pd.DataFrame]] = {}
        started = time.perf_counter()
        for case in cases(sets):
            if case.origin and group.startswith("Auto"):
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the libraries compared with
                for name, q_NHQ in MODELS[group](case).items():
                    parts.setdefault(name, []).append(scores(case, q_NHQ))
        for name, frames in parts.items():
            file = KEPT / f"{name.replace(': ', '_').replace(', ', '_')}.csv"
            fresh = pd.concat(frames)
            if file.exists() and sets:  # keep the other sets' scores
                kept = pd.read_csv(file)
                fresh = pd.concat([kept[~kept["set"].isin(sets)], fresh])
            fresh.to_csv(file, index=False)
        print(f"{group}: {time.perf_counter() - started:.0f} s")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("run")
    one.add_argument("models", nargs="+", choices=[*MODELS])
    one.add_argument("--sets", nargs="*")
    commands.add_parser("report")
    args = parser.parse_args()
    if args.command == "run":
        run(args.models, args.sets)
    else:
        from tests.benchmarks.zero_shot_report import write

        write(KEPT, Path("docs/benchmarks/zero_shot.md"))


if __name__ == "__main__":
    main()
