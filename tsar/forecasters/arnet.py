"""ARNet: the autoregression of a one-layer network, learned by gradients whose cost is linear in the order.

Legend: B series, L time, R rows, P lags given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tsar.forecasters.ar import AR, _last
from tsar.forecasters.ar_fit import draw_back
from tsar.forecasters.ar_solve import Batch, Terms
from tsar.panel import Panel


class ARNet(AR):
    """Autoregression y_t = c + sum_i phi_i y_{t-i} + e_t fitted by gradients (Triebe, Laptev and Rajagopal 2019).

    A gradient costs two passes over each lag, so high orders and long sparse lists stay cheap, and the penalty drives
    lags that do not help to zero. The steps are conjugate (Hestenes and Stiefel 1952) rather than stochastic: there is
    no learning rate to choose, and without penalty and roots above one the result is least squares.

    Parameters
    ----------
    lags : int (1 … lags) or list of ints, default 12
    sparsity : weight of the penalty R of the paper's equation 5, in units of the series' variance; default 0, none
    max_steps : int, gradient steps at most, default 200 (for each of 10 rounds where there is a penalty)
    explosive : leave roots above one, default False: they are drawn back to one as in `AR`
    tolerance : relative size of the gradient at which a series is done, default 1e-9
    season_length, freq, bounds, on_error : as in `SeasonalNaive`

    Attributes
    ----------
    params_, order_, sigma_, fitted_, residuals_ : as in `AR`; steps_ : gradient steps taken
    """

    method, trend, criterion = "ols", "c", "aicc"
    seasonal, diff, seasonal_diff, max_lags, known = False, 0, 0, None, ()

    def __init__(
        self,
        lags: int | Sequence[int] = 12,
        *,
        sparsity: float = 0.0,
        explosive: bool = False,
        max_steps: int = 200,
        tolerance: float = 1e-9,
        season_length: int | None = None,
        freq: str | int | None = None,
        bounds: tuple[float | None, float | None] | None = None,
        on_error: str = "raise",
    ) -> None:
        self.lags = lags
        self.sparsity = sparsity
        self.explosive = explosive
        self.max_steps = max_steps
        self.tolerance = tolerance
        self.season_length = season_length
        self.freq = freq
        self.bounds = bounds
        self.on_error = on_error

    def _check_options(self) -> None:
        super()._check_options()
        if self._lags() is None:
            raise ValueError("ARNet takes its lags as given: expected an int or a list, found 'auto'")
        if not self.sparsity >= 0 or not self.tolerance > 0 or self.max_steps < 1:
            raise ValueError(
                "expected sparsity >= 0, tolerance > 0 and max_steps >= 1, found "
                f"{self.sparsity!r}, {self.tolerance!r} and {self.max_steps!r}"
            )

    def _fit(self, panel: Panel) -> Mapping[int, str]:
        lags = np.array(self._lags(), "i8")
        top = int(lags[-1]) if len(lags) else 0
        n = len(panel)
        self.freq_, self.start_ = panel.freq, panel.times[panel.offsets[:-1]].astype("i8")
        self.season_, self.order_ = np.zeros(n, "i8"), np.full(n, top)
        self.delta_, self.beta_, self.phi_ = np.zeros((n, 1)), np.zeros((n, 0)), np.zeros((n, top))
        self.sigma_, rows_N = np.zeros(n), np.zeros(n, "i8")
        self.steps_ = 0
        step = max(1, (1 << 20) // int(panel.lengths.max()))
        by_length = np.argsort(panel.lengths, kind="stable")
        for a in range(0, n, step):
            rows = by_length[a : a + step]
            part = panel.take(rows)
            y_BL = _last(part.padded(), max(int(part.lengths.max()), top + 1))
            network = _Layer(y_BL, lags)
            theta, steps = network.descend(self.max_steps, self.tolerance)
            for _ in range(10 if self.sparsity else 0):
                theta, more = network.descend(self.max_steps, self.tolerance, theta, self.sparsity * _bend(theta))
                steps += more
            theta[:, 1:] *= (np.abs(theta[:, 1:]) > 1e-3) | (self.sparsity == 0)
            phi, (delta, sigma) = np.zeros((len(rows), top)), network.in_raw_units(theta)
            phi[:, lags - 1] = theta[:, 1:]
            found = (delta[:, None], np.zeros((len(rows), 0)), phi, sigma)
            if not self.explosive and top:
                batch = Batch(y_BL, None, part.lengths)
                draw_back(batch, Terms(lags), np.arange(len(rows)), found, network.rows_B - len(lags) - 1)
            self.delta_[rows], _, self.phi_[rows], self.sigma_[rows] = found
            rows_N[rows], self.steps_ = network.rows_B, max(self.steps_, steps)
        need = len(lags) + 2
        return {
            int(i): f"{need - 1} weights need at least {need} steps with all their lags observed, found {rows_N[i]}"
            for i in np.flatnonzero(rows_N < need)
        }


def _bend(theta: np.ndarray) -> np.ndarray:
    """Weights of the squares that touch the penalty R(theta) from above at `theta`: R is concave in theta squared.

    R = sum_i (2 / (1 + exp(-c1 |theta_i|^(1 / c2))) - 1) / P with c1 = c2 = 3 (equation 5); the constant is free.
    """
    size = np.maximum(np.abs(theta[:, 1:]), 1e-6)
    bump = np.exp(-3 * np.cbrt(size))
    slope = 2 * bump / (1 + bump) ** 2 * size ** (-2 / 3) / size.shape[1]
    return np.concatenate([np.zeros((len(theta), 1)), slope / (2 * size)], axis=1)


class _Layer:
    """A linear layer on the lags of standardised series: predictions and gradients are one pass over each lag."""

    def __init__(self, y_BL: np.ndarray, lags: np.ndarray) -> None:
        top = int(lags[-1]) if len(lags) else 0
        seen_BL = ~np.isnan(y_BL)
        self.mean_B = np.nansum(y_BL, 1) / np.maximum(seen_BL.sum(1), 1)
        x_BL = np.where(seen_BL, y_BL - self.mean_B[:, None], 0.0)
        size_B = np.abs(x_BL).max(1)
        size_B = np.where(size_B > 1e-14 * np.abs(self.mean_B), size_B, 1.0)
        power_B = np.sqrt(np.sum((x_BL / size_B[:, None]) ** 2, 1) / np.maximum(seen_BL.sum(1), 1))
        self.size_B = size_B * np.where(power_B > 0, power_B, 1.0)
        self.x_BL = x_BL / self.size_B[:, None]
        self.lags, self.top, self.width = lags, top, y_BL.shape[1]
        complete = seen_BL[:, top:].copy()
        for lag in lags:
            complete &= seen_BL[:, top - lag : self.width - lag]
        self.complete_BR, self.rows_B = complete.astype("f8"), complete.sum(1)

    def forward(self, theta: np.ndarray) -> np.ndarray:
        """Predictions of the complete rows, zero elsewhere: [B, R]."""
        out_BR = np.repeat(theta[:, :1], self.width - self.top, 1)
        for p, lag in enumerate(self.lags):
            out_BR += theta[:, p + 1, None] * self.x_BL[:, self.top - lag : self.width - lag]
        return out_BR * self.complete_BR

    def backward(self, error_BR: np.ndarray) -> np.ndarray:
        """Gradient of half the mean square error, from errors that are zero off the complete rows: [B, P + 1]."""
        columns = [error_BR.sum(1)]
        columns += [
            np.einsum("br,br->b", error_BR, self.x_BL[:, self.top - lag : self.width - lag]) for lag in self.lags
        ]
        return np.stack(columns, 1) / np.maximum(self.rows_B, 1)[:, None]

    def descend(
        self, max_steps: int, tolerance: float, theta: np.ndarray | None = None, bend: np.ndarray | None = None
    ) -> tuple[np.ndarray, int]:
        """Minimise by preconditioned conjugate gradients from `theta` with the penalty `bend` theta squared."""
        target_BR = self.x_BL[:, self.top :] * self.complete_BR
        theta = np.zeros((len(self.x_BL), len(self.lags) + 1)) if theta is None else theta.copy()
        ridge = np.zeros(theta.shape) if bend is None else 2 * bend
        scale = 1 / (1 + ridge)  # standardised columns have curvature one
        start = np.linalg.norm(self.backward(target_BR), axis=1)
        slope = self.backward(self.forward(theta) - target_BR) + ridge * theta
        direction = -scale * slope
        power = np.einsum("bp,bp->b", slope, scale * slope)
        for step in range(max_steps):
            if (np.linalg.norm(slope * np.sqrt(scale), axis=1) <= tolerance * start).all():
                return theta, step
            bent = self.backward(self.forward(direction)) + ridge * direction
            curvature = np.einsum("bp,bp->b", direction, bent)
            length = np.divide(power, curvature, out=np.zeros(len(power)), where=curvature > 0)
            theta += length[:, None] * direction
            slope += length[:, None] * bent
            before, power = power, np.einsum("bp,bp->b", slope, scale * slope)
            keep = np.divide(power, before, out=np.zeros(len(power)), where=before > 0)
            direction = keep[:, None] * direction - scale * slope
        return theta, max_steps

    def in_raw_units(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Constant of the equation and innovation standard deviation of the raw series."""
        error_BR = self.forward(theta) - self.x_BL[:, self.top :] * self.complete_BR
        freedom_B = np.maximum(self.rows_B - (theta != 0).sum(1), 1)
        constant_B = self.size_B * theta[:, 0] + self.mean_B * (1 - theta[:, 1:].sum(1))
        return constant_B, self.size_B * np.sqrt(np.sum(error_BR**2, 1) / freedom_B)
