"""Tables in and out of files, for the command line: csv and parquet by their suffix."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

TABLES = (".csv", ".csv.gz", ".parquet")


def is_table(name: str) -> bool:
    """Whether a name looks like a file with a table, and not like a data set's name."""
    return name.lower().endswith(TABLES) or os.sep in name


def read_table_file(path: Path) -> pd.DataFrame:
    """Read a csv (comma, semicolon or tab) or parquet file.

    In a wide table, one without a target column, a first column of dates becomes the index.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is empty, not readable, or of another kind; the file is named.
    ImportError
        For parquet without the extra `tsar[parquet]`.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        if path.name.lower().endswith(".parquet"):
            frame = pd.read_parquet(path)
        elif path.name.lower().endswith((".csv", ".csv.gz")):
            frame = _read_csv(path)
        else:
            raise ValueError(f"expected a file that ends in one of {', '.join(TABLES)}")
    except (ValueError, pd.errors.ParserError, UnicodeDecodeError) as error:  # EmptyDataError is a ValueError
        raise ValueError(f"{path}: {error}") from None
    except ImportError as error:
        raise ImportError(f"{path}: parquet needs the extra tsar[parquet] ({error})") from None
    except OSError as error:  # pyarrow's errors for foreign files derive from it or from ValueError
        raise ValueError(f"{path}: not readable ({error})") from None
    if not len(frame):
        raise ValueError(f"{path}: expected rows, found none")
    return frame if {"target", "y"} & set(frame.columns) else _dates_to_index(frame)


def write_table_file(frame: pd.DataFrame, path: Path) -> None:
    """Write a csv or parquet file, whole or not at all."""
    if not path.name.lower().endswith(TABLES):
        raise ValueError(f"{path}: expected a file that ends in one of {', '.join(TABLES)}")
    with whole_file(path) as part:
        if path.name.lower().endswith(".parquet"):
            frame.to_parquet(part, index=False)
        else:
            frame.to_csv(part, index=False)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to that takes the place of `path` at the end: an error leaves what was there before."""
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: expected a file or a new name, found something else")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".part-{path.name}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _read_csv(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(path)
    for separator in (";", "\t"):
        if frame.shape[1] == 1 and separator in str(frame.columns[0]):
            frame = pd.read_csv(path, sep=separator, decimal="," if separator == ";" else ".")
    return frame


def _dates_to_index(frame: pd.DataFrame) -> pd.DataFrame:
    first = frame.columns[0]
    if frame.shape[1] < 2 or pd.api.types.is_numeric_dtype(frame[first]) or first in ("item_id", "unique_id"):
        return frame
    dates = pd.to_datetime(frame[first], errors="coerce")
    return frame if dates.isna().any() else frame.drop(columns=first).set_index(pd.DatetimeIndex(dates))
