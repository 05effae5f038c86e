"""ARIMA against statsmodels: likelihoods at given and at fitted parameters, standard errors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from statsmodels.tsa.statespace.sarimax import SARIMAX

from tests.benchmarks.arima_series import seasonal_walks, series_of
from tsar import ARIMA
from tsar.forecasters.arima.fitting import Wanted, fit_batch
from tsar.forecasters.arima.likelihood import Rows, exact
from tsar.forecasters.arima.polynomials import coefs_from_z


def agreement() -> dict[str, Any]:
    """Relative difference of log-likelihoods from statsmodels' at 200 random models, a seventh with missing values."""
    rng, worst = np.random.default_rng(0), []
    for trial in range(200):
        season, (p, q), (big_p, big_q) = int(rng.choice([4, 7, 12])), rng.integers(0, 4, 2), rng.integers(0, 3, 2)
        if trial % 4 == 0:
            big_p = big_q = 0
        n = max(int(rng.integers(30, 200)), (big_p + big_q) * season + 10)
        coefs = coefs_from_z(rng.normal(size=(p + q + big_p + big_q, 1)) * 1.2, (p, q, big_p, big_q))
        y = rng.normal(size=n).cumsum() if trial % 3 else rng.normal(size=n)
        if trial % 7 == 0:
            y[rng.choice(np.arange(2, n - 2), 3, replace=False)] = np.nan
        seasonal = (big_p, 0, big_q, season) if big_p + big_q else (0, 0, 0, 0)
        model = SARIMAX(y, order=(p, 0, q), seasonal_order=seasonal, concentrate_scale=True)
        model.tolerance = 0
        at = np.flatnonzero(np.isnan(y))
        w_TCR = np.zeros((n, len(at) + 1, 1))
        w_TCR[:, -1, 0] = np.nan_to_num(y)
        w_TCR[at, np.arange(len(at)), 0] = 1.0
        ours = exact(Rows(w_TCR, np.array([n]), len(at), season), coefs).loglik_R[0]
        peer = model.loglike(np.concatenate([part[:, 0] for part in coefs]))
        worst.append(abs(ours - peer) / abs(peer))
    return {"models": 200, "largest": max(worst), "median": float(np.median(worst))}


def fits() -> dict[str, Any]:
    """Log-likelihood reached on 300 real series, ours less statsmodels', for common orders."""
    rng, gaps = np.random.default_rng(0), []
    plans = [("m4_yearly", 1, 200), ("tsdl_quarterly", 4, 70), ("tsdl_monthly", 12, 30)]
    orders = [((1, 1, 1), (0, 1, 1)), ((2, 1, 0), (1, 1, 0)), ((0, 1, 2), (0, 1, 1)), ((1, 0, 1), (1, 1, 1))]
    for name, season, count in plans:
        found = [
            y[-300:]
            for y in series_of(name)
            if len(y) >= max(30, 5 * season) and not np.isnan(y).any() and np.ptp(y) > 0
        ]
        for i in rng.permutation(len(found))[:count]:
            order, seasonal = orders[int(rng.integers(4))]
            y = found[i] / np.abs(found[i]).max()
            d = y[season:] - y[:-season] if season > 1 else y
            if np.ptp(np.diff(d)) == 0:
                continue
            sizes = (order[0], order[2], seasonal[0], seasonal[2]) if season > 1 else (order[0], order[2], 0, 0)
            wanted = Wanted(sizes, None, order[1], seasonal[1] if season > 1 else 0, False)
            models, failed = fit_batch([y], [np.zeros((len(y), 0))], season, wanted)
            full = (*seasonal, season) if season > 1 else (0, 0, 0, 0)
            model = SARIMAX(y, order=order, seasonal_order=full, simple_differencing=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                peer = model.fit(disp=0, maxiter=200).llf
            if not failed:
                gaps.append(models.loglik_N[0] - peer)
    gap = np.array(gaps)
    return {
        "series": len(gap), "not_lower": float((gap >= -0.1).mean()), "higher": float((gap > 0.1).mean()),
        "quantiles": np.quantile(gap, [0.01, 0.05, 0.5, 0.95, 0.99]).tolist(),
    }  # fmt: skip


def errors() -> dict[str, Any]:
    """Mean reported standard error over the spread of the estimates, simulated series of length 400."""
    out = {}
    rng = np.random.default_rng(1)
    cases = {
        "ARMA(1,1)": ((1, 0, 1), (0, 0, 0), 1),
        "airline": ((0, 1, 1), (0, 1, 1), 12),
        "AR(2)": ((2, 0, 0), (0, 0, 0), 1),
    }
    for name, (order, seasonal, season) in cases.items():
        if name == "airline":
            series = seasonal_walks(400, 400, seed=5)
        else:
            phi, theta = ([0.7], [0.4]) if name == "ARMA(1,1)" else ([0.5, 0.3], [])
            e = rng.normal(size=(400, 600))
            y = e.copy()
            for t in range(2, 600):
                y[:, t] += sum(c * y[:, t - j - 1] for j, c in enumerate(phi)) + sum(
                    c * e[:, t - j - 1] for j, c in enumerate(theta)
                )
            series = list(y[:, 200:])
        model = ARIMA(order, seasonal, season if season > 1 else None, trend="n").fit(series)
        frames = [model.summary(item) for item in model.history_.ids]
        spread = np.std([f["coef"].to_numpy() for f in frames], axis=0)
        told = np.mean([f["std_err"].to_numpy() for f in frames], axis=0)
        out |= {
            f"{name}: {coef}": [float(a), float(b)] for coef, a, b in zip(frames[0].index, told, spread, strict=True)
        }
    return out
