"""What a piece of work costs: its wall time and the peak of the memory it took."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

import psutil


class Meter:
    """Context manager that measures the block: `seconds`, and `peak_mb` above what was in use before.

    Memory is the resident set of this process and its children, sampled every `every` seconds, so a shorter peak can
    be missed.
    """

    def __init__(self, every: float = 0.02) -> None:
        self.every = every
        self.seconds = 0.0
        self.peak_mb = 0.0

    def __enter__(self) -> Self:
        self._process = psutil.Process()
        self._before = self._resident()
        self._stop = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        self._start = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._start
        self._stop.set()
        self._sampler.join()
        self._note()

    def _sample(self) -> None:
        while not self._stop.wait(self.every):
            self._note()

    def _note(self) -> None:
        self.peak_mb = max(self.peak_mb, (self._resident() - self._before) / 2**20)

    def _resident(self) -> int:
        total = self._process.memory_info().rss
        for child in self._process.children(recursive=True):
            try:
                total += child.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total
