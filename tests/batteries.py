"""What every part of a kind must do: run over all parts found in a folder, so a new part is tested by being a file.

The battery of heads is in `tests/head_battery.py`.
Legend: B rows, V variates, L steps, N tokens, P token width, D core width.
"""

from __future__ import annotations

import copy
import itertools
import json

import torch
from torch import Tensor

from tsar.nn.core import Cache, CoreConfig
from tsar.part import Part, names, resolve
from tsar.tokenizer import Inputs, Tokenizer
from tsar.tokens import Coordinates, Tokens, Window

WIDTH = 32


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> bool:
    """Equal within `tolerance` of the largest magnitude of b; NaN equals nothing."""
    return a.shape == b.shape and bool((a - b).abs().max() <= tolerance * b.abs().max().clamp(min=1e-6))


def every_part(slot: str) -> list[str]:
    """Names of the slot's parts: what a battery runs over."""
    found = names(slot)
    assert found, f"no parts in {slot}"
    return found


# --- tokenizers ---------------------------------------------------------------------------------------------------


def series(items: int = 3, variates: int = 2, length: int = 96, seed: int = 0) -> Tensor:
    """Random walks at several levels with gaps, a late start and a whole missing stretch."""
    y_BVL = torch.randn(items, variates, length, generator=rng(seed), dtype=torch.float64).cumsum(-1)
    y_BVL = y_BVL * torch.tensor([1.0, 50.0, 1e-3][:items], dtype=torch.float64)[:, None, None] + 7
    y_BVL[0, :, :20] = torch.nan
    y_BVL[1, 0, 40:60] = torch.nan
    y_BVL[torch.rand(y_BVL.shape, generator=rng(1)) < 0.05] = torch.nan
    return y_BVL


def decoded(tokenizer: Tokenizer, tokens: Tokens) -> Tensor:
    return tokenizer.decode(tokens.x_BNP, tokens.loc_BN1, tokens.scale_BN1)


def tokenizer_battery(config: Part, variates: int = 2, length: int = 96) -> None:
    """Chunked = whole, decode of encode = identity on seen values, causal, affine equivariant, safe for anything."""
    assert resolve("tokenizers", json.loads(json.dumps(config.to_dict()))) == config
    inputs = Inputs(context=length, lookahead=8, known=1, past=1)
    tokenizer = config.build(inputs)
    y_BVL = series(variates=variates, length=length)
    window = Window(
        y_BVL,
        known_BKT=torch.randn(3, 1, length + 8, generator=rng(2)),
        past_BCL=torch.randn(3, 1, length, generator=rng(3)),
    )
    tokens, _ = tokenizer.encode(window)
    rows, N, P = tokens.x_BNP.shape
    assert (P, tokens.extra_BNE.shape[-1]) == (tokenizer.token_width, tokenizer.extra_width)
    assert N == tokenizer.count(length) * tokenizer.frontier(variates)
    for part in tokens:
        assert part.shape[:2] == (rows, N) and bool(part.isfinite().all())
    assert bool((tokens.x_BNP[~tokens.seen_BNP] == 0).all())

    # identity on seen values: every seen raw value is found again where the tokenizer put it
    if tokenizer.chained:
        seen_y = tokenizer.series(torch.where(tokens.seen_BNP, decoded(tokenizer, tokens), torch.nan), variates)
        seen_y = seen_y[..., -length:]
        assert torch.equal(seen_y.isnan(), y_BVL.isnan())
        assert close(seen_y.nan_to_num(), y_BVL.nan_to_num(), 1e-6)

    # affine: values a y + b give the same tokens at loc' = a loc + b, scale' = a scale
    moved, _ = tokenizer.encode(window._replace(y_BVL=3.0 * y_BVL - 40.0))
    if not torch.equal(moved.loc_BN1, tokens.loc_BN1):  # unscaled tokenizers make no such claim
        assert close(moved.x_BNP, tokens.x_BNP) or bool((tokens.scale_BN1 == 1).all())
        assert close(moved.extra_BNE, tokens.extra_BNE)
        there = tokens.seen_BNP
        assert close(decoded(tokenizer, moved)[there], 3.0 * decoded(tokenizer, tokens)[there] - 40.0, 1e-6)

    if tokenizer.causal:
        _causal_and_chunked(tokenizer, window, tokens)
    for bad in (torch.full_like(y_BVL, torch.nan), torch.full_like(y_BVL, 4.2), y_BVL * 1e30, y_BVL * 1e-30):
        odd, _ = tokenizer.encode(window._replace(y_BVL=bad))
        assert all(bool(part.isfinite().all()) for part in odd)


