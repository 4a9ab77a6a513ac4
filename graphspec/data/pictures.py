"""Decode pictures with Pillow: as they are, never resized; those of one height may have several widths, and are padded."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.codes import Code
from graphspec.data.source import DataError, MemoryBudget, Request, first_line
from graphspec.libraries import missing_library

if TYPE_CHECKING:
    from graphspec.arrays.layout import Array

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")  # no others: some start programs
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_WIDE = ("I", "F")  # modes with more than 8 bits per channel begin with these
_MAX_PIXELS = 1 << 26  # a small file may claim to be larger, and fill the memory
_ORIENTATION, _ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)  # EXIF
MAX_SHOWN = 20  # bad files that are reported
_ALIKE = 4  # of these, with the same fix


class BadFilesError(DataError):
    """Several files that cannot be used: at most ``MAX_SHOWN`` problems, few of a kind, and the number of further ones."""

    def __init__(self, each: Sequence[DataError], more: int = 0) -> None:
        first = each[0].problem
        super().__init__(first.code, first.message, first.hint)
        kinds = Counter[tuple[str, str | None]]()
        self._all = []
        for error in each:
            kind = error.problem.code, error.problem.hint
            kinds[kind] += 1
            if kinds[kind] <= _ALIKE:
                self._all.append(error)
            else:
                more += 1
        if more:
            self._all.append(DataError(first.code, f"has {more:,} more files that cannot be used", first.hint))

    @property
    def all(self) -> Sequence[DataError]:
        return self._all


@dataclass(frozen=True)
class Decoded:
    """Pictures as one array.

    Attributes:
        pixels: uint8 ``(n, height, width, channels)``; narrower pictures are padded with 0 on the right, lower ones below.
        axis: the axis along which their sizes may differ, 1 or 2; None if all have one size.
        sizes: the size of each picture on this axis, int64 ``(n,)``.
    """

    pixels: Array
    axis: int | None = None
    sizes: Array | None = None


def decode(paths: Sequence[Path], names: Sequence[str], request: Request) -> Decoded:
    """Return the pictures of files, turned upright, as grey, RGB or RGBA.

    An input of fixed height and width needs pictures of this size. If only one of the two varies, the pictures may have
    several sizes there. If both vary, all pictures have the size of the first.

    Args:
        paths, names: the files, and what to call them.
        request: the input; its last axis determines the channels.

    Raises:
        BadFilesError: GS501 for files that are damaged or not pictures, GS503 for another size, GS504 for 16 bits.
        DataError: GS503, the input is not one of pictures; GS602, they do not fit into memory; GS501, Pillow is missing.
    """
    try:
        from PIL import Image  # noqa: F401
    except ImportError:
        text = "has pictures, which Pillow decodes: it is not installed"
        raise DataError(Code.UNREADABLE_FILE, text, missing_library("pillow")) from None
    mode, size = _mode_and_size(request)
    axis = None if size.count(None) != 1 else 1 + size.index(None)
    largest = 0 if axis is None else _largest(paths, size, axis)
    sizes = np.zeros(len(paths), np.int64)
    array: Array | None = None
    bad: list[DataError] = []
    more = 0
    for row, (path, name) in enumerate(zip(paths, names, strict=True)):
        try:
            pixels = _decoded(path, name, mode, size)
            if axis is not None and pixels.shape[axis - 1] > largest:
                raise DataError(Code.UNREADABLE_FILE, f"has '{name}', which was altered while it was read", "try again")
        except DataError as error:
            bad, more = (bad, more + 1) if len(bad) == MAX_SHOWN else ([*bad, error], more)
            continue
        if axis is None:
            size = pixels.shape[:2]
        else:
            sizes[row] = pixels.shape[axis - 1]
        if not bad:
            if array is None:
                high, wide = (largest if k + 1 == axis else n for k, n in enumerate(pixels.shape[:2]))
                array = _allocated((len(paths), high, wide, len(mode)), request)
            _put(array[row], pixels)
    if bad:
        raise BadFilesError(bad, more)
    if array is None:
        array = np.empty((0, *(n or 1 for n in size), len(mode)), np.uint8)
    return Decoded(array) if axis is None else Decoded(array, axis, sizes)


def _put(place: Array, pixels: Array) -> None:
    """Copy a picture to the top left of its place, and fill the rest with 0."""
    high, wide = pixels.shape[:2]
    place[:high, :wide] = pixels
    place[high:] = 0
    place[:, wide:] = 0


def _mode_and_size(request: Request) -> tuple[str, tuple[int | None, ...]]:
    """Return Pillow's mode, and height and width, None for what varies."""
    shape = request.type.shape
    channels = shape[-1] if len(shape) == 4 else None
    if not isinstance(channels, int) or channels not in _MODES:
        hint = "an input of pictures has the shape [height, width, channels] with 1, 3 or 4 channels"
        raise DataError(Code.WRONG_ARRAY_SHAPE, f"has pictures for input '{request.name}', which takes none", hint)
    return _MODES[channels], tuple(n if isinstance(n, int) else None for n in shape[1:3])


