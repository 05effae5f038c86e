"""The training loop learns, resumes bit for bit, survives a kill and a lack of memory, and refuses foreign files."""

import os
import signal
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tsar.train import TrainConfig, train


class Batch(NamedTuple):
    x_BP: Tensor
    y_B: Tensor
    absent: None = None


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.map, self.drop = nn.Linear(4, 1), nn.Dropout(0.1)

    def loss(self, batch):
        return (self.map(self.drop(batch.x_BP))[:, 0] - batch.y_B).square().mean()


def draw(step):
    x_BP = torch.from_numpy(np.random.default_rng((7, step)).normal(size=(16, 4)).astype("f4"))
    return Batch(x_BP, x_BP @ torch.tensor([1.0, -2.0, 3.0, 0.5]))


def validate(model):
    with torch.no_grad():
        return float(model.loss(draw(10**6)))


CONFIG = TrainConfig(max_steps=60, learning_rate=0.2, ema=0.9, validate_every=10, checkpoint_every=10, patience=0)


def weights(model):
    return torch.cat([p.flatten() for p in model.parameters()])


def test_learns_and_keeps_the_best_weights():
    model = Line()
    before = validate(model.eval())
    result = train(model, draw, CONFIG, validate=validate)
    assert result.step == 60 and result.best < 0.2 * before and not model.training
    assert validate(model) == pytest.approx(result.best, rel=1e-6)


@pytest.mark.parametrize("sharpness", [0.0, 0.05])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, sharpness):
    import dataclasses

    config = dataclasses.replace(CONFIG, sharpness=sharpness)
    whole, broken = Line(), Line()
    train(whole, draw, config, seed=3, validate=validate)

    def stops(step):
        if step == 37:
            raise KeyboardInterrupt
        return draw(step)

    with pytest.raises(KeyboardInterrupt):
        train(broken, stops, config, seed=3, validate=validate, directory=tmp_path)
    resumed = Line()
    seen = []
    train(resumed, lambda s: (seen.append(s), draw(s))[1], config, seed=3, validate=validate, directory=tmp_path)
    assert seen[0] == 30, "the run must go on from its last checkpoint"
    assert torch.equal(weights(whole), weights(resumed))


KILLED = """
import sys, time, pathlib
sys.path.insert(0, sys.argv[1])
from tests.test_train import *
def slow(step):
    if step > 12: pathlib.Path(sys.argv[2], "running").touch()
    time.sleep(.02)
    return draw(step)
train(Line(), slow, CONFIG, seed=3, validate=validate, directory=sys.argv[2])
"""


def test_kill_9_loses_nothing_but_the_steps_since_the_checkpoint(tmp_path):
    import time

    child = subprocess.Popen([sys.executable, "-c", KILLED, os.getcwd(), str(tmp_path)])
    while not (tmp_path / "running").exists() and child.poll() is None:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    whole, resumed = Line(), Line()
    train(whole, draw, CONFIG, seed=3, validate=validate)
    seen = []
    train(resumed, lambda s: (seen.append(s), draw(s))[1], CONFIG, seed=3, validate=validate, directory=tmp_path)
    assert seen[0] >= 10 and torch.equal(weights(whole), weights(resumed))


def test_a_checkpoint_of_another_run_or_a_truncated_one_is_refused(tmp_path):
    train(Line(), draw, CONFIG, directory=tmp_path)
    with pytest.raises(ValueError, match="another training run.*seed"):
        train(Line(), draw, CONFIG, seed=1, directory=tmp_path)
    file = tmp_path / "training.safetensors"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ValueError, match="truncated"):
        train(Line(), draw, CONFIG, directory=tmp_path)


class Hungry(Line):
    def loss(self, batch):
        if len(batch.x_BP) > 4:
            raise torch.OutOfMemoryError("no")
        return (self.map(batch.x_BP)[:, 0] - batch.y_B).square().mean()


def test_out_of_memory_halves_the_batch_says_so_and_keeps_the_gradient(caplog):
    rich, poor = Line(), Hungry()
    rich.drop.p = 0.0
    config = TrainConfig(max_steps=5, clip=0.0)
    train(rich, draw, config)
    result = train(poor, draw, config)
    assert result.parts == 4 and "halving the batch to 4 windows" in caplog.text
    torch.testing.assert_close(weights(poor), weights(rich), rtol=1e-4, atol=1e-6)


def test_early_stopping():
    result = train(Line(), draw, TrainConfig(max_steps=400, validate_every=5, patience=3), validate=lambda m: 1.0)
    assert result.step == 20 and result.best_step == 5


def test_a_loss_that_is_not_finite_names_the_step():
    def broken(step):
        batch = draw(step)
        return batch._replace(y_B=batch.y_B * float("nan")) if step == 3 else batch

    with pytest.raises(FloatingPointError, match="step 3.*learning rate"):
        train(Line(), broken, CONFIG)


def test_global_random_state_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(Line(), draw, CONFIG)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    "bad", [{"max_steps": 0}, {"learning_rate": -1.0}, {"warmup": 1.5}, {"schedule": "cosin"}, {"validation": 1.5}]
)
def test_impossible_options_are_refused_at_construction(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        TrainConfig(**bad)


def test_schedules():
    wsd = TrainConfig(max_steps=100, schedule="wsd", warmup=0.1, decay=0.2)
    assert [round(wsd.rate(s), 3) for s in (0, 9, 50, 79, 90, 99)] == [0.1, 1.0, 1.0, 1.0, 0.5, 0.05]
    cosine = TrainConfig(max_steps=100, warmup=0.1, final=0.1)
    assert cosine.rate(9) == 1.0 and 0.1 < cosine.rate(99) < 0.11
