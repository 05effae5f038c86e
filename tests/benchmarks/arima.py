"""ARIMA against statsmodels and statsforecast: agreement, speed, accuracy, cost; writes docs/benchmarks/arima.md.

Speed is a ratio to the peer measured in the same run, taking turns; seconds are processor seconds of one thread, so that
other work on the machine tells less. Where the peer would take hours it runs on a stated sample and is scaled up.

    python -m tests.benchmarks.arima                        # all sections, about an hour
    python -m tests.benchmarks.arima agreement speed        # some: agreement, fits, errors, speed, threads, accuracy, cost
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri
from statsmodels.tsa.statespace.sarimax import SARIMAX
from threadpoolctl import threadpool_limits

from tsar import ARIMA, AutoARIMA
from tsar.forecasters.arima.fitting import Wanted, fit_batch
from tsar.forecasters.arima.likelihood import Rows, exact
from tsar.forecasters.arima.polynomials import coefs_from_z
from tsar.forecasters.arima.search import Limits

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "benchmarks" / "arima.md"
RESULTS = HERE / "arima.json"
DATA = Path(os.environ.get("TSAR_DATA", "data"))
SETS = [  # name, horizon, season, most series, last values used
    ("m4_yearly", 6, 1, 500, None), ("m4_quarterly", 8, 4, 75, None), ("m4_monthly", 18, 12, 80, None),
    ("tsdl_yearly", 6, 1, 200, 1000), ("tsdl_quarterly", 8, 4, 73, None), ("tsdl_monthly", 12, 12, 120, None),
    ("m4_weekly", 13, 52, 16, 520), ("m4_hourly", 48, 24, 16, 700),
]  # fmt: skip
LEVELS = np.arange(1, 10) / 10


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


def theirs(y: np.ndarray, season: int, horizon: int) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Mean, deviation and differences of statsforecast's AutoARIMA for one series."""
    from statsforecast.models import AutoARIMA as Peer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Peer(season_length=season).fit(y)
        out = model.predict(horizon, level=[95])
    return out["mean"], (out["hi-95"] - out["mean"]) / ndtri(0.975), (model.model_["arma"][5], model.model_["arma"][6])


def seconds(job: Callable[[], object]) -> float:
    start = time.process_time()
    job()
    return time.process_time() - start


def agreement() -> dict[str, Any]:
    """Relative difference of log-likelihoods from statsmodels' at 200 random models, a seventh with missing values."""
    rng, worst = np.random.default_rng(0), []
    for trial in range(200):
        season, (p, q), (big_p, big_q) = int(rng.choice([4, 7, 12])), rng.integers(0, 4, 2), rng.integers(0, 3, 2)
        if trial % 4 == 0:
            big_p = big_q = 0
        n = max(int(rng.integers(30, 200)), (big_p + big_q) * season + 10)
        coefs = coefs_from_z(rng.normal(size=(p + q + big_p + big_q, 1)) * 1.2, (p, q, big_p, big_q))
        y = rng.normal(size=n).cumsum() if trial % 3 else rng.normal(size=n)
        if trial % 7 == 0:
            y[rng.choice(np.arange(2, n - 2), 3, replace=False)] = np.nan
        seasonal = (big_p, 0, big_q, season) if big_p + big_q else (0, 0, 0, 0)
        model = SARIMAX(y, order=(p, 0, q), seasonal_order=seasonal, concentrate_scale=True)
        model.tolerance = 0
        at = np.flatnonzero(np.isnan(y))
        w_TCR = np.zeros((n, len(at) + 1, 1))
        w_TCR[:, -1, 0] = np.nan_to_num(y)
        w_TCR[at, np.arange(len(at)), 0] = 1.0
        ours = exact(Rows(w_TCR, np.array([n]), len(at), season), coefs).loglik_R[0]
        peer = model.loglike(np.concatenate([part[:, 0] for part in coefs]))
        worst.append(abs(ours - peer) / abs(peer))
    return {"models": 200, "largest": max(worst), "median": float(np.median(worst))}


