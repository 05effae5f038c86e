"""The zero-shot network on disk: half-precision weights that carry their configuration, loaded strictly.

L0 files only: safetensors and JSON, no pickle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tsar.checkpoint import load_state, save_state
from tsar.experts.bank import NAMES
from tsar.zero_shot.network import LEVELS, ZeroShot, ZeroShotConfig

FORMAT, VERSION = "tsar-zero-shot", 1
WEIGHTS, CONFIG = "model.safetensors", "config.json"


def save(model: ZeroShot, directory: str | Path, training: Mapping[str, Any] | None = None) -> None:
    """Write the network to a directory, weights in bfloat16.

    Parameters
    ----------
    model : ZeroShot
    directory : path
        Made if it does not exist; the weights file is replaced whole or not at all.
    training : mapping of JSON values, optional
        How the weights came about; kept beside the configuration.
    """
    about = {
        "format": FORMAT,
        "version": VERSION,
        "config": model.config.to_dict(),
        "experts": list(NAMES),
        "levels": list(LEVELS),
        "training": dict(training or {}),
    }
    small = {name: value.to(torch.bfloat16) for name, value in model.state_dict().items()}
    save_state(Path(directory) / WEIGHTS, small, about)
    (Path(directory) / CONFIG).write_text(json.dumps(about, indent=1) + "\n")


def load(directory: str | Path) -> tuple[ZeroShot, dict[str, Any]]:
    """Read what `save` wrote: the network in float32 and eval mode, and all that is said about it.

    Raises
    ------
    ValueError
        If the file is truncated, of another format or version, for other experts, or lacks a tensor.
    """
    file = Path(directory) / WEIGHTS
    tensors, about = load_state(file)
    return from_tensors(tensors, about, file), about


def from_tensors(tensors: Mapping[str, Tensor], about: Mapping[str, Any], origin: Any) -> ZeroShot:
    """Build the network from its tensors and what is said about it; `origin` is named in errors."""
    found = {"format": about.get("format"), "version": about.get("version")}
    if found != {"format": FORMAT, "version": VERSION}:
        raise ValueError(f"{origin}: expected format {FORMAT!r} version {VERSION}, found {found}")
    if about.get("experts") != list(NAMES) or about.get("levels") != list(LEVELS):
        raise ValueError(f"{origin} was trained with other experts or levels than this version of tsar computes")
    options = {key: value for key, value in about["config"].items() if key != "part"}
    model = ZeroShot(ZeroShotConfig(**options))
    expected = model.state_dict()
    if tensors.keys() != expected.keys():
        odd = sorted(tensors.keys() ^ expected.keys())
        raise ValueError(f"{origin}: expected the tensors of its configuration, found {odd[0]!r} missing or too many")
    for name, value in tensors.items():
        if value.shape != expected[name].shape:
            raise ValueError(
                f"{origin}: expected {name!r} of shape {tuple(expected[name].shape)}, found {tuple(value.shape)}"
            )
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"{origin}: tensor {name!r} holds values that are not finite")
    model.load_state_dict({name: value.float() for name, value in tensors.items()})
    return model.eval()
