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
    random_state : see `seed_root`
    ids : item ids; equal ids with an equal integer give equal seeds whatever stands beside them
    """
    root = seed_root(random_state)
    return np.array([_digest(f"{root}/{item!s}") for item in ids], np.uint64)


def seed_root(random_state: Any) -> int:
    """Turn `random_state` into the integer that all items' seeds start from.

    Parameters
    ----------
    random_state : int, numpy Generator or RandomState (one draw is taken), or None for fresh entropy
    """
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**63))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    if isinstance(random_state, int | np.integer) and not isinstance(random_state, bool):
        return int(random_state)
    raise ValueError(f"random_state must be an int, a numpy generator or None, found {random_state!r}")


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
