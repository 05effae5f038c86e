"""Forecasters on disk: a folder with config.json (class, options, learned JSON values) and model.safetensors (arrays).

Nothing is pickled. The folder is written beside its final place and moved there, so a failed save leaves the old one.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from sklearn.base import BaseEstimator

from tsar.panel import Names, Panel
from tsar.part import SLOTS, Part, resolve

if TYPE_CHECKING:
    from tsar.forecasters.base import Forecaster

F = TypeVar("F", bound="Forecaster")
FORMAT = 1
_HISTORY = "history."


def save_forecaster(forecaster: Forecaster, path: Path) -> None:
    """Write `forecaster` to the folder `path`; see `Forecaster.save`."""
    values, arrays = forecaster._state() or (None, {})
    panel: Panel | None = getattr(forecaster, "history_", None)  # pretrained weights have seen no series of the caller
    about, history = _pack_panel(panel) if panel is not None else (None, {})
    config = {
        "format": FORMAT,
        **encode(forecaster),
        "learned": values,
        "failed": [[item, reason] for item, reason in forecaster.failed_.items()],
        "history": about,
    }
    text = json.dumps(config, indent=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not (path / "config.json").is_file():
        raise ValueError(f"{path} exists and is no saved forecaster: expected a new folder or one written by save")
    fresh = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        tensors = {name: np.asarray(array, order="C") for name, array in (history | dict(arrays)).items()}
        save_file(tensors, fresh / "model.safetensors")
        (fresh / "config.json").write_text(text)
        os.chmod(fresh, 0o755)
        if path.exists():
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
            os.replace(path, old / "it")
            os.replace(fresh, path)
            shutil.rmtree(old)
        else:
            os.replace(fresh, path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def load(path: str | Path) -> Forecaster:
    """Read any forecaster that `save` wrote, whatever its class.

    Parameters
    ----------
    path : folder that `Forecaster.save` wrote

    Raises
    ------
    ValueError
        For a truncated or foreign folder, or one that another version of tsar wrote.
    """
    from tsar.forecasters.base import Forecaster

    config = read_config(Path(path))
    cls = _class(config.get("forecaster", "tsar.forecasters.base:Forecaster"))
    return cls.load(path) if issubclass(cls, Forecaster) else load_forecaster(Path(path), Forecaster)


def load_forecaster(path: Path, expected: type[F]) -> F:
    """Read the folder `path`; see `Forecaster.load`."""
    config = read_config(path)
    if config.get("format") != FORMAT:
        raise ValueError(
            f"{path} has format {config.get('format')!r}, expected {FORMAT}: written by another version of tsar"
        )
    forecaster = decode(config)
    if not isinstance(forecaster, expected):
        raise ValueError(f"{path} holds a {type(forecaster).__name__}, expected a {expected.__name__}")
    try:
        arrays = load_file(path / "model.safetensors")
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path / 'model.safetensors'} is missing, truncated or no safetensors file: {error}"
        ) from error
    forecaster.failed_ = {item: reason for item, reason in config["failed"]}
    if config["history"] is not None:
        panel = _unpack_panel(config["history"], arrays)
        if config["learned"] is None:
            return forecaster.fit(panel)
        forecaster.history_ = panel
        seen = np.add.reduceat(~np.isnan(panel.values), panel.offsets[:-1], dtype="i8") > 0
        forecaster._place = {item: i for i, item in enumerate(panel.ids[seen])}  # the items that `_fit` saw
    learned = {name: array for name, array in arrays.items() if not name.startswith(_HISTORY)}
    forecaster._restore(config["learned"], learned)
    return forecaster


def read_config(path: Path) -> dict[str, Any]:
    """Read `config.json` of a saved folder; ValueError unless it is there and whole."""
    try:
        config = json.loads((path / "config.json").read_text())
    except FileNotFoundError as error:
        raise ValueError(f"{path} holds no config.json: expected a folder written by save") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path / 'config.json'} is truncated or not JSON: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path / 'config.json'} holds {type(config).__name__}, expected an object")
    return config


def encode(value: Any) -> Any:
    """Turn an option into JSON values: numbers, text, lists, parts, typed configs and nested forecasters."""
    from tsar.forecasters.base import Forecaster

    if isinstance(value, Forecaster):
        options = {name: encode(option) for name, option in value.get_params(deep=False).items()}
        return {"forecaster": _address(type(value)), "options": options}
    if isinstance(value, BaseEstimator) and type(value).__module__.startswith("sklearn."):
        options = {name: encode(option) for name, option in value.get_params(deep=False).items()}
        return {"sklearn": f"{type(value).__module__}:{type(value).__qualname__}", "options": options}
    if isinstance(value, Part):
        slot = type(value).__module__.removeprefix("tsar.").rpartition(".")[0]
        return {"slot": slot, **value.to_dict()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        options = {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"config": _address(type(value)), "options": options}
    if isinstance(value, Mapping):
        return {"mapping": [[encode(k), encode(v)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return [encode(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return [encode(v) for v in value.tolist()]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(
        f"cannot save the option {value!r} of type {type(value).__name__}: expected numbers, text or parts"
    )


def decode(value: Any) -> Any:
    """Turn what `encode` gave back into options; only classes of tsar and scikit-learn estimators are constructed."""
    from tsar.forecasters.base import Forecaster

    if isinstance(value, list):
        return tuple(decode(v) for v in value)
    if not isinstance(value, Mapping):
        return value
    if "mapping" in value:
        return {decode(k): decode(v) for k, v in value["mapping"]}
    if value.get("slot") in SLOTS:
        return resolve(value["slot"], {k: v for k, v in value.items() if k != "slot"})
    kind = next((kind for kind in ("forecaster", "sklearn") if kind in value), "config")
    cls = _class(value.get(kind, ""), "sklearn." if kind == "sklearn" else "tsar.")
    wanted = {"forecaster": Forecaster, "sklearn": BaseEstimator}
    if not (issubclass(cls, wanted[kind]) if kind in wanted else dataclasses.is_dataclass(cls)):
        raise ValueError(f"the checkpoint names {value[kind]!r}, expected a {kind} class")
    try:
        return cls(**{name: decode(option) for name, option in value["options"].items()})
    except TypeError as error:
        raise ValueError(f"the checkpoint's options do not fit {cls.__name__}: {error}") from error


def _address(cls: type) -> str:
    if not cls.__module__.startswith("tsar."):
        raise ValueError(f"cannot save {cls.__name__} of module {cls.__module__}: expected a class of tsar")
    return f"{cls.__module__}:{cls.__qualname__}"


def _class(address: str, package: str = "tsar.") -> type:
    module, _, name = str(address).partition(":")
    if not module.startswith(package) or not name.isidentifier():
        raise ValueError(f"the checkpoint names {address!r}, expected a class of {package[:-1]}")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"the checkpoint names {address!r}, which this version of tsar does not have") from error


def _pack_panel(panel: Panel) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    ids = [item.item() if isinstance(item, np.generic) else item for item in panel.ids]
    if odd := [item for item in ids if not isinstance(item, str | int | float)]:
        raise ValueError(
            f"item {odd[0]!r} has an id of type {type(odd[0]).__name__}: expected text or a number to save it"
        )
    columns = {f"covariate.{name}": column for name, column in panel.covariates.items()}
    columns |= {f"static.{name}": column for name, column in panel.static.items()}
    about = {
        "ids": ids, "freq": panel.freq, "names": list(panel.names), "kind": panel.kind, "library": panel.library,
        "has_id": panel.has_id, "tz": None if panel.tz is None else str(panel.tz), "season": panel.season,
        "stamped": panel.stamped,
        "texts": {name: column.tolist() for name, column in columns.items() if column.dtype == object},
    }  # fmt: skip
    arrays = {"values": panel.values, "offsets": panel.offsets, "times": panel.times.astype("i8")}
    arrays |= {name: column for name, column in columns.items() if column.dtype != object}
    return about, {_HISTORY + name: array for name, array in arrays.items()}


def _unpack_panel(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Panel:
    columns = {name: np.array(column, object) for name, column in about["texts"].items()}
    columns |= {name.removeprefix(_HISTORY): array for name, array in arrays.items() if name.startswith(_HISTORY)}
    ids = np.empty(len(about["ids"]), object)
    ids[:] = about["ids"]
    try:
        times = columns["times"].astype("M8[ns]") if about["stamped"] else columns["times"]
        return Panel(
            ids=ids, offsets=columns["offsets"], values=columns["values"], times=times, freq=about["freq"],
            covariates={n.partition(".")[2]: c for n, c in columns.items() if n.startswith("covariate.")},
            static={n.partition(".")[2]: c for n, c in columns.items() if n.startswith("static.")},
            names=Names(*about["names"]), kind=about["kind"], library=about["library"], has_id=about["has_id"],
            tz=about["tz"], season=about["season"],
        )  # fmt: skip
    except KeyError as error:
        raise ValueError(f"the checkpoint lacks {error}: it is truncated or foreign") from error
