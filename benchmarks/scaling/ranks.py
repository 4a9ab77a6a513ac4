"""Training steps over a network: ranks in network namespaces.

    python -m benchmarks.scaling.ranks --delay 1 --rate 1000

It needs Linux, `ip`, root and Open MPI. Every rank runs in a namespace of its own, as on a machine of its own, and they
reach each other by TCP through a wire (:mod:`benchmarks.scaling.wire`). The time of computing is what the same number of
ranks takes for a step without the wire: on this machine they share its cores, which several machines do not. Both are
measured in turns, several times.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from argparse import ArgumentParser
from collections import defaultdict
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

import graphspec as gs
from benchmarks.scaling import wire
from benchmarks.steps import step_times, trainer_of
from benchmarks.tables import add_page, publish, table, where
from graphspec.api.model import Model
from graphspec.base.arrays.calls import settings
from graphspec.engine.parallel.ranks import Ranks, connect, serve

FEATURES_AND_UNITS = ((64, 133), (256, 375), (784, 1258))
"""Of Dense networks with about 10,000, 100,000 and 1,000,000 weights."""
BATCH, CLASSES = 32, 10
WARM_UP, TIMED = 5, 60
_SUMS = {"BatchNormalization": 3, "MaskedBatchNormalization": 4}
"""Sums over the rows of all ranks in a step, by operator."""
_AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def network(features: int, units: int, *, normalized: bool) -> Model:
    """Return a Dense network, perhaps with BatchNormalization."""
    norm = [{"name": "normal", "type": "BatchNormalization"}] if normalized else []
    hidden = {"name": "hidden", "type": "Dense", "units": units, "activation": "relu"}
    head = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
    return gs.compile(
        {
            "graphspec": 1,
            "name": "steps",
            "inputs": {"x": {"shape": [features]}},
            "layers": [hidden, *norm, {"name": "y", "type": "Dense", "units": CLASSES, "activation": "softmax"}],
            "outputs": {"y": head},
            "training": {"optimizer": "Adam", "batch_size": BATCH},
        }
    )


def sums_over_batch(model: Model) -> int:
    """Return how often the ranks add something over all rows of a batch in a step, besides losses and gradients."""
    return sum(_SUMS.get(node.op, 0) for node in model.graph.nodes)


def seconds(model: Model, features: int, ranks: Ranks) -> list[float]:
    """Return the seconds of steps of all ranks."""
    random = np.random.default_rng(0)
    rows = random.standard_normal((10 * BATCH, features), np.float32), random.integers(0, CLASSES, 10 * BATCH)
    trainer = trainer_of(model, rows)
    trainer.steps.join_ranks(ranks)
    try:
        with settings():
            return step_times(trainer, 0.0, WARM_UP + TIMED)[WARM_UP:]
    finally:
        trainer.steps.leave()


def as_rank(*, normalized: bool) -> None:
    """Train all networks as one rank; rank 0 prints a line of JSON for each."""
    ranks = connect(None)
    if ranks.rank:
        serve(ranks)
        return
    for features, units in FEATURES_AND_UNITS:
        model = network(features, units, normalized=normalized)
        times = seconds(model, features, ranks)
        weights = model.parameters.vectors["trainable"].size
        print(json.dumps({"weights": weights, "sums": sums_over_batch(model), "times": times}), flush=True)
    ranks.end()


def answers(command: list[str]) -> list[dict[str, Any]]:
    """Run a job, and return what its rank 0 prints; in a session of its own, which Linux gives its share of the cores."""
    limits = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    root = Path(__file__).parents[2]
    environment = os.environ | _AS_ROOT | limits | {"PYTHONPATH": str(root)}
    done = subprocess.run(
        command,
        env=environment,
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        timeout=600,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def measure(size: int, latency: float, bandwidth: float, rounds: int, program: list[str]) -> list[list[str]]:
    """Return a row of the table for each network of layers; seconds of a message, and bytes per second of a rank."""
    alone, by_wire, sums = defaultdict[int, list[float]](list), defaultdict[int, list[float]](list), dict[int, int]()
    mpiexec = shutil.which("mpiexec", path=Path(sys.executable).parent) or "mpiexec"
    with wire.wire(size, latency, bandwidth):
        for _ in range(rounds):
            for command, times in (
                ([mpiexec, "--oversubscribe", "-n", str(size), *program], alone),
                (wire.job(size, *program), by_wire),
            ):
                for answer in answers(command):
                    times[answer["weights"]] += answer["times"]
                    sums[answer["weights"]] = answer["sums"]
    rows = []
    for weights, found in by_wire.items():
        measured = min(alone[weights]), min(found), quantiles(found)[0], median(found)
        rows.append([str(size), f"{weights:,}", str(sums[weights]), *(f"{1e3 * value:.2f}" for value in measured)])
    return rows


def main() -> None:
    parser = ArgumentParser(prog="python -m benchmarks.scaling.ranks", description=__doc__)
    parser.add_argument("--delay", type=float, default=1.0, help="milliseconds of a message (1)")
    parser.add_argument("--rate", type=float, default=1000.0, help="Mbit/s that a rank sends (1000)")
    parser.add_argument("--ranks", type=int, nargs="*", default=[2, 4])
    parser.add_argument("--rounds", type=int, default=5, help="jobs without and with the wire, in turns (5)")
    parser.add_argument("--normalized", action="store_true", help="networks with BatchNormalization")
    parser.add_argument("--as-rank", action="store_true", help="train as one rank of a job")
    add_page(parser)
    options = parser.parse_args()
    if options.as_rank:
        as_rank(normalized=options.normalized)
        return
    if (reason := wire.why_not()) is not None:
        parser.error(reason)
    latency, bandwidth = options.delay / 1e3, options.rate * 1e6 / 8
    program = [sys.executable, "-m", "benchmarks.scaling.ranks", "--as-rank"]
    program += ["--normalized"] if options.normalized else []
    rows = [row for size in options.ranks for row in measure(size, latency, bandwidth, options.rounds, program)]
    head = ["ranks", "weights", "sums", "ms computing", "fastest", "lower quartile", "median"]
    text = table(head, rows)
    publish("steps by network", f"{where()}, {options.delay:g} ms, {options.rate:g} Mbit/s\n\n{text}", options.markdown)


if __name__ == "__main__":
    main()
