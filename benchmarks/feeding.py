"""Which part of a training step shuffling and gathering the rows is, in one process with ``shuffle``.

Measured within the steps of whole epochs: the order of an epoch is shared out among its batches.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.networks import ROWS
from benchmarks.steps import next_batch, of_workload
from benchmarks.tables import add_page, milliseconds, publish, table, where

TARGET = 0.03


def timed(f: Callable[..., None], times: list[float]) -> Callable[..., None]:
    """``f``, whose seconds are noted."""

    def run(*a: Any) -> None:
        start = time.perf_counter()
        f(*a)
        times.append(time.perf_counter() - start)

    return run


def measure(name: str, lasting: float) -> tuple[float, float, float]:
    """Medians of a step, of gathering its rows, and of its part of an epoch's shuffling: seconds."""
    trainer = of_workload(name, shuffle=True)
    loader = trainer.loader
    gathers, shuffles, steps = list[float](), list[float](), list[float]()
    make = loader.filler
    loader.filler = lambda feeds, part: timed(make(feeds, part), gathers)  # type: ignore[method-assign]
    loader.start = timed(loader.start, shuffles)  # type: ignore[method-assign]
    step = timed(trainer.step, steps)
    while sum(steps) < lasting or trainer.epoch < 3:
        next_batch(trainer)
        step()
    return median(steps), median(gathers), median(shuffles) / loader.batches


def main() -> None:
    parser = ArgumentParser(prog="python -m benchmarks.feeding", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="W", help=f"of {', '.join(ROWS)}; all by default")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each workload (1.5)")
    add_page(parser)
    options = parser.parse_args()
    lines = []
    for name in options.workloads or ROWS:
        step, gather, shuffle = measure(name, options.seconds)
        share = (gather + shuffle) / step
        shown = f"{share:.1%}"
        times = [milliseconds(step), f"{gather * 1e6:.1f}", f"{shuffle * 1e6:.1f}"]
        lines.append([name, *times, f"**{shown}**" if share > TARGET else shown])
    text = table(["", "ms per step", "µs gathering", "µs shuffling", "share"], lines)
    publish("feeding", f"{where()}\n\n{text}\n\nAt most {TARGET:.0%} is wanted.", options.markdown)


if __name__ == "__main__":
    main()
