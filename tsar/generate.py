"""The one autoregressive loop: encode the context once, then read the head, decode, and encode what was decoded.

Legend: B items, S paths per item, V variates, H steps asked for, T steps per reading, F tokens of one time, D core
width, Q levels, R rows (items x paths, times variates where they are independent).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tsar.model import TSAR
from tsar.nn.core import Cache
from tsar.objective import Frontier
from tsar.objectives.next_token import last
from tsar.tokenizer import State
from tsar.tokens import Window


class Rollout:
    """A model's place in a series: the past is encoded, the next steps can be read from `frontier`.

    Streaming models keep a cache and encode only what `advance` brings; others encode their whole context anew. All
    is exact: a rollout that advanced equals one started from the longer window, as long as both start at the same step.

    Parameters
    ----------
    model : TSAR
        In evaluation mode.
    window : Window
        The context; known covariates may reach as far ahead as there are.
    cached : bool
        False re-encodes the past at every step, as a reference.
    """

    @torch.inference_mode()
    def __init__(self, model: TSAR, window: Window, *, cached: bool = True) -> None:
        if model.training:
            raise ValueError("expected a model in evaluation mode: call model.eval() first")
        self.model, self.window = model, window
        self.cache = Cache() if cached and model.streams else None
        self.state: State | None = None
        self.variates = window.y_BVL.shape[1]
        self.frontier: Frontier
        if self.cache is None:
            self._encode_all()
        else:
            self.end = window.y_BVL.shape[-1]
            self._encode(window)

    def _encode(self, chunk: Window) -> None:
        tokens, self.state = self.model.tokenizer.encode(chunk, self.state)
        h_BND = self.model.hidden(tokens, chunk, cache=self.cache)
        self.frontier = last(h_BND, tokens, self.model.tokenizer.frontier(self.variates))

    def _encode_all(self) -> None:
        self.frontier = self.model.objective.frontier(self.model, self.window)

    @torch.inference_mode()
    def repeat(self, n: int = 1) -> Rollout:
        """Return an independent copy with each item `n` times in a row; the context is not encoded again."""
        new = object.__new__(Rollout)
        new.model, new.variates, new.window = self.model, self.variates, self.window.repeat(n)
        new.cache = None if self.cache is None else self.cache.repeat(n)
        new.state = None if self.state is None else self.state.repeat(n)
        new.frontier = self.frontier.repeat(n)
        if self.cache is not None:
            new.end = self.end
        return new

    @torch.inference_mode()
    def advance(self, y_BVT: Tensor) -> None:
        """Append values, observed or generated: whole tokens where the model streams, any number otherwise."""
        if self.cache is None:
            self.window = self.window.append(y_BVT)
            self._encode_all()
            return
        known_BKT, past_BCT = self.window.known_BKT, None
        if known_BKT is not None:
            upto = self.end + y_BVT.shape[-1] + self.model.reach
            short = max(0, upto - known_BKT.shape[-1])
            known_BKT = torch.nn.functional.pad(known_BKT[..., self.end : upto], (0, short), value=torch.nan)
        if self.window.past_BCL is not None:
            past_BCT = torch.full_like(self.window.past_BCL[..., :1], torch.nan).expand(-1, -1, y_BVT.shape[-1])
        self.extend(self.window._replace(y_BVL=y_BVT, known_BKT=known_BKT, past_BCL=past_BCT))

    def extend(self, chunk: Window) -> None:
        """Append observed steps, whole tokens, with the covariates that came with them; for models that stream."""
        self.end += chunk.y_BVL.shape[-1]
        self._encode(chunk)

    @torch.inference_mode()
    def read(self, head: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply one of the head's methods to the frontier and return raw series [items, V, T], or [.., Q, T].

        `head` maps hidden states [R, D] to scaled values [R, T] or [R, T, Q].
        """
        h_BFD, loc_BF1, scale_BF1 = self.frontier
        B, F, D = h_BFD.shape
        x = head(h_BFD.reshape(B * F, D))
        if x.ndim == 2:
            y_BFT = self.model.tokenizer.decode(x.view(B, F, -1), loc_BF1, scale_BF1)
            return self.model.tokenizer.series(y_BFT, self.variates)
        levels = [self.model.tokenizer.decode(x_RT.view(B, F, -1), loc_BF1, scale_BF1) for x_RT in x.unbind(-1)]
        return torch.stack([self.model.tokenizer.series(y_BFT, self.variates) for y_BFT in levels], -1)


@torch.inference_mode()
def generate(
    model: TSAR,
    window: Window | Rollout,
    steps: int,
    *,
    num_samples: int | None = None,
    generators: Sequence[torch.Generator] | None = None,
    cached: bool = True,
) -> Tensor:
    """Continue series by any number of steps.

    Parameters
    ----------
    model : TSAR
        In evaluation mode.
    window : Window or Rollout
        The context, or a rollout that has encoded it (which stays as it is).
    steps : int
        Steps to generate.
    num_samples : int, optional
        Paths per item, each drawn step by step given its own past; None gives the mean path, S = 1.
    generators : sequence of torch.Generator, optional
        One per item; needed for samples.
    cached : bool
        False re-encodes the past at every step, as a reference.

    Returns
    -------
    y_BSVH : Tensor
        Raw values, float64 where the device has it.

    Raises
    ------
    ValueError
        If `steps` or `num_samples` is not positive, or generators are missing.
    """
    start = _start(model, window, steps, cached)
    items = len(start.window.y_BVL)
    if num_samples is None:
        paths, head = 1, model.head.mean
    else:
        if num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, found {num_samples}")
        if generators is None or len(generators) != items:
            found = None if generators is None else len(generators)
            raise ValueError(f"samples need one generator per item: expected {items}, found {found}")
        paths = num_samples

        def head(h_RD: Tensor) -> Tensor:
            return model.head.sample(h_RD, generators)

    rollout = start.repeat(paths)
    pieces: list[Tensor] = []
    for size in _sizes(model, steps, independent=num_samples is not None and not model.objective.joint):
        if pieces:
            rollout.advance(pieces[-1])
        pieces.append(rollout.read(head)[..., :size])
    y_XVH = torch.cat(pieces, -1)[..., :steps]
    return y_XVH.view(items, paths, *y_XVH.shape[1:])


