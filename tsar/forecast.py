"""Forecast: one answer, one layout, whatever made it.

Legend: N items, S sample paths, H horizon, Q quantile levels. All values are in raw units.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsar.panel import Names, Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def check_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """Return quantile levels ascending and without repeats; ValueError unless all lie strictly between 0 and 1."""
    try:
        out = sorted({float(level) for level in np.atleast_1d(np.asarray(levels, float)).ravel()})
    except (TypeError, ValueError) as error:
        raise ValueError(f"levels must be numbers between 0 and 1, found {levels!r}") from error
    if wrong := [level for level in out if not 0 < level < 1]:
        raise ValueError(f"quantile levels must lie strictly between 0 and 1, found {wrong}")
    return tuple(out)


@dataclass(frozen=True)
class Forecast:
    """Mean, quantiles and, where paths were drawn, samples of every item over the horizon.

    Attributes
    ----------
    ids : object array [N]
    times : array [N, H], timestamps or integer steps
    mean_NH : float array [N, H]
    levels : quantile levels, ascending
    quantiles_NHQ : float array [N, H, Q], ascending along Q
    samples_NSH : float array [N, S, H] or None, paths that are dependent over the horizon
    notes : what a reader must know of an item, by id, such as a fallback
    """

    ids: np.ndarray
    times: np.ndarray
    mean_NH: np.ndarray
    levels: tuple[float, ...]
    quantiles_NHQ: np.ndarray
    samples_NSH: np.ndarray | None = None
    notes: Mapping[Any, str] = field(default_factory=dict)
    names: Names = Names()
    library: str = "pandas"
    _stamp: Callable[[np.ndarray], Any] = field(default=np.asarray, repr=False)
    _quantile: Callable[[np.ndarray], np.ndarray] | None = field(default=None, repr=False)
    _sample: Callable[[int], np.ndarray] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, panel: Panel, horizon: int, **parts: Any) -> Forecast:
        """Forecast of `horizon` steps after the end of every item of `panel`; `parts` are the remaining fields."""
        times = panel.future_times(horizon)
        return cls(panel.ids, times, names=panel.names, library=panel.library, _stamp=panel.stamp, **parts)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def horizon(self) -> int:
        """Number of steps."""
        return self.mean_NH.shape[1]

    @property
    def mean(self) -> np.ndarray:
        """Mean, array [N, H]."""
        return self.mean_NH

    @property
    def samples(self) -> np.ndarray | None:
        """Sample paths, array [N, S, H], or None where only marginals were computed."""
        return self.samples_NSH

    def quantile(self, level: float) -> np.ndarray:
        """Quantile of every item and step, array [N, H].

        Parameters
        ----------
        level : float strictly between 0 and 1; it need not be one of `levels`

        Raises
        ------
        ValueError
            If the level lies outside `levels` and whatever made the forecast cannot say more.
        """
        (level,) = check_levels([level])
        place = int(np.argmin(np.abs(np.array(self.levels) - level))) if self.levels else 0
        if self.levels and np.isclose(self.levels[place], level, rtol=0, atol=1e-9):
            return self.quantiles_NHQ[:, :, place]
        if self._quantile is not None:
            return self._quantile(np.array([level]))[:, :, 0]
        if self.samples_NSH is not None:
            return np.quantile(self.samples_NSH, level, axis=1)
        if not self.levels or not self.levels[0] < level < self.levels[-1]:
            raise ValueError(
                f"the quantile {level} cannot be had from this forecast, which holds the levels {list(self.levels)}: "
                "ask for it in predict(levels=…)"
            )
        right = int(np.searchsorted(self.levels, level))
        low, high = self.levels[right - 1], self.levels[right]
        weight = (level - low) / (high - low)
        return (1 - weight) * self.quantiles_NHQ[:, :, right - 1] + weight * self.quantiles_NHQ[:, :, right]

    def interval(self, coverage: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Central interval that holds the truth with probability `coverage`: (lower, upper), each [N, H]."""
        if not 0 < coverage < 1:
            raise ValueError(f"coverage must lie strictly between 0 and 1, found {coverage!r}")
        return self.quantile((1 - coverage) / 2), self.quantile((1 + coverage) / 2)

    def prob(self, event: Callable[[np.ndarray], np.ndarray], num_samples: int = 1000) -> pd.DataFrame:
        """Probability that sample paths fulfil `event`, with its Monte-Carlo standard error.

        Parameters
        ----------
        event : function of paths [N, S, H] that gives booleans [N, S], e.g. `lambda paths: paths.max(-1) > 400`
        num_samples : int, default 1000; paths to draw where the forecast does not hold paths already

        Returns
        -------
        Frame with the item, `probability` and `standard_error` (0 where all paths agree).

        Raises
        ------
        ValueError
            Where only marginals exist, or `event` gives another shape.
        """
        paths = self.samples_NSH
        if paths is None:
            if self._sample is None:
                raise ValueError(
                    "a probability over several steps needs sample paths: this forecast holds marginal quantiles only"
                )
            paths = self._sample(num_samples)
        hit = np.asarray(event(paths))
        if hit.shape != paths.shape[:2] or hit.dtype != bool:
            raise ValueError(
                f"event must map paths {paths.shape} to booleans {paths.shape[:2]}, found {hit.dtype} {hit.shape}"
            )
        p = hit.mean(1)
        error = np.sqrt(p * (1 - p) / hit.shape[1])
        return self._as_caller(pd.DataFrame({self.names.item: self.ids, "probability": p, "standard_error": error}))

    def take(self, items: Sequence[int] | np.ndarray) -> Forecast:
        """Forecast of the items at these positions; it keeps only the levels and paths that are there already."""
        items = np.asarray(items, "i8")
        kept = {i: self.notes[i] for i in self.ids[items] if i in self.notes}
        samples = None if self.samples_NSH is None else self.samples_NSH[items]
        return dataclasses.replace(
            self, ids=self.ids[items], times=self.times[items], mean_NH=self.mean_NH[items], samples_NSH=samples,
            quantiles_NHQ=self.quantiles_NHQ[items], notes=kept, _quantile=None, _sample=None,
        )  # fmt: skip

    def to_frame(self) -> Any:
        """Long frame of the caller's kind: item, time, mean, "0.1", … and, where something is to be known, "note"."""
        n, h = self.mean_NH.shape
        columns: dict[str, Any] = {
            self.names.item: np.repeat(self.ids, h),
            self.names.time: self._stamp(self.times.ravel()),
            "mean": self.mean_NH.ravel(),
        }
        columns |= {f"{level:g}": self.quantiles_NHQ[:, :, q].ravel() for q, level in enumerate(self.levels)}
        if self.notes:
            columns["note"] = np.repeat(np.array([self.notes.get(i, "") for i in self.ids], object), h)
        return self._as_caller(pd.DataFrame(columns))

    def _as_caller(self, frame: pd.DataFrame) -> Any:
        if self.library == "polars":
            import polars

            return polars.DataFrame(
                {
                    name: column.tolist() if column.dtype == object else column.to_numpy()
                    for name, column in frame.items()
                }
            )
        if self.library == "pyarrow":
            import pyarrow

            return pyarrow.Table.from_pandas(frame, preserve_index=False)
        return frame

    def plot(self, history: Any = None, **options: Any) -> Figure:
        """Draw history, median and intervals; see `tsar.plot`."""
        from tsar.plotting import plot

        return plot(self, history, **options)
