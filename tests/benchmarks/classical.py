"""Accuracy of every classical forecaster on every set of the benchmark, at the last origin of each series.

    python -m tests.benchmarks.classical                 # run what is missing, then write the table
    python -m tests.benchmarks.classical --models AR Theta --sets m4_yearly ETTh1

Needs TSAR_DATA. Results are kept in runs/classical, one file for a forecaster and a set, so a run that was stopped goes
on; the table is put between the markers of docs/benchmarks/classical.md. Relative scores compare with SeasonalNaive on
the same series; a set counts once in the geometric mean.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from tsar import naming
from tsar.catalog import list_datasets, load_dataset
from tsar.comparison import EXPECTED
from tsar.evaluate import run
from tsar.origins import origins, read
from tsar.scores import combine

log = logging.getLogger("classical")
SIZES = dict(list_datasets()["series"])
FOLDER, PAGE = Path("runs/classical"), Path("docs/benchmarks/classical.md")
BEGIN, END = "<!-- accuracy: begin -->", "<!-- accuracy: end -->"
LONGEST = 2000  # steps of history shown to each forecaster
BASE = "SeasonalNaive"
CONFORMAL = "Conformal(AR, horizon={horizon})"
ENSEMBLE = "Ensemble([AR, AutoTheta, SeasonalNaive])"
SAMPLED = dict.fromkeys(
    ("AutoARIMA", "ARTree", "Theta", "AutoTheta", ENSEMBLE, "AutoETS", "ETS"), 25
)  # series a set, at most
MODELS = [
    BASE, "Naive", "Drift", "WindowAverage", "AR", "ARNet", "VAR", "ARIMA", CONFORMAL, *SAMPLED,
]  # fmt: skip
PUBLISHED = ("AutoTheta", "m4_yearly", 3.094)  # forecaster, set, its MASE on all 23,000 series (autogluon/fev)


def sample(df: pd.DataFrame, most: int | None) -> pd.DataFrame:
    """Take `most` items evenly spread over the set, or all."""
    ids = df["item_id"].unique()
    if most is None or len(ids) <= most:
        return df
    return df[df["item_id"].isin(ids[np.linspace(0, len(ids) - 1, most).round().astype(int)])]


def measure(name: str, set_name: str, most: int | None) -> dict[str, float | str]:
    """Score one forecaster on one set, or say why it could not be."""
    df = load_dataset(set_name)
    attrs, df = df.attrs, sample(df[["item_id", "timestamp", "target"]], most)
    model = naming.build(name.format(horizon=attrs["horizon"]), on_error="fallback")
    panel = read(df, [model], None, attrs["season_length"])
    places = origins(panel, attrs["horizon"], 1, max_history=LONGEST)
    try:
        result = run(name, model, places, attrs["horizon"])
    except EXPECTED as error:
        return {"error": f"{type(error).__name__}: {error}"}
    parts = {
        m: (g["value"].to_numpy(), g["weight"].to_numpy()) for m, g in result.scores.groupby("metric", observed=True)
    }
    scores = {metric: combine(metric, *part) for metric, part in parts.items()}
    mase, count = parts["MASE"][0], len(panel)
    fallbacks = sum("SeasonalNaive instead" in note for note in result.last.notes.values())
    seconds = {"fit": result.fit_seconds, "predict": result.predict_seconds}
    return (
        scores | seconds | {"items": count, "fallbacks": fallbacks, "MASE_error": float(np.nanstd(mase) / count**0.5)}
    )


def place(name: str, set_name: str, most: int | None) -> Path:
    """File of a result."""
    label = "".join(c if c.isalnum() else "_" for c in name)
    return FOLDER / f"{label}-{most or 'all'}" / f"{set_name}.json"


def result_of(name: str, set_name: str, most: int | None, measured: bool = True) -> dict[str, float | str]:
    """Read a kept result, or measure and keep it, with that of the baseline on the same series as `base`."""
    if most is not None and (SIZES[set_name] <= most or place(name, set_name, None).exists()):
        most = None
    for one in (name, BASE):
        path = place(one, set_name, most)
        if not path.exists() and not measured:
            return {}
        if not path.exists():
            started = time.perf_counter()
            result = measure(one, set_name, most)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(result))
            log.info("%s on %s: %s (%.0f s)", one, set_name, result.get("MASE", result), time.perf_counter() - started)
    ours, base = (json.loads(place(one, set_name, most).read_text()) for one in (name, BASE))
    return ours | {"base": base}


def table(models: dict[str, int | None], sets: list[str], measured: bool = True) -> str:
    """The tables in Markdown: geometric means, and the relative MASE on every set; measured or only what is kept."""
    rows, wide = [], []
    for name, most in models.items():
        kept = {s: result_of(name, s, most, measured) for s in sets}
        ran = [s for s in sets if "MASE" in kept[s]]
        ratio = {m: {s: kept[s][m] / kept[s]["base"][m] for s in ran} for m in ("MASE", "WQL")}
        mean = {m: float(np.exp(np.mean(np.log(list(r.values()))))) if ran else np.nan for m, r in ratio.items()}
        inside = np.mean([kept[s]["coverage_80"] for s in ran]) if ran else np.nan
        part = [s for s in ran if kept[s]["items"] < SIZES[s]]
        note = f"{most} series of {', '.join(part)}" if part else ""
        if missing := [s for s in sets if s not in ran]:
            note += f"{'; ' if note else ''}without {', '.join(missing)}"
        if swapped := sum(kept[s]["fallbacks"] for s in ran):
            note += f"{'; ' if note else ''}{swapped} series by SeasonalNaive"
        scores = [f"{mean['MASE']:.3f}", f"{mean['WQL']:.3f}", f"{100 * inside:.0f}%"]
        rows.append((mean["MASE"], [f"`{name}`", *scores, note]))
        wide.append((mean["MASE"], [f"`{name}`", *(f"{ratio['MASE'][s]:.2f}" if s in ran else "–" for s in sets)]))
    order = [row for _, row in sorted(rows, key=lambda r: r[0])]
    head = ["forecaster", "MASE", "WQL", "inside 80%", ""]
    by_set = [row for _, row in sorted(wide, key=lambda r: r[0])]
    text = f"{markdown(head, order)}\n\nRelative MASE on every set:\n\n{markdown(['', *sets], by_set)}"
    name, set_name, theirs = PUBLISHED
    if name in models and "MASE" in result_of(name, set_name, None, measured):
        ours = result_of(name, set_name, None, measured)
        text += f"\n\n`{name}` on {set_name}: MASE {ours['MASE']:.3f} ± {ours['MASE_error']:.3f} (standard error over "
        text += f"{ours['items']:,} series); published for all 23,000: {theirs}."
    return text


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """One Markdown table."""
    line = "|" + "|".join("---" if i == 0 else "--:" for i in range(len(head))) + "|"
    return "\n".join(["| " + " | ".join(head) + " |", line, *("| " + " | ".join(row) + " |" for row in rows)])


def main() -> None:
    """Run what is missing and write the table."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    warnings.simplefilter("ignore")  # of the libraries' optimisers; what fell back is counted in the table
    benchmark = list(list_datasets().query("section == 'benchmark'").sort_values("rows").index)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--sets", nargs="+", default=benchmark)
    parser.add_argument("--kept", action="store_true", help="write the table from kept results, measure nothing")
    args = parser.parse_args()
    models = {name: SAMPLED.get(name) for name in args.models}
    for name, most in ({} if args.kept else models).items():
        for set_name in args.sets:
            result_of(name, set_name, most)
    result_of(*PUBLISHED[:2], None, not args.kept)
    if set(args.models) >= set(MODELS) and set(args.sets) >= set(benchmark):
        page = PAGE.read_text()
        before, after = page.partition(BEGIN)[0], page.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n{table(models, benchmark, not args.kept)}\n{END}{after}")
    else:
        print(table(models, args.sets, not args.kept))


if __name__ == "__main__":
    main()
