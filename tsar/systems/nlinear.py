"""NLinear: a linear map from the lookback, less its last value, to the horizon, less the same value.

Paper: Zeng et al., "Are Transformers Effective for Time Series Forecasting?" (AAAI 2023).
Words: as `linear`, with the norm "last".
Departures: training starts from the ridge solution over the same windows.
Our numbers: ETTh1, horizon 96, lookback 336: test MSE 0.370; published 0.374 (docs/benchmarks/core_training.md).
"""

from __future__ import annotations

from dataclasses import replace

from tsar.systems import linear
from tsar.tokenizers.variate import Variate

SYSTEM = replace(linear.SYSTEM, tokenizer=Variate(norm="last", joint=False))
