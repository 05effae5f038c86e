"""Runs one function an item, in this process or several, and keeps what went wrong beside what came out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from joblib import Parallel, delayed

T = TypeVar("T")
_EXPECTED = (ValueError, ArithmeticError, IndexError, np.linalg.LinAlgError)


def each_item(
    function: Callable[..., T], arguments: Sequence[tuple[Any, ...]], *, n_jobs: int | None = 1, progress: bool = False
) -> tuple[list[T | None], dict[int, str]]:
    """Call `function(*arguments[i])` for every item i.

    Parameters
    ----------
    function : a module-level function, so that other processes can import it
    arguments : one tuple an item
    n_jobs : processes, as in joblib; default 1
    progress : show a bar on stderr, default no

    Returns
    -------
    results : what each call gave, None where it failed
    failed : the reason of each failure, by position; numerical errors only, others are raised
    """
    if progress:
        from tqdm import tqdm

        arguments = tqdm(arguments, unit="item")
    pairs = Parallel(n_jobs=n_jobs)(delayed(_guarded)(function, a) for a in arguments)
    failed = {i: reason for i, (_, reason) in enumerate(pairs) if reason is not None}
    return [result for result, _ in pairs], failed


def _guarded(function: Callable[..., T], arguments: tuple[Any, ...]) -> tuple[T | None, str | None]:
    try:
        return function(*arguments), None
    except _EXPECTED as error:
        return None, f"{type(error).__name__}: {error}"
