"""Seeds that belong to items and not to their places, so that samples do not depend on the batch."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import numpy as np


def item_seeds(random_state: Any, ids: Iterable[Any]) -> np.ndarray:
    """Derive one seed an item from `random_state` and the item's id: uint64 [N], below 2**63.

    Parameters
    ----------
    random_state : int, numpy Generator or RandomState (one draw is taken), or None for fresh entropy
    ids : item ids; equal ids with an equal integer give equal seeds whatever stands beside them
    """
    if random_state is None:
        root = int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    elif isinstance(random_state, np.random.Generator):
        root = int(random_state.integers(2**63))
    elif isinstance(random_state, np.random.RandomState):
        root = int(random_state.randint(2**31))
    elif isinstance(random_state, int | np.integer) and not isinstance(random_state, bool):
        root = int(random_state)
    else:
        raise ValueError(f"random_state must be an int, a numpy generator or None, found {random_state!r}")
    return np.array([_digest(f"{root}/{item!s}") for item in ids], np.uint64)


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
