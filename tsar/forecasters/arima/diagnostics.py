"""What people look at after an ARIMA fit: standard errors, residual autocorrelation, Ljung-Box, roots.

Legend: R rows, k parameters, T time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import chi2

from tsar.forecasters.arima.likelihood import Rows, exact
from tsar.forecasters.arima.polynomials import Coefs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STEP = 1e-4


def parameter_covariance(rows: Rows, coefs: Coefs) -> np.ndarray:
    """Covariance of the ARMA coefficients of one row: inverse of the observed information, by central differences.

    Parameters
    ----------
    rows : one row
    coefs : its estimates; the regressors and the variance are concentrated out

    Returns
    -------
    Array [k, k] in the order phi, theta, Phi, Theta; NaN where the information is not positive definite.
    """
    sizes = [len(part) for part in coefs]
    cuts = np.cumsum(sizes)[:-1]
    centre_k = np.concatenate([part[:, 0] for part in coefs])
    size = len(centre_k)
    step = _STEP * np.eye(size)
    i_P, j_P = np.triu_indices(size)
    corners = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    points_kN = np.concatenate([centre_k + a * step[i_P] + b * step[j_P] for a, b in corners]).T
    values_N = exact(rows.take(np.zeros(points_kN.shape[1], int)), Coefs(*np.split(points_kN, cuts))).loglik_R
    pp, pm, mp, mm = values_N.reshape(4, -1)
    information = np.zeros((size, size))
    information[i_P, j_P] = information[j_P, i_P] = -(pp - pm - mp + mm) / (4.0 * _STEP**2)
    if size == 0 or not np.isfinite(information).all() or np.linalg.eigvalsh(information).min() <= 0:
        return np.full((size, size), np.nan)
    return np.linalg.inv(information)


def regression_covariance(rows: Rows, coefs: Coefs) -> np.ndarray:
    """Covariance of the regression coefficients of one row, by generalised least squares, in the units of `rows`."""
    result = exact(rows, coefs)
    columns = rows.w_TCR.shape[1] - 1 - rows.missing
    start = result.root_RAA.shape[1] - 1 - columns
    root = result.root_RAA[0, start:-1, start:-1]
    return np.linalg.inv(root @ root.T) * result.sigma2_R[0]


def autocorrelations(e_T: np.ndarray, lags: int) -> np.ndarray:
    """Autocorrelations at lags 1 .. lags of the observed values of `e_T`, pairs with a missing one left out."""
    e_T = e_T - np.nanmean(e_T)
    seen_T = ~np.isnan(e_T)
    e_T = np.where(seen_T, e_T, 0.0)
    total = e_T @ e_T
    return np.array(
        [e_T[lag:] @ e_T[:-lag] / total if 0 < lag < len(e_T) and total > 0 else np.nan for lag in range(1, lags + 1)]
    )


def ljung_box(e_T: np.ndarray, lags: int, parameters: int) -> tuple[float, float]:
    """Statistic and p-value that residuals are uncorrelated up to `lags` (Ljung & Box 1978)."""
    n = int((~np.isnan(e_T)).sum())
    r = autocorrelations(e_T, lags)
    statistic = float(n * (n + 2) * np.nansum(r**2 / (n - np.arange(1, lags + 1))))
    return statistic, float(chi2.sf(statistic, max(lags - parameters, 1)))


def inverse_roots(ar: np.ndarray, ma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverse roots of 1 - ar(B) and of 1 + ma(B); inside the unit circle for stationary, invertible models."""
    return np.roots(np.concatenate(([1.0], -ar))), np.roots(np.concatenate(([1.0], ma)))


def plot_diagnostics(e_T: np.ndarray, ar: np.ndarray, ma: np.ndarray, title: str) -> Figure:
    """Draw residuals, their autocorrelations and the inverse roots of one model."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.patches import Circle
    except ImportError as error:
        raise ImportError("plot_diagnostics needs matplotlib: pip install 'tsar[plot]'") from error
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    residual, correlation, circle = figure.subplots(1, 3)
    residual.plot(e_T, linewidth=0.8)
    residual.set_title(f"{title}: residuals")
    lags = max(min(len(e_T) // 2 - 1, 24), 1)
    correlation.stem(np.arange(1, lags + 1), autocorrelations(e_T, lags), basefmt=" ")
    bound = 1.96 / np.sqrt(max((~np.isnan(e_T)).sum(), 1))
    correlation.axhspan(-bound, bound, alpha=0.15)
    correlation.set_title("residual autocorrelation")
    circle.add_patch(Circle((0, 0), 1, fill=False))
    for roots, marker, name in zip(inverse_roots(ar, ma), ("o", "x"), ("AR", "MA"), strict=True):
        circle.plot(roots.real, roots.imag, marker, label=name)
    circle.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal", title="inverse roots")
    circle.legend()
    return figure
