"""ZIP archives that lie: made by zipfile, and changed after that."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterable

END = b"PK\5\6"
CENTRAL = b"PK\1\2"
LOCAL = b"PK\3\4"


def archive(entries: dict[str, bytes] | Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    """An archive; a list of pairs may have a name twice."""
    file = io.BytesIO()
    pairs = entries.items() if isinstance(entries, dict) else entries
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as made:
        warnings.simplefilter("ignore")  # of a name twice
        for name, data in pairs:
            made.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data, method)
    return file.getvalue()


def patched(data: bytes, mark: bytes, at: int, value: bytes, which: int = 0) -> bytes:
    """An archive with other bytes at an offset of the header number ``which`` that begins with ``mark``."""
    place = -1
    for _ in range(which + 1):
        place = data.index(mark, place + 1)
    place += at
    return data[:place] + value + data[place + len(value) :]


def both(data: bytes, local: int, central: int, value: bytes, which: int = 0) -> bytes:
    """An archive with the same change of an entry in its two headers."""
    return patched(patched(data, LOCAL, local, value, which), CENTRAL, central, value, which)


def encrypted(data: bytes, which: int = 0) -> bytes:
    """An archive whose entry says that it is encrypted."""
    return both(data, 6, 8, struct.pack("<H", 1), which)


def method(data: bytes, number: int, which: int = 0) -> bytes:
    """An archive whose entry says that it is packed by another method."""
    return both(data, 8, 10, struct.pack("<H", number), which)


def claims(data: bytes, size: int, which: int = 0) -> bytes:
    """An archive whose entry says that it has another size when it is unpacked."""
    return both(data, 22, 24, struct.pack("<I", size), which)


def of_zeros(name: str, start: bytes, size: int) -> bytes:
    """An archive with one entry of ``start`` and zeros, packed a thousand times: written without the zeros in memory."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    piece, parts, crc = bytes(1 << 20), [packer.compress(start)], zlib.crc32(start)
    for _ in range(size >> 20):
        parts.append(packer.compress(piece))
        crc = zlib.crc32(piece, crc)
    packed = b"".join([*parts, packer.flush()])
    found = archive({name: packed})
    found = method(found, 8)
    whole = len(start) + (size >> 20 << 20)
    found = both(found, 14, 16, struct.pack("<I", crc))
    return claims(found, whole)


def many(count: int) -> bytes:
    """An archive with many entries that are all the same few bytes, which a central directory names."""
    body = archive({"a": b"x"})
    local = body[: body.index(CENTRAL)]
    entry = body[body.index(CENTRAL) : body.index(END)]
    start, name = entry[:46], 1
    assert entry[46:] == b"a"
    entries = b"".join(
        start[:28] + struct.pack("<H", 5 + name - 1) + start[30:] + f"{k:05x}".encode() for k in range(count)
    )
    end = END + struct.pack("<HHHHIIH", 0, 0, min(count, 0xFFFF), min(count, 0xFFFF), len(entries), len(local), 0)
    return local + entries + end
