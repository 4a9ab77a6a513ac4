"""Inspect an ONNX file without loading it: nothing is run, and nothing large is read.

A file may come from an untrusted source. onnxruntime already runs parts of a graph while it loads it, so files that
graphspec cannot have written are refused before that.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from graphspec.base.errors import UsageError
from graphspec.export.protobuf import Fields, Span
from graphspec.graph.onnx_session import sanitized
from graphspec.graph.ops import OPS

MAX_FILE_BYTES = 2**31  # protobuf's limit of a message
_MAX_FIELDS = 5_000_000  # fields that are read; a network of ten thousand operators has about 300,000
_MAX_DEPTH = 16

# Field numbers of onnx.proto.
_GRAPH, _METADATA, _FUNCTIONS = 7, 14, 25
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15
_OP_TYPE, _ATTRIBUTE, _DOMAIN = 4, 5, 7
_SUBGRAPH, _SUBGRAPHS, _TENSOR, _TENSORS = 6, 11, 5, 10
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_KEY, _VALUE = 1, 2
_ONNX = "ai.onnx"  # another spelling of the empty domain


@dataclass
class Outline:
    """The inspected content of a file.

    Attributes:
        metadata: texts by key.
        foreign: a description of content that graphspec never writes, or None. That is also what a loop, which may run
            forever, of a merged file is.
        merged: a description of content that only a file with merged ONNX files has, or None.
    """

    metadata: dict[str, bytes] = field(default_factory=dict)
    foreign: str | None = None
    merged: str | None = None


def outline(path: Path) -> Outline:
    """Inspect a file.

    Raises:
        UsageError: it is not a regular file, is empty or too large, or is not a protobuf message.
    """
    if not path.is_file():
        raise UsageError(f"{path} is not a regular file")
    size = path.stat().st_size
    if size == 0:
        raise UsageError(f"{path} is empty")
    if size > MAX_FILE_BYTES:
        raise UsageError(f"{path} has {size / 2**30:.1f} GiB, an ONNX file has at most {MAX_FILE_BYTES / 2**30:.0f}")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            return _Reader(content).model()
        except ValueError as error:
            raise UsageError(f"{path} is not an ONNX file: {error}") from None


class _Reader:
    """Reads messages as spans of one memory-mapped file."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content, self._read = content, Fields(content, _MAX_FIELDS)
        self._found = Outline()
        self._depth = 0

    def model(self) -> Outline:
        graphs = 0
        for number, span in self._fields((0, len(self._content))):
            if number == _METADATA:
                texts = {n: self._content[slice(*s)] for n, s in self._fields(span) if n in (_KEY, _VALUE)}
                self._found.metadata[texts.get(_KEY, b"").decode(errors="replace")] = texts.get(_VALUE, b"")
            elif number == _FUNCTIONS:
                self._found.foreign = "local functions"
            elif number == _GRAPH:
                graphs += 1
                self._graph(span)
        if graphs != 1:
            raise ValueError(f"it has {graphs or 'no'} graph" + ("s" if graphs else ""))
        return self._found

    def _graph(self, span: Span) -> None:
        for number, part in self._fields(span):
            if number == _NODE:
                self._node(part)
            elif number == _INITIALIZER:
                self._tensor(part)
            elif number == _SPARSE:
                self._found.foreign = "sparse weights"

    def _node(self, span: Span) -> None:
        operator, domain = "an operator", ""
        for number, part in self._fields(span):
            if number == _OP_TYPE:
                operator = self._name(part)
            elif number == _DOMAIN:
                domain = self._name(part)
            elif number == _ATTRIBUTE:
                for kind, value in self._fields(part):
                    if kind in (_SUBGRAPH, _SUBGRAPHS):
                        self._inside(operator, domain, value)
                    elif kind in (_TENSOR, _TENSORS):
                        self._tensor(value)
        if domain not in ("", _ONNX) and (operator not in OPS or OPS[operator].domain != domain):
            self._found.merged = f"the operator {operator} of {domain}"

    def _inside(self, operator: str, domain: str, span: Span) -> None:
        """Inspect a graph inside a node. Only a branch cannot run forever."""
        if operator != "If" or domain not in ("", _ONNX):
            self._found.foreign = f"a graph inside {operator}, which may run forever"
            return
        self._found.merged = "a graph inside If"
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ValueError(f"it has graphs in graphs, more than {_MAX_DEPTH} deep")
        self._graph(span)
        self._depth -= 1

    def _name(self, span: Span) -> str:
        return sanitized(self._content[slice(*span)][:200].decode(errors="replace"))

    def _tensor(self, span: Span) -> None:
        if any(
            number in (_EXTERNAL_DATA, _DATA_LOCATION) and stop > start for number, (start, stop) in self._fields(span)
        ):
            self._found.foreign = "weights in other files"

    def _fields(self, span: Span) -> Iterator[tuple[int, Span]]:
        """Yield the number and the span of each field of a message."""
        return ((field.number, field.span) for field in self._read(span))
