"""Read an ONNX file of any origin, with bounds: nothing in it is run, and what contradicts itself is refused.

The result is self-contained: weights in other files are taken in, and local functions are inlined.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from graphspec.base.codes import Code
from graphspec.base.errors import ProblemError, did_you_mean
from graphspec.graph.onnx_session import sanitized
from graphspec.vocabulary.onnx_files.soundness import check_sound, tensors_of
from graphspec.vocabulary.onnx_files.tensors import nbytes_of

MAX_BYTES = 2**31 - 2**24
"""Bytes of a file with its weights: protobuf's limit of a message, less room for what an export adds."""
OLDEST_OPSET = 7
"""The oldest opset that onnxruntime promises to compute."""
_HINT = "export or download the file again"
_SHOWN = 8  # values of a list in a message


@dataclass(frozen=True)
class Port:
    """An input or an output that a file declares.

    Attributes:
        dtype: ``float32``, ``int64``, ``string``, …; empty for what is no tensor.
        shape: a size is a number, a symbol, or None if it is unknown; None if the rank is unknown.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None

    def __str__(self) -> str:
        sizes = "(…)" if self.shape is None else f"({', '.join('?' if d is None else str(d) for d in self.shape)})"
        return f"'{sanitized(self.name)}' {self.dtype or 'no tensor'}{sanitized(sizes)}"


@dataclass(frozen=True)
class OnnxFile:
    """A sound file.

    Attributes:
        name: its name in the spec.
        sha256: the hash of :attr:`data`.
        data: the model in one piece, with the weights of other files.
        inputs, outputs: what it declares; inputs with an initializer are weights.
    """

    name: str
    sha256: str
    data: bytes = field(repr=False)
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

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
        """Return the names of the values that are meant: any in the file, by default its outputs.

        Raises:
            ProblemError: GS201, the file has no such value.
        """
        names = (
            tuple(p.name for p in self.outputs) if output is None else (output,) if isinstance(output, str) else output
        )
        known = [v for node in self.model.graph.node for v in node.output if v]
        for name in names:
            if name not in known:
                text = f"has no value '{sanitized(name)}'"
                listed = ", ".join(f"'{sanitized(p.name)}'" for p in self.outputs[:_SHOWN])
                hint = did_you_mean(name, known) or f"its outputs are {listed}"
                raise ProblemError(Code.UNKNOWN_NODE, text, hint, key="output")
        return names


def read_onnx(folder: Path, name: str) -> OnnxFile:
    """Read a file in ``folder`` or below it.

    Raises:
        ProblemError: GS513, it or one of its weights is elsewhere; GS501, it cannot be read; GS801, it is not sound; GS802,
            it has a part that is not supported. The message is a predicate.
    """
    path = _inside(folder, folder, name, "copy it beside the spec")
    stat = path.stat()
    return _read(folder.resolve(), path, name, (stat.st_mtime_ns, stat.st_size))


def of_bytes(name: str, data: bytes) -> OnnxFile:
    """Return a file of its content, which has no weights in other files; errors as for :func:`read_onnx`."""
    model = _parsed(data)
    weights = {t.name for t in model.graph.initializer} | {t.values.name for t in model.graph.sparse_initializer}
    inputs = tuple(_port(v) for v in model.graph.input if v.name not in weights)
    found = OnnxFile(name, hashlib.sha256(data).hexdigest(), data, inputs, tuple(map(_port, model.graph.output)))
    found.__dict__["model"] = model  # it is parsed already
    return found


@lru_cache(maxsize=4)
def _read(folder: Path, path: Path, name: str, _: tuple[int, int]) -> OnnxFile:
    size = path.stat().st_size
    if not 0 < size <= MAX_BYTES:
        text = "is empty" if size == 0 else f"has {size / 2**30:.1f} GiB, at most {MAX_BYTES / 2**30:.0f} are read"
        raise invalid(text)
    data = _content(path)
    return of_bytes(name, _in_one_piece(data, path.parent, folder))


def invalid(text: str, hint: str = _HINT) -> ProblemError:
    """Return GS801, with a predicate as message."""
    return ProblemError(Code.INVALID_FILE, text, hint)


def unsupported(text: str, hint: str | None = None) -> ProblemError:
    """Return GS802, with a predicate as message."""
    return ProblemError(Code.UNSUPPORTED_FILE, text, hint)


def opset_of(model: Any) -> int:
    """Return the version of ONNX's own operators that a model names; 0 if it names none."""
    return next((int(o.version) for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)


def at_opset(model: Any, opset: int) -> Any:
    """Return a model with ONNX's operators of a newer ``opset``, by ONNX's own converter.

    Raises:
        ProblemError: GS802, it cannot be converted.
    """
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
    parts = (*PurePosixPath(name).parts, *PureWindowsPath(name).parts)
    leads_out = "\0" in name or ".." in parts or PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor
    if leads_out or not (base / name).resolve().is_relative_to(folder.resolve()):
        raise ProblemError(Code.OUTSIDE_FOLDER, "is neither beside the spec nor below its folder", hint)
    path = base / name
    if not path.is_file():
        text = "does not exist" if not path.exists() else "is not a regular file"
        raise ProblemError(Code.UNREADABLE_FILE, text, "file names are relative to the spec")
    return path.resolve()


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
        try:
            path = _inside(folder, beside, location, "copy it beside the file that names it")
        except ProblemError as error:
            raise error.changed(message=_elsewhere(tensor, location, error.problem.message)) from None
        at, length = _number(places.get("offset", "0")), places.get("length")
        left = path.stat().st_size - (at or 0)
        count = left if length is None else _number(length)
        if at is None or count is None:
            raise invalid(_elsewhere(tensor, location, "has no such place"))
        expected = nbytes_of(tensor)
        if count > left or (expected is not None and count != expected):
            text = f"has {max(left, 0):,} bytes for it, {expected or count:,} are needed"
            raise invalid(_elsewhere(tensor, location, text))
        total += count
        if total > MAX_BYTES:
            raise invalid(f"has weights of more than {MAX_BYTES / 2**30:.0f} GiB", "use a smaller network")
        tensor.raw_data = _content(path, at, count)
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
    whole: bytes = model.SerializeToString(deterministic=True)
    return whole


def _elsewhere(tensor: Any, location: str, text: str) -> str:
    return f"has the weight '{sanitized(tensor.name)}' in '{sanitized(location)}', which {text}"


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _message(data: bytes) -> Any:
    from onnx import ModelProto

    try:
        return ModelProto.FromString(data)
    except Exception as error:  # protobuf's, which has no types
        raise invalid(f"is not an ONNX file: {_first_line(error)}") from None


def _parsed(data: bytes) -> Any:
    """Return a sound model without local functions."""
    from onnx import checker, defs, inliner

    model = _message(data)
    if not model.HasField("graph"):
        raise invalid("is not an ONNX file: it has no graph")
    opset, newest = opset_of(model), defs.onnx_opset_version()
    if opset == 0 and any(node.domain in ("", "ai.onnx") for node in model.graph.node):
        raise invalid("names no opset")
    if opset > newest:
        raise unsupported(
            f"has opset {opset}, the installed onnx knows {newest}", "install a newer onnx and onnxruntime"
        )
    if 0 < opset < OLDEST_OPSET:
        raise unsupported(f"has opset {opset}, the oldest that is computed is {OLDEST_OPSET}", "convert it with onnx")
    check_sound(model)
    if any(t.data_location == 1 for t in tensors_of(model)):
        raise invalid("has weights in other files, which are not beside it")
    try:
        checker.check_model(model)
        if model.functions:
            model = inliner.inline_local_functions(model)
            check_sound(model)
    except ProblemError:
        raise
    except Exception as error:  # of the C++ library, of many classes
        raise invalid(f"is not a sound ONNX file: {_first_line(error)}") from None
    return model


def _port(value: Any) -> Port:
    from onnx import helper

    kind = value.type.tensor_type
    if value.type.WhichOneof("value") != "tensor_type" or kind.elem_type == 0:
        return Port(value.name, "", None)
    try:
        dtype = "string" if kind.elem_type == 8 else str(helper.tensor_dtype_to_np_dtype(kind.elem_type))
    except KeyError:
        text = f"is not a sound ONNX file: '{sanitized(value.name)}' has the element type {kind.elem_type}"
        raise invalid(f"{text}, which ONNX does not have") from None
    shape = tuple(_size(d) for d in kind.shape.dim) if kind.HasField("shape") else None
    return Port(value.name, dtype, shape)


def _size(d: Any) -> int | str | None:
    if d.WhichOneof("value") == "dim_value":
        return int(d.dim_value) if d.dim_value >= 0 else None
    return str(d.dim_param) or None


def _first_line(error: Exception) -> str:
    lines: Iterator[str] = (line.strip() for line in str(error).splitlines())
    return sanitized(next((line for line in lines if line), type(error).__name__), 200)
