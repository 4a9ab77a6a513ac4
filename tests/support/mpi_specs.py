"""One rank of a job that trains some steps of specs: ``mpiexec -n 4 python mpi_specs.py RESULT STEPS SPEC …``.

Writes the losses and metrics after each step to the JSON file ``RESULT``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import graphspec as gs
from graphspec.data.signature import load_all
from graphspec.training.observers import Silent
from graphspec.training.prepare import FitData, prepare_fit


def logs(path: str, steps: int, ranks: Any = None) -> list[dict[str, float]]:
    """The losses and metrics after each step in this process, or by ranks; without data, of made-up ids and targets."""
    model, data = gs.compile(path, ["training.workers=1", "training.batch_size=16"]), FitData()
    if "train" in model.spec.data:
        model.parts, found = load_all(model.spec, model.graph)
        assert not [d for d in found if d.is_error], found
    else:
        random = np.random.default_rng(0)
        x = {name: random.integers(1, 9, (64, 6)) for name in model.spec.inputs}
        data = FitData(x, {name: random.integers(0, 2, (64, 1)).astype(np.float32) for name in model.spec.heads})
    trainer = prepare_fit(model, data, observer=Silent())
    if ranks is not None:
        trainer.steps.join_ranks(ranks)
    trainer.loader.start(0)
    found_logs = []
    try:
        for _ in range(min(steps, trainer.loader.batches)):
            trainer.step()
            found_logs.append(trainer.running.logs())
    finally:
        trainer.steps.leave()
    return found_logs


def main(result: str, steps: str, *paths: str) -> None:
    from graphspec.parallel.mpi import connect
    from graphspec.parallel.rank_worker import serve

    ranks = connect(None)
    if ranks.rank:
        serve(ranks)
        return
    found = {Path(path).stem: logs(path, int(steps), ranks) for path in paths}
    ranks.end()
    Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
