"""Artificial series to train on: one family per file, vectorised over series, a function of its generator alone.

Every family is a function `generate(rng, n, length, period, longer) -> [n, length]`: `period` and `longer` [n] are the
main and the longer season in steps (1 where there is none), known to the caller because the zero-shot network is told
them. Values have no unit: the network scales what it reads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tsar.synthetic import calendar, causal, counts, events, kernels, regimes, sarima, smoothing, trend_season

Array = NDArray[np.float64]
Family = Callable[[np.random.Generator, int, int, Array, Array], Array]

FAMILIES: dict[str, Family] = {
    module.__name__.rpartition(".")[2]: module.generate
    for module in (calendar, causal, counts, events, kernels, regimes, sarima, smoothing, trend_season)
}


def generate(
    family: str, n: int, length: int, period: Array, longer: Array | None = None, random_state: int = 0
) -> Array:
    """Draw `n` series of one family.

    Parameters
    ----------
    family : str
        A name in `FAMILIES`.
    n, length : int
        Number of series and steps of each.
    period, longer : array [n]
        Main and longer season in steps; 1 for none.
    random_state : int
        Seed.

    Returns
    -------
    array [n, length]

    Raises
    ------
    ValueError
        For an unknown family or a period that is not positive.
    """
    if family not in FAMILIES:
        raise ValueError(f"unknown family {family!r}: expected one of {', '.join(FAMILIES)}")
    first = np.broadcast_to(np.asarray(period, float), (n,))
    second = np.ones(n) if longer is None else np.broadcast_to(np.asarray(longer, float), (n,))
    if min(first.min(initial=1), second.min(initial=1)) < 1:
        raise ValueError(f"periods of {family!r}: expected at least 1, found {min(first.min(), second.min())}")
    return FAMILIES[family](np.random.default_rng(random_state), n, length, first, second)
