"""Series per second of tsar-small beside Chronos-Bolt-tiny built from its configuration with random weights.

    PEERS_PYTHON=/path/to/python python -m tests.benchmarks.zero_shot_speed

PEERS_PYTHON is a Python with chronos-forecasting. The two run as workers, one thread each, asked in turns, so that both
see the same machine; medians of `REPEATS` answers. Also measured: process start to first forecast, through the CLI.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HORIZON, REPEATS = 64, 7
CASES = [(1, 512), (1, 2048), (64, 512), (64, 2048)]

# d_model 256, 4 + 4 layers, 4 heads of 64, feed-forward 1024, patch 16, nine quantiles, 64 steps at once: the
# configuration that amazon/chronos-bolt-tiny publishes.
BOLT = """
import sys, time, torch
torch.set_num_threads(1)
from transformers import T5Config
from chronos.chronos_bolt import ChronosBoltModelForForecasting
config = T5Config(d_model=256, d_kv=64, d_ff=1024, num_layers=4, num_decoder_layers=4, num_heads=4, vocab_size=2,
                  feed_forward_proj="relu", is_encoder_decoder=True, dropout_rate=0.1, pad_token_id=0, eos_token_id=1,
                  decoder_start_token_id=0, reg_token_id=1, initializer_factor=0.05, tie_word_embeddings=False)
config.chronos_config = dict(context_length=2048, prediction_length=64, input_patch_size=16, input_patch_stride=16,
                             quantiles=[i / 10 for i in range(1, 10)], use_reg_token=True)
model = ChronosBoltModelForForecasting(config).eval()
def forecast(y):
    with torch.inference_mode():
        model(torch.tensor(y, dtype=torch.float32))
"""
OURS = """
import sys, time, numpy as np, torch
torch.set_num_threads(1)
import tsar
model = tsar.from_pretrained("tsar-small")
def forecast(y):
    model.predict(64, y, season_length=24)
"""
LOOP = """
import numpy as np
for line in sys.stdin:
    batch, context = map(int, line.split())
    rng = np.random.default_rng(0)
    y = 50 + 10 * np.sin(np.arange(context) * 2 * np.pi / 24) + rng.standard_normal((batch, context))
    start = time.perf_counter()
    forecast(y)
    print(time.perf_counter() - start, flush=True)
"""


def worker(python: str, code: str) -> subprocess.Popen[str]:
    """Start a worker that answers "batch context" with seconds."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        [python, "-c", code + LOOP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
    )


def ask(process: subprocess.Popen[str], batch: int, context: int) -> float:
    """Seconds of one forecast."""
    assert process.stdin and process.stdout
    process.stdin.write(f"{batch} {context}\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def first_forecast() -> float:
    """Seconds from process start to a forecast of one monthly series through the command line."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "series.csv")
        rows = [f"a,{2000 + i // 12}-{i % 12 + 1:02d}-01,{100 + i % 12}" for i in range(120)]
        file.write_text("\n".join(["item_id,timestamp,target", *rows]))
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "tsar.cli", "forecast", str(file), "--horizon", "12", "--model", "tsar-small"],
            check=True, capture_output=True,
        )  # fmt: skip
        return time.perf_counter() - start


def main() -> None:
    """Measure and print a table."""
    ours, bolt = worker(sys.executable, OURS), worker(os.environ["PEERS_PYTHON"], BOLT)
    print("| batch | context | tsar-small, series/s | Chronos-Bolt-tiny, series/s | ratio |\n|---|---|---|---|---|")
    for batch, context in CASES:
        for process in (ours, bolt):
            ask(process, batch, context)
        pairs = [(ask(ours, batch, context), ask(bolt, batch, context)) for _ in range(REPEATS)]
        ratio = statistics.median(b / a for a, b in pairs)
        a, b = (statistics.median(times) for times in zip(*pairs, strict=True))
        print(f"| {batch} | {context} | {batch / a:.1f} | {batch / b:.1f} | {ratio:.2f} |")
    starts = [first_forecast() for _ in range(3)]
    print(f"\nProcess start to first forecast through the command line: {statistics.median(starts):.1f} s")
    for process in (ours, bolt):
        process.kill()


if __name__ == "__main__":
    main()
