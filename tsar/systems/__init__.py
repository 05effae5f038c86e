"""Published systems by name: each file is a choice of words, `SYSTEM`, with its paper, departures and our numbers."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from dataclasses import dataclass, field
from typing import Any

from tsar.train_config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class System:
    """A sentence of words, the sizes that join them, and how it is trained.

    Parameters
    ----------
    tokenizer, mixer, ffn, head, objective, order : str or Part
        The words; see `tsar.model.ModelConfig` and `tsar.nn.core.CoreConfig`.
    mask : str
        A name of `tsar.nn.masks`.
    width, depth, dropout, span, embed, context
        Sizes of the core and the model; the width follows the token's where `embed` is "none".
    multivariate : bool
        Items measured together are one window of several variates.
    any_variates : bool
        A fitted multivariate model also forecasts other items, and other numbers of them.
    closed_form : bool
        With a point head, training starts from its ridge solution instead of random weights.
    train : TrainConfig
        Training defaults.
    """

    tokenizer: Any = "patch"
    mixer: Any = "softmax"
    ffn: Any = "swiglu"
    mask: str = "causal"
    head: Any = "quantile"
    objective: Any = "next_token"
    order: Any = "causal"
    width: int = 128
    depth: int = 3
    dropout: float = 0.0
    span: int | None = None
    embed: str = "linear"
    context: int = 512
    multivariate: bool = False
    any_variates: bool = False
    closed_form: bool = False
    train: TrainConfig = field(default_factory=TrainConfig)


def names() -> list[str]:
    """Names of the systems, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def get(name: str) -> System:
    """Return the system of that name.

    Raises
    ------
    ValueError
        If there is none; the message lists the names and the nearest one.
    """
    known = names()
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown system {name!r}: expected one of {', '.join(known)}{hint}")
    system = importlib.import_module(f"tsar.systems.{name}").SYSTEM
    assert isinstance(system, System), f"tsar/systems/{name}.py must define SYSTEM"
    return system
