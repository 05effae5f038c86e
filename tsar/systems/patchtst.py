"""PatchTST: a bidirectional encoder over overlapping patches of single series, flattened into a linear head.

Paper: Nie et al., "A Time Series is Worth 64 Words: Long-term Forecasting with Transformers" (ICLR 2023), the
supervised PatchTST/64: lookback 512, patches of 16 every 8 steps, 3 blocks.
Words: patch tokens scaled by their window (RevIN without its affine map), bidirectional mask, point head, direct.
Departures: LayerNorm before each block instead of batch norm after it, rotary positions instead of learned ones, SwiGLU
instead of GELU.
Our numbers: ETTh1, horizon 96, lookback 336, width 16, windows less their last value: test MSE 0.375; published 0.375
at lookback 336 and 0.370 at 512, where ours with the norm above reached 0.378 (docs/benchmarks/core_training.md).
"""

from __future__ import annotations

from tsar.nn.mixers.softmax import Softmax
from tsar.systems import System
from tsar.tokenizers.patch import Patch
from tsar.train_config import TrainConfig

SYSTEM = System(
    tokenizer=Patch(size=16, stride=8, norm="window"),
    mixer=Softmax(heads=4),
    mask="bidirectional",
    head="point",
    objective="direct",
    width=32,
    depth=3,
    dropout=0.3,
    train=TrainConfig(max_steps=1000, learning_rate=5e-4, ema=0.99),
)
