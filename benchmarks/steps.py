"""Milliseconds of a training step: ``python -m benchmarks.steps [W1 W5 …] [--profile]``.

A step is what ``fit`` does: copy a batch, forward, loss, backward, optimizer. Medians over a second or so each.
"""

from __future__ import annotations

import sys
import time
from statistics import median

from benchmarks.networks import NETWORKS, network
from graphspec.model import compile as compile_spec
from graphspec.runtime.fit import prepare_fit
from graphspec.runtime.observe import Silent
from graphspec.runtime.train import Trainer


def trainer_of(name: str) -> Trainer:
    spec, (x, y) = network(name)
    trainer = prepare_fit(compile_spec(spec), x, y, batch_size=len(x), observer=Silent())
    trainer.feeder.start(0)
    return trainer


def milliseconds(trainer: Trainer, seconds: float = 1.5) -> float:
    """The median step."""
    times: list[float] = []
    # At most 400 steps: after thousands on one batch its gradients are subnormal numbers, which are slow.
    while (sum(times) < seconds and len(times) < 400) or len(times) < 5:
        trainer.batch = 0
        start = time.perf_counter()
        trainer.step()
        times.append(time.perf_counter() - start)
    return 1e3 * median(times[2:])


def profile(trainer: Trainer, most: int = 12) -> None:
    """The nodes that take longest, in milliseconds a step."""
    program = next(iter(trainer.programs.values()))
    spent: dict[str, float] = {}
    for phase, node, first, last in program.spans:
        start = time.perf_counter()
        for _ in range(5):
            for f, *a in program.calls[first:last]:
                f(*a)
        spent[f"{phase} {node}"] = (time.perf_counter() - start) / 5 * 1e3
    for name, ms in sorted(spent.items(), key=lambda item: -item[1])[:most]:
        print(f"    {ms:8.3f}  {name}")


def main() -> None:
    names = [a for a in sys.argv[1:] if not a.startswith("-")] or list(NETWORKS)
    for name in names:
        trainer = trainer_of(name)
        print(f"{name}  {milliseconds(trainer):9.3f} ms a step", flush=True)
        if "--profile" in sys.argv:
            profile(trainer)


if __name__ == "__main__":
    main()