def fits() -> dict[str, Any]:
    """Log-likelihood reached on 300 real series, ours less statsmodels', for common orders."""
    rng, gaps = np.random.default_rng(0), []
    plans = [("m4_yearly", 1, 120), ("tsdl_quarterly", 4, 60), ("tsdl_monthly", 12, 120)]
    orders = [((1, 1, 1), (0, 1, 1)), ((2, 1, 0), (1, 1, 0)), ((0, 1, 2), (0, 1, 1)), ((1, 0, 1), (1, 1, 1))]
    for name, season, count in plans:
        found = [
            y[-300:]
            for y in series_of(name)
            if len(y) >= max(30, 5 * season) and not np.isnan(y).any() and np.ptp(y) > 0
        ]
        for i in rng.permutation(len(found))[:count]:
            order, seasonal = orders[int(rng.integers(4))]
            y = found[i] / np.abs(found[i]).max()
            d = y[season:] - y[:-season] if season > 1 else y
            if np.ptp(np.diff(d)) == 0:
                continue
            sizes = (order[0], order[2], seasonal[0], seasonal[2]) if season > 1 else (order[0], order[2], 0, 0)
            wanted = Wanted(sizes, None, order[1], seasonal[1] if season > 1 else 0, False)
            models, failed = fit_batch([y], [np.zeros((len(y), 0))], season, wanted)
            model = SARIMAX(
                y, order=order, seasonal_order=(*seasonal, season) if season > 1 else (0, 0, 0, 0), simple_differencing=True,
            )  # fmt: skip
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                peer = model.fit(disp=0, maxiter=500).llf
            if not failed:
                gaps.append(models.loglik_N[0] - peer)
    gap = np.array(gaps)
    return {
        "series": len(gap), "not_lower": float((gap >= -0.1).mean()), "higher": float((gap > 0.1).mean()),
        "quantiles": np.quantile(gap, [0.01, 0.05, 0.5, 0.95, 0.99]).tolist(),
    }  # fmt: skip


def errors() -> dict[str, Any]:
    """Mean reported standard error over the spread of the estimates, simulated series of length 400."""
    out = {}
    rng = np.random.default_rng(1)
    cases = {
        "ARMA(1,1)": ((1, 0, 1), (0, 0, 0), 1),
        "airline": ((0, 1, 1), (0, 1, 1), 12),
        "AR(2)": ((2, 0, 0), (0, 0, 0), 1),
    }
    for name, (order, seasonal, season) in cases.items():
        if name == "airline":
            series = seasonal_walks(400, 400, seed=5)
        else:
            phi, theta = ([0.7], [0.4]) if name == "ARMA(1,1)" else ([0.5, 0.3], [])
            e = rng.normal(size=(400, 600))
            y = e.copy()
            for t in range(2, 600):
                y[:, t] += sum(c * y[:, t - j - 1] for j, c in enumerate(phi)) + sum(
                    c * e[:, t - j - 1] for j, c in enumerate(theta)
                )
            series = list(y[:, 200:])
        model = ARIMA(order, seasonal, season if season > 1 else None, trend="n").fit(series)
        frames = [model.summary(item) for item in model.history_.ids]
        spread = np.std([f["coef"].to_numpy() for f in frames], axis=0)
        told = np.mean([f["std_err"].to_numpy() for f in frames], axis=0)
        out |= {
            f"{name}: {coef}": [float(a), float(b)] for coef, a, b in zip(frames[0].index, told, spread, strict=True)
        }
    return out


