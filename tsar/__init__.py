"""Forecast with one causal transformer core, zero-shot or trained, beside honest classical baselines."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Public names and where they live; imported on first use, so that `import tsar` stays light and loads no torch.
_HOME = {
    "Panel": "panel",
    "Forecast": "forecast",
    "load_dataset": "catalog",
    "list_datasets": "catalog",
    "plot": "plotting",
    "Forecaster": "forecasters.base",
    "FallbackWarning": "forecasters.base",
    "load": "forecasters.store",
    "Naive": "forecasters.naive",
    "SeasonalNaive": "forecasters.naive",
    "Drift": "forecasters.naive",
    "WindowAverage": "forecasters.naive",
    "AR": "forecasters.ar",
    "ARNet": "forecasters.arnet",
    "ARTree": "forecasters.artree",
    "VAR": "forecasters.var",
    "ARIMA": "forecasters.arima",
    "AutoARIMA": "forecasters.arima",
    "ETS": "forecasters.ets",
    "Theta": "forecasters.theta",
    "AutoETS": "forecasters.ets",
    "AutoTheta": "forecasters.theta",
    "Ensemble": "forecasters.ensemble",
    "Conformal": "forecasters.conformal",
    "NeuralForecaster": "forecasters.neural",
    "TrainConfig": "train_config",
    "from_pretrained": "pretrained",
    "backtest": "evaluate",
    "compare": "comparison",
    "Comparison": "comparison",
}

__all__ = sorted(_HOME)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tsar' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"tsar.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
