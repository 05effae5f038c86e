"""TSAR: tokenizer, embedding, core and head, joined by an objective; it owns the loss and the checkpoint.

Legend: B rows, N tokens, P token width, E extra channels, D core width, F static features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tsar.nn.core import Cache, CoreConfig, balancing
from tsar.part import Part, resolve
from tsar.tokenizer import Inputs
from tsar.tokens import Coordinates, Tokens, Window

EMBEDDINGS = ("linear", "mlp", "none")


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Part):
    """A system: seven words and the sizes that join them.

    Parameters
    ----------
    tokenizer, head, objective, order : str, Part or mapping
        Parts of the slots of those names.
    core : CoreConfig or mapping
        The shared transformer, with its mixer, ffn and mask.
    context : int
        Most steps of a context; rounded up to whole tokens.
    block : int, optional
        Steps by which the start of a context jumps when a series outgrows it (see `tsar.tokens.context_start`); a
        quarter of the context, in whole tokens, by default.
    embed : {"linear", "mlp", "none"}
        How a token enters the core: one map of its values, what was seen and extra channels; a residual network of
        one hidden layer; or its scaled values as they are (the core then has the token's width).
    known, past, static, labels : int
        Number of known covariates, past covariates, static features and classes.
    balance : float
        Weight of the balancing loss of feed-forwards that route.
    """

    tokenizer: Any = "patch"
    core: Any = dataclasses.field(default_factory=CoreConfig)
    head: Any = "quantile"
    objective: Any = "next_token"
    order: Any = "causal"
    context: int = 512
    block: int | None = None
    embed: str = "linear"
    known: int = 0
    past: int = 0
    static: int = 0
    labels: int = 0
    balance: float = 0.01

    def __post_init__(self) -> None:
        for slot, name in (("tokenizers", "tokenizer"), ("heads", "head"), ("objectives", "objective")):
            object.__setattr__(self, name, resolve(slot, getattr(self, name)))
        object.__setattr__(self, "order", resolve("orders", self.order))
        if isinstance(self.core, Mapping):
            object.__setattr__(self, "core", _from_mapping(CoreConfig, self.core))
        if not isinstance(self.core, CoreConfig):
            raise TypeError(f"core must be a CoreConfig or a mapping, found {type(self.core).__name__}")
        if self.embed not in EMBEDDINGS:
            raise ValueError(f"unknown embed {self.embed!r}: expected one of {', '.join(EMBEDDINGS)}")
        for name in ("known", "past", "static", "labels"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be a count, found {getattr(self, name)}")
        if self.context < 1:
            raise ValueError(f"context must be at least 1 step, found {self.context}")
        if self.block is not None and not 1 <= self.block <= self.context:
            raise ValueError(f"block must lie between 1 and the context {self.context}, found {self.block}")

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> ModelConfig:
        """Rebuild a config from what `to_dict` gave.

        Raises
        ------
        ValueError
            For unknown options or parts.
        """
        return _from_mapping(cls, options)


def _from_mapping(cls: type[Any], options: Mapping[str, Any]) -> Any:
    given = {key: value for key, value in options.items() if key != "part"}
    expected = {field.name for field in dataclasses.fields(cls)}
    if unknown := set(given) - expected:
        raise ValueError(f"unknown options {sorted(unknown)} for {cls.__name__}: expected some of {sorted(expected)}")
    return cls(**given)


class TSAR(nn.Module):
    """A continuous-token autoregressive model.

    Parameters
    ----------
    config : ModelConfig
        The system.
    seed : int
        Seed of the initial weights; the global generator is left as it was.
    """

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        super().__init__()
        self.config, self.objective = config, config.objective
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._build(config)

    def _build(self, config: ModelConfig) -> None:
        step = config.tokenizer.build(Inputs(context=config.context)).step
        self.context = -(-config.context // step) * step
        self.block = max(1, (config.block or self.context // 4) // step) * step
        inputs = Inputs(
            context=self.context, lookahead=config.objective.lookahead(step), known=config.known, past=config.past
        )
        self.tokenizer = config.tokenizer.build(inputs)
        width, P = config.core.width, self.tokenizer.token_width
        self.channels = config.objective.noise_channels
        entry = 2 * P + self.tokenizer.extra_width + self.channels
        if config.embed == "none":
            if width != P:
                raise ValueError(f"embed 'none' expects a core of the token's width {P}, found {width}")
            self.embed: nn.Module = nn.Identity()
        else:
            self.embed = nn.Linear(entry, width) if config.embed == "linear" else ResidualEmbedding(entry, width)
        self.static = nn.Linear(config.static, width) if config.static else None
        self.label = nn.Embedding(config.labels, width) if config.labels else None
        self.core = config.core.build()
        tokens = self.tokenizer.count(self.context)
        self.head = config.head.build(*config.objective.head_shape(width, tokens, self.tokenizer))

    @property
    def streams(self) -> bool:
        """Whether the past can be encoded once and cached: tokenizer, core and objective are all causal."""
        return self.tokenizer.causal and self.core.config.causal and self.objective.causal

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return next(self.head.parameters()).dtype

    @property
    def reach(self) -> int:
        """Steps that one reading of the head covers."""
        return self.objective.reach(self.tokenizer.step)

    def hidden(
        self,
        tokens: Tokens,
        window: Window,
        *,
        at: Coordinates | None = None,
        noise_BNC: Tensor | None = None,
        cache: Cache | None = None,
        stats: list[Any] | None = None,
    ) -> Tensor:
        """Return the hidden states of tokens, [B, N, D].

        Parameters
        ----------
        tokens : Tokens
            New tokens.
        window : Window
            Gives the items' static features and labels.
        at : Coordinates, optional
            Coordinates to use instead of the tokens' own.
        noise_BNC : Tensor, optional
            The objective's own channels; 0 by default.
        cache : Cache, optional
            The tokens before, extended by the new ones.
        stats : list, optional
            Receives routing statistics.
        """
        x_BND = tokens.x_BNP
        if self.config.embed != "none":
            parts = [tokens.x_BNP, tokens.seen_BNP.float()]
            if tokens.extra_BNE is not None:
                parts.append(tokens.extra_BNE)
            if self.channels:
                rows, N = tokens.x_BNP.shape[:2]
                parts.append(tokens.x_BNP.new_zeros(rows, N, self.channels) if noise_BNC is None else noise_BNC)
            x_BND = self.embed(torch.cat(parts, -1).to(self.dtype))
        return self.core(self._condition(x_BND, window), at or tokens.coordinates, cache, stats)

    def _condition(self, x_BND: Tensor, window: Window) -> Tensor:
        for name, module, part in (("static", self.static, window.static_BF), ("label", self.label, window.label_B)):
            if (module is None) != (part is None):
                there, given = ("no" if module is None else "a"), ("none" if part is None else "one")
                raise ValueError(f"the model was built with {there} {name} input, the window has {given}")
            if module is not None and part is not None:
                part = part.nan_to_num().to(self.dtype) if name == "static" else part.long()
                if name == "static" and part.shape[1] != self.config.static:
                    raise ValueError(f"expected {self.config.static} static features, found {part.shape[1]}")
                bias_BD = module(part)
                x_BND = x_BND + bias_BD.repeat_interleave(x_BND.shape[0] // len(bias_BD), dim=0)[:, None]
        return x_BND

    def loss(self, window: Window, generator: torch.Generator | None = None, reduce: bool = True) -> Tensor:
        """Return the training loss of a window whose last steps are what is to be predicted.

        Parameters
        ----------
        window : Window
            Items of equal length, filled with NaN where there is nothing.
        generator : torch.Generator, optional
            Source of the objective's and the head's noise.
        reduce : bool
            One mean over all seen targets (default), or one mean per item (without the balancing loss).
        """
        stats: list[Any] = []
        loss_BN, weight_BN = self.objective.loss(self, window, generator, stats)
        loss_BN = torch.where(weight_BN > 0, loss_BN, 0.0)
        if not reduce:
            items = len(window.y_BVL)
            loss_BN, weight_BN = loss_BN.reshape(items, -1), weight_BN.reshape(items, -1)
            return (loss_BN * weight_BN).sum(1) / weight_BN.sum(1).clamp(min=1e-12)
        total = (loss_BN * weight_BN).sum() / weight_BN.sum().clamp(min=1e-12)
        balance = balancing(stats)
        return total if balance is None else total + self.config.balance * balance

    @torch.no_grad()
    def routing(self, window: Window, generator: torch.Generator | None = None) -> list[Any]:
        """Return how each routing layer spread a window's tokens (see `tsar.nn.ffn.moe.Routing`), layer by layer."""
        stats: list[Any] = []
        self.objective.loss(self, window, generator, stats)
        return stats

    def forward(self, window: Window, generator: torch.Generator | None = None) -> Tensor:
        """Return `loss(window, generator)`: what wrappers for several processes call."""
        return self.loss(window, generator)

    def save_pretrained(self, directory: str | Path) -> None:
        """Write the model to a directory; see `tsar.model_store.save`."""
        from tsar.model_store import save

        save(self, Path(directory))

    @classmethod
    def from_pretrained(cls, name: str | Path, revision: str | None = None) -> TSAR:
        """Read a model from a directory, a bundled name or a hub repository; see `tsar.model_store.load`."""
        from tsar.model_store import load

        return load(name, revision)


class ResidualEmbedding(nn.Module):
    """W x + W2 silu(W1 x)."""

    def __init__(self, entry: int, width: int) -> None:
        super().__init__()
        self.skip, self.up, self.down = nn.Linear(entry, width), nn.Linear(entry, width), nn.Linear(width, width)

    def forward(self, x_BNE: Tensor) -> Tensor:
        """Return the embedded tokens."""
        return self.skip(x_BNE) + self.down(nn.functional.silu(self.up(x_BNE)))
