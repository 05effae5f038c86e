"""Pictures with matplotlib: a forecast behind its history, and a comparison on one sheet.

Figures are free of pyplot's global list, so nothing piles up: show one in a notebook, or `figure.savefig("a.png")`.

Shapes: N items, H horizon.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsar.forecast import Forecast
from tsar.panel import Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tsar.comparison import Comparison

INK, GRID, TRUTH = "#1f2933", "#e4e7eb", "#1f2933"
PALETTE = ("#2563eb", "#d9480f", "#0b7a5b", "#8b5cf6", "#b7791f", "#c0266b", "#0e7490", "#6b7280")


def plot(
    forecast: Forecast,
    history: Any = None,
    *,
    items: Sequence[Any] | None = None,
    truth: Any = None,
    context: int | None = None,
    title: str | None = None,
) -> Figure:
    """Draw forecasts: the history, the median, and the outer and a middle interval, one panel per item.

    Parameters
    ----------
    forecast : Forecast
    history : any input that `Panel.of` reads, optional
        What came before.
    items : sequence of item ids, default the first nine
    truth : any input that `Panel.of` reads, optional
        What happened.
    context : int, steps of history to draw
        Default: four times the horizon, at least 60.
    title : str, optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        Without matplotlib, which is the extra `tsar[plot]`.
    ValueError
        For an item that was not forecast.
    """
    place = {item: i for i, item in enumerate(forecast.ids)}
    chosen = list(forecast.ids[:9]) if items is None else list(items)
    if odd := [item for item in chosen if item not in place]:
        raise ValueError(f"item {odd[0]!r} was not forecast: expected some of {list(forecast.ids[:5])} …")
    context = max(60, 4 * forecast.horizon) if context is None else context
    columns = min(3, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = _figure(5.2 * columns + (2.6 if columns == 1 else 0), 2.9 * rows + 0.5)
    grid = figure.subplots(rows, columns, squeeze=False)
    before = None if history is None else Panel.of(history)
    after = None if truth is None else Panel.of(truth)
    for axes, item in zip(grid.flat, chosen, strict=False):
        i = place[item]
        if before is not None:
            axes.plot(*_tail(before, item, context), color=INK, lw=1.1, label="history")
        draw_forecast(axes, forecast, i, PALETTE[0], "median")
        if after is not None:
            axes.plot(
                *_tail(after, item, forecast.horizon), color=TRUTH, lw=1.3, ls=(0, (2, 1.5)), label="what happened"
            )
        _style(axes, "" if len(forecast) == 1 and not _named(item) else str(item))
    for axes in grid.flat[len(chosen) :]:
        axes.set_visible(False)
    grid.flat[0].legend(frameon=False, fontsize=8, loc="upper left")
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    return figure


def draw_forecast(axes: Axes, forecast: Forecast, i: int, colour: str, label: str, *, fan: bool = True) -> None:
    """Draw the median of item `i`, on top of its outermost interval and the one nearest to 50%."""
    times = forecast.times[i]
    levels = forecast.levels
    if fan and len(levels) >= 2:
        outer = levels[-1] - levels[0]
        spans = {
            outer: 0.14,
            min((b - a for a, b in zip(levels, levels[::-1], strict=True) if b > a), key=_to_half): 0.22,
        }
        for span, shade in spans.items():
            k = next(k for k in range(len(levels) // 2) if np.isclose(levels[-1 - k] - levels[k], span))
            low, high = forecast.quantiles_NHQ[i, :, k], forecast.quantiles_NHQ[i, :, -1 - k]
            name = f"{100 * span:.0f}% interval"
            axes.fill_between(times, low, high, color=colour, alpha=shade, lw=0, label=name)
    middle = forecast.quantile(0.5)[i] if levels and levels[0] <= 0.5 <= levels[-1] else forecast.mean_NH[i]
    axes.plot(times, middle, color=colour, lw=1.6, label=label)


def plot_comparison(comparison: Comparison) -> Figure:
    """Draw a comparison on one sheet: leaderboard, one item's forecasts, calibration, cost against accuracy."""
    table = comparison.to_frame().loc[lambda t: [comparison.runs[name].error is None for name in t.index]]
    colour = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(table.index)}
    figure = _figure(12, 8.2)
    (board, lines), (calibration, cost) = figure.subplots(2, 2)
    for y, (name, row) in enumerate(table[::-1].iterrows()):
        board.plot(
            [row["MASE_low"], row["MASE_high"]], [y, y], color=colour[name], lw=5, alpha=0.3, solid_capstyle="round"
        )
        board.plot(row["MASE"], y, "o", color=colour[name], ms=7)
    board.set_yticks(range(len(table)), table.index[::-1])
    board.axvline(table.loc[comparison.baseline, "MASE"], color=INK, lw=0.8, ls=":")
    _style(board, f"MASE with 95% interval over {comparison.units} (lower is better)")
    item = comparison.last.history.ids[0]
    lines.plot(*_tail(comparison.last.full, item, max(60, 3 * comparison.horizon)), color=INK, lw=1.1)
    for name in table.index[:3]:
        forecast = comparison.runs[name].last
        assert forecast is not None, "a run without an error has a forecast"
        i = int(np.flatnonzero(forecast.ids == item)[0])
        draw_forecast(lines, forecast, i, colour[name], name, fan=name == table.index[0])
    ahead = comparison.last.history.future_times(comparison.horizon)[0]
    lines.plot(ahead, comparison.last.y_NH[0], color=TRUTH, lw=1.3, ls=(0, (2, 1.5)), label="what happened")
    lines.legend(frameon=False, fontsize=8, loc="upper left")
    _style(lines, f"{item}: the last origin")
    calibration.plot([0, 1], [0, 1], color=INK, lw=0.8, ls=":")
    for name, shares in comparison.calibration()[list(table.index)].items():
        calibration.plot(shares.index, shares, "o-", color=colour[name], ms=3, lw=1.2, label=name)
    calibration.set(xlabel="quantile level", ylabel="share of actuals below", xlim=(0, 1), ylim=(0, 1))
    calibration.legend(frameon=False, fontsize=8, loc="upper left")
    _style(calibration, "Calibration: on the dotted line is right")
    for name, row in table.iterrows():
        seconds = max(row["fit_seconds"] + row["predict_seconds"], 1e-4)
        cost.plot(seconds, row["MASE"], "o", color=colour[name], ms=8)
        cost.annotate(
            str(name), (seconds, row["MASE"]), xytext=(7, 3), textcoords="offset points", fontsize=8, color=INK
        )
    spent = table["fit_seconds"] + table["predict_seconds"]
    cost.set(
        xscale="log" if spent.max() > 5 * spent.min() else "linear",
        xlabel="seconds, fit and predict over all origins",
        ylabel="MASE",
    )
    cost.margins(x=0.25, y=0.15)
    _style(cost, "Cost against accuracy: lower left is better")
    head = f"{comparison.title or 'Comparison'}: {comparison.horizon} steps ahead, {comparison.windows} origins"
    figure.suptitle(head, x=0.01, ha="left", fontsize=13, fontweight="bold", color=INK)
    return figure


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(f"pictures need matplotlib: expected the extra tsar[plot] ({error})") from None
    figure = pyplot.figure(figsize=(width, height), layout="constrained")
    pyplot.close(figure)
    return figure


def _style(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#9aa5b1")
    axes.grid(color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors="#52606d", labelsize=8)


def _tail(panel: Panel, item: Any, steps: int) -> tuple[np.ndarray, np.ndarray]:
    place = np.flatnonzero(panel.ids == item)
    if not len(place) and len(panel) == 1 and not panel.has_id:
        place = np.array([0])
    if not len(place):
        raise ValueError(f"item {item!r} is not in the data to draw: expected one of {list(panel.ids[:5])} …")
    one = panel.take(place).last(steps)
    return one.times, one.values


def _to_half(span: float) -> float:
    return abs(span - 0.5)


def _named(item: Any) -> bool:
    return isinstance(item, str) or not pd.isna(item) and item != 0
