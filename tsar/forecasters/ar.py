"""AR: autoregressions of thousands of series in one vectorised fit.

Legend: N items, T all rows end to end, H horizon, L time, D deterministic columns, X exogenous columns,
P lags (dense, in levels: differencing is multiplied into the lag polynomial).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tsar import frequency
from tsar.forecasters.ar_fit import Model, fit_panel
from tsar.forecasters.ar_gram import deterministic
from tsar.forecasters.ar_paths import bridge, difference, mean_path, psi_weights, state_response, with_differences
from tsar.forecasters.array_state import ArrayState
from tsar.forecasters.base import Forecaster
from tsar.forecasters.in_sample import InSample
from tsar.forecasters.linear_process import linear_process
from tsar.forecasters.prediction import Prediction, weave
from tsar.panel import Panel


class AR(ArrayState, InSample, Forecaster):
    """Autoregression y_t = c + b t + s_phase(t) + beta' x_t + sum_i phi_i y_{t-i} + e_t of each series.

    Least squares conditions on the first lags and leaves out rows with a missing value; Yule-Walker and Burg are fitted
    to what the deterministic terms leave (Brockwell and Davis 1991, chapter 8). Intervals take the coefficients as
    known. A gap at the end of a history is bridged by the Kalman filter.

    Parameters
    ----------
    lags : int (1 … lags), list of ints, or "auto": the order of the smallest `criterion`, default
    method : "ols" (default), "yule_walker" or "burg"
    trend : "n", "c" (default), "t" or "ct"; time counts 1, 2, … from the start of the fitted series
    seasonal : dummies of the phases of the season, default False
    diff, seasonal_diff : how often the series, and its known covariates, are differenced first; default 0
    criterion : "aicc" (default) or "bic"
    max_lags : int, the largest order that "auto" tries, default from length and season
    explosive : leave roots above one as least squares finds them; default None: only where `lags` are given. Otherwise
        they are drawn back to one, so that a growing series is forecast as a random walk with drift
    known : names of numeric columns that are known over the horizon
    season_length, freq, bounds, on_error : as in `SeasonalNaive`

    Attributes
    ----------
    params_ : frame of coefficients, one row an item
    order_ : int array [N]; sigma_ : innovation standard deviation [N], raw units
    fitted_, residuals_ : see `InSample`

    Raises
    ------
    ValueError
        At fit for an item with fewer complete steps than coefficients.
    """

    def __init__(
        self,
        lags: int | Sequence[int] | str = "auto",
        *,
        method: str = "ols",
        trend: str = "c",
        seasonal: bool = False,
        diff: int = 0,
        seasonal_diff: int = 0,
        criterion: str = "aicc",
        max_lags: int | None = None,
        explosive: bool | None = None,
        known: Sequence[str] = (),
        season_length: int | None = None,
        freq: str | int | None = None,
        bounds: tuple[float | None, float | None] | None = None,
        on_error: str = "raise",
    ) -> None:
        self.lags = lags
        self.method = method
        self.trend = trend
        self.seasonal = seasonal
        self.diff = diff
        self.seasonal_diff = seasonal_diff
        self.criterion = criterion
        self.max_lags = max_lags
        self.explosive = explosive
        self.known = known
        self.season_length = season_length
        self.freq = freq
        self.bounds = bounds
        self.on_error = on_error

    def _check_options(self) -> None:
        super()._check_options()
        for name, allowed in {
            "method": ("ols", "yule_walker", "burg"),
            "trend": ("n", "c", "t", "ct"),
            "criterion": ("aicc", "bic"),
        }.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, found {getattr(self, name)!r}")
        for name in ("diff", "seasonal_diff", "max_lags"):
            value = getattr(self, name)
            if not (value is None and name == "max_lags") and (not _whole(value) or value < 0):
                raise ValueError(f"{name} must be an integer of at least 0, found {value!r}")
        lags = self._lags()
        if self.method != "ols":
            if self.known or (self.trend == "t" and not self.seasonal):
                raise ValueError(f"method={self.method!r} has no known covariates and no trend='t': use method='ols'")
            if lags is not None and lags != tuple(range(1, len(lags) + 1)):
                raise ValueError(f"method={self.method!r} fits all lags up to an order, found {self.lags!r}: use 'ols'")

    def _lags(self) -> tuple[int, ...] | None:
        """Lags in ascending order, or None for "auto"."""
        if isinstance(self.lags, str) and self.lags == "auto":
            return None
        given = range(1, self.lags + 1) if _whole(self.lags) and self.lags >= 0 else self.lags  # type: ignore[operator]
        if isinstance(given, str) or not np.iterable(given) or not all(_whole(lag) and lag >= 1 for lag in given):
            raise ValueError(f"lags must be an int, a list of positive ints or 'auto', found {self.lags!r}")
        return tuple(sorted({int(lag) for lag in given}))

    def _fit(self, panel: Panel) -> Mapping[int, str]:
        self.freq_ = panel.freq
        self.start_ = panel.times[panel.offsets[:-1]].astype("i8")
        needs_season = self.seasonal or self.seasonal_diff
        self.season_ = panel.season_of() if needs_season else np.zeros(len(panel), "i8")
        model = Model(
            lags=self._lags(), method=self.method, trend=self.trend, seasonal=self.seasonal, diff=self.diff,
            seasonal_diff=self.seasonal_diff, criterion=self.criterion,
            explosive=self._lags() is not None if self.explosive is None else self.explosive,
        )  # fmt: skip
        x_TX = np.stack([self._numbers(panel, name) for name in self.known], -1) if self.known else None
        found, failed = fit_panel(panel.values, panel.offsets, x_TX, self.season_, self._highest(panel, model), model)
        self.delta_, self.beta_, self.phi_, self.sigma_, self.order_ = found
        return failed

    def _highest(self, panel: Panel, model: Model) -> np.ndarray:
        """Largest order to try: 10 log10(n) as is customary, a season and a step if that is short, n / 3 at most."""
        season = panel.season or frequency.season_length(panel.freq) or 1
        length_N = np.maximum(panel.lengths - model.reach(self.season_), 1)
        wanted_N = np.maximum(np.round(10 * np.log10(length_N)), season + 1 if season <= 30 else 0)
        wanted_N = wanted_N if self.max_lags is None else np.full(len(panel), self.max_lags)
        return np.minimum(wanted_N, length_N // 3).astype("i8")

    def _predict(self, panel: Panel, horizon: int, future: Mapping[str, np.ndarray]) -> Prediction:
        place_N, width = self._places(panel), int(panel.lengths.max())
        phi_NP = self._in_levels(place_N)
        recent_NP = _last(panel.padded(longest=max(phi_NP.shape[1], 1)), phi_NP.shape[1])
        input_NH = self._deterministic(panel, place_N, horizon)
        driven = self._driven(panel, place_N, future, horizon) if self.known else None
        input_NH = input_NH if driven is None else input_NH + driven[:, width:]
        holes_N = np.isnan(recent_NP).any(1)
        parts = []
        if len(rows := np.flatnonzero(~holes_N)):
            whole = len(rows) == len(panel)
            given = (recent_NP[:, ::-1], phi_NP, input_NH, self.sigma_[place_N])
            parts.append((rows, _from_state(*(given if whole else (part[rows] for part in given)))))
        if len(rows := np.flatnonzero(holes_N)):
            some, phi_BP, sigma_B = panel.take(rows), phi_NP[rows], self.sigma_[place_N[rows]]
            y_BL = some.padded()
            past_BL = self._deterministic(some, place_N[rows], 0, y_BL.shape[1])
            past_BL = past_BL if driven is None else past_BL + driven[rows, width - y_BL.shape[1] : width]
            reach = max(y_BL.shape[1], phi_BP.shape[1])
            spread_B = (np.nanstd(y_BL, 1) / np.where(sigma_B > 0, sigma_B, np.inf)) ** 2
            state_BP, cov_BPP = bridge(_last(y_BL, reach), _last(past_BL, reach), phi_BP, spread_B)
            parts.append((rows, _from_state(state_BP, phi_BP, input_NH[rows], sigma_B, cov_BPP)))
        return parts[0][1] if len(parts) == 1 else weave(len(panel), parts)

    def _in_levels(self, place_N: np.ndarray) -> np.ndarray:
        """Lag coefficients of the series itself, with the differences multiplied in: [N, P]."""
        if not self.seasonal_diff:
            return with_differences(self.phi_[place_N], self.diff, 0, 0)
        season_N = self.season_[place_N]
        width = self.phi_.shape[1] + self.diff + self.seasonal_diff * int(season_N.max(initial=1))
        out_NP = np.zeros((len(place_N), width))
        for season in np.unique(season_N):
            rows = np.flatnonzero(season_N == season)
            part = with_differences(self.phi_[place_N[rows]], self.diff, int(season), self.seasonal_diff)
            out_NP[rows, : part.shape[1]] = part
        return out_NP

    def _deterministic(self, panel: Panel, place_N: np.ndarray, horizon: int, past: int = 0) -> np.ndarray:
        """Deterministic part of the equation over `past` steps up to the end and `horizon` steps after it."""
        if self.trend in ("n", "c") and not self.seasonal:
            level_N1 = self.delta_[place_N] if self.trend == "c" else np.zeros((len(place_N), 1))
            return np.broadcast_to(level_N1, (len(place_N), past + horizon))
        start_N = panel.times[panel.offsets[:-1]]
        began_N, on_grid = frequency.positions(start_N, self.start_[place_N].astype(start_N.dtype), self.freq_)
        if not on_grid.all():
            i = int(np.argmin(on_grid))
            raise ValueError(f"item {panel.ids[i]!r} starts at {start_N[i]}, off the grid {self.freq_!r} of its fit")
        ended_N1 = (began_N + panel.lengths - self._reach()[place_N])[:, None]
        t_NK = ended_N1 + np.arange(1 - past, horizon + 1)
        out_NK = np.empty(t_NK.shape)
        dummies_N = self.season_[place_N] if self.seasonal else np.zeros(len(place_N), "i8")
        for season in np.unique(dummies_N):
            rows = np.flatnonzero(dummies_N == season)
            columns = deterministic(t_NK[rows], self.trend, int(season))
            out_NK[rows] = np.einsum("nkd,nd->nk", columns, self.delta_[place_N[rows], : columns.shape[-1]])
        return out_NK

    def _reach(self) -> np.ndarray:
        return self.diff + self.seasonal_diff * self.season_

    def _driven(self, panel: Panel, place_N: np.ndarray, future: Mapping[str, np.ndarray], horizon: int) -> np.ndarray:
        """Part of the equation that known covariates drive, over the padded history and the horizon: [N, L + H]."""
        out = np.zeros((len(panel), int(panel.lengths.max()) + horizon))
        for x, name in enumerate(self.known):
            past_NL = panel.padded(self._numbers(panel, name))
            seen_NL = ~np.isnan(past_NL)
            level_N = np.where(seen_NL, past_NL, 0.0).sum(1) / np.maximum(seen_NL.sum(1), 1)
            steps = [np.where(seen_NL, past_NL, level_N[:, None])]
            if name in future:
                if (lost := np.isnan(future[name].astype("f8")).any(1)).any():
                    item = panel.ids[int(np.argmax(lost))]
                    raise ValueError(f"item {item!r} lacks the known covariate {name!r} at a step of the horizon")
                steps.append(future[name].astype("f8"))
            whole_NK = np.concatenate(steps, 1)
            for season in np.unique(self.season_[place_N]):
                rows = np.flatnonzero(self.season_[place_N] == season)
                moved = difference(whole_NK[rows], self.diff, int(season), self.seasonal_diff)
                out[rows, whole_NK.shape[1] - moved.shape[1] :] += self.beta_[place_N[rows], x, None] * moved
        return out

    def _numbers(self, panel: Panel, name: str) -> np.ndarray:
        column = panel.covariates[name]
        if column.dtype == object:
            raise ValueError(f"the known covariate {name!r} holds text: {type(self).__name__} expects numbers")
        return column

    def _one_step(self, panel: Panel) -> np.ndarray:
        place_N, width = self._places(panel), int(panel.lengths.max())
        input_NL = self._deterministic(panel, place_N, 0, width)
        input_NL = input_NL + self._driven(panel, place_N, {}, 0) if self.known else input_NL
        y_NL, phi_NP = panel.padded(), self._in_levels(place_N)
        fitted_NL = np.array(input_NL)
        for lag in range(1, phi_NP.shape[1] + 1):
            before_NL = np.pad(y_NL, ((0, 0), (lag, 0)), constant_values=np.nan)[:, :width]
            used_N1 = phi_NP[:, lag - 1, None] != 0
            fitted_NL += np.where(used_N1, phi_NP[:, lag - 1, None] * before_NL, 0.0)
        reach_N1 = (self._reach() + self.order_)[place_N, None]
        step_NL = np.arange(width) - (width - panel.lengths[:, None])
        return np.where(step_NL >= reach_N1, fitted_NL, np.nan)[step_NL >= 0]

    @property
    def params_(self) -> pd.DataFrame:
        """Coefficients by name (const, trend, s(2), …, known columns, L1, L2, …), one row an item."""
        names = ["const"] * ("c" in self.trend) + ["trend"] * ("t" in self.trend)
        names += [f"s({k})" for k in range(1 + ("c" in self.trend), self.delta_.shape[1] - len(names) + 2)]
        names = names[: self.delta_.shape[1]] + list(self.known) + [f"L{i + 1}" for i in range(self.phi_.shape[1])]
        return pd.DataFrame(np.hstack([self.delta_, self.beta_, self.phi_]), index=list(self._place), columns=names)


def _last(values_NL: np.ndarray, steps: int) -> np.ndarray:
    """Last `steps` columns, with NaN before the first where there are fewer."""
    lacking = max(steps - values_NL.shape[1], 0)
    wide = np.pad(values_NL, ((0, 0), (lacking, 0)), constant_values=np.nan) if lacking else values_NL
    return wide[:, wide.shape[1] - steps :]


def _from_state(
    state_BP: np.ndarray,
    phi_BP: np.ndarray,
    input_BH: np.ndarray,
    sigma_B: np.ndarray,
    cov_BPP: np.ndarray | None = None,
) -> Prediction:
    """Prediction from the state (y_T, y_{T-1}, …), which may be uncertain."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean_BH = mean_path(state_BP, phi_BP, input_BH)
        psi_BH = psi_weights(phi_BP, input_BH.shape[1])
        unknown = None
        if cov_BPP is not None:
            size_BP, axes_BPP = np.linalg.eigh(cov_BPP)
            root_BPP = axes_BPP * np.sqrt(np.maximum(size_BP, 0.0))[:, None]
            unknown = sigma_B[:, None, None] * (state_response(phi_BP, input_BH.shape[1]) @ root_BPP)
        grown = np.flatnonzero(~np.isfinite(mean_BH[:, -1] + psi_BH[:, -1] * sigma_B))
    failed = {int(b): "the fitted autoregression explodes before the end of the horizon" for b in grown}
    return linear_process(mean_BH, sigma_B[:, None], psi_BH, unknown, failed=failed)


def _whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
