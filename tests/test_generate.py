"""Generation: cached = re-encoded, alone = in batch, any horizon, and spreads that grow with it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.batteries import close, every_part, rng
from tsar.generate import Rollout, generate, generate_quantiles, mixture_quantiles
from tsar.model import TSAR, ModelConfig
from tsar.nn.core import CoreConfig
from tsar.objectives.direct import Direct
from tsar.objectives.masked import Masked
from tsar.objectives.next_token import NextToken
from tsar.orders.causal import Causal
from tsar.tokenizers.identity import Identity
from tsar.tokenizers.patch import Patch
from tsar.tokens import Window

BOTH_WAYS = CoreConfig(width=32, depth=2, mask="bidirectional")
SYSTEMS: dict[str, dict[str, Any]] = {
    **{name: {"core": CoreConfig(width=32, depth=2, mixer=name)} for name in every_part("nn.mixers")},
    "ahead": {"objective": NextToken(ahead=3)},
    "joint": {"tokenizer": Patch(size=8, joint=True)},
    "point": {"tokenizer": "point", "context": 40},
    "span": {"core": CoreConfig(width=32, depth=2, span=6)},
    "identity": {"tokenizer": Identity(channels=2), "context": 40},
    "direct": {"core": BOTH_WAYS, "objective": Direct(horizon=20)},
    "masked": {"core": BOTH_WAYS, "objective": Masked(horizon=20), "tokenizer": Patch(size=8, norm="window")},
    "denoise": {"core": CoreConfig(width=32, depth=2, mask="denoise"), "objective": "denoise"},
}


def small(**options: Any) -> TSAR:
    words = {"tokenizer": Patch(size=8), "core": CoreConfig(width=32, depth=2), "context": 96} | options
    model = TSAR(ModelConfig(**words)).eval()
    with torch.no_grad():  # an untrained head may say nothing of the hidden state
        for index, parameter in enumerate(model.head.parameters()):
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng(index)))
    return model


def window(length: int = 91) -> Window:
    y_BVL = torch.randn(3, 2, length, generator=rng(), dtype=torch.float64).cumsum(-1)
    y_BVL = y_BVL * torch.tensor([1.0, 300.0, 1e-3], dtype=torch.float64)[:, None, None] + 20
    y_BVL[0, :, :30] = torch.nan  # a shorter series
    y_BVL[1, 0, 40:60] = torch.nan  # a gap
    return Window(y_BVL)


def generators(*seeds: int) -> list[torch.Generator]:
    return [rng(seed) for seed in seeds]


def each(a: Tensor, b: Tensor) -> bool:
    """Close item by item, so that a large item does not hide a small one."""
    return all(close(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("options", SYSTEMS.values(), ids=SYSTEMS)
def test_every_system_generates_exactly(options: dict[str, Any]) -> None:
    model, past = small(**options), window()
    mean = generate(model, past, 50)
    assert mean.shape == (3, 1, 2, 50) and bool(mean.isfinite().all())
    assert each(generate(model, past, 50, cached=False), mean)
    assert each(generate(model, past, 13), mean[..., :13])

    paths = generate(model, past, 30, num_samples=4, generators=generators(5, 6, 7))
    assert paths.shape == (3, 4, 2, 30) and paths.std(1).min() > 0
    order = torch.tensor([2, 0])
    some = Window(past.y_BVL[order])
    assert each(generate(model, some, 30, num_samples=4, generators=generators(7, 5)), paths[order])
    alone = Window(past.y_BVL[:1, :, 30:] if model.streams else past.y_BVL[:1])
    assert each(generate(model, alone, 50), mean[:1])

    levels = [0.01, 0.1, 0.5, 0.9]
    quantiles = generate_quantiles(model, past, 50, levels)
    assert quantiles.shape == (3, 2, 50, 4) and bool((quantiles.diff(dim=-1) >= 0).all())
    assert each(generate_quantiles(model, some, 50, levels), quantiles[order])


@pytest.mark.parametrize("name", ["softmax", "linear", "companion", "ahead", "joint", "identity", "direct"])
def test_advancing_equals_starting_later(name: str) -> None:
    """The start of the context lies still, so appended observations never change what was encoded."""
    model = small(**SYSTEMS[name])
    known_BKT = torch.randn(3, 1, 200, generator=rng(4))
    model = small(**SYSTEMS[name], known=1, past=1)
    past_BCL = torch.randn(3, 1, 91, generator=rng(3))
    past_BCL[..., 75:] = torch.nan  # observed past covariates end where the rollout starts
    full = window()._replace(known_BKT=known_BKT, past_BCL=past_BCL)
    rollout = Rollout(model, full._replace(y_BVL=full.y_BVL[..., :75], past_BCL=past_BCL[..., :75]))
    untouched = generate(model, rollout, 24)
    rollout.repeat(2).advance(full.y_BVL[..., 75:83].repeat_interleave(2, 0))  # a copy moves by itself
    assert torch.equal(generate(model, rollout, 24), untouched)
    with torch.inference_mode():
        rollout.advance(full.y_BVL[..., 75:83])
        rollout.advance(full.y_BVL[..., 83:91])
    assert each(generate(model, rollout, 24), generate(model, full, 24))


def test_taking_fewer_tokens_reads_more_often() -> None:
    model = small(objective=NextToken(ahead=4))
    eager = TSAR(ModelConfig(**{**vars(model.config), "order": Causal(take=1)})).eval()
    eager.load_state_dict(model.state_dict())
    a, b = generate(model, window(), 32), generate(eager, window(), 32)
    assert each(a[..., :8], b[..., :8]) and not close(a[..., 8:], b[..., 8:])


def test_paths_remember_where_they_were() -> None:
    """Samples of a trained random walk: late steps of a path correlate with early ones, and spread like sqrt(t)."""
    model = small(tokenizer=Patch(size=4), head="student_t", context=64)
    optimizer, draw = torch.optim.Adam(model.parameters(), lr=3e-3), rng(1)
    for _ in range(100):
        y_BVL = torch.randn(32, 1, 64, generator=draw, dtype=torch.float64).cumsum(-1)
        loss = model.train().loss(Window(y_BVL))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    past = Window(torch.randn(16, 1, 60, generator=rng(2), dtype=torch.float64).cumsum(-1))
    paths = generate(model, past, 48, num_samples=32, generators=generators(*range(16)))[:, :, 0]
    moved = paths - paths.mean(1, keepdim=True)
    early, late = moved[..., 15], moved[..., 47]
    correlation = (early * late).mean(1) / (early.square().mean(1) * late.square().mean(1)).sqrt()
    assert correlation.mean() > 0.3  # a random walk has sqrt(16 / 48) = 0.58
    assert late.std(1).mean() > 1.2 * early.std(1).mean()

    levels = [0.1, 0.5, 0.9]
    bands = generate_quantiles(model, past, 48, levels)[:, 0]
    width = bands[..., 2] - bands[..., 0]
    drawn = paths.quantile(0.9, dim=1) - paths.quantile(0.1, dim=1)
    assert width[:, 40:].mean() > 1.2 * width[:, 8:16].mean()  # no collapse
    assert 0.6 < (width[:, 40:].mean() / drawn[:, 40:].mean()) < 1.7


def test_mixture_quantiles_are_those_of_the_mixture() -> None:
    value_X = torch.tensor([0.0, 1.0, 2.0, 3.0])
    weight_X = torch.tensor([0.1, 0.4, 0.4, 0.1])
    got = mixture_quantiles(value_X[torch.tensor([2, 0, 3, 1])], weight_X[torch.tensor([2, 0, 3, 1])], [0.3, 0.5, 0.99])
    assert torch.allclose(got, torch.tensor([1.0, 1.5, 3.0]))


def test_impossible_requests_are_refused() -> None:
    model = small()
    with pytest.raises(ValueError, match="steps must be at least 1, found 0"):
        generate(model, window(), 0)
    with pytest.raises(ValueError, match="num_samples must be at least 1, found 0"):
        generate(model, window(), 4, num_samples=0)
    with pytest.raises(ValueError, match="expected 3, found None"):
        generate(model, window(), 4, num_samples=2)
    with pytest.raises(ValueError, match="evaluation mode"):
        generate(model.train(), window(), 4)
    with pytest.raises(ValueError, match="multiples of 8"), torch.inference_mode():
        Rollout(model.eval(), window()).advance(window().y_BVL[..., :5])


def test_a_context_shorter_than_a_patch_and_a_very_long_horizon() -> None:
    model = small(tokenizer=Patch(size=8), core=CoreConfig(width=32, depth=1, span=12))
    y = generate(model, Window(torch.tensor([[[3.0, 5.0, 4.0]]])), 10_000)
    assert y.shape == (1, 1, 1, 10_000) and bool(y.isfinite().all())


def test_constant_and_empty_series_have_an_answer() -> None:
    y_BVL = torch.full((2, 1, 40), 7.25)
    y_BVL[1] = torch.nan
    y = generate(small(), Window(y_BVL), 12)
    assert torch.equal(y[0], torch.full((1, 1, 12), 7.25, dtype=y.dtype)) and bool(y[1].isfinite().all())
