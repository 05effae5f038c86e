"""Where data sets come from: readers of installed libraries and files, and the long frame that is made of them.

Shapes: n sequences, L time, C channels.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

LONG = ["item_id", "timestamp", "target"]


@dataclass(frozen=True)
class Sequences:
    """Labelled sequences X, a list of n arrays [L, C], with their labels and the set's own split."""

    X: list[np.ndarray]
    y: np.ndarray
    split: np.ndarray
    longest: int

    def part(self, split: str) -> Sequences:
        """Only the sequences of one split."""
        keep = np.flatnonzero(self.split == split)
        return Sequences([self.X[i] for i in keep], self.y[keep], self.split[keep], self.longest)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """X as one array [n, L, C], NaN after an end before the set's longest, and y [n]."""
        X_nLC = np.full((len(self.X), self.longest, self.X[0].shape[1]), np.nan)
        for i, x_LC in enumerate(self.X):
            X_nLC[i, : len(x_LC)] = x_LC
        return X_nLC, self.y

    def to_frame(self) -> pd.DataFrame:
        """Long frame: item_id, timestamp (a step), target or channel_0, channel_1, …, label, split."""
        lengths = [len(x_LC) for x_LC in self.X]
        count: dict[str, int] = {}
        ids = []
        for part in self.split:
            ids.append(f"{part}-{count.setdefault(part, 0)}")
            count[part] += 1
        frame = pd.DataFrame({"item_id": np.repeat(np.array(ids, object), lengths)})
        frame["timestamp"] = np.concatenate([np.arange(n) for n in lengths])
        values = np.concatenate(self.X)
        for c in range(values.shape[1]):
            frame["target" if values.shape[1] == 1 else f"channel_{c}"] = values[:, c]
        return frame.assign(label=np.repeat(self.y, lengths), split=np.repeat(self.split.astype(object), lengths))


def _statsmodels(name: str, obtain: Mapping[str, Any], path: Path | None) -> pd.DataFrame:
    return importlib.import_module(f"statsmodels.datasets.{obtain['module']}.data").load_pandas().data


def _sklearn(name: str, obtain: Mapping[str, Any], path: Path | None) -> Sequences:
    bunch = getattr(importlib.import_module("sklearn.datasets"), obtain["loader"])()
    images = bunch.images / obtain["divide_by"]
    return Sequences(list(images), bunch.target, np.full(len(images), "all"), images.shape[1])


def _file(name: str, obtain: Mapping[str, Any], path: Path | None) -> Any:
    assert path is not None, "the catalogue gives readers of files a path"
    if path.suffix == ".csv":
        return pd.read_csv(path)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return _ucr(arrays) if "X_train" in arrays else _recordings(arrays, obtain["divide_by"])
    try:
        return pd.read_parquet(path)
    except ImportError as error:
        raise ImportError(f"data set {name!r} is a parquet file: expected the extra tsar[parquet] ({error})") from None


def _ucr(arrays: Mapping[str, np.ndarray]) -> Sequences:
    X, y, split = [], [], []
    for part in ("train", "test"):
        for x_CL, length in zip(arrays[f"X_{part}"], arrays[f"length_{part}"], strict=True):
            X.append(x_CL[:, :length].T.astype(float))
        y.append(arrays[f"y_{part}"])
        split.append(np.full(len(y[-1]), part))
    return Sequences(X, np.concatenate(y), np.concatenate(split), arrays["X_train"].shape[2])


def _recordings(arrays: Mapping[str, np.ndarray], divide_by: float) -> Sequences:
    X = np.split(arrays["values"][:, None] / divide_by, arrays["offsets"][1:-1])
    split = np.where(arrays["test"], "test", "train")
    return Sequences(X, arrays["label"], split, int(np.diff(arrays["offsets"]).max()))


Reader = Callable[[str, Mapping[str, Any], "Path | None"], Any]
READERS: dict[str, Reader] = {"statsmodels": _statsmodels, "sklearn": _sklearn, "file": _file, "url": _file}


def long_frame(raw: pd.DataFrame, obtain: Mapping[str, Any], freq: str | None) -> pd.DataFrame:
    """Bring a source's table into long form, as its card says.

    `layout` is "long" (columns named by `columns`), "columns" (one series per column of `targets`), "calendar" (a row
    per year, a column per month) or "rows" (a series per row, a column per year; those with fewer than
    `min_observed` values are left out). `start` dates tables without dates;
    `resample` averages to a longer frequency.
    """
    layout = obtain.get("layout", "long")
    if layout == "long":
        frame = raw.rename(columns=obtain["columns"])
        frame = frame[LONG + [c for c in frame.columns if c not in LONG]] if "item_id" in frame else frame
        if "item_id" not in frame:
            frame.insert(0, "item_id", obtain["item"])
        if isinstance(frame["item_id"].dtype, pd.CategoricalDtype):  # unused categories surprise in groupby
            frame["item_id"] = frame["item_id"].astype(object)
        if frame["timestamp"].dtype == object:
            frame["timestamp"] = pd.to_datetime(frame["timestamp"])
        elif obtain.get("years"):
            frame["timestamp"] = pd.to_datetime(frame["timestamp"].astype(int).astype(str), format="%Y")
        elif frame["timestamp"].dtype.kind in "iu":
            frame["timestamp"] = frame["timestamp"].astype("int64")
        return frame.astype({"target": float})
    if layout == "calendar":
        wide = pd.DataFrame({obtain["item"]: raw.iloc[:, 1:].to_numpy(float).ravel()})
    elif layout == "rows":
        years = [c for c in raw.columns if re.fullmatch(r"\d{4}", str(c))]
        wide = raw.set_index(obtain["item"])[years].T
        wide = wide.loc[:, wide.notna().sum() >= obtain["min_observed"]]
    else:
        wide = raw[list(obtain["targets"])].rename(columns=obtain.get("rename", {}))
    if "start" in obtain:
        wide.index = pd.date_range(obtain["start"], periods=len(wide), freq=freq)
    if "resample" in obtain:
        wide = wide.resample(obtain["resample"]).mean()
    frame = wide.rename_axis(index="timestamp", columns="item_id").T.stack(future_stack=True).rename("target")
    frame = frame.reset_index().astype({"target": float, "item_id": object})
    return frame[_inside(frame)].reset_index(drop=True)


def _inside(frame: pd.DataFrame) -> pd.Series:
    """Cut the missing values before a series' first and after its last observation."""
    seen = frame["target"].notna().groupby(frame["item_id"], sort=False)
    return seen.cummax() & frame["target"].notna()[::-1].groupby(frame["item_id"][::-1], sort=False).cummax()[::-1]
