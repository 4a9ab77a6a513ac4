"""Read an ONNX file of any origin, with bounds: nothing in it is run, and what contradicts itself is refused.

The result is self-contained: weights in other files are taken in, and local functions are inlined.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

from graphspec.base.budget import Budget, demand
from graphspec.base.config import as_tuple
from graphspec.base.errors import Code, ProblemError, did_you_mean
from graphspec.graph.onnx_session import sanitized
from graphspec.vocabulary.onnx_files.model_file import ELEMENTS, OLDEST_OPSET, Declared, check_order, element, leads_out

# Errors, with a predicate as message.
_invalid = partial(ProblemError, Code.INVALID_FILE, hint="export or download the file again")
unsupported = partial(ProblemError, Code.UNSUPPORTED_FILE)


def _unsound(text: str) -> ProblemError:
    return _invalid(f"is not a sound ONNX file: {text}")


# The bytes of tensors in an ONNX model.
_STORED = {"float_data": 4, "int64_data": 8, "double_data": 8}  # fields with a number per element, and its bytes


def nbytes_of(tensor: Any) -> int | None:
    """Return the bytes that a tensor's shape needs; None for texts, and for types of less than a byte."""
    bits = ELEMENTS.get(tensor.data_type, ("", 0))[1]
    return math.prod(tensor.dims) * bits // 8 if bits and bits % 8 == 0 else None


def stored_bytes(tensor: Any) -> int | None:
    """Return the bytes that a tensor has, counted as :func:`nbytes_of` counts; None if this cannot be said."""
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data)
    for name, size in _STORED.items():
        if (count := len(getattr(tensor, name))) and tensor.data_type not in (14, 15):
            return count * size
    return None if tensor.int32_data or tensor.uint64_data or tensor.string_data or tensor.data_type in (14, 15) else 0


