"""One safetensors file that carries its JSON: state that is written whole or not at all, and read without pickle."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


def save_state(file: str | Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write `tensors` and the JSON values `about` to `file`, atomically: a failed or killed write leaves the old file.

    Parameters
    ----------
    file : path
        Its folder is made if it does not exist.
    tensors : mapping of str to tensor
    about : mapping of JSON values
    """
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    os.close(handle)
    try:
        # clone: tied or viewed storage cannot be written, and a checkpoint is rare enough to pay the copy
        whole = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
        save_file(whole, name, metadata={"about": json.dumps(dict(about), allow_nan=True)})
        with open(name, "rb") as written:
            os.fsync(written.fileno())
        os.replace(name, file)
    finally:
        if os.path.exists(name):
            os.unlink(name)


def load_state(file: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_state` wrote: the tensors and the JSON values.

    Raises
    ------
    ValueError
        If the file is truncated, or not one of ours.
    FileNotFoundError
        If there is none.
    """
    file = Path(file)
    if not file.is_file():
        raise FileNotFoundError(f"no checkpoint at {file}")
    try:
        with safe_open(str(file), framework="pt") as opened:
            about = json.loads((opened.metadata() or {})["about"])
            return {key: opened.get_tensor(key) for key in opened.keys()}, about  # noqa: SIM118
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{file} is not a checkpoint of tsar, or is truncated: {error}") from error
