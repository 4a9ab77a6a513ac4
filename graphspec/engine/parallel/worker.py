"""A worker process: ``python -m graphspec.engine.parallel.worker``, started by :mod:`graphspec.engine.parallel.processes`.

It reads one line of JSON, compiles the spec, computes its shards of every step that rank 0 launches, and ends with its
parent.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import asdict, replace
from typing import Any, NoReturn

from graphspec.engine.parallel.launch import ignore

DIAGNOSTICS = "graphspec: diagnostics"  # their key in the last line of output of a worker that they ended


def serve(message: dict[str, Any]) -> NoReturn:
    """Compute this worker's shards of each step until the process is ended."""
    from graphspec.base.arrays.memory import open_map
    from graphspec.engine.parallel.agreement import compare, installation, program
    from graphspec.engine.parallel.machine import Member, Pipes, Place, Signals, Spin, attach
    from graphspec.engine.parallel.shards import Follower, step_of
    from graphspec.engine.parallel.validation import PREFIX, VALIDATE, Validator
    from graphspec.graph.optimizers import Rate

    place = replace(Place(**message["place"]), worker=message["rank"])
    rank, arrays = place.worker, attach(message["memory"])
    maps = {name: open_map(where) for name, where in message["maps"].items()}
    rows = {name[5:]: array for name, array in arrays.items() if name.startswith("rows/")}
    rows |= {name: array for name, array in maps.items() if not name.startswith(PREFIX)}
    step = step_of(message, rows)
    vectors, clock = step.parameters.vectors, step.clock
    vectors |= {group: arrays[f"weights/{group}"] for group in vectors}
    compare(message["facts"], {**installation(), **program(step)}, f"rank {place.rank}", f"worker {rank}")
    signals: Signals
    if message["pipes"]:
        read, write = message["pipes"]
        signals = Pipes([read], [write], rank, _end)
    else:
        signals = Spin(arrays["signals"], rank, place.workers, lambda: None)
    partition = step.divide(step.optimizer, place.total, shard_kernels=place.ranks == 1)
    member, rate = Member(step, arrays, signals, place, partition), Rate(step.optimizer.learning_rate)
    follower, order = Follower(step, member.bind, member.update(rate)), member.order
    validator = Validator(step, place, arrays | maps, message["validation"])
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
    threading.Thread(target=_end_with_parent, daemon=True).start()

    from graphspec.base.arrays.calls import settings
    from graphspec.base.errors import RunError, SpecError

    try:
        with settings():
            serve(message)
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
