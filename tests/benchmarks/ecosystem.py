"""Import, cold start, installed size, other libraries' checks, and Ray: writes docs/benchmarks/ecosystem.md.

    python -m tests.benchmarks.ecosystem --peer chronos=PYTHON --peer neuralforecast=PYTHON --peer darts=PYTHON \\
        --peer sktime=PYTHON

where PYTHON is the interpreter of an environment that has the peer. `--only` measures one table
again and keeps the others.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import tsar

ROOT = Path(__file__).parents[2]
ROUNDS = 5
DISTRIBUTION = {"chronos": "chronos-forecasting"}
FORECAST = {  # the same errand for each library: read a csv of 3 monthly series, forecast 12 steps, write a csv
    "darts": """
import pandas as pd
from darts import TimeSeries
from darts.models import NaiveSeasonal
df = pd.read_csv("sales.csv", parse_dates=["timestamp"])
out = [NaiveSeasonal(12).fit(TimeSeries.from_dataframe(g, "timestamp", "target", freq="MS")).predict(12).to_dataframe()
       for _, g in df.groupby("item_id")]
pd.concat(out).to_csv("out.csv")
""",
    "sktime": """
import pandas as pd
from sktime.forecasting.naive import NaiveForecaster
df = pd.read_csv("sales.csv", parse_dates=["timestamp"])
y = df.set_index(["item_id", "timestamp"])[["target"]]
y.index = y.index.set_levels(y.index.levels[1].to_period("M"), level=1)
NaiveForecaster("last", sp=12).fit(y, fh=range(1, 13)).predict().to_csv("out.csv")
""",
    "neuralforecast": """
import pandas as pd
from neuralforecast import NeuralForecast
from neuralforecast.models import DLinear
df = pd.read_csv("sales.csv", parse_dates=["timestamp"])
df.columns = ["unique_id", "ds", "y"]
nf = NeuralForecast([DLinear(h=12, input_size=24, max_steps=1, enable_progress_bar=False, logger=False)], freq="MS")
nf.fit(df)
nf.predict().to_csv("out.csv")
""",
}
CLOSURE = """
import importlib.metadata as m, json, re, sys
from packaging.requirements import Requirement
def norm(n): return re.sub(r"[-_.]+", "-", n).lower()
seen, todo, size, skip = set(), [sys.argv[1]], 0, ("torch", "nvidia-", "triton")
while todo:
    name = norm(todo.pop())
    if name in seen or name.startswith(skip): continue
    seen.add(name)
    try: dist = m.distribution(name)
    except m.PackageNotFoundError: continue
    for f in dist.files or []:
        try: size += f.locate().stat().st_size
        except OSError: pass
    for r in map(Requirement, dist.requires or []):
        if r.marker is None or r.marker.evaluate({"extra": ""}): todo.append(r.name)
print(json.dumps([size / 1e6, len(seen)]))
"""


def seconds(command: list[str], folder: Path) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{command[:3]}: {done.stderr[-2000:]}"
    return time.perf_counter() - start


def interleaved(commands: dict[str, list[str]], folder: Path) -> dict[str, float]:
    """Median seconds of each command, all in turn so that whatever else the machine does hits them alike."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(ROUNDS + 1):
        for name, command in commands.items():
            spent = seconds(command, folder)
            if number:  # the first round fills the disk's cache
                times[name].append(spent)
    return {name: float(np.median(values)) for name, values in times.items()}


def imports(pythons: dict[str, str]) -> str:
    """Table of imports and of installed sizes."""
    spent = interleaved({n: [p, "-W", "ignore", "-c", f"import {n}"] for n, p in pythons.items()}, ROOT)
    rows = ["| library | `import` | of tsar's | installed without torch | packages |", "|---|---|---|---|---|"]
    for library, python in pythons.items():
        command = [python, "-c", CLOSURE, DISTRIBUTION.get(library, library)]
        size, count = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        if library == "tsar":
            size += sum(f.stat().st_size for f in (ROOT / "tsar").rglob("*") if "__pycache__" not in f.parts) / 1e6
        ratio = spent[library] / spent["tsar"]
        rows.append(f"| {library} | {spent[library]:.2f} s | {ratio:.0f}× | {size:.0f} MB | {count} |")
    return "\n".join(rows)


