"""A training step by local workers and by MPI ranks, in turn: ``mpiexec -n 2 python -m benchmarks.ranks [W5 …]``.

The workers of one machine share memory. Ranks copy gradients and weights, which they could not avoid on two machines either;
a network between them adds its own time.
"""

from __future__ import annotations

from argparse import ArgumentParser
from statistics import median

from benchmarks.networks import ROWS, spec
from benchmarks.prepare import rows_of
from benchmarks.steps import step_times, trainer_of
from benchmarks.tables import add_page, milliseconds, publish, table, where
from graphspec.api.model import compile as compile_spec
from graphspec.base.arrays.calls import settings
from graphspec.engine.parallel.ranks import Ranks, connect, serve

ROUNDS = 5


def seconds(name: str, ranks: Ranks | None, size: int, lasting: float) -> tuple[float, int]:
    """The median of a step after two, and the number of weights."""
    model = compile_spec(spec(name))
    trainer = trainer_of(model, rows_of(name, model.spec.training.batch_size))
    trainer.loader.start(0)
    if ranks is None:
        trainer.steps.join(size)
    else:
        trainer.steps.join_ranks(ranks)
    try:
        with settings():
            times = step_times(trainer, lasting, 7)
    finally:
        trainer.steps.leave()
    return median(times[2:]), model.parameters.vectors["trainable"].size


def main() -> None:
    parser = ArgumentParser(prog="python -m benchmarks.ranks", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="W", help=f"of {', '.join(ROWS)}; W5 and W7 by default")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each network, way and round (2)")
    add_page(parser)
    options = parser.parse_args()
    ranks = connect(None)
    if ranks.rank:
        serve(ranks)
        return
    lines = []
    for name in options.workloads or ("W5", "W7"):
        local, by_ranks, ratios, weights = list[float](), list[float](), list[float](), 0
        for _ in range(ROUNDS):
            one, weights = seconds(name, None, ranks.size, options.seconds)
            other, _ = seconds(name, ranks, ranks.size, options.seconds)
            local.append(one)
            by_ranks.append(other)
            ratios.append(other / one)
        shown = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append([name, f"{weights:,}", milliseconds(median(local)), milliseconds(median(by_ranks)), shown])
    ranks.end()
    head = ["", "weights", f"ms, workers: {ranks.size}", f"ms, {ranks.size} ranks", "ratio (of rounds)"]
    library = ranks.mpi.Get_library_version().split(",")[0]
    publish("ranks", f"{where()}, {library}\n\n{table(head, lines)}", options.markdown)


if __name__ == "__main__":
    main()
