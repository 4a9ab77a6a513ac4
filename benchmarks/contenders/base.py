"""What a contender is."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.workload import Workload


class Contender(ABC):
    """A framework with a workload's network.

    Attributes:
        others: bytes that other processes hold, which it has started.
        processes: how many train.
    """

    version: str
    workload: Workload
    others = 0
    processes = 1

    @abstractmethod
    def restore(self) -> None:
        """Back to the first weights."""

    def losses(self, count: int) -> list[float]:
        """The losses of the first steps, from the first weights; with dropout that of the first batch, evaluated."""
        return [self.evaluated()] if self.workload.random else self.trained(count)

    @abstractmethod
    def trained(self, count: int) -> list[float]:
        """The losses of the first steps, from the first weights."""

    @abstractmethod
    def evaluated(self) -> float:
        """The loss of the first batch, without dropout."""

    @abstractmethod
    def steps(self, warm: int, count: int) -> list[float]:
        """Seconds of at least ``count`` training steps, each; at least ``warm`` go before that."""


class Stepper(Contender):
    """One whose training is a loop of our own."""

    @abstractmethod
    def step(self, k: int) -> float:
        """Train on batch ``k``; its loss."""

    def trained(self, count: int) -> list[float]:
        return [self.step(k) for k in range(count)]

    def steps(self, warm: int, count: int) -> list[float]:
        times = []
        for k in range(warm + count):
            start = time.perf_counter()
            self.step(k)
            times.append(time.perf_counter() - start)
        return times[warm:]