def speed() -> list[dict[str, Any]]:
    """Processor seconds for panels of 1, 10, 100, 1,000 series; the peer on a stated sample."""
    out = []
    monthly = [y[:-18] for y in series_of("m4_monthly")]
    kinds = {
        "m4_monthly, 306 months": ((monthly * 13)[:1000], 12, 16),
        "simulated airline, 144 months": (seasonal_walks(1000, 144), 12, 8),
        "m4_yearly": ([y[:-6] for y in sample_of("m4_yearly", 6, 1, 1000, None)], 1, 40),
    }
    for kind, (series, season, sample) in kinds.items():
        model = AutoARIMA(season_length=season)
        model.fit(series[:2]).predict(12)
        theirs(series[0], season, 12)
        picked = np.linspace(0, min(len(series), 80) - 1, sample).astype(int)
        peer, ours = [], {1: [], 10: [], 100: [], 1000: []}
        singles = []
        for i in picked:  # taking turns
            peer.append(seconds(lambda i=i: theirs(series[i], season, 12)))
            singles.append(seconds(lambda i=i: model.fit([series[i]]).predict(12)))
        for count, rounds in ((10, 5), (100, 3), (1000, 1)):
            for turn in range(rounds):
                part = series[turn * count : turn * count + count] if count < 1000 else series
                ours[count].append(seconds(lambda part=part: model.fit(part).predict(12)))
                peer.append(seconds(lambda turn=turn: theirs(series[int(picked[turn])], season, 12)))
        each = float(np.mean(peer))
        ours[1] = singles
        for count, runs in ours.items():
            mine = float(np.mean(runs) if count == 1 else np.median(runs))
            out.append(
                {
                    "kind": kind,
                    "series": count,
                    "ours": mine,
                    "theirs": each * count,
                    "ratio": each * count / mine,
                    "sample": len(peer),
                }
            )
        slower = float(np.mean(np.array(singles) > np.array(peer[: len(singles)])))
        out[-4]["slower_share"] = slower
    return out


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


def accuracy() -> list[dict[str, Any]]:
    """Geometric-mean MASE and WQL relative to statsforecast's AutoARIMA, coverage, agreement of differences."""
    out = []
    for name, horizon, season, most, last in SETS:
        series = sample_of(name, horizon, season, most, last)
        model = AutoARIMA(season_length=season, on_error="fallback")
        start = time.process_time()
        forecast = model.fit([y[:-horizon] for y in series]).predict(horizon)
        ours_seconds = time.process_time() - start
        mine_NS = np.array([
            scores(forecast.quantile(0.5)[i], (forecast.quantile(0.975) - forecast.quantile(0.5))[i] / ndtri(0.975), y, horizon, season)
            for i, y in enumerate(series)
        ])  # fmt: skip
        peer_NS, same, failed = np.full_like(mine_NS, np.nan), [], 0
        start = time.process_time()
        for i, y in enumerate(series):
            try:
                mean_H, size_H, orders = theirs(y[:-horizon], season, horizon)
            except (ValueError, ZeroDivisionError, np.linalg.LinAlgError):
                failed += 1
                continue
            peer_NS[i] = scores(mean_H, size_H, y, horizon, season)
            same.append(tuple(model.order_[i, [1, 4]]) == orders)
        theirs_seconds = time.process_time() - start
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
            "seconds": [ours_seconds / len(series), theirs_seconds / len(series)],
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


SECTIONS: dict[str, Callable[[], Any]] = {
    "agreement": agreement, "fits": fits, "errors": errors, "speed": speed, "threads": threads, "accuracy": accuracy,
    "cost": cost,
}  # fmt: skip


def main(names: list[str]) -> None:
    """Run the sections and write the page; sections not run keep their last results."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    with threadpool_limits(1):
        for name in names or list(SECTIONS):
            results[name] = SECTIONS[name]()
            results["where"] = (
                f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}"
            )
            RESULTS.write_text(json.dumps(results, indent=1))
    from tests.benchmarks.arima_page import page

    PAGE.write_text(page(results))


if __name__ == "__main__":
    main(sys.argv[1:])
