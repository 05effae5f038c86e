"""One-step-ahead values over the history a forecaster was fitted on.

Legend: T rows of a panel end to end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.exceptions import NotFittedError

if TYPE_CHECKING:
    from tsar.panel import Panel


class InSample:
    """Gives a forecaster `fitted_` and `residuals_` from its `_one_step(panel)`: array [T], NaN where unknown."""

    history_: Panel
    _place: dict[object, int]

    @property
    def fitted_(self) -> pd.DataFrame:
        """Long frame of the history with the columns "fitted" (expected one step before) and "residual"."""
        if not hasattr(self, "history_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted: call fit(data) first")
        panel = self.history_
        usable = np.array([i for i, item in enumerate(panel.ids) if item in self._place], "i8")
        fitted_T = np.full(len(panel.values), np.nan)
        if len(usable):
            mask_T = np.repeat(np.isin(np.arange(len(panel)), usable), panel.lengths)
            fitted_T[mask_T] = self._one_step(panel.take(usable))
        frame = panel.to_frame()[list(panel.names)]
        return frame.assign(fitted=fitted_T, residual=panel.values - fitted_T)

    @property
    def residuals_(self) -> np.ndarray:
        """Residuals of all items end to end, array [T], NaN where there is none."""
        return self.fitted_["residual"].to_numpy()

    def _one_step(self, panel: Panel) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} is abstract: it lacks _one_step")
