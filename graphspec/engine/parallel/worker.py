"""A worker process, started by :mod:`graphspec.engine.parallel.processes`.

It computes its shards of every step that rank 0 launches, and ends with its parent. Where rank 0 can be forked, it inherits
network and rows; else it is ``python -m graphspec.engine.parallel.worker``, reads one line of JSON and compiles the spec.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, NoReturn

from graphspec.data.batches import Dataset
from graphspec.engine.parallel.launch import ignore
from graphspec.engine.parallel.machine import Place, Signals
from graphspec.engine.parallel.shards import Step
from graphspec.engine.parallel.validation import Validator
from graphspec.graph.ir.graph import Array

DIAGNOSTICS = "graphspec: diagnostics"  # their key in the last line of output of a worker that they ended


def serve(message: dict[str, Any]) -> NoReturn:
    """Build this worker's network and rows from rank 0's message, and :func:`follow`."""
    from graphspec.base.arrays.memory import open_map
    from graphspec.engine.parallel.agreement import compare, installation, program
    from graphspec.engine.parallel.machine import Pipes, Place, Spin, attach
    from graphspec.engine.parallel.shards import step_of
    from graphspec.engine.parallel.validation import PREFIX, Validator

    place = replace(Place(**message["place"]), worker=message["rank"])
    rank, arrays = place.worker, attach(message["memory"])
    maps = {name: open_map(where) for name, where in message["maps"].items()}
    rows = {name[5:]: array for name, array in arrays.items() if name.startswith("rows/")}
    rows |= {name: array for name, array in maps.items() if not name.startswith(PREFIX)}
    step = step_of(message, rows)
    vectors = step.parameters.vectors
    vectors |= {group: arrays[f"weights/{group}"] for group in vectors}
    compare(message["facts"], {**installation(), **program(step)}, f"rank {place.rank}", f"worker {rank}")
    signals: Signals
    if message["pipes"]:
        read, write = message["pipes"]
        signals = Pipes([read], [write], rank, _end)
    else:
        signals = Spin(arrays["signals"], rank, place.workers, lambda: None)
    follow(step, arrays, place, signals, Validator(step, place, arrays | maps, message["validation"]))


def inherit(
    lighten: Callable[[], None], step: Step, arrays: Mapping[str, Array], rows: Dataset | None, place: Place
) -> NoReturn:
    """Follow with what was rank 0's before it was forked. ``rows``: those of validation; ``lighten`` frees the rest."""
    from graphspec.engine.parallel.machine import Spin
    from graphspec.engine.parallel.validation import Validator

    lighten()
    step.parameters.vectors = {name: arrays[f"weights/{name}"] for name in step.parameters.vectors}
    signals = Spin(arrays["signals"], place.worker, place.workers, lambda: None)
    follow(step, arrays, place, signals, Validator(step, place, arrays, [], rows))


def follow(step: Step, arrays: Mapping[str, Array], place: Place, signals: Signals, validator: Validator) -> NoReturn:
    """Compute this worker's shards of each step until the process is ended."""
    from graphspec.engine.parallel.machine import Member
    from graphspec.engine.parallel.shards import Follower
    from graphspec.engine.parallel.validation import VALIDATE
    from graphspec.graph.optimizers import Rate

    partition, clock = step.divide(step.optimizer, place.total, shard_kernels=place.ranks == 1), step.clock
    member, rate = Member(step, arrays, signals, place, partition), Rate(step.optimizer.learning_rate)
    follower, order = Follower(step, member.bind, member.update(rate)), member.order
    signals.notify()  # rank 0 waits for it before the first step
    while True:
        signals.wait()
        clock.step, rate.value = order[2], member.rate[0]
        if order[0] == VALIDATE:
            validator.run()
        else:
            follower.step(order[0], order[1])
        signals.notify()


def _end() -> NoReturn:
    os._exit(0)


def _end_with_parent() -> None:
    """End this process when its parent ends: that closes standard input, whose other end the parent owns."""
    os.read(0, 1)
    _end()


def main() -> None:
    """Read the leader's message from standard input, and serve it."""
    ignore()
    message = json.loads(sys.stdin.buffer.readline())
    _work(lambda: serve(message))


def forked(stdin: int, output: int, work: Callable[[], NoReturn]) -> NoReturn:
    """Make a forked process a worker of its own, with these standard streams."""
    import gc

    try:
        os.setpgid(0, 0)  # only rank 0 gets Ctrl-C
        ignore()
        for source, fd in ((stdin, 0), (output, 1), (output, 2)):
            os.dup2(source, fd)
        sys.stdout = sys.stderr = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (for the whole process)
        gc.freeze()  # the collector would write to what is inherited, and pages that are written to are copied
        _work(work)
    except SystemExit as error:
        os._exit(error.code if isinstance(error.code, int) else 1)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(1)


def _work(work: Callable[[], NoReturn]) -> NoReturn:
    threading.Thread(target=_end_with_parent, daemon=True).start()

    from graphspec.base.arrays.calls import settings
    from graphspec.base.errors import RunError, SpecError

    try:
        with settings():
            work()
    except SpecError as error:
        if not all(d.code.startswith("GS5") for d in error.diagnostics):
            raise
        # An error in the data, such as an id out of range: rank 0 reports it.
        print(json.dumps({DIAGNOSTICS: [asdict(d) for d in error.diagnostics]}), flush=True)
        sys.exit(error.status)
    except RunError as error:
        print(json.dumps({DIAGNOSTICS: {"code": error.code, "message": error.message, "hint": error.hint}}), flush=True)
        sys.exit(error.status)


if __name__ == "__main__":
    main()
