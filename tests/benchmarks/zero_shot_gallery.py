"""Twelve real series with tsar-small's forecast and what came true.

    python -m tests.benchmarks.zero_shot_gallery

Writes docs/pictures/zero_shot.png; needs TSAR_DATA.
"""

from __future__ import annotations

import matplotlib
import numpy as np

import tsar
from tests.benchmarks.zero_shot import cases

matplotlib.use("Agg")
SETS = (
    "m4_yearly", "m4_quarterly", "m4_monthly", "m4_weekly", "m4_daily", "m4_hourly", "ETTh1", "ETTm2", "weather",
    "bike_sharing", "m5_store_sales", "epf_prices",
)  # fmt: skip


def main() -> None:
    """Draw the first series of each set."""
    from matplotlib import pyplot as plt

    model = tsar.from_pretrained("tsar-small")
    figure, axes = plt.subplots(4, 3, figsize=(13, 10), layout="constrained")
    found = {case.name: case for case in cases(list(SETS)) if case.origin == 0}
    for axis, name in zip(axes.flat, SETS, strict=True):
        case = found[name]
        y, truth = case.past[0], case.actual_NH[0]
        h = len(truth)
        fc = model.predict(h, [y], levels=(0.025, 0.1, 0.5, 0.9, 0.975), season_length=case.season)
        q_HQ, ahead = fc.quantiles_NHQ[0], np.arange(1, h + 1)
        past = y[-4 * h :]
        axis.plot(np.arange(1 - len(past), 1), past, color="black", lw=0.8)
        axis.plot(ahead, truth, color="black", lw=0.8, ls=":")
        axis.fill_between(ahead, q_HQ[:, 0], q_HQ[:, 4], alpha=0.2, color="tab:blue", lw=0)
        axis.fill_between(ahead, q_HQ[:, 1], q_HQ[:, 3], alpha=0.3, color="tab:blue", lw=0)
        axis.plot(ahead, q_HQ[:, 2], color="tab:blue", lw=1.2)
        axis.set_title(name, fontsize=9)
    figure.savefig("docs/pictures/zero_shot.png", dpi=80)


if __name__ == "__main__":
    main()
