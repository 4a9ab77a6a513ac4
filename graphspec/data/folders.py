"""Folders of files as rows: pictures, decoded as they are, or texts; the names of their subfolders are labels."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from graphspec.base.arrays.layout import Array
from graphspec.base.arrays.pictures import Pictures
from graphspec.base.arrays.strings import Strings, StringsBuilder, TextError
from graphspec.base.codes import Code
from graphspec.base.files import is_regular
from graphspec.base.libraries import missing_library
from graphspec.base.text import count, few
from graphspec.data import source as base
from graphspec.data.convert import assemble
from graphspec.data.paths import MAX_FILES, PICTURES, TEXTS
from graphspec.data.source import DataError, Filled, MemoryBudget, Request, Source, lossy, unreadable, wrong_shape
from graphspec.language.declarations import DataSource

# Decode pictures with Pillow: as they are, never resized. Those of several sizes are packed if the graph gives them one,
# picture by picture; those of one height may have several widths, and are padded.
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
    """Pictures as one array."""

    # uint8 ``(n, height, width, channels)``; narrower pictures are padded with 0 on the right, lower ones below.
    # Pictures of any size are packed if they have several
    pixels: Any
    axis: int | None = None  # the axis along which their sizes may differ, 1 or 2; None if all have one size
    sizes: Array | None = None  # the size of each picture on this axis, int64 ``(n,)``


def decode(paths: Sequence[Path], names: Sequence[str], request: Request) -> Decoded:
    """Return the pictures of files, turned upright, as grey, RGB or RGBA.

    An input of fixed height and width needs pictures of this size. If the request takes any size, they may have several.
    Otherwise, if only one of the two varies, the pictures may have several sizes there, and if both vary, all pictures have
    the size that most have.

    ``paths, names``: the files, and what to call them; ``request``: the input; its last axis determines the channels.

    Raises BadFilesError: GS501 for files that are damaged or not pictures, GS503 for other sizes, GS504 for 16 bits.
    Raises DataError: GS503, the input is not one of pictures; GS602, they do not fit into memory; GS501, Pillow is
    missing.
    """
    try:
        from PIL import Image  # noqa: F401
    except ImportError:
        raise unreadable("has pictures, which Pillow decodes: it is not installed", missing_library("pillow")) from None
    shape = request.type.shape
    channels = shape[-1] if len(shape) == 4 else None
    if not isinstance(channels, int) or channels not in _MODES:
        hint = "an input of pictures has the shape [height, width, channels] with 1, 3 or 4 channels"
        raise wrong_shape(f"has pictures for input '{request.name}', which takes none", hint)
    size: tuple[int | None, ...] = tuple(n if isinstance(n, int) else None for n in shape[1:3])  # None for what varies
    found = np.array([upright_size(path) for path in paths], np.int64).reshape(-1, 2)
    readable = (found > 0).all(axis=1) & (found.prod(axis=1) <= _MAX_PIXELS)
    counts = Counter(map(tuple, found[readable].tolist()))
    if counts and not any(size) and not request.any_size:
        size = counts.most_common(1)[0][0]
    other = readable & ~np.all([found[:, k] == n for k, n in enumerate(size) if n is not None] or [readable], axis=0)
    axis = None if size.count(None) != 1 or request.any_size else 1 + size.index(None)
    others = [names[k] for k in np.flatnonzero(other).tolist()]
    bad = [_other_sizes(counts, size, channels, others)] if others else []
    used = found * readable[:, None]
    packed = None in size and request.any_size and len(counts) > 1
    whole: Any = None
    for row in np.flatnonzero(~other).tolist():
        try:
            pixels = decoded(paths[row], names[row], channels)
            high, wide = pixels.shape[:2]
            if (high, wide) != tuple(used[row]):
                raise unreadable(f"has '{names[row]}', which was altered while it was read", "try again")
        except DataError as error:
            bad.append(error)
        if bad:
            continue
        if whole is None:
            elements = int(used.prod(axis=1).sum()) * channels
            new = _allocated((elements,) if packed else (len(paths), *used.max(axis=0).tolist(), channels), request)
            whole = Pictures(new, used, channels) if packed else new
        place = whole[row]  # the picture is at the top left, the rest is 0
        place[:high, :wide] = pixels
        place[high:] = 0
        place[:, wide:] = 0
    if bad:
        raise BadFilesError(bad)
    if whole is None:
        whole = np.empty((0, *(n or 1 for n in size), channels), np.uint8)
    return Decoded(whole) if axis is None else Decoded(whole, axis, used[:, axis - 1])


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


def decoded(path: Path, name: str, channels: int) -> Array:
    """Return a picture, upright, with 1, 3 or 4 channels; raise DataError if it cannot be read."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a large picture, of odd metadata
            with Image.open(path, formats=_FORMATS) as image:
                _refuse(image, name)
                upright: Any = ImageOps.exif_transpose(image)
                pixels: Array = np.asarray(upright.convert(_MODES[channels]))
    except (DataError, MemoryError):
        raise
    except Exception as error:  # decoders raise all kinds
        said = "it is no picture" if type(error).__name__ == "UnidentifiedImageError" else base.first_line(error)
        hint = f"remove it, or save it again as one of {', '.join(PICTURES)}"
        raise unreadable(f"has '{name}', which cannot be decoded: {said}", hint) from None
    return pixels.reshape(*pixels.shape[:2], channels)


