"""What a training step would take on several machines: a model with the latency and the bandwidth of their network.

A rank is one of P processes that share every batch. A step of P ranks takes

    T(P) = C/P + 2 (P-1) a + 8 n (P-1) / (P b)

C is the time of a step of one rank, n the number of trainable parameters, a the latency of a message and b the bandwidth of
a rank's connection. Each rank sends its parts of the gradient to the others, which add them, and sends its part of the new
weights to all: two exchanges of P-1 messages, and in each (P-1)/P of the n numbers of 4 bytes leave a rank and reach it.
These are the terms of reduce-scatter and allgather in Thakur, Rabenseifner and Gropp, "Optimization of Collective
Communication Operations in MPICH" (2005), without the time of adding. Sums of losses and metrics are left out, and so is
work that a rank could do while it waits.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_BYTES = 4  # of a float32
_BITS = {"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0}
_NETWORK = re.compile(
    r"(?P<rate>\d+(?:\.\d+)?) ?(?P<prefix>[kKMGT])(?P<unit>bit|b|B)(?:/s|ps)?"
    r"(?:, ?(?P<time>\d+(?:\.\d+)?) ?(?P<second>ns|us|µs|μs|ms|s))?"
)
LATENCY = 50e-6
"""The latency where none is given: a message of a process to another machine by TCP in one data centre."""
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
    """

    parameters: int
    rows: int
    compute: float
    network: Network

    def step(self, ranks: int) -> StepTime:
        """Return the time of a step of ``ranks`` ranks."""
        messages = 2 * (ranks - 1) * self.network.latency
        moved = 2 * _BYTES * self.parameters * (ranks - 1) / ranks
        return StepTime(ranks, self.compute / ranks, messages + moved / self.network.bandwidth)

    def fastest(self) -> int:
        """Return the number of ranks, at most ``rows``, with the shortest step: more ranks make it longer.

        T(P) is A/P + 2aP + constant with A = C - 8n/b, so T(P+1) < T(P) just as long as A > 2a P (P+1).
        """
        gain, loss = self.compute - 2 * _BYTES * self.parameters / self.network.bandwidth, 2 * self.network.latency
        if gain <= 0:
            return 1
        best = self.rows if loss == 0 else math.ceil((math.sqrt(1 + 4 * gain / loss) - 1) / 2)
        return max(1, min(best, self.rows))

    def table(self, ranks: int) -> list[StepTime]:
        """Return the steps of 1, 2, 4, … ranks, and of ``ranks``."""
        numbers = {2**k for k in range(ranks.bit_length())} | {ranks}
        return [self.step(number) for number in sorted(numbers)]


def estimated_seconds(multiply_adds: int, gflops: float) -> float:
    """Return the seconds of a training step.

    Args:
        multiply_adds: of the forward pass of one batch.
        gflops: what a rank computes, in 10^9 floating-point operations per second.
    """
    return _FLOPS * _PASSES * multiply_adds / (gflops * 1e9)