def _largest(paths: Sequence[Path], size: tuple[int | None, ...], axis: int) -> int:
    """Return the largest size on an axis, of the pictures that fit; at least 1."""
    found = (upright_size(path) for path in paths)
    return max((each[axis - 1] for each in found if _fits(each, size) and each[0] * each[1] <= _MAX_PIXELS), default=1)


def upright_size(path: Path) -> tuple[int, int]:
    """Return height and width of a picture by its header, 0 and 0 if it has none: decoding it reports why."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_FORMATS) as image:
                width, height = image.size
                return (width, height) if image.getexif().get(_ORIENTATION) in _ON_ITS_SIDE else (height, width)
    except MemoryError:
        raise
    except Exception:  # decoders raise all kinds
        return 0, 0


def _allocated(shape: tuple[int, ...], request: Request) -> Array:
    if request.allocate is not None:
        return request.allocate(request.name, shape, np.dtype(np.uint8))
    MemoryBudget().reserve(int(np.prod(shape, dtype=np.int64)))
    return np.empty(shape, np.uint8)


def _decoded(path: Path, name: str, mode: str, size: tuple[int | None, ...]) -> Array:
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a large picture, of odd metadata
            with Image.open(path, formats=_FORMATS) as image:
                _refuse(image, name, size)
                upright: Any = ImageOps.exif_transpose(image)
                pixels: Array = np.asarray(upright.convert(mode))
                if not _fits(pixels.shape[:2], size):
                    raise _other_size(name, pixels.shape, size)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # decoders raise all kinds
        said = "it is no picture" if type(error).__name__ == "UnidentifiedImageError" else first_line(error)
        hint = f"remove it, or save it again as one of {', '.join(PICTURES)}"
        raise DataError(Code.UNREADABLE_FILE, f"has '{name}', which cannot be decoded: {said}", hint) from None
    return pixels.reshape(*pixels.shape[:2], len(mode))


def _refuse(image: Any, name: str, size: tuple[int | None, ...]) -> None:
    """Refuse a picture by its header, before it is decoded; it may lie on its side."""
    width, height = image.size
    if not _fits((height, width), size) and not _fits((width, height), size):
        raise _other_size(name, (height, width), size)
    if width * height > _MAX_PIXELS:
        text = f"has '{name}' of {height} x {width} pixels, more than {_MAX_PIXELS:,}"
        raise DataError(Code.WRONG_ARRAY_SHAPE, text, "make it smaller")
    if image.mode.startswith(_WIDE):
        text = f"has '{name}' with more than 8 bits per channel, which would be cut off"
        raise DataError(Code.LOSSY_CONVERSION, text, "save it with 8 bits, or write the numbers to an .npz file")
    if getattr(image, "is_animated", False):
        raise DataError(Code.WRONG_ARRAY_SHAPE, f"has '{name}' with several pictures", "save one of them")


def _fits(found: tuple[int, ...], size: tuple[int | None, ...]) -> bool:
    return all(n is None or n == k for n, k in zip(size, found, strict=True))


def _other_size(name: str, found: tuple[int, ...], size: tuple[int | None, ...]) -> DataError:
    if None in size:
        axis, other = ("height", "width") if size[1] is None else ("width", "height")
        wanted = next(n for n in size if n is not None)
        text = (
            f"has '{name}' of {found[0]} x {found[1]} pixels: its {axis} is {found[size.index(wanted)]}, not {wanted}"
        )
        hint = f"pictures that form one array have one {axis}, only their {other} may differ: resize it"
        return DataError(Code.WRONG_ARRAY_SHAPE, text, hint)
    text = f"has '{name}' of {found[0]} x {found[1]} pixels, not {size[0]} x {size[1]}"
    hint = "pictures that form one array have one height and width: resize them, or let one of the two be `null`"
    return DataError(Code.WRONG_ARRAY_SHAPE, text, hint)
