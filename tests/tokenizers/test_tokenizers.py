"""Every tokenizer in the folder, and what is particular to patches."""

from __future__ import annotations

import pytest
import torch

from tests.batteries import close, every_part, rng, series, tokenizer_battery
from tsar.part import Part, resolve
from tsar.tokenizer import Inputs
from tsar.tokenizers.identity import Identity
from tsar.tokenizers.patch import Patch
from tsar.tokens import Window, context_start

CHOICES: list[str | Part] = [
    *(name for name in every_part("tokenizers") if name != "identity"),
    Identity(channels=2),
    Patch(size=8, joint=True),
    Patch(size=8, stride=4),
    Patch(size=8, stride=3, joint=True),
    *(Patch(norm=norm) for norm in ("window", "last", "mean_abs", "none")),
]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_battery(choice: str | Part) -> None:
    tokenizer_battery(resolve("tokenizers", choice))


@pytest.mark.parametrize("length", [1, 15, 16, 17, 95])
def test_patches_are_right_aligned(length: int) -> None:
    y_BVL = torch.arange(1.0, length + 1)[None, None]
    tokens, _ = Patch(size=16, norm="none").build(Inputs()).encode(Window(y_BVL))
    flat = tokens.x_BNP.flatten()
    assert torch.equal(flat[-length:], y_BVL[0, 0]) and int(tokens.seen_BNP.sum()) == length


def test_running_scale_is_that_of_everything_seen() -> None:
    y_BVL = series()
    tokens, _ = Patch(size=8).build(Inputs()).encode(Window(y_BVL))
    for n in (0, 4, 11):
        seen = y_BVL[1, 1, : 8 * (n + 1)]
        seen = seen[~seen.isnan()]
        assert torch.isclose(tokens.loc_BN1[3, n, 0], seen.mean(), rtol=1e-12)
        assert torch.isclose(tokens.scale_BN1[3, n, 0], seen.std(correction=0), rtol=1e-9)


def test_scale_survives_a_high_level() -> None:
    y_BVL = 1e12 + torch.randn(1, 1, 64, generator=rng(), dtype=torch.float64)
    tokens, _ = Patch(size=8).build(Inputs()).encode(Window(y_BVL))
    assert torch.isclose(tokens.scale_BN1[0, -1, 0], y_BVL.std(correction=0), rtol=1e-3)


@pytest.mark.parametrize("norm", ["causal", "window"])
@pytest.mark.parametrize("size", [1e300, 1e-300])
def test_tokens_do_not_depend_on_magnitude(norm: str, size: float) -> None:
    y_BVL, tokenizer = series(), Patch(size=8, norm=norm).build(Inputs())
    plain, _ = tokenizer.encode(Window(y_BVL))
    sized, _ = tokenizer.encode(Window(y_BVL * size))
    assert close(sized.x_BNP, plain.x_BNP) and close(sized.scale_BN1 / size, plain.scale_BN1)


def test_a_left_padded_series_gets_the_tokens_it_gets_alone() -> None:
    y_BVL = series()[2:, :, :50]
    padded = torch.nn.functional.pad(y_BVL, (46, 0), value=torch.nan)
    tokenizer = Patch(size=8).build(Inputs())
    alone, _ = tokenizer.encode(Window(y_BVL))
    beside, _ = tokenizer.encode(Window(padded))
    for a, b in zip(alone, beside, strict=True):
        assert torch.equal(a, b[:, -a.shape[1] :])


def test_a_first_holiday_is_seen_before_it_comes() -> None:
    known_BKT = torch.zeros(1, 1, 48)
    known_BKT[..., 36] = 1.0  # the first one ever, four steps after the context ends
    tokenizer = Patch(size=8).build(Inputs(lookahead=8, known=1))
    tokens, _ = tokenizer.encode(Window(torch.randn(1, 1, 32, generator=rng()), known_BKT))
    assert tokens.extra_BNE[0, -1].abs().max() > 1 and tokens.extra_BNE[0, -2, 2::2].abs().max() == 0


def test_context_starts_move_in_blocks() -> None:
    starts = [context_start(length, context=64, step=8, block=16) for length in range(1, 400)]
    for length, start in enumerate(starts, 1):
        assert (length - start) % 8 == 0 and length - start <= 64 + (0 if start >= 0 else 8)
        assert start <= 0 or length - start > 64 - 16
    for phase in range(8):
        jumps = {b - a for a, b in zip(starts[phase::8], starts[phase + 8 :: 8], strict=False)}
        assert jumps <= {0, 16}


@pytest.mark.parametrize("options", [{"size": 0}, {"stride": 17}, {"stride": 0}, {"norm": "cuasal"}, {"sise": 8}])
def test_impossible_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Patch(**options)  # type: ignore[arg-type]


def test_channels_that_differ_from_training_are_refused() -> None:
    tokenizer = Patch(size=8).build(Inputs(known=2))
    with pytest.raises(ValueError, match="expected 2 known covariates, as in training, found 1"):
        tokenizer.encode(Window(torch.zeros(1, 1, 16), torch.zeros(1, 1, 16)))
    with pytest.raises(ValueError, match="expected 3 channels, as in training, found 1"):
        Identity(channels=3).build(Inputs()).encode(Window(torch.zeros(1, 1, 16)))
