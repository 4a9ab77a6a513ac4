"""A writer of small HDF5 files that may say anything: groups by compact links, arrays in one piece, attributes.

Every part of an object is a message, so a message may be replaced by a wrong one. An address is a place in the file, or a
name of an object, which may be written later, or the same again.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MAGIC = b"\x89HDF\r\n\x1a\n"
UNDEFINED = 2**64 - 1
SPACE, LINK_INFO, TYPE, FILL, LINK, EXTERNAL, LAYOUT, FILTERS, ATTRIBUTE, MORE, SYMBOLS = (
    1,
    2,
    3,
    5,
    6,
    7,
    8,
    11,
    12,
    16,
    17,
)

Address = int | str


@dataclass
class Message:
    """A message: its data, in which each address of ``names`` stands at its offset."""

    kind: int
    data: bytes
    names: dict[int, Address] = field(default_factory=dict)


@dataclass
class Group:
    """A group: members by name (an object, or the name of one), links, attributes, and messages of any kind."""

    members: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    name: str = ""


@dataclass
class Array:
    """An array; what is said of it may be wrong.

    Attributes:
        layout: the message of the layout; its address is ``values``.
        messages: further messages, such as filters.
    """

    values: Any
    shape: tuple[int, ...] | None = None
    type: bytes | None = None
    layout: bytes | None = None
    messages: list[Message] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    name: str = ""


@dataclass
class Soft:
    """A soft link: a path in the file."""

    path: str


@dataclass
class Outside:
    """An external link: a file and a path in it."""

    file: str
    path: str = "/"


def file_of(root: Group, *, superblock: bytes | None = None) -> bytes:
    """The bytes of a file."""
    return _Writer().file(root, superblock)


def type_of(dtype: Any) -> bytes:
    """The message of a dtype: floats, integers, texts of a fixed size."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        parts = {2: (15, 10, 5, 0, 10, 15), 4: (31, 23, 8, 0, 23, 127), 8: (63, 52, 11, 0, 52, 1023)}[kind.itemsize]
        sign, exponent_at, exponent, mantissa_at, mantissa, bias = parts
        return struct.pack(
            "<BBBBIHHBBBBI", 0x11, 0x20, sign, 0, kind.itemsize, 0, 8 * kind.itemsize, exponent_at, exponent, mantissa_at,
            mantissa, bias,
        )  # fmt: skip
    if kind.kind in "iu":
        return struct.pack("<BBBBIHH", 0x10, 8 * (kind.kind == "i"), 0, 0, kind.itemsize, 0, 8 * kind.itemsize)
    assert kind.kind == "S"
    return struct.pack("<BBBBI", 0x13, 1, 0, 0, kind.itemsize)


def space_of(shape: tuple[int, ...]) -> bytes:
    return struct.pack(f"<BBBBI{len(shape)}Q", 1, len(shape), 0, 0, 0, *shape)


def attribute(name: str, value: Any, *, shape: tuple[int, ...] | None = None, kind: bytes | None = None) -> Message:
    """An attribute of texts or numbers."""
    array = np.asarray(value.encode() if isinstance(value, str) else value)
    kind = kind or type_of(array.dtype)
    space = space_of(array.shape if shape is None else shape)
    text = name.encode() + b"\0"
    header = struct.pack("<BBHHH", 1, 0, len(text), len(kind), len(space))
    return Message(ATTRIBUTE, header + _padded(text) + _padded(kind) + _padded(space) + array.tobytes())


def layout(size: int) -> bytes:
    """The message of an array in one piece, without its address."""
    return struct.pack("<BBQQ", 3, 1, UNDEFINED, size)


def chunked(sizes: tuple[int, ...]) -> bytes:
    """The message of an array in pieces of these sizes (the last one is an element's bytes)."""
    return struct.pack(f"<BBBQ{len(sizes)}I", 3, 2, len(sizes), UNDEFINED, *sizes)


def filters(*numbers: int) -> Message:
    """The message of filters of an array in pieces; 1 is gzip."""
    parts = b"".join(struct.pack("<HHHHII", n, 0, 0, 1, 9, 0) for n in numbers)
    return Message(FILTERS, struct.pack("<BBHI", 1, len(numbers), 0, 0) + parts)


class _Writer:
    def __init__(self) -> None:
        self.data = bytearray(96)
        self.places: dict[str, int] = {}
        self.later: list[tuple[int, Address]] = []

    def file(self, root: Group, superblock: bytes | None) -> bytes:
        at = self.object(root)
        self.places["/"] = at
        for place, address in self.later:
            number = self.places[address] if isinstance(address, str) else address
            struct.pack_into("<Q", self.data, place, number)
        start = MAGIC + struct.pack("<8BHHI", 0, 0, 0, 0, 0, 8, 8, 0, 4, 16, 0)
        start += struct.pack("<QQQQQQII16x", 0, UNDEFINED, len(self.data), UNDEFINED, 0, at, 0, 0)
        self.data[:96] = superblock or start
        return bytes(self.data)

    def append(self, data: bytes) -> int:
        at = len(self.data)
        self.data += _padded(data)
        return at

    def object(self, thing: Any) -> int:
        messages = self.group(thing) if isinstance(thing, Group) else self.array(thing)
        messages += [attribute(name, value) for name, value in thing.attributes.items()] + thing.messages
        body = bytearray()
        names = []
        for message in messages:
            data = _padded(message.data)
            names += [(len(body) + 8 + offset, address) for offset, address in message.names.items()]
            body += struct.pack("<HHB3x", message.kind, len(data) & 0xFFFF, 0) + data
        at = self.append(struct.pack("<BBHIII", 1, 0, len(messages), 1, len(body), 0) + bytes(body))
        self.later += [(at + 16 + offset, address) for offset, address in names]
        if thing.name:
            self.places[thing.name] = at
        return at

    def group(self, group: Group) -> list[Message]:
        found = [Message(LINK_INFO, struct.pack("<BBQQ", 0, 0, UNDEFINED, UNDEFINED)), Message(10, bytes(2))]
        for name, member in group.members.items():
            text = name.encode()
            head = struct.pack("<BB", 1, 0x19)  # a kind of link, a name in UTF-8 of up to 65,535 bytes
            named = struct.pack("<BH", 1, len(text)) + text
            if isinstance(member, Soft):
                path = member.path.encode()
                found.append(Message(LINK, head + b"\1" + named + struct.pack("<H", len(path)) + path))
            elif isinstance(member, Outside):
                value = b"\0" + member.file.encode() + b"\0" + member.path.encode() + b"\0"
                found.append(Message(LINK, head + b"\x40" + named + struct.pack("<H", len(value)) + value))
            else:
                address = member if isinstance(member, int | str) else self.object(member)
                data = head + b"\0" + named
                found.append(Message(LINK, data + bytes(8), {len(data): address}))
        return found

    def array(self, array: Array) -> list[Message]:
        values = np.ascontiguousarray(array.values)
        values = values.reshape(np.shape(array.values))
        at = self.append(values.tobytes())
        shape = values.shape if array.shape is None else array.shape
        found = array.layout or layout(values.nbytes)
        place = 3 if found[1] == 2 else 2
        open_place = struct.unpack_from("<Q", found, place)[0] == UNDEFINED
        where = {place: at} if open_place else {}
        return [
            Message(SPACE, space_of(shape)),
            Message(TYPE, array.type or type_of(values.dtype)),
            Message(FILL, bytes([2, 2, 2, 0])),
            Message(LAYOUT, found, where),
        ]


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)
