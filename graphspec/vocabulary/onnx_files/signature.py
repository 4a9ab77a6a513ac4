"""The shapes that a part of an ONNX file computes, found by running it: files declare little, and not always the truth.

The sizes that vary, such as the number of rows, get several values; the sizes of the outputs are then numbers, or
functions of one size that varies. Rows are also computed alone: a file that mixes them, or that is made for one batch size,
is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphspec.base.arrays.layout import little_endian
from graphspec.base.budget import demand
from graphspec.base.errors import Code, ProblemError, RunError, ShapeError
from graphspec.graph.ir.dims import Dim, Shape, add, floordiv, has_rows, mul, show
from graphspec.graph.ir.graph import Array, Type, Value, numpy_dtype
from graphspec.graph.kernels.context import need
from graphspec.vocabulary.onnx_files.part import SECONDS, Part

ROWS = "N"
_DTYPES = ("float32", "int64", "int32", "uint8", "bool")
_BASES = (64, 128, 256, 32, 512, 16, 1024, 8, 2048)  # sizes to begin with; some networks need many steps
_STEPS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 17, 31, 32, 33, 48, 63, 64, 100)
_DIVISORS = (1, 2, 3, 4, 5, 6, 8, 10, 16, 20, 24, 32, 64, 128, 160, 256, 320, 512)
_FIXED_SIZES = "give the inputs of the spec fixed sizes"
_CLOSE, _SAME = 0.05, 1e-5  # of the largest value: between a row alone and in a batch, and between equal batches


@dataclass(frozen=True)
class Size:
    """The size ``factor · ⌊(of + offset) / divisor⌋ + more``, where ``of`` is a size that varies."""

    of: str
    factor: int = 1
    offset: int = 0
    divisor: int = 1
    more: int = 0

    def at(self, d: Dim) -> Dim:
        """Return the size for a size of ``of``."""
        inner = add(d, self.offset) if self.offset else d
        inner = floordiv(inner, self.divisor) if self.divisor > 1 else inner
        inner = mul(inner, self.factor) if self.factor != 1 else inner
        return add(inner, self.more) if self.more else inner


@dataclass(frozen=True)
class Tensor:
    """A dtype with sizes: numbers, and for those that vary a name (inputs) or a :class:`Size` (outputs)."""

    dtype: str
    sizes: tuple[int | str | Size, ...]
    value: str = ""  # the hash of a constant; empty for what varies


@dataclass(frozen=True)
class Signature:
    """What a part of a file reads and computes."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def __repr__(self) -> str:
        return f"{len(self.inputs)} → {len(self.outputs)}"

    def types(self, shapes: Sequence[Shape]) -> tuple[Type, ...]:
        """Return the types of the outputs for inputs of these shapes; raise GS302 if they do not fit."""
        known: dict[str, Dim] = {}
        for k, (tensor, shape) in enumerate(zip(self.inputs, shapes, strict=True)):
            fits = len(tensor.sizes) == len(shape)
            for size, d in zip(tensor.sizes, shape, strict=False):
                fits = fits and (known.setdefault(size, d) == d if isinstance(size, str) else size == d)
            need.shapes(fits, f"cannot take {show(tuple(shape))} as its input {k}")
        shapes = [tuple(s.at(known[s.of]) if isinstance(s, Size) else s for s in t.sizes) for t in self.outputs]
        return tuple(Type(t.dtype, shape) for t, shape in zip(self.outputs, shapes, strict=True))

    def one_row(self, shapes: Sequence[Shape]) -> tuple[tuple[Shape, ...], int]:
        """Return the shapes for one row, and the number of rows."""
        pairs = [list(zip(t.sizes, shape, strict=True)) for t, shape in zip(self.inputs, shapes, strict=True)]
        rows = next((d for pair in pairs for size, d in pair if size == ROWS), 1)
        one = tuple(tuple(1 if size == ROWS else d for size, d in pair) for pair in pairs)
        return one, rows if isinstance(rows, int) else 1

    def to_json(self) -> dict[str, Any]:

        def plain(tensor: Tensor) -> dict[str, Any]:
            sizes = [[s.of, s.factor, s.offset, s.divisor, s.more] if isinstance(s, Size) else s for s in tensor.sizes]
            return {"dtype": tensor.dtype, "shape": sizes, **({"sha256": tensor.value} if tensor.value else {})}

        return {"inputs": [plain(t) for t in self.inputs], "outputs": [plain(t) for t in self.outputs]}

    @classmethod
    def of_json(cls, record: Any) -> Signature:
        """Return the signature of plain values, which may come from a file; raise ValueError for other values."""
        demand(_has_lists(record, "inputs", "outputs"), "a signature has 'inputs' and 'outputs'")
        inputs = tuple(_tensor(t, output=False) for t in record["inputs"])
        outputs = tuple(_tensor(t, output=True) for t in record["outputs"])
        names = {s for t in inputs for s in t.sizes if isinstance(s, str)}
        of_inputs = all(s.of in names for t in outputs for s in t.sizes if isinstance(s, Size))
        demand(of_inputs, "a size of a signature is one of no input")
        return cls(inputs, outputs)


