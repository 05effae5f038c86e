"""gluonts: forecasters as predictors, for its evaluation and for benchmarks in its format.

gluonts data sets need no door to come in: `fit` and `predict` read them.

Legend: N items, V variates, H horizon, Q levels, K known covariates, L time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from gluonts.model.forecast import Forecast as GluontsForecast
from gluonts.model.forecast import QuantileForecast, SampleForecast
from gluonts.model.predictor import Predictor

from tsar.forecast import DECILES, check_levels
from tsar.forecasters.base import Forecaster, check_horizon
from tsar.forecasters.store import decode, encode, load
from tsar.interop.choice import continued, named
from tsar.panel import Panel

LEVELS = (0.025, 0.05, *DECILES, 0.95, 0.975)  # what gluonts' metrics ask for by default
_FILE = "tsar-predictor.json"


def to_predictor(
    model: Forecaster | str,
    prediction_length: int,
    *,
    levels: Sequence[float] = LEVELS,
    num_samples: int | None = None,
    batch_size: int = 1024,
    random_state: int = 0,
) -> TsarPredictor:
    """Give a gluonts predictor, which runs through `gluonts.model.evaluate_model`.

    Parameters
    ----------
    model : Forecaster or str
        A fitted or pretrained forecaster, or a name of pretrained weights, predicts as it is; an unfitted one is
        fitted, as a copy, on the series it is to continue. Its `known` columns are the rows of "feat_dynamic_real".
    prediction_length : int, steps
    levels : quantile levels of the answers, default those of gluonts' usual metrics
    num_samples : int, optional
        Answer with sample paths in place of quantiles.
    batch_size : int, default 1024, series read and forecast at once
    random_state : int, default 0, of the paths

    Raises
    ------
    TypeError
        If `model` is neither.
    ValueError
        For an impossible number.
    """
    return TsarPredictor(
        model, check_horizon(prediction_length), check_levels(levels), num_samples, batch_size, random_state
    )


class TsarPredictor(Predictor):
    """gluonts predictor that asks a tsar forecaster; made by `to_predictor`."""

    def __init__(
        self,
        model: Forecaster | str,
        prediction_length: int,
        levels: tuple[float, ...],
        num_samples: int | None,
        batch_size: int,
        random_state: int,
    ) -> None:
        super().__init__(prediction_length)
        self.name = model if isinstance(model, str) else None
        self.model = named(model)
        self.levels = levels
        self.num_samples = num_samples
        self.batch_size = check_horizon(batch_size)
        self.random_state = random_state

    def predict(
        self, dataset: Iterable[Mapping[str, Any]], num_samples: int | None = None, **unused: Any
    ) -> Iterator[GluontsForecast]:
        """Forecast after the end of every entry, in order; `num_samples` overrides that of `to_predictor`."""
        paths = self.num_samples if num_samples is None else num_samples
        for entries in _batches(dataset, self.batch_size):
            yield from self._predict_batch(entries, paths)

    def _predict_batch(self, entries: list[Mapping[str, Any]], paths: int | None) -> Iterator[GluontsForecast]:
        panel, future = _read(entries, tuple(self.model.known), self.prediction_length)
        levels = self.levels if paths is None else (0.5,)
        forecast = continued(
            self.model, panel, self.prediction_length, levels=levels, num_samples=paths, future=future,
            random_state=self.random_state,
        )  # fmt: skip
        row = 0
        for entry in entries:
            target = np.asarray(entry["target"])
            rows = slice(row, row + len(target)) if target.ndim == 2 else row
            row += len(target) if target.ndim == 2 else 1
            about = {"start_date": entry["start"] + target.shape[-1], "item_id": entry.get("item_id")}
            if paths is None:
                arrays = np.concatenate([forecast.mean_NH[..., None], forecast.quantiles_NHQ], -1)[rows]
                keys = ["mean", *(f"{level:g}" for level in levels)]
                yield QuantileForecast(np.moveaxis(arrays, -1, 0).swapaxes(1, -1), forecast_keys=keys, **about)
            else:
                assert forecast.samples_NSH is not None
                drawn = forecast.samples_NSH[rows]
                yield SampleForecast(drawn if target.ndim == 1 else np.moveaxis(drawn, 0, -1), **about)

    def serialize(self, path: Path) -> None:
        """Write the predictor to a folder that exists: JSON and safetensors, never pickle."""
        super().serialize(path)
        fitted = self.name is None and self.model.__sklearn_is_fitted__()
        if fitted:
            self.model.save(path / "model")
        about = {
            "prediction_length": self.prediction_length,
            "levels": self.levels,
            "num_samples": self.num_samples,
            "batch_size": self.batch_size,
            "random_state": self.random_state,
            "model": None if fitted else self.name or encode(self.model),
        }
        (path / _FILE).write_text(json.dumps(about, indent=1))

    @classmethod
    def deserialize(cls, path: Path, **unused: Any) -> TsarPredictor:
        """Read what `serialize` wrote."""
        about = json.loads((path / _FILE).read_text())
        model = about.pop("model")
        model = load(path / "model") if model is None else model if isinstance(model, str) else decode(model)
        return to_predictor(model, **about)


def _batches(dataset: Iterable[Mapping[str, Any]], size: int) -> Iterator[list[Mapping[str, Any]]]:
    """Runs of entries without a repeated item: the windows of one series are different series at different times."""
    batch: list[Mapping[str, Any]] = []
    ids: set[Any] = set()
    for number, entry in enumerate(dataset):
        name = entry.get("item_id", number)
        if name in ids or len(batch) == size:
            yield batch
            batch, ids = [], set()
        batch.append(entry)
        ids.add(name)
    if batch:
        yield batch


def _read(entries: list[Mapping[str, Any]], known: tuple[str, ...], horizon: int) -> tuple[Panel, pd.DataFrame | None]:
    """Panel of the entries and the frame of the known covariates over the horizon."""
    panel = Panel.of(entries)
    if not known:
        return panel, None
    columns = []
    for entry in entries:
        target = np.asarray(entry["target"])
        feature_KL = np.atleast_2d(np.asarray(entry.get("feat_dynamic_real", np.empty((0, 0))), "f8"))
        expected = (len(known), target.shape[-1] + horizon)
        if feature_KL.shape != expected:
            raise ValueError(
                f"item {entry.get('item_id')!r}: feat_dynamic_real must hold the known covariates {list(known)} over "
                f"history and horizon, expected the shape {expected}, found {feature_KL.shape}"
            )
        columns += [feature_KL] * (len(target) if target.ndim == 2 else 1)
    past = {name: np.concatenate([c[k, :-horizon] for c in columns]) for k, name in enumerate(known)}
    panel = replace(panel, covariates=past)
    ahead: dict[str, Any] = {"item_id": np.repeat(panel.ids, horizon), "timestamp": panel.future_times(horizon).ravel()}
    ahead |= {name: np.concatenate([c[k, -horizon:] for c in columns]) for k, name in enumerate(known)}
    return panel, pd.DataFrame(ahead)
