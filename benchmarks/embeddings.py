"""What gradients that are kept by rows save in a step of a recommender with two embeddings, 9.6 million weights.

The step with whole gradients, with rows, and with sparse embeddings take turns. Rows are drawn evenly; with few batches in
an epoch few of them are ever looked up.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

import numpy as np

import graphspec as gs
from benchmarks.steps import next_batch, trainer_of
from benchmarks.tables import add_page, milliseconds, publish, table, where
from graphspec.base.arrays.calls import settings
from graphspec.engine.runtime import buffers as lookups
from graphspec.engine.training.trainer import Trainer

USERS, ITEMS, WIDTH, BATCH = 100_000, 50_000, 64, 1024
BATCHES = (8, 32, 256)
OPTIMIZERS = ("SGD", "Adagrad", "RMSprop", "Adam")


def spec(optimizer: str, *, sparse: bool) -> dict[str, Any]:
    embed = {"type": "Embedding", "output_dim": WIDTH, "sparse": sparse}
    return {
        "graphspec": 1,
        "name": "recommender",
        "inputs": {name: {"shape": [], "dtype": "int64"} for name in ("user", "item")},
        "layers": [
            {"name": "who", **embed, "input_dim": USERS, "inputs": "user"},
            {"name": "what", **embed, "input_dim": ITEMS, "inputs": "item"},
            {"type": "Concatenate", "inputs": ["who", "what"]},
            {"type": "Dense", "units": 64, "activation": "relu"},
            {"name": "rating", "type": "Dense", "units": 1},
        ],
        "outputs": {"rating": {"loss": "mean_squared_error"}},
        "training": {"optimizer": optimizer, "batch_size": BATCH, "epochs": 1, "seed": 0},
    }


def trainer(optimizer: str, batches: int, *, rows: bool, sparse: bool = False) -> Trainer:
    """A trainer in which every row of the epoch has been looked up once."""
    random, count = np.random.default_rng(0), batches * BATCH
    ids: Any = {"user": random.integers(0, USERS, count), "item": random.integers(0, ITEMS, count)}
    before, lookups.use_fast_kernel = lookups.use_fast_kernel, lambda pays: rows
    try:
        made = trainer_of(gs.compile(spec(optimizer, sparse=sparse)), (ids, random.random((count, 1), np.float32)))
        for _ in range(batches):
            next_batch(made)
            made.step()
    finally:
        lookups.use_fast_kernel = before
    return made


def quickest(trainers: list[Trainer], rounds: int) -> list[float]:
    """The quickest step of each, in seconds of processor time: what else the machine does must not count."""
    best = [float("inf")] * len(trainers)
    for _ in range(rounds):
        for k, each in enumerate(trainers):
            for _ in range(3):
                next_batch(each)
                start = time.process_time()
                each.step()
                best[k] = min(best[k], time.process_time() - start)
    return best


def main() -> None:
    parser = ArgumentParser(prog="python -m benchmarks.embeddings", description=__doc__)
    parser.add_argument(
        "optimizers", nargs="*", metavar="OPTIMIZER", help=f"of {', '.join(OPTIMIZERS)}; all by default"
    )
    parser.add_argument("--rounds", type=int, default=20, help="of three steps of each")
    add_page(parser)
    options = parser.parse_args()
    lines = []
    for optimizer in options.optimizers or OPTIMIZERS:
        for batches in BATCHES:
            kinds = [{"rows": False}, {"rows": True}, {"rows": True, "sparse": True}]
            whole, rows, sparse = quickest([trainer(optimizer, batches, **kind) for kind in kinds], options.rounds)
            lines.append([optimizer, str(batches), milliseconds(whole), f"{rows / whole:.2f}", f"{sparse / whole:.2f}"])
    head = ["", "batches", "ms, whole gradients", "rows: ratio", "sparse: ratio"]
    publish("embeddings", f"{where()}\n\n{table(head, lines)}", options.markdown)


if __name__ == "__main__":
    with settings():
        main()
