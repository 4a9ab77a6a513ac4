"""The rows that an export is proved on: those given, else of the last training, of the spec's data, else made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.arrays.random import generator
from graphspec.data.signature import SAMPLED, user_inputs
from graphspec.errors import ShapeError
from graphspec.graph.id_bounds import input_bounds
from graphspec.ir.graph import Array

if TYPE_CHECKING:
    from graphspec.data.signature import Data
    from graphspec.runtime.session import Session

LENGTHS = (3, 7, 16, 40, 100)
_PARTS = {"test": "the test data", "train": "the training data"}


@dataclass(frozen=True)
class Rows:
    """Rows to prove on.

    Attributes:
        arrays: by input; None for made-up ones.
        origin: where they come from: ``the last fit``, ``the test data``, a file's name; ``a seed`` for made-up ones.
        given: whether the user gave them: they are never replaced by others.
        instead: what could not be read or did not fit, and why these are taken instead.
    """

    arrays: Mapping[str, Array] | None = None
    origin: str = "a seed"
    given: bool = False
    instead: str = ""

    def made_up(self, why: str) -> Rows:
        """Made-up rows instead of these."""
        return Rows(instead=f"{self.origin} {why}")


def rows_for(model: Session, given: Data | str | Path = None) -> Rows:
    """The rows that ``given`` says, else the best there are: whatever has become of the spec's data.

    Raises:
        SpecError: GS5, the rows that are given do not fit the inputs.
    """
    if isinstance(given, str | Path):
        from graphspec.data.new_rows import read_inputs

        return Rows(read_inputs(model.spec, model.graph, Path(given), SAMPLED), str(given), given=True)
    if given is not None:
        return Rows(user_inputs(model.needed_inputs, given), "the rows given", given=True)
    if model.sample_rows is not None:
        return Rows(model.sample_rows, "the last fit")
    return _of_data(model)


def _of_data(model: Session) -> Rows:
    from graphspec.data.check import load

    failed = ""
    for part, origin in _PARTS.items():
        if part in model.parts:
            return Rows(model.parts[part].sample(SAMPLED), origin, instead=failed)
        source = model.spec.data.get(part)
        if source is None or source.file is None:
            continue
        arrays, _ = load(source, model.needed_inputs, SAMPLED)
        if arrays is not None:
            return Rows(arrays.inputs, origin, instead=failed)
        failed = failed or f"{origin} cannot be read"
    return Rows(instead=failed)


def lengths_for(model: Session, rows: Rows) -> list[dict[str, int]]:
    """The sizes to try for the axes that vary: some that the network accepts, no longer than the rows are."""
    shapes = {name: v.shape for name, v in model.graph.inputs.items()}
    symbols = sorted({d for shape in shapes.values() for d in shape[1:] if isinstance(d, str)})
    if not symbols:
        return [{}]
    tried = [{s: n + k for k, s in enumerate(symbols)} for n in LENGTHS]
    if rows.arrays is not None:
        own = {d: n for name, a in rows.arrays.items() for d, n in zip(shapes[name], a.shape, strict=True)}
        longest = {s: int(own[s]) for s in symbols}
        tried = [t for t in tried if all(t[s] <= longest[s] for s in symbols)] + [longest]
    accepted = [t for t in tried if _accepts(model, t)]
    return accepted[:3]


def _accepts(model: Session, lengths: Mapping[str, int]) -> bool:
    shapes = {name: (1, *_sized(v.shape[1:], lengths)) for name, v in model.graph.inputs.items()}
    try:
        model.infer_shapes(shapes)
    except ShapeError:
        return False
    return True


def _sized(shape: Sequence[Any], lengths: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(lengths[d] if isinstance(d, str) else d for d in shape)


def batch_of(model: Session, rows: Rows, count: int, lengths: Mapping[str, int]) -> dict[str, Array]:
    """``count`` rows: spread over those there are, some twice if these are fewer, and cut to ``lengths``; or made up."""
    bounds = input_bounds(model.graph) if rows.arrays is None else {}
    feeds = {}
    for name, value in model.graph.inputs.items():
        sizes = _sized(value.shape[1:], lengths)
        if rows.arrays is None:
            feeds[name] = seeded(name, value.dtype, (count, *sizes), bounds.get(name))
        else:
            array = rows.arrays[name]
            taken = array[np.linspace(0, len(array) - 1, count).astype(np.int64)]
            feeds[name] = taken[:, *(slice(0, n) for n in sizes)].astype(value.dtype)
    return feeds


def seeded(name: str, dtype: str, shape: Sequence[Any], bounds: tuple[int, int] | None) -> Array:
    """Random values that an input of ``dtype`` may take: ids within ``bounds``, bytes, bits, normal floats."""
    random = generator(0, "proof", name)
    size = tuple(int(d) for d in shape)
    if dtype == "bool":
        return random.integers(0, 2, size).astype(bool)
    if dtype == "float32" and bounds is None:
        return random.standard_normal(size).astype(np.float32)
    low, high = bounds if bounds is not None else (0, 256 if dtype == "uint8" else 10)
    return random.integers(low, high, size).astype(dtype)


def tamer(feeds: Mapping[str, Array], factor: float) -> dict[str, Array] | None:
    """The rows with their fractions made smaller, for a network that is ill-conditioned on them; None if there are none.

    Arrays of whole numbers stay: they may be ids, or values that mask.
    """
    found = {name: a for name, a in feeds.items() if a.dtype == np.float32 and not whole(a).all()}
    if not found:
        return None
    return {name: a * np.float32(factor) if name in found else a for name, a in feeds.items()}


def whole(array: Array) -> Array:
    """Where ``array`` has whole numbers."""
    return np.asarray(array == np.rint(array))
