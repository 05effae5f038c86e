"""State of forecasters that learn nothing but arrays and plain values."""

from __future__ import annotations

from typing import Any

import numpy as np

_OWN = ("history_", "failed_")  # kept by every forecaster itself


class ArrayState:
    """Saves every learned attribute (its name ends in "_"): arrays as arrays, the rest as JSON values."""

    def _state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        learned = {k: v for k, v in vars(self).items() if k.endswith("_") and k not in _OWN}
        arrays = {k: v for k, v in learned.items() if isinstance(v, np.ndarray)}
        return {k: v for k, v in learned.items() if k not in arrays}, arrays

    def _restore(self, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        vars(self).update(values | arrays)
