"""The networks that are timed: specs in ``specs/``, with made-up rows of their shapes.

W1 to W9 are what graphspec's kernels were made for; the others, of kinds that people train, have a small form too: the same
spec with other ``vars`` and a smaller batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Inputs = dict[str, Array]
Rows = tuple[Array | Inputs, Array]

SPECS = Path(__file__).parent / "specs"


def ids(rows: int, time: int, count: int = 10000, seed: int = 0) -> Array:
    """Ids from a log-uniform distribution over ``count``."""
    return np.exp(np.random.default_rng(seed).random((rows, time)) * np.log(count)).astype(np.int64)


def normal(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def classes(rows: int, count: int = 10) -> Array:
    return np.random.default_rng(1).integers(0, count, rows)


def multi_hot(rows: int) -> Array:
    hot = np.zeros((rows, 10000), bool)
    hot[np.arange(rows)[:, None], ids(rows, 230)] = True
    return hot


ROWS: dict[str, Callable[[int], Rows]] = {
    "W1": lambda n: (normal(n, 784), classes(n)),
    "W2": lambda n: (normal(n, 784), classes(n)),
    "W3": lambda n: (multi_hot(n), classes(n, 2)),
    "W3ids": lambda n: (ids(n, 230), classes(n, 2)),
    "W4": lambda n: (normal(n, 13), np.random.default_rng(1).standard_normal((n, 1), dtype=np.float32)),
    "W5": lambda n: (normal(n, 28, 28, 1), classes(n)),
    "W6": lambda n: (ids(n, 200), classes(n, 2)),
    "W7": lambda n: (normal(n, 50, 64), classes(n)),
    "W8": lambda n: (normal(n, 32, 32, 3), classes(n)),
    "W9": lambda n: (normal(n, 32, 32, 3), classes(n)),
}


def noisy(rows: int) -> Rows:
    """Small grey images of soft spots with noise, and without it: from 0 to 1."""
    grid = np.linspace(-1, 1, 28, dtype=np.float32)
    at = np.random.default_rng(2).uniform(-0.5, 0.5, (2, rows, 1)).astype(np.float32)
    clean = np.exp(-8 * ((grid - at[0]) ** 2)[:, :, None] - 8 * ((grid - at[1]) ** 2)[:, None])[..., None]
    return np.clip(clean + 0.3 * normal(rows, 28, 28, 1), 0, 1), clean


def masked(rows: int, size: int) -> Rows:
    """Colour images, and a mask of their pixels."""
    x = normal(rows, size, size, 3)
    return x, (x.sum(-1, keepdims=True) > 0).astype(np.float32)


def spoken(rows: int, time: int, features: int) -> Rows:
    """Frames, and 6 to 12 labels of 28, padded with 0."""
    random = np.random.default_rng(1)
    labels = random.integers(1, 29, (rows, 12))
    labels[np.arange(12) >= random.integers(6, 13, (rows, 1))] = 0
    return normal(rows, time, features), labels


def wanted(rows: int, people: int, things: int) -> Rows:
    x = {"person": ids(rows, 1, people)[:, 0], "thing": ids(rows, 1, things, 2)[:, 0]}
    return x, classes(rows, 2)


def sound(rows: int, time: int) -> Rows:
    """The levels of 256 of a sound, and the next one of each."""
    t = np.arange(time + 1) / time
    pitch = np.random.default_rng(0).uniform(5, 50, (rows, 1))
    levels = ((np.sin(2 * np.pi * pitch * t) + 1) * 127.5).astype(np.int64)
    return levels[:, :-1], levels[:, 1:]


def following(rows: int, time: int, count: int) -> Rows:
    """Ids, and the one after each."""
    text = ids(rows, time + 1, count)
    return text[:, :-1], text[:, 1:]


def translated(rows: int, time: int, count: int) -> Rows:
    x, y = following(rows, time, count)
    return {"source": ids(rows, time, count, 1), "x": x}, y


def tagged(rows: int, time: int) -> Rows:
    """Ids of 5,000 words, and a tag from 1 to 16 of each; at least 10, padded with 0."""
    random = np.random.default_rng(1)
    there = np.arange(time) < random.integers(10, time + 1, (rows, 1))
    return ids(rows, time, 5000) * there, random.integers(1, 17, (rows, time)) * there


ROWS |= {
    "transformer": lambda n: (ids(n, 64), classes(n)),
    "mobilenet": lambda n: (normal(n, 32, 32, 3), classes(n)),
    "gru": lambda n: (normal(n, 50, 64), classes(n)),
    "textcnn": lambda n: (ids(n, 200), classes(n, 2)),
    "autoencoder": noisy,
    "unet": lambda n: masked(n, 64),
    "tabular": lambda n: (normal(n, 50), classes(n, 2)),
    "resnet20": lambda n: (normal(n, 32, 32, 3), classes(n)),
    "speech": lambda n: spoken(n, 64, 32),
    "recommender": lambda n: wanted(n, 150_000, 150_000),
    "mixer": lambda n: (normal(n, 32, 32, 3), classes(n)),
    "squeeze": lambda n: (normal(n, 32, 32, 3), classes(n)),
    "wavenet": lambda n: sound(n, 512),
    "chargpt": lambda n: following(n, 128, 96),
    "densenet": lambda n: (normal(n, 32, 32, 3), classes(n)),
    "convnext": lambda n: (normal(n, 32, 32, 3), classes(n)),
    "ecg": lambda n: (normal(n, 1024, 12), classes(n, 5)),
    "video": lambda n: (normal(n, 32, 32, 32, 1), classes(n)),
    "convlstm": lambda n: (normal(n, 8, 32, 32, 1), normal(n, 32, 32, 1)),
    "dcgan": lambda n: (normal(n, 100), np.tanh(normal(n, 32, 32, 3))),
    "seq2seq": lambda n: translated(n, 48, 2000),
    "experts": lambda n: (normal(n, 40), classes(n, 2)),
    "deep": lambda n: (normal(n, 32), classes(n, 2)),
    "tagger": lambda n: tagged(n, 50),
    "siamese": lambda n: ({"left": normal(n, 28, 28, 1), "right": normal(n, 28, 28, 1)[:, ::-1]}, classes(n, 2)),
    "vgg": lambda n: (normal(n, 64, 64, 3), classes(n)),
    "wide": lambda n: (normal(n, 784), classes(n)),
}


@dataclass(frozen=True)
class Small:
    """A small form of a network."""

    of: str
    batch: int
    vars: dict[str, int] = field(default_factory=dict)


SMALL = {
    "transformer-small": Small("transformer", 16, {"blocks": 2, "dim": 64, "heads": 2, "hidden": 128}),
    "gru-small": Small("gru", 16, {"units": 32}),
    "textcnn-small": Small("textcnn", 16, {"dim": 32, "filters": 32}),
    "tabular-small": Small("tabular", 32, {"units": 64}),
    "resnet20-small": Small("resnet20", 16, {"thin": 8, "f2": 16, "f3": 32}),
    "recommender-small": Small("recommender", 64, {"people": 5000, "things": 1000, "dim": 16, "hidden": 32}),
    "mixer-small": Small("mixer", 8, {"blocks": 2, "dim": 32, "tokens": 32, "channels": 128}),
}
ROWS |= {name: ROWS[small.of] for name, small in SMALL.items()}
ROWS["recommender-small"] = lambda n: wanted(n, 5000, 1000)
OLD = [name for name in ROWS if name.startswith("W")]
"""Those of the first table."""


def spec(name: str) -> Path | dict[str, Any]:
    """A spec's file, or the spec with what is small instead."""
    small = SMALL.get(name)
    path = SPECS / f"{(small.of if small else name).lower()}.yaml"
    if small is None:
        return path
    from ruamel.yaml import YAML

    plain: dict[str, Any] = YAML(typ="safe").load(path)
    plain["name"] = name
    plain["vars"] |= small.vars
    plain["training"]["batch_size"] = small.batch
    return plain


def first(x: Array | Inputs, rows: int) -> Array | Inputs:
    """The first rows."""
    return {name: a[:rows] for name, a in x.items()} if isinstance(x, dict) else x[:rows]
