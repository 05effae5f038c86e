"""Options of the heads that are not their defaults, and options that are refused."""

from __future__ import annotations

import pytest
import torch

from tests.head_battery import build, generators, head_battery, hidden, train
from tsar.heads import Arinar, Bins, Diffusion, Flow, Mixture, NormalizingFlow, Point, Quantile, Shortcut, StudentT
from tsar.part import resolve

TINY = {"hidden": 16, "depth": 1}


@pytest.mark.parametrize(
    "config",
    [
        Point(loss="mae"),
        Point(loss="huber", delta=0.5),
        Quantile(levels=(0.1, 0.9)),
        Quantile(levels=(0.1, 0.2, 0.3, 0.4)),
        Mixture(kind="student_t", components=3),
        Mixture(components=1),
        Bins(spacing="uniform", bins=20),
        Flow(prediction="x", solver="euler", repeats=3, base=False, **TINY),
        Diffusion(prediction="x", eta=1.0, steps=4, repeats=2, **TINY),
        Diffusion(prediction="epsilon", base=False, **TINY),
        Shortcut(steps=1, finest=4, base=False, **TINY),
        Arinar(components=1, hidden=3, depth=1),
    ],
    ids=str,
)
def test_contract(config):
    head_battery(config)


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (Point, {"loss": "rmse"}, "loss must be one of"),
        (Point, {"delta": 0.0}, "delta"),
        (Quantile, {"levels": (0.5, 0.1)}, "ascending"),
        (Quantile, {"levels": (0.1, 1.0)}, "in \\(0, 1\\)"),
        (StudentT, {"min_scale": 0.0}, "min_scale"),
        (Mixture, {"kind": "laplace"}, "kind must be one of"),
        (Mixture, {"components": 0}, "components"),
        (Bins, {"bins": 3}, "at least 4"),
        (Bins, {"spacing": "log"}, "spacing must be one of"),
        (Flow, {"solver": "rk4"}, "solver must be one of"),
        (Flow, {"steps": 0}, "steps"),
        (Diffusion, {"eta": 2.0}, "eta"),
        (Diffusion, {"prediction": "velocity"}, "prediction must be one of"),
        (Shortcut, {"steps": 3}, "power of two"),
        (Shortcut, {"steps": 64}, "finest"),
        (NormalizingFlow, {"pieces": 1}, "pieces"),
        (Arinar, {"hidden": 0}, "hidden"),
    ],
)
def test_impossible_options_are_refused(cls, options, message):
    with pytest.raises(ValueError, match=message):
        cls(**options)


def test_a_misspelt_option_is_refused():
    with pytest.raises(ValueError, match="componnets"):
        resolve("heads", {"part": "mixture", "componnets": 4})


def test_levels_and_rows_are_checked():
    head = build(Quantile(), 2)
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        head.quantiles(hidden(2), [0.0, 0.5])
    with pytest.raises(ValueError, match="3 rows cannot be shared among 2 generators"):
        head.sample(hidden(3), generators(0, 1))
    with pytest.raises(TypeError, match="no exact density"):
        build(Point(), 2).log_prob(hidden(2)[None], torch.zeros(1, 2, 2), torch.ones(1, 2, 2, dtype=torch.bool))


def test_trained_levels_are_answered_exactly():
    config = Quantile(levels=(0.1, 0.5, 0.9))
    head = build(config, 3)
    with torch.no_grad():
        head.out.weight.copy_(torch.randn(head.out.weight.shape, generator=generators(0)[0]))
        h_BD = hidden(5)
        torch.testing.assert_close(head.quantiles(h_BD, config.levels), head._values(h_BD), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("config", [Quantile(), Bins(bins=48)], ids=str)
def test_marginal_heads_keep_two_modes_of_one_value(config):
    def draw(h_BD, generator):
        sign_B1 = torch.randint(0, 2, (len(h_BD), 1), generator=generator) * 2.0 - 1
        return 2 * sign_B1 + 0.2 * torch.randn(len(h_BD), 1, generator=generator)

    head = train(build(config, 1), draw, 400, lr=3e-2)
    with torch.no_grad():
        x_B1 = head.sample(hidden(4).repeat_interleave(500, 0), generators(*range(4)))
    assert 0.4 < (x_B1 > 0).float().mean() < 0.6
    assert ((x_B1.abs() - 2).abs() < 1).float().mean() > 0.85
