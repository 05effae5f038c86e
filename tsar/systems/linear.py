"""Linear: one linear map from the lookback of a series to its horizon, shared by all series.

Paper: Zeng et al., "Are Transformers Effective for Time Series Forecasting?" (AAAI 2023).
Words: the lookback of a variate is one token, the core is empty, a point head reads the horizon directly.
Departures: each window is divided by its mean absolute value (the published model expects standardised data), and
training starts from the ridge solution over the same windows, which gradient steps only refine.
Our numbers: ETTh1, horizon 96, lookback 336: test MSE 0.370; published 0.375 (docs/benchmarks/core_training.md).
"""

from __future__ import annotations

from tsar.systems import System
from tsar.tokenizers.variate import Variate
from tsar.train_config import TrainConfig

TRAIN = TrainConfig(max_steps=500, learning_rate=1e-4, weight_decay=0.0, clip=0.0, patience=3)

SYSTEM = System(
    tokenizer=Variate(norm="mean_abs", joint=False),
    embed="none",
    depth=0,
    head="point",
    objective="direct",
    closed_form=True,
    train=TRAIN,
)