def _causal_and_chunked(tokenizer: Tokenizer, window: Window, whole: Tokens) -> None:
    y_BVL, F, step = window.y_BVL, tokenizer.frontier(window.y_BVL.shape[1]), tokenizer.step
    cut = y_BVL.shape[-1] // step // 2 * step  # first step of the second half's tokens
    other = window._replace(y_BVL=y_BVL.clone(), past_BCL=window.past_BCL.clone())
    other.y_BVL[..., cut:] = 1e3
    other.past_BCL[..., cut:] = 1e3
    changed, _ = tokenizer.encode(other)
    for a, b in zip(changed, whole, strict=True):
        assert torch.equal(a[:, : cut // step * F], b[:, : cut // step * F])

    ahead, state, pieces = tokenizer.covariates.inputs.lookahead, None, []
    ends = [cut, cut + step, cut + step, y_BVL.shape[-1]] if step < cut else [cut, y_BVL.shape[-1]]
    for start, end in itertools.pairwise([0, *ends]):
        known, past = window.known_BKT[..., start : end + ahead], window.past_BCL[..., start:end]
        part = Window(y_BVL[..., start:end], known, past)
        if end > start:
            tokens, state = tokenizer.encode(part, state)
            pieces.append(tokens)
    for parts, b in zip(zip(*pieces, strict=True), whole, strict=True):
        assert close(torch.cat(parts, 1).double(), b.double())


# --- mixers and the core ------------------------------------------------------------------------------------------


def row_of_tokens(rows: int = 4, N: int = 80, seed: int = 0) -> tuple[Tensor, Coordinates]:
    """Embedded tokens and plain coordinates: one variate, all valid but two inner gaps."""
    x_BND = torch.randn(rows, N, WIDTH, generator=rng(seed))
    time_BN = torch.arange(N).repeat(rows, 1)
    valid_BN = torch.ones(rows, N, dtype=torch.bool)
    valid_BN[1, 30:33] = False
    return x_BND, Coordinates(time_BN, torch.zeros_like(time_BN), valid_BN)


@torch.no_grad()
def core_battery(config: CoreConfig) -> None:
    """Cached = full, causal, blind to left padding, equivariant to the batch's order, and bf16 near fp32."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        core = config.build().eval()
    x_BND, at = row_of_tokens()
    full = core(x_BND, at)
    assert full.shape == x_BND.shape and bool(full.isfinite().all())

    order = torch.tensor([2, 0, 3, 1])
    assert close(core(x_BND[order], at.each(lambda part: part[order])), full[order])
    assert close(core(x_BND[:1], at.each(lambda part: part[:1])), full[:1])

    pad = 5  # unseen tokens on the left, as a shorter series has beside longer ones
    junk = torch.cat([torch.randn(4, pad, WIDTH, generator=rng(9)), x_BND], 1)
    padded = Coordinates(
        torch.cat([torch.full((4, pad), -1), at.time_BN], 1),
        torch.cat([torch.zeros(4, pad, dtype=torch.long), at.variate_BN], 1),
        torch.cat([torch.zeros(4, pad, dtype=torch.bool), at.valid_BN], 1),
    )
    assert close(core(junk, padded)[:, pad:], full)

    half = copy.deepcopy(core).to(torch.bfloat16)(x_BND.bfloat16(), at).float()
    assert (half - full).norm() <= 0.03 * full.norm()

    if config.causal:
        other = x_BND.clone()
        other[:, 50:] = torch.randn(4, 30, WIDTH, generator=rng(8))
        changed = core(other, at)
        assert close(changed[:, :50], full[:, :50]) and not close(changed[:, 50:], full[:, 50:])
        cache, pieces = Cache(), []
        for start, end in itertools.pairwise([0, 7, 8, 10, 70, 71, 80]):
            pieces.append(core(x_BND[:, start:end], at.each(lambda part, a=start, b=end: part[:, a:b]), cache))
            if start == 8:
                cache = Cache.from_tensors(cache.repeat().to_tensors())  # a copy, written and read back, is as good
        assert close(torch.cat(pieces, 1), full)
        twice = cache.repeat(2)
        assert twice.length == cache.length == 80 and all(len(t) == 8 for t in twice.to_tensors().values())
