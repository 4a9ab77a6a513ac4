"""One model used by many: threads with batches of many sizes, trainings beside them, copies, pickles."""

from __future__ import annotations

import copy
import pickle
import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

import graphspec as gs

KINDS: dict[str, dict[str, Any]] = {
    "dense": {
        "inputs": {"x": {"shape": [6]}},
        "layers": [
            {"name": "h", "type": "Dense", "units": 16, "activation": "relu"},
            {"name": "n", "type": "BatchNormalization"},
            {"name": "y", "type": "Dense", "units": 1},
        ],
    },
    "convolution": {
        "inputs": {"x": {"shape": [9, 9, 2]}},
        "layers": [
            {"name": "c", "type": "Conv2D", "filters": 8, "kernel_size": 3, "activation": "relu"},
            {"name": "p", "type": "MaxPooling2D"},
            {"name": "f", "type": "Flatten"},
            {"name": "y", "type": "Dense", "units": 1},
        ],
    },
    "sequence": {
        "inputs": {"x": {"shape": [None, 3]}},
        "layers": [{"name": "r", "type": "LSTM", "units": 8}, {"name": "y", "type": "Dense", "units": 1}],
    },
}


def spec(kind: str, **training: Any) -> dict[str, Any]:
    """A small regression; deep copies, so that nothing is shared."""
    document = {"graphspec": 1, "name": kind, **copy.deepcopy(KINDS[kind])}
    document["outputs"] = {"y": {"loss": "mean_squared_error", "metrics": ["mae"]}}
    return {**document, "training": {"optimizer": "adam", "batch_size": 8, "seed": 3, **training}}


def rows(kind: str, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets; a sequence's length depends on the seed."""
    numbers = np.random.default_rng(seed)
    shape = [int(numbers.integers(3, 9)) if n is None else n for n in KINDS[kind]["inputs"]["x"]["shape"]]
    x = numbers.normal(size=(count, *shape)).astype(np.float32)
    return x, x.reshape(count, -1).mean(1, keepdims=True)


def in_threads(count: int, work: Callable[[int], list[str]]) -> list[str]:
    """What each of so many threads found, and what they raised."""
    found: list[str] = []

    def run(k: int) -> None:
        try:
            found.extend(work(k))
        except BaseException as error:
            found.append(f"thread {k}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=run, args=(k,)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def serve(model: gs.Model, kind: str, threads: int, calls: int, seed: int) -> list[str]:
    """Threads that predict and evaluate at once; every answer is compared with that of one thread alone."""
    sizes = (1, 2, 3, 5, 8, 13)
    asked = [rows(kind, size, seed + k) for k, size in enumerate(sizes * 2)]
    answers = [model.predict(x) for x, _ in asked]
    figures = [model.evaluate(x, y) for x, y in asked]

    def work(k: int) -> list[str]:
        order, wrong = random.Random(seed + k), []
        for _ in range(calls):
            n = order.randrange(len(asked))
            if order.random() < 0.1:
                if model.evaluate(*asked[n]) != figures[n]:
                    wrong.append(f"{kind}: evaluate of {sizes[n % len(sizes)]} rows differs in thread {k}")
            elif not np.array_equal(model.predict(asked[n][0]), answers[n]):
                wrong.append(f"{kind}: predict of {sizes[n % len(sizes)]} rows differs in thread {k}")
        return wrong

    return in_threads(threads, work)


def train_beside(model: gs.Model, kind: str, seed: int) -> list[str]:
    """A training with threads that predict and train beside it: each is right or refused, and the result the same."""
    alone = copy.deepcopy(model)
    x, y = rows(kind, 40, seed)
    alone.fit(x, y, epochs=3, verbose=0)
    before, after = model.predict(x), alone.predict(x)
    done = threading.Event()

    def work(k: int) -> list[str]:
        if k == 0:
            try:
                model.fit(x, y, epochs=3, verbose=0)
            finally:
                done.set()
            return []
        wrong = []
        while not done.is_set():
            try:
                if k == 1:
                    model.set_weights({})
                answer = model.predict(x)
            except gs.UsageError:
                continue
            if not (np.array_equal(answer, before) or np.array_equal(answer, after)):
                wrong.append(f"{kind}: predict beside a training gave numbers of a weight in between")
        return wrong

    found = in_threads(3, work)
    if any(not np.array_equal(w, model.weights[n]) for n, w in alone.weights.items()):
        found.append(f"{kind}: a training with threads beside it ended with other weights")
    return found


def copies(model: gs.Model, kind: str, seed: int) -> list[str]:
    """Copies answer as the model does, go on as it would, and change nothing of it."""
    x, y = rows(kind, 24, seed)
    model.fit(x, y, verbose=0)
    weights, answer, found = model.weights, model.predict(x), []
    made = {
        "copy": copy.copy(model),
        "deepcopy": copy.deepcopy(model),
        "pickle": pickle.loads(pickle.dumps(model)),
    }
    for name, twin in made.items():
        if not np.array_equal(twin.predict(x), answer):
            found.append(f"{kind}: a {name} answers differently")
        twin.fit(x, y, epochs=2, verbose=0)
    if any(not np.array_equal(w, model.weights[n]) for n, w in weights.items()):
        found.append(f"{kind}: the training of a copy changed the model")
    model.fit(x, y, epochs=2, verbose=0)
    for name, twin in made.items():
        if any(not np.array_equal(w, twin.weights[n]) for n, w in model.weights.items()):
            found.append(f"{kind}: a {name} goes on to other weights")
    return found


def attack(random: random.Random) -> list[str]:
    """One model, shared in one of the ways."""
    kind, seed = random.choice(sorted(KINDS)), random.randrange(1 << 20)
    optimizer = random.choice(["adam", "rmsprop", {"type": "SGD", "momentum": 0.9}, {"type": "Adam", "use_ema": True}])
    model = gs.compile(spec(kind, optimizer=optimizer))
    way = random.choice(["serve", "train", "copy"])
    if way == "serve":
        return serve(model, kind, threads=random.randint(2, 8), calls=40, seed=seed)
    return (train_beside if way == "train" else copies)(model, kind, seed)
