"""The shared transformer: pre-norm blocks of a sequence mixer and a feed-forward, and the cache its caller owns.

Legend: B rows, N new tokens, M cached + new tokens, D core width, G key/value heads, R a position in a cache buffer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from tsar.nn.masks import CAUSAL, MASKS
from tsar.part import Part, resolve
from tsar.tokens import Coordinates


class Cache:
    """What a core remembers of the tokens it has seen; created, kept, copied and repeated by the caller.

    Buffers grow by doubling, so that a step of decoding costs the same whatever its position. For inference only.
    """

    def __init__(self) -> None:
        self.length = 0
        self.at: Coordinates | None = None  # of every cached token
        self._buffers: dict[tuple[int | str, int], Tensor] = {}  # (layer, which) -> [B, G, R, ...], R >= length
        self._states: dict[int, tuple[Tensor, ...]] = {}  # layer -> recurrent state after the last token

    def extend(self, at: Coordinates) -> Coordinates:
        """Add the coordinates of new tokens and return those of all tokens; `length` counts them from now on."""
        self.length += at.time_BN.shape[1]
        parts = [None if part is None else self._grow(("at", i), part, 1) for i, part in enumerate(at)]
        self.at = Coordinates(*parts)  # type: ignore[arg-type]
        return self.at

    def append(self, layer: int, *new: Tensor) -> tuple[Tensor, ...]:
        """Add one layer's keys and values, [B, G, N, ...] each, and return those of all tokens."""
        return tuple(self._grow((layer, i), part, 2) for i, part in enumerate(new))

    def _grow(self, name: tuple[int | str, int], new: Tensor, axis: int) -> Tensor:
        start = self.length - new.shape[axis]
        buffer = self._buffers.get(name)
        if buffer is None or buffer.shape[axis] < self.length:
            shape = list(new.shape)
            shape[axis] = max(64, 2 * self.length)
            grown = new.new_zeros(shape)
            if buffer is not None:
                grown.narrow(axis, 0, start).copy_(buffer.narrow(axis, 0, start))
            buffer = self._buffers[name] = grown
        buffer.narrow(axis, start, new.shape[axis]).copy_(new)
        return buffer.narrow(axis, 0, self.length)

    def state(self, layer: int) -> tuple[Tensor, ...] | None:
        """Return the recurrent state of a layer, None before its first token."""
        return self._states.get(layer)

    def set_state(self, layer: int, *state: Tensor) -> None:
        """Keep the recurrent state of a layer after the last token."""
        self._states[layer] = state

    def repeat(self, n: int = 1) -> Cache:
        """Return an independent copy with each row `n` times in a row (item-major); `repeat()` is a snapshot."""
        new = Cache()
        new.length = self.length
        for name, buffer in self._buffers.items():
            new._buffers[name] = buffer.repeat_interleave(n, dim=0) if n > 1 else buffer.clone()
        for layer, state in self._states.items():
            new._states[layer] = tuple(part.repeat_interleave(n, dim=0) for part in state)
        new._view()
        return new

    def truncate(self, length: int) -> None:
        """Forget every token from position `length` on.

        Raises
        ------
        ValueError
            If more tokens are asked for than there are, or if a layer keeps a recurrent state, which cannot go back:
            take a snapshot with `repeat()` before the tokens that are to be forgotten.
        """
        if not 0 <= length <= self.length:
            raise ValueError(f"cache of {self.length} tokens: expected a length up to that, found {length}")
        if self._states and 0 < length < self.length:
            raise ValueError("a recurrent state cannot be truncated: take a snapshot with cache.repeat() beforehand")
        if length == 0:
            self._states.clear()
        self.length = length
        self._view()

    def _view(self) -> None:
        held = {name[1]: buffer[:, : self.length] for name, buffer in self._buffers.items() if name[0] == "at"}
        self.at = Coordinates(held[0], held[1], held[2], held.get(3)) if held else None

    def to_tensors(self) -> dict[str, Tensor]:
        """Return the cache as named tensors, to be saved."""
        out = {}
        for (layer, which), buffer in self._buffers.items():
            axis = 1 if layer == "at" else 2
            out[f"buffer.{layer}.{which}"] = buffer.narrow(axis, 0, self.length).contiguous()
        for layer_index, state in self._states.items():
            out |= {f"state.{layer_index}.{i}": part.contiguous() for i, part in enumerate(state)}
        return out

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Cache:
        """Rebuild a cache from what `to_tensors` gave."""
        new = cls()
        states: dict[int, dict[int, Tensor]] = {}
        for name, tensor in tensors.items():
            kind, layer, which = name.split(".")
            if kind == "state":
                states.setdefault(int(layer), {})[int(which)] = tensor
            else:
                new._buffers["at" if layer == "at" else int(layer), int(which)] = tensor.clone()
        new._states = {layer: tuple(parts[i] for i in sorted(parts)) for layer, parts in states.items()}
        times = new._buffers.get(("at", 0))
        new.length = 0 if times is None else times.shape[1]
        new._view()
        return new


class Sight(NamedTuple):
    """Which keys each new token may attend to.

    Parameters
    ----------
    see_BNM : Tensor, optional
        Booleans, of B or of 1 rows, for the keys from `first` on; None where every token may attend to all of them.
    first : int
        Keys before it lie beyond every new token's span.
    triangle : bool
        True where token n sees exactly the keys 0 .. n: the case that fused kernels know without a mask.
    """

    see_BNM: Tensor | None
    first: int = 0
    triangle: bool = False


