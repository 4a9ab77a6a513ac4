"""The rows for the proof of an export: from the user, else the last training, else the spec's data, else generated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.random import generator
from graphspec.base.errors import ShapeError
from graphspec.data.signature import SAMPLE_ROWS, user_inputs
from graphspec.export.unusual import TEXTS, UNUSUAL_TEXTS, Keys, drawn, keys_of
from graphspec.graph.analysis import input_bounds
from graphspec.graph.ir.dims import divided_exactly, evaluate, factors
from graphspec.graph.ir.graph import STRING, Array, Graph, numpy_dtype

if TYPE_CHECKING:
    from graphspec.data.signature import Data
    from graphspec.engine.runtime.session import Session

LENGTHS = (3, 7, 16, 40, 100)  # sizes to try for variable axes
_LARGEST = 512  # a size to try
RANDOM = "random rows"
_PARTS = {"test": "the test data", "train": "the training data"}


@dataclass(frozen=True)
class Rows:
    """Rows for a proof.

    Attributes:
        arrays: arrays by input; None to generate them.
        origin: ``the last fit``, ``the test data``, a file's name; ``random rows`` for generated ones.
        from_user: True if the user provided them: they are never replaced.
        replaces: the reason why these rows replace others.
    """

    arrays: Mapping[str, Array] | None = None
    origin: str = RANDOM
    from_user: bool = False
    replaces: str = ""

    def generated(self, why: str) -> Rows:
        """Return generated rows that replace these."""
        return Rows(replaces=f"{self.origin} {why}")


def rows_for(model: Session, given: Data | str | Path = None) -> Rows:
    """Return the rows ``given``, else the best available: the spec's data may no longer exist.

    Raises:
        SpecError: GS5 if the rows given do not fit the inputs.
    """
    if isinstance(given, str | Path):
        from graphspec.data.new_rows import read_inputs

        return Rows(read_inputs(model.spec, model.whole, Path(given), SAMPLE_ROWS), Path(given).name, from_user=True)
    if given is not None:
        return Rows(user_inputs(model.needed_inputs, given), "the rows given", from_user=True)
    if model.sample_rows is not None:
        return Rows(model.sample_rows, "the last fit")
    return _of_data(model)


def _of_data(model: Session) -> Rows:
    from graphspec.data.check import load

    failed = ""
    for part, origin in _PARTS.items():
        source = model.spec.data.get(part)
        if source is None or not source.has_rows:
            continue
        arrays, _ = load(source, model.needed_inputs, SAMPLE_ROWS)
        if arrays is not None:
            return Rows(arrays.sample(SAMPLE_ROWS), origin, replaces=failed)
        failed = failed or f"{origin} cannot be read"
    return Rows(replaces=failed or "the spec names no data")


def lengths_for(model: Session, rows: Rows) -> list[dict[str, int]]:
    """Return sizes for the variable axes: at most three that the network accepts, none longer than the rows."""
    shapes = {name: v.shape for name, v in model.whole.inputs.items()}
    symbols = sorted({d for shape in shapes.values() for d in shape[1:] if isinstance(d, str)})
    if not symbols:
        return [{}]
    tried = [{s: n + k for k, s in enumerate(symbols)} for n in LENGTHS]
    if rows.arrays is not None:
        own = {d: n for name, a in rows.arrays.items() for d, n in zip(shapes[name], a.shape, strict=True)}
        longest = {s: int(own[s]) for s in symbols}
        tried = [t for t in tried if all(t[s] <= longest[s] for s in symbols)] + [longest]
    accepted = [t for t in tried if _accepts(model, t)]
    step = _divisor(model.whole)
    if len(accepted) < 2 and step > 1 and rows.arrays is None:
        multiples = ({s: step * (n + k) for k, s in enumerate(symbols)} for n in (1, 2, 5))
        accepted += [t for t in multiples if t not in tried and _accepts(model, t)]
    return accepted[:3]


def _divisor(graph: Graph) -> int:
    """Return a common multiple of the numbers that Reshape divides sizes by; 1 if it is large."""
    dims = {d for node in graph.nodes for v in node.outputs for d in v.shape if isinstance(d, str)}
    divided = [divided_exactly(name) for d in dims for name in factors(d)[1]]
    common = math.lcm(*(found[1] for found in divided if found))
    return common if common <= _LARGEST else 1


def _accepts(model: Session, lengths: Mapping[str, int]) -> bool:
    shapes = {name: (1, *_sized(v.shape[1:], lengths)) for name, v in model.whole.inputs.items()}
    try:
        model.infer_shapes(shapes)
    except ShapeError:
        return False
    return True


def _sized(shape: Sequence[Any], lengths: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(lengths[d] if isinstance(d, str) else d for d in shape)


def batch_of(model: Session, rows: Rows, count: int, lengths: Mapping[str, int]) -> dict[str, Array]:
    """Return ``count`` rows: spread evenly over the available ones (with repeats) and cut to ``lengths``, or generated."""
    bounds = input_bounds(model.whole) if rows.arrays is None else {}
    places = {name: evaluate(d, lengths) for name, d in places_of(model.whole).items()}
    feeds = {}
    for name, value in model.whole.inputs.items():
        sizes = _sized(value.shape[1:], lengths)
        if rows.arrays is not None:
            array = rows.arrays[name]
            chosen = array[np.linspace(0, len(array) - 1, count).astype(np.int64)]
            feeds[name] = chosen[:, *(slice(0, n) for n in sizes)].astype(numpy_dtype(value.dtype))
            if (size := places.get(name)) is not None:  # the axis has been cut, too
                feeds[name] = np.minimum(feeds[name], size - 1)
        elif keys := keys_of(model.whole, name):
            feeds[name] = drawn(name, keys, (count, *sizes))
        else:
            size = places.get(name)
            limits = bounds.get(name) if size is None else (0, size)
            feeds[name] = seeded(name, value.dtype, (count, *sizes), limits)
    return feeds


def places_of(graph: Graph) -> dict[str, str]:
    """Return ``input → size`` for the inputs that are places on an axis whose size varies, such as edges of graphs."""
    found: dict[str, str] = {}
    for node in graph.nodes:
        data = node.inputs[0] if node.op == "GatherND" else None
        axis = int(node.attrs.get("batch_dims", 0))
        if data is not None and axis < data.rank and isinstance(size := data.shape[axis], str) and size != "N":
            ids = node.inputs[1]
            while ids is not None and ids.node is not None:
                ids = ids.node.inputs[0]
            if ids is not None and ids.kind == "input":
                found[ids.name] = size
    return found


def seeded(name: str, dtype: str, shape: Sequence[Any], bounds: tuple[int, int] | None) -> Array:
    """Return random values that an input of ``dtype`` accepts: ids within ``bounds``, bytes, bits, texts, normal floats."""
    random = generator(0, "proof", name)
    size = tuple(int(d) for d in shape)
    if dtype == STRING:
        return drawn(name, Keys([*TEXTS, *UNUSUAL_TEXTS]), size)
    if dtype == "bool":
        return random.integers(0, 2, size).astype(bool)
    if dtype == "float32" and bounds is None:
        return random.standard_normal(size).astype(np.float32)
    low, high = bounds if bounds is not None else (0, 256 if dtype == "uint8" else 10)
    return random.integers(low, high, size).astype(dtype)


def scaled_down(feeds: Mapping[str, Array], factor: float) -> dict[str, Array] | None:
    """Return the rows with smaller floats, for a network that is ill-conditioned on them; None without such floats.

    Texts stay, and arrays of whole numbers, which may be ids or mask values.
    """
    found = {name: a for name, a in feeds.items() if a.dtype == np.float32 and not is_whole(a).all()}
    if not found:
        return None
    return {name: a * np.float32(factor) if name in found else a for name, a in feeds.items()}


def is_whole(array: Array) -> Array:
    """Return the mask of the whole numbers in ``array``."""
    return np.asarray(array == np.rint(array))
