"""How much memory one and two processes of a training hold: their proportional set sizes (Linux), shared pages once.

In the middle of training, with all that is imported, and the rows.
"""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.networks import ROWS, spec
from benchmarks.tables import add_page, publish, table, where
from graphspec.vocabulary.callbacks.callback import Callback, CallbackState

if TYPE_CHECKING:
    from graphspec.vocabulary.callbacks.callback import Run

STEPS = 6
MOST = 1.3


def held() -> int:
    """Bytes that this process and its children hold."""
    children = [pid for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()]
    files = [Path(f"/proc/{pid}/smaps_rollup") for pid in ("self", *children)]
    lines = [line for file in files for line in file.read_text().splitlines()]
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


class Print(Callback):
    """Prints what is held after some steps, and ends the training."""

    def start(self, run: Run) -> CallbackState:
        return Printing(run)


class Printing(CallbackState):
    def __init__(self, run: Run) -> None:
        self._run, self._steps = run, 0

    def on_batch_end(self, step: int, loss: float) -> None:
        self._steps += 1
        if self._steps == STEPS:
            print(held(), flush=True)
            self._run.stop("enough")


def train(name: str, workers: str) -> None:
    import graphspec as gs
    from benchmarks.prepare import rows_of

    model = gs.compile(spec(name), [f"training.workers={workers}"])
    x, y = rows_of(name, model.spec.training.batch_size)
    model.fit(x, y, epochs=2, shuffle=False, verbose=0, callbacks=[Print()])


def main() -> None:
    parser = ArgumentParser(prog="python -m benchmarks.held", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="W", help=f"of {', '.join(ROWS)}; all by default")
    parser.add_argument("--workers", metavar="N", help="train here in so many processes, and print the bytes")
    add_page(parser)
    options = parser.parse_args()
    lines = []
    for name in options.workloads or ROWS:
        if options.workers:
            train(name, options.workers)
            continue
        command = [sys.executable, "-m", "benchmarks.held", name, "--workers"]
        one, two = (int(subprocess.check_output([*command, n])) for n in "12")
        shown = f"{two / one:.2f}"
        lines.append([name, f"{one / 1e6:.0f}", f"{two / 1e6:.0f}", f"**{shown}**" if two > MOST * one else shown])
        print(*lines[-1], file=sys.stderr, flush=True)  # a long table may be interrupted
    if lines:
        text = table(["", "one process, MB", "two, MB", "ratio"], lines)
        publish("held", f"{where()}\n\n{text}", options.markdown)


if __name__ == "__main__":
    main()
