"""The page is whole, self-contained and says what the comparison found; charts draw what they are given."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from tsar.catalog import load_dataset
from tsar.charts import Chart, _calendar_ticks, _number_ticks, number
from tsar.comparison import compare
from tsar.forecasters.naive import Drift, Naive
from tsar.report import choose_items

VOID = {"meta", "br", "path", "circle"}


class Reader(HTMLParser):
    """Checks that tags close in order and keeps the text and what is referred to."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.refers = [], [], []

    def handle_starttag(self, tag, attrs):
        self.refers += [v for k, v in attrs if k in ("src", "href", "xlink:href", "srcset") or v and "url(" in v]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def comparison():
    df = load_dataset("macrodata").replace({"item_id": {"cpi": "<b>cpi</b> & co"}})
    return compare({"Naive": Naive(), "Drift <i>": Drift()}, df, windows=2)


def test_the_page_is_self_contained_and_escaped(comparison, tmp_path):
    path = comparison.to_html(tmp_path / "new" / "report.html", items=["<b>cpi</b> & co", "m1"])
    page, reader = path.read_text(), Reader()
    reader.feed(page)
    assert reader.open == [] and reader.refers == []
    assert "http" not in re.sub(r"https?://www\.w3\.org", "", page) and "@import" not in page
    text = " ".join(reader.text)
    for said in (
        "Drift <i>",
        "SeasonalNaive",
        "<b>cpi</b> & co",
        "the baseline",
        "Calibration",
        "Cost against accuracy",
    ):
        assert said in text
    assert page.count("<figure>") == 2 and "<b>cpi" not in page
    assert "prefers-color-scheme: dark" in page and 'name="viewport"' in page
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_the_numbers_are_those_of_the_table(comparison, tmp_path):
    page = comparison.to_html(tmp_path / "r.html").read_text()
    for _, row in comparison.to_frame().iterrows():
        assert f"<strong>{number(row['MASE'])}</strong>" in page and row["verdict"] in page
    assert len(comparison.last.items) == 12 and len(choose_items(comparison, "Naive", None)) == 4


def test_a_failed_forecaster_and_an_unknown_item_are_told(tmp_path):
    class Failing(Naive):
        def _fit(self, panel):
            raise ValueError("no & never")

    page = compare([Failing(), Drift()], load_dataset("nile"), windows=2).to_html(tmp_path / "r.html").read_text()
    assert "failed: ValueError: no &amp; never" in page
    with pytest.raises(ValueError, match="'x' was not forecast"):
        compare(Naive(), load_dataset("nile"), windows=2).to_html(tmp_path / "r.html", items=["x"])


def test_a_line_breaks_at_gaps_and_passes_through_its_points():
    chart = Chart([0, 10], [0, 1])
    chart.line([0, 5, 6, 10], [0, 1, np.nan, 1], "a")
    path = re.search(r'class="line a" d="([^"]+)"', chart.svg())[1]
    assert path == "M46.0 240.0L253.0 18.0M460.0 18.0"


@pytest.mark.parametrize("span", ["3h", "2D", "20D", "90D", "700D", "5000D", "100000D"])
def test_calendar_ticks_are_few_inside_and_round(span):
    start = pd.Timestamp("1700-03-05 07:10")
    end = start + pd.Timedelta(span)
    ticks = _calendar_ticks(float(start.value), float(end.value))
    times = [pd.Timestamp(int(value)) for value, _ in ticks]
    assert 1 <= len(ticks) <= 8 and all(start <= t <= end for t in times)
    assert all(t.minute % 5 == 0 for t in times)
    dates = [text for _, text in ticks if ":" not in text]
    assert len(set(dates)) == len(dates)


def test_number_ticks_and_numbers():
    assert [t for _, t in _number_ticks(-0.3, 1.0, 5)] == ["−0.25", "0.00", "0.25", "0.50", "0.75", "1.00"]
    assert [t for _, t in _number_ticks(0, 40_000, 4)] == ["0k", "10k", "20k", "30k", "40k"]
    assert [number(v) for v in (0, 0.123456, 1.7, 145, 12345, 3.2e7, np.nan)] == [
        "0",
        "0.123",
        "1.70",
        "145",
        "12.3k",
        "32.0M",
        "–",
    ]