def sight(mask: str, span: int | None, at: Coordinates, keys: Coordinates) -> Sight:
    """Return which keys each new token may attend to.

    The new tokens are the last N of the M keys. A token always attends to itself, so no row is empty.
    """
    fixed = torch.compiler.is_compiling()  # a graph cannot branch on values: its mask is always spelt out
    N, first = at.time_BN.shape[1], 0
    if span is not None and keys is not at and not fixed:
        near_BM = keys.time_BN > at.time_BN.amin(1, keepdim=True) - span
        first = int(near_BM.any(0).nonzero()[0])  # there is one: a token is near itself
        keys = keys.each(lambda part: part[:, first:])
    M = keys.time_BN.shape[1]
    if mask == "causal" and N == M > 1 and not fixed:
        near_B = at.time_BN[:, -1] - at.time_BN[:, 0] < (span or torch.inf)
        if bool(at.valid_BN.all() and (at.time_BN.diff(dim=1) > 0).all() and near_B.all()):
            return Sight(torch.ones(1, N, N, dtype=torch.bool, device=at.time_BN.device).tril_(), triangle=True)
    see_BNM = MASKS[mask](at, keys) & keys.valid_BN[:, None, :]
    if span is not None:
        see_BNM &= keys.time_BN[:, None, :] > at.time_BN[:, :, None] - span
    see_BNM.diagonal(M - N, 1, 2).fill_(True)
    return Sight(None if not fixed and bool(see_BNM.all()) else see_BNM, first)


@dataclass(frozen=True, kw_only=True)
class CoreConfig(Part):
    """Options of the core.

    Parameters
    ----------
    width : int
        Width of the hidden states.
    depth : int
        Number of blocks; 0 passes the embedded tokens on as they are.
    mixer, ffn : str, Part or mapping
        Parts of "nn.mixers" and "nn.ffn".
    mask : str
        A name in `tsar.nn.masks.MASKS`.
    span : int, optional
        Most tokens back in time that a token attends to; everything by default.
    dropout : float
        Share of each block's output dropped in training.
    """

    width: int = 128
    depth: int = 3
    mixer: Any = "softmax"
    ffn: Any = "swiglu"
    mask: str = "causal"
    span: int | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "mixer", resolve("nn.mixers", self.mixer))
        object.__setattr__(self, "ffn", resolve("nn.ffn", self.ffn))
        if self.mask not in MASKS:
            raise ValueError(f"unknown mask {self.mask!r}: expected one of {', '.join(MASKS)}")
        if self.width < 1 or self.depth < 0:
            raise ValueError(f"expected width >= 1 and depth >= 0, found {self.width} and {self.depth}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), found {self.dropout}")
        if self.span is not None and (self.span < 1 or not getattr(self.mixer, "spans", True)):
            raise ValueError(f"span must be at least 1 token and the mixer one with a mask, found {self.span}")

    @property
    def causal(self) -> bool:
        """Whether no token sees a later time, so that the past can be cached."""
        return self.mask in CAUSAL

    def build(self) -> Core:
        """Build the core."""
        return Core(self)


class Block(nn.Module):
    """x + mixer(norm(x)), then x + ffn(norm(x))."""

    def __init__(self, config: CoreConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.mixer_norm = nn.LayerNorm(config.width, bias=False)
        self.mixer = config.mixer.build(config.width, config.mask)
        self.ffn_norm = nn.LayerNorm(config.width, bias=False)
        self.ffn = config.ffn.build(config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x_BND: Tensor, shared: Any, cache: Cache | None, stats: list[Any] | None) -> Tensor:
        """Return the block's output, [B, N, D]."""
        x_BND = x_BND + self.dropout(self.mixer(self.mixer_norm(x_BND), shared, self.layer, cache))
        return x_BND + self.dropout(self.ffn(self.ffn_norm(x_BND), stats))


class Core(nn.Module):
    """Pre-norm transformer whose mask and positions come from token coordinates.

    A mixer is a module with two methods: `share(at, keys, sight)` computes once per forward pass what all layers
    need (rotary angles, masks), and `forward(x_BND, shared, layer, cache)` mixes.
    """

    def __init__(self, config: CoreConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.depth))
        self.norm = nn.LayerNorm(config.width, bias=False) if config.depth else nn.Identity()

    def forward(
        self, x_BND: Tensor, at: Coordinates, cache: Cache | None = None, stats: list[Any] | None = None
    ) -> Tensor:
        """Return hidden states of the new tokens.

        Parameters
        ----------
        x_BND : Tensor
            Embedded new tokens.
        at : Coordinates
            Their coordinates.
        cache : Cache, optional
            The tokens before them; it is extended by the new ones.
        stats : list, optional
            Feed-forwards that route append their routing statistics to it.
        """
        if not self.blocks:
            return x_BND
        if cache is not None and not self.config.causal:
            raise ValueError(f"mask {self.config.mask!r} lets tokens see later ones: expected no cache")
        keys = at if cache is None else cache.extend(at)
        seen = sight(self.config.mask, self.config.span, at, keys)
        shared = cast(Block, self.blocks[0]).mixer.share(at, keys, seen)
        for block in self.blocks:
            x_BND = block(x_BND, shared, cache, stats)
        return self.norm(x_BND)


def balancing(stats: Sequence[Any]) -> Tensor | None:
    """Mean balancing loss over the routing statistics of a forward pass; None where nothing was routed."""
    return torch.stack([entry.balance for entry in stats]).mean() if stats else None
