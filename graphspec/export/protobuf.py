"""Read protobuf messages field by field, as spans of a memory-mapped file: nothing large is copied, nothing is run."""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap
from typing import NamedTuple

Span = tuple[int, int]
_VARINT, _DOUBLE, _BYTES, _SINGLE = 0, 1, 2, 5


class Field(NamedTuple):
    """A field of a message.

    Attributes:
        number: its number in the schema.
        span: the position of its content; empty for an integer 0.
        is_bytes: whether it is a text, bytes, a message, or packed numbers.
    """

    number: int
    span: Span
    is_bytes: bool


class Fields:
    """Reads the fields of messages in one file.

    Args:
        most: the largest number of fields that are read in all.
    """

    def __init__(self, content: mmap, most: int) -> None:
        self.content, self._left, self._most = content, most, most

    def __call__(self, span: Span) -> Iterator[Field]:
        """Yield the fields of a message.

        Raises:
            ValueError: it is damaged, or the file has too many fields.
        """
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
        """Return the value of an int64 field."""
        start, stop = field.span
        if start == stop:
            return 0
        if field.is_bytes:
            raise ValueError(f"it has bytes in place of a number (byte {start})")
        value = self.integer(start, stop)[0] & (2**64 - 1)
        return value - 2**64 if value >= 2**63 else value

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
            yield value - 2**64 if value >= 2**63 else value
        raise ValueError(f"it has more than {most:,} numbers in a place for few (byte {field.span[0]})")

    def text(self, field: Field, most: int) -> str:
        """Return a text, cut to ``most`` bytes; what is not UTF-8 becomes ``�``."""
        start, stop = field.span
        return self.content[start : min(stop, start + most)].decode(errors="replace")
