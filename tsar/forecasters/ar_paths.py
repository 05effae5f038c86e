"""What fitted autoregressions say about the future: means, psi weights, paths, and states across gaps.

Everything here is linear in the history and in the innovations, so a path is the mean plus innovations times psi
weights, and a forecast from a history with gaps starts from the Kalman filter's state and adds its uncertainty.

Legend: B series, L time, P lags (dense, most recent first), H horizon.
"""

from __future__ import annotations

import numpy as np


def with_differences(phi_BP: np.ndarray, times: int, season: int, season_times: int) -> np.ndarray:
    """Lag coefficients of y given those of (1 - B)^times (1 - B^season)^season_times y."""
    poly = np.concatenate([np.ones((len(phi_BP), 1)), -phi_BP], axis=1)
    for lag in [1] * times + [season] * season_times:
        longer = np.pad(poly, ((0, 0), (0, lag)))
        longer[:, lag:] -= poly
        poly = longer
    return -poly[:, 1:]


def difference(y_BL: np.ndarray, times: int, season: int, season_times: int) -> np.ndarray:
    """Difference along axis 1; the result is shorter by `times + season * season_times` steps."""
    for lag in [1] * times + [season] * season_times:
        y_BL = y_BL[:, lag:] - y_BL[:, :-lag]
    return y_BL


def mean_path(state_BP: np.ndarray, phi_BP: np.ndarray, input_BH: np.ndarray) -> np.ndarray:
    """Iterate y_t = input_t + sum_i phi_i y_{t-i} from the state (y_T, y_{T-1}, …): [B, H]."""
    reach, horizon = phi_BP.shape[1], input_BH.shape[1]
    path = np.empty((reach + horizon, len(state_BP)))
    path[:reach] = state_BP.T[::-1]
    phi_PB = np.ascontiguousarray(phi_BP.T[::-1])
    for h in range(horizon):
        path[reach + h] = np.einsum("pb,pb->b", phi_PB, path[h : h + reach]) + input_BH[:, h]
    return path[reach:].T


def psi_weights(phi_BP: np.ndarray, horizon: int) -> np.ndarray:
    """Weights of the innovations e_{T+h-j} in y_{T+h}, j = 0 … H - 1 (Brockwell and Davis 1991, eq. 3.3.5): [B, H]."""
    impulse = np.zeros((len(phi_BP), horizon))
    impulse[:, 0] = 1.0
    return mean_path(np.zeros(phi_BP.shape), phi_BP, impulse)


def state_response(phi_BP: np.ndarray, horizon: int) -> np.ndarray:
    """How y_{T+h} answers to each part of the state: [B, H, P]."""
    count, reach = phi_BP.shape
    quiet = np.zeros((count, horizon))
    units = [mean_path(np.broadcast_to(unit, (count, reach)), phi_BP, quiet) for unit in np.eye(reach)]
    return np.stack(units, -1) if units else np.empty((count, horizon, 0))


def bridge(
    y_BL: np.ndarray, input_BL: np.ndarray, phi_BP: np.ndarray, spread_B: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """State at the end of histories with gaps, by the Kalman filter (Durbin and Koopman 2012, section 4.10).

    The filter starts at the last P steps without a gap, where the state is known; where there are none it starts at the
    first P steps, with missing ones at the series' mean and of variance `spread_B`.

    Parameters
    ----------
    y_BL : histories, NaN where missing, L ≥ P
    input_BL : deterministic and exogenous part of the equation at each step
    phi_BP : lag coefficients
    spread_B : variance of the series in units of the innovation variance

    Returns
    -------
    state_BP : expected (y_T, y_{T-1}, …) given all observations; cov_BPP : its covariance / innovation variance
    """
    count, length = y_BL.shape
    reach = phi_BP.shape[1]
    seen_BL = ~np.isnan(y_BL)
    run_BL = np.cumsum(seen_BL, 1)
    full_BL = run_BL[:, reach - 1 :] - np.pad(run_BL, ((0, 0), (1, 0)))[:, : length - reach + 1] == reach
    known_B = full_BL.any(1)
    start_B = np.where(known_B, length - 1 - np.argmax(full_BL[:, ::-1], 1), reach - 1)
    level_B = np.nansum(y_BL, 1) / np.maximum(seen_BL.sum(1), 1)
    filled_BL = np.where(seen_BL, y_BL, level_B[:, None])
    state_BP, cov_BPP = np.zeros((count, reach)), np.zeros((count, reach, reach))
    for t in range(int(start_B.min()), length):
        moving = start_B < t
        if moving.any():
            now_B = np.einsum("bp,bp->b", phi_BP[moving], state_BP[moving]) + input_BL[moving, t]
            row_BP = np.einsum("bp,bpq->bq", phi_BP[moving], cov_BPP[moving])
            var_B = np.einsum("bp,bp->b", row_BP, phi_BP[moving]) + 1.0
            state = np.concatenate([now_B[:, None], state_BP[moving][:, :-1]], 1)
            cov = np.zeros((len(state), reach, reach))
            cov[:, 1:, 1:] = cov_BPP[moving][:, :-1, :-1]
            cov[:, 0, 1:] = cov[:, 1:, 0] = row_BP[:, :-1]
            cov[:, 0, 0] = var_B
            gain = np.where(seen_BL[moving, t, None], cov[:, :, 0] / var_B[:, None], 0.0)
            state = state + gain * (filled_BL[moving, t] - now_B)[:, None]
            cov = cov - gain[:, :, None] * cov[:, None, 0]
            state_BP[moving], cov_BPP[moving] = state, cov
        for b in np.flatnonzero(start_B == t):
            window = slice(t - reach + 1, t + 1)
            state_BP[b] = filled_BL[b, window][::-1]
            cov_BPP[b] = np.diag(np.where(seen_BL[b, window], 0.0, spread_B[b])[::-1])
    return state_BP, cov_BPP
