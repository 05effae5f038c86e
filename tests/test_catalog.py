"""The catalogue: every card reads, every source gives the long frame its card promises, bad input is named."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import pandas as pd
import pytest

from tsar import catalog
from tsar.catalog import list_datasets, load_dataset

BUNDLED = list_datasets().query("section == 'bundled'").index
needs_data = pytest.mark.skipif(not os.environ.get("TSAR_DATA"), reason="needs the data folder TSAR_DATA")


def check(name: str, facts: pd.Series) -> None:
    frame = load_dataset(name)
    assert frame.attrs["name"] == name
    assert list(frame.columns[:2]) == ["item_id", "timestamp"]
    assert not frame.duplicated(["item_id", "timestamp"]).any()
    if facts["kind"] != "forecasting":
        assert {"label", "split"} <= set(frame.columns)
        return
    assert frame["target"].dtype == float
    assert set(frame.attrs["covariates"]) == set(frame.columns[3:])
    sizes = frame.groupby("item_id").size()
    assert sizes.min() > frame.attrs["horizon"]
    assert pd.isna(facts["rows"]) or facts["rows"] == len(frame)
    assert pd.isna(facts["series"]) or facts["series"] == len(sizes)
    if frame["timestamp"].dtype.kind == "M":
        one = frame.loc[frame["item_id"] == frame["item_id"].iloc[0], "timestamp"]
        full = pd.date_range(one.iloc[0], one.iloc[-1], freq=frame.attrs["freq"])
        assert one.isin(full).all()
        assert one.iloc[0] == full[0]


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_sets(name):
    check(name, list_datasets().loc[name])


@needs_data
@pytest.mark.parametrize("name", list_datasets().query("section in ['benchmark', 'classification']").index)
def test_local_sets(name):
    check(name, list_datasets().loc[name])


def test_known_values():
    assert load_dataset("nile")["target"].iloc[[0, -1]].tolist() == [1120.0, 740.0]
    elnino = load_dataset("elnino").set_index("timestamp")["target"]
    assert elnino["1950-02-01"] == 24.2
    co2 = load_dataset("co2").set_index("timestamp")["target"]
    assert co2["1958-04-01"] == pytest.approx(317.4, abs=0.3)
    assert co2.isna().sum() == 5


def test_labelled_sequences_as_arrays():
    X, y = load_dataset("digits", return_X_y=True)
    assert X.shape == (1797, 8, 8) and X.max() == 1 and set(y) == set(range(10))
    frame = load_dataset("digits")
    np.testing.assert_array_equal(frame.filter(like="channel_").to_numpy()[8:16], X[1])


@needs_data
def test_splits_and_unequal_lengths():
    X, y = load_dataset("JapaneseVowels", split="train", return_X_y=True)
    assert X.shape == (270, 29, 12) and y.shape == (270,)
    assert np.isnan(X).any() and not np.isnan(X[:, :7]).any()
    with pytest.raises(ValueError, match="no split of its own"):
        load_dataset("digits", split="train")


def test_the_list_names_every_card_and_what_is_ready(monkeypatch):
    monkeypatch.delenv("TSAR_DATA", raising=False)
    table = list_datasets()
    assert len(table) == len(list(catalog._folder().glob("*.toml"))) > 80
    assert table.loc[BUNDLED, "ready"].all() and not table.loc["ETTh1", "ready"]
    assert set(list_datasets("classification")["kind"]) == {"classification"}
    assert table["title"].str.len().between(8, 90).all() and (table["licence"].str.len() > 0).all()


@pytest.fixture
def cards(tmp_path, monkeypatch):
    """A catalogue of its own in a temporary folder: `cards(name, text)` adds a card."""
    folder = tmp_path / "cards"
    folder.mkdir()
    monkeypatch.setattr(catalog, "_folder", lambda: folder)
    monkeypatch.setenv("TSAR_DATA", str(tmp_path))
    monkeypatch.setenv("TSAR_CACHE", str(tmp_path / "cache"))
    head = 'title = "A set"\norigin = "here"\nlicence = "none"\nfreq = "MS"\nhorizon = 2\nseason_length = 12\n'
    return lambda name, text: (folder / f"{name}.toml").write_text(head + text)


CSV = b'"Month","Sales"\n"1964-01",2815\n"1964-02",2672\n"1964-03",2755\n'
SHA = hashlib.sha256(CSV).hexdigest()
OBTAIN = f'[obtain]\nitem = "sales"\ncolumns = {{ Month = "timestamp", Sales = "target" }}\nsha256 = "{SHA}"\n'


def test_a_set_by_url(cards, tmp_path, monkeypatch):
    asked = []

    def fetch(url, sha256, path):
        asked.append(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CSV)

    monkeypatch.setattr(catalog.download, "fetch", fetch)
    cards("sales", OBTAIN + 'from = "url"\nurl = "http://somewhere/sales.csv"\n')
    assert not list_datasets().loc["sales", "ready"]
    frame = load_dataset("sales")
    assert asked == ["http://somewhere/sales.csv"] and list_datasets().loc["sales", "ready"]
    assert frame["item_id"].tolist() == ["sales"] * 3 and frame["target"].tolist() == [2815, 2672, 2755]
    assert frame["timestamp"].tolist() == list(pd.date_range("1964-01", periods=3, freq="MS"))


def test_a_damaged_or_absent_local_file_is_named(cards, tmp_path, monkeypatch):
    cards("sales", OBTAIN + 'from = "file"\npath = "sales.csv"\n')
    with pytest.raises(FileNotFoundError, match=r"'sales'.*sales.csv.*its origin is here"):
        load_dataset("sales")
    (tmp_path / "sales.csv").write_bytes(CSV + b'"1964-04",1\n')
    with pytest.raises(ValueError, match=r"'sales'.*has sha256 .* expected"):
        load_dataset("sales")
    (tmp_path / "sales.csv").write_bytes(CSV)
    assert len(load_dataset("sales")) == 3
    monkeypatch.delenv("TSAR_DATA")
    with pytest.raises(FileNotFoundError, match="TSAR_DATA, which is not set"):
        load_dataset("sales")


def test_what_does_not_fit_is_named(cards):
    cards("sales", OBTAIN + 'from = "file"\npath = "sales.csv"\n')
    with pytest.raises(ValueError, match="unknown data set 'sale'.*did you mean 'sales'"):
        load_dataset("sale")
    with pytest.raises(ValueError, match="for forecasting: split"):
        load_dataset("sales", split="train")
    with pytest.raises(ValueError, match="expected one of .*'forecasting'"):
        list_datasets("audio")
    cards("odd", OBTAIN + 'from = "the moon"\n')
    with pytest.raises(ValueError, match="'odd'.*expected obtain.from"):
        load_dataset("odd")
    cards("odd", 'colour = "red"\n' + OBTAIN)
    with pytest.raises(ValueError, match="unknown fields .*colour"):
        load_dataset("odd")
