"""ARIMA against statsmodels and statsforecast: agreement, speed, accuracy, cost; writes docs/benchmarks/arima.md.

Speed is a ratio to the peer measured in the same run, taking turns; seconds are processor seconds of one thread, so
that other work on the machine tells less. Where the peer would take hours it runs on a stated sample, scaled up.

    python -m tests.benchmarks.arima                      # all sections, about half an hour of processor time
    python -m tests.benchmarks.arima agreement speed      # some: also fits, errors, threads, accuracy, cost
    python -m tests.benchmarks.arima page                 # write the page from the last results
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from tests.benchmarks.arima_panels import accuracy, cost, speed, threads
from tests.benchmarks.arima_reference import agreement, errors, fits

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "benchmarks" / "arima.md"
RESULTS = HERE / "arima.json"
SECTIONS: dict[str, Callable[[], Any]] = {
    "agreement": agreement, "fits": fits, "errors": errors, "speed": speed, "threads": threads, "accuracy": accuracy,
    "cost": cost,
}  # fmt: skip


def table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def command(section: str) -> str:
    return f"\n`python -m tests.benchmarks.arima {section}`\n\n"


def page(r: dict[str, Any]) -> str:
    """The benchmark page; sections without results are left out."""
    out = [
        "# ARIMA: agreement, speed, accuracy\n\n"
        "The batched ARIMA and AutoARIMA beside statsmodels' SARIMAX and statsforecast's "
        "AutoARIMA (2.1). Seconds are processor\n"
        "seconds of one thread; both libraries run in the same process and take turns. Where "
        "statsforecast runs on a sample of\n"
        f"the series, its time is scaled up to all of them. Measured on {r['where']}.\n"
    ]
    if "agreement" in r:
        a = r["agreement"]
        out.append(
            f"\n## Log-likelihood at given parameters\n{command('agreement')}"
            f"{a['models']} random models (up to (3, 0, 3)(2, 0, 2), seasons 4, 7, 12, a seventh "
            f"of them with missing values), "
            f"against SARIMAX with stationary initialisation: largest relative difference {a['largest']:.0e}, median "
            f"{a['median']:.0e} (wanted: 1e-6).\n"
        )
    if "fits" in r:
        f = r["fits"]
        out.append(
            f"\n## Log-likelihood reached\n{command('fits')}"
            f"{f['series']} real series (m4_yearly, tsdl_quarterly, tsdl_monthly; the last 150 "
            f"values), four common orders. Ours is not "
            f"lower than statsmodels' by more than 0.1 on {f['not_lower']:.1%} (wanted: 95%), and "
            f"higher by more than 0.1 on "
            f"{f['higher']:.1%}. Quantiles 1, 5, 50, 95, 99% of ours less theirs: "
            f"{', '.join(f'{v:.3g}' for v in f['quantiles'])}.\n"
        )
    if "errors" in r:
        rows = [
            [name, f"{told:.4f}", f"{spread:.4f}", f"{told / spread:.3f}"]
            for name, (told, spread) in r["errors"].items()
        ]
        out.append(
            f"\n## Standard errors\n{command('errors')}400 simulated series of 400 values: the "
            f"mean reported error beside the spread of "
            "the estimates, which 400 series know to about 3.5%.\n\n"
            + table(["coefficient", "reported", "spread of estimates", "ratio"], rows)
        )
    if "speed" in r:
        rows = [
            [x["kind"], f"{x['series']:,}", f"{x['ours']:.3g}", f"{x['theirs']:.4g}", f"{x['ratio']:.0f}×", x["sample"]]
            for x in r["speed"]
        ]
        slower = [f"{x['kind']} {x['slower_share']:.0%}" for x in r["speed"] if "slower_share" in x]
        out.append(
            f"\n## Speed\n{command('speed')}AutoARIMA, fit and a forecast of 12 steps, without reading the data. The "
            "1,000 monthly series of M4 are the 80 that could be had, repeated. One series is "
            "the mean of single fits; share "
            f"of single series on which ours is slower: {', '.join(slower)}.\n\n"
            + table(["series", "how many", "seconds, ours", "seconds, theirs", "ratio", "theirs measured on"], rows)
        )
    if "threads" in r:
        rows = [
            [x["kind"], f"{x['series']:,}", f"{x['one']:.2f}", f"{x['two']:.2f}", f"{x['one'] / x['two']:.2f}×"]
            for x in r["threads"]
        ]
        out.append(
            f"\n## One process and two\n{command('threads')}Wall-clock seconds of `n_jobs=1` and "
            f"`n_jobs=2`, medians of 5 "
            "turns, other work on the machine included.\n\n"
            + table(["series", "how many", "one", "two", "ratio"], rows)
        )
    if "accuracy" in r:
        rows = [
            [x["set"], x["series"], f"{x['mase']:.3f} ± {x['error'][0]:.3f}", f"{x['wql']:.3f} ± {x['error'][1]:.3f}",
             f"{x['cover80'][0]:.1%} / {x['cover80'][1]:.1%}", f"{x['cover95'][0]:.1%} / "
             f"{x['cover95'][1]:.1%}", f"{x['same']:.1%}",
             f"{x['seconds'][1] / x['seconds'][0]:.0f}×"]
            for x in r["accuracy"]
        ]  # fmt: skip
        out.append(
            f"\n## Accuracy\n{command('accuracy')}Geometric mean over series of our score over "
            f"statsforecast's (below 1: ours is "
            "better), with its standard error; the last window of each series; coverage ours / "
            "theirs; how often d and D are the "
            "same; ratio of processor seconds. Weekly series are their last 260 values, hourly their last 360. "
            "To bound the time statsforecast runs with approximation=None here, R's rule of conditional least squares "
            "beyond 150 values, and on weekly and hourly series with its default; speed above is its default too. "
            "Its forecasts are kept between runs (ARIMA_PEER), so its seconds are from a run of their own.\n\n"
            + table(["set", "series", "MASE", "WQL", "80% interval", "95% interval", "same d, D", "speed"], rows)
        )
    if "cost" in r:
        c = r["cost"]
        length = [[n, f"{1e3 * v:.2f}"] for n, v in zip(c["lengths"], c["by_length"], strict=True)]
        season = [[n, f"{1e3 * v:.2f}"] for n, v in zip(c["seasons"], c["by_season"], strict=True)]
        candidates = [[text, f"{1e3 * v:.2f}"] for text, v in c["by_candidates"]]
        out.append(
            f"\n## Cost\n{command('cost')}Milliseconds a series (64 simulated ones; 4 at season 168).\n\n"
            + table(["length, season 12", "ms"], length)
            + f"\nFitted exponent {c['length_exponent']:.2f}. Up to 150 values every candidate's exact likelihood is "
            "maximised, beyond the search uses conditional sums of squares.\n\n"
            + table(["season, length 900", "ms"], season)
            + f"\nFitted exponent {c['season_exponent']:.2f}.\n\n"
            + table(["largest p, q, P, Q (144 months)", "ms"], candidates)
        )
    return "".join(out)


def _kept() -> dict[str, Any]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def main(names: list[str]) -> None:
    """Run the sections and write the page; sections not run keep their last results."""
    results = _kept()
    with threadpool_limits(1):
        for name in names or list(SECTIONS):
            if name in SECTIONS:
                found = SECTIONS[name]()
                results = _kept() | {name: found}  # another run may have written meanwhile
                results["where"] = f"{platform.machine()}, {os.cpu_count()} cores, numpy {np.__version__}"
                RESULTS.write_text(json.dumps(results, indent=1))
    PAGE.write_text(page(results))


if __name__ == "__main__":
    main(sys.argv[1:])
