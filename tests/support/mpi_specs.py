"""One rank of a job that trains some steps of specs: ``mpiexec -n 4 python mpi_specs.py RESULT STEPS SHARDS SPEC …``.

Writes the losses and metrics after each step, and a hash of the weights at the end, to the JSON file ``RESULT``.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import graphspec as gs
from graphspec.data.signature import load_all
from graphspec.engine.training.prepare import FitData, prepare_fit
from graphspec.engine.training.reporting import Silent

Trained = tuple[list[dict[str, float]], str]


def train(path: str, steps: int, shards: int | None, workers: int = 1, ranks: Any = None) -> Trained:
    """The losses and metrics after each step by local workers, or by ranks, and a hash of the weights.

    A spec without data gets made-up ids and targets.
    """
    sets = ["training.workers=1", "training.batch_size=16"]
    model, data = gs.compile(path, sets if shards is None else [*sets, f"training.shards={shards}"]), FitData()
    if "train" in model.spec.data:
        model.parts, found = load_all(model.spec, model.full)
        assert not [d for d in found if d.is_error], found
    else:
        random = np.random.default_rng(0)
        x = {name: random.integers(1, 9, (64, 6)) for name in model.spec.inputs}
        data = FitData(x, {name: random.integers(0, 2, (64, 1)).astype(np.float32) for name in model.spec.heads})
    trainer = prepare_fit(model, data, observer=Silent())
    if ranks is not None:
        trainer.steps.join_ranks(ranks)
    elif workers > 1 or shards is not None:
        trainer.steps.join(workers)
    trainer.loader.start(0)
    found_logs = []
    try:
        for _ in range(min(steps, trainer.loader.batches)):
            trainer.step()
            found_logs.append(trainer.running.logs())
    finally:
        trainer.steps.leave()
    digest = hashlib.sha256()
    for weight in model.weights.values():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return found_logs, digest.hexdigest()


def main(result: str, steps: str, shards: str, *paths: str) -> None:
    from graphspec.engine.parallel.ranks import connect, serve

    ranks = connect(None)
    if ranks.rank:
        serve(ranks)
        return
    found = {Path(path).stem: train(path, int(steps), int(shards), ranks=ranks) for path in paths}
    ranks.end()
    Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
