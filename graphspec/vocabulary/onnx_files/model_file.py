"""Read what an ONNX file of any origin declares: nothing is run, and weights stay on the disk.

The file is untrusted: every count has a limit, and what contradicts itself is refused. This reader serves `inspect` and
`diff`, and `predict` and `evaluate` before they give a file to onnxruntime, which already runs parts of a graph while it
loads it. For the layer Onnx, :mod:`graphspec.vocabulary.onnx_files.reading` reads whole files.
"""

from __future__ import annotations

import json
import math
import mmap
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

from graphspec.base.budget import Budget, demand
from graphspec.base.errors import Code, Diagnostic, SpecError
from graphspec.graph.onnx_session import sanitized
from graphspec.graph.ops import OPS

OLDEST_OPSET = 7  # the oldest one that onnxruntime promises to compute
Span = tuple[int, int]
_VARINT, _DOUBLE, _BYTES, _SINGLE = 0, 1, 2, 5


class Field(NamedTuple):
    """A field: its number, the position of its content (empty for an integer 0), and whether that is bytes."""

    number: int
    span: Span
    is_bytes: bool


class Fields:
    """Reads the fields of messages in one file, at most ``most`` in all."""

    def __init__(self, content: mmap.mmap, most: int) -> None:
        self.content, self._left, self._most = content, most, most

    def __call__(self, span: Span) -> Iterator[Field]:
        """Yield the fields of a message; raise ValueError if it is damaged, or the file has too many fields."""
        position, stop = span
        while position < stop:
            self._left -= 1
            if self._left < 0:
                raise ValueError(f"it has more than {self._most:,} fields")
            key, position = self.integer(position, stop)
            kind, start = key & 7, position
            if kind == _VARINT:
                value, position = self.integer(position, stop)
                start = position if value == 0 else start
            elif kind == _BYTES:
                length, start = self.integer(position, stop)
                position = start + length
            elif kind in (_DOUBLE, _SINGLE):
                position += 8 if kind == _DOUBLE else 4
            else:
                raise ValueError(f"there is no wire type {kind} (byte {start})")
            if position > stop:
                raise ValueError(f"it is truncated or damaged (byte {start})")
            yield Field(key >> 3, (start, position), kind == _BYTES)

    def integer(self, position: int, stop: int) -> tuple[int, int]:
        """Decode a varint (groups of seven bits); return its value and its end."""
        value = 0
        for shift in range(0, 70, 7):
            if position >= stop:
                raise ValueError(f"it is truncated or damaged (byte {position})")
            byte = self.content[position]
            position += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, position
        raise ValueError(f"it has a number of more than 64 bits (byte {position})")

    def number(self, field: Field) -> int:
        start, stop = field.span
        if start == stop:
            return 0
        demand(not field.is_bytes, f"it has bytes in place of a number (byte {start})")
        return _signed(self.integer(start, stop)[0] & (2**64 - 1))

    def numbers(self, field: Field, most: int) -> Iterator[int]:
        """Yield the values of a repeated int64 field, packed or not; at most ``most``."""
        if not field.is_bytes:
            yield self.number(field)
            return
        position, stop = field.span
        for _ in range(most + 1):
            if position >= stop:
                return
            value, position = self.integer(position, stop)
            yield _signed(value)
        raise ValueError(f"it has more than {most:,} numbers in a place for few (byte {field.span[0]})")

    def text(self, field: Field, most: int) -> str:
        """Return a text, cut to ``most`` bytes; what is not UTF-8 becomes ``�``."""
        start, stop = field.span
        return self.content[start : min(stop, start + most)].decode(errors="replace")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


_NUMBERS = "float32 uint8 int8 uint16 int16 int32 int64 string bool float16 float64 uint32 uint64 complex64 complex128"
_SHORT = "bfloat16 float8e4m3fn float8e4m3fnuz float8e5m2 float8e5m2fnuz uint4 int4 float4e2m1 float8e8m0 uint2 int2"
_NAMES = f"{_NUMBERS} {_SHORT} float6e2m3fn float6e3m2fn".split()
ELEMENTS = {  # ONNX's element types: the name, and the bits of an element; texts have no fixed size
    k: (name, {"string": 0, "bool": 8}[name] if name in ("string", "bool") else int(re.findall(r"\d+", name)[0]))
    for k, name in enumerate(_NAMES, 1)
}


