"""TSAR: configs, covariates, and checkpoints that are strict, atomic and free of pickle."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.batteries import close, rng
from tsar.model import TSAR, ModelConfig
from tsar.nn.core import CoreConfig
from tsar.nn.ffn.moe import MoE
from tsar.objectives.next_token import NextToken
from tsar.tokenizers.identity import Identity
from tsar.tokenizers.patch import Patch
from tsar.tokenizers.variate import Variate
from tsar.tokens import Window


def small(**options: Any) -> TSAR:
    words = {"tokenizer": Patch(size=8), "core": CoreConfig(width=32, depth=2), "context": 96} | options
    return TSAR(ModelConfig(**words)).eval()


def walk(items: int = 3, variates: int = 2, length: int = 96) -> torch.Tensor:
    return torch.randn(items, variates, length, generator=rng(), dtype=torch.float64).cumsum(-1)


def test_initial_weights_come_from_the_seed_alone() -> None:
    config = ModelConfig(core=CoreConfig(width=32, depth=1))
    before = torch.random.get_rng_state()
    a, b, c = TSAR(config, seed=1), TSAR(config, seed=1), TSAR(config, seed=2)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not all(torch.equal(p, q) for p, q in zip(a.parameters(), c.parameters(), strict=True))


def test_loss_is_the_same_alone_in_a_batch_and_beside_longer_series() -> None:
    model, y_BVL = small(), walk()
    together = model.loss(Window(y_BVL), reduce=False)
    padded = Window(torch.nn.functional.pad(y_BVL[1:2], (32, 0), value=torch.nan))
    assert close(model.loss(Window(y_BVL[1:2]), reduce=False), together[1:2])
    assert close(model.loss(padded, reduce=False), together[1:2])


def test_half_precision_is_near() -> None:
    model, window = small(static=3), Window(walk(), static_BF=torch.ones(3, 3))
    full = model.loss(window)
    assert abs(model.to(torch.bfloat16).loss(window) - full) < 0.05 * full


def test_loss_does_not_depend_on_level_and_size() -> None:
    model, y_BVL = small(), walk()
    assert close(model.loss(Window(1e6 * y_BVL - 1e8)), model.loss(Window(y_BVL)), 1e-4)


def test_covariates_static_features_and_labels_move_the_loss() -> None:
    model = small(known=1, past=2, static=3, labels=4)
    window = Window(
        walk(),
        known_BKT=torch.randn(3, 1, 104, generator=rng(1)),
        past_BCL=torch.randn(3, 2, 96, generator=rng(2)),
        static_BF=torch.randn(3, 3, generator=rng(3)),
        label_B=torch.tensor([0, 1, 2]),
    )
    base = model.loss(window, reduce=False)
    for name in ("known_BKT", "past_BCL", "static_BF"):
        part = getattr(window, name).clone()
        part[0] *= -1
        moved = model.loss(window._replace(**{name: part}), reduce=False)
        assert abs(moved[0] - base[0]) > 1e-6 and close(moved[1:], base[1:])
    moved = model.loss(window._replace(label_B=torch.tensor([3, 1, 2])), reduce=False)
    assert abs(moved[0] - base[0]) > 1e-6 and close(moved[1:], base[1:])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"known_BKT": None}, "expected 1 known covariates, as in training, found 0"),
        ({"static_BF": None}, "built with a static input, the window has none"),
        ({"static_BF": torch.zeros(3, 2)}, "expected 3 static features, found 2"),
        ({"label_B": torch.zeros(3)}, "built with no label input, the window has one"),
    ],
)
def test_windows_that_differ_from_training_are_refused(change: dict[str, Any], match: str) -> None:
    model = small(known=1, static=3)
    window = Window(walk(), known_BKT=torch.zeros(3, 1, 104), static_BF=torch.zeros(3, 3))
    with pytest.raises(ValueError, match=match):
        model.loss(window._replace(**change))


def test_balancing_loss_is_added() -> None:
    core = CoreConfig(width=32, depth=1, ffn=MoE(experts=4))
    without, with_loss = small(core=core, balance=0.0), small(core=core, balance=10.0)
    window = Window(walk())
    loads = [layer.load_E for layer in with_loss.routing(window)]
    assert len(loads) == 1 and loads[0].shape == (4,) and abs(loads[0].sum() - 1) < 1e-6
    assert with_loss.loss(window) - without.loss(window) > 9  # the balancing loss is 1 when balanced, never below


@pytest.mark.parametrize(
    "options",
    [
        {"tokenizer": "pacth"},
        {"head": "quantiles"},
        {"core": {"width": 32, "dept": 2}},
        {"embed": "liner"},
        {"context": 0},
        {"block": 1000},
        {"known": -1},
        {"order": {"part": "causal", "take": 0}},
    ],
)
def test_impossible_configs_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        ModelConfig(**options)


def test_embed_none_needs_the_width_of_a_token() -> None:
    with pytest.raises(ValueError, match="core of the token's width 8, found 32"):
        small(embed="none")


# --- checkpoints --------------------------------------------------------------------------------------------------

SYSTEMS = [
    {},
    {"core": CoreConfig(width=32, depth=1, mixer="linear", ffn="moe")},
    {"tokenizer": Identity(channels=2), "objective": NextToken(ahead=2, start=True), "head": "student_t"},
    {"tokenizer": Variate(joint=False, norm="last"), "core": CoreConfig(width=96, depth=0), "embed": "none",
     "objective": "direct", "head": "point"},
]  # fmt: skip


@pytest.mark.parametrize("options", SYSTEMS, ids=lambda options: ",".join(options))
def test_save_and_load(options: dict[str, Any], tmp_path: Path) -> None:
    model = small(**options)
    model.save_pretrained(tmp_path / "deep" / "er")
    again = TSAR.from_pretrained(tmp_path / "deep" / "er")
    window = Window(walk(length=240))
    assert again.config == model.config and not again.training
    assert torch.equal(again.loss(window), model.loss(window))
    assert sorted(path.name for path in (tmp_path / "deep" / "er").iterdir()) == ["config.json", "model.safetensors"]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    small().save_pretrained(tmp_path / "m")
    return tmp_path / "m"


def rewrite(saved: Path, change: Any = None, tensors: Any = None) -> None:
    """Write the checkpoint anew with another description or other tensors."""
    about = json.loads((saved / "config.json").read_text())
    held = load_file(saved / "model.safetensors")
    if change is not None:
        change(about)
    if tensors is not None:
        tensors(held)
    save_file(held, saved / "model.safetensors", metadata={"about": json.dumps(about)})
    (saved / "config.json").unlink()


BAD: dict[str, tuple[Any, str]] = {
    "truncated": (lambda d: os.truncate(d / "model.safetensors", 5000), "truncated"),
    "empty": (lambda d: os.truncate(d / "model.safetensors", 0), "truncated"),
    "pickle in disguise": (
        lambda d: (d / "model.safetensors").write_bytes(pickle.dumps({"evil": os.getcwd})),
        "not a checkpoint",
    ),
    "pickle beside": (
        lambda d: (d / "model.safetensors").rename(d / "pytorch_model.bin"),
        "expected model.safetensors .pickled weights are never read., found config.json, pytorch_model.bin",
    ),
    "foreign safetensors": (
        lambda d: save_file({"w": torch.zeros(2)}, d / "model.safetensors"),
        "not a checkpoint",
    ),
    "another format": (lambda d: rewrite(d, lambda a: a.update(format="gpt")), "expected format 'tsar-model'.*'gpt'"),
    "from the future": (lambda d: rewrite(d, lambda a: a.update(version=2)), "expected format version 1, found 2"),
    "unknown part": (lambda d: rewrite(d, lambda a: a["config"].update(head={"part": "x"})), "unknown part 'x'"),
    "unknown option": (lambda d: rewrite(d, lambda a: a["config"].update(exec="rm")), "unknown options"),
    "another width": (lambda d: rewrite(d, lambda a: a["config"]["core"].update(width=40)), "found .*32"),
    "huge": (lambda d: rewrite(d, lambda a: a["config"]["core"].update(width=2**20)), "expected weights for a core"),
    "missing tensor": (lambda d: rewrite(d, tensors=lambda t: t.pop("embed.weight")), "missing .'embed.weight'"),
    "extra tensor": (lambda d: rewrite(d, tensors=lambda t: t.update(x=torch.zeros(1))), "not expected .'x'"),
    "not finite": (lambda d: rewrite(d, tensors=lambda t: t["embed.weight"].fill_(torch.nan)), "expected finite"),
    "half precision": (
        lambda d: rewrite(d, tensors=lambda t: t.update({"embed.weight": t["embed.weight"].half()})),
        "expected embed.weight as torch.float32 .32, 18., found torch.float16",
    ),
    "config of another model": (
        lambda d: (d / "config.json").write_text((d / "config.json").read_text().replace('"depth": 2', '"depth": 3')),
        "differs from the configuration inside",
    ),
    "config cut off": (lambda d: os.truncate(d / "config.json", 40), "truncated or not JSON"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_checkpoints_are_refused(case: str, saved: Path) -> None:
    spoil, match = BAD[case]
    spoil(saved)
    with pytest.raises(ValueError, match=match):
        TSAR.from_pretrained(saved)


def test_the_weights_file_is_enough(saved: Path) -> None:
    (saved / "config.json").unlink()
    assert TSAR.from_pretrained(saved).config == small().config


def test_a_failed_save_leaves_the_old_model(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tsar.checkpoint.save_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        small(core=CoreConfig(width=64, depth=1)).save_pretrained(saved)
    assert TSAR.from_pretrained(saved).config == small().config
    assert sorted(path.name for path in saved.iterdir()) == ["config.json", "model.safetensors"]


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no model 'tsar-hugee': expected a directory"):
        TSAR.from_pretrained("tsar-hugee")