def errand(pythons: dict[str, str]) -> str:
    """Table of a forecast from a csv to a csv, each in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        rng = np.random.default_rng(0)
        times = pd.date_range("2015-01-01", periods=96, freq="MS")
        series = [pd.DataFrame({"item_id": i, "timestamp": times, "target": rng.normal(50, 5, 96)}) for i in "abc"]
        pd.concat(series).to_csv(Path(name) / "sales.csv", index=False)
        tool = [str(Path(sys.executable).parent / "tsar"), "forecast", "sales.csv", "--horizon", "12"]
        commands = {
            f"tsar, {model}": [*tool, "--out", "out.csv", "--model", model] for model in ("SeasonalNaive", "AR")
        }
        commands["tsar, tsar-small"] = [*tool, "--out", "out.csv", "--model", "tsar-small"]
        commands |= {n: [pythons[n], "-W", "ignore", "-c", c] for n, c in FORECAST.items() if n in pythons}
        spent = interleaved(commands, Path(name))
    first = spent["tsar, SeasonalNaive"]
    rows = ["| library | csv to csv, cold | of tsar's |", "|---|---|---|"]
    rows += [f"| {name} | {value:.2f} s | {value / first:.1f}× |" for name, value in spent.items()]
    return "\n".join(rows)


def checks() -> str:
    """Table of other libraries' own checks."""
    from sklearn.utils.estimator_checks import check_estimator
    from sktime.utils.estimator_checks import check_estimator as check_sktime

    os.environ["RAY_ADDRESS"] = "local"  # sktime's checks use Ray, and must not join a cluster that is there
    from tests.interop.test_sklearn import DO_NOT_APPLY, LOCAL, checked
    from tsar.interop.sktime import TsarForecaster

    rows = ["| suite | run | pass | do not apply | fail |", "|---|---|---|---|---|"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("SeasonalNaive", "AR"):
            results = check_estimator(checked(name), on_fail=None, on_skip=None)
            odd = [r["check_name"] for r in results if r["status"] != "passed"]
            wrong = [check for check in odd if check not in DO_NOT_APPLY and check not in LOCAL]
            good = len(results) - len(odd)
            rows.append(f"| scikit-learn, {name} | {len(results)} | {good} | {len(odd) - len(wrong)} | {len(wrong)} |")
        found = check_sktime(TsarForecaster, raise_exceptions=False, verbose=False)
    good = sum(result == "PASSED" for result in found.values())
    rows.append(f"| sktime, two parameter sets | {len(found)} | {good} | 0 | {len(found) - good} |")
    return "\n".join(rows)


def panel(items: int) -> pd.DataFrame:
    """Monthly series of 120 steps with season, trend and noise."""
    rng = np.random.default_rng(0)
    step = np.arange(120)
    y = rng.uniform(20, 80, (items, 1)) + rng.normal(0, 0.1, (items, 1)) * step
    y = y + rng.uniform(0, 10, (items, 1)) * np.sin(step * 2 * np.pi / 12) + rng.normal(0, 2, (items, 120))
    times = pd.date_range("2015-01-01", periods=120, freq="MS")
    ids = np.array([f"s{i:06d}" for i in range(items)], object)
    return pd.DataFrame({"item_id": np.repeat(ids, 120), "timestamp": np.tile(times, items), "target": y.ravel()})


def scale_out() -> str:
    """Table of series per second on Ray and in a plain loop over the same files."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "OMP_NUM_THREADS": "1"}
    import ray
    import torch

    from tsar.interop.choice import continued, named
    from tsar.interop.ray import forecast

    torch.set_num_threads(1)
    ray.init("local", num_cpus=3, include_dashboard=False, log_to_driver=False, object_store_memory=2**28)
    ray.data.DataContext.get_current().enable_progress_bars = False
    models: list[tuple[str, Any, int, int]] = [
        ("AR(lags=13)", tsar.AR(lags=13), 16_000, 1_000),
        ("tsar-small", "tsar-small", 3_200, 200),
        ("AutoARIMA()", tsar.AutoARIMA(), 320, 20),
    ]
    rows = ["| model | plain loop | Ray, 1 worker | Ray, 2 workers | 10⁸ series, core-hours |", "|---|---|---|---|---|"]
    for label, model, items, size in models:
        with tempfile.TemporaryDirectory() as name:
            frame = panel(items)
            for start in range(0, items, size):
                frame[start * 120 : (start + size) * 120].to_parquet(Path(name) / f"{start:06d}.parquet")
            files = sorted(Path(name).glob("*.parquet"))
            begun = time.perf_counter()
            one = named(model)
            loop = pd.concat(continued(one, pd.read_parquet(f), 12, random_state=0).to_frame() for f in files)
            rates = [items / (time.perf_counter() - begun)]
            for workers in (1, 2):
                begun = time.perf_counter()
                with tempfile.TemporaryDirectory() as out:
                    answer = forecast(name, model, 12, workers=workers, out=out).to_pandas()
                rates.append(items / (time.perf_counter() - begun))
                answer = answer.sort_values(["item_id", "timestamp"], ignore_index=True)
                np.testing.assert_allclose(answer["mean"], loop["mean"], rtol=1e-5)
        plain, first, second = rates
        rows.append(
            f"| {label} | {plain:,.0f} series/s | {first:,.0f} ({first / plain:.2f}×) | {second:,.0f} "
            f"({second / plain:.2f}×) | {1e8 / plain / 3600:,.0f} |"
        )
    ray.shutdown()
    return "\n".join(rows)


PAGE = """# Ecosystem

```sh
python -m tests.benchmarks.ecosystem \\
    --peer chronos=PYTHON --peer neuralforecast=PYTHON --peer darts=PYTHON --peer sktime=PYTHON
```

PYTHON is the interpreter of an environment that has the peer. {about}

## Checks of other libraries

{checks}

The checks that do not apply, each with its reason, are in [Doors to other libraries](../interop.md).

## Import and size

{import}

Medians of {rounds} runs, interleaved, after one that filled the disk's cache, on a machine that did other work as well:
the ratios count. `import tsar` loads names only; what they need is imported on first use, which the next table holds.
Installed size is that of the package and everything it requires, torch and its CUDA libraries left out.

## Cold start

{csv}

The errand reads a csv of three monthly series, forecasts 12 steps and writes a csv, in a new process: seasonal naive in
tsar, darts and sktime, one step of a linear network in neuralforecast, which has no simpler model. chronos-forecasting
comes without weights, so there is nothing that it can forecast offline.

tsar is first in import and **second, after darts, in cold start**. Two thirds of its time are `import sklearn.base`,
which brings scipy.stats: its forecasters are scikit-learn's estimators, and those of darts are not.

## Scaling out on Ray

{ray}

Monthly series of 120 steps, horizon 12, sixteen parquet files, written as parquet again, on two cores that did other
work as well; seconds from the call to the last file, the start of the workers and their imports included. That start
takes 20 to 30 s here, which is ten times what AR needs for these 16,000 series in one process: Ray pays where the work
is hours. Equal to the plain loop's forecasts to 1e-5. The last column is arithmetic: 10⁸ series at the rate of the
plain loop on one core.
"""


def main() -> None:
    """Measure and write the page, or one table of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--only", choices=["import", "csv", "checks", "ray"])
    options = parser.parse_args()
    pythons = {"tsar": sys.executable} | dict(pair.split("=", 1) for pair in options.peer)
    parts = {
        "import": lambda: imports(pythons), "csv": lambda: errand(pythons), "checks": checks, "ray": scale_out,
    }  # fmt: skip
    measured = {name: part() for name, part in parts.items() if options.only in (None, name)}
    file = ROOT / "docs" / "benchmarks" / "ecosystem.md"
    kept = dict(re.findall(r"<!-- (\w+) -->\n(.*?)\n<!-- end -->", file.read_text() if file.exists() else "", re.S))
    tables = {name: f"<!-- {name} -->\n{(kept | measured).get(name, '')}\n<!-- end -->" for name in parts}
    about = f"{os.cpu_count()} cores, Python {sys.version.split()[0]}."
    file.write_text(PAGE.format(about=about, rounds=ROUNDS, **tables))


if __name__ == "__main__":
    main()
