"""How a part is chosen: by its name, by a typed frozen config, or by a mapping read from a checkpoint.

A part is one file in the folder of its slot. The file holds one config class, a frozen keyword-only dataclass derived
from `Part`, and whatever the config builds. The name of the part is the name of its file, so a new part needs no
registration: `tsar/heads/flow.py` with `class Flow(Part)` is `head="flow"` and `head=Flow(steps=8)`.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SLOTS = ("tokenizers", "nn.mixers", "nn.ffn", "heads", "objectives", "orders")


@dataclass(frozen=True, kw_only=True)
class Part:
    """Base of every part's config; subclasses add their options and a `build` method."""

    @property
    def name(self) -> str:
        """Name of the part: the name of the file that defines it."""
        return type(self).__module__.rpartition(".")[2]

    def to_dict(self) -> dict[str, Any]:
        """Return the resolved options as plain JSON values, nested parts included."""
        out: dict[str, Any] = {"part": self.name}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            out[field.name] = (
                value.to_dict() if isinstance(value, Part) else list(value) if isinstance(value, tuple) else value
            )
        return out


def names(slot: str) -> list[str]:
    """Names of the parts of `slot`, sorted.

    Parameters
    ----------
    slot : str
        One of `SLOTS`: "tokenizers", "nn.mixers", "nn.ffn", "heads", "objectives", "orders".
    """
    package = importlib.import_module(f"tsar.{slot}")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_"))


def config_class(slot: str, name: str) -> type[Part]:
    """Return the config class of the part `name` of `slot`.

    Raises
    ------
    ValueError
        If the slot has no part of that name; the message lists the names and the nearest one.
    """
    known = names(slot)
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown part {name!r} in {slot}: expected one of {', '.join(known)}{hint}")
    module = importlib.import_module(f"tsar.{slot}.{name}")
    own = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Part) and value.__module__ == module.__name__
    ]
    assert len(own) == 1, f"tsar/{slot}/{name}.py must define exactly one config, found {own}"
    return own[0]


def resolve(slot: str, choice: str | Part | Mapping[str, Any]) -> Part:
    """Turn a choice of part into its config.

    Parameters
    ----------
    slot : str
        One of `SLOTS`.
    choice : str, Part or mapping
        The part's name (its default options), a config, or what `Part.to_dict` gave.

    Raises
    ------
    ValueError
        For an unknown name, an unknown option, or a config of another slot.
    TypeError
        If `choice` is none of the three.
    """
    if isinstance(choice, Part):
        home = type(choice).__module__
        if home != f"tsar.{slot}.{choice.name}" and home.startswith("tsar."):
            raise ValueError(f"{type(choice).__name__} belongs to {home}, expected a part of tsar.{slot}")
        return choice
    if isinstance(choice, str):
        return config_class(slot, choice)()
    if isinstance(choice, Mapping):
        options = {key: tuple(value) if isinstance(value, list) else value for key, value in choice.items()}
        cls = config_class(slot, str(options.pop("part", "")))
        expected = {field.name for field in dataclasses.fields(cls)}
        if unknown := set(options) - expected:
            raise ValueError(
                f"unknown options {sorted(unknown)} for {cls.__name__}: expected some of {sorted(expected)}"
            )
        return cls(**options)
    raise TypeError(f"a part of {slot} is chosen by name, config or mapping, found {type(choice).__name__}")
