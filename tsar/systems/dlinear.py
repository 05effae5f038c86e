"""DLinear: the lookback is split into a moving average and the rest; one linear map to the horizon for each, added up.

Paper: Zeng et al., "Are Transformers Effective for Time Series Forecasting?" (AAAI 2023).
Words: trend and remainder as two tokens, the core is empty, a point head reads both.
Departures: each window is standardised by its own mean and deviation instead of the data set's, and training starts
from the ridge solution over the same windows.
Our numbers: ETTh1, horizon 96, lookback 336: test MSE 0.374; published 0.375 (docs/benchmarks/core_training.md).
"""

from __future__ import annotations

from dataclasses import replace

from tsar.systems import linear
from tsar.tokenizers.trend import Trend

SYSTEM = replace(linear.SYSTEM, tokenizer=Trend(window=25, norm="window"))