def _has_lists(record: Any, *keys: str) -> bool:
    return isinstance(record, Mapping) and all(isinstance(record.get(key), list) for key in keys)


def _tensor(record: Any, *, output: bool) -> Tensor:
    demand(_has_lists(record, "shape"), "a tensor of a signature has 'dtype' and 'shape'")
    dtype, value = record.get("dtype"), record.get("sha256", "")
    demand(dtype in (*_DTYPES, "string"), "a tensor of a signature has an unknown dtype")
    demand(isinstance(value, str) and re.fullmatch(r"([0-9a-f]{64})?", value), "a constant of a signature has a hash")
    return Tensor(dtype, tuple(_size_of(d, output=output) for d in record["shape"]), value)


def _size_of(d: Any, *, output: bool) -> int | str | Size:
    if type(d) is int and d >= 0:
        return d
    if not output and isinstance(d, str) and re.fullmatch(r"N|v\d{1,3}", d):
        return d
    numbers = d[1:] if output and isinstance(d, list) and len(d) == 5 and isinstance(d[0], str) else []
    if numbers and all(type(n) is int and abs(n) < 1 << 40 for n in numbers) and numbers[2] >= 1:
        return Size(*d)
    raise ValueError("a size of a signature is a number, a name, or five numbers")


def template(values: Sequence[Value]) -> tuple[Tensor, ...]:
    """Return the inputs of a signature: sizes that vary become ``N`` and ``v0``, ``v1``, …; equal ones the same name."""
    names: dict[Dim, str] = {}
    for value in values:
        for d in value.shape:
            if isinstance(d, str) and d not in names:
                count = sum(name != ROWS for name in names.values())
                names[d] = ROWS if has_rows((d,)) and ROWS not in names.values() else f"v{count}"
    sizes = [tuple(names[d] if isinstance(d, str) else d for d in v.shape) for v in values]
    return tuple(Tensor(v.dtype, shape, _hash(v.data)) for v, shape in zip(values, sizes, strict=True))


def _hash(array: Array | None) -> str:
    if array is None:
        return ""
    return hashlib.sha256(
        repr(array.tolist()).encode() if array.dtype == object else little_endian(array).tobytes()
    ).hexdigest()


