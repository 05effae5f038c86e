"""The page of a comparison: one self-contained html file, readable on a phone, in the dark and on paper."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsar.charts import number, value_range
from tsar.comparison import ALPHA, Comparison
from tsar.files import whole_file
from tsar.report_charts import calibration_chart, cost_chart, forecast_figure
from tsar.scores import METRICS

ABOUT = {
    "MASE": "mean absolute error of the median, in units of the in-sample error of the seasonal naive forecast",
    "WQL": "quantile loss over the nine deciles, weighted by the size of the actuals",
    "MAE": "mean absolute error of the median",
    "RMSE": "root mean squared error of the mean",
    "sMAPE": "symmetric mean absolute percentage error of the median, 0 to 2",
    "RMSSE": "root mean squared error of the mean, in units of the seasonal naive forecast's",
    "CRPS": "continuous ranked probability score: of the deciles, or exact where sample paths were drawn",
    "MSIS": "mean scaled score of the 95% interval: its width, and a penalty for every miss",
    "coverage_80": "share of the actuals inside the 80% interval",
    "coverage_95": "share of the actuals inside the 95% interval",
}


def write(comparison: Comparison, path: Path, items: Sequence[Any] | None = None) -> Path:
    """Write the page in one step; see `Comparison.to_html`."""
    text = page(comparison, items)
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def page(comparison: Comparison, items: Sequence[Any] | None = None) -> str:
    """Return the page's html."""
    table = comparison.to_frame()
    ran = [str(name) for name in table.index if comparison.runs[str(name)].error is None]
    rank = {name: i for i, name in enumerate(ran)}
    pairs = comparison.pairs()
    style = resources.files("tsar").joinpath("report.css").read_text(encoding="utf-8")
    script = resources.files("tsar").joinpath("report.js").read_text(encoding="utf-8")
    title = escape(comparison.title or "Comparison of forecasters")
    chips = "".join(
        f'<button type="button" data-m="{i}" aria-pressed="{str(i == 0).lower()}">'
        f'<span class="swatch c{i % 8}"></span>{escape(name)}</button>'
        for name, i in rank.items()
    )
    chosen = choose_items(comparison, ran[0], items)
    figures = "".join(forecast_figure(comparison, item, rank) for item in chosen)
    first = (
        f"Dots are the MASE over all items and origins, bars its 95% bootstrap interval over {comparison.units}, the "
        f"dashed line is {escape(comparison.baseline)}. Lower is better."
    )
    second = (
        f"The last origin, {_which(len(chosen), ran[0], items)}. Bands hold 80% and 95%, the dashed line is what "
        "happened. Choose whose forecasts stand out:"
    )
    third = (
        "How many actuals fell below each quantile. On the dotted line the quantiles mean what they say; a flatter "
        "line is too sure of itself."
    )
    fourth = "Seconds to fit and predict at all origins, first use included. Lower left is better."
    fifth = (
        "Mean difference in MASE, row minus column: green where the row is better, red where it is worse, grey where "
        f"luck explains it (Diebold-Mariano test, {_observations(pairs)}, Holm's correction over all pairs, 5%)."
    )
    sections = [
        _section("Leaderboard", first, _board(comparison, table)),
        _section(
            "Forecasts against what happened",
            second,
            f'<div class="chips">{chips}</div><div class="many">{figures}</div>',
        ),
        '<div class="pair">',
        _section("Calibration", third, calibration_chart(comparison, rank)),
        _section("Cost against accuracy", fourth, cost_chart(table.loc[ran], rank)),
        "</div>",
        _section("Is the difference more than luck?", fifth, _matrix(ran, pairs)),
        _section("Every score", "Over all items and origins, with 95% bootstrap intervals.", _scores(table.loc[ran])),
    ]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: {comparison.horizon} steps ahead</title><style>{style}</style></head><body><main>
