"""AutoARIMA: orders chosen for every series, all series searched together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tsar.forecasters.arima.fitting import Wanted
from tsar.forecasters.arima.panel_arima import PanelARIMA
from tsar.forecasters.arima.search import Limits
from tsar.panel import Panel

_LONGEST_SEASON = 400  # seasonal orders times season; the exact likelihood costs by the cube of it


class AutoARIMA(PanelARIMA):
    """ARIMA with automatic orders (Hyndman & Khandakar 2008): a vectorised fit of thousands of series.

    Differences come from the strength of an STL season and KPSS tests, the other orders from a stepwise search by AICc
    over all series together: conditional sums of squares for the search, the exact likelihood for every criterion and
    for the leading candidates' parameters. Models with a root within 1.01 of the unit circle are passed over.

    Parameters
    ----------
    season_length : int, steps, default from the frequency, else detected; 1 for no season
    d, D : first and seasonal differences, default chosen by the tests
    max_p, max_q, max_P, max_Q : largest orders, default 5, 5, 2, 2
    trend : "auto" (default: a mean or drift where it lowers the AICc and d + D < 2) or "n" (never)
    box_cox : power of a Box-Cox transformation, "auto" (Guerrero 1993) or None, default
    known : names of numeric columns that are known over the horizon
    engine : "tsar" (default), "statsforecast" (its own search) or "statsmodels" (this search, SARIMAX estimates)
    n_jobs : processes, default 1
    freq, bounds, on_error : as in `SeasonalNaive`

    Attributes
    ----------
    orders_ : frame of orders, AICc, log-likelihood, innovation deviation; runners_up_ : the next best candidates
    fitted_, residuals_ : see `InSample`

    Raises
    ------
    ValueError
        At fit for impossible options, or an item with too few observed values.
    """

    def __init__(
        self,
        season_length: int | None = None,
        *,
        engine: str = "tsar",
        d: int | None = None,
        D: int | None = None,
        max_p: int = 5,
        max_q: int = 5,
        max_P: int = 2,
        max_Q: int = 2,
        trend: str = "auto",
        box_cox: float | str | None = None,
        known: Sequence[str] = (),
        n_jobs: int | None = 1,
        freq: str | int | None = None,
        bounds: tuple[float | None, float | None] | None = None,
        on_error: str = "raise",
    ) -> None:
        self.season_length = season_length
        self.engine = engine
        self.d = d
        self.D = D
        self.max_p = max_p
        self.max_q = max_q
        self.max_P = max_P
        self.max_Q = max_Q
        self.trend = trend
        self.box_cox = box_cox
        self.known = known
        self.n_jobs = n_jobs
        self.freq = freq
        self.bounds = bounds
        self.on_error = on_error

    def _check_options(self) -> None:
        super()._check_options()
        for name in ("d", "D", "max_p", "max_q", "max_P", "max_Q"):
            value, optional = getattr(self, name), name in ("d", "D")
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 0
            if not (whole or (optional and value is None)):
                raise ValueError(f"{name} must be an integer of at least 0{' or None' * optional}, found {value!r}")
        if self.trend not in ("auto", "n"):
            raise ValueError(f"trend must be 'auto' or 'n', found {self.trend!r}")

    def _seasons(self, panel: Panel) -> np.ndarray:
        return panel.season_of()

    def _wanted(self, season: int) -> Wanted:
        sizes = (self.max_p, self.max_q, self.max_P, self.max_Q)
        reach = _LONGEST_SEASON // season if season > 1 else 0
        limits = Limits(self.max_p, self.max_q, min(self.max_P, reach), min(self.max_Q, reach))
        seasonal = self.D if season > 1 else 0
        return Wanted(sizes, limits, self.d, seasonal, False if self.trend == "n" else None)
