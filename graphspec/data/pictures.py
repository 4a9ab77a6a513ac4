"""Decode pictures with Pillow: as they are, never resized.

Those of several sizes are packed if the graph gives them one, picture by picture; those of one height may have several
widths, and are padded.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.pictures import Pictures
from graphspec.base.codes import Code
from graphspec.base.libraries import missing_library
from graphspec.base.text import count
from graphspec.data.paths import PICTURES
from graphspec.data.source import DataError, MemoryBudget, Request, first_line

if TYPE_CHECKING:
    from graphspec.base.arrays.layout import Array

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")  # no others: some start programs
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_WIDE = ("I", "F")  # modes with more than 8 bits per channel begin with these
_MAX_PIXELS = 1 << 26  # a small file may claim to be larger, and fill the memory
_ORIENTATION, _ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)  # EXIF
MAX_SHOWN = 20  # bad files that are reported
_ALIKE = 4  # of these, with the same fix
_SIZES = 3  # of these, that a message names


class BadFilesError(DataError):
    """Files that cannot be used: at most ``MAX_SHOWN`` problems, few of a kind, and the number of further ones."""

    def __init__(self, each: Sequence[DataError]) -> None:
        first = each[0].problem
        super().__init__(first.code, first.message, first.hint)
        kinds = Counter[tuple[str, str | None]]()
        self._all = list[DataError]()
        for error in each[:MAX_SHOWN]:
            kind = error.problem.code, error.problem.hint
            kinds[kind] += 1
            if kinds[kind] <= _ALIKE:
                self._all.append(error)
        if more := len(each) - len(self._all):
            self._all.append(DataError(first.code, f"has {count(more, 'more file')} that cannot be used", first.hint))

    @property
    def all(self) -> Sequence[DataError]:
        return self._all


@dataclass(frozen=True)
class Decoded:
    """Pictures as one array.

    Attributes:
        pixels: uint8 ``(n, height, width, channels)``; narrower pictures are padded with 0 on the right, lower ones below.
            Pictures of any size are packed if they have several.
        axis: the axis along which their sizes may differ, 1 or 2; None if all have one size.
        sizes: the size of each picture on this axis, int64 ``(n,)``.
    """

    pixels: Any
    axis: int | None = None
    sizes: Array | None = None


def decode(paths: Sequence[Path], names: Sequence[str], request: Request) -> Decoded:
    """Return the pictures of files, turned upright, as grey, RGB or RGBA.

    An input of fixed height and width needs pictures of this size. If the request takes any size, they may have several.
    Otherwise, if only one of the two varies, the pictures may have several sizes there, and if both vary, all pictures have
    the size that most have.

    Args:
        paths, names: the files, and what to call them.
        request: the input; its last axis determines the channels.

    Raises:
        BadFilesError: GS501 for files that are damaged or not pictures, GS503 for other sizes, GS504 for 16 bits.
        DataError: GS503, the input is not one of pictures; GS602, they do not fit into memory; GS501, Pillow is missing.
    """
    try:
        from PIL import Image  # noqa: F401
    except ImportError:
        text = "has pictures, which Pillow decodes: it is not installed"
        raise DataError(Code.UNREADABLE_FILE, text, missing_library("pillow")) from None
    mode, size = _mode_and_size(request)
    found = np.array([upright_size(path) for path in paths], np.int64).reshape(-1, 2)
    readable = (found > 0).all(axis=1) & (found.prod(axis=1) <= _MAX_PIXELS)
    counts = Counter(map(tuple, found[readable].tolist()))
    if counts and not any(size) and not request.any_size:
        size = counts.most_common(1)[0][0]
    other = readable & np.array([not _fits(each, size) for each in found.tolist()], bool)
    axis = None if size.count(None) != 1 or request.any_size else 1 + size.index(None)
    others = [names[k] for k in np.flatnonzero(other).tolist()]
    bad = [_other_sizes(counts, size, len(mode), others)] if others else []
    used = found * readable[:, None]
    packed = None in size and request.any_size and len(counts) > 1
    whole: Any = None
    for row in np.flatnonzero(~other).tolist():
        try:
            pixels = _decoded(paths[row], names[row], mode)
            if pixels.shape[:2] != tuple(used[row]):
                text = f"has '{names[row]}', which was altered while it was read"
                raise DataError(Code.UNREADABLE_FILE, text, "try again")
        except DataError as error:
            bad.append(error)
        if bad:
            continue
        if whole is None:
            high, wide = used.max(axis=0).tolist()
            elements = int(used.prod(axis=1).sum()) * len(mode)
            new = _allocated((elements,) if packed else (len(paths), high, wide, len(mode)), request)
            whole = Pictures(new, used, len(mode)) if packed else new
        _put(whole[row], pixels)
    if bad:
        raise BadFilesError(bad)
    if whole is None:
        whole = np.empty((0, *(n or 1 for n in size), len(mode)), np.uint8)
    return Decoded(whole) if axis is None else Decoded(whole, axis, used[:, axis - 1])


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


def _decoded(path: Path, name: str, mode: str) -> Array:
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a large picture, of odd metadata
            with Image.open(path, formats=_FORMATS) as image:
                _refuse(image, name)
                upright: Any = ImageOps.exif_transpose(image)
                pixels: Array = np.asarray(upright.convert(mode))
    except (DataError, MemoryError):
        raise
    except Exception as error:  # decoders raise all kinds
        said = "it is no picture" if type(error).__name__ == "UnidentifiedImageError" else first_line(error)
        hint = f"remove it, or save it again as one of {', '.join(PICTURES)}"
        raise DataError(Code.UNREADABLE_FILE, f"has '{name}', which cannot be decoded: {said}", hint) from None
    return pixels.reshape(*pixels.shape[:2], len(mode))


def _refuse(image: Any, name: str) -> None:
    """Refuse a picture by its header, before it is decoded."""
    width, height = image.size
    if width * height > _MAX_PIXELS:
        text = f"has '{name}' of {height} x {width} pixels, more than {_MAX_PIXELS:,}"
        raise DataError(Code.WRONG_ARRAY_SHAPE, text, "make it smaller")
    if image.mode.startswith(_WIDE):
        text = f"has '{name}' with more than 8 bits per channel, which would be cut off"
        raise DataError(Code.LOSSY_CONVERSION, text, "save it with 8 bits, or write the numbers to an .npz file")
    if getattr(image, "is_animated", False):
        raise DataError(Code.WRONG_ARRAY_SHAPE, f"has '{name}' with several pictures", "save one of them")


def _fits(found: Sequence[int], size: Sequence[int | None]) -> bool:
    return all(n is None or n == k for n, k in zip(size, found, strict=True))


def sizes_text(counts: Mapping[tuple[int, int], int]) -> str:
    """Return sizes with the number of pictures of each, the most frequent first: ``388 of 80 x 80, 63 of 64 x 64``."""
    sizes = Counter(counts).most_common()
    shown, rest = (sizes, []) if len(sizes) <= _SIZES + 1 else (sizes[:_SIZES], sizes[_SIZES:])
    texts = [f"{n:,} of {high} x {wide}" for (high, wide), n in shown]
    return ", ".join([*texts, *([f"{sum(n for _, n in rest):,} of {len(rest):,} other sizes"] if rest else [])])


def _other_sizes(
    counts: Mapping[tuple[int, int], int], size: Sequence[int | None], channels: int, names: Sequence[str]
) -> DataError:
    """Return GS503 for the files ``names``, which do not have the expected size."""
    some = ", ".join(f"'{name}'" for name in names[:_SIZES]) + (", …" if len(names) > _SIZES else "")
    high, wide = (n or "any" for n in size)
    text = f"has pictures of other sizes than {high} x {wide}: {some} ({sizes_text(counts)})"
    main = max(counts, key=lambda each: counts[each])
    high, wide = (n or k for n, k in zip(size, main, strict=True))
    hint = (
        f"with the shape [null, null, {channels}], let `{{type: Resizing, height: {high}, width: {wide}}}` be "
        "the first layer: it resizes each picture alone; or resize the files"
    )
    return DataError(Code.WRONG_ARRAY_SHAPE, text, hint)
