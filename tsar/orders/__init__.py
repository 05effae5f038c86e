"""The orders: one file per part, found by the name of its file (see `tsar.part`)."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Give the config classes as attributes (`from tsar.orders import ...`) without importing them all."""
    from tsar.part import config_class, names

    if not name.startswith("_"):
        for part in names("orders"):
            if part.replace("_", "") == name.lower():
                return config_class("orders", part)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
