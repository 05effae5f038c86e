"""Ray: forecasts of panels larger than one machine, part by part (extra `tsar[ray]`).

A part is what one call of a worker forecasts, what is retried when a worker dies, and what a second run need not do
again: a file of whole series, or the series of a Ray data set whose ids share a hash.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.fs
import pyarrow.parquet
import ray.data
from ray.data import ActorPoolStrategy, Dataset

from tsar.forecast import DECILES
from tsar.forecasters.base import Forecaster, check_horizon
from tsar.interop.choice import continued, named

_IDS = ("item_id", "unique_id")
_PART = "__part"


def forecast(
    data: Dataset | str | Sequence[str],
    model: Forecaster | str,
    horizon: int,
    *,
    out: str | None = None,
    parts: int = 64,
    workers: int | None = None,
    num_cpus: float = 1,
    num_gpus: float = 0,
    levels: Sequence[float] = DECILES,
    freq: str | int | None = None,
    season_length: int | None = None,
    num_samples: int | None = None,
    random_state: int = 0,
) -> Dataset:
    """Forecast every series of a panel on a Ray cluster; the answer is that of a single process.

    Each worker loads the model once. A worker that dies is replaced and its part forecast again.

    Parameters
    ----------
    data : Dataset, or folder or files of parquet
        Long tables with an id column, a time and a target. Files must hold whole series: each is one part, read by its
        worker, and nothing is shuffled. A data set is shuffled once, so that series are whole.
    model : Forecaster or str
        As in every door: a name of pretrained weights, a fitted forecaster, which predicts as it is, or an unfitted
        one (`AutoARIMA()`), a copy of which is fitted on the series of each part.
    horizon : int, steps
    out : folder, local to all workers or a URI such as "s3://…", optional
        Write one parquet file a part, in one step; a part that is there already is not computed again. Without it the
        answer streams through the data set that is returned.
    parts : int, default 64, into how many parts a data set is divided; the same for a run that resumes
    workers : int, optional, default as many as the cluster has room for
    num_cpus, num_gpus : float, default 1 and 0, what each worker reserves
    levels, freq, season_length, random_state : as in `Forecaster.predict`
    num_samples : int, optional
        Take the quantiles from so many sample paths; the paths themselves are not kept.

    Returns
    -------
    Dataset
        Rows of `Forecast.to_frame()`, with the column "note" throughout.

    Raises
    ------
    ValueError
        For a data set without an id column, no files, an `out` inside the data's folder, or one that another run
        (model, horizon, …) began. What a worker raises for a series comes as Ray's error with the item's name;
        `on_error="fallback"` in the model keeps one bad series from stopping the run.
    """
    named(model)  # an unknown name is an error here, not on the workers
    options = {
        "levels": tuple(levels), "freq": freq, "season_length": season_length, "num_samples": num_samples,
        "random_state": random_state,
    }  # fmt: skip
    done = _done(out)
    if out is not None:
        described = model if isinstance(model, str) else f"{type(model).__name__} {model.get_params(deep=False)}"
        shuffled = parts if isinstance(data, Dataset) else None
        _same_run(out, {"model": described, "horizon": horizon, "parts": shuffled, **options})
    if isinstance(data, Dataset):
        left = _shuffled(data, parts, done)
    else:
        files = [{"path": path, _PART: name} for path, name in _files(data, out) if name not in done]
        left = ray.data.from_items(files, override_num_blocks=max(len(files), 1)) if files else None
    if left is not None:
        answer = left.map_batches(
            _Worker,
            batch_size=None,  # a whole block, and so whole series
            batch_format="pyarrow",
            compute=ActorPoolStrategy(size=workers) if workers else ActorPoolStrategy(min_size=1),
            fn_constructor_args=(model, check_horizon(horizon), out, options),
            num_cpus=num_cpus,
            num_gpus=num_gpus,
        )
        if out is None:
            return answer
        answer.materialize()
    assert out is not None, "parts are finished only where there is a folder"
    return ray.data.read_parquet([f"{out.rstrip('/')}/{name}.parquet" for name in sorted(_done(out))])


class _Worker:
    """One process of the pool: holds the model, forecasts a part after the other."""

    def __init__(self, model: Forecaster | str, horizon: int, out: str | None, options: dict[str, Any]) -> None:
        self.model, self.horizon, self.out, self.options = named(model), horizon, out, options

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        for name in block[_PART].unique().to_pylist():
            part = block.filter(pyarrow.compute.equal(block[_PART], name)).drop_columns([_PART])
            table = _read(part["path"][0].as_py()) if part.column_names == ["path"] else part
            given = continued(self.model, table.to_pandas(), self.horizon, **self.options).to_frame()
            answer = pa.Table.from_pandas(given.assign(note=given.get("note", "")), preserve_index=False)
            if self.out is None:
                yield answer
            else:
                _write(answer, self.out, name)
                yield pa.table({_PART: [name], "rows": [answer.num_rows]})


def _shuffled(data: Dataset, parts: int, done: set[str]) -> Dataset | None:
    """Bring the rows of each part into one block, without those of finished parts; None where all are finished."""
    columns = data.columns() or []
    item = next((name for name in _IDS if name in columns), None)
    if item is None:
        raise ValueError(f"the data set has the columns {columns}: expected an id column, {' or '.join(_IDS)}")

    def with_part(rows: pd.DataFrame) -> pd.DataFrame:
        number = pd.util.hash_array(rows[item].astype(str).to_numpy(object)) % np.uint64(parts)
        names = np.array([f"part-{i:06d}-of-{parts}" for i in range(parts)], object)[number.astype("i8")]
        return rows.assign(**{_PART: names})[~np.isin(names, list(done))]

    left = data.map_batches(with_part, batch_format="pandas")
    if done and not left.count():
        return None
    # The shuffle ends before the pool of workers begins, which could else hold every core that the shuffle waits for.
    return left.repartition(parts, keys=[_PART]).materialize()


def _read(path: str) -> pa.Table:
    files, inside = pyarrow.fs.FileSystem.from_uri(_uri(path))
    return pyarrow.parquet.read_table(inside, filesystem=files)


def _files(data: str | Sequence[str], out: str | None) -> list[tuple[str, str]]:
    """Files and the names of their parts."""
    paths = []
    for given in [data] if isinstance(data, str) else data:
        if out is not None and f"{_uri(out)}/".startswith(f"{_uri(given).rstrip('/')}/"):
            raise ValueError(f"out={out!r} lies in {given!r}: expected a folder beside the data, not one that is read")
        files, path = pyarrow.fs.FileSystem.from_uri(_uri(given))
        about = files.get_file_info(path)
        if about.type == pyarrow.fs.FileType.Directory:
            inside = files.get_file_info(pyarrow.fs.FileSelector(path, recursive=True))
            found = sorted(f.path for f in inside if f.path.endswith(".parquet"))
            paths += [given.rstrip("/") + f.removeprefix(path.rstrip("/")) for f in found]
        elif about.type == pyarrow.fs.FileType.File:
            paths.append(given)
        else:
            raise ValueError(f"{given}: expected a parquet file or a folder of them, found nothing")
    if not paths:
        raise ValueError(f"{data}: expected files that end in .parquet, found none")
    return [(path, f"file-{i:06d}-{PurePosixPath(path).stem}") for i, path in enumerate(paths)]


def _done(out: str | None) -> set[str]:
    """Names of the parts that lie in the folder of answers."""
    if out is None:
        return set()
    files, path = pyarrow.fs.FileSystem.from_uri(_uri(out))
    found = files.get_file_info(pyarrow.fs.FileSelector(path, allow_not_found=True))
    return {PurePosixPath(f.path).stem for f in found if f.path.endswith(".parquet")}


def _same_run(out: str, about: dict[str, Any]) -> None:
    """Keep what a run is made from beside its answers; ValueError where another run began in that folder."""
    files, path = pyarrow.fs.FileSystem.from_uri(_uri(out))
    files.create_dir(path, recursive=True)
    file, about = f"{path}/.run.json", json.loads(json.dumps(about))
    if files.get_file_info(file).type == pyarrow.fs.FileType.NotFound:
        with files.open_output_stream(file) as stream:
            stream.write(json.dumps(about).encode())
        return
    with files.open_input_stream(file) as stream:
        found = json.loads(stream.read())
    if odd := [name for name in about if found.get(name) != about[name]]:
        raise ValueError(
            f"{out} holds answers of another run: expected {odd[0]}={about[odd[0]]!r}, found {found.get(odd[0])!r}"
        )


def _write(answer: pa.Table, out: str, name: str) -> None:
    """Write a part in one step: another worker, or the next run, sees all of it or nothing."""
    files, path = pyarrow.fs.FileSystem.from_uri(_uri(out))
    files.create_dir(path, recursive=True)
    if isinstance(files, pyarrow.fs.LocalFileSystem):
        unfinished = f"{path}/.{name}.{os.getpid()}"
        pyarrow.parquet.write_table(answer, unfinished, filesystem=files)
        files.move(unfinished, f"{path}/{name}.parquet")
    else:  # object stores show an object once it is whole
        pyarrow.parquet.write_table(answer, f"{path}/{name}.parquet", filesystem=files)


def _uri(path: str) -> str:
    return path if "://" in path else os.path.abspath(path)
