"""Conformal: intervals calibrated on rolling backtests, around any forecaster.

Legend: N items, G groups, K scores of a group, W origins, H horizon, Q levels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import ndtri
from sklearn.base import clone

from tsar.forecasters.base import Forecaster, check_horizon
from tsar.forecasters.prediction import Prediction, with_marginals
from tsar.forecasters.rolling import ONE_DEVIATION, origin_errors
from tsar.panel import Panel


class Conformal(Forecaster):
    """Replace a forecaster's quantiles by those of its own errors at rolling origins.

    An error is measured in units of the spread that the forecaster claimed. The scores of a group and a step ahead
    give every level the order statistic that split conformal prediction asks for (Vovk, Gammerman and Shafer 2005; for
    horizons Stankeviciute, Alaa and van der Schaar 2021); beyond the most extreme score the tail goes on as a normal
    one. Means stay.

    Parameters
    ----------
    forecaster : any forecaster; it is copied, never changed
    horizon : int, steps that are calibrated, default 8; later steps use the last one
    windows : int, origins, one step apart, default 20
    by : None (default: all items share their scores), "item", or the name of a static column
    season_length, freq, bounds, on_error : as in `SeasonalNaive`

    Attributes
    ----------
    forecaster_ : the fitted copy
    scores_ : float array [G, H, K], ascending, NaN at the end; groups_ : names of the groups

    Raises
    ------
    ValueError
        At fit, for a group without a history of `windows` + `horizon` steps to calibrate on.
    """

    def __init__(
        self,
        forecaster: Forecaster,
        *,
        horizon: int = 8,
        windows: int = 20,
        by: str | None = None,
        season_length: int | None = None,
        freq: str | int | None = None,
        bounds: tuple[float | None, float | None] | None = None,
        on_error: str = "raise",
    ) -> None:
        self.forecaster = forecaster
        self.horizon = horizon
        self.windows = windows
        self.by = by
        self.season_length = season_length
        self.freq = freq
        self.bounds = bounds
        self.on_error = on_error

    @property
    def known(self) -> Any:  # type: ignore[override]
        """Known covariates of the forecaster inside."""
        return getattr(self.forecaster, "known", ())

    @property
    def past(self) -> Any:  # type: ignore[override]
        """Past covariates of the forecaster inside."""
        return getattr(self.forecaster, "past", ())

    @property
    def static(self) -> Any:  # type: ignore[override]
        """Static covariates of the forecaster inside, and the column of the groups."""
        inner = tuple(getattr(self.forecaster, "static", ()))
        return inner if self.by in (None, "item", *inner) else (*inner, self.by)

    def _check_options(self) -> None:
        super()._check_options()
        if not isinstance(self.forecaster, Forecaster):
            raise ValueError(f"forecaster must be a forecaster, found {type(self.forecaster).__name__}")
        check_horizon(self.horizon)
        if not isinstance(self.windows, int | np.integer) or self.windows < 2:
            raise ValueError(f"windows must be an integer of at least 2, found {self.windows!r}")

    def _group_of(self, panel: Panel) -> list[Any]:
        if self.by is None:
            return [""] * len(panel)
        return list(panel.ids if self.by == "item" else panel.static[self.by])

    def _fit(self, panel: Panel) -> Mapping[int, str]:
        errors = origin_errors(self.forecaster, panel, self.horizon, self.windows)
        with np.errstate(divide="ignore", invalid="ignore"):
            score_NWH = np.where(errors.spread_NWH > 0, errors.error_NWH / errors.spread_NWH, np.nan)
        group_N = self._group_of(panel)
        self.groups_ = list(dict.fromkeys(group_N))
        number_N = np.array([self.groups_.index(g) for g in group_N])
        columns = [score_NWH[number_N == g].reshape(-1, self.horizon) for g in range(len(self.groups_))]
        scores = np.full((len(columns), self.horizon, max(len(c) for c in columns)), np.nan)
        for g, column_KH in enumerate(columns):
            scores[g, :, : len(column_KH)] = np.sort(column_KH, axis=0).T  # NaN sorts to the end
        self.scores_ = scores
        self.forecaster_ = clone(self.forecaster).set_params(on_error=self.on_error).fit(panel)
        bare_G = np.isnan(scores[:, :, 1:2]).any((1, 2)) if scores.shape[2] > 1 else np.ones(len(columns), bool)
        need = f"its group has no errors to calibrate on: expected a history of more than {self.windows + self.horizon}"
        return {int(i): f"{need} steps, found {panel.lengths[i]}" for i in np.flatnonzero(bare_G[number_N])}

    def _predict(self, panel: Panel, horizon: int, future: Mapping[str, np.ndarray]) -> Prediction:
        inner = self.forecaster_._prediction(panel, horizon, future)
        self._places(panel) if self.by == "item" else None
        group_N = self._group_of(panel)
        if odd := [g for g in group_N if g not in self.groups_]:
            raise ValueError(f"the group {odd[0]!r} was not calibrated: expected one of {self.groups_[:10]}")
        number_N = np.array([self.groups_.index(g) for g in group_N])
        step_H = np.minimum(np.arange(horizon), self.horizon - 1)
        low_NH, median_NH, high_NH = np.moveaxis(inner.quantiles(ONE_DEVIATION), -1, 0)
        spread_NH = (high_NH - low_NH) / 2

        def quantiles(levels_Q: np.ndarray) -> np.ndarray:
            at_GHQ = _order_statistics(self.scores_, levels_Q)
            return median_NH[..., None] + spread_NH[..., None] * at_GHQ[number_N][:, step_H]

        draw = inner.sample

        def sample(count: int, seeds_N: np.ndarray) -> np.ndarray:
            assert draw is not None
            return with_marginals(draw(count, seeds_N), quantiles)

        return Prediction(
            inner.mean_NH, quantiles, None if draw is None else sample, failed=inner.failed, notes=inner.notes
        )


def _order_statistics(scores_GHK: np.ndarray, levels_Q: np.ndarray) -> np.ndarray:
    """Conformal quantile of the scores at every level: [G, H, Q]."""
    count_GH1 = (~np.isnan(scores_GHK)).sum(-1, keepdims=True)
    place_GHQ = levels_Q * (count_GH1 + 1) - 1  # position i of n sorted scores holds the level (i + 1) / (n + 1)
    last_GH1 = np.maximum(count_GH1 - 1, 0)
    inside_GHQ = np.clip(place_GHQ, 0, last_GH1)
    low_GHQ = np.floor(inside_GHQ).astype("i8")
    high_GHQ = np.minimum(low_GHQ + 1, last_GH1)
    at_low, at_high = (np.take_along_axis(scores_GHK, i, axis=-1) for i in (low_GHQ, high_GHQ))
    out_GHQ = at_low + (inside_GHQ - low_GHQ) * (at_high - at_low)
    edge = np.clip(levels_Q, 1 / (count_GH1 + 1), count_GH1 / (count_GH1 + 1))
    return out_GHQ + (ndtri(levels_Q) - ndtri(edge))
