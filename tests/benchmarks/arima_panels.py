"""AutoARIMA against statsforecast's on panels: speed, processes, accuracy, and what cost depends on."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtri

from tests.benchmarks.arima_series import sample_of, seasonal_walks, series_of
from tsar import AutoARIMA
from tsar.forecasters.arima.fitting import Wanted, fit_batch
from tsar.forecasters.arima.search import Limits

SETS = [  # name, horizon, season, most series, last values used
    ("m4_yearly", 6, 1, 500, None), ("m4_quarterly", 8, 4, 75, None), ("m4_monthly", 18, 12, 80, None),
    ("tsdl_yearly", 6, 1, 200, 5000), ("tsdl_quarterly", 8, 4, 73, None), ("tsdl_monthly", 12, 12, 120, None),
    ("m4_weekly", 13, 52, 4, 260), ("m4_hourly", 48, 24, 4, 360),
]  # fmt: skip
LEVELS = np.arange(1, 10) / 10
APPROXIMATION = {"m4_weekly": False, "m4_hourly": False}  # elsewhere None, the rule of R, at a seventh of the time


def theirs(
    y: np.ndarray, season: int, horizon: int, approximation: bool | None = False
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Mean, deviation and differences of statsforecast's AutoARIMA for one series."""
    from statsforecast.models import AutoARIMA as Peer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Peer(season_length=season, approximation=approximation).fit(y)
        out = model.predict(horizon, level=[95])
    return out["mean"], (out["hi-95"] - out["mean"]) / ndtri(0.975), (model.model_["arma"][5], model.model_["arma"][6])


def seconds(job: Callable[[], object]) -> float:
    start = time.process_time()
    job()
    return time.process_time() - start


def speed() -> list[dict[str, Any]]:
    """Processor seconds for panels of 1, 10, 100, 1,000 series; the peer on a stated sample."""
    monthly = [y[:-18] for y in series_of("m4_monthly")]
    kinds = {
        "m4_monthly, 306 months": ((monthly * 13)[:1000], 12, 16),
        "simulated airline, 144 months": (seasonal_walks(1000, 144), 12, 8),
        "m4_yearly": ([y[:-6] for y in sample_of("m4_yearly", 6, 1, 1000, None)], 1, 40),
    }
    return [row for kind, (series, season, sample) in kinds.items() for row in speed_of(kind, series, season, sample)]


def speed_of(kind: str, series: list[np.ndarray], season: int, sample: int) -> list[dict[str, Any]]:
    """One kind of series; runs of ours and single series of the peer take turns."""

    def ours(part: list[np.ndarray]) -> float:
        return seconds(lambda: AutoARIMA(season_length=season).fit(part).predict(12))

    def peer(one: np.ndarray) -> float:
        return seconds(lambda: theirs(one, season, 12))

    ours(series[:2]), peer(series[0])  # neither counts its imports
    picked = [series[i] for i in np.linspace(0, min(len(series), 80) - 1, sample).astype(int)]
    turns = [(peer(one), ours([one])) for one in picked]
    slow, single = [a for a, _ in turns], [b for _, b in turns]
    out = [
        {"series": 1, "ours": float(np.mean(single)), "slower_share": float(np.mean(np.array(single) > np.array(slow)))}
    ]
    for count, rounds in ((10, 5), (100, 3), (1000, 1)):
        runs = []
        for turn in range(rounds):
            runs.append(ours(series[turn * count : turn * count + count]))
            slow.append(peer(picked[turn]))
        out.append({"series": count, "ours": float(np.median(runs))})
    each = float(np.mean(slow))
    shared = {"kind": kind, "sample": len(slow)}
    return [row | shared | {"theirs": each * row["series"], "ratio": each * row["series"] / row["ours"]} for row in out]


def threads() -> list[dict[str, Any]]:
    """Wall-clock seconds of 200 series with one and two processes, taking turns."""
    out = []
    monthly = [y[:-18] for y in series_of("m4_monthly")]
    for kind, series, season in (("m4_monthly", (monthly * 3)[:200], 12), ("m4_yearly", series_of("m4_yearly"), 1)):
        walls: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(5):
            for jobs in (1, 2):
                start = time.perf_counter()
                AutoARIMA(season_length=season, n_jobs=jobs).fit(series)
                walls[jobs].append(time.perf_counter() - start)
        out.append(
            {"kind": kind, "series": len(series), "one": float(np.median(walls[1])), "two": float(np.median(walls[2]))}
        )
    return out


def scores(mean_H: np.ndarray, size_H: np.ndarray, y: np.ndarray, horizon: int, season: int) -> list[float]:
    train, truth = y[:-horizon], y[-horizon:]
    scale = np.abs(train[season:] - train[:-season]).mean()
    miss = truth[:, None] - (mean_H[:, None] + size_H[:, None] * ndtri(LEVELS))
    loss = 2 * np.maximum(LEVELS * miss, (LEVELS - 1) * miss).mean(1).sum() / max(np.abs(truth).sum(), 1e-9)
    off = np.abs(truth - mean_H)
    inside = [(off <= ndtri(level) * size_H).mean() for level in (0.9, 0.975)]
    return [off.mean() / scale if scale > 0 else np.nan, loss, *inside]


