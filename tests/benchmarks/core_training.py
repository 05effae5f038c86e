"""Training speed beside neuralforecast, full fits, sessions, restarts: writes docs/benchmarks/core_training.md.

    TSAR_DATA=… PEER_PYTHON=… python -m tests.benchmarks.core_training [SPEED] [CPU] [SESSIONS] [RESTART] [FITS]

PEER_PYTHON is the interpreter of an environment with neuralforecast 3.3. The full fits come from
`python -m tests.benchmarks.etth1`, which takes long and is run by itself.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tsar.forecasters.neural import NeuralForecaster
from tsar.forecasters.sentence import model_config, system_of
from tsar.model import TSAR
from tsar.nn.ffn.swiglu import SwiGLU
from tsar.nn.mixers.softmax import Softmax
from tsar.objectives.direct import Direct
from tsar.tokenizers.patch import Patch
from tsar.train import TrainConfig, train
from tsar.windows import Windows

PAGE, ROUNDS = Path("docs/benchmarks/core_training.md"), 7
FEED_FORWARD = SwiGLU(expansion=4 / 3)  # three matrices of 128 x 168: the parameters of the peer's two of 128 x 256
PATCHTST = dict(system="patchtst", width=128, depth=3, mixer=Softmax(heads=16), ffn=FEED_FORWARD, dropout=0.0)
OURS = {
    "patchtst": PATCHTST | {"tokenizer": Patch(size=16, norm="window")},
    "patchtst_stride_8": PATCHTST | {"tokenizer": Patch(size=16, stride=8, norm="window")},
    "itransformer": dict(
        system="itransformer", width=128, depth=3, mixer=Softmax(heads=16, rotary=False), ffn=FEED_FORWARD, dropout=0.0
    ),
    "nlinear": dict(system="nlinear"),
    "dlinear": dict(system="dlinear"),
}
GOALS = {"patchtst": 2.5, "patchtst_stride_8": 2.5, "itransformer": 1.2, "nlinear": 100, "dlinear": 100}


def etth1() -> tuple[Path, np.ndarray]:
    """The file, and its values standardised, [7, 17420]."""
    file = Path(os.environ["TSAR_DATA"]) / "benchmark" / "ETTh1.parquet"
    y_VT = pd.read_parquet(file).pivot(index="ds", columns="unique_id", values="y").to_numpy("f4").T.copy()
    return file, (y_VT - y_VT.mean(1, keepdims=True)) / y_VT.std(1, keepdims=True)


def our_step(name: str, y_VT: np.ndarray, steps: int) -> float:
    """Median seconds of a training step: drawing 32 windows, loss, gradient, update."""
    options = NeuralForecaster(**OURS[name], objective=Direct(horizon=96), context=512).get_params(deep=False)
    system = system_of(options)
    model = TSAR(model_config(system, options, y_VT.shape[1]))
    joint = system.multivariate
    values, offsets = (y_VT, [0, y_VT.shape[1]]) if joint else (y_VT.reshape(1, -1), np.arange(8) * y_VT.shape[1])
    windows = Windows(values, np.array(offsets), context=512, horizon=96)
    marks: list[float] = []

    def draw(index: int) -> object:
        marks.append(time.perf_counter())
        return windows.batch(32, 0, index)

    train(model, draw, TrainConfig(max_steps=steps, learning_rate=1e-4, validate_every=10**9))
    return statistics.median(np.diff(marks)[2:])


def speed(names: list[str]) -> list[str]:
    """Interleaved rounds of ours and the peer's, one thread each."""
    file, y_VT = etth1()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [os.environ["PEER_PYTHON"], "tests/benchmarks/peer_neuralforecast.py", str(file)]
    peer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert peer.stdin is not None and peer.stdout is not None
    rows = ["| system | ours, steps/s | neuralforecast 3.3, steps/s | ratio | goal |", "|---|---|---|---|---|"]
    for name in names:
        goal = GOALS[name]
        ours, theirs = [], []
        for _ in range(ROUNDS):
            peer.stdin.write(json.dumps({"model": name, "steps": 6}) + "\n")
            peer.stdin.flush()
            answer = next(line for line in iter(peer.stdout.readline, "") if line.startswith("ANSWER "))
            theirs.append(json.loads(answer[7:])["seconds"])
            ours.append(our_step(name, y_VT, 300 if "linear" in name else 12))
        a, b = statistics.median(ours), statistics.median(theirs)
        rows.append(f"| {name} | {1 / a:,.1f} | {1 / b:.2f} | {b / a:.1f} | ≥ {goal} |")
        sys.stdout.write(rows[-1] + "\n")
    peer.stdin.close()
    peer.wait()
    return rows


def alone() -> list[str]:
    """Our steps per second of processor time, which the load of a shared machine changes least."""
    _, y_VT = etth1()
    rows = ["| system | ours, steps per CPU second |", "|---|---|"]
    for name in GOALS:
        our_step(name, y_VT, 5)
        steps = 1000 if "linear" in name else 10
        start = time.process_time()
        our_step(name, y_VT, steps)
        rows.append(f"| {name} | {steps / (time.process_time() - start):,.1f} |")
    return rows


