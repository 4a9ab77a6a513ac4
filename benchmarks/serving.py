"""Predictions a second when several threads ask one model at once, as in a web service; every answer is checked.

BLAS has one thread: two threads of its own would take both cores for each prediction.
"""

from __future__ import annotations

import threading
import time
from argparse import ArgumentParser
from itertools import product

import numpy as np

import graphspec as gs
from benchmarks.networks import ROWS, spec
from benchmarks.prepare import rows_of
from benchmarks.tables import add_page, publish, table, where
from graphspec.base.arrays.blas import one_thread

SIZES = ((1, 2, 5, 16, 32), (16, 32, 64, 128, 256))
"""Rows of a prediction, in turn: few, where Python takes half of the time, and many, where matrix products take it."""
WANTED = 1.5


def serve(name: str, sizes: tuple[int, ...], threads: int, calls: int) -> tuple[float, int]:
    """Predictions a second of so many threads, ``calls`` in all, and how many were wrong."""
    model = gs.compile(spec(name))
    rows, _ = rows_of(name, max(sizes))
    asked = [rows[:size] for size in sizes]
    answers = [model.predict(x) for x in asked]
    wrong: list[int] = []

    def work(first: int) -> None:
        for k in range(first, calls, threads):
            if not np.array_equal(model.predict(asked[k % len(asked)]), answers[k % len(asked)]):
                wrong.append(k)

    started = [threading.Thread(target=work, args=(k,)) for k in range(threads)]
    begin = time.perf_counter()
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return calls / (time.perf_counter() - begin), len(wrong)


def main() -> None:
    parser = ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="W", help=f"of {', '.join(ROWS)}; W2 W5 by default")
    parser.add_argument("--calls", type=int, default=10_000, help="predictions of each number of threads (10,000)")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many is shown (3)")
    add_page(parser)
    options = parser.parse_args()
    lines = []
    with one_thread():
        for name, sizes in product(options.workloads or ("W2", "W5"), SIZES):
            rates: dict[int, float] = {}
            wrong = 0
            for _ in range(options.rounds):
                for threads in (1, 2, 8):
                    rate, bad = serve(name, sizes, threads, options.calls // options.rounds)
                    rates[threads], wrong = max(rate, rates.get(threads, 0.0)), wrong + bad
            gains = [f"{rates[n]:,.0f} ({rates[n] / rates[1]:.2f})" for n in (2, 8)]
            lines.append([name, f"{sizes[0]} to {sizes[-1]}", f"{rates[1]:,.0f}", *gains, str(wrong)])
    text = table(["", "rows", "1 thread", "2 threads", "8 threads", "wrong"], lines)
    publish(
        "serving",
        f"{where()}\n\n{text}\n\nAt least {WANTED} times with two threads is wanted where matrix products take the time.",
        options.markdown,
    )


if __name__ == "__main__":
    main()
