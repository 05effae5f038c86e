"""The state space form of exponential smoothing: many series, or paths, advance together.

With y the observed and yhat the expected value, e = y - yhat, q the level carried on by the trend and s the season
(Hyndman, Koehler, Ord and Snyder 2008, tables 2.2 and 2.3; additive and multiplicative errors share these updates):
level = q + alpha e / s*, slope = carried slope + beta e / (s* l*), season = s + gamma e / q*, where a starred
divisor is 1 for additive components.

Legend: B series, L time, S paths, H horizon, Z states (level, slope, season of the next step, of the one after, …),
W weights (alpha, beta, gamma, phi).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Form(NamedTuple):
    """Error "A" or "M", trend "N", "A" or "M", season "N", "A" or "M"; an undamped trend has phi = 1."""

    error: str
    trend: str
    season: str

    @property
    def linear(self) -> bool:
        """Whether states and forecasts are linear in the errors, so that quantiles have a formula."""
        return "M" not in self


def carried(form: Form, state_BZ: np.ndarray, weights_BW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Level carried on by the trend, and the value expected next: [B] each."""
    level, slope, season = state_BZ[..., 0], state_BZ[..., 1], state_BZ[..., 2]
    phi = weights_BW[..., 3]
    ahead = level if form.trend == "N" else level + phi * slope if form.trend == "A" else level * slope**phi
    return ahead, ahead if form.season == "N" else ahead + season if form.season == "A" else ahead * season


def advance(form: Form, state_BZ: np.ndarray, weights_BW: np.ndarray, error_B: np.ndarray) -> np.ndarray:
    """States after a step whose observation missed the expected value by `error_B`."""
    level, slope, season = state_BZ[..., 0], state_BZ[..., 1], state_BZ[..., 2]
    alpha, beta, gamma, phi = np.moveaxis(weights_BW, -1, 0)
    ahead, _ = carried(form, state_BZ, weights_BW)
    share = error_B / season if form.season == "M" else error_B
    out = np.empty_like(state_BZ)
    out[..., 0] = ahead + alpha * share
    if form.trend == "M":
        out[..., 1] = slope**phi + beta * share / level
    else:
        out[..., 1] = phi * slope + (beta * share if form.trend == "A" else 0.0)
    out[..., 2:-1] = state_BZ[..., 3:]
    out[..., -1] = season + gamma * (error_B / ahead if form.season == "M" else error_B)
    return out if form.season != "N" else np.concatenate([out[..., :2], state_BZ[..., 2:]], -1)


def smooth(
    form: Form, state_BZ: np.ndarray, weights_BW: np.ndarray, y_BL: np.ndarray, lengths_B: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Run the states through histories aligned at their ends: last states, values expected one step before [B, L].

    A missing value leaves the states where the trend and the season carry them.
    """
    width = y_BL.shape[1]
    fitted_BL = np.full(y_BL.shape, np.nan)
    for t in range(width):
        begun_B = t >= width - lengths_B
        expected_B = carried(form, state_BZ, weights_BW)[1]
        error_B = np.where(np.isnan(y_BL[:, t]), 0.0, y_BL[:, t] - expected_B)
        fitted_BL[begun_B, t] = expected_B[begun_B]
        state_BZ = np.where(begun_B[:, None], advance(form, state_BZ, weights_BW, error_B), state_BZ)
    return state_BZ, fitted_BL


def paths(form: Form, state_BZ: np.ndarray, weights_BW: np.ndarray, noise_BSH: np.ndarray) -> np.ndarray:
    """Continue from the states with errors `noise_BSH`, relative ones where the error is multiplicative: [B, S, H]."""
    state, weights = np.repeat(state_BZ[:, None], noise_BSH.shape[1], 1), weights_BW[:, None]
    out = np.empty(noise_BSH.shape)
    for h in range(noise_BSH.shape[2]):
        expected = carried(form, state, weights)[1]
        error = noise_BSH[..., h] * (expected if form.error == "M" else 1.0)
        out[..., h] = expected + error
        state = advance(form, state, weights, error)
    return out


def psi_weights(form: Form, weights_BW: np.ndarray, season: int, horizon: int) -> np.ndarray:
    """Weight of an error after 0, 1, … steps for linear forms (the same source, section 6.1): [B, H]."""
    alpha, beta, gamma, phi = np.moveaxis(weights_BW[:, :, None], 1, 0)
    step = np.arange(1, horizon)
    damped = np.cumsum(phi**step, 1) if horizon > 1 else np.empty((len(weights_BW), 0))
    later = alpha + (beta * damped if form.trend == "A" else 0.0)
    later = later + (gamma * (step % season == 0) if form.season == "A" else 0.0)
    return np.concatenate([np.ones((len(weights_BW), 1)), np.broadcast_to(later, (len(weights_BW), horizon - 1))], 1)