def element(kind: int, sizes: Sequence[int], subject: str) -> tuple[str, int]:
    """Return the entry of ELEMENTS; raise ValueError unless it is there, and the sizes can be those of a tensor."""
    demand(kind in ELEMENTS, f"{subject} has the element type {kind}, which ONNX does not have")
    demand(len(sizes) <= Budget.RANK and min(sizes, default=0) >= 0, f"{subject} has an impossible shape")
    return ELEMENTS[kind]


@dataclass(frozen=True)
class Declared:
    """An input or output."""

    name: str
    kind: str = "tensor"  # ``tensor``, ``sparse tensor``, ``sequence``, ``map``, ``optional`` or ``opaque``
    dtype: str = ""  # of a tensor
    shape: tuple[int | str | None, ...] | None = None  # numbers, symbols, None for an unknown size, or an unknown rank
    doc: str = ""

    def __str__(self) -> str:
        sizes = "(…)" if self.shape is None else f"({', '.join('?' if d is None else str(d) for d in self.shape)})"
        return f"'{sanitized(self.name)}' {self.dtype or 'no tensor'}{sanitized(sizes)}"


@dataclass(frozen=True)
class Weight:
    """An initializer, or the tensor of an attribute."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    elements: int
    nbytes: int
    external: tuple[str, int, int | None] | None = None  # its file, the offset, and the length (None: all the rest)
    span: Span = (0, 0)  # the position of the tensor in the model file


@dataclass
class ModelFile:
    """What a file declares."""

    nbytes: int = 0
    ir_version: int = 0
    producer: str = ""
    producer_version: str = ""
    domain: str = ""
    model_version: int = 0
    doc: str = ""
    name: str = ""
    opsets: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    inputs: list[Declared] = field(default_factory=list)
    outputs: list[Declared] = field(default_factory=list)
    operators: Counter[tuple[str, str]] = field(default_factory=Counter)  # by domain and name, those inside others too
    functions: list[str] = field(default_factory=list)
    weights: list[Weight] = field(default_factory=list)
    subgraphs: int = 0
    foreign: str | None = None  # what only files of other programs have, or None: a loop, too, which may run forever
    merged: str | None = None  # what graphspec writes only for specs with a layer Onnx, or None

    def json(self, key: str) -> Any:
        """Return the value of a JSON text in the metadata; None if there is none, or it is wrong."""
        try:
            return json.loads(self.metadata[key]) if key in self.metadata else None
        except (ValueError, RecursionError):
            return None


def read_model_file(path: Path) -> ModelFile:
    """Read a file; raise GS703 if it is not an ONNX model, is truncated, or contradicts itself."""
    try:
        return declarations(path)
    except ValueError as error:
        raise unreadable(path, str(error)) from None


def declarations(path: Path, kind: str = "a sound ONNX file") -> ModelFile:
    """Read a file; raise ValueError, a predicate, if it is no model; a damaged one is not ``kind``."""
    size = path.stat().st_size
    most = f"an ONNX file has at most {Budget.FILE / 2**30:.0f}"
    demand(size <= Budget.FILE, f"has {size / 2**30:.1f} GiB, {most}")
    demand(path.is_file(), "is not a regular file")
    demand(size, "is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            return _Reader(content).model()
        except ValueError as error:
            raise ValueError(f"is not {kind}: {error}") from None


def leads_out(name: str, base: Path, folder: Path) -> bool:
    """Return whether a file ``name``, relative to ``base``, is not in ``folder`` or below it, on any system."""
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if "\0" in name or ".." in (*posix.parts, *windows.parts) or posix.is_absolute() or windows.anchor:
        return True
    return not (base / name).resolve().is_relative_to(folder.resolve())


def unreadable(path: Path, why: str) -> SpecError:
    """Return GS703 for a file."""
    hint = "export or download the file again, or report it to whoever made it"
    return SpecError([Diagnostic(Code.UNREADABLE_MODEL, f"'{path.name}' {why}", file=str(path), hint=hint)])


_OF_MODEL = {1: "ir_version", 2: "producer", 3: "producer_version", 4: "domain", 5: "model_version"}


class _Reader:
    """Reads a model; the numbers are those of onnx.proto."""

    def __init__(self, content: mmap.mmap) -> None:
        self._fields, self._size = Fields(content, Budget.FIELDS), len(content)
        self._model, self._names, self._metadata_left = ModelFile(nbytes=len(content)), Budget.NAMES, Budget.METADATA

    def model(self) -> ModelFile:
        model, read, graphs = self._model, self._fields, 0
        for part in read((0, self._size)):
            match part.number:
                case 1 | 5:
                    setattr(model, _OF_MODEL[part.number], read.number(part))
                case 2 | 3 | 4:
                    setattr(model, _OF_MODEL[part.number], self._name(part))
                case 6:
                    model.doc = read.text(part, Budget.TEXT)
                case 7:
                    graphs += 1
                    self._graph(part.span)
                case 8:
                    domain, version = self._entry(part.span)
                    model.opsets["" if domain == "ai.onnx" else domain] = read.number(version) if version else 0
                case 14:
                    self._metadata_left -= part.span[1] - part.span[0]
                    demand(self._metadata_left >= 0, f"it has metadata of more than {Budget.METADATA >> 20} MiB")
                    key, text = self._entry(part.span)
                    model.metadata[key] = read.text(text, Budget.METADATA) if text else ""
                case 25:
                    self._function(part.span)
        demand(graphs == 1, f"it has {graphs or 'no'} graph{'s' if graphs else ''}")
        demand(model.opsets, "it names no opset")
        demand(model.ir_version >= 1, "it names no IR version")
        return model

    def _entry(self, span: Span) -> tuple[str, Field | None]:
        """Return the key of a message, its first field, and the second one, its value."""
        parts = {p.number: p for p in self._fields(span)}
        return self._name(parts[1]) if 1 in parts else "", parts.get(2)

    def _function(self, span: Span) -> None:
        self._model.foreign = "local functions"
        names = {1: "", 10: ""}
        for p in self._fields(span):
            if p.number in names:
                names[p.number] = self._name(p)
            elif p.number == 7:
                self._node(p.span, 0)
        self._model.functions.append(f"{names[10]}.{names[1]}" if names[10] else names[1])

    def _graph(self, span: Span) -> None:
        """Read the main graph: declarations and weights before the nodes, which may stand anywhere."""
        model, nodes, inputs = self._model, list[Span](), list[Declared]()
        for p in self._fields(span):
            match p.number:
                case 1:
                    nodes.append(p.span)
                case 2:
                    model.name = self._name(p)
                case 5:
                    model.weights.append(self._weight(p.span))
                case 10:
                    model.doc = model.doc or self._fields.text(p, Budget.TEXT)
                case 11:
                    inputs.append(self._declared(p.span))
                case 12:
                    model.outputs.append(self._declared(p.span))
                case 15:
                    model.weights.append(self._sparse(p.span))
        given = {weight.name for weight in model.weights}
        model.inputs = [declared for declared in inputs if declared.name not in given]
        known = given | {declared.name for declared in inputs}
        made = [self._node(node, 0) for node in nodes]
        check_order(made, known)
        known.update(*(results for _, _, results in made))
        for declared in model.outputs:
            demand(declared.name in known, f"nothing computes its output '{sanitized(declared.name)}'")

    def _node(self, span: Span, depth: int) -> tuple[str, list[str], list[str]]:
        """Count a node and those of the graphs inside it; return what :func:`check_order` takes."""
        names: dict[int, list[str]] = {1: [], 2: [], 4: [""], 7: [""]}  # what it reads, computes, its operator, domain
        graphs = list[Span]()
        for p in self._fields(span):
            if p.number in names:
                names[p.number].append(self._name(p))
            elif p.number == 5:
                graphs += self._attribute(p.span)
        operator, domain = names[4][-1], names[7][-1]
        demand(operator, "a node has no operator")
        domain = "" if domain == "ai.onnx" else domain
        self._model.operators[domain, operator] += 1
        if domain and (operator not in OPS or OPS[operator].domain != domain):
            self._model.merged = f"the operator {sanitized(operator)} of {sanitized(domain)}"
        for graph in graphs:
            self._inner(graph, depth + 1)
            if operator == "If" and not domain:
                self._model.merged = "a graph inside If"
            elif operator != "Scan" or domain:  # a branch ends, and a Scan with its sequence
                self._model.foreign = f"a graph inside {sanitized(operator)}, which may run forever"
        reads, results = (list(filter(None, names[k])) for k in (1, 2))
        return f"{sanitized(operator)} '{sanitized(next(iter(results), ''))}'", reads, results

    def _inner(self, span: Span, depth: int) -> None:
        """Read a graph inside a node, such as a branch; it may read values of the graphs around it."""
        demand(depth <= Budget.DEPTH, f"it has graphs in graphs, more than {Budget.DEPTH} deep")
        self._model.subgraphs += 1
        for p in self._fields(span):
            if p.number == 1:
                self._node(p.span, depth)
            elif p.number == 5:
                self._model.weights.append(self._weight(p.span))
            elif p.number == 15:
                self._model.foreign = "sparse weights"

    def _attribute(self, span: Span) -> Iterable[Span]:
        """Add the tensors of an attribute to the weights, and return its graphs."""
        graphs = []
        for p in self._fields(span):
            if p.number in (5, 10):
                self._model.weights.append(self._weight(p.span))
            elif p.number in (6, 11):
                graphs.append(p.span)
        return graphs

    def _weight(self, span: Span) -> Weight:
        read, shape, name, kind, stored, places = self._fields, list[int](), "", 0, 0, dict[str, str]()
        outside, raw = False, None
        for p in read(span):
            length = p.span[1] - p.span[0]
            if p.number in (13, 14) and length:
                self._model.foreign = "weights in other files"
            match p.number:
                case 1:
                    shape += read.numbers(p, Budget.RANK)
                case 2:
                    kind = read.number(p)
                case 8:
                    name = self._name(p)
                case 9:
                    raw = length
                case 4 | 5 | 6 | 7 | 10 | 11:
                    stored += length
                case 13:
                    texts = {q.number: self._name(q) for q in read(p.span)}
                    places[texts.get(1, "")] = texts.get(2, "")
                case 14:
                    outside = read.number(p) == 1
        subject = f"the weight '{sanitized(name)}'"
        dtype, bits = element(kind, shape, subject)
        elements = math.prod(shape)
        nbytes = (elements * bits + 7) // 8 if bits else stored
        external = _place(places, subject) if outside else None
        if raw is not None:
            stored, fits = raw, not bits or raw == nbytes
        else:  # numbers may be packed: a byte holds up to eight elements
            fits = elements <= 8 * stored or (not bits and elements <= Budget.FIELDS)
        demand(external is not None or fits, f"{subject} needs {nbytes:,} bytes, but has {stored:,}")
        return Weight(name, dtype, tuple(shape), elements, nbytes if bits else stored, external, span)

    def _sparse(self, span: Span) -> Weight:
        self._model.foreign = "sparse weights"
        for p in self._fields(span):
            if p.number == 1:
                return self._weight(p.span)
        raise ValueError("a sparse weight has no values")

    def _declared(self, span: Span) -> Declared:
        name, doc, kind, dtype, shape = "", "", "opaque", "", None
        for p in self._fields(span):
            if p.number == 1:
                name = self._name(p)
            elif p.number == 3:
                doc = self._fields.text(p, Budget.TEXT)
            elif p.number == 2:
                for q in self._fields(p.span):
                    kind = _KINDS.get(q.number, kind)
                    if q.number in (1, 8):
                        dtype, shape = self._tensor_type(q.span, name)
        return Declared(name, kind, dtype, shape, doc)

    def _tensor_type(self, span: Span, name: str) -> tuple[str, tuple[int | str | None, ...] | None]:
        kind, shape = 0, None
        for p in self._fields(span):
            if p.number == 1:
                kind = self._fields.number(p)
            elif p.number == 2:
                sizes = [self._size_of(q.span) for q in self._fields(p.span) if q.number == 1]
                demand(len(sizes) <= Budget.RANK, f"'{sanitized(name)}' has an impossible shape")
                shape = tuple(None if isinstance(s, int) and s < 0 else s for s in sizes)  # some programs write -1
        return element(kind, (), f"'{sanitized(name)}'")[0], shape

    def _size_of(self, span: Span) -> int | str | None:
        for p in self._fields(span):
            if p.number == 1:
                return self._fields.number(p)
            if p.number == 2:
                return self._name(p) or None
        return None

    def _name(self, part: Field) -> str:
        length = part.span[1] - part.span[0]
        self._names -= length
        if length > Budget.NAME or self._names < 0:
            raise ValueError(f"it has a name of {length:,} bytes" if length > Budget.NAME else "it has too many names")
        return self._fields.text(part, Budget.NAME)


_KINDS = {1: "tensor", 4: "sequence", 5: "map", 7: "opaque", 8: "sparse tensor", 9: "optional"}


def _place(places: dict[str, str], subject: str) -> tuple[str, int, int | None]:
    """Return the file, the offset and the length of a weight outside the model."""
    try:
        offset, size = int(places.get("offset", "0")), int(places["length"]) if "length" in places else None
    except ValueError:
        offset = size = -1
    demand(places.get("location") and min(offset, size or 0) >= 0, f"{subject} has a wrong place in another file")
    return places["location"], offset, size


# The order of nodes.
SHOWN_PATH = 6  # nodes of a cycle


def check_order(
    nodes: Sequence[tuple[str, Sequence[str], Sequence[str]]], known: Collection[str], fixed: Collection[str] = ()
) -> None:
    """Raise ValueError if a value is computed twice, not at all or too late, or depends on itself.

    ``nodes``: how a message calls each, what it reads, and what it computes; none may compute what is ``fixed``.
    """
    maker: dict[str, int] = {}
    for k, (called, _, results) in enumerate(nodes):
        for name in results:
            if name in maker or name in fixed:
                raise ValueError(f"{called} computes '{sanitized(name)}', which exists already")
            maker[name] = k
    ready = set(known)
    for k, (called, needs, results) in enumerate(nodes):
        for name in (name for name in needs if name not in ready):
            if name not in maker:
                raise ValueError(f"nothing computes '{sanitized(name)}', which {called} reads")
            if cycle := cycle_from(k, [needs for _, needs, _ in nodes], maker, set()):
                shown = [nodes[i][0] for i in cycle[:SHOWN_PATH]] + ([] if len(cycle) <= SHOWN_PATH else ["…"])
                raise ValueError(f"nodes depend on themselves: {' ← '.join([*shown, shown[0]])}")
            raise ValueError(f"{called} stands before the node that computes '{sanitized(name)}'")
        ready.update(results)


def cycle_from(start: int, needs: Sequence[Iterable[str]], maker: Mapping[str, int], done: set[int]) -> list[int]:
    """Return the first cycle of nodes that a node depends on; empty if there is none.

    ``needs`` is what each node reads, ``maker`` the node that computes a value; ``done`` collects those without cycles.
    """
    path: list[tuple[int, Iterator[str]]] = [] if start in done else [(start, iter(needs[start]))]
    on_path = {start}
    while path:
        k, left = path[-1]
        other = next((maker[n] for n in left if n in maker and maker[n] not in done), None)
        if other is None:
            done.add(k)
            on_path.discard(k)
            path.pop()
        elif other in on_path:
            cycle = [i for i, _ in path]
            return cycle[cycle.index(other) :]
        else:
            path.append((other, iter(needs[other])))
            on_path.add(other)
    return []