def _sizes(model: TSAR, steps: int, independent: bool = False) -> list[int]:
    """Steps kept of each reading of the head, in the model's order; whole tokens where the model streams."""
    unit = model.tokenizer.step if model.streams else 1
    most = model.tokenizer.step if independent else model.reach
    return [len(group) * unit for group in model.config.order.groups(-(-steps // unit), most // unit)]


def _start(model: TSAR, window: Window | Rollout, steps: int, cached: bool) -> Rollout:
    if steps < 1:
        raise ValueError(f"steps must be at least 1, found {steps}")
    return window if isinstance(window, Rollout) else Rollout(model, window, cached=cached)


@torch.inference_mode()
def generate_quantiles(
    model: TSAR, window: Window | Rollout, steps: int, levels: Sequence[float], *, paths: int = 10
) -> Tensor:
    """Quantiles of every step, over any number of steps, without draws.

    What one reading of the head covers comes from `head.quantiles` itself. Beyond it, each item goes on as `paths`
    of equal weight, path i at the middle of the i-th of `paths` equal shares of the distribution at every step; the
    quantiles of a step are those of the mixture of what the head says on each path. The spread therefore keeps growing
    as the head has learnt it, instead of collapsing onto the spread around one fed-back path.

    Parameters
    ----------
    model : TSAR
        In evaluation mode.
    window : Window or Rollout
        The context, or a rollout that has encoded it (which stays as it is).
    steps : int
        Steps to forecast.
    levels : sequence of float
        Levels in (0, 1).
    paths : int
        Paths carried beyond the first reading.

    Returns
    -------
    y_BVHQ : Tensor
        Raw values, ascending in the level.
    """
    rollout = _start(model, window, steps, cached=True)
    items = len(rollout.window.y_BVL)
    wanted = [*levels, *((i + 0.5) / paths for i in range(paths))]
    pieces: list[Tensor] = []
    for size in _sizes(model, steps):
        if not pieces:
            now_BVTQ = _at(rollout, sorted(set(wanted)), wanted)
        else:
            rollout = rollout.repeat(paths) if len(pieces) == 1 else rollout
            rollout.advance(pieces[-1][..., len(levels) :].permute(0, 3, 1, 2).flatten(0, 1))
            dense_XVTG = _at(rollout, GRID, GRID)
            dense_BVTX = dense_XVTG.view(items, paths, *dense_XVTG.shape[1:]).permute(0, 2, 3, 1, 4).flatten(-2)
            now_BVTQ = mixture_quantiles(dense_BVTX, _shares(dense_BVTX).repeat(paths) / paths, wanted)
        pieces.append(now_BVTQ[..., :size, :])
    return torch.cat(pieces, -2)[..., :steps, : len(levels)]


GRID = (0.001, 0.005, 0.01, 0.025, *(i / 20 for i in range(1, 20)), 0.975, 0.99, 0.995, 0.999)


def _at(rollout: Rollout, ascending: Sequence[float], wanted: Sequence[float]) -> Tensor:
    y_BVTQ = rollout.read(lambda h_RD: rollout.model.head.quantiles(h_RD, ascending))
    return y_BVTQ[..., [ascending.index(level) for level in wanted]]


def _shares(like: Tensor) -> Tensor:
    """Probability that each level of `GRID` stands for: half way to its neighbours."""
    edges = [0.0, *((a + b) / 2 for a, b in itertools.pairwise(GRID)), 1.0]
    return torch.tensor([b - a for a, b in itertools.pairwise(edges)], dtype=like.dtype, device=like.device)


def mixture_quantiles(value_BVTX: Tensor, weight_X: Tensor, levels: Sequence[float]) -> Tensor:
    """Quantiles of weighted values along the last axis, linear between the middles of their shares."""
    value_BVTX, order_BVTX = value_BVTX.sort(-1)
    share_BVTX = weight_X[order_BVTX]
    middle_BVTX = share_BVTX.cumsum(-1) - share_BVTX / 2
    level_BVTQ = torch.tensor(levels, dtype=value_BVTX.dtype, device=value_BVTX.device)
    level_BVTQ = level_BVTQ.expand(*value_BVTX.shape[:-1], -1).contiguous()
    above = torch.searchsorted(middle_BVTX.contiguous(), level_BVTQ).clamp(1, value_BVTX.shape[-1] - 1)
    lo, hi = middle_BVTX.gather(-1, above - 1), middle_BVTX.gather(-1, above)
    part = ((level_BVTQ - lo) / (hi - lo)).clamp(0, 1)
    return torch.lerp(value_BVTX.gather(-1, above - 1), value_BVTX.gather(-1, above), part)
