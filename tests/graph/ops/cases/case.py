"""An operator's entry: its random inputs, examples with a gradient, without rows, and large ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from zlib import crc32

import numpy as np
from graph.ops.cases.draw import Array, Draw, Seeded

TABLES = {
    "draw": "graph/ops/test_onnxruntime.py",
    "gradient": "graph/ops/test_gradients.py",
    "no_rows": "graph/ops/test_no_rows.py",
    "allocates": "graph/ops/test_allocation.py",
}
"""The fields of an entry, and the tests that run them."""
LARGE = 120_000
"""Elements of the largest input of an example that must not allocate: 480 kB."""
_random = np.random.default_rng(0)


def restart(family: str) -> None:
    """The numbers of a family depend on its name alone, so other entries do not change them."""
    global _random
    _random = np.random.default_rng(crc32(family.encode()))


def normal(*shape: int) -> Array:
    return _random.standard_normal(shape)


def positive(*shape: int) -> Array:
    return _random.uniform(0.4, 2.0, shape)


def distinct(*shape: int) -> Array:
    """Numbers from 0 to 1 that differ by more than a finite difference."""
    return _random.permutation(math.prod(shape)).reshape(shape) / math.prod(shape)


def ids(high: int, *shape: int) -> Array:
    return _random.integers(0, high, shape)


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


@dataclass
class Example:
    """Inputs, attributes, the inputs that are constants, and those that have a gradient: by default all other floats.

    Attributes:
        training: whether the network is being trained.
        outputs: how many outputs are compared with onnxruntime's.
        totals: how many rows the whole batch may have where these inputs have none.
        repeated: the inputs whose rows are repeated until the largest has ``LARGE`` elements, and on which axis.
    """

    inputs: Sequence[Array | None]
    attrs: dict[str, Any] = field(default_factory=dict)
    constants: set[int] = field(default_factory=set)
    wrt: list[int] = field(default_factory=list)
    training: bool = False
    outputs: int = 1
    totals: tuple[int, ...] = (0, 5)
    repeated: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        floats = [k for k, a in enumerate(self.inputs) if a is not None and a.dtype.kind == "f"]
        self.wrt = self.wrt or [k for k in floats if k not in self.constants]

    def arrays(self) -> list[Array | None]:
        """The inputs, rows repeated. They are made when they are used, since all of all operators take much memory."""
        found = list(self.inputs)
        count = -(-LARGE // max((a.size for a in found if a is not None), default=1))
        for k, axis in self.repeated.items():
            if (array := found[k]) is not None:
                found[k] = np.concatenate([array] * count, axis)
        return found


def with_ints(shape: tuple[int, ...], *vectors: Array | None, **attrs: Any) -> Example:
    """Floats, and constants that say what to do with them."""
    return Example([normal(*shape), *vectors], attrs, {k + 1 for k, v in enumerate(vectors) if v is not None})


Batched = Callable[[Example], dict[int, int]]
"""Says which inputs have the batch, and on which axis."""
Strategy = Callable[[Draw], Example]


def batch(*inputs: int, **axes: int) -> Batched:
    """These inputs have it on axis 0, others as in ``x0=1``: input 0 has it on axis 1."""
    return lambda example: dict.fromkeys(inputs, 0) | {int(name[1:]): axis for name, axis in axes.items()}


def broadcast(example: Example) -> dict[int, int]:
    """The first axis of the result, in all inputs that have it and are not repeated along it."""
    arrays = {k: a for k, a in enumerate(example.inputs) if a is not None and k not in example.constants}
    rank = max(a.ndim for a in arrays.values())
    rows = max((len(a) for a in arrays.values() if a.ndim == rank > 0), default=0)
    return {k: 0 for k, a in arrays.items() if a.ndim == rank > 0 and len(a) == rows}


@dataclass(frozen=True)
class Elsewhere:
    """What a table would show is tested in ``file``, which names the operator."""

    file: str


@dataclass
class OpCase:
    """What the tables of tests run of one operator: examples, or where else they are run, or the reason why not.

    Attributes:
        draw: random inputs and attributes, for operators that files hold: they are compared with onnxruntime.
        gradient: examples whose gradients are compared with finite differences.
        no_rows: examples whose batch is empty. Without a word: those of ``gradient``, or some of ``draw``, with 0 rows.
        allocates: examples whose batch is large. Without a word: the same with the rows repeated.
        batched: which inputs of these have the batch; by default the first.
    """

    draw: Strategy | Elsewhere | None
    gradient: list[Example] | Elsewhere | str
    no_rows: list[Example] | Elsewhere | str | None = None
    allocates: list[Example] | Elsewhere | str | None = None
    batched: Batched = field(default_factory=lambda: batch(0))

    def __post_init__(self) -> None:
        if self.no_rows is None:
            self.no_rows = without_rows(self.basis(), self.batched)
        if self.allocates is None:
            self.allocates = enlarged(self.basis(), self.batched)

    def basis(self) -> list[Example]:
        """The examples that others are made from."""
        if isinstance(self.gradient, list):
            return self.gradient
        assert callable(self.draw), "nothing to derive examples from"
        return [self.draw(Seeded(seed)) for seed in range(12)]


def batch_of(example: Example, batched: Batched) -> dict[int, int]:
    """The axes of the batch; none where an input that should have it is a number."""
    axes = {
        k: axis for k, axis in batched(example).items() if k < len(example.inputs) and example.inputs[k] is not None
    }
    return axes if all(np.ndim(example.inputs[k]) > axis for k, axis in axes.items()) else {}


def without_rows(examples: Sequence[Example], batched: Batched) -> list[Example]:
    """The examples that have a batch, with no rows."""
    found = []
    for example in examples:
        inputs = list(example.inputs)
        for k, axis in (axes := batch_of(example, batched)).items():
            inputs[k] = np.take(inputs[k], range(0), axis)
        if axes:
            found.append(replace(example, inputs=inputs))
    return found


def enlarged(examples: Sequence[Example], batched: Batched) -> list[Example]:
    """The examples that have a batch, with many rows."""
    found = [replace(example, repeated=batch_of(example, batched)) for example in examples]
    return [example for example in found if example.repeated]
