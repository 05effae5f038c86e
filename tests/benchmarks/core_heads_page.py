"""The page of `core_heads`: tables from its results file."""

from __future__ import annotations

from typing import Any


def write_page(results: dict[str, Any], train: Any, model: dict[str, Any]) -> None:
    """Write docs/benchmarks/core_heads.md."""
