"""Covariate columns as numbers: categories become one channel each, and what they are is learned in `fit`.

Legend: K channels, T steps end to end, N items, H horizon, F static features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Column:
    """One covariate.

    Parameters
    ----------
    name : str
    categories : tuple of str, optional
        The values it may take; None for a number.
    centre, spread : float
        Mean and deviation in training; of static numbers only, since those that vary are scaled where they are read.
    """

    name: str
    categories: tuple[str, ...] | None = None
    centre: float = 0.0
    spread: float = 1.0

    @classmethod
    def fit(cls, name: str, values: NDArray[Any], scale: bool = False) -> Self:
        """Learn the categories, or (with `scale`) the mean and deviation, of a column."""
        if values.dtype == object:
            return cls(name, tuple(sorted({str(v) for v in values.ravel() if not _missing(v)})))
        seen = values[np.isfinite(values)].astype("f8")
        if not scale or len(seen) == 0:
            return cls(name)
        return cls(name, None, float(seen.mean()), float(seen.std()) or 1.0)

    @property
    def width(self) -> int:
        """Channels it takes."""
        return 1 if self.categories is None else len(self.categories)

    def encode(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Turn values [...] into channels [width, ...]; NaN where missing.

        Raises
        ------
        ValueError
            For a category that was not in the training data, or text where there were numbers.
        """
        if self.categories is None:
            if values.dtype == object:
                raise ValueError(
                    f"covariate {self.name!r} held numbers in fit: expected numbers, found {values.flat[0]!r}"
                )
            return (values[None].astype("f8") - self.centre) / self.spread
        texts = np.array([None if _missing(v) else str(v) for v in values.ravel()], object)
        place = {category: i for i, category in enumerate(self.categories)}
        if odd := {t for t in texts if t is not None} - set(place):
            raise ValueError(
                f"covariate {self.name!r} has the category {min(odd)!r}, expected one of those in fit: "
                f"{', '.join(self.categories[:10])}"
            )
        out = np.zeros((len(self.categories), len(texts)))
        for i, text in enumerate(texts):
            if text is None:
                out[:, i] = np.nan
            else:
                out[place[text], i] = 1.0
        return out.reshape(len(self.categories), *values.shape)


@dataclass(frozen=True)
class Features:
    """The covariate columns of a model, by role."""

    known: tuple[Column, ...] = ()
    past: tuple[Column, ...] = ()
    static: tuple[Column, ...] = ()

    @classmethod
    def fit(
        cls,
        covariates: Mapping[str, NDArray[Any]],
        constants: Mapping[str, NDArray[Any]],
        *,
        known: Sequence[str] = (),
        past: Sequence[str] = (),
        static: Sequence[str] = (),
    ) -> Self:
        """Learn the columns named, from arrays that vary in time [T] and constants of the items [N]."""
        return cls(
            tuple(Column.fit(name, covariates[name]) for name in known),
            tuple(Column.fit(name, covariates[name]) for name in past),
            tuple(Column.fit(name, constants[name], scale=True) for name in static),
        )

    def channels(self, role: str, values: Mapping[str, NDArray[Any]]) -> NDArray[np.float64] | None:
        """Stack the channels of the columns of a role, [K, ...]; None where it has none."""
        columns: tuple[Column, ...] = getattr(self, role)
        return np.concatenate([column.encode(values[column.name]) for column in columns]) if columns else None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {role: [list(vars(c).values()) for c in getattr(self, role)] for role in ("known", "past", "static")}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild from what `to_dict` gave."""
        roles = {
            role: tuple(Column(n, None if c is None else tuple(c), m, s) for n, c, m, s in columns)
            for role, columns in values.items()
        }
        return cls(**roles)


def _missing(value: Any) -> bool:
    return value is None or value != value  # NaN is the one value that differs from itself
