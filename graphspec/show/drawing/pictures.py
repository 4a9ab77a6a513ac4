"""Pictures as PNG: written with zlib alone, small enough for a page."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode

import numpy as np

from graphspec.graph.ir.graph import Array

SIDES = (128, 96, 64, 48, 32, 24)  # pixels of a picture's longest side on a page: the first that is small enough
_FEWEST = 4  # pixels of a side, from which on an array with one or three channels is taken for a picture


def is_picture(shape: tuple[int, ...]) -> bool:
    """Return whether a row of this shape looks like a picture: ``(height, width, 1 or 3)``."""
    return len(shape) == 3 and shape[2] in (1, 3) and min(shape[:2]) >= _FEWEST


def pixels(picture: Array) -> Array:
    """Return a picture ``(height, width, 1 or 3)`` as uint8 ``(height, width)`` or ``(height, width, 3)``.

    Values from 0 to 1 are scaled to 255, and values from 0 to 255 stay; others are scaled from their smallest to their
    largest. NaN is black.
    """
    plain = picture[..., 0] if picture.shape[2] == 1 else picture
    if plain.dtype == np.uint8:
        return np.ascontiguousarray(plain)
    values = np.where(np.isfinite(plain), plain, 0).astype(np.float64)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    return np.rint((values - low) * (255 / (high - low or 1.0))).astype(np.uint8)


def png(image: Array) -> bytes:
    """Return uint8 pixels as a PNG file: ``(height, width)`` grey, ``(height, width, 3)`` RGB, or 4 with alpha."""
    height, width = image.shape[:2]
    rows = image.reshape(height, -1)
    differences = rows.copy()
    differences[1:] -= rows[:-1]  # modulo 256, as filter 2 (Up) wants it
    packed = min((_packed(rows, 0), _packed(differences, 2)), key=len)
    kind = 0 if image.ndim == 2 else {3: 2, 4: 6}[image.shape[2]]
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def data_uri(image: Array) -> str:
    """Return pixels as the source of an ``img``."""
    return "data:image/png;base64," + b64encode(png(image)).decode()


def small_uri(image: Array, room: int) -> str:
    """Return pixels as the source of an ``img``, in at most ``room`` characters if the smallest of ``SIDES`` fits.

    A picture that is too large is made smaller by whole numbers; one with many colours loses the lowest bits.
    """
    uri = ""
    for side in SIDES:
        smaller = shrunk(image, side)
        for kept in (0xFF, 0xF8):
            uri = data_uri(smaller & np.uint8(kept))
            if len(uri) <= room:
                return uri
    return uri


def shrunk(image: Array, side: int) -> Array:
    """Return an image with sides of at most ``side`` pixels, each the mean of a block; a smaller one as it is."""
    factor = -(-max(image.shape[:2]) // side)
    if factor <= 1:
        return image
    height, width = (max(n // factor, 1) for n in image.shape[:2])
    across, down = (min(factor, n) for n in (image.shape[1], image.shape[0]))
    blocks = image[: height * down, : width * across].reshape(height, down, width, across, -1)
    means = np.rint(blocks.mean((1, 3))).astype(np.uint8)
    return np.ascontiguousarray(means[..., 0] if image.ndim == 2 else means)


def _packed(rows: Array, kind: int) -> bytes:
    """Return the lines of a picture, compressed, each with the number of its filter before it."""
    lines = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    lines[:, 0], lines[:, 1:] = kind, rows
    return zlib.compress(lines.tobytes(), 9)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
