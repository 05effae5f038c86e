"""Which token may attend to which: one function per mask, from token coordinates alone.

Each takes the coordinates of the queries and of the keys and returns booleans [B, N, M]. Validity and "every token may
attend to itself" are added by the core, for all masks alike.
Legend: B rows, N queries, M keys.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from tsar.tokens import Coordinates


def _pair(query_BN: Tensor, key_BM: Tensor) -> tuple[Tensor, Tensor]:
    return query_BN[:, :, None], key_BM[:, None, :]


def _segments(query: Coordinates, key: Coordinates) -> tuple[Tensor, Tensor]:
    if query.segment_BN is None or key.segment_BN is None:
        raise ValueError("this mask goes by segments: expected coordinates with segment_BN, found None")
    return _pair(query.segment_BN, key.segment_BN)


def causal(query: Coordinates, key: Coordinates) -> Tensor:
    """Everything up to and including the query's own time, all variates."""
    q, k = _pair(query.time_BN, key.time_BN)
    return k <= q


def variate_causal(query: Coordinates, key: Coordinates) -> Tensor:
    """Causal in time, and a variate depends only on itself and on variates of lower index (a DAG over variates)."""
    q, k = _pair(query.variate_BN, key.variate_BN)
    return causal(query, key) & (k <= q)


def bidirectional(query: Coordinates, key: Coordinates) -> Tensor:
    """Everything."""
    q, k = _pair(query.time_BN, key.time_BN)
    return (k == k) & (q == q)


def prefix(query: Coordinates, key: Coordinates) -> Tensor:
    """Segment 0 is open to everybody (in both directions); the rest is causal."""
    _, k = _segments(query, key)
    return causal(query, key) | (k == 0)


def segment(query: Coordinates, key: Coordinates) -> Tensor:
    """Only the query's own segment, in both directions: several sequences packed in one row."""
    q, k = _segments(query, key)
    return k == q


def block(query: Coordinates, key: Coordinates) -> Tensor:
    """Bidirectional inside a segment, causal between segments: blocks generated one after another."""
    q, k = _segments(query, key)
    return k <= q


def denoise(query: Coordinates, key: Coordinates) -> Tensor:
    """Clean tokens (segment 0) are causal; a noised token (segment 1) sees the clean tokens before its own time."""
    q, k = _segments(query, key)
    past_q, past_k = _pair(query.time_BN, key.time_BN)
    return (k == 0) & ((past_k < past_q) | ((q == 0) & (past_k == past_q)))


MASKS: dict[str, Callable[[Coordinates, Coordinates], Tensor]] = {
    function.__name__: function for function in (causal, variate_causal, bidirectional, prefix, segment, block, denoise)
}
CAUSAL = ("causal", "variate_causal", "denoise")  # no token sees a later time, so a cache of the past stays right
