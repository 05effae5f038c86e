"""Models on disk: model.safetensors carries the weights and the resolved configuration; config.json repeats the latter.

Nothing is pickled and loading is strict: every tensor the configuration asks for must be there in its shape, and no
other.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from tsar.checkpoint import load_state, save_state
from tsar.model import TSAR, ModelConfig

FORMAT, VERSION = "tsar-model", 1
WEIGHTS, CONFIG = "model.safetensors", "config.json"
BUNDLED = Path(__file__).parent / "weights"


def save(model: TSAR, directory: Path) -> None:
    """Write a model to a directory, which is made if it does not exist.

    The weights file is whole by itself and replaced in one step: a save that fails leaves the old one.
    """
    about = {"format": FORMAT, "version": VERSION, "config": model.config.to_dict()}
    save_state(directory / WEIGHTS, model.state_dict(), about)
    handle, name = tempfile.mkstemp(dir=directory, prefix=f".{CONFIG}.")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(about, file, indent=1)
        os.chmod(name, 0o644)
        os.replace(name, directory / CONFIG)
    finally:
        if os.path.exists(name):
            os.unlink(name)


def load(name: str | Path, revision: str | None = None) -> TSAR:
    """Read a model, in evaluation mode.

    Parameters
    ----------
    name : str or path
        A directory that `save` wrote, the name of bundled weights, or a hub repository "owner/name".
    revision : str, optional
        Branch, tag or commit of a hub repository.

    Raises
    ------
    ValueError
        For an unknown name, and for a truncated, foreign or newer checkpoint; it says what was expected and found.
    """
    directory = locate(name, revision)
    if not (directory / WEIGHTS).is_file():
        found = ", ".join(sorted(path.name for path in directory.iterdir())[:8]) or "nothing"
        raise ValueError(f"{directory}: expected {WEIGHTS} (pickled weights are never read), found {found}")
    tensors, about = load_state(directory / WEIGHTS)
    _check_about(about, directory / WEIGHTS)
    if (directory / CONFIG).is_file():
        try:
            beside = json.loads((directory / CONFIG).read_text())
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{directory / CONFIG} is truncated or not JSON: {error}") from error
        _check_about(beside, directory / CONFIG)
        if beside != about:
            raise ValueError(
                f"{directory / CONFIG} differs from the configuration inside {WEIGHTS}: expected the two files of one "
                f"save; remove {CONFIG} to use the weights with their own"
            )
    config = ModelConfig.from_dict(about["config"])
    _check_size(config, tensors, directory / WEIGHTS)
    model = TSAR(config)
    _check_tensors(tensors, model.state_dict(), directory / WEIGHTS)
    model.load_state_dict(tensors, strict=True)
    return model.eval()


def locate(name: str | Path, revision: str | None = None) -> Path:
    """Return the directory of a model's files, downloading them from the hub for "owner/name".

    Raises
    ------
    ConnectionError
        If the hub is needed and cannot be reached.
    ValueError
        For an unknown name.
    """
    directory = Path(name)
    if directory.is_dir():
        return directory
    if (BUNDLED / str(name) / WEIGHTS).is_file():
        return BUNDLED / str(name)
    owner, slash, repository = str(name).partition("/")
    if isinstance(name, str) and owner and slash and repository and "/" not in repository and not owner.startswith("."):
        from huggingface_hub import errors, snapshot_download

        at = f" at revision {revision!r}" if revision else ""
        try:
            return Path(snapshot_download(name, revision=revision, allow_patterns=[WEIGHTS, CONFIG]))
        except errors.LocalEntryNotFoundError as error:
            raise ConnectionError(
                f"{name!r}{at} is not in the local cache, and the hub cannot be reached: expected a network "
                "(HF_HUB_OFFLINE unset), a cache filled before, or the folder of the model"
            ) from error
        except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
            raise ValueError(f"the hub has no repository {name!r}{at}, or it is private and no token is set") from error
    bundled = sorted(path.parent.name for path in BUNDLED.glob(f"*/{WEIGHTS}"))
    raise ValueError(f"no model {str(name)!r}: expected a directory, a hub repository owner/name or one of {bundled}")


def _check_about(about: Any, file: Path) -> None:
    if not isinstance(about, Mapping) or about.get("format") != FORMAT or not isinstance(about.get("config"), Mapping):
        found = about.get("format") if isinstance(about, Mapping) else type(about).__name__
        raise ValueError(f"{file}: expected format {FORMAT!r} with a config, found {found!r}")
    if about.get("version") != VERSION:
        raise ValueError(f"{file}: expected format version {VERSION}, found {about.get('version')!r}; update tsar")


def _check_size(config: ModelConfig, tensors: Mapping[str, Tensor], file: Path) -> None:
    # A few bytes of JSON must not make us allocate what the weights beside them could never fill.
    found, width, depth = sum(tensor.numel() for tensor in tensors.values()), config.core.width, config.core.depth
    if width * max(1, depth * width // 16) > found:
        raise ValueError(f"{file}: expected weights for a core of {depth} x {width}, found {found} numbers in all")


def _check_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], file: Path) -> None:
    missing, foreign = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing or foreign:
        raise ValueError(f"{file}: tensors missing {missing[:5]}, tensors not expected {foreign[:5]}")
    for name, tensor in found.items():
        want = expected[name]
        if tensor.shape != want.shape or tensor.dtype != want.dtype:
            raise ValueError(
                f"{file}: expected {name} as {want.dtype} {tuple(want.shape)}, found {tensor.dtype} "
                f"{tuple(tensor.shape)}"
            )
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ValueError(f"{file}: expected finite weights, found NaN or infinity in {name}")
