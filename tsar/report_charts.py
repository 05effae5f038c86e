"""The charts of a comparison's page. `rank` gives a forecaster's place, which is also its colour; place 0 stands out.

Shapes: H horizon.
"""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import pandas as pd

from tsar.charts import Chart, number, value_range
from tsar.comparison import Comparison
from tsar.scores import LEVELS


def forecast_figure(comparison: Comparison, item: Any, rank: dict[str, int]) -> str:
    """Draw one item at the last origin: history, what happened, every median, and the intervals of one forecaster."""
    last = comparison.last
    i = int(np.flatnonzero(last.history.ids == item)[0])
    context = max(40, 3 * comparison.horizon)
    past = last.full.take([i]).last(context)
    times_H = past.future_times(comparison.horizon)[0]
    marks, ranges = [], [past.values, last.y_NH[i]]
    for name, k in rank.items():
        forecast = comparison.runs[name].last
        assert forecast is not None, "a run without an error has a forecast"
        if not (forecast.ids == item).any():
            continue
        one = forecast.take(np.flatnonzero(forecast.ids == item))
        quantile = {q: one.quantile(q)[0] for q in (0.025, 0.1, 0.5, 0.9, 0.975)}
        marks.append((k, quantile))
        ranges += list(quantile.values()) if k == 0 else [quantile[0.5]]
    chart = Chart([past.times[0], times_H[-1]], value_range(ranges), title=f"Forecasts of {item}")
    chart.vertical(past.times[-1], "origin")
    for k, quantile in marks:
        on = "on" if k == 0 else ""
        chart.band(times_H, quantile[0.025], quantile[0.975], f"b95 m m{k} c{k % 8} {on}")
        chart.band(times_H, quantile[0.1], quantile[0.9], f"b80 m m{k} c{k % 8} {on}")
    chart.line(past.times, past.values, "past")
    for k, quantile in sorted(marks, key=lambda mark: -mark[0]):
        chart.line(times_H, quantile[0.5], f"m m{k} c{k % 8} {'on' if k == 0 else ''}")
    chart.line(times_H, last.y_NH[i], "truth")
    best = next(iter(rank))
    scores = comparison.runs[best].scores
    here = scores[(scores["metric"] == "MASE") & (scores["window"] == last.window)]
    mase = here.loc[here.iloc[:, 1] == item, "value"]
    caption = escape(f"{best}: MASE {number(float(mase.iloc[0]))}") if len(mase) else ""
    return f"<figure><figcaption><h3>{escape(str(item))}</h3><span>{caption}</span></figcaption>{chart.svg()}</figure>"


def calibration_chart(comparison: Comparison, rank: dict[str, int]) -> str:
    """Draw the share of actuals below each quantile against its level, a line per forecaster."""
    shares = comparison.calibration()
    chart = Chart([0, 1], [0, 1], height=320, title="Calibration of the quantiles")
    chart.line([0, 1], [0, 1], "right")
    for name, k in sorted(rank.items(), key=lambda pair: -pair[1]):
        css = f"m m{k} c{k % 8} {'on' if k == 0 else ''}"
        chart.line(LEVELS, shares[name], css)
        chart.dots(LEVELS, shares[name], css)
    return chart.svg(x_label="quantile level")


def cost_chart(table: pd.DataFrame, rank: dict[str, int]) -> str:
    """Draw seconds against MASE, a dot per forecaster."""
    seconds = np.maximum((table["fit_seconds"] + table["predict_seconds"]).to_numpy(), 1e-6)
    low, high = np.floor(np.log10(seconds.min())), np.ceil(np.log10(seconds.max()))
    ends = [10.0**low, 10.0 ** max(high, low + 1)]
    chart = Chart(
        ends, value_range([table["MASE"].to_numpy()], 0.15), height=320, log_x=True, title="Cost against accuracy"
    )
    css = [f"c{rank[str(name)] % 8}" for name in table.index]
    for x, y, one in zip(seconds, table["MASE"], css, strict=True):
        chart.dots([x], [y], one, radius=6)
    chart.labels(list(seconds), table["MASE"].tolist(), [str(n) for n in table.index], css)
    return chart.svg(x_label="time (log scale)", y_label="MASE")
