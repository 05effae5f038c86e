"""Speed of the classical forecasters as ratios to their peers; writes docs/benchmarks/classical_speed.md.

Every pair of times comes from runs that take turns on the same machine; figures are medians. Peers that would take
minutes run on a sample of the series, and their time is scaled up to all of them; the table says so.

    python -m tests.benchmarks.classical_speed            # all sections, about 15 minutes on two quiet cores
    python -m tests.benchmarks.classical_speed ar order   # some of them: ar, statsforecast, order, overhead
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from statsmodels.tsa.ar_model import AutoReg
from threadpoolctl import threadpool_limits

import tsar

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "classical_speed.md"
RESULTS = PAGE.with_suffix(".json")
ROUNDS = 7


def series(n: int, length: int, seed: int = 0) -> np.ndarray:
    """Autoregressive series with a level, as the acceptance of this project draws them."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n, length + 50))
    y = np.zeros_like(noise)
    for t in range(2, length + 50):
        y[:, t] = 0.5 * y[:, t - 1] + 0.2 * y[:, t - 2] + noise[:, t]
    return y[:, 50:]


def long_frame(y_NL: np.ndarray, freq: str = "D") -> pd.DataFrame:
    n, length = y_NL.shape
    return pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(n).astype(str), length),
            "ds": np.tile(pd.date_range("2000-01-01", periods=length, freq=freq), n),
            "y": y_NL.ravel(),
        }
    )