class _Search:
    """Finds the signature of a part for inputs with these sizes; ``constants`` are the arrays of those that are constant.

    A file that cannot be computed for them, or mixes rows, is GS802; a size that varies and must be fixed is GS305.
    """

    def __init__(self, part: Part, inputs: tuple[Tensor, ...], constants: Sequence[Array | None]) -> None:
        self._part, self._inputs, self._constants = part, inputs, constants
        self._names = sorted({s for t in inputs for s in t.sizes if isinstance(s, str)})
        self._seen: dict[tuple[int, ...], list[Array]] = {}

    def signature(self) -> Signature:
        base = self._base()
        first = self._run(base)
        for array in first:
            text, dtypes = f"computes {array.dtype} numbers", (*_DTYPES, "object")
            need(array.dtype.name in dtypes, text, code=Code.UNSUPPORTED_FILE, hint="choose another output")
        changed = [(name, self._changed(base, name)) for name in self._names]
        outputs = []
        for k, array in enumerate(first):
            sizes: list[int | str | Size] = []
            for axis, size in enumerate(array.shape):
                seen = {n: {base[n]: size, **{x: f[k].shape[axis] for x, f in runs.items()}} for n, runs in changed}
                causes = {name: points for name, points in seen.items() if len(set(points.values())) > 1}
                sizes.append(self._fitted(k, axis, causes) if causes else size)
            outputs.append(Tensor("string" if array.dtype == object else array.dtype.name, tuple(sizes)))
        self._check_rows(base, outputs)
        return Signature(self._inputs, tuple(outputs))

    def _base(self) -> dict[str, int]:
        """Return sizes for which the file can be computed; those of one row, if it fails for every size."""
        others = [name for name in self._names if name != ROWS]
        problem: RunError | None = None
        for size in _BASES if others else (1,):
            base = {name: size + k for k, name in enumerate(others)} | ({ROWS: 2} if ROWS in self._names else {})
            try:
                self._run(base)
                return base
            except RunError as error:
                problem = problem or error
        assert problem is not None
        if ROWS in self._names:
            with suppress(RunError):
                self._run({**dict.fromkeys(others, _BASES[0]), ROWS: 1})
                raise self._one_row(f"({problem.message})")
        hint = "compare the inputs with those that `graphspec inspect` shows for the file"
        raise ShapeError(Code.UNSUPPORTED_FILE, f"cannot be computed: {problem.message}", hint=hint)

    def _changed(self, base: Mapping[str, int], name: str) -> dict[int, list[Array]]:
        """Return the outputs for other values of one size, by value."""
        outputs = {}
        for step in (-1, 1, 3) if name == ROWS else _STEPS:
            sizes = {**base, name: base[name] + step}
            try:
                outputs[sizes[name]] = self._run(sizes)
            except RunError as error:
                if name == ROWS:
                    raise self._one_row(f"({error.message})") from None
                text = f"needs a fixed size: it can be computed for {base[name]}, but not for {sizes[name]}"
                raise ShapeError(Code.SIZE_NOT_FIXED, text, hint=f"{_FIXED_SIZES} (batch aside)") from None
        return outputs

    def _fitted(self, k: int, axis: int, causes: Mapping[str, Mapping[int, int]]) -> Size:
        """Return the size of an axis of output ``k``; ``causes`` are the sizes that it had by those that vary."""
        where = f"'{self._part.outputs[k]}'"
        name, points = next(iter(causes.items()))
        formulas = (f for f in _formulas(name, points) if all(f.at(x) == y for x, y in points.items()))
        formula = next(formulas, None) if len(causes) == 1 else None
        if formula is None:
            simple = f"{'the rows' if name == ROWS else 'a size'} in no simple way"
            what = "several sizes that vary" if len(causes) > 1 else simple
            text = f"computes {where}, whose axis {axis} depends on {what}"
            raise ShapeError(Code.SIZE_NOT_FIXED, text, hint=_FIXED_SIZES)
        if name == ROWS and (formula.divisor != 1 or formula.more or (axis and formula.factor != 1)):
            raise self._one_row(f"axis {axis} of {where} is not its number of rows")
        return formula

    def _check_rows(self, base: Mapping[str, int], outputs: Sequence[Tensor]) -> None:
        """Raise GS802 unless each row alone gives what it gives in a batch."""
        if ROWS not in self._names:
            return
        together, feeds = self._run(base), self._feeds(base)
        for tensor, name in zip(outputs, self._part.outputs, strict=True):
            if not any(isinstance(s, Size) and s.of == ROWS for s in tensor.sizes):
                raise self._one_row(f"'{name}' is the same for all rows")
        for k in range(2):  # the second row, too: what is computed step by step depends on steps before
            beside = self._compute([_changed_row(f, t, 1 - k) for f, t in zip(feeds, self._inputs, strict=True)])
            alone = self._compute([_rows(f, t, k) for f, t in zip(feeds, self._inputs, strict=True)])
            values = zip(together, beside, alone, outputs, self._part.outputs, strict=True)
            for whole, other, one, tensor, name in values:
                row = _rows(whole, tensor, k)
                if not _close(row, _rows(other, tensor, k), _SAME) or not _close(row, one, _CLOSE):
                    raise self._one_row(f"'{name}' of a row depends on the other rows")

    def _one_row(self, why: str) -> ShapeError:
        text = f"does not compute the rows of a batch apart: {why}"
        hint = "save the file with a batch axis that varies, such as by `dynamic_axes` of torch.onnx.export"
        if "DynamicQuantizeLinear" in {node.op_type for node in self._part.require().model.graph.node}:
            hint = "it is quantized for all rows of a batch together: use the file from before that"
        return ShapeError(Code.UNSUPPORTED_FILE, text, hint=hint)

    def _run(self, sizes: Mapping[str, int]) -> list[Array]:
        key = tuple(sizes[name] for name in self._names)
        if key not in self._seen:
            self._seen[key] = self._compute(self._feeds(sizes))
        return self._seen[key]

    def _compute(self, feeds: Sequence[Array]) -> list[Array]:
        try:
            return self._part.run(feeds, SECONDS)
        except TimeoutError:
            text = f"is not computed within {SECONDS:.0f} seconds for a few rows"
            hint = "look at its loops with `graphspec inspect`, or choose an earlier value with `output`"
            raise ShapeError(Code.UNSUPPORTED_FILE, text, hint=hint) from None

    def _feeds(self, sizes: Mapping[str, int]) -> list[Array]:
        """Return feeds of random numbers: integers are 0 and 1, which may be ids."""
        random = np.random.default_rng(0)

        def feed(tensor: Tensor) -> Array:
            shape = tuple(sizes[s] if isinstance(s, str) else int(s) for s in tensor.sizes)  # type: ignore[arg-type]
            if tensor.dtype == "string":
                return np.full(shape, "a", object)
            is_float = tensor.dtype == "float32"
            drawn: Array = random.random(shape, np.float32) if is_float else random.integers(0, 2, shape)
            return drawn.astype(numpy_dtype(tensor.dtype))

        return [feed(t) if c is None else c for t, c in zip(self._inputs, self._constants, strict=True)]


