"""The page of `core_heads`: tables from its results file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PAGE = Path("docs/benchmarks/core_heads.md")
METHOD = """# Heads on one core

One small core under every head: a causal decoder of patches (16 steps; 8 for the pulses), context 256, width 64, 2
layers, 400 steps of 16 windows at a rate of 2e-3, weights averaged. Data in units of the training part's deviation;
rolling origins over the test part.

* **CRPS**, **energy score** (of whole paths, over the root of the horizon): from 100 paths.
* **80%**, **95% covers**: of the intervals that `predict` answers. **80% of the sum covers**: of the sum over the
  horizon, from the paths; too low where a head loses the dependence between steps.
* **nats per value**: exact log density of the next token over the test part, in the tokens' own scale.
* **in a mode**: share of drawn first pulses that lie near one of the two possible ones.
* **s per 100 paths**: processor seconds a series, over the horizon, core included, one thread of a busy machine.

Few forecasts (20 to 24 a set) of strongly dependent steps: differences of a few percent in CRPS and of 0.05 in
coverage are noise.
"""
FOUND = """What the tables say:

* On ETTh1 and exchange_rate the heads that describe each value by itself have the lowest CRPS (`bins`, `student_t`,
  `quantile`), at a quarter to a half of the cost. With 400 steps of training `flow`, `normalizing_flow` and
  `mixture` are 5 to 30% behind: they learn a joint density of 16 values, for which so many steps are few.
* `point` has no spread: its CRPS is its absolute error, over a third above the best.
* On the pulses `mixture`, `arinar`, `normalizing_flow` and `flow` draw tokens of one mode or the other, and `flow`
  has the lowest CRPS and energy score. `quantile` learns the two modes of each value, but a chain cannot tie eight
  signs together: one pulse in nine is whole, sums are too narrow, and its likelihood is 0.4 nats per value below the
  mixture's. `diffusion` is less sharp than `flow` after the same training.
* Paths keep the dependence over the horizon on real data: 80% intervals of the sum over 96 steps cover 0.75 to 0.86
  for the three marginal heads with their learned chain. `mixture` and `normalizing_flow` are too wide there (as is
  `flow` on ETTh1).
* The answered 80% intervals are too wide on real data (0.85 to 0.97), while single patches of ETTh1 after another
  small encoder, not in these tables, were covered 0.80 by `quantile`, `student_t` and `bins`: much of the width comes
  with the roll-out of quantiles.
* `quantile` has thin tails: a few jumps of exchange_rate cost it 1.5 nats per value against `student_t`, while its
  CRPS is as good.
* Steps: 4 of Heun or midpoint are as good as 8, and Euler needs 8; `shortcut` is at one step where Euler is at four.
  `diffusion` stays behind `flow` whatever the steps: midpoint is level from 4, ancestral sampling is best at 8.
"""
FIT = {  # column, key, format
    "CRPS": ("crps", ".3f"),
    "energy score": ("energy", ".3f"),
    "MSE of the mean": ("mse", ".3f"),
    "80% covers": ("cover80", ".2f"),
    "95% covers": ("cover95", ".2f"),
    "80% of the sum covers": ("sum80", ".2f"),
    "nats per value": ("likelihood", ".3f"),
    "in a mode": ("in_modes", ".2f"),
    "s per 100 paths": ("seconds", ".3f"),
    "fit, ms a step": ("fit_ms", ".0f"),
    "head's parameters": ("parameters", ",d"),
}
STEPS = {key: FIT[key] for key in ("CRPS", "energy score", "80% of the sum covers", "in a mode", "s per 100 paths")}
HEADING = {
    "bimodal": "Bimodal pulses, horizon 32",
    "ETTh1": "ETTh1, horizon 96",
    "exchange_rate": "exchange_rate, horizon 96",
}


def table(first: str, rows: dict[str, dict[str, Any]], columns: dict[str, tuple[str, str]]) -> list[str]:
    """Lines of a markdown table; columns that no row has are left out."""
    kept = {name: column for name, column in columns.items() if any(column[0] in row for row in rows.values())}
    lines = [f"| {first} | " + " | ".join(kept) + " |", "|---" + "|---:" * len(kept) + "|"]
    for name, row in rows.items():
        cells = [format(row[key], style) if row.get(key) is not None else "" for key, style in kept.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def spoken(key: str) -> str:
    """A row of the steps' table in words: 'flow {"solver": "heun", "steps": 8}' gives 'flow, heun, 8 steps'."""
    head, options = key.split(" ", 1)
    given = json.loads(options)
    kind = {None: "", 0.0: ", midpoint", 1.0: ", ancestral"}[given.get("eta")]
    return f"{head}{', ' + given['solver'] if 'solver' in given else ''}{kind}, {given['steps']} steps"


def order(key: str) -> tuple[str, str, int]:
    """Sort the steps' rows by head, sampler and steps."""
    given = json.loads(key.split(" ", 1)[1])
    return key.split(" ", 1)[0], str(given.get("solver", given.get("eta"))), given["steps"]


def write_page(results: dict[str, Any]) -> None:
    """Write docs/benchmarks/core_heads.md: what was found, then the tables."""
    lines = [METHOD, FOUND]
    for name, rows in results["fit"].items():
        lines += [f"## {HEADING[name]}", "", f"    python -m tests.benchmarks.core_heads fit {name}", ""]
        lines += [*table("head", {head: rows[head] for head in sorted(rows)}, FIT), ""]
    for name, rows in results.get("steps", {}).items():
        lines += [f"## Steps: {HEADING[name]}", "", f"    python -m tests.benchmarks.core_heads steps {name}", ""]
        lines += [*table("head", {spoken(key): rows[key] for key in sorted(rows, key=order)}, STEPS), ""]
    PAGE.write_text("\n".join(lines))
