"""The page of `core_heads`: tables from its results file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PAGE = Path("docs/benchmarks/core_heads.md")
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


def write_page(results: dict[str, Any], findings: str) -> None:
    """Write docs/benchmarks/core_heads.md: the findings, then the tables."""
    lines = [findings.strip(), ""]
    for name, rows in results["fit"].items():
        lines += [f"## {HEADING[name]}", "", f"    python -m tests.benchmarks.core_heads fit {name}", ""]
        lines += [*table("head", {head: rows[head] for head in sorted(rows)}, FIT), ""]
    for name, rows in results.get("steps", {}).items():
        lines += [f"## Steps: {HEADING[name]}", "", f"    python -m tests.benchmarks.core_heads steps {name}", ""]
        lines += [*table("head", {spoken(key): rows[key] for key in sorted(rows, key=order)}, STEPS), ""]
    PAGE.write_text("\n".join(lines))
