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
CLASSICAL = "AutoARIMA(on_error='fallback')"


def default() -> str:
    """Name of the forecaster for whoever names none: the bundled weights, or a classical model without extras."""
    return PREFERRED if PREFERRED in weights() else CLASSICAL


def compared() -> list[str]:
    """Names of the forecasters for whoever compares and names none: they need no extra."""
    return [*([PREFERRED] if PREFERRED in weights() else []), "AR", "AutoARIMA", "ETS", "Theta", "SeasonalNaive"]


def build(text: str, **options: Any) -> Forecaster:
    """Build the forecaster that `text` names.

    Parameters
    ----------
    text : str
        A class of `classes()` or a system of `systems()`, with options as in Python where there are some
        ("AR(lags=[1, 12])", "Conformal(AR)"), bundled weights, or the folder of a saved forecaster or of weights.
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
    return _build(_parse(text), {key: value for key, value in options.items() if value not in (None, ())})


def _build(node: ast.expr, options: dict[str, Any]) -> Forecaster:
    call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
    name = ast.unparse(call.func)
    given = options | {str(keyword.arg): _value(keyword.value) for keyword in call.keywords}
    if name in classes():
        kind = getattr(tsar, name)
    elif name in systems():
        kind, given = tsar.NeuralForecaster, {"system": name} | given
    else:
        known = [*classes(), *weights(), *systems()]
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown model {name!r}: expected one of the {len(known)} of `tsar models`{hint}")
    accepted = list(inspect.signature(kind).parameters)
    if unknown := [key for key in given if key not in accepted]:
        raise ValueError(f"{name}: unknown option {unknown[0]!r}, expected some of {', '.join(accepted)}")
    try:
        return kind(*[_value(value) for value in call.args], **given)
    except TypeError as error:  # a missing option, or more of them than there are
        raise ValueError(f"{name}: {error}") from None


def _value(node: ast.expr) -> Any:
    """Value of an option: a literal, a forecaster, or a list of these; nothing else is evaluated."""
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(element) for element in node.elts]
    if isinstance(node, ast.Name | ast.Call):
        return _build(node, {})
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"{ast.unparse(node)!r} is no option: expected a literal or a forecaster") from None


def _parse(text: str) -> ast.expr:
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        node = None
    named = node.func if isinstance(node, ast.Call) else node
    if isinstance(named, ast.Name) and all(k.arg for k in getattr(node, "keywords", ())):
        assert node is not None
        return node
    known = [*classes(), *weights(), *systems()]
    hint = f"; did you mean {near[0]!r}?" if (near := get_close_matches(text, known, n=1)) else ""
    raise ValueError(f"model {text!r}: expected a name of `tsar models`, or a call such as AR(lags=12){hint}")


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
