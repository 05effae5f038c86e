"""Reports on fitted models: orders, candidates, coefficients with standard errors, residual tests, plots.

Legend: k ARMA coefficients, K known covariates, T time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.exceptions import NotFittedError

from tsar.forecasters.arima import diagnostics
from tsar.forecasters.arima.candidates import Slots, rows_of
from tsar.forecasters.arima.polynomials import Coefs, coefs_from_z, multiply

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tsar.panel import Panel


class Reports:
    """Gives a fitted panel of ARIMA models its frames and figures; items are named by their id."""

    history_: Panel
    known: Sequence[str]
    engine: str
    order_: np.ndarray
    season_: np.ndarray
    tried_: np.ndarray

    @property
    def orders_(self) -> pd.DataFrame:
        """Orders, constant, criterion, log-likelihood and innovation deviation of every item that was fitted."""
        self._fitted_only()
        panel, place = self.history_, self._place  # type: ignore[attr-defined]
        items = [item for item in panel.ids if item in place]
        at = [place[item] for item in items]
        frame = pd.DataFrame(self.order_[at], columns=["p", "d", "q", "P", "D", "Q", "constant"])
        frame.insert(0, panel.names.item, items)
        frame["season_length"] = self.season_[at]
        for name in ("aicc", "loglik", "sigma"):
            frame[name] = getattr(self, f"{name}_")[at]
        return frame

    @property
    def runners_up_(self) -> pd.DataFrame:
        """Leading candidates of every item with their AICc, best first; empty where orders were given."""
        self._fitted_only()
        panel, place = self.history_, self._place  # type: ignore[attr-defined]
        rows = [
            {panel.names.item: item, "rank": rank, "p": int(p), "d": int(self.order_[place[item], 1]), "q": int(q),
             "P": int(P), "D": int(self.order_[place[item], 4]), "Q": int(Q), "constant": int(constant), "aicc": aicc}
            for item in panel.ids if item in place
            for rank, (p, q, P, Q, constant, aicc) in enumerate(self.tried_[place[item]], start=1) if not np.isnan(p)
        ]  # fmt: skip
        names = [panel.names.item, "rank", "p", "d", "q", "P", "D", "Q", "constant", "aicc"]
        return pd.DataFrame(rows, columns=names)

    def summary(self, item: Any = None) -> pd.DataFrame:
        """Coefficients of one item with standard errors; `.attrs` holds the model, its criterion and Ljung-Box.

        Parameters
        ----------
        item : its id, default the only one

        Raises
        ------
        ValueError
            For an unknown item, or one that was not fitted.
        """
        item, i = self._find(item)
        if self.engine != "tsar":
            from tsar.forecasters.arima.engines import coefficients

            frame = coefficients(self.fits_[i], self.engine)  # type: ignore[attr-defined]
        else:
            frame = self._coefficients(i)
        z = frame["coef"] / frame["std_err"]
        frame["z"], frame["p_value"] = z, 2.0 * norm.sf(np.abs(z))
        p, d, q, big_p, big_d, big_q, constant = (int(v) for v in self.order_[i])
        e_T = self._residuals(item)
        lags = int(min(2 * self.season_[i] if self.season_[i] > 1 else 10, max(len(e_T) // 5, 1)))
        statistic, value = diagnostics.ljung_box(e_T, lags, p + q + big_p + big_q)
        name = f"({p},{d},{q})({big_p},{big_d},{big_q})[{int(self.season_[i])}]"
        frame.attrs |= {
            "item": item, "model": name, "constant": bool(constant),
            "sigma2": float(self.sigma_[i] ** 2), "loglik": float(self.loglik_[i]), "aicc": float(self.aicc_[i]),  # type: ignore[attr-defined]
            "ljung_box": statistic, "ljung_box_p": value, "ljung_box_lags": lags,
        }  # fmt: skip
        return frame

    def residual_acf(self, item: Any = None, lags: int = 24) -> np.ndarray:
        """Autocorrelations of one item's residuals at lags 1 … `lags`."""
        item, _ = self._find(item)
        return diagnostics.autocorrelations(self._residuals(item), lags)

    def roots(self, item: Any = None) -> dict[str, np.ndarray]:
        """Inverse roots of one item's AR and MA polynomials, seasonal factors multiplied in."""
        _, i = self._find(item)
        return dict(zip(("ar", "ma"), diagnostics.inverse_roots(*self._polynomials(i)), strict=True))

    def plot_diagnostics(self, item: Any = None) -> Figure:
        """Draw residuals, their autocorrelations and the inverse roots of one item; needs matplotlib."""
        item, i = self._find(item)
        return diagnostics.plot_diagnostics(self._residuals(item), *self._polynomials(i), title=str(item))

    def _fitted_only(self) -> None:
        if not hasattr(self, "order_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted: call fit(data) first")

    def _find(self, item: Any) -> tuple[Any, int]:
        self._fitted_only()
        place: dict[Any, int] = self._place  # type: ignore[attr-defined]
        if item is None:
            if len(place) != 1:
                raise ValueError(f"name the item: expected one of {len(place)} ids, such as {next(iter(place))!r}")
            item = next(iter(place))
        if item not in place or item in self.failed_:  # type: ignore[attr-defined]
            raise ValueError(f"item {item!r} has no model: expected one of the items that were fitted")
        return item, place[item]

    def _residuals(self, item: Any) -> np.ndarray:
        panel = self.history_.take([int(np.flatnonzero(self.history_.ids == item)[0])])
        return panel.values - self._one_step(panel)  # type: ignore[attr-defined]

    def _coefs(self, i: int) -> Coefs:
        sizes = tuple(int(v) for v in self.order_[i][[0, 2, 3, 5]])
        within = Slots(self._sizes()).within(sizes)  # type: ignore[attr-defined, arg-type]
        return coefs_from_z(self.z_[i, within][:, None], sizes)  # type: ignore[attr-defined, arg-type]

    def _polynomials(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        coefs, season = self._coefs(i), int(self.season_[i])
        ar = -multiply(-coefs.phi_pR, -coefs.Phi_PR, season)[:, 0]
        return ar, multiply(coefs.theta_qR, coefs.Theta_QR, season)[:, 0]

    def _coefficients(self, i: int) -> pd.DataFrame:
        item = next(item for item, at in self._place.items() if at == i)  # type: ignore[attr-defined]
        panel = self.history_.take([int(np.flatnonzero(self.history_.ids == item)[0])])
        series, regressors, _ = self._arrays(panel, self.power_[[i]])  # type: ignore[attr-defined]
        data = self._prepared(series, regressors, np.array([0]), np.array([i]))  # type: ignore[attr-defined]
        order_R5 = self.order_[[i]][:, [0, 2, 3, 5, 6]]
        rows, coefs = rows_of(data, np.array([0]), order_R5), self._coefs(i)
        with np.errstate(invalid="ignore"):
            arma = np.sqrt(np.diag(diagnostics.parameter_covariance(rows, coefs)))
            columns = rows.w_TCR.shape[1] - 1 - rows.missing
            unit = data.scale_CB[-1, 0] / data.scale_CB[rows.missing : rows.missing + columns, 0]
            linear = np.sqrt(np.diag(diagnostics.regression_covariance(rows, coefs))) * unit
        families = zip(("ar", "ma", "seasonal ar", "seasonal ma"), coefs, strict=True)
        names = [f"{family} {j + 1}" for family, part in families for j in range(len(part))]
        constant = ["drift" if self.order_[i, [1, 4]].sum() else "mean"][: int(order_R5[0, 4])]
        beta_K = self.beta_[i, :columns]  # type: ignore[attr-defined]
        values = np.concatenate([*(part[:, 0] for part in coefs), beta_K])
        if constant == ["drift"] and self.order_[i, 4]:  # a drift per step
            values[-1], linear[-1] = values[-1] / self.season_[i], linear[-1] / self.season_[i]
        frame = pd.DataFrame({"coef": values, "std_err": np.concatenate((arma, linear))})
        return frame.set_axis([*names, *self.known, *constant], axis=0)
