"""Every objective found: it trains, ignores what is missing, and predicts only from what it may see.

Legend: B rows, N tokens, V variates, L steps.
"""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from tests.batteries import close, every_part, rng
from tsar.generate import generate
from tsar.model import TSAR, ModelConfig
from tsar.nn.core import CoreConfig
from tsar.objectives.direct import Direct
from tsar.objectives.masked import Masked
from tsar.objectives.next_token import NextToken, successors
from tsar.part import Part, resolve
from tsar.tokenizers.patch import Patch
from tsar.tokens import Window

MASK = {"denoise": "denoise", "direct": "bidirectional", "masked": "bidirectional"}
CHOICES: list[Part] = [
    *(resolve("objectives", name) for name in every_part("objectives") if name != "masked"),
    Masked(horizon=24),
    NextToken(ahead=3),
    Direct(pool="mean"),
    Direct(pool="last"),
]


def small(objective: Part, **options: object) -> TSAR:
    core = CoreConfig(width=32, depth=2, mask=MASK.get(objective.name, "causal"))
    norm = "window" if objective.name == "masked" else "causal"
    words = {"tokenizer": Patch(size=8, norm=norm), "core": core, "head": "point", "context": 96} | options
    return TSAR(ModelConfig(objective=objective, **words))


def waves(items: int, length: int, seed: int = 0) -> Tensor:
    """Sines of period 16 at random phase, level and size: what every objective can learn in a moment."""
    draw = torch.rand(3, items, 1, 1, generator=rng(seed), dtype=torch.float64)
    time = torch.arange(length, dtype=torch.float64)
    return (time / 16 + draw[0]).mul(2 * torch.pi).sin() * (1 + 9 * draw[1]) + 100 * draw[2]


@pytest.mark.parametrize("objective", CHOICES, ids=str)
def test_objective_trains_and_forecasts(objective: Part) -> None:
    assert resolve("objectives", json.loads(json.dumps(objective.to_dict()))) == objective
    model, length = small(objective), 96 + (objective.reach(8) if isinstance(objective, Direct) else 0)
    optimizer, noise = torch.optim.Adam(model.parameters(), lr=4e-3), rng()
    losses = []
    for step in range(120 if objective.name == "masked" else 60):
        loss = model.loss(Window(waves(16, length, step)), noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.35 * sum(losses[:5])
    y_BVL = waves(8, 96 + 24, 999)
    guess = generate(model.eval(), Window(y_BVL[..., :96]), 24)[:, 0]
    spread = y_BVL[..., :96].std(-1, keepdim=True)
    assert ((guess - y_BVL[..., 96:]) / spread).abs().mean() < 0.5  # a constant is at 0.9


@pytest.mark.parametrize("objective", CHOICES, ids=str)
def test_missing_and_constant_values_weigh_nothing(objective: Part) -> None:
    model, horizon = small(objective), 96 if isinstance(objective, Direct) else 0
    y_BVL = waves(3, 96 + horizon)
    y_BVL[1], y_BVL[2] = torch.nan, 5.0
    model.loss(Window(y_BVL), rng()).backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
    per_item = model.loss(Window(y_BVL), rng(), reduce=False)
    assert per_item[0] > 0 and torch.equal(per_item[1:], torch.zeros(2))


@pytest.mark.parametrize("objective", [NextToken(), resolve("objectives", "denoise")], ids=str)
def test_terms_depend_on_the_past_only(objective: Part) -> None:
    model = small(objective).eval()
    y_BVL = waves(2, 96)
    other = y_BVL.clone()
    other[..., 56:] += 50
    with torch.no_grad():
        a = objective.loss(model, Window(y_BVL), rng()).loss_BN
        b = objective.loss(model, Window(other), rng()).loss_BN
    assert close(a[:, :6], b[:, :6]) and not close(a[:, 6:], b[:, 6:])


def test_successors_are_the_next_tokens_in_the_units_of_now() -> None:
    y_BVL = torch.randn(2, 3, 80, generator=rng(), dtype=torch.float64).cumsum(-1)
    for joint, F in ((False, 1), (True, 3)):
        tokens, _ = small(NextToken(), tokenizer=Patch(size=8, joint=joint)).tokenizer.encode(Window(y_BVL))
        x_BNP, seen_BNP = successors(tokens, F, ahead=2)
        n, row, column = 4, (2 if not joint else 0), (4 if not joint else 4 * F + 2)  # item 0, variate 2, time 4
        raw = tokens.loc_BN1[row, column] + tokens.scale_BN1[row, column] * x_BNP[row, column]
        assert close(raw, y_BVL[0, 2, 8 * (n + 1) : 8 * (n + 3)])
        assert bool(seen_BNP[:, :-F].all()) and not bool(seen_BNP[:, -F:, 8:].any())


def test_hidden_values_reach_masked_predictions_by_no_path() -> None:
    """The statistics of what is left, too, must not know what is hidden."""
    objective = Masked(ratio=0.5, tail=0.0)
    model = small(objective).eval()
    y_BVL = waves(1, 96)
    hidden_N = objective.hide(1, 1, 12, 8, rng())[0, 0]
    other = y_BVL.clone()
    other[..., hidden_N.repeat_interleave(8)] += 1e6
    inputs = []
    model.core.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    with torch.no_grad():
        for values in (y_BVL, other):
            objective.loss(model, Window(values), rng())
    assert torch.equal(*inputs)


def test_tail_masking_hides_the_end() -> None:
    hidden = Masked(tail=1.0).hide(5, 2, 12, 4, rng())
    assert torch.equal(hidden, torch.tensor([False] * 8 + [True] * 4).expand(5, 2, 12))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: NextToken(ahead=0), "ahead"),
        (lambda: Direct(horizon=0), "horizon"),
        (lambda: Direct(pool="max"), "unknown pool"),
        (lambda: Masked(ratio=1.0), "ratio"),
        (lambda: resolve("objectives", {"part": "denoise", "full": 2}), "full"),
        (lambda: small(NextToken(), tokenizer=Patch(size=8, stride=4)), "without overlap"),
        (lambda: small(Direct()).loss(Window(torch.zeros(1, 1, 90))), "more than the horizon"),
    ],
)
def test_impossible_choices_are_refused(make: object, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()  # type: ignore[operator]
