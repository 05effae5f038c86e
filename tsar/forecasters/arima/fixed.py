"""ARIMA: one given order for every series of a panel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tsar.forecasters.arima.fitting import Wanted
from tsar.forecasters.arima.panel_arima import PanelARIMA
from tsar.panel import Panel


class ARIMA(PanelARIMA):
    """Seasonal ARIMA by exact Gaussian maximum likelihood, all series at once.

    (1 - phi B)(1 - Phi B^s)(w_t - c - beta' x_t) = (1 + theta B)(1 + Theta B^s) e_t, where w and x are differenced d
    times by 1 and D times by the season s (Box & Jenkins 1976, chapters 4, 7, 9). Coefficients are stationary and
    invertible by construction; c and beta are generalised least squares; missing values are integrated out.
    Intervals hold the shocks to come, what gaps leave open, the error of c and beta, and k / n more for the k others.

    Parameters
    ----------
    order : (p, d, q), default (1, 0, 0)
    seasonal_order : (P, D, Q), default (0, 0, 0)
    season_length : int, steps, default from the frequency, else detected
    trend : "auto" (default: c where d + D < 2), "c" (always) or "n" (never); c is a mean, after differencing a drift
    box_cox : power of a Box-Cox transformation, "auto" (Guerrero 1993) or None, default
    known : names of numeric columns that are known over the horizon
    engine : "tsar" (default), "statsmodels" (SARIMAX) or "statsforecast", one series at a time
    n_jobs : processes, default 1
    freq, bounds, on_error : as in `SeasonalNaive`

    Attributes
    ----------
    orders_ : frame of orders, AICc, log-likelihood, innovation deviation; fitted_, residuals_ : see `InSample`

    Raises
    ------
    ValueError
        At fit for impossible orders, or an item with fewer observed values than the model needs.
    """

    def __init__(
        self,
        order: Sequence[int] = (1, 0, 0),
        seasonal_order: Sequence[int] = (0, 0, 0),
        season_length: int | None = None,
        *,
        trend: str = "auto",
        box_cox: float | str | None = None,
        known: Sequence[str] = (),
        engine: str = "tsar",
        n_jobs: int | None = 1,
        freq: str | int | None = None,
        bounds: tuple[float | None, float | None] | None = None,
        on_error: str = "raise",
    ) -> None:
        self.order = order
        self.seasonal_order = seasonal_order
        self.season_length = season_length
        self.trend = trend
        self.box_cox = box_cox
        self.known = known
        self.engine = engine
        self.n_jobs = n_jobs
        self.freq = freq
        self.bounds = bounds
        self.on_error = on_error

    def _check_options(self) -> None:
        super()._check_options()
        check_orders("order", self.order, "(p, d, q)")
        check_orders("seasonal_order", self.seasonal_order, "(P, D, Q)")
        if self.trend not in ("auto", "c", "n"):
            raise ValueError(f"trend must be 'auto', 'c' or 'n', found {self.trend!r}")
        if self.trend == "c" and self.order[1] + self.seasonal_order[1] > 1:
            raise ValueError("trend='c' after two differences is a quadratic trend: expected trend='auto' or 'n'")

    def _seasons(self, panel: Panel) -> np.ndarray:
        if not any(self.seasonal_order):
            return np.ones(len(panel), "i8")
        season_N = panel.season_of()
        if (season_N < 2).any():
            item = panel.ids[int(np.argmax(season_N < 2))]
            raise ValueError(
                f"item {item!r} has no season that seasonal_order={tuple(self.seasonal_order)} could use: "
                "expected season_length of at least 2"
            )
        return season_N

    def _wanted(self, season: int) -> Wanted:
        (p, d, q), (big_p, big_d, big_q) = self.order, self.seasonal_order
        return Wanted((p, q, big_p, big_q), None, d, big_d, {"auto": None, "c": True, "n": False}[self.trend])


def check_orders(name: str, value: Any, meaning: str) -> None:
    """Check three non-negative integers; ValueError otherwise."""
    whole = isinstance(value, Sequence) and len(value) == 3
    whole = whole and all(isinstance(v, int | np.integer) and not isinstance(v, bool) and v >= 0 for v in value)
    if not whole:
        raise ValueError(f"{name} must be {meaning}, three integers of at least 0, found {value!r}")