def _refuse(image: Any, name: str) -> None:
    """Refuse a picture by its header, before it is decoded."""
    width, height = image.size
    if width * height > _MAX_PIXELS:
        raise wrong_shape(f"has '{name}' of {height} x {width} pixels, more than {_MAX_PIXELS:,}", "make it smaller")
    if image.mode.startswith(_WIDE):
        text = f"has '{name}' with more than 8 bits per channel, which would be cut off"
        raise lossy(text, "save it with 8 bits, or write the numbers to an .npz file")
    if getattr(image, "is_animated", False):
        raise wrong_shape(f"has '{name}' with several pictures", "save one of them")


def sizes_text(counts: Mapping[tuple[int, int], int]) -> str:
    """Return sizes with the number of pictures of each, the most frequent first: ``388 of 80 x 80, 63 of 64 x 64``."""
    sizes = Counter(counts).most_common()
    rest = sizes[_SIZES:] if len(sizes) > _SIZES + 1 else []
    texts = [f"{n:,} of {high} x {wide}" for (high, wide), n in sizes[: len(sizes) - len(rest)]]
    return ", ".join(texts + ([f"{sum(n for _, n in rest):,} of {len(rest):,} other sizes"] if rest else []))


def _other_sizes(
    counts: Mapping[tuple[int, int], int], size: Sequence[int | None], channels: int, names: Sequence[str]
) -> DataError:
    """Return GS503 for the files ``names``, which do not have the expected size."""
    some = few([f"'{name}'" for name in names], _SIZES)
    wanted = " x ".join(str(n or "any") for n in size)
    main = max(counts, key=lambda each: counts[each])
    high, wide = (n or k for n, k in zip(size, main, strict=True))
    layer = f"let `{{type: Resizing, height: {high}, width: {wide}}}` be the first layer: it resizes each picture alone"
    hint = f"with the shape [null, null, {channels}], {layer}; or resize the files"
    return wrong_shape(f"has pictures of other sizes than {wanted}: {some} ({sizes_text(counts)})", hint)


# Folders of files as rows: pictures or texts, with the names of their subfolders as labels.
_MAX_TEXT = 1 << 24  # bytes


