"""What an ONNX file holds besides its weights, found without loading it: nothing is run, and nothing large is read.

A file may come from a stranger. onnxruntime runs parts of a graph already while it loads it, so what cannot be
graphspec's is refused before.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from graphspec.errors import UsageError
from graphspec.export.session import plain

LARGEST = 2**31
"""Bytes of the largest file: protobuf's limit of a message."""
_FIELDS = 5_000_000
"""Fields that are looked at, at most: a network of ten thousand operators has some 300,000."""

# Numbers of fields in onnx.proto, and protobuf's kinds of values.
_GRAPH, _METADATA, _FUNCTIONS = 7, 14, 25
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15
_OP_TYPE, _ATTRIBUTE = 4, 5
_SUBGRAPH, _SUBGRAPHS, _TENSOR, _TENSORS = 6, 11, 5, 10
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_KEY, _VALUE = 1, 2
_VARINT, _DOUBLE, _BYTES, _SINGLE = 0, 1, 2, 5


@dataclass
class Outline:
    """What a file says of itself.

    Attributes:
        metadata: texts by key.
        strange: what it has that graphspec never writes, in words.
    """

    metadata: dict[str, bytes] = field(default_factory=dict)
    strange: str | None = None


def outline(path: Path) -> Outline:
    """Look through a file.

    Raises:
        UsageError: it is no regular file, empty, too large, or no protobuf message.
    """
    if not path.is_file():
        raise UsageError(f"{path} is no regular file")
    size = path.stat().st_size
    if size == 0:
        raise UsageError(f"{path} is empty")
    if size > LARGEST:
        raise UsageError(f"{path} has {size / 2**30:.1f} GiB, an ONNX file at most {LARGEST / 2**30:.0f}")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            return _Reader(content).model()
        except ValueError as error:
            raise UsageError(f"{path} is no ONNX file: {error}") from None


Span = tuple[int, int]


class _Reader:
    """Messages as spans of one mapped file."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content, self._left = content, _FIELDS
        self._found = Outline()

    def model(self) -> Outline:
        graphs = 0
        for number, span in self._fields((0, len(self._content))):
            if number == _METADATA:
                texts = {n: self._content[slice(*s)] for n, s in self._fields(span) if n in (_KEY, _VALUE)}
                self._found.metadata[texts.get(_KEY, b"").decode(errors="replace")] = texts.get(_VALUE, b"")
            elif number == _FUNCTIONS:
                self._found.strange = "functions of its own"
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
                self._found.strange = "sparse weights"

    def _node(self, span: Span) -> None:
        operator = "an operator"
        for number, part in self._fields(span):
            if number == _OP_TYPE:
                operator = plain(self._content[slice(*part)][:200].decode(errors="replace"))
            elif number == _ATTRIBUTE:
                for kind, value in self._fields(part):
                    if kind in (_SUBGRAPH, _SUBGRAPHS):
                        self._found.strange = f"a graph within {operator}, which may run without end"
                    elif kind in (_TENSOR, _TENSORS):
                        self._tensor(value)

    def _tensor(self, span: Span) -> None:
        if any(
            number in (_EXTERNAL_DATA, _DATA_LOCATION) and stop > start for number, (start, stop) in self._fields(span)
        ):
            self._found.strange = "weights in other files"

    def _fields(self, span: Span) -> Iterator[tuple[int, Span]]:
        """The fields of a message: their numbers, and where their values are; an integer 0 is an empty span."""
        place, stop = span
        while place < stop:
            self._left -= 1
            if self._left < 0:
                raise ValueError(f"it has more than {_FIELDS:,} parts")
            key, place = self._integer(place, stop)
            kind, start = key & 7, place
            if kind == _VARINT:
                value, place = self._integer(place, stop)
                start = place if value == 0 else start
            elif kind == _BYTES:
                length, start = self._integer(place, stop)
                place = start + length
            elif kind in (_DOUBLE, _SINGLE):
                place += 8 if kind == _DOUBLE else 4
            else:
                raise ValueError(f"there is no value of kind {kind} (byte {start})")
            if place > stop:
                raise ValueError(f"it is cut off, or damaged (byte {start})")
            yield key >> 3, (start, place)

    def _integer(self, place: int, stop: int) -> tuple[int, int]:
        """A number in groups of seven bits, and where it ends."""
        value = 0
        for shift in range(0, 70, 7):
            if place >= stop:
                raise ValueError(f"it is cut off, or damaged (byte {place})")
            byte = self._content[place]
            place += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, place
        raise ValueError(f"it has a number of more than 64 bits (byte {place})")
