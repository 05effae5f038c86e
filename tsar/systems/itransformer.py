"""iTransformer: the lookback of each variate is a token; attention mixes variates, feed-forwards learn the series.

Paper: Liu et al., "iTransformer: Inverted Transformers Are Effective for Time Series Forecasting" (ICLR 2024).
Words: variate tokens scaled by their window, bidirectional mask without positions, point head, direct.
Departures: LayerNorm before each block instead of after it, SwiGLU instead of GELU.
Our numbers: training steps per second in docs/benchmarks/core_training.md.
"""

from __future__ import annotations

from tsar.nn.mixers.softmax import Softmax
from tsar.systems import System
from tsar.tokenizers.variate import Variate
from tsar.train_config import TrainConfig

SYSTEM = System(
    tokenizer=Variate(norm="window", joint=True),
    mixer=Softmax(heads=8, rotary=False),
    mask="bidirectional",
    head="point",
    objective="direct",
    context=96,
    width=128,
    depth=2,
    dropout=0.1,
    multivariate=True,
    any_variates=True,
    train=TrainConfig(max_steps=1000, learning_rate=5e-4),
)
