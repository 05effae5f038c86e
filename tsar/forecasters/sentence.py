"""From words to a model: a system, the caller's own choices, and sizes that short series can fill."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tsar import systems
from tsar.model import ModelConfig
from tsar.nn.core import CoreConfig
from tsar.nn.masks import MASKS
from tsar.part import Part, resolve
from tsar.systems import System
from tsar.tokenizer import Inputs

WORDS = {
    "tokenizer": "tokenizers",
    "mixer": "nn.mixers",
    "ffn": "nn.ffn",
    "head": "heads",
    "objective": "objectives",
    "order": "orders",
}
SIZES = ("context", "width", "depth", "dropout", "multivariate")
TRAINING = ("max_steps", "batch_size", "learning_rate")
LEAST_TOKENS = 8
"""A default patch is shortened until the longest series has so many of them."""


def system_of(options: Mapping[str, Any]) -> System:
    """Return the system that constructor options describe: the named one (Timer by default) with what was chosen.

    Raises
    ------
    ValueError
        For an unknown system, part, option or value.
    """
    chosen = options["system"]
    if chosen is not None and not isinstance(chosen, str | System):
        raise ValueError(f"system must be a name or a System, found {type(chosen).__name__}")
    system = chosen if isinstance(chosen, System) else systems.get(chosen or "timer")
    changes: dict[str, Any] = {name: options[name] for name in (*SIZES, "mask") if options[name] is not None}
    for word, slot in WORDS.items():
        choice = options[word]
        changes[word] = resolve(slot, getattr(system, word) if choice is None else choice)
    if (joint := options["multivariate"]) is not None:
        _join(changes, bool(joint), own={word for word in WORDS if options[word] is not None})
    if (mask := changes.get("mask", system.mask)) not in MASKS:
        raise ValueError(f"unknown mask {mask!r}: expected one of {', '.join(MASKS)}")
    for name in ("context", "width"):
        if name in changes and (isinstance(changes[name], bool) or changes[name] < 1):
            raise ValueError(f"{name} must be at least 1, found {changes[name]}")
    if options["horizon"] is not None:
        if isinstance(options["horizon"], bool) or options["horizon"] < 1:
            raise ValueError(f"horizon must be at least 1 step, found {options['horizon']}")
        if hasattr(changes["objective"], "horizon"):
            changes["objective"] = dataclasses.replace(changes["objective"], horizon=int(options["horizon"]))
    train = options["train"] or system.train
    given = {name: options[name] for name in TRAINING if options[name] is not None}
    return dataclasses.replace(system, **changes, train=dataclasses.replace(train, **given))


def model_config(
    system: System, options: Mapping[str, Any], longest: int, *, known: int = 0, past: int = 0, static: int = 0
) -> ModelConfig:
    """Sizes of the model for series of at most `longest` steps; what the caller chose stays as chosen.

    Raises
    ------
    ValueError
        If the series are too short for the sizes chosen.
    """
    tokenizer, objective = system.tokenizer, system.objective
    if options["horizon"] is None and options["objective"] is None and hasattr(objective, "horizon"):
        objective = dataclasses.replace(objective, horizon=max(1, min(objective.horizon, longest // 4)))
    if options["tokenizer"] is None and getattr(tokenizer, "size", 1) * LEAST_TOKENS > longest:
        tokenizer = _shorter(tokenizer, max(1, longest // LEAST_TOKENS))
    context = system.context
    step = tokenizer.build(Inputs(context=context)).step
    reach = objective.reach(step)
    if options["context"] is None:
        # Where every position of a window trains one window will do; otherwise there must be many that differ.
        most = longest - reach if objective.causal else (longest - 2 * reach) // 2
        context = max(1, min(context, most))
        step = tokenizer.build(Inputs(context=context)).step
    if longest < 2:
        raise ValueError(f"the longest series has {longest} steps, expected at least 2 to train on")
    context = -(-context // step) * step
    width = system.width
    if system.embed == "none" and known + past + static:
        raise ValueError(
            f"this system reads values only: expected no covariates, found {known} known, {past} past, {static} static"
        )
    if system.embed == "none":
        width = tokenizer.build(Inputs(context=context)).token_width
    span = system.span
    if span is None and objective.causal and system.mask == "causal" and options["mask"] is None:
        span = context // step  # attention reaches as far in a long roll-out as it did in training
    core = CoreConfig(
        width=width, depth=system.depth, mixer=system.mixer, ffn=system.ffn, mask=system.mask, span=span,
        dropout=system.dropout,
    )  # fmt: skip
    return ModelConfig(
        tokenizer=tokenizer, core=core, head=system.head, objective=objective, order=system.order, context=context,
        embed=system.embed, known=known, past=past, static=static,
    )  # fmt: skip


def _join(words: dict[str, Any], joint: bool, own: set[str]) -> None:
    """Let tokens of one row be of all variates, and attention tell its own from the others; the caller's words stay."""
    for word, option in (("tokenizer", "joint"), ("mixer", "variate_bias")):
        if word not in own and hasattr(words[word], option):
            words[word] = dataclasses.replace(words[word], **{option: joint})


def _shorter(tokenizer: Part, size: int) -> Part:
    """Shorten a patch, and its stride in proportion."""
    was: int = tokenizer.size  # type: ignore[attr-defined]
    changes = {"size": size}
    if (stride := getattr(tokenizer, "stride", None)) is not None:
        changes["stride"] = max(1, stride * size // was)
    return dataclasses.replace(tokenizer, **changes)
