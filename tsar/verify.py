"""`tsar verify MODEL`: compute a sample of a bundled model's published scores again and say whether they hold.

Legend: N series, H horizon, Q levels.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsar import metrics
from tsar.catalog import load_dataset
from tsar.forecast import DECILES
from tsar.forecasters.base import Forecaster

log = logging.getLogger(__name__)

SCORES = "scores.json"
ITEMS = 50
TOLERANCE = 0.005  # relative; forecasts are deterministic, libraries may round differently


def scores(model: Forecaster, dataset: str, items: int = ITEMS) -> dict[str, float]:
    """MASE and WQL of a model over the last horizon of a data set.

    Parameters
    ----------
    model : Forecaster
        Ready to predict without fit.
    dataset : str
        A name that `tsar.load_dataset` knows; its first `items` series by name are used.
    items : int, default 50

    Raises
    ------
    ValueError
        If the data set is not to be had here.
    """
    df = load_dataset(dataset)
    horizon, season = int(df.attrs["horizon"]), int(df.attrs["season_length"])
    kept = sorted(df.item_id.unique())[:items]
    df = df[df.item_id.isin(kept)].sort_values(["item_id", "timestamp"])
    back = df.groupby("item_id").cumcount(ascending=False)
    past, future = df[back >= horizon], df[back < horizon]
    fc = model.predict(horizon, past, season_length=season)
    actual_NH = np.stack([future[future.item_id == item].target.to_numpy(float) for item in fc.ids])
    scale_N = [metrics.seasonal_error(group.target.to_numpy(float), season) for _, group in past.groupby("item_id")]
    return {
        "mase": float(metrics.mase(actual_NH, fc.quantile(0.5), scale_N, axis=None)),
        "wql": float(metrics.wql(actual_NH, fc.quantiles_NHQ, DECILES, axis=None)),
    }


def verify(name: str) -> pd.DataFrame:
    """Compare published and recomputed scores: columns dataset, score, published, found, holds.

    Data sets that are not to be had here are left out and logged.
    """
    from tsar.model_store import locate
    from tsar.pretrained import from_pretrained

    file = locate(name) / SCORES
    if not file.is_file():
        raise ValueError(f"{name} publishes no scores: expected {SCORES} beside its weights")
    published: Mapping[str, Any] = json.loads(file.read_text())
    model, rows = from_pretrained(name), []
    for dataset, expected in published.items():
        try:
            found = scores(model, dataset)
        except (ValueError, OSError, ImportError) as error:
            log.warning("%s is left out: %s", dataset, error)
            continue
        for score, value in expected.items():
            close = abs(found[score] - value) <= TOLERANCE * abs(value)
            rows.append({"dataset": dataset, "score": score, "published": value, "found": found[score], "holds": close})
    if not rows:
        raise ValueError(f"none of the data sets {', '.join(published)} is to be had here")
    return pd.DataFrame(rows)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tsar verify`."""
    parser.add_argument("model", help="bundled weights, such as tsar-small, or a folder of weights")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the scores found here, to be published")
    parser.add_argument("--datasets", nargs="+", metavar="NAME", help="with --write: the data sets to score")


def run(args: argparse.Namespace) -> None:
    """Run `tsar verify`."""
    if args.write:
        from tsar.pretrained import from_pretrained

        model = from_pretrained(args.model)
        found = {name: scores(model, name) for name in args.datasets or ()}
        args.write.write_text(json.dumps(found, indent=1) + "\n")
        return
    table = verify(args.model)
    sys.stdout.write(table.to_string(index=False, float_format="{:.4f}".format) + "\n")
    if not table.holds.all():
        raise ValueError(f"{int((~table.holds).sum())} of {len(table)} published scores of {args.model} do not hold")