def peer_of(name: str, series: list[np.ndarray], horizon: int, season: int) -> dict[str, np.ndarray]:
    """statsforecast's forecasts of a set, NaN where it failed; kept in the folder ARIMA_PEER, where that is set."""
    folder = os.environ.get("ARIMA_PEER")
    kept = Path(folder) / f"{name}.npz" if folder else None
    if kept is not None and kept.exists():
        return dict(np.load(kept))
    found = []
    for y in series:
        start = time.process_time()
        try:
            one = theirs(y[:-horizon], season, horizon, APPROXIMATION.get(name))
        except (ValueError, ZeroDivisionError, np.linalg.LinAlgError):
            one = (np.full(horizon, np.nan), np.full(horizon, np.nan), (-1, -1))
        found.append((*one, time.process_time() - start))
    out = {key: np.array([one[k] for one in found]) for k, key in enumerate(("mean", "size", "differences", "seconds"))}
    if kept is not None:
        np.savez(kept, **out)
    return out


def accuracy() -> list[dict[str, Any]]:
    """Geometric-mean MASE and WQL relative to statsforecast's AutoARIMA, coverage, agreement of differences."""
    out = []
    for name, horizon, season, most, last in SETS:
        series = sample_of(name, horizon, season, most, last)
        model = AutoARIMA(season_length=season, on_error="fallback")
        start = time.process_time()
        forecast = model.fit([y[:-horizon] for y in series]).predict(horizon)
        ours_seconds = time.process_time() - start
        middle_NH = forecast.quantile(0.5)
        size_NH = (forecast.quantile(0.975) - middle_NH) / ndtri(0.975)
        mine_NS = np.array([scores(middle_NH[i], size_NH[i], y, horizon, season) for i, y in enumerate(series)])
        peer = peer_of(name, series, horizon, season)
        rows = zip(peer["mean"], peer["size"], series, strict=True)
        peer_NS = np.array([scores(mean_H, size_H, y, horizon, season) for mean_H, size_H, y in rows])
        failed = int(np.isnan(peer["mean"]).any(1).sum())
        same = (peer["differences"] == model.order_[:, [1, 4]]).all(1)
        use = (
            np.isfinite(mine_NS).all(1)
            & np.isfinite(peer_NS).all(1)
            & (mine_NS[:, :2] > 0).all(1)
            & (peer_NS[:, :2] > 0).all(1)
        )
        log_ratio = np.log(mine_NS[use, :2]) - np.log(peer_NS[use, :2])
        out.append({
            "set": name, "series": int(use.sum()), "failed": failed, "mase": float(np.exp(log_ratio[:, 0].mean())),
            "wql": float(np.exp(log_ratio[:, 1].mean())), "error": (log_ratio.std(0) / np.sqrt(use.sum())).tolist(),
            "cover80": [float(mine_NS[use, 2].mean()), float(peer_NS[use, 2].mean())],
            "cover95": [float(mine_NS[use, 3].mean()), float(peer_NS[use, 3].mean())], "same": float(np.mean(same)),
            "seconds": [ours_seconds / len(series), float(np.mean(peer["seconds"]))],
        })  # fmt: skip
        print(out[-1], file=sys.stderr)
    return out


def cost() -> dict[str, Any]:
    """Processor milliseconds a series against length, season and number of candidates, 64 simulated series."""

    def fitted(x: list[float], y: list[float]) -> float:
        return float(np.polyfit(np.log(x), np.log(y), 1)[0])

    rng = np.random.default_rng(0)
    lengths, seasons = [100, 200, 400, 800, 1600], [4, 12, 24, 52, 168]
    by_length = [
        seconds(lambda n=n: AutoARIMA(season_length=12, d=1, D=1).fit(seasonal_walks(64, n))) / 64 for n in lengths
    ]
    by_season = []
    for season in seasons:
        count = 64 if season < 100 else 4
        y = (
            rng.normal(size=(count, 900)).cumsum(1) * 0.2
            + 4 * np.sin(2 * np.pi * np.arange(900) / season)
            + rng.normal(size=(count, 900))
        )
        by_season.append(seconds(lambda y=y, s=season: AutoARIMA(season_length=s).fit(list(y))) / count)
    limits = {"1, 1, 1, 1": (1, 1, 1, 1), "3, 3, 1, 1": (3, 3, 1, 1), "5, 5, 2, 2": (5, 5, 2, 2)}
    by_candidates = []
    series, none = seasonal_walks(64, 144), [np.zeros((144, 0))] * 64
    for text, (p, q, big_p, big_q) in limits.items():
        wanted = Wanted((p, q, big_p, big_q), Limits(p, q, big_p, big_q), None, None, None)
        by_candidates.append([text, seconds(lambda wanted=wanted: fit_batch(series, none, 12, wanted)) / 64])
    return {
        "lengths": lengths, "by_length": by_length, "length_exponent": fitted(lengths, by_length), "seasons": seasons,
        "by_season": by_season, "season_exponent": fitted(seasons, by_season), "by_candidates": by_candidates,
    }  # fmt: skip
