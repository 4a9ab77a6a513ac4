"""Decode pictures with Pillow: as they are, never resized."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.codes import Code
from graphspec.data.source import DataError, MemoryBudget, Request, first_line

if TYPE_CHECKING:
    from graphspec.arrays.layout import Array

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")  # no others: some start programs
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_WIDE = ("I", "F")  # modes with more than 8 bits a channel begin with these
_MAX_PIXELS = 1 << 26  # a small file may claim to be larger, and fill the memory
MAX_SHOWN = 20  # bad files that are reported


class BadFilesError(DataError):
    """Several files that cannot be used: at most ``MAX_SHOWN`` problems, and the number of further ones."""

    def __init__(self, each: Sequence[DataError], more: int = 0) -> None:
        first = each[0].problem
        super().__init__(first.code, first.message, first.hint)
        self._all = list(each)
        if more:
            self._all.append(DataError(first.code, f"has {more:,} more files that cannot be used", first.hint))

    @property
    def all(self) -> Sequence[DataError]:
        return self._all


def decode(paths: Sequence[Path], names: Sequence[str], request: Request) -> Array:
    """Return the pictures of files, uint8 ``(n, height, width, channels)``: turned upright, grey, RGB or RGBA.

    An input of fixed height and width needs pictures of this size; otherwise all have the size of the first.

    Args:
        paths, names: the files, and what to call them.
        request: the input; its last axis determines the channels.

    Raises:
        BadFilesError: GS501 for files that are damaged or not pictures, GS503 for another size, GS504 for 16 bits a channel.
        DataError: GS503, the input is not one of pictures; GS602, they do not fit into memory; GS501, Pillow is missing.
    """
    try:
        from PIL import Image  # noqa: F401
    except ImportError:
        hint = 'install it with `pip install "graphspec[images]"`'
        raise DataError(Code.UNREADABLE_FILE, "has pictures, which Pillow decodes: it is not installed", hint) from None
    mode, size = _mode_and_size(request)
    array: Array | None = None
    bad: list[DataError] = []
    more = 0
    for row, (path, name) in enumerate(zip(paths, names, strict=True)):
        try:
            pixels = _decoded(path, name, mode, size)
        except DataError as error:
            bad, more = (bad, more + 1) if len(bad) == MAX_SHOWN else ([*bad, error], more)
            continue
        size = size or pixels.shape[:2]
        if array is None and not bad:
            array = _allocated((len(paths), *pixels.shape), request)
        if array is not None:
            array[row] = pixels
    if bad:
        raise BadFilesError(bad, more)
    return np.empty((0, *(size or (1, 1)), len(mode)), np.uint8) if array is None else array


def _mode_and_size(request: Request) -> tuple[str, tuple[int, ...] | None]:
    """Return Pillow's mode, and height and width unless they vary."""
    shape = request.type.shape
    channels = shape[-1] if len(shape) == 4 else None
    if not isinstance(channels, int) or channels not in _MODES:
        hint = "an input of pictures has the shape [height, width, channels] with 1, 3 or 4 channels"
        raise DataError(Code.WRONG_ARRAY_SHAPE, f"has pictures for input '{request.name}', which takes none", hint)
    height, width = shape[1], shape[2]
    return _MODES[channels], (height, width) if isinstance(height, int) and isinstance(width, int) else None


def _allocated(shape: tuple[int, ...], request: Request) -> Array:
    if request.allocate is not None:
        return request.allocate(request.name, shape, np.dtype(np.uint8))
    MemoryBudget().reserve(int(np.prod(shape, dtype=np.int64)))
    return np.empty(shape, np.uint8)


def _decoded(path: Path, name: str, mode: str, size: tuple[int, ...] | None) -> Array:
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a large picture, of odd metadata
            with Image.open(path, formats=_FORMATS) as image:
                _refuse(image, name, size)
                upright: Any = ImageOps.exif_transpose(image)
                pixels: Array = np.asarray(upright.convert(mode))
                if size is not None and pixels.shape[:2] != size:
                    raise _other_size(name, pixels.shape, size)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # decoders raise all kinds
        said = "it is no picture" if type(error).__name__ == "UnidentifiedImageError" else first_line(error)
        hint = f"remove it, or save it again as one of {', '.join(PICTURES)}"
        raise DataError(Code.UNREADABLE_FILE, f"has '{name}', which cannot be decoded: {said}", hint) from None
    return pixels.reshape(*pixels.shape[:2], len(mode))


def _refuse(image: Any, name: str, size: tuple[int, ...] | None) -> None:
    """Refuse a picture by its header, before it is decoded; it may lie on its side."""
    width, height = image.size
    if size is not None and size not in ((height, width), (width, height)):
        raise _other_size(name, (height, width), size)
    if width * height > _MAX_PIXELS:
        text = f"has '{name}' of {height} x {width} pixels, more than {_MAX_PIXELS:,}"
        raise DataError(Code.WRONG_ARRAY_SHAPE, text, "make it smaller")
    if image.mode.startswith(_WIDE):
        text = f"has '{name}' with more than 8 bits a channel, which would be cut off"
        raise DataError(Code.LOSSY_CONVERSION, text, "save it with 8 bits, or write the numbers to an .npz file")
    if getattr(image, "is_animated", False):
        raise DataError(Code.WRONG_ARRAY_SHAPE, f"has '{name}' with several pictures", "save one of them")


def _other_size(name: str, found: tuple[int, ...], size: tuple[int, ...]) -> DataError:
    text = f"has '{name}' of {found[0]} x {found[1]} pixels, not {size[0]} x {size[1]}"
    hint = "pictures that form one array have one height and width: resize them to one size"
    return DataError(Code.WRONG_ARRAY_SHAPE, text, hint)
