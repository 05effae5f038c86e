"""`tsar.from_pretrained`: a fitted forecaster from bundled weights, a folder or a hub repository.

The checkpoint says what it is, and its own class reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tsar.forecasters.base import Forecaster


def from_pretrained(name: str | Path, revision: str | None = None, **options: Any) -> Forecaster:
    """Return a forecaster with pretrained weights, ready to predict any series.

    Parameters
    ----------
    name : str or path
        Bundled weights ("tsar-small", read without any network), a folder, or a hub repository "owner/name".
    revision : str, optional
        Branch, tag or commit of a hub repository.
    **options
        Of the forecaster's constructor, such as `device`.

    Raises
    ------
    ValueError
        For an unknown name, and for a truncated, foreign or newer checkpoint.
    """
    from safetensors import SafetensorError, safe_open

    from tsar.forecasters.neural import NeuralForecaster
    from tsar.forecasters.zero_shot import ZeroShotForecaster
    from tsar.model_store import WEIGHTS, locate
    from tsar.zero_shot.checkpoint import FORMAT

    directory = locate(name, revision)
    try:
        with safe_open(str(directory / WEIGHTS), framework="pt") as opened:
            about = (opened.metadata() or {}).get("about", "")
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{directory / WEIGHTS} is missing, truncated or no safetensors file: {error}") from error
    cls = ZeroShotForecaster if f'"{FORMAT}"' in about else NeuralForecaster
    return cls.from_pretrained(name, revision, **options)
