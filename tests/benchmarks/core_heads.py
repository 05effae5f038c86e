"""Every head on the same core and data: scores, calibration, likelihood and cost; few-step heads against their steps.

    python -m tests.benchmarks.core_heads fit bimodal point quantile …    one data set, the named heads (default all)
    python -m tests.benchmarks.core_heads steps bimodal                   flow, diffusion and shortcut against steps
    python -m tests.benchmarks.core_heads page                            write docs/benchmarks/core_heads.md

Numbers are kept in docs/benchmarks/core_heads.json, so that a part can be measured again by itself.

Legend: N forecasts (series x origins), S paths, H horizon.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from tests.benchmarks.core_heads_page import write_page
from tsar.forecasters.fitting import frontiers
from tsar.forecasters.neural import NeuralForecaster
from tsar.part import names, resolve
from tsar.tokenizers.patch import Patch
from tsar.train import TrainConfig
from tsar.windows import Windows

RESULTS = Path("docs/benchmarks/core_heads.json")
LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)
PATHS = 100
SETS = {  # horizon, test steps, steps between origins
    "bimodal": (32, 400, 80),
    "ETTh1": (96, 2880, 1000),
    "exchange_rate": (96, 1518, 550),
}
TRAIN = TrainConfig(
    max_steps=400, batch_size=16, learning_rate=2e-3, ema=0.99, validate_every=200, patience=0, validation_windows=128
)
MODEL: dict[str, Any] = dict(system="timer", context=256, width=64, depth=2, train=TRAIN, random_state=0)
STEPS: dict[str, list[dict[str, Any]]] = {
    "flow": [dict(solver=solver, steps=steps) for solver in ("euler", "heun", "midpoint") for steps in (1, 2, 4, 8)],
    "diffusion": [dict(eta=eta, steps=steps) for eta in (0.0, 1.0) for steps in (2, 4, 8, 16)],
    "shortcut": [dict(steps=steps) for steps in (1, 2, 4, 8)],
}


def bimodal(series: int = 4, pulses: int = 400, seed: int = 0) -> np.ndarray:
    """Pulses of 8 steps, each up or down by a coin: what comes next has two answers, and their mean is neither."""
    rng = np.random.default_rng(seed)
    sign = rng.choice([-1.0, 1.0], (series, pulses, 1))
    pulse = sign * np.sin(np.pi * (np.arange(8) + 0.5) / 8)
    return (pulse + 0.1 * rng.standard_normal((series, pulses, 8))).reshape(series, -1)


def data(name: str) -> np.ndarray:
    """Series [V, T] in units of their training part's deviation."""
    if name == "bimodal":
        return bimodal()
    frame = pd.read_parquet(Path(os.environ["TSAR_DATA"]) / "benchmark" / f"{name}.parquet")
    wide = frame.pivot(index="ds", columns="unique_id", values="y").to_numpy("f8")
    wide = wide[:14400] if name == "ETTh1" else wide
    past = wide[: -SETS[name][1]]
    return ((wide - past.mean(0)) / past.std(0)).T.copy()


def fit(name: str, head: Any) -> NeuralForecaster:
    """A small causal decoder of patches with this head, on the training part."""
    y_VT, size = data(name), 8 if name == "bimodal" else 16
    return NeuralForecaster(**MODEL, head=head, tokenizer=Patch(size=size)).fit(list(y_VT[:, : -SETS[name][1]]))


def score(model: NeuralForecaster, name: str, quantiles: bool = True) -> dict[str, float]:
    """Scores of forecasts from rolling origins of the test part; the paths' alone, or also the quantiles'."""
    y_VT = data(name)
    horizon, test, every = SETS[name]
    origins = range(y_VT.shape[1] - test, y_VT.shape[1] - horizon + 1, every)
    past = [y[max(0, o - 512) : o] for y in y_VT for o in origins]
    y_NH = np.stack([y[o : o + horizon] for y in y_VT for o in origins])
    paths_NSH, seconds = draw(model, horizon, past, PATHS)
    x_NSH = np.sort(paths_NSH, 1)
    weight_S = (2 * np.arange(1, PATHS + 1) - PATHS - 1)[:, None] / PATHS**2
    found = {
        "crps": float(np.abs(x_NSH - y_NH[:, None]).mean() - (x_NSH * weight_S).sum(1).mean()),
        "energy": energy_score(paths_NSH, y_NH),
        "sum80": sum_coverage(paths_NSH, y_NH),
        "seconds": seconds / len(past),
        "forecasts": len(past),
    }
    if quantiles:
        forecast = model.predict(horizon, past, levels=LEVELS)
        q = [forecast.quantile(level) for level in LEVELS]
        found["mse"] = float(np.square(forecast.mean - y_NH).mean())
        found["cover80"] = float(((q[1] <= y_NH) & (y_NH <= q[3])).mean())
        found["cover95"] = float(((q[0] <= y_NH) & (y_NH <= q[4])).mean())
    return found


