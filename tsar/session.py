"""Session: observations arrive, forecasts are asked for, and the past is not encoded again.

Patches are right-aligned, so their boundaries lie at the series' length modulo the patch. A session keeps one cache
for each of these phases: an append of any size moves on to another phase, and coming back to a phase encodes only the
patches that are new to it. A context starts at a step that is a function of the length alone and moves in blocks (see
`tsar.tokens.context_start`); when it moves, that phase is encoded again. `Session.cost` says so, and what it cost.

Legend: B groups that stand at the same length, V variates, T steps end to end, K known covariates.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tsar import frequency
from tsar.forecast import DECILES, Forecast, check_levels
from tsar.generate import Rollout
from tsar.panel import Panel
from tsar.seeds import seed_root
from tsar.tokens import Window

if TYPE_CHECKING:
    from tsar.forecasters.base import Forecaster
    from tsar.groups import Groups

COHORT = 32  # groups encoded together


class Cost(NamedTuple):
    """What the last forecast had to encode.

    Attributes
    ----------
    tokens : int
        Tokens encoded to take in the observations (the forecast's own steps not counted).
    again : int
        Groups whose context was encoded from its start: seen in this phase for the first time, or the start has moved.
    """

    tokens: int
    again: int


@dataclass
class _Place:
    """A cohort's encoded context: the steps [start, end) of its series."""

    rollout: Rollout
    start: int
    end: int


class Session:
    """A history that grows, and forecasts from its end; equal to `predict` on the whole history.

    Parameters
    ----------
    forecaster : Forecaster
        Fitted; it stays as it is. Only a `NeuralForecaster` whose model streams has anything to keep; others read the
        history again at each forecast, and `cost` says so.
    history : Panel
        Where the session starts.
    """

    def __init__(self, forecaster: Forecaster, history: Panel) -> None:
        self.panel = history
        self.cost = Cost(0, 0)
        self._forecaster: Any = copy.copy(forecaster)
        self._keeps = hasattr(forecaster, "_encoded")
        if self._keeps:
            self._forecaster._encoded = self._encoded
        self._places: dict[tuple[int, tuple[str, ...]], _Place] = {}

    def append(self, new: Any) -> Self:
        """Append observations; nothing is encoded until `forecast` or `encode` asks for it.

        Parameters
        ----------
        new : any input that `predict` takes
            Rows after the end of some of the session's items; steps left out between them are missing values. Arrays,
            which carry no time, follow at once.

        Raises
        ------
        ValueError
            For an item the session does not hold, or a time that is not after the item's end.
        """
        old = self.panel
        fresh = self._forecaster._read(new, old.freq, None)
        if fresh.stamped != old.stamped:
            raise ValueError(f"expected times of type {old.times.dtype} as in the history, found {fresh.times.dtype}")
        place = {item: i for i, item in enumerate(old.ids)}
        if odd := [item for item in fresh.ids if item not in place]:
            raise ValueError(f"item {odd[0]!r} is not in this session: expected some of its {len(old)} items")
        first_N, rows_N = fresh.times[fresh.offsets[:-1]], np.array([place[item] for item in fresh.ids])
        last_N = old.times[old.offsets[1:] - 1][rows_N]
        if fresh.kind == "array" and not fresh.stamped:
            ahead_N = np.ones(len(fresh), dtype=np.int64)
        else:
            ahead_N, on_grid_N = frequency.positions(first_N, last_N, old.freq)
            if (late := ~on_grid_N | (ahead_N < 1)).any():
                i = int(np.argmax(late))
                raise ValueError(
                    f"item {fresh.ids[i]!r} continues at {first_N[i]}: expected steps of {old.freq!r} after {last_N[i]}"
                )
        self.panel = _joined(old, fresh, rows_N, ahead_N)
        return self

    def forecast(
        self,
        horizon: int,
        *,
        levels: Sequence[float] = DECILES,
        num_samples: int | None = None,
        future: Any = None,
        random_state: Any = None,
    ) -> Forecast:
        """Forecast from the end of every item; see `Forecaster.predict`. `cost` then says what was encoded."""
        from tsar.forecasters.base import check_horizon

        horizon, checked = check_horizon(horizon), check_levels(levels)
        covariates = self.panel.read_future(future, horizon, tuple(self._forecaster.known))
        self.cost = Cost(0, 0 if self._keeps else len(self.panel))
        seed = seed_root(random_state)
        forecast: Forecast = self._forecaster._forecast(self.panel, horizon, covariates, checked, num_samples, seed)
        return forecast

    def encode(self) -> Cost:
        """Take in now what was appended, so that the next forecast need not; return what it cost."""
        self.cost = Cost(0, 0)
        if self._keeps:
            for _ in self._encoded(self._forecaster._groups(self.panel), 1):
                pass
        return self.cost

    def save(self, path: str | Path) -> None:
        """Write model and history to a folder; caches are not written, so the first forecast after `load` encodes."""
        saved = copy.copy(self._forecaster)
        saved.history_ = self.panel
        saved.save(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        from tsar.forecasters.store import load

        forecaster = load(path)
        return cls(forecaster, forecaster.history_)

    def _encoded(self, groups: Groups, paths: int) -> Iterator[tuple[Rollout, NDArray[np.int64]]]:
        """Encoded contexts of all groups, cohort by cohort: what `NeuralForecaster` asks for."""
        lengths_G = groups.lengths
        for length in np.unique(lengths_G):
            rows = np.flatnonzero(lengths_G == length)
            for first in range(0, len(rows), COHORT):
                cohort = rows[first : first + COHORT]
                yield self._at(groups, cohort, int(length)), cohort

    def _at(self, groups: Groups, rows: NDArray[np.int64], length: int) -> Rollout:
        """Context of one cohort, encoded to its end."""
        from tsar.groups import start_of

        model, step = self._forecaster.model_, self._forecaster.model_.tokenizer.step
        per_time = len(rows) * groups.variates
        if not model.streams:
            self._pay(per_time * model.tokenizer.count(model.context), len(rows))
            whole: Rollout = self._forecaster._start(model, groups, rows)
            return whole
        start = start_of(model, length)
        # A token carries the known covariates of the steps ahead of it: it is kept only once those steps were observed.
        waiting = -(-model.reach // step) * step if groups.known_KT is not None else 0
        end = max(length - waiting, start + step)
        key = (length % step, tuple(groups.keys[g] for g in rows))
        place = self._places.get(key)
        if place is None or place.start != start or place.end > end:
            opened = self._cut(groups, rows, start, end)
            with torch.inference_mode():
                place = _Place(Rollout(model, opened), start, end)
            self._places[key] = place
            self._pay(per_time * ((end - start) // step), len(rows))
        elif place.end < end:
            with torch.inference_mode():
                place.rollout.extend(self._cut(groups, rows, place.end, end))
            self._pay(per_time * ((end - place.end) // step), 0)
            place.end = end
        if end == length and groups.known_KT is None:
            return place.rollout
        with torch.inference_mode():
            ready = place.rollout.repeat()
            ready.window = self._cut(groups, rows, start, length)
            if end < length:
                ready.extend(self._cut(groups, rows, end, length))
                self._pay(per_time * ((length - end) // step), 0)
        return ready

    def _pay(self, tokens: int, again: int) -> None:
        self.cost = Cost(self.cost.tokens + tokens, self.cost.again + again)

    def _cut(self, groups: Groups, rows: NDArray[np.int64], start: int, end: int) -> Window:
        """Steps [start, end) of some groups, counted from each one's first; known covariates go on to what is known."""
        from tsar.batches import to

        offset_B = groups.offsets_G[rows]

        def take(array_XT: NDArray[Any] | None, upto: int) -> Tensor | None:
            if array_XT is None:
                return None
            index_BT = offset_B[:, None] + np.arange(start, upto)
            part_BXT = np.swapaxes(array_XT[:, np.maximum(index_BT, offset_B[:, None])], 0, 1)
            return torch.from_numpy(np.where(np.arange(start, upto) < 0, np.nan, part_BXT))

        length = int(groups.lengths[rows[0]])
        y_BVL, known_BKT = take(groups.values_VT, end), take(groups.known_KT, length)
        assert y_BVL is not None
        if known_BKT is not None and groups.future_GKH is not None:
            known_BKT = torch.cat([known_BKT, torch.from_numpy(groups.future_GKH[rows])], -1)
        static_GF = groups.static_GF
        window = Window(
            y_BVL=y_BVL,
            known_BKT=known_BKT,
            past_BCL=take(groups.past_CT, end),
            static_BF=None if static_GF is None else torch.from_numpy(static_GF[rows].astype("f4")),
            item=tuple(groups.keys[g] for g in rows),
        )
        device = next(self._forecaster.model_.parameters()).device
        moved: Window = to(window, device)
        return moved


def _joined(old: Panel, fresh: Panel, rows_N: NDArray[np.int64], ahead_N: NDArray[np.int64]) -> Panel:
    """The old panel with the fresh items' steps after theirs; what lies between is missing."""
    added_N = np.zeros(len(old), dtype=np.int64)
    added_N[rows_N] = ahead_N - 1 + fresh.lengths
    offsets = np.concatenate([[0], np.cumsum(old.lengths + added_N)])
    kept_T = np.repeat(offsets[:-1] - old.offsets[:-1], old.lengths) + np.arange(len(old.values))
    start_N = offsets[rows_N] + old.lengths[rows_N] + ahead_N - 1
    fresh_T = np.repeat(start_N - fresh.offsets[:-1], fresh.lengths) + np.arange(len(fresh.values))

    def column(was_T: NDArray[Any], new_T: NDArray[Any]) -> NDArray[Any]:
        if (was_T.dtype == object) != (new_T.dtype == object):
            raise ValueError("a covariate holds text where the history has numbers, or numbers where it has text")
        out = np.full(offsets[-1], None if was_T.dtype == object else np.nan, was_T.dtype)
        out[kept_T], out[fresh_T] = was_T, new_T
        return out

    times = np.empty(offsets[-1], old.times.dtype)
    times[kept_T] = old.times
    owner = np.repeat(np.arange(len(old)), added_N)
    after = np.arange(len(owner)) - np.repeat(np.cumsum(added_N) - added_N, added_N)
    last_T = old.times[old.offsets[1:] - 1][owner]
    new_T = offsets[owner] + old.lengths[owner] + after
    times[new_T] = frequency.advance(last_T, (after + 1)[:, None], old.freq)[:, 0]
    covariates = {name: column(old.covariates[name], fresh.covariates[name]) for name in old.covariates}
    return replace(old, offsets=offsets, values=column(old.values, fresh.values), times=times, covariates=covariates)
