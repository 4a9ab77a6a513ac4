"""Milliseconds of a training step in one process, and what takes them.

A step is what ``fit`` does: copy a batch, forward, loss, backward, optimizer, metrics.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections import Counter

from benchmarks.networks import ROWS, Rows, spec
from benchmarks.prepare import rows_of
from benchmarks.tables import add_page, milliseconds, publish, table, where
from graphspec.api.model import Model
from graphspec.api.model import compile as compile_spec
from graphspec.base.arrays.calls import settings
from graphspec.engine.training.prepare import FitData, FitSettings, prepare_fit
from graphspec.engine.training.reporting import Silent
from graphspec.engine.training.trainer import Trainer

MOST = 8
"""Lines of a profile."""


def trainer_of(model: Model, rows: Rows, *, batch: int | None = None, shuffle: bool = False) -> Trainer:
    """A trainer of one process, before its first batch."""
    options = FitSettings(batch_size=batch, shuffle=shuffle)
    trainer = prepare_fit(model, FitData(*rows), options, observer=Silent())
    trainer.loader.start(0)
    return trainer


def of_workload(name: str, *, shuffle: bool = False) -> Trainer:
    model = compile_spec(spec(name))
    return trainer_of(model, rows_of(name, model.spec.training.batch_size), shuffle=shuffle)


def next_batch(trainer: Trainer) -> None:
    """After the last batch, another epoch."""
    if trainer.batch == trainer.loader.batches:
        trainer.batch, trainer.epoch = 0, trainer.epoch + 1
        trainer.loader.start(trainer.epoch)


def step_times(trainer: Trainer, lasting: float, least: int = 5) -> list[float]:
    """Seconds of each of at least ``least`` steps, which last ``lasting`` seconds together."""
    times: list[float] = []
    while sum(times) < lasting or len(times) < least:
        next_batch(trainer)
        start = time.perf_counter()
        trainer.step()
        times.append(time.perf_counter() - start)
    return times


def seconds(trainer: Trainer, lasting: float = 1.5) -> float:
    """The quickest step: what else the machine does must not count."""
    return min(step_times(trainer, lasting))


def profile(trainer: Trainer, by: str, lasting: float = 1.0) -> dict[str, float]:
    """Seconds a step of every node or operator, forward and backward apart, and of the rest of a step: longest first."""
    trainer.step()
    program = next(iter(trainer.steps.programs.values()))
    spent: Counter[str] = Counter()
    steps, begin = 0, time.perf_counter()
    while time.perf_counter() < begin + lasting:
        next_batch(trainer)
        steps += 1
        start = time.perf_counter()
        program.load(trainer.batch)
        start = _lap(spent, "rows", start)
        for phase, node, first, last in program.spans:
            if first == last:
                continue
            for f, *a in program.calls[first:last]:
                f(*a)
            what = node if by == "node" else node.rpartition("/")[2].rstrip("_0123456789")
            start = _lap(spent, f"{phase} {what}", start)
        for f, *a in trainer.optimizer_state.calls:
            f(*a)
        _lap(spent, "optimizer", start)
        trainer.batch += 1
        trainer.optimizer_state.clock.step += 1
    return {name: total / steps for name, total in spent.most_common()}


def _lap(spent: Counter[str], name: str, start: float) -> float:
    now = time.perf_counter()
    spent[name] += now - start  # type: ignore[assignment]
    return now


def measure(name: str, by: str | None) -> list[str]:
    """The line of a network: the time of a step and, if asked, the parts that take longest."""
    trainer = of_workload(name)
    cells = [name, milliseconds(seconds(trainer))]
    if by:
        parts = profile(trainer, by)
        whole = sum(parts.values())
        shown = [f"{part} {spent / whole:.0%}" for part, spent in list(parts.items())[:MOST] if spent >= 0.01 * whole]
        cells.append(", ".join(shown))
    return cells


def main() -> None:
    parser = ArgumentParser(prog="python -m benchmarks.steps", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="W", help=f"of {', '.join(ROWS)}; all by default")
    parser.add_argument("--profile", choices=["node", "operator"], help="the nodes or operators that take longest")
    add_page(parser)
    options = parser.parse_args()
    with settings():
        lines = [measure(name, options.profile) for name in options.workloads or ROWS]
    head = ["", "ms per step", *(["of which"] if options.profile else [])]
    publish("steps", f"{where()}\n\n{table(head, lines)}", options.markdown)


if __name__ == "__main__":
    main()
