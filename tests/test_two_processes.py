"""Training on two processes takes the steps of one process with the same global batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tsar.model import TSAR, ModelConfig
from tsar.nn.core import CoreConfig
from tsar.tokens import Window
from tsar.train import TrainConfig, train

CONFIG = TrainConfig(max_steps=12, learning_rate=0.01, validate_every=1, patience=0, ema=0.9, weight_decay=0.1)


def draw(number: int) -> Window:
    """Sixteen windows of 64 steps, a function of the draw."""
    return Window(torch.from_numpy(np.random.default_rng((3, number)).normal(size=(16, 1, 64)).cumsum(-1)))


def both(step: int) -> Window:
    return Window(torch.cat([draw(2 * step).y_BVL, draw(2 * step + 1).y_BVL]))


def run(batches: object) -> list[tuple[int, float, float]]:
    model = TSAR(ModelConfig(tokenizer="patch", head="point", context=64, core=CoreConfig(width=16, depth=1)), seed=0)
    held_out = draw(10**6)
    return train(model, batches, CONFIG, seed=0, validate=lambda m: float(m.loss(held_out))).losses


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", __file__]
    root = str(Path(__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run([*command, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [np.array(json.loads((tmp_path / f"{rank}.json").read_text())) for rank in (0, 1)]
    one = np.array(run(both))
    assert one[-1, 2] < one[0, 2]
    np.testing.assert_allclose((ranks[0][:, 1] + ranks[1][:, 1]) / 2, one[:, 1], rtol=1e-4)  # each saw its half
    for rank in ranks:
        np.testing.assert_allclose(rank[:, 2], one[:, 2], rtol=1e-4)


if __name__ == "__main__":
    losses = run(draw)
    Path(sys.argv[1], f"{os.environ['RANK']}.json").write_text(json.dumps(losses))
