"""The catalogue: data sets by name, each described by one card in `datasets/`.

A card is a TOML file: what the data are, where they come from, their licence, frequency, horizon and season, and in
`[obtain]` how to get them: from an installed library, from a local file under the folder `TSAR_DATA`, or by URL. Files
are checked against the card's sha256.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd

from tsar import download, sources

KINDS = ("forecasting", "classification", "generation")


@dataclass(frozen=True, kw_only=True)
class Card:
    """What the catalogue knows of a data set; `obtain` says how to get it, the rest is as in `list_datasets`."""

    name: str
    title: str
    origin: str
    licence: str
    obtain: Mapping[str, Any]
    kind: str = "forecasting"
    domain: str = ""
    freq: str | None = None
    horizon: int | None = None
    season_length: int | None = None
    series: int | None = None
    rows: int | None = None
    covariates: tuple[str, ...] = ()
    notes: str = ""
    section: str = field(default="")

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"card {self.name!r}: expected kind one of {KINDS}, found {self.kind!r}")
        if self.obtain.get("from") not in sources.READERS:
            expected = sorted(sources.READERS)
            raise ValueError(f"card {self.name!r}: expected obtain.from one of {expected}, found {self.obtain}")

    @classmethod
    def read(cls, path: Path) -> Card:
        """Read a card; a field it does not know is an error."""
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        if unknown := set(content) - {f.name for f in fields(cls)}:
            raise ValueError(f"{path}: unknown fields {sorted(unknown)}")
        return cls(**{"name": path.stem, **content, "covariates": tuple(content.get("covariates", ()))})


def list_datasets(kind: str | None = None) -> pd.DataFrame:
    """List the catalogue, one row per data set, indexed by name.

    Parameters
    ----------
    kind : {"forecasting", "classification", "generation"}, optional
        Only the sets of this kind.

    Returns
    -------
    DataFrame
        title, kind, section, domain, freq, horizon, season_length, series, rows, licence, and `ready`: whether it
        loads on this machine without a network.

    Raises
    ------
    ValueError
        For an unknown kind.
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind: expected one of {KINDS}, found {kind!r}")
    cards = [card for card in map(Card.read, sorted(_folder().glob("*.toml"))) if kind in (None, card.kind)]
    columns = ["title", "kind", "section", "domain", "freq", "horizon", "season_length", "series", "rows", "licence"]
    frame = pd.DataFrame({c: [getattr(card, c) for card in cards] for c in columns}, index=[c.name for c in cards])
    whole = ["horizon", "season_length", "series", "rows"]
    frame[whole] = frame[whole].astype("Int64")
    return frame.assign(ready=[_ready(card) for card in cards]).rename_axis("name")


def load_dataset(name: str, *, split: str | None = None, return_X_y: bool = False) -> Any:
    """Load a data set of the catalogue.

    Parameters
    ----------
    name : str
        A name of `list_datasets()`.
    split : {"train", "test"}, optional
        For labelled sequences (kinds classification and generation): only this part of the set's own split.
    return_X_y : bool, default False
        For labelled sequences: arrays X [n, length, channels], NaN after the end of a short sequence, and y [n].

    Returns
    -------
    DataFrame or (X, y)
        Long frame: item_id, timestamp (or integer step), target and the card's covariates; labelled sequences have
        label and split, and one column channel_0, channel_1, … where there are several. `.attrs` has name, title, kind,
        freq, horizon, season_length, covariates and licence.

    Raises
    ------
    ValueError
        For an unknown name, a file whose sha256 is not the card's, or arguments that do not fit the kind.
    FileNotFoundError
        If a local set's file is not under `TSAR_DATA`, or a server does not have it.
    ConnectionError
        If a download fails.
    """
    card = _card(name)
    if card.kind == "forecasting" and (split is not None or return_X_y):
        raise ValueError(f"data set {name!r} is for forecasting: split and return_X_y are for labelled sequences")
    if split not in (None, "train", "test"):
        raise ValueError(f"split: expected 'train' or 'test', found {split!r}")
    raw = sources.READERS[card.obtain["from"]](card.name, card.obtain, _file(card))
    if card.kind == "forecasting":
        frame = sources.long_frame(raw, card.obtain, card.freq)
    else:
        if split is not None:
            raw = raw.part(split)
            if not len(raw.X):
                raise ValueError(f"data set {name!r} has no split of its own")
        if return_X_y:
            return raw.arrays()
        frame = raw.to_frame()
    facts = ("name", "title", "kind", "freq", "horizon", "season_length", "licence")
    frame.attrs = {fact: getattr(card, fact) for fact in facts} | {"covariates": list(card.covariates)}
    return frame


def _folder() -> Path:
    installed = Path(__file__).parent / "_cards"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "datasets"


def _card(name: str) -> Card:
    path = _folder() / f"{name}.toml"
    known = [p.stem for p in _folder().glob("*.toml")]
    if not isinstance(name, str) or name not in known:
        near = get_close_matches(str(name), known, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown data set {name!r}: expected one of the {len(known)} of `tsar datasets`{hint}")
    return Card.read(path)


def _local(card: Card) -> Path | None:
    """Where a card's file is or would be on this machine; None for sets that libraries bring."""
    if card.obtain["from"] == "file":
        root = os.environ.get("TSAR_DATA")
        return Path(root, card.obtain["path"]) if root else Path(card.obtain["path"])
    if card.obtain["from"] == "url":
        cache = (
            os.environ.get("TSAR_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "tsar").expanduser()
        )
        return Path(cache, "datasets", card.obtain["sha256"][:12] + "-" + Path(card.obtain["url"]).name)
    return None


def _ready(card: Card) -> bool:
    path = _local(card)
    return path is None or path.is_file()


def _file(card: Card) -> Path | None:
    path = _local(card)
    if path is None:
        return None
    if card.obtain["from"] == "url":
        download.fetch(card.obtain["url"], card.obtain["sha256"], path)
    elif not path.is_file():
        where = f"TSAR_DATA={os.environ['TSAR_DATA']}" if os.environ.get("TSAR_DATA") else "TSAR_DATA, which is not set"
        raise FileNotFoundError(
            f"data set {card.name!r}: expected {card.obtain['path']} in the folder {where}; its origin is {card.origin}"
        )
    if (found := download.file_sha256(path)) != card.obtain["sha256"]:
        raise ValueError(f"data set {card.name!r}: {path} has sha256 {found}, expected {card.obtain['sha256']}")
    return path
