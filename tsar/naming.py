"""Forecasters by name, as the command line spells them: `Theta`, `AR(lags=12)`, `timer`, `tsar-small`, a folder."""

from __future__ import annotations

import ast
import inspect
import pkgutil
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tsar

if TYPE_CHECKING:
    from tsar.forecasters.base import Forecaster

PREFERRED = "tsar-small"
CLASSICAL = "Theta(on_error='fallback')"


def default() -> str:
    """Name of the forecaster for whoever names none: the bundled weights, or a classical model without extras."""
    return PREFERRED if PREFERRED in weights() else CLASSICAL


def build(text: str, **options: Any) -> Forecaster:
    """Build the forecaster that `text` names.

    Parameters
    ----------
    text : str
        A class of `classes()` or a system of `systems()`, with options as in Python where there are some
        ("AR(lags=[1, 12])"), bundled weights, or the folder of a saved forecaster or of weights.
    **options
        More options; what is None or empty is left out, and `text` goes before.

    Raises
    ------
    ValueError
        For a name that is none of these, options that are not literals, or that the forecaster does not know.
    """
    from tsar.forecasters.store import FORMAT, read_config

    path = Path(text)
    if (path / "config.json").is_file():
        return tsar.load(path) if read_config(path).get("format") == FORMAT else tsar.from_pretrained(text)
    if text in weights():
        return tsar.from_pretrained(text)
    name, given = parse(text)
    given = {key: value for key, value in options.items() if value not in (None, ())} | given
    if name in classes():
        kind = getattr(tsar, name)
    elif name in systems():
        kind, given = tsar.NeuralForecaster, {"system": name} | given
    else:
        known = [*classes(), *weights(), *systems()]
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown model {name!r}: expected one of the {len(known)} of `tsar models`{hint}")
    accepted = [p for p in inspect.signature(kind).parameters if p != "self"]
    if unknown := [key for key in given if key not in accepted]:
        raise ValueError(f"{name}: unknown option {unknown[0]!r}, expected some of {', '.join(accepted)}")
    return kind(**given)


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """Split "AR(lags=12)" into a name and literal options; anything that is not a literal is an error."""
    head, bracket, _ = text.partition("(")
    if not bracket:
        return text.strip(), {}
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or call.args or any(k.arg is None for k in call.keywords):
            raise ValueError("positional")
        return head.strip(), {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError):
        raise ValueError(f"model {text!r}: expected a name, or a call such as AR(lags=12, trend='c')") from None


def classes() -> list[str]:
    """Names of the forecaster classes."""
    other = {"Forecaster", "FallbackWarning", "load", "TrainConfig"}
    return [name for name, home in tsar._HOME.items() if home.startswith("forecasters.") and name not in other]


def systems() -> list[str]:
    """Names of the published systems, for `NeuralForecaster(system=…)`."""
    folder = Path(__file__).parent / "systems"
    return sorted(m.name for m in pkgutil.iter_modules([str(folder)]) if not m.name.startswith("_"))


def weights() -> list[str]:
    """Names of the bundled weights."""
    return sorted(p.parent.name for p in (Path(__file__).parent / "weights").glob("*/model.safetensors"))


def describe() -> list[tuple[str, str]]:
    """List every name with one line on it; imports the classes."""
    rows = [(name, inspect.getdoc(getattr(tsar, name)) or "") for name in classes()]
    rows += [(name, "bundled weights: forecasts without training") for name in weights()]
    rows += [(name, f"NeuralForecaster(system={name!r})") for name in systems()]
    return [(name, text.partition("\n")[0]) for name, text in rows]