class Folder(Source):
    """The files of a folder and its subfolders, sorted by path; other types of files and hidden ones are left out.

    Without labels, ``folder`` may also be a single file.

    ``decoded`` has the pictures by input, once they are read.

    The columns are ``image`` or ``text``, ``path`` (relative to the folder, with ``/``) and, if ``labelled``, ``label``:
    the name of the subfolder of the folder.

    Raises DataError: GS501, there is no such folder, or it has no such files; GS502, a file is in no subfolder; GS513,
    a link leads out of the folder.
    """

    def __init__(self, folder: Path, kind: str, *, labelled: bool, max_rows: int | None = None) -> None:
        self.folder, self.kind, self.max_rows = folder, kind, max_rows
        suffixes = PICTURES if kind == "image" else TEXTS
        if not labelled and folder.suffix.lower() in suffixes and is_regular(folder):
            self.folder, self.paths = folder.parent, [Path(folder.name)]
        else:
            self.paths = _files(folder, suffixes)
        self.names: Sequence[str] = [kind, *(["label"] if labelled else []), "path"]
        if labelled and (loose := [p for p in self.paths if len(p.parts) == 1]):
            text = f"has '{loose[0]}' beside its subfolders, whose names are the labels"
            raise DataError(Code.MISSING_ARRAY, text, "move it into the subfolder of its class")
        self.subfolders = all(len(path.parts) > 1 for path in self.paths)
        self.paths = self.paths[:max_rows]
        self.decoded: dict[str, Decoded] = {}

    def fill(self, requests: Sequence[Request]) -> Filled:
        found: Filled = {}
        for request in requests:
            name = request.columns[0]
            if name != self.kind or request.stacked:
                found[request.name] = assemble(request, [self.column(column) for column in request.columns])
            elif name == "image":
                names = [path.as_posix() for path in self.paths]
                self.decoded[request.name] = decode([self.folder / path for path in self.paths], names, request)
                found[request.name] = self.decoded[request.name].pixels
            else:
                found[request.name] = self._texts(request)
        return found

    def place(self, row: int) -> str:
        return f"'{self.paths[row].as_posix()}'"

    def column(self, name: str) -> Array:
        """Return labels or paths as objects."""
        if name == self.kind:
            raise wrong_shape(f"has '{name}' among several columns", "feed it alone")
        return np.array([p.parts[0] if name == "label" else p.as_posix() for p in self.paths], object)

    def _texts(self, request: Request) -> Strings:
        if not request.type.is_string:
            text = f"has texts for '{request.name}', which takes numbers"
            raise lossy(text, "declare the input with `dtype: string`")
        budget = MemoryBudget()
        builder = StringsBuilder((), request.name, request.allocate, None if request.allocate else budget.reserve)
        bad: list[DataError] = []
        for path in self.paths:
            try:
                builder.add_texts([self.text(path)])
            except (OSError, UnicodeError, TextError) as error:
                said = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else "is not UTF-8"
                bad.append(unreadable(f"has '{path.as_posix()}', which {said}", "save it as UTF-8"))
            except DataError as error:
                if error.code == Code.NOT_ENOUGH_MEMORY:
                    raise
                bad.append(error)
        if bad:
            raise BadFilesError(bad)
        return builder.finish()

    def text(self, path: Path) -> str:
        """Return the text of a file. Raises DataError: GS501, too long. Raises OSError, UnicodeError: unreadable."""
        with (self.folder / path).open("rb") as file:
            data = file.read(_MAX_TEXT + 1)
        if len(data) > _MAX_TEXT:
            what = f"has '{path.as_posix()}' of more than {_MAX_TEXT >> 20} MiB"
            raise unreadable(what, "divide it into several texts")
        return data.decode("utf-8-sig")


