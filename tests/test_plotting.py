"""Pictures draw the forecast's numbers and leave matplotlib's global state alone."""

from __future__ import annotations

import numpy as np
import pytest

from tsar.catalog import load_dataset
from tsar.comparison import compare
from tsar.forecasters.naive import Drift, Naive

pyplot = pytest.importorskip("matplotlib.pyplot")


def test_forecasts_behind_their_history():
    df = load_dataset("macrodata")
    forecast = Drift().fit(df).predict(8)
    figure = forecast.plot(df, items=["cpi", "m1"], truth=df, context=20, title="two")
    axes = [a for a in figure.axes if a.get_visible()]
    assert [a.get_title(loc="left") for a in axes] == ["cpi", "m1"]
    lines = {line.get_label(): line.get_ydata() for line in axes[1].lines}
    m1 = df.query("item_id == 'm1'")["target"].to_numpy()
    np.testing.assert_array_equal(lines["history"], m1[-20:])
    np.testing.assert_array_equal(lines["median"], forecast.quantile(0.5)[list(forecast.ids).index("m1")])
    assert {c.get_label() for c in axes[1].collections} == {"80% interval", "40% interval"}
    assert pyplot.get_fignums() == []


def test_levels_without_pairs_and_unknown_items():
    df = load_dataset("nile")
    assert Naive().fit(df).predict(3, levels=[0.5]).plot().axes[0].lines[0].get_label() == "median"
    assert len(Naive().fit(df).predict(3, levels=[0.7, 0.9]).plot(df).axes[0].lines) == 2
    with pytest.raises(ValueError, match="'x' was not forecast"):
        Naive().fit(df).predict(3).plot(df, items=["x"])


def test_a_comparison_on_one_sheet(tmp_path):
    figure = compare([Naive(), Drift()], load_dataset("macrodata"), windows=2).plot()
    board = figure.axes[0]
    assert [t.get_text() for t in board.get_yticklabels()][-1] == "Drift"
    figure.savefig(tmp_path / "c.png", dpi=50)
    assert (tmp_path / "c.png").stat().st_size > 5000