<header><h1>{title}</h1><p class="facts">{_facts(comparison)}</p>
<p class="lead">{_lead(comparison, table, pairs)}</p></header>
{"".join(sections)}
<footer>Made with tsar. {comparison.windows} origins, {comparison.step} apart; {comparison.replications} bootstrap
replications.</footer></main><script>{script}</script></body></html>
"""


def _section(title: str, note: str, body: str) -> str:
    return f'<section><h2>{title}</h2><p class="note">{note}</p>{body}</section>'


def choose_items(comparison: Comparison, best: str, items: Sequence[Any] | None) -> list[Any]:
    """Check the items asked for, or take four from the easiest to the hardest for the best forecaster."""
    there = list(comparison.last.history.ids)
    if items is not None:
        if odd := [item for item in items if item not in there]:
            raise ValueError(f"item {odd[0]!r} was not forecast at the last origin: expected some of {there[:5]} …")
        return list(items)
    scores = comparison.runs[best].scores
    last = scores[(scores["metric"] == "MASE") & (scores["window"] == comparison.last.window)]
    order = last.sort_values("value", kind="stable").iloc[:, 1].tolist()
    return [order[k] for k in sorted({round(q * (len(order) - 1)) for q in (0.1, 0.4, 0.65, 0.9)})]


def _which(count: int, best: str, items: Sequence[Any] | None) -> str:
    if items is not None or count == 1:
        return f"{count} item{'s' if count > 1 else ''}"
    return f"{count} items from easy to hard for {escape(best)}"


def _facts(comparison: Comparison) -> str:
    last = comparison.last
    freq = last.full.freq
    texts = [
        f"{comparison.horizon} step{'s' * (comparison.horizon > 1)} ahead",
        f"{comparison.windows} forecast origin{'s' * (comparison.windows > 1)}",
        f"{len(last.items):,} series",
        f"frequency {freq}" if isinstance(freq, str) else "numbered steps",
        f"season {', '.join(map(str, sorted(set(last.full.season_of().tolist()))[:3]))}",
        f"{int(np.median(last.full.lengths)):,} steps of history (median)",
    ]
    return "".join(f"<span>{escape(text)}</span>" for text in texts)


def _lead(comparison: Comparison, table: pd.DataFrame, pairs: pd.DataFrame) -> str:
    best = str(table.index[0])
    base = comparison.baseline
    row = table.iloc[0]
    if best == base:
        return f"<strong>No forecaster beats {escape(base)}</strong>, which has a MASE of {number(row['MASE'])}."
    gain = 100 * (1 - row["MASE_relative"])
    text = f"<strong>{escape(best)}</strong> is the most accurate: MASE {number(row['MASE'])}, "
    text += f"{gain:.0f}% below {escape(base)}"
    if not row["p_value"] < ALPHA:
        text += ", a difference that luck could explain"
    near = pairs[((pairs["model_a"] == best) | (pairs["model_b"] == best)) & ~(pairs["p_holm"] < ALPHA)]
    names = [escape(b if a == best else a) for a, b in near[["model_a", "model_b"]].values if base not in (a, b)]
    if names:
        listed = ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]
        text += f". It cannot be told from {listed if len(names) <= 4 else f'{len(names)} others'}"
    if weak := [
        str(n) for n, v in table["verdict"].items() if str(v).startswith("not ") and n != best and str(n) not in names
    ]:
        text += f". Not shown to be better than {escape(base)}: {escape(', '.join(weak))}"
    return text + "."


def _board(comparison: Comparison, table: pd.DataFrame) -> str:
    ends = table[["MASE", "MASE_low", "MASE_high"]].to_numpy(float)
    low, high = value_range([ends])
    place = {"from": low, "size": max(high - low, 1e-12)}
    base = _share(table.loc[comparison.baseline, "MASE"], place)
    rows = []
    for i, (name, row) in enumerate(table.iterrows()):
        verdict = str(row["verdict"])
        kind = (
            "good" if verdict.startswith("better") else "poor" if verdict.startswith(("failed", "not better")) else ""
        )
        cells = [
            f'<td class="model"><div class="c{i % 8}"><span class="swatch"></span>'
            f'<span style="color:var(--ink)">{escape(str(name))}</span></div></td>'
        ]
        if comparison.runs[str(name)].error is not None:
            rows.append(
                f'<tr>{cells[0]}<td class="say" colspan="8"><span class="badge poor">{escape(verdict)}</span></td></tr>'
            )
            continue
        at, left, right = (_share(row[c], place) for c in ("MASE", "MASE_low", "MASE_high"))
        bar = "" if np.isnan(left) else f'<i style="left:{left:.1f}%;width:{right - left:.1f}%"></i>'
        dot = "" if np.isnan(at) else f'<b style="left:{at:.1f}%"></b>'
        cells.append(
            f'<td class="span"><div class="track c{i % 8}"><u style="left:{base:.1f}%"></u>{bar}{dot}</div></td>'
        )
        interval = (
            "" if np.isnan(left) else f"<br><small>{number(row['MASE_low'])} – {number(row['MASE_high'])}</small>"
        )
        memory = f"{row['peak_mb']:.0f} MB" if row["peak_mb"] >= 1 else "< 1 MB"
        values = {
            "MASE": f"<strong>{number(row['MASE'])}</strong>{interval}",
            "WQL": number(row["WQL"]),
            "in 80%": f"{100 * row['coverage_80']:.0f}%",
            "fit": _seconds(row["fit_seconds"]),
            "predict": _seconds(row["predict_seconds"]),
            "memory, engine": f"{memory}<br><small>{escape(str(row['engine']))}</small>",
        }
        cells += [f'<td data-label="{label}">{value}</td>' for label, value in values.items()]
        more = f"<br><small>{row['fallbacks']} fallbacks</small>" if row["fallbacks"] else ""
        cells.append(f'<td class="say"><span class="badge {kind}">{escape(verdict)}</span>{more}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    heads = ["", "", "MASE", "WQL", "in 80%", "fit", "predict", "memory, engine", ""]
    head = "".join(f"<th>{h}</th>" for h in heads)
    return f'<table class="board"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _share(value: float, place: dict[str, float]) -> float:
    return 100 * (value - place["from"]) / place["size"]


def _seconds(value: float) -> str:
    if value == 0:
        return "–"
    return f"{1000 * value:.0f} ms" if value < 0.1 else f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def _matrix(ran: list[str], pairs: pd.DataFrame) -> str:
    found = {(a, b): (d, p) for a, b, d, p in pairs[["model_a", "model_b", "difference", "p_holm"]].values}
    found |= {(b, a): (-d, p) for (a, b), (d, p) in found.items()}
    rows = []
    for a in ran:
        cells = []
        for b in ran:
            if a == b:
                cells.append('<td class="self"></td>')
                continue
            difference, p = found[a, b]
            kind = "" if not p < ALPHA else "good" if difference < 0 else "poor"
            told = "too few to test" if np.isnan(p) else f"p = {p:.2g}"
            sign = "−" if difference < 0 else "+"
            cells.append(
                f'<td class="{kind}" title="{told}">{sign}{number(abs(difference))}<br><small>{told}</small></td>'
            )
        rows.append(f"<tr><th>{escape(a)}</th>{''.join(cells)}</tr>")
    head = "".join(f"<th>{escape(name)}</th>" for name in ran)
    body = f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="scroll"><table class="matrix">{body}</table></div>'


def _observations(pairs: pd.DataFrame) -> str:
    most = int(pairs["observations"].max()) if len(pairs) else 0
    return f"{most} observation{'s' if most != 1 else ''}"


def _scores(table: pd.DataFrame) -> str:
    head = "<th></th>" + "".join(f"<th>{m.replace('_', ' ')}</th>" for m in METRICS)
    rows = []
    for name, row in table.iterrows():
        cells = "".join(
            f"<td>{number(row[m])}<br><small>{number(row[f'{m}_low'])} – {number(row[f'{m}_high'])}</small></td>"
            for m in METRICS
        )
        rows.append(f'<tr><td class="model">{escape(str(name))}</td>{cells}</tr>')
    body = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    meaning = f"<details><summary>What the scores mean</summary><dl>{_glossary()}</dl></details>"
    return f'<div class="scroll">{body}</div>{meaning}'


def _glossary() -> str:
    return "".join(f"<dt>{name.replace('_', ' ')}</dt><dd>{escape(text)}</dd>" for name, text in ABOUT.items())
