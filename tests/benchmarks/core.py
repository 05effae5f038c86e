"""Exactness, decoding and cost of the core: writes docs/benchmarks/core.md.

    python -m tests.benchmarks.core

One thread; times are medians of interleaved runs in processor seconds, so that a busy machine does not count. Training
beside a peer, sessions and restarts are in `tests.benchmarks.core_training`.
"""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.batteries import rng
from tsar.generate import Rollout, generate, generate_quantiles
from tsar.model import TSAR, ModelConfig
from tsar.nn.core import Cache, CoreConfig
from tsar.tokens import Coordinates, Window

PAGE = Path("docs/benchmarks/core.md")
MIXERS = ("softmax", "linear", "companion")
CONTEXTS = (256, 512, 1024, 2048, 4096, 8192, 16384)


def model_of(mixer: str, context: int = 512, width: int = 128) -> TSAR:
    return TSAR(ModelConfig(core=CoreConfig(width=width, depth=3, mixer=mixer), context=context)).eval()


def walks(rows: int, length: int) -> Window:
    return Window(torch.randn(rows, 1, length, generator=rng(), dtype=torch.float64).cumsum(-1))


def far(a: Tensor, b: Tensor) -> float:
    """Largest difference, relative to the largest magnitude of each item."""
    return float(((a - b).abs().flatten(1).amax(1) / b.abs().flatten(1).amax(1)).max())


def seconds(calls: dict[str, Callable[[], object]], rounds: int = 5) -> dict[str, float]:
    """Median processor seconds of each call, interleaved, after one unmeasured round."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for i in range(rounds + 1):
        for name, call in calls.items():
            start = time.process_time()
            call()
            if i:
                taken[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in taken.items()}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def exactness() -> str:
    rows = []
    for mixer in MIXERS:
        model, window = model_of(mixer), walks(16, 509)
        x_BND, at = torch.randn(8, 256, 128, generator=rng(1)), coordinates(8, 256)
        with torch.inference_mode():
            full, cache = model.core(x_BND, at), Cache()
            chunks = [
                model.core(x_BND[:, n : n + 1], at.each(lambda part, n=n: part[:, n : n + 1]), cache)
                for n in range(256)
            ]
            step = far(torch.cat(chunks, 1), full)
            cached = generate(model, window, 720)
            again = far(cached, generate(model, window, 720, cached=False))
            alone = generate(model, Window(window.y_BVL[3:4]), 720)
            batch = far(alone, cached[3:4])
            paths = generate(model, window, 96, num_samples=20, generators=[rng(i) for i in range(16)])
            one = generate(model, Window(window.y_BVL[3:4]), 96, num_samples=20, generators=[rng(3)])
            levels = [0.1, 0.5, 0.9]
            bands = generate_quantiles(model, window, 96, levels)
            band = generate_quantiles(model, Window(window.y_BVL[3:4]), 96, levels)
            early = Rollout(model, Window(window.y_BVL[..., : 509 - 64]))
            for start in range(509 - 64, 509, 16):
                early.advance(window.y_BVL[..., start : start + 16])
            stream = far(generate(model, early, 96), generate(model, window, 96))
        numbers = (step, again, batch, far(one, paths[3:4]), far(band, bands[3:4]), stream)
        rows.append([mixer, *(f"{number:.0e}" for number in numbers)])
    head = [
        "mixer", "cached = full, hidden states, one token at a time", "cached = re-encoded, 720 steps",
        "alone = in a batch of 16, 720 steps", "samples alone = in a batch", "quantiles alone = in a batch",
        "four appended patches = encoded whole",
    ]  # fmt: skip
    return table(head, rows)


def coordinates(rows: int, N: int) -> Coordinates:
    time_BN = torch.arange(N).repeat(rows, 1)
    return Coordinates(time_BN, torch.zeros_like(time_BN), torch.ones_like(time_BN, dtype=torch.bool))


def decoding() -> str:
    rows = []
    for mixer, context in (("softmax", 512), ("softmax", 2048), ("linear", 512), ("companion", 512)):
        model, window = model_of(mixer, context), walks(64, context)
        taken = seconds(
            {str(cached): lambda m=model, w=window, c=cached: generate(m, w, 720, cached=c) for cached in (True, False)}
        )
        a, b = taken["True"], taken["False"]
        rows.append([mixer, str(context), f"{a:.2f}", f"{b:.2f}", f"{b / a:.1f}"])
    return table(["mixer", "context", "with cache, s", "re-encoding, s", "ratio (goal 8)"], rows)


def positions() -> str:
    """Time of one decoded token for 64 series, by how many tokens came before it."""
    rows = []
    marks = (32, 128, 512, 1024, 2048)
    cores = {mixer: CoreConfig(width=128, depth=3, mixer=mixer) for mixer in MIXERS}
    cores["softmax, span 32"] = CoreConfig(width=128, depth=3, span=32)
    for name, config in cores.items():
        core = config.build().eval()
        caches: dict[int, Cache] = {}
        with torch.inference_mode():
            for mark in marks:
                caches[mark] = Cache()
                core(torch.randn(64, mark, 128, generator=rng()), coordinates(64, mark), caches[mark])

            def step(mark: int, core: Any = core, caches: Any = caches) -> None:
                at = coordinates(64, 1)
                with torch.inference_mode():
                    for n in range(8):
                        core(torch.ones(64, 1, 128), at._replace(time_BN=at.time_BN + mark + n), caches[mark])

            taken = seconds({str(mark): lambda mark=mark, step=step: step(mark) for mark in marks})
        rows.append([name, *(f"{1e3 * taken[str(mark)] / 8:.1f}" for mark in marks)])
    return table(["mixer", *(f"after {mark:,} tokens, ms" for mark in marks)], rows)


def training_step(model: TSAR, window: Window) -> Callable[[], None]:
    def step() -> None:
        model.zero_grad()
        model.loss(window).backward()

    return step


def contexts() -> str:
    rows = []
    for mixer in MIXERS:
        calls = {str(c): training_step(model_of(mixer, c).train(), walks(4, c)) for c in CONTEXTS}
        taken = seconds(calls, rounds=5)
        rows.append([mixer, *(f"{1e3 * taken[str(c)]:.0f}" for c in CONTEXTS), exponent(CONTEXTS, taken)])
    return table(["mixer", *(f"{c:,}" for c in CONTEXTS), "exponent from 2,048 on"], rows)


def parameters() -> str:
    rows = []
    for mixer in MIXERS:
        models = [model_of(mixer, width=width).train() for width in (64, 128, 256, 512)]
        sizes = [sum(p.numel() for p in model.core.parameters()) for model in models]
        window = walks(16, 512)
        taken = seconds({str(n): training_step(m, window) for n, m in zip(sizes, models, strict=True)})
        rows.append([mixer, *(f"{n:,}: {1e3 * taken[str(n)]:.0f} ms" for n in sizes), exponent(sizes, taken, 1)])
    return table(["mixer", *(f"width {width}" for width in (64, 128, 256, 512)), "exponent from width 128 on"], rows)


def exponent(sizes: Sequence[int], taken: dict[str, float], skip: int = 3) -> str:
    x, y = np.log(sizes[skip:]), np.log([taken[str(size)] for size in sizes[skip:]])
    return f"{np.polyfit(x, y, 1)[0]:.2f}"


TEXT = """# The core: exactness, decoding, cost

