"""Full fits on ETTh1: train on 12 months, stop early on 4, report the error on 4 (standardised, horizon 96).

    python -m tests.benchmarks.etth1 dlinear patchtst

Writes the numbers to docs/benchmarks/etth1.json, from which `core_training` makes its table.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tsar.forecasters.fitting import predict_windows
from tsar.forecasters.neural import NeuralForecaster
from tsar.tokenizers.patch import Patch
from tsar.train import TrainConfig
from tsar.windows import Windows

RESULTS = Path("docs/benchmarks/etth1.json")
TRAIN, VALIDATION, TEST, HORIZON = 8640, 2880, 2880, 96
PUBLISHED = {"dlinear": 0.375, "patchtst": 0.370, "nlinear": 0.374, "linear": 0.375, "itransformer": 0.386}

REFINE = TrainConfig(  # the linear systems start from their closed form
    max_steps=300, learning_rate=1e-5, weight_decay=0.0, patience=3, batch_size=128, validation=VALIDATION,
    validation_windows=2048,
)  # fmt: skip
CONFIGS = {
    "linear": dict(system="linear", context=336),
    "nlinear": dict(system="nlinear", context=336),
    "dlinear": dict(system="dlinear", context=336),
    "patchtst": dict(
        system="patchtst",
        context=336,
        width=16,
        tokenizer=Patch(size=16, stride=8, norm="last"),
        train=TrainConfig(
            max_steps=1600, batch_size=128, learning_rate=5e-4, ema=0.995, validate_every=200, patience=3,
            validation=VALIDATION, validation_windows=1024,
        ),
    ),
    "itransformer": dict(
        system="itransformer",
        context=96,
        train=TrainConfig(
            max_steps=2000, batch_size=32, learning_rate=3e-4, ema=0.99, validate_every=100, patience=6,
            validation=VALIDATION, validation_windows=512,
        ),
    ),
}  # fmt: skip


def standardised() -> tuple[pd.DataFrame, np.ndarray]:
    """The training and validation rows as a frame, and all rows up to the end of the test part as [7, T]."""
    frame = pd.read_parquet(Path(os.environ["TSAR_DATA"]) / "benchmark" / "ETTh1.parquet")
    wide = frame.pivot(index="ds", columns="unique_id", values="y").astype("f8").iloc[: TRAIN + VALIDATION + TEST]
    wide = (wide - wide.iloc[:TRAIN].mean()) / wide.iloc[:TRAIN].std(ddof=0)
    seen = wide.iloc[: TRAIN + VALIDATION].reset_index().melt("ds", var_name="unique_id", value_name="y")
    return seen, wide.to_numpy().T.copy()


def errors(model: NeuralForecaster, y_VT: np.ndarray) -> tuple[float, float]:
    """MSE and MAE over every window whose targets lie in the test part."""
    inner = model.model_
    windows = Windows(y_VT, np.array([0, y_VT.shape[1]]), context=inner.context, horizon=HORIZON)
    _, test = windows.split(TEST)
    square = absolute = count = 0.0
    for guess_BVH, y_BVH in predict_windows(inner, test, 64):
        error = guess_BVH - y_BVH
        square, absolute, count = square + error.square().sum(), absolute + error.abs().sum(), count + error.numel()
    return float(square) / count, float(absolute) / count


def main(names: list[str]) -> None:
    """Fit and score the named systems."""
    torch.set_num_threads(1)
    seen, y_VT = standardised()
    for name in names:
        options = {"train": REFINE} | CONFIGS[name]
        start = time.perf_counter()
        model = NeuralForecaster(**options, horizon=HORIZON, random_state=0).fit(seen)
        seconds = time.perf_counter() - start
        mse, mae = errors(model, y_VT)
        run = model.training_
        found = {"mse": mse, "mae": mae, "published": PUBLISHED[name], "seconds": seconds, "steps": run.step,
                 "kept_step": run.best_step, "validation": run.best,
                 "parameters": sum(p.numel() for p in model.model_.parameters())}  # fmt: skip
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps(results | {name: found}, indent=1, sort_keys=True) + "\n")
        sys.stdout.write(f"{name} {json.dumps(found)} {run.losses[-3:]}\n")


if __name__ == "__main__":
    main(sys.argv[1:] or list(CONFIGS))
