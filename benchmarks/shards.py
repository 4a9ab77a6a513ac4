"""A training step with ``shards``, relative to one without, by one worker and by two: ``python -m benchmarks.shards``.

W5 and the like choose the networks.
"""

from __future__ import annotations

from argparse import ArgumentParser
from statistics import median

from benchmarks.networks import ROWS, spec
from benchmarks.prepare import rows_of
from benchmarks.steps import step_times, trainer_of
from benchmarks.tables import add_page, milliseconds, publish, table, where
from graphspec.api.model import compile as compile_spec
from graphspec.base.arrays.blas import one_thread
from graphspec.base.arrays.calls import settings

ROUNDS = 7
SHARDS = (2, 4, 8)


def seconds(name: str, workers: int, shards: int | None, lasting: float) -> float:
    """The quickest step after two."""
    model = compile_spec(spec(name), [] if shards is None else [f"training.shards={shards}"])
    trainer = trainer_of(model, rows_of(name, model.spec.training.batch_size))
    if workers > 1 or shards is not None:
        trainer.steps.join(workers)
    try:
        with settings(), one_thread():
            return min(step_times(trainer, lasting, 7)[2:])
    finally:
        trainer.steps.leave()


def main() -> None:
    parser = ArgumentParser(prog="python -m benchmarks.shards", description=__doc__)
    parser.add_argument(
        "workloads", nargs="*", metavar="W", help=f"of {', '.join(ROWS)}; W1, W2, W5, W7 and W9 by default"
    )
    parser.add_argument("--seconds", type=float, default=0.5, help="of each network, number of shards and round (0.5)")
    add_page(parser)
    options = parser.parse_args()
    lines = []
    for name in options.workloads or ("W1", "W2", "W5", "W7", "W9"):
        for workers in (1, 2):
            rounds = [[seconds(name, workers, k, options.seconds) for k in (None, *SHARDS)] for _ in range(ROUNDS)]
            plain = median(first for first, *_ in rounds)
            ratios = [median(times[k] / times[0] for times in rounds) for k in range(1, len(SHARDS) + 1)]
            lines.append([name, str(workers), milliseconds(plain), *(f"{ratio:.2f}" for ratio in ratios)])
    head = ["", "workers", "ms without", *(f"shards: {k}" for k in SHARDS)]
    publish("shards", f"{where()}\n\n{table(head, lines)}", options.markdown)


if __name__ == "__main__":
    main()