# Whether an ONNX model fits together: names, order, the sizes of weights, the depth of graphs in graphs.
def tensors_of(model: Any) -> Iterator[Any]:
    """Yield all tensors of a model: initializers and attributes, those of subgraphs and functions too."""
    yield from _tensors_of_graph(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _tensors_of_node(node)
    for info in model.training_info:
        yield from _tensors_of_graph(info.initialization)
        yield from _tensors_of_graph(info.algorithm)


def subgraphs(node: Any) -> Iterator[Any]:
    """Yield the graphs inside a node, such as branches."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def check_sound(model: Any) -> None:
    """Raise GS801 unless names, order and sizes of a model fit together; what is too large or too deep counts as unsound."""
    try:
        for tensor in tensors_of(model):
            _check_texts(tensor.name)
            _check_tensor(tensor)
        for entry in model.opset_import:
            _check_texts(entry.domain)
        for function in model.functions:
            _check_texts(function.name, function.domain, *function.input, *function.output)
            for node in function.node:
                _check_names(node)
        _check_functions(model)
        _check_graph(model.graph, frozenset(), 0)
    except ValueError as error:
        raise _unsound(str(error)) from None


def node_name(node: Any) -> str:
    """Return how a message calls a node: by its name, else by what it computes."""
    name = node.name or next(iter(node.output), "")
    return f"{sanitized(node.op_type)} '{sanitized(name)}'"


def _tensors_of_graph(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _tensors_of_node(node)


def _tensors_of_node(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        one = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
        for sparse in (*one, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
    for graph in subgraphs(node):
        yield from _tensors_of_graph(graph)


def _check_names(node: Any) -> None:
    _check_texts(node.name, node.op_type, node.domain, *node.input, *node.output, *(a.name for a in node.attribute))


def _check_texts(*texts: Any) -> None:
    """Raise ValueError unless names are texts: protobuf returns bytes for what is not UTF-8."""
    demand(not any(isinstance(text, bytes) for text in texts), "it has a name that is not UTF-8")


def _check_tensor(tensor: Any) -> None:
    subject = f"the weight '{sanitized(tensor.name)}'"
    element(tensor.data_type, tensor.dims, subject)
    for entry in tensor.external_data:
        _check_texts(entry.key, entry.value)
    needed, stored = nbytes_of(tensor), stored_bytes(tensor)
    if tensor.data_location != 1 and needed is not None and stored is not None:
        demand(needed == stored, f"{subject} needs {needed:,} bytes, but has {stored:,}")


def _check_graph(graph: Any, around: Collection[str], depth: int) -> None:
    """Check a graph, which may read the values of the graphs ``around`` it."""
    demand(depth <= Budget.DEPTH, f"it has graphs in graphs, more than {Budget.DEPTH} deep")
    inputs, weights = [v.name for v in graph.input], weight_names(graph)
    _refuse_twice(inputs, "it has two inputs")
    _refuse_twice(weights, "it has two weights")
    known = {*around, *inputs, *weights}
    _check_texts(*inputs, *(v.name for v in graph.output))
    nodes = []
    for node in graph.node:
        _check_names(node)
        demand(node.op_type, f"{node_name(node)} has no operator")
        nodes.append((node_name(node), list(filter(None, node.input)), list(filter(None, node.output))))
    for name in (*known, *(name for *_, results in nodes for name in results)):
        if len(name) > Budget.NAME:
            raise ValueError(f"it has a name of {len(name):,} characters")
    check_order(nodes, known, {*inputs, *weights})
    for node, (*_, results) in zip(graph.node, nodes, strict=True):
        for inner in subgraphs(node):
            _check_graph(inner, known, depth + 1)
        known.update(results)
    for v in graph.output:
        demand(v.name in known, f"nothing computes its output '{sanitized(v.name)}'")


def _refuse_twice(names: Sequence[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{what} '{sanitized(name)}'")
        seen.add(name)


def weight_names(graph: Any) -> list[str]:
    """Return the names of the initializers of a graph, the sparse ones last."""
    return [t.name for t in graph.initializer] + [t.values.name for t in graph.sparse_initializer]


def _check_functions(model: Any) -> None:
    """Raise ValueError if local functions contain themselves, or have too many nodes once they are inlined."""
    functions = {(f.domain, f.name, getattr(f, "overload", "")): f for f in model.functions}
    sizes: dict[tuple[str, str, str], int] = {}

    def size(nodes: Sequence[Any], stack: tuple[tuple[str, str, str], ...], depth: int) -> int:
        deepest = Budget.DEPTH * 2
        demand(depth <= deepest, f"it has graphs or functions in each other, more than {deepest} deep")
        total = 0
        for node in nodes:
            key = node.domain, node.op_type, getattr(node, "overload", "")
            if key in stack:
                raise ValueError(f"its function '{sanitized(node.op_type)}' contains itself")
            if key in functions:
                if key not in sizes:
                    sizes[key] = size(functions[key].node, (*stack, key), depth + 1)
                total += sizes[key]
            total += 1 + sum(size(graph.node, stack, depth + 1) for graph in subgraphs(node))
            demand(total <= Budget.NODES, f"it has more than {Budget.NODES:,} nodes")
        return total

    for key, function in functions.items():
        size(function.node, (key,), 0)
    size(model.graph.node, (), 0)


_SHOWN = 8  # values of a list in a message


@dataclass(frozen=True)
class OnnxFile:
    """A sound file; ``name`` is that in the spec, ``sha256`` the hash of ``data``."""

    name: str
    sha256: str
    data: bytes = field(repr=False)  # the model in one piece, with the weights of other files
    inputs: tuple[Declared, ...]  # declared ones; those with an initializer are weights
    outputs: tuple[Declared, ...]

    def __hash__(self) -> int:
        return hash(self.sha256)

    @cached_property
    def model(self) -> Any:
        """The file as an ``onnx.ModelProto`` without local functions. It is shared: copy it before a change."""
        return _parsed(self.data)

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators."""
        return opset_of(self.model)

    def chosen(self, output: str | tuple[str, ...] | None) -> tuple[str, ...]:
        """Return the values that are meant: any in the file (else GS201), by default its outputs."""
        names = tuple(p.name for p in self.outputs) if output is None else as_tuple(output)
        known = [v for node in self.model.graph.node for v in node.output if v]
        if unknown := [name for name in names if name not in known]:
            listed = ", ".join(f"'{sanitized(p.name)}'" for p in self.outputs[:_SHOWN])
            hint = did_you_mean(unknown[0], known) or f"its outputs are {listed}"
            raise ProblemError(Code.UNKNOWN_NODE, f"has no value '{sanitized(unknown[0])}'", hint, key="output")
        return names


def read_onnx(folder: Path, name: str) -> OnnxFile:
    """Read a file in ``folder`` or below it; a ProblemError has a predicate as message.

    GS513: it or one of its weights is elsewhere; GS501: it cannot be read; GS801: it is not sound; GS802: not supported.
    """
    path = _inside(folder, folder, name, "copy it beside the spec")
    stat = path.stat()
    return _read(folder.resolve(), path, name, (stat.st_mtime_ns, stat.st_size))


def of_bytes(name: str, data: bytes) -> OnnxFile:
    """Return a file of its content, which has no weights in other files; errors as for :func:`read_onnx`."""
    model = _parsed(data)
    weights = set(weight_names(model.graph))
    inputs = tuple(_port(v) for v in model.graph.input if v.name not in weights)
    found = OnnxFile(name, hashlib.sha256(data).hexdigest(), data, inputs, tuple(map(_port, model.graph.output)))
    found.__dict__["model"] = model  # it is parsed already
    return found


@lru_cache(maxsize=4)
def _read(folder: Path, path: Path, name: str, _: tuple[int, int]) -> OnnxFile:
    size = path.stat().st_size
    if not 0 < size <= Budget.WEIGHTS:
        text = "is empty" if size == 0 else f"has {size / 2**30:.1f} GiB, at most {Budget.WEIGHTS / 2**30:.0f} are read"
        raise _invalid(text)
    return of_bytes(name, _in_one_piece(_content(path), path.parent, folder))


def copy_of(message: Any) -> Any:
    """Return a copy of a message of protobuf."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def opset_of(model: Any) -> int:
    """Return the version of ONNX's own operators that a model names; 0 if it names none."""
    return next((int(o.version) for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)


def at_opset(model: Any, opset: int) -> Any:
    """Return a model with ONNX's operators of a newer ``opset``, by ONNX's own converter; raise GS802 if it fails."""
    from onnx import version_converter

    if opset_of(model) == opset:
        return model
    try:
        return version_converter.convert_version(model, opset)
    except Exception as error:  # of the C++ library, of many classes
        text = f"cannot be converted from opset {opset_of(model)} to {opset}: {_first_line(error)}"
        raise unsupported(text, f"save it with opset {opset} or newer") from None


def _inside(folder: Path, base: Path, name: str, hint: str) -> Path:
    """Return the path of a file ``name``, relative to ``base``, that is in ``folder`` or below it."""
    if leads_out(name, base, folder):
        raise ProblemError(Code.OUTSIDE_FOLDER, "is neither beside the spec nor below its folder", hint)
    path = base / name
    if path.is_file():
        return path.resolve()
    text = "is not a regular file" if path.exists() else "does not exist"
    raise ProblemError(Code.UNREADABLE_FILE, text, "file names are relative to the spec")


def _content(path: Path, at: int = 0, length: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(at)
            return file.read(length)
    except OSError as error:
        text = f"cannot be read: {(error.strerror or type(error).__name__).lower()}"
        raise ProblemError(Code.UNREADABLE_FILE, text) from None


def _in_one_piece(data: bytes, beside: Path, folder: Path) -> bytes:
    """Return a model with the weights that it has in other files, which are beside it or below, and in ``folder``."""
    model = _message(data)
    outside = [t for t in tensors_of(model) if t.data_location == 1]
    if not outside:
        return data
    check_sound(model)
    total = len(data)
    for tensor in outside:
        places = {entry.key: entry.value for entry in tensor.external_data}
        location = places.get("location", "")
        subject = f"has the weight '{sanitized(tensor.name)}' in '{sanitized(location)}', which"
        try:
            path = _inside(folder, beside, location, "copy it beside the file that names it")
        except ProblemError as error:
            raise error.changed(message=f"{subject} {error.problem.message}") from None
        at, length = _number(places.get("offset", "0")), places.get("length")
        left = path.stat().st_size - (at or 0)
        count = left if length is None else _number(length)
        if at is None or count is None:
            raise _invalid(f"{subject} has no such place")
        expected = nbytes_of(tensor)
        if count > left or (expected is not None and count != expected):
            raise _invalid(f"{subject} has {max(left, 0):,} bytes for it, {expected or count:,} are needed")
        total += count
        if total > Budget.WEIGHTS:
            raise _invalid(f"has weights of more than {Budget.WEIGHTS / 2**30:.0f} GiB", hint="use a smaller network")
        tensor.raw_data = _content(path, at, count)
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
    return bytes(model.SerializeToString(deterministic=True))


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _message(data: bytes) -> Any:
    from onnx import ModelProto

    try:
        return ModelProto.FromString(data)
    except Exception as error:  # protobuf's, which has no types
        raise _invalid(f"is not an ONNX file: {_first_line(error)}") from None


def _parsed(data: bytes) -> Any:
    """Return a sound model without local functions."""
    from onnx import checker, defs, inliner

    model = _message(data)
    if not model.HasField("graph"):
        raise _invalid("is not an ONNX file: it has no graph")
    opset, newest = opset_of(model), defs.onnx_opset_version()
    if opset == 0 and any(node.domain in ("", "ai.onnx") for node in model.graph.node):
        raise _invalid("names no opset")
    if opset > newest:
        text = f"has opset {opset}, the installed onnx knows {newest}"
        raise unsupported(text, "install a newer onnx and onnxruntime")
    if 0 < opset < OLDEST_OPSET:
        raise unsupported(f"has opset {opset}, the oldest that is computed is {OLDEST_OPSET}", "convert it with onnx")
    check_sound(model)
    if any(t.data_location == 1 for t in tensors_of(model)):
        raise _invalid("has weights in other files, which are not beside it")
    try:
        checker.check_model(model)
        if model.functions:
            model = inliner.inline_local_functions(model)
            check_sound(model)
    except ProblemError:
        raise
    except Exception as error:  # of the C++ library, of many classes
        raise _unsound(_first_line(error)) from None
    return model


def _port(value: Any) -> Declared:
    from onnx import helper

    kind = value.type.tensor_type
    if value.type.WhichOneof("value") != "tensor_type" or kind.elem_type == 0:
        return Declared(value.name)
    try:
        dtype = "string" if kind.elem_type == 8 else str(helper.tensor_dtype_to_np_dtype(kind.elem_type))
    except KeyError:
        text = f"'{sanitized(value.name)}' has the element type {kind.elem_type}, which ONNX does not have"
        raise _unsound(text) from None
    shape = tuple(_size(d) for d in kind.shape.dim) if kind.HasField("shape") else None
    return Declared(value.name, dtype=dtype, shape=shape)


def _size(d: Any) -> int | str | None:
    if d.WhichOneof("value") == "dim_value":
        return int(d.dim_value) if d.dim_value >= 0 else None
    return str(d.dim_param) or None


def _first_line(error: Exception) -> str:
    lines: Iterator[str] = (line.strip() for line in str(error).splitlines())
    return sanitized(next((line for line in lines if line), type(error).__name__), 200)