def draw(model: NeuralForecaster, horizon: int, past: list[np.ndarray], count: int) -> tuple[np.ndarray, float]:
    """Sample paths [N, S, H], and the processor seconds they took, the encoding of the past included."""
    found: list[np.ndarray] = []

    def collect(paths_NSH: np.ndarray) -> np.ndarray:
        found.append(paths_NSH)
        return paths_NSH[..., 0] > 0

    forecast = model.predict(horizon, past, levels=(0.5,), random_state=0)
    start = time.process_time()
    forecast.prob(collect, count)
    return found[0], time.process_time() - start


def energy_score(x_NSH: np.ndarray, y_NH: np.ndarray) -> float:
    """Energy score of whole paths (Gneiting and Raftery 2007), divided by the root of the horizon."""
    spread = [np.linalg.norm(x_SH[:, None] - x_SH[None], axis=-1).mean() for x_SH in x_NSH]
    error = np.linalg.norm(x_NSH - y_NH[:, None], axis=-1).mean(1)
    return float((error - 0.5 * np.array(spread)).mean() / np.sqrt(y_NH.shape[1]))


def sum_coverage(x_NSH: np.ndarray, y_NH: np.ndarray) -> float:
    """Coverage of the 80% interval of the horizon's sum: what is lost where steps are drawn independently."""
    low, high = np.quantile(x_NSH.sum(-1), [0.1, 0.9], axis=1)
    return float(((low <= y_NH.sum(-1)) & (y_NH.sum(-1) <= high)).mean())


def likelihood(model: NeuralForecaster, name: str) -> float | None:
    """Nats per value of the next token over the test part, in the tokens' own causal scale."""
    inner = model.model_
    if not inner.head.exact:
        return None
    y_VT = data(name)
    offsets = np.arange(len(y_VT) + 1) * y_VT.shape[1]
    windows = Windows(y_VT.reshape(1, -1), offsets, context=inner.context, horizon=inner.reach)
    _, test = windows.split(SETS[name][1])
    total = count = 0.0
    with torch.inference_mode():
        for h_BFD, x_BFT, seen_BFT in frontiers(inner, test, 1024, 64):
            total += float(inner.head.log_prob(h_BFD, x_BFT, seen_BFT).sum())
            count += float(seen_BFT.sum())
    return total / count


def in_modes(model: NeuralForecaster) -> float:
    """Share of drawn first pulses of the bimodal set that lie near one of the two, value by value."""
    pulse_8 = np.sin(np.pi * (np.arange(8) + 0.5) / 8)
    x_X8 = draw(model, 8, list(data("bimodal")[:, :-400]), 250)[0].reshape(-1, 8)
    distance = [np.sqrt(np.square(x_X8 - sign * pulse_8).mean(-1)) for sign in (-1, 1)]
    return float((np.minimum(*distance) < 0.3).mean())


def keep(section: str, name: str, key: str, found: dict[str, Any]) -> None:
    """Add numbers to the results file."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results.setdefault(section, {}).setdefault(name, {})[key] = found
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    sys.stdout.write(f"{section} {name} {key} {json.dumps(found)}\n")
    sys.stdout.flush()


def main(command: str, *arguments: str) -> None:
    """Run one of the commands of the module's docstring."""
    torch.set_num_threads(1)
    if command == "page":
        write_page(json.loads(RESULTS.read_text()))
        return
    name, *heads = arguments
    for head in heads or (names("heads") if command == "fit" else list(STEPS)):
        start = time.process_time()
        model = fit(name, head)
        seconds = time.process_time() - start
        parameters = sum(p.numel() for p in model.model_.head.parameters())
        if command == "fit":
            found = score(model, name) | {"likelihood": likelihood(model, name)}
            found |= {"fit_ms": 1000 * seconds / TRAIN.max_steps, "parameters": parameters}
            keep("fit", name, head, found | ({"in_modes": in_modes(model)} if name == "bimodal" else {}))
            continue
        trained = model.model_.head
        for options in STEPS[head]:
            trained.config = dataclasses.replace(trained.config, **options)
            trained.noises = resolve("heads", trained.config).build(1, 1).noises
            found = score(model, name, quantiles=False) | ({"in_modes": in_modes(model)} if name == "bimodal" else {})
            keep("steps", name, f"{head} {json.dumps(options)}", found)


if __name__ == "__main__":
    main(*sys.argv[1:])
