"""Peer side of `core_training`: runs inside an environment that has neuralforecast, answers one JSON line per request.

A request is {"model": name, "steps": n}; the answer is {"seconds": median seconds of a training step}, set-up excluded.
"""

import json
import logging
import statistics
import sys
import time
import warnings

import pandas as pd

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

from neuralforecast import NeuralForecast  # noqa: E402
from neuralforecast.losses.pytorch import MSE  # noqa: E402
from neuralforecast.models import DLinear, NLinear, PatchTST, iTransformer  # noqa: E402
from pytorch_lightning.callbacks import Callback  # noqa: E402

SIZES = {"h": 96, "input_size": 512, "loss": MSE(), "windows_batch_size": 32, "learning_rate": 1e-4}
CORE = {"hidden_size": 128, "n_heads": 16, "dropout": 0.0}


class Clock(Callback):
    """Wall time between ends of training batches: everything a step costs, data included."""

    marks = []  # of the class: the models are copied with their callbacks before they are fitted

    def on_train_batch_end(self, *_):
        Clock.marks.append(time.perf_counter())


def build(name, steps):
    base = SIZES | {"max_steps": steps, "val_check_steps": 10**9, "callbacks": [Clock()], "enable_progress_bar": False}
    base |= {"logger": False, "enable_checkpointing": False, "enable_model_summary": False, "accelerator": "cpu"}
    patch = CORE | {"linear_hidden_size": 256, "encoder_layers": 3, "patch_len": 16, "fc_dropout": 0.0}
    if name == "patchtst":
        return PatchTST(**base, **patch, stride=16)
    if name == "patchtst_stride_8":
        return PatchTST(**base, **patch, stride=8)
    if name == "itransformer":
        return iTransformer(n_series=7, **base, **CORE, e_layers=3, d_ff=256)
    return {"nlinear": NLinear, "dlinear": DLinear}[name](**base)


def main():
    frame = pd.read_parquet(sys.argv[1])
    frame["unique_id"] = frame["unique_id"].astype(str)
    for line in sys.stdin:
        request = json.loads(line)
        Clock.marks.clear()
        NeuralForecast([build(request["model"], request["steps"])], freq="h").fit(frame)
        gaps = [b - a for a, b in zip(Clock.marks, Clock.marks[1:], strict=False)]
        print("ANSWER " + json.dumps({"seconds": statistics.median(gaps)}), flush=True)


if __name__ == "__main__":
    main()
