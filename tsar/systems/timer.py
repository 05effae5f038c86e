"""Timer: a causal decoder over patches of single series, trained to predict the next patch.

Paper: Liu et al., "Timer: Generative Pre-trained Transformers Are Large Time Series Models" (ICML 2024).
Words: patch tokens, softmax attention with rotary positions, SwiGLU, causal mask, next token.
Departures: the scale of a token is that of its own past, not of the whole window, so that every position of a window
trains what prediction meets; the head is quantiles instead of a point; pre-norm blocks and SwiGLU instead of
LayerNorm and GELU; patches of 16 instead of 96, since it is trained here on one data set and not on a billion points.
"""

from __future__ import annotations

from tsar.systems import System
from tsar.tokenizers.patch import Patch
from tsar.train_config import TrainConfig

SYSTEM = System(
    tokenizer=Patch(size=16, norm="causal"),
    mask="causal",
    objective="next_token",
    head="quantile",
    width=64,
    depth=3,
    train=TrainConfig(max_steps=500, ema=0.99),
)