Made by `python -m tests.benchmarks.core` on {machine}, PyTorch {torch}, one thread, float32; width 128, 3 blocks,
4 heads, patches of 16 unless said otherwise; untrained weights, random walks. Times are medians of five interleaved
runs in processor seconds. Training beside neuralforecast, sessions, restarts and full fits are in
[core_training.md](core_training.md).

## Exactness

Largest relative difference of a series; the goal is 1e-5.

{exactness}

## Decoding 720 steps of 64 series

The cache is filled once; each step then encodes one patch per series. Re-encoding encodes the whole past for every
patch. Both end in the same numbers, as above.

{decoding}

## Time of one decoded patch for 64 series against its position

{positions}

Recurrent mixers read a state of one size; softmax attention reads its whole past, which shows once that is larger than
the weights. `span` bounds what is read: a forecaster sets it to the trained context (32 tokens of 16 steps here).

## Cost of a training step against context length

Forward and backward, 4 series, milliseconds.

{contexts}

At these lengths (up to 1,024 tokens) softmax attention's quadratic part is still small beside its linear maps.

## Cost of a training step against parameters of the core

16 series of 512 steps.

{parameters}
"""


def main() -> None:
    torch.set_num_threads(1)
    sections = {}
    for section in (exactness, decoding, positions, contexts, parameters):
        sections[section.__name__] = section()
        sys.stdout.write(sections[section.__name__] + "\n")
        sys.stdout.flush()
    machine = f"one {platform.machine()} processor"
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(TEXT.format(machine=machine, torch=torch.__version__.split("+")[0], **sections))


if __name__ == "__main__":
    main()