def _rows(array: Array, tensor: Tensor, row: int) -> Array:
    """Return one row of an input or an output, as a batch; a value without rows as it is."""
    for axis, size in enumerate(tensor.sizes):
        if size == ROWS:
            return array.take([row], axis)
        if isinstance(size, Size) and size.of == ROWS:
            return array.take(range(row * size.factor, (row + 1) * size.factor), axis)
    return array


def _changed_row(array: Array, tensor: Tensor, k: int) -> Array:
    changed = array.copy()
    axis = next((k for k, size in enumerate(tensor.sizes) if size == ROWS), None)
    if axis is None or array.dtype == object:
        return changed
    row = np.moveaxis(changed, axis, 0)[k, ...]
    row[...] = (1 - row) * (3 if array.dtype.kind == "f" else 1)
    return changed


def _close(a: Array, b: Array, tolerance: float) -> bool:
    if a.shape != b.shape:
        return False
    if a.dtype.kind != "f":
        return bool((a == b).all())
    scale = max(float(np.abs(a).max(initial=0.0)), 1e-6)
    return bool(np.allclose(a, b, rtol=0.0, atol=tolerance * scale, equal_nan=True))


def _formulas(name: str, points: Mapping[int, int]) -> Iterator[Size]:
    """Yield sizes that may give ``y`` for each ``x``, simple ones first."""
    low, high = min(points), max(points)
    factor, rest = divmod(points[high] - points[low], high - low)
    if not rest:
        yield Size(name, factor, 0, 1, points[low] - factor * low)
    for divisor in _DIVISORS[1:]:
        for offset in range(divisor):  # in the form in which convolutions have it: equal sizes are then equal texts
            more = points[low] - (low + offset) // divisor
            yield Size(name, 1, offset + (more - 1) * divisor, divisor, 1)


# What is known of an ONNX file without its content: its hash, and the shapes that it has for the inputs of the spec.
_FOUND: dict[tuple[Part, tuple[Tensor, ...]], Signature] = {}
_MOST = 256  # signatures that are kept in memory


@dataclass
class Record:
    """What a run and an exported file say of a file: its hash and size, and the signatures that running it has shown."""

    sha256: str
    nbytes: int
    signatures: list[Signature] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        signatures = sorted((s.to_json() for s in self.signatures), key=str)
        return {"sha256": self.sha256, "bytes": self.nbytes, "signatures": signatures}

    @classmethod
    def of_json(cls, record: Any) -> Record:
        """Return the record of plain values, which may come from a file; raise ValueError for other values."""
        what = "what is known of an ONNX file has"
        demand(_has_lists(record, "signatures"), f"{what} 'sha256', 'bytes' and 'signatures'")
        sha256, nbytes = record.get("sha256"), record.get("bytes")
        is_hash = isinstance(sha256, str) and re.fullmatch(r"[0-9a-f]{64}", sha256)
        demand(is_hash and type(nbytes) is int, f"{what} a hash and a number of bytes")
        return cls(sha256, nbytes, [Signature.of_json(s) for s in record["signatures"]])

    def known(self, values: Sequence[Value], name: str, part: Part | None = None) -> tuple[Part, Signature]:
        """Return the part, and its signature for these inputs, which is found by running it if it is not known.

        Without the content of the file ``part`` is None, and only what is known can be returned.
        """
        inputs = template(values)
        signature = next((s for s in self.signatures if s.inputs == inputs), None)
        if part is None:
            if signature is None:
                text = f"is used with inputs of other shapes than before, and '{name}' is not there"
                raise ShapeError(Code.UNREADABLE_FILE, text, hint="copy the file beside the spec", key="file")
            dtypes = tuple((f"input {k}", t.dtype) for k, t in enumerate(inputs))
            part = Part(name, self.sha256, tuple(f"output {k}" for k in range(len(signature.outputs))), dtypes)
        elif signature is None or len(signature.outputs) != len(part.outputs):
            signature = _search(part, inputs, values)
            self.signatures.append(signature)
        return part, signature


def _search(part: Part, inputs: tuple[Tensor, ...], values: Sequence[Value]) -> Signature:
    key = part, inputs
    if key not in _FOUND:
        if len(_FOUND) >= _MOST:
            _FOUND.clear()
        try:
            _FOUND[key] = _Search(part, inputs, [v.data for v in values]).signature()
        except ShapeError:
            raise
        except ProblemError as error:
            problem = error.problem
            raise ShapeError(problem.code, f"takes '{part.file}', which {problem.message}", problem.hint) from None
    return _FOUND[key]