def _files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the files with these suffixes, relative to the folder, sorted by their names."""
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise unreadable(what, "folders are named relative to the spec")
    real, found, bad = _real(folder), list[Path](), list[DataError]()
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in (*folders, *(n for n in names if not n.startswith(".") and n.lower().endswith(tuple(suffixes)))):
            path = Path(place, name)
            relative = path.relative_to(folder)
            if path.is_symlink() and not (path.is_file() and _real(path).is_relative_to(real)):
                bad.append(_bad_link(path, relative.as_posix()))
            elif path.is_file():
                found.append(relative)
        if len(found) > MAX_FILES * 100:
            raise unreadable(f"has more than {MAX_FILES * 100:,} files", "divide the folder")
    if bad:
        raise BadFilesError(bad)
    if not found:
        raise DataError(Code.TOO_FEW_ROWS, f"has no files that end in {', '.join(suffixes)}", "name another folder")
    return sorted(found, key=lambda path: path.parts)


def _real(path: Path) -> Path:
    """Return the path behind all links; ``Path.resolve`` of Python 3.12 and before fails for a link to itself."""
    return Path(os.path.realpath(path))


def _bad_link(path: Path, name: str) -> DataError:
    text = f"has '{name}', a link"
    if path.is_file():
        return DataError(Code.OUTSIDE_FOLDER, f"{text} that leads out of it", "copy the file into the folder")
    what = "to a folder, which is not followed" if path.is_dir() else "that leads nowhere"
    return unreadable(f"{text} {what}", "remove it, or copy there what it should lead to")


def of_source(source: DataSource, max_rows: int | None = None) -> Folder | None:
    """Open the folder of a source; None if it has none."""
    for kind, folder in (("image", source.images), ("text", source.texts)):
        if folder is not None:
            return Folder(folder, kind, labelled=source.labelled, max_rows=max_rows)
    return None


def with_columns(source: DataSource, table: Source, signature: base.DataSignature) -> DataSource:
    """Return a source whose only input of pictures or texts, and only head, read the columns of a folder."""
    if not isinstance(table, Folder):
        return source
    text = table.kind == "text"
    fitting = [n for n, t in signature.inputs.items() if (t.is_string if text else len(t.shape) == 4)]
    inputs, targets = source.inputs or {}, source.targets or {}
    if len(fitting) == 1:
        inputs = {fitting[0]: table.kind, **inputs}
    if len(signature.targets) == 1:
        targets = {next(iter(signature.targets)): "label", **targets}
    return replace(source, inputs=inputs, targets=targets)


class WithPictures(base.View):
    """A table in which a column of text names the files of an input of pictures; ``decoded`` has them, once they are read.

    ``folder``: the folder to which the names are relative: that of the table, or for a query that of the spec;
    ``roots``: the folders in or below which the files may be.
    """

    def __init__(self, table: Source, folder: Path, roots: Sequence[Path]) -> None:
        super().__init__(table, table.max_rows)
        self._folder, self._roots = folder, roots
        self.decoded: dict[str, Decoded] = {}

    def fill(self, requests: Sequence[Request]) -> Filled:
        of_one = [r for r in requests if r.is_input and not r.stacked and len(r.type.shape) == 4]
        pictures = [r for r in of_one if self.table.type_of(r.columns[0]) == "varchar"]
        found = self.table.fill([r for r in requests if r not in pictures])
        for request in pictures:
            names = self.table.values(request.columns[0])[: self.max_rows].tolist()
            decoded = decode(self._paths(names), [name or "" for name in names], request)
            self.decoded[request.name], found[request.name] = decoded, decoded.pixels
        return found

    def _paths(self, names: Sequence[str | None]) -> list[Path]:
        paths, bad = [], list[DataError]()
        roots = [_real(root) for root in self._roots]
        for row, name in enumerate(names):
            if not name or "\0" in name:
                what = f"has no name of a picture in {self.place(row)}"
                bad.append(DataError(Code.MISSING_VALUE, what, "remove the row"))
                continue
            path = _real(self._folder / name)
            if not any(path.is_relative_to(root) for root in roots):
                what = f"has '{name}' in {self.place(row)}, which is neither beside nor below the table or the spec"
                bad.append(DataError(Code.OUTSIDE_FOLDER, what, "move it, or allow its folder with `--allow DIR`"))
            paths.append(path)
        if bad:
            raise BadFilesError(bad)
        return paths


def sizes_of_pictures(table: Source) -> dict[str, tuple[int, Array]]:
    """Return, by input, the axis on which its pictures have several sizes, and each one's size there, once it is filled."""
    decoded = table.decoded if isinstance(table, Folder | WithPictures) else {}
    return {n: (d.axis, d.sizes) for n, d in decoded.items() if d.axis is not None and d.sizes is not None}