def sessions() -> list[str]:
    """Take in one patch, and forecast one, against encoding and forecasting the whole history."""
    head = [
        "width x depth",
        "context",
        "tokens held",
        "append, ms",
        "encode all, ms",
        "ratio",
        "goal",
        "append + forecast, ms",
    ]
    head += ["predict from all, ms", "ratio", "relative difference"]
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    rng = np.random.default_rng(0)
    for context, goal, width, depth in ((2048, 3, 128, 3), (16384, 10, 128, 3), (2048, 3, 256, 6), (16384, 10, 256, 6)):
        y = np.sin(np.arange(context + 2000) / 7) + 0.1 * rng.normal(size=context + 2000).cumsum()
        model = NeuralForecaster(
            context=context, width=width, depth=depth, mixer=Softmax(heads=4), max_steps=1, batch_size=1, random_state=0
        ).fit(y[: context + 16])
        n = context - 16 * 2 * (ROUNDS + 1)  # just before the context is full and its start begins to move
        session = model.session(y[:n])
        session.forecast(16, levels=[0.5])
        seconds: list[list[float]] = [[], [], [], []]
        for _ in range(ROUNDS):
            clock = [time.perf_counter()]
            assert session.append(y[n : n + 16]).encode() == (1, 0)
            clock.append(time.perf_counter())
            assert model.session(y[: n + 16]).encode().again == 1
            clock.append(time.perf_counter())
            got = session.append(y[n + 16 : n + 32]).forecast(16, levels=[0.5])
            clock.append(time.perf_counter())
            expected = model.predict(16, y[: n + 32], levels=[0.5])
            clock.append(time.perf_counter())
            for kind, gap in zip(seconds, np.diff(clock), strict=True):
                kind.append(gap)
            n += 32
        a, b, c, d = (1e3 * statistics.median(kind) for kind in seconds)
        difference = float(np.abs(got.mean - expected.mean).max() / np.abs(expected.mean).max())
        rows.append(
            f"| {width} x {depth} | {context:,} | {n // 16:,} | {a:.1f} | {b:.1f} | {b / a:.1f} | ≥ {goal} | {c:.1f} "
            f"| {d:.1f} | {d / c:.1f} | {difference:.0e} |"
        )
        sys.stdout.write(rows[-1] + "\n")
    return rows


CHILD = "from tests.benchmarks.core_training import restarted; import sys; restarted(sys.argv[1])"


def restarted(directory: str | None) -> NeuralForecaster:
    """Fit a small Timer; with a directory, with checkpoints in it."""
    y = np.sin(np.arange(600) / 5) + np.random.default_rng(0).normal(size=600) * 0.1
    train_config = TrainConfig(max_steps=120, checkpoint_every=10, validate_every=20, ema=0.99)
    return NeuralForecaster(
        width=32,
        depth=2,
        dropout=0.1,
        head="flow",
        context=128,
        train=train_config,
        checkpoint=directory,
        random_state=0,
    ).fit(y)


def restart() -> list[str]:
    """Kill -9 a training process, go on, and compare with a run that was left alone."""
    with tempfile.TemporaryDirectory() as directory:
        child = subprocess.Popen([sys.executable, "-c", CHILD, directory])
        while not list(Path(directory).glob("training.safetensors")) and child.poll() is None:
            time.sleep(0.02)
        time.sleep(0.5)
        child.send_signal(signal.SIGKILL)
        child.wait()
        resumed, whole = restarted(directory), restarted(None)
    pairs = zip(resumed.model_.state_dict().values(), whole.model_.state_dict().values(), strict=True)
    largest = max(float((a - b).abs().max()) for a, b in pairs)
    return [
        f"Largest difference of a weight between a run killed with SIGKILL and resumed, and one left alone: {largest}."
    ]


def fits() -> list[str]:
    """Table of the full fits from the file that `etth1` wrote."""
    rows = [
        "| system | test MSE | test MAE | published MSE | steps (kept) | minutes, one thread | parameters |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, r in json.loads(Path("docs/benchmarks/etth1.json").read_text()).items():
        rows.append(
            f"| {name} | {r['mse']:.4f} | {r['mae']:.4f} | {r['published']:.3f} | {r['steps']} ({r['kept_step']}) | "
            f"{r['seconds'] / 60:.1f} | {r['parameters']:,} |"
        )
    return rows


SECTIONS = {"SPEED": lambda: speed(list(GOALS)), "CPU": alone, "SESSIONS": sessions, "RESTART": restart, "FITS": fits}


def main(names: list[str]) -> None:
    """Measure the named sections (default all), keep the others as they were, and write the page."""
    torch.set_num_threads(1)
    kept = PAGE.with_suffix(".json")
    lines = json.loads(kept.read_text()) if kept.exists() else {}
    for name in names:
        section, _, row = name.partition(":")
        if row:  # SPEED:dlinear measures one row again
            new = speed([row])[-1]
            lines[section] = [new if line.startswith(f"| {row} |") else line for line in lines[section]]
        else:
            lines[section] = SECTIONS[section]()
        kept.write_text(json.dumps(lines, indent=1, ensure_ascii=False) + "\n")
    page = Path(__file__).with_suffix(".md.in").read_text()
    for name in SECTIONS:
        page = page.replace(f"@{name}@", "\n".join(lines[name]))
    PAGE.write_text(page)


if __name__ == "__main__":
    main(sys.argv[1:] or list(SECTIONS))
