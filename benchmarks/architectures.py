"""The well-known networks of `specs/architectures` as a table: what each is for, its size, and the time of a training step.

A step is what ``fit`` does. Its time is that of the processor, summed over threads: other programs on the machine make it
only a little longer. Rows are made up; texts, sounds and molecules have 100 steps.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from math import prod
from typing import Any

import numpy as np

from benchmarks.steps import next_batch, trainer_of
from benchmarks.tables import add_page, machine, milliseconds, publish, table
from graphspec.api.model import Model
from graphspec.api.model import compile as compile_spec
from graphspec.base.arrays.calls import settings
from graphspec.base.errors import GivenText
from graphspec.data.architectures import architectures, purpose
from graphspec.export.prove import places_of, seeded
from graphspec.graph.analysis import input_bounds
from graphspec.graph.ir.dims import evaluate
from graphspec.graph.ir.graph import Graph

LENGTH = 100
STEPS, SECONDS = 2, 0.5
"""At least so many steps and so long; the fastest counts, after a first one."""


def rows(model: Model, count: int, length: int = 12) -> tuple[dict[str, Any], dict[str, Any]]:
    """Made-up inputs and targets that fit the network."""
    bounds = input_bounds(model.graph)
    sizes = {d: length for v in model.graph.inputs.values() for d in v.shape[1:] if isinstance(d, str)}

    def filled(shape: Any) -> tuple[int, ...]:
        return count, *(evaluate(d, sizes) or length for d in shape[1:])

    bounds = dict.fromkeys(places_of(model.graph), (0, length)) | bounds
    x = {name: seeded(name, v.dtype, filled(v.shape), bounds.get(name)) for name, v in model.graph.inputs.items()}
    random, y = np.random.default_rng(0), {}
    for head in model.spec.all_heads.values():
        if head.needs_data:
            value = model.graph.outputs[head.name]
            kind = head.loss.target(value)
            high = value.shape[-1] if kind.dtype == "int64" else 2
            if head.loss.targets == "labels":
                y[head.name] = random.integers(1, high, (count, 1))
                continue
            y[head.name] = random.integers(0, high, filled(kind.shape)).astype(kind.dtype)
    return x, y


def batch_of(model: Model) -> int:
    """Rows of a batch: fewer of large pictures."""
    numbers = sum(prod(d if isinstance(d, int) else LENGTH for d in v.shape[1:]) for v in model.graph.inputs.values())
    return 32 if numbers < 10_000 else 2


def step_time(model: Model, batch: int) -> float:
    """Seconds of a processor for a training step."""
    trainer, times = trainer_of(model, rows(model, batch, LENGTH), batch=batch), list[float]()
    while len(times) <= STEPS or sum(times) < SECONDS:
        next_batch(trainer)
        start = time.process_time()
        trainer.step()
        times.append(time.process_time() - start)
    return min(times[1:])


def described(name: str, text: str, graph: Graph) -> list[str]:
    """The cells of a network that need no measurement: its name, what it is for, its inputs and its parameters."""
    sizes = {n: " × ".join(str(d) if isinstance(d, int) else "…" for d in v.shape[1:]) for n, v in graph.inputs.items()}
    inputs = ", ".join(f"{name} {size}".strip() for name, size in sizes.items())
    parameters = sum(p.size for p in graph.params.values())
    return [f"[{name}](#{name})", purpose(text), inputs, f"{parameters:,}"]


def measure(name: str, text: str) -> list[str]:
    """The cells of a network."""
    model = compile_spec(GivenText(f"{name}.yaml", text))
    batch = batch_of(model)
    cells = [*described(name, text, model.graph), f"{batch}", milliseconds(step_time(model, batch))]
    print(*cells, flush=True)
    return cells


def main() -> None:
    known = architectures()
    parser = ArgumentParser(prog="python -m benchmarks.architectures", description=__doc__)
    parser.add_argument("networks", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; all by default")
    add_page(parser)
    options = parser.parse_args()
    with settings():
        lines = [measure(name, known[name]) for name in options.networks or known]
    head = ["", "for", "inputs", "parameters", "rows", "ms a step"]
    where = ", ".join(f"{key} {machine()[key]}" for key in ("cpu", "python", "numpy", "blas"))
    publish("architectures", f"{table(head, lines)}\n\nMeasured on {where}.", options.markdown)


if __name__ == "__main__":
    main()
