"""Exponential smoothing: ETS of a given form over statsmodels, AutoETS over statsforecast.

Legend: B items of one form, L time, H horizon, Z states, W weights (see `ets_states`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tsar.forecasters.ets_smoothing import Learned, Smoothing
from tsar.forecasters.ets_states import Form
from tsar.forecasters.extras import import_extra
from tsar.forecasters.gaps import quietly, unit_of


class ETS(Smoothing):
    """Exponential smoothing of one form, estimated by statsmodels (Hyndman et al. 2008).

    Parameters
    ----------
    error : "add" (default) or "mul"
    trend : "add" (default), "mul" or None
    damped : damp the trend, default True
    seasonal : "add", "mul", None, or "auto" (default): "add" where a season of at most 24 steps was seen twice
    season_length : int, steps, default from the frequency, else detected
    n_jobs : processes, default 1; progress : a bar on stderr, default off
    freq, bounds, on_error : as in `SeasonalNaive`
    """

    engine = "statsmodels"

    def __init__(
        self,
        error: str = "add",
        trend: str | None = "add",
        damped: bool = True,
        seasonal: str | None = "auto",
        *,
        season_length: int | None = None,
        freq: str | int | None = None,
        bounds: tuple[float | None, float | None] | None = None,
        n_jobs: int | None = 1,
        progress: bool = False,
        on_error: str = "raise",
    ) -> None:
        self.error = error
        self.trend = trend
        self.damped = damped
        self.seasonal = seasonal
        self.season_length = season_length
        self.freq = freq
        self.bounds = bounds
        self.n_jobs = n_jobs
        self.progress = progress
        self.on_error = on_error

    def _check_options(self) -> None:
        super()._check_options()
        allowed = {"error": ("add", "mul"), "trend": ("add", "mul", None), "seasonal": ("add", "mul", None, "auto")}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} must be one of {values}, found {getattr(self, name)!r}")

    def _worker(self) -> tuple[Callable[..., Learned], tuple[Any, ...]]:
        return _estimate, (self.error, self.trend, self.damped and self.trend is not None, self.seasonal)


def _estimate(
    y_L: np.ndarray, season: int, error: str, trend: str | None, damped: bool, seasonal: str | None
) -> Learned:
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    if seasonal == "auto":
        seasonal = "add" if 1 < season <= 24 and len(y_L) >= max(2 * season, 10) else None
    size = float(np.abs(y_L).max()) or 1.0  # the optimiser's tolerances are absolute
    model = ETSModel(
        y_L / size,
        error=error,
        trend=trend,
        damped_trend=damped,
        seasonal=seasonal,
        seasonal_periods=season if seasonal else None,
        initialization_method="estimated" if season <= 12 else "heuristic",  # a long season has too many states
    )
    with quietly():
        result = model.fit(disp=False)
    code = {None: "N", "add": "A", "mul": "M"}
    form = Form(code[error], code[trend], code[seasonal])
    weights_W = np.array(
        [
            result.smoothing_level,
            result.smoothing_trend if trend else 0.0,
            result.smoothing_seasonal if seasonal else 0.0,
            result.damping_trend if damped else 1.0,
        ]
    )
    slope = result.initial_trend * (1.0 if trend == "mul" else size) if trend else 0.0
    profile_Z = (
        np.atleast_1d(result.initial_seasonal * (1.0 if seasonal == "mul" else size)) if seasonal else np.zeros(1)
    )
    sigma = np.sqrt(result.scale) * (1.0 if error == "mul" else size)
    first_Z = np.concatenate([[result.initial_level * size, slope], profile_Z])
    if not np.isfinite(first_Z.sum() + weights_W.sum() + sigma):
        raise ValueError(f"statsmodels found no finite estimate of {form} for {len(y_L)} values")
    return Learned(form, weights_W, first_Z, float(sigma), bool(result.mle_retvals["converged"]))


class AutoETS(Smoothing):
    """Exponential smoothing of the form that statsforecast finds best by AICc; needs `tsar[statsforecast]`.

    Means are statsforecast's. Spreads and paths follow the state space form, which for seasonal forms differs from
    what statsforecast computes and agrees with statsmodels.

    Parameters
    ----------
    model : three letters for error, trend and season ("Z": chosen, "N", "A" or "M"), default "ZZZ"
    damped : damp the trend; default None, chosen
    season_length : int, steps, default from the frequency, else detected
    n_jobs : processes, default 1; progress : a bar on stderr, default off
    freq, bounds, on_error : as in `SeasonalNaive`

    Raises
    ------
    ImportError
        At fit, without statsforecast; the message names the extra.
    """

    engine = "statsforecast"

    def __init__(
        self,
        model: str = "ZZZ",
        damped: bool | None = None,
        *,
        season_length: int | None = None,
        freq: str | int | None = None,
        bounds: tuple[float | None, float | None] | None = None,
        n_jobs: int | None = 1,
        progress: bool = False,
        on_error: str = "raise",
    ) -> None:
        self.model = model
        self.damped = damped
        self.season_length = season_length
        self.freq = freq
        self.bounds = bounds
        self.n_jobs = n_jobs
        self.progress = progress
        self.on_error = on_error

    def _check_options(self) -> None:
        super()._check_options()
        if not (isinstance(self.model, str) and len(self.model) == 3 and set(self.model) <= set("ZNAM")):
            raise ValueError(f"model must be three letters out of Z, N, A and M, found {self.model!r}")

    def _worker(self) -> tuple[Callable[..., Learned], tuple[Any, ...]]:
        import_extra("statsforecast.ets", "statsforecast", "AutoETS")
        return _choose, (self.model, self.damped)

    def _mean(self, form: Form, state_BZ: np.ndarray, weights_BW: np.ndarray, horizon: int) -> np.ndarray:
        ets = import_extra("statsforecast.ets", "statsforecast", "AutoETS")
        out_BH, season = np.empty((len(state_BZ), horizon)), state_BZ.shape[1] - 2
        for state_Z, weights_W, row_H in zip(state_BZ, weights_BW, out_BH, strict=True):
            trend = [state_Z[1]] if form.trend != "N" else []
            # their seasons run backwards from the present one
            theirs = np.concatenate([state_Z[:1], trend, state_Z[2:][::-1] if form.season != "N" else []])
            code = [ets.switch(form.trend), ets.switch(form.season)]
            ets.etsforecast(theirs, season, *code, float(weights_W[3]), horizon, row_H)
        return out_BH


def _choose(y_L: np.ndarray, season: int, model: str, damped: bool | None) -> Learned:
    from statsforecast.ets import ets_f

    unit = unit_of(y_L)
    try:
        with quietly():  # it has no seasons of more than 24 steps
            found = ets_f(y_L / unit, m=season if season <= 24 else 1, model=model, damped=damped)
    except NotImplementedError as reason:
        raise ValueError(f"statsforecast has no ETS for {len(y_L)} values: {reason}") from reason
    if "components" not in found:
        raise ValueError(f"statsforecast has no ETS for {len(y_L)} values")
    error, trend, seasonal, is_damped = found["components"]
    form, last_Z = Form(error, trend, seasonal), np.asarray(found["states"])[0]
    alpha, beta, gamma, phi = np.nan_to_num(np.asarray(found["par"][:4], "f8"))
    profile = last_Z[1 + (trend != "N") :][::-1] if seasonal != "N" else np.zeros(1)
    units = [unit, unit if trend == "A" else 1.0, *[unit if seasonal == "A" else 1.0] * len(profile)]
    first_Z = np.concatenate([last_Z[:1], last_Z[1:2] if trend != "N" else [0.0], profile]) * units
    weights_W = np.array([alpha, beta, gamma, phi if is_damped == "D" else 1.0])
    sigma = float(np.sqrt(found["sigma2"])) * (unit if error == "A" else 1.0)
    return Learned(form, weights_W, first_Z, sigma)