def take_turns(
    jobs: dict[str, Callable[[], object]], rounds: int = ROUNDS, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median seconds of each job; the jobs take turns, after one run of each that does not count."""
    for job in jobs.values():
        job()
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            start = clock()
            job()
            seconds[name].append(clock() - start)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def autoreg_loop(y_NL: np.ndarray, lags: int, horizon: int) -> None:
    for y_L in y_NL:
        AutoReg(y_L, lags).fit().predict(len(y_L), len(y_L) + horizon - 1)


def ar() -> dict[str, object]:
    """AR(12), fit and seven steps ahead, on 10,000 series of 200 points against a loop over AutoReg."""
    n, sample = 10_000, 200
    y_NL = series(n, 200)
    frame = long_frame(y_NL)
    by_category = frame.assign(unique_id=frame["unique_id"].astype("category"))
    jobs = {
        "statsmodels": lambda: autoreg_loop(y_NL[:sample], 12, 7),
        "array": lambda: tsar.AR(lags=12).fit(y_NL).predict(7),
        "long frame, text ids": lambda: tsar.AR(lags=12).fit(frame).predict(7),
        "long frame, category ids": lambda: tsar.AR(lags=12).fit(by_category).predict(7),
    }
    out: dict[str, object] = {}
    for kind, threads, clock in (
        ("1 thread", 1, time.perf_counter),
        ("2 threads", 2, time.perf_counter),
        ("1 thread, processor time", 1, time.process_time),
    ):
        with threadpool_limits(threads):
            took = take_turns(jobs, clock=clock)
        took["statsmodels"] *= n / sample
        out[kind] = took
    fitted = tsar.AR(lags=12).fit(y_NL)
    params, mean = fitted.params_.to_numpy(), fitted.predict(7).mean
    peers = [AutoReg(y_L, 12).fit() for y_L in y_NL[:sample]]
    out["coefficients"] = max(float(np.abs(params[i] - peer.params).max()) for i, peer in enumerate(peers))
    out["forecasts"] = max(float(np.abs(mean[i] - peer.predict(200, 206)).max()) for i, peer in enumerate(peers))
    return out


def statsforecast() -> dict[str, object]:
    """The same job against statsforecast's AutoRegressive and ARIMA(12, 0, 0), which maximise a likelihood."""
    from statsforecast import StatsForecast
    from statsforecast.models import ARIMA, AutoRegressive

    n, sample = 10_000, 4
    frame = long_frame(series(n, 200))
    some = frame.head(sample * 200)
    took = take_turns(
        {
            "tsar.AR(12)": lambda: tsar.AR(lags=12).fit(frame).predict(7),
            "AutoRegressive(12)": lambda: StatsForecast([AutoRegressive(lags=12)], freq="D").forecast(df=some, h=7),
            "ARIMA(12,0,0)": lambda: StatsForecast([ARIMA(order=(12, 0, 0))], freq="D").forecast(df=some, h=7),
        },
        rounds=5,
    )
    return {name: value * (1 if name.startswith("tsar") else n / sample) for name, value in took.items()}


def order() -> dict[str, object]:
    """Seconds against the order of the model: 100 series of 1,000 points; AutoReg on 5 of them."""
    n, sample, orders = 100, 5, [6, 12, 24, 48, 96, 192]
    y_NL = series(n, 1000)
    rows: dict[str, list[float]] = {"AR": [], "ARNet": [], "AutoReg": []}
    for p in orders:
        took = take_turns(
            {
                "AR": lambda p=p: tsar.AR(lags=p).fit(y_NL),
                "ARNet": lambda p=p: tsar.ARNet(lags=p, max_steps=20, tolerance=1e-12).fit(y_NL),
                "AutoReg": lambda p=p: autoreg_loop(y_NL[:sample], p, 1),
            },
            rounds=5,
        )
        took["AutoReg"] *= n / sample
        for name, value in took.items():
            rows[name].append(value)
    return {"orders": orders, **rows}


def overhead() -> dict[str, object]:
    """Fit and twelve steps ahead with deciles: tsar around statsforecast against statsforecast itself."""
    from statsforecast import StatsForecast
    from statsforecast import models as theirs

    t = np.arange(120)
    rng = np.random.default_rng(0)
    y_NL = 100 + 10 * np.sin(t * 2 * np.pi / 12) + rng.normal(size=(24, 120)).cumsum(1)
    frame = long_frame(y_NL, "MS")
    yearly = long_frame(y_NL[:, :40], "YS")
    levels = [20, 40, 60, 80]  # the deciles
    out: dict[str, object] = {}
    for name, ours, peer, data, freq in (
        ("AutoETS, monthly", tsar.AutoETS(), theirs.AutoETS(12), frame, "MS"),
        ("AutoETS, yearly", tsar.AutoETS(), theirs.AutoETS(1), yearly, "YS"),
        ("AutoTheta, monthly", tsar.AutoTheta(), theirs.AutoTheta(12), frame, "MS"),
        ("AutoTheta, yearly", tsar.AutoTheta(), theirs.AutoTheta(1), yearly, "YS"),
        ("AutoARIMA, yearly", tsar.AutoARIMA(engine="statsforecast"), theirs.AutoARIMA(), yearly, "YS"),
    ):
        took = take_turns(
            {
                "tsar": lambda ours=ours, data=data: ours.fit(data).predict(12),
                "statsforecast": lambda peer=peer, data=data, freq=freq: StatsForecast([peer], freq=freq).forecast(
                    df=data, h=12, level=levels
                ),
            },
            rounds=5,
        )
        out[name] = took
    return out


SECTIONS = {"ar": ar, "statsforecast": statsforecast, "order": order, "overhead": overhead}


def exponent(orders: list[int], seconds: list[float]) -> float:
    """Slope of log seconds over log order in the upper half of the orders."""
    upper = slice(len(orders) // 2, None)
    return float(np.polyfit(np.log(orders[upper]), np.log(seconds[upper]), 1)[0])


def page(results: dict[str, dict[str, object]]) -> str:
    command = "python -m tests.benchmarks.classical_speed"
    lines = [
        "# Speed of the classical forecasters",
        "",
        "Ratios to peers whose runs took turns with ours on the same machine; medians of at least five. "
        f"Machine: {results['machine']['text']}.",
        "",
    ]
    if "ar" in results:
        found = results["ar"]
        lines += [
            "## AR(12) on 10,000 series × 200 points, fit and seven steps with deciles",
            "",
            f"`{command} ar`. statsmodels: a loop over `AutoReg(y, 12).fit().predict(200, 206)` on 200 of the series, "
            "scaled up to 10,000. A long frame has two million rows; its time includes reading it. Other jobs kept "
            "both cores busy, which stretches every wall time alike; processor time is less touched by them.",
            "",
            "| input | measured | tsar (s) | statsmodels (s) | ratio | goal |",
            "|---|---|---|---|---|---|",
        ]
        for kind, took in found.items():
            if not isinstance(took, dict):
                continue
            for name, value in took.items():
                if name != "statsmodels":
                    goal = 200 if name == "array" else 100
                    ratio = took["statsmodels"] / value
                    lines.append(
                        f"| {name} | {kind} | {value:.3f} | {took['statsmodels']:.1f} | {ratio:.0f}× | {goal}× |"
                    )
        lines += [
            "",
            f"Largest difference on the 200 series: coefficients {found['coefficients']:.1e}, forecasts "
            f"{found['forecasts']:.1e} (goal 1e-6).",
            "",
        ]
    if "statsforecast" in results:
        found = results["statsforecast"]
        own = found["tsar.AR(12)"]
        lines += [
            "## Against statsforecast's autoregressions",
            "",
            f"`{command} statsforecast`. The same series from the long frame; statsforecast on 4 of them, scaled up. "
            "It maximises the exact likelihood of a stationary model, which least squares does not: the job is the "
            "same, the estimator is not.",
            "",
            "| model | seconds | ratio |",
            "|---|---|---|",
            *[f"| {name} | {value:.2f} | {value / own:.0f}× |" for name, value in found.items()],
            "",
        ]
    if "order" in results:
        found = results["order"]
        orders = found["orders"]
        lines += [
            "## Cost against the order",
            "",
            f"`{command} order`. Seconds to fit 100 series × 1,000 points; `AutoReg` on 5 of them, scaled up. The "
            "exponent is the slope of log seconds over log order in the upper half of the orders. `ARNet` takes 20 "
            "gradient steps.",
            "",
            "| model | " + " | ".join(map(str, orders)) + " | exponent |",
            "|---|" + "---|" * (len(orders) + 1),
            *[
                f"| {name} | "
                + " | ".join(f"{s:.3g}" for s in found[name])
                + f" | {exponent(orders, found[name]):.2f} |"
                for name in ("AR", "ARNet", "AutoReg")
            ],
            "",
        ]
    if "overhead" in results:
        lines += [
            "## Overhead around statsforecast",
            "",
            f"`{command} overhead`. 24 series, fit and twelve steps with deciles; monthly ones have 120 points and a "
            "season of 12, yearly ones 40 points. Goal: at most 1.1×.",
            "",
            "| model | tsar (s) | statsforecast (s) | ratio |",
            "|---|---|---|---|",
            *[
                f"| {name} | {took['tsar']:.2f} | {took['statsforecast']:.2f} | "
                f"{took['tsar'] / took['statsforecast']:.2f}× |"
                for name, took in results["overhead"].items()
            ],
            "",
        ]
    return "\n".join(lines)


def main(names: list[str]) -> None:
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in names or list(SECTIONS):
        results[name] = SECTIONS[name]()
        results["machine"] = {
            "text": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
        }
        RESULTS.write_text(json.dumps(results, indent=1))
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page(results))


if __name__ == "__main__":
    main(sys.argv[1:])
