"""Throughput of the artificial families, and a picture of each.

    python -m tests.benchmarks.synthetic

Writes docs/pictures/synthetic.png and the table of docs/benchmarks/zero_shot.md.
"""

from __future__ import annotations

import time
from pathlib import Path

import matplotlib
import numpy as np

from tests.benchmarks.zero_shot_report import replace
from tsar.synthetic import FAMILIES, generate

matplotlib.use("Agg")


def main() -> None:
    """Measure and draw."""
    from matplotlib import pyplot as plt

    lines = ["| family | short, Mpoints/s | long, Mpoints/s |", "|---|---|---|"]
    figure, axes = plt.subplots(len(FAMILIES), 4, figsize=(12, 1.5 * len(FAMILIES)), layout="constrained")
    for row, family in enumerate(FAMILIES):
        rates = []
        for n, length, periods in ((1000, 100, (12, 1)), (200, 2000, (24, 168))):
            start = time.perf_counter()
            generate(family, n, length, *periods, random_state=0)
            rates.append(n * length / (time.perf_counter() - start) / 1e6)
        lines.append(f"| {family} | {rates[0]:.1f} | {rates[1]:.1f} |")
        draws = [*generate(family, 2, 80, 12, 1, random_state=3), *generate(family, 2, 500, 24, 168, random_state=3)]
        for axis, y in zip(axes[row], draws, strict=True):
            axis.plot(np.arange(len(y)), y, lw=0.7)
            axis.set_xticks([])
            axis.set_yticks([])
        axes[row, 0].set_ylabel(family)
    figure.savefig("docs/pictures/synthetic.png", dpi=80)
    replace(Path("docs/benchmarks/zero_shot.md"), "families", lines)


if __name__ == "__main__":
    main()
