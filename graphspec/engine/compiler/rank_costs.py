"""What a training step would take on several machines: a model with the latency and the bandwidth of their network.

A rank is one of P processes that share every batch. A step of P ranks takes

    T(P) = C/P + L(P) a + K (P-1) o + 8 n (P-1) / (P b)

C is the time of a step of one rank, n the number of trainable parameters, a the latency of a message and b the bandwidth of
a rank's connection. Each rank sends its parts of the gradient to the others, which add them, and sends its part of the new
weights to all: in each of these exchanges (P-1)/P of the n numbers of 4 bytes leave a rank and reach it. These are the bytes
of reduce-scatter and allgather in Thakur, Rabenseifner and Gropp, "Optimization of Collective Communication Operations in
MPICH" (2005). In an exchange all messages travel at once. A step has K = 2 + S exchanges one after another, S of them sums
over the batch, as BatchNormalization has. Each takes one latency, whatever P is, and so does the order of rank 0 with which
a step begins: L latencies in all (:meth:`RankCosts.latencies`). In each exchange a rank spends the time o of its processor
on every other rank, as in Alexandrov, Ionescu, Schauser and Scheiman, "LogGP" (1995). The time of adding is left out, and so
is work that a rank could do while it waits.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Graph

_BYTES = 4  # of a float32
_BITS = {"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0}
_NETWORK = re.compile(
    r"(?P<rate>\d+(?:\.\d+)?) ?(?P<prefix>[kKMGT])(?P<unit>bit|b|B)(?:/s|ps)?"
    r"(?:, ?(?P<time>\d+(?:\.\d+)?) ?(?P<second>ns|us|µs|μs|ms|s))?"
)
LATENCY = 50e-6
"""The latency where none is given: a message of a process to another machine by TCP in one data centre."""
MESSAGE = 10e-6
"""Seconds of the processor for sending a message and receiving one by TCP; of faster networks a fifth of the latency."""
_SUMS = {"BatchNormalization": 3, "MaskedBatchNormalization": 4}
"""Sums over the rows of all ranks in a step, by operator."""
_AT_ONCE = 4
"""Up to so many ranks, Open MPI sends an order to all at once; to more, by a tree."""
_PASSES = (
    3  # products of a step over those of the forward pass: for the outputs, and the gradients of inputs and weights
)
_FLOPS = 2  # of a multiply-add


@dataclass(frozen=True)
class Network:
    """The network between ranks.

    Attributes:
        bandwidth: bytes per second that a rank can send while it receives as many.
        latency: seconds from one rank's sending of a short message to another's receiving it.
    """

    bandwidth: float
    latency: float = LATENCY

    @staticmethod
    def parse(text: str) -> Network:
        """Return the network of a text such as ``10Gb``, ``10Gb/s,0.05ms``, ``1.2GB,20us``; b is a bit, B a byte.

        Raises:
            ValueError: the text is none, or a bandwidth of 0.
        """
        match = _NETWORK.fullmatch(text.strip())
        if match is None or not float(match["rate"]):
            raise ValueError(
                f"write a bandwidth, and a latency if you know it, such as 10Gb or 10Gb,0.05ms, not '{text}'"
            )
        bandwidth = float(match["rate"]) * _BITS[match["prefix"].lower()] / (1 if match["unit"] == "B" else 8)
        latency = LATENCY if match["time"] is None else float(match["time"]) * _SECONDS[match["second"]]
        return Network(bandwidth, latency)


@dataclass(frozen=True)
class StepTime:
    """The time of a step, in seconds."""

    ranks: int
    compute: float
    communication: float

    @property
    def total(self) -> float:
        """The time of computing and communicating."""
        return self.compute + self.communication


@dataclass(frozen=True)
class RankCosts:
    """The costs of a training on several ranks.

    Attributes:
        parameters: the number of trainable parameters.
        rows: the rows of a batch: more ranks than rows would have nothing to do.
        compute: the seconds of a step of one rank.
        sums: the sums over all rows of a batch in a step (:func:`sums_over_batch`).
    """

    parameters: int
    rows: int
    compute: float
    network: Network
    sums: int = 0

    def latencies(self, ranks: int) -> int:
        """Return how many latencies follow each other in a step.

        The order reaches the others d latencies after rank 0 gave it, and each of the K exchanges takes one. Two ranks
        need no more than K, if it is even: what rank 0 sends is at the other one before that needs it.
        """
        exchanges = 2 + self.sums
        if ranks == 1:
            return 0
        if ranks == 2:
            return exchanges + exchanges % 2
        return exchanges + (1 if ranks <= _AT_ONCE else math.ceil(math.log2(ranks)))

    def step(self, ranks: int) -> StepTime:
        """Return the time of a step of ``ranks`` ranks."""
        latency = self.network.latency
        messages = self.latencies(ranks) * latency + (2 + self.sums) * (ranks - 1) * min(MESSAGE, latency / 5)
        moved = 2 * _BYTES * self.parameters * (ranks - 1) / ranks
        return StepTime(ranks, self.compute / ranks, messages + moved / self.network.bandwidth)

    def fastest(self) -> int:
        """Return the number of ranks, at most ``rows``, with the shortest step: more ranks make it longer."""
        return min(range(1, self.rows + 1), key=lambda ranks: self.step(ranks).total)

    def table(self, ranks: int) -> list[StepTime]:
        """Return the steps of 1, 2, 4, … ranks, and of ``ranks``."""
        numbers = {2**k for k in range(ranks.bit_length())} | {ranks}
        return [self.step(number) for number in sorted(numbers)]


def sums_over_batch(graph: Graph) -> int:
    """Return how often the ranks add something over all rows of a batch in a step, besides losses and gradients."""
    return sum(_SUMS.get(node.op, 0) for node in graph.nodes)


def estimated_seconds(multiply_adds: int, gflops: float) -> float:
    """Return the seconds of a training step.

    Args:
        multiply_adds: of the forward pass of one batch.
        gflops: what a rank computes, in 10^9 floating-point operations per second.
    """
    return _FLOPS * _PASSES * multiply_adds / (gflops * 1e9)
