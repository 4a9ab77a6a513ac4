"""Arrays in files, ``.npy``, ``.npz``, ``.safetensors``, and lists of words. Nothing in them is ever executed."""

from __future__ import annotations

import io
import json
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, Literal

import numpy as np

from graphspec.base.arrays.layout import Array
from graphspec.base.budget import Budget, demand
from graphspec.base.errors import Code, ProblemError
from graphspec.base.text import count

Dtype = Literal["float32", "int64", "bool"]
KINDS: Mapping[str, Dtype] = {"f": "float32", "i": "int64", "u": "int64", "b": "bool"}  # of NumPy's kinds
MAX_AXES = Budget.AXES
_MAGIC = b"\x93NUMPY"
_LARGEST_LIST = 1 << 28  # bytes
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HINT = "write it with np.save, np.savez or safetensors, beside the spec"
_SAFETENSORS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "BOOL": "?",
    **{f"{kind}{bits}": f"<{kind.lower()}{bits // 8}" for kind in "IU" for bits in (8, 16, 32, 64)},
}


@dataclass(frozen=True)
class ArrayFile:
    """An array in a file."""

    path: Path
    member: str | None  # its name in an archive of zip
    at: int  # where its values begin, in the file or the member
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_columns: bool = False  # whether the first axis is the fastest in memory, as in Fortran
    halves: bool = False  # whether the values are the upper halves of float32, bfloat16

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self) -> Array:
        """Return the values; raise GS501 if they cannot be read."""
        with _problems(self.path.name), _opened(self.path, self.member) as file:
            at = self.at
            while at and (skipped := len(file.read(min(at, 1 << 20)))):
                at -= skipped
            values = np.empty(self.shape, self.dtype, order="F" if self.by_columns else "C")
            flat = memoryview(values.reshape(-1, order="A").view(np.uint8).data)
            read = 0
            while read < self.nbytes and (block := file.readinto(flat[read : read + (1 << 24)])):  # type: ignore[attr-defined]
                read += block
            demand(read == self.nbytes, "it is shorter than it says")
        return (values.astype(np.uint32) << 16).view(np.float32) if self.halves else values


def find(folder: Path, name: str, key: str | None) -> ArrayFile:
    """Return the description of an array in a file beside or below ``folder``; its values are not read.

    Raises ProblemError: GS501, the file cannot be read; GS513, it is elsewhere; GS103 or GS502, the key is missing or
    wrong; GS504, it contains Python objects or texts.
    """
    path = beside(folder, name)
    if path.exists() and not path.is_file():
        raise ProblemError(Code.UNREADABLE_FILE, "is not a file", _HINT)
    with _problems(name):
        if name.lower().endswith(".npz"):
            with zipfile.ZipFile(path) as archive:
                entries = _entries(archive)
                return _member(archive, entries[_chosen(entries, key)], path)
        with path.open("rb") as file:
            size = path.stat().st_size
            if not name.lower().endswith(".safetensors"):
                return _of_numpy(file, size, path, None)
            arrays, start = _header(file, size)
            return _described(arrays[_chosen(arrays, key)], start, size, path)


def beside(folder: Path, name: str) -> Path:
    """Return the path of a file beside or below ``folder``; raise GS513 if it is elsewhere."""
    if "\0" in name or not (folder / name).resolve().is_relative_to(folder.resolve()):
        text = "is neither beside the spec nor below its folder"
        raise ProblemError(Code.OUTSIDE_FOLDER, text, hint="copy the file beside the spec")
    return folder / name


def arrays_in(path: Path) -> dict[str, ArrayFile | str]:
    """Return the arrays of a file ``.npz`` or ``.safetensors`` by name; of one with an unknown dtype, the dtype.

    Only descriptions are read. A file that cannot be read is GS501, one with Python objects GS504.
    """
    with _problems(path.name):
        if path.name.lower().endswith(".npz"):
            with zipfile.ZipFile(path) as archive:
                return {name: _member(archive, entry, path) for name, entry in _entries(archive).items()}
        with path.open("rb") as file:
            size = path.stat().st_size
            arrays, start = _header(file, size)
            _check_covered(arrays, size - start)
            return {
                name: _described(entry, start, size, path) if (kind := _dtype_of(entry)) in _SAFETENSORS else kind
                for name, entry in arrays.items()
            }


def metadata_in(path: Path) -> dict[str, str]:
    """Return the texts about a file ``.safetensors``, by key; raise GS501 if it cannot be read."""
    with _problems(path.name), path.open("rb") as file:
        return _texts(_header_of(file, path.stat().st_size)[0])


def has_names(name: str) -> bool:
    """Return whether the arrays of a file have names."""
    return name.lower().endswith((".npz", ".safetensors"))


def converted(array: Array, dtype: Dtype | None) -> Array:
    """Return an array as float32, int64 or bool; None for the one that is closest to its own dtype.

    Raises ProblemError: GS505, a value is not finite. GS504, it has another kind of values, or does not fit the dtype.
    GS105, it is empty or has too large numbers.
    """
    kind = array.dtype.kind
    if kind not in KINDS:
        what = "Python objects" if array.dtype.hasobject else f"values of dtype {array.dtype}"
        raise ProblemError(Code.LOSSY_CONVERSION, f"contains {what}", "save numbers or booleans")
    if not array.size:
        raise ProblemError(Code.VALUE_NOT_ALLOWED, "is empty", "it needs at least one value")
    if array.ndim > MAX_AXES:
        raise ProblemError(Code.VALUE_NOT_ALLOWED, f"has more than {MAX_AXES} axes", "reshape it")
    chosen = dtype or KINDS[kind]
    if kind == "f":
        ends = float(array.min()), float(array.max())
        if not all(map(math.isfinite, ends)):
            raise ProblemError(Code.MISSING_VALUE, "contains NaN or infinity", "replace them by numbers")
        with np.errstate(over="ignore"):
            if chosen == "float32" and np.isinf(np.float32(max(-ends[0], ends[1]))):
                raise ProblemError(Code.VALUE_NOT_ALLOWED, "has a number that exceeds float32", "scale it")
    result = array.astype(chosen, copy=False)
    if chosen != "float32" and not np.array_equal(result.astype(array.dtype), array):
        text, hint = f"has values that {chosen} cannot represent", "leave `dtype` out, or convert the values"
        raise ProblemError(Code.LOSSY_CONVERSION, text, hint)
    return result


def refuse_values(array: ArrayFile) -> None:
    """Raise the problem of :func:`converted` if the values of a file are not numbers of float32; they are read once."""
    stat = array.path.stat()
    _refuse_values(array, (stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=256)
def _refuse_values(array: ArrayFile, _: tuple[int, int]) -> None:
    converted(array.read(), "float32")


_DAMAGED = (  # what zipfile and NumPy raise for a file that is damaged
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError),
    *(ValueError, TypeError, KeyError, ArithmeticError, SyntaxError, TokenError, MemoryError),
)


@contextmanager
def _problems(name: str) -> Iterator[None]:
    """Raise what goes wrong with a file as a ProblemError."""
    try:
        yield
    except OSError as error:
        text = f"cannot be read: {(error.strerror or type(error).__name__).lower()}"
        raise ProblemError(Code.UNREADABLE_FILE, text, _HINT) from None
    except _DAMAGED as error:
        kind = "a file of safetensors" if name.lower().endswith(".safetensors") else "an array of NumPy"
        text = f"is not {kind}: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        raise ProblemError(Code.UNREADABLE_FILE, text, _HINT) from None


@contextmanager
def _opened(path: Path, member: str | None) -> Iterator[IO[bytes]]:
    if member is None:
        with path.open("rb") as file:
            yield file
    else:
        with zipfile.ZipFile(path) as archive, archive.open(member) as inner:
            yield inner


def _chosen(names: Mapping[str, Any], key: str | None) -> str:
    """Return the name of the array that is meant: ``key``, or the only one."""
    if key is None and len(names) != 1:
        text = f"has {count(len(names), 'array')}"
        raise ProblemError(Code.MISSING_KEY, text, hint=f"name one with `key`: {_some(names)}")
    chosen = next(iter(names)) if key is None else key
    if chosen not in names:
        raise ProblemError(Code.MISSING_ARRAY, f"has no array '{chosen}'", hint=f"it has {_some(names)}")
    return chosen


def _some(names: Mapping[str, Any]) -> str:
    shown = [f"'{name}'" for name in names][:8]
    return ", ".join([*shown, *(["…"] if len(names) > len(shown) else [])]) or "none"


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> ArrayFile:
    with archive.open(entry) as file:
        return _of_numpy(file, entry.file_size, path, entry.filename)


def _of_numpy(file: IO[bytes], size: int, path: Path, member: str | None) -> ArrayFile:
    content = io.BytesIO(file.read(1 << 16))
    demand(content.getvalue().startswith(_MAGIC), "it does not start like an .npy file")
    first = np.lib.format.read_magic(content)[0] == 1
    header = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = header(content)
    if dtype.hasobject:
        raise ProblemError(Code.LOSSY_CONVERSION, "contains Python objects, which are pickles and are never read")
    array = ArrayFile(path, member, content.tell(), tuple(shape), dtype, bool(by_columns))
    return _whole(array, size - array.at)


def _header(file: IO[bytes], size: int) -> tuple[dict[str, Any], int]:
    """Return the descriptions of the arrays of a file of safetensors, and where the first begins."""
    header, start = _header_of(file, size)
    _texts(header)
    arrays = {name: entry for name, entry in header.items() if name != "__metadata__"}
    _check_names(arrays)
    return arrays, start


def _header_of(file: IO[bytes], size: int) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(file.read(8), "little")
    demand(2 <= length <= min(Budget.HEADER, size - 8), "it does not start like a file of safetensors")
    header = json.loads(file.read(length), object_pairs_hook=_mapping)
    demand(isinstance(header, dict), "its header is not a mapping")
    return header, 8 + length


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in pairs:
        demand(name not in made, f"its header has '{name[: Budget.NAME]}' twice")
        made[name] = value
    return made


def _texts(header: dict[str, Any]) -> dict[str, str]:
    texts: Any = header.get("__metadata__", {})
    sound = isinstance(texts, dict) and all(isinstance(text, str) for text in texts.values())
    demand(sound, "its metadata are not a mapping of texts")
    return texts  # type: ignore[no-any-return]


def _check_names(arrays: Mapping[str, Any]) -> None:
    demand(len(arrays) <= Budget.ARRAYS, f"it has {len(arrays):,} arrays, at most {Budget.ARRAYS:,} are read")
    longest = max(map(len, arrays), default=0)
    demand(longest <= Budget.NAME, f"it has a name of {longest:,} characters")


def _check_covered(arrays: Mapping[str, Any], size: int) -> None:
    """Raise ValueError unless the arrays of a file of safetensors lie one behind the other, as its format demands."""
    at = 0
    for begin, end in sorted(_place(entry) for entry in arrays.values()):
        demand(begin == at, "two of its arrays overlap" if begin < at else "its arrays have a gap between them")
        at = end
    demand(at == size, "it is shorter than it says" if at > size else "its arrays have a gap after them")


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    listed = archive.infolist()
    demand(len(listed) <= Budget.ARRAYS, f"it has {len(listed):,} members, at most {Budget.ARRAYS:,} are read")
    by_name: dict[str, zipfile.ZipInfo] = {}
    for entry in listed:
        name = entry.filename.removesuffix(".npy")
        demand(name not in by_name, f"it has '{name}' twice")
        demand(entry.compress_type in _METHODS, f"'{name}' is packed by the unusual method {entry.compress_type}")
        claim = f"'{name}' claims {entry.file_size:,} bytes, packed into {entry.compress_size:,}"
        demand(entry.file_size <= Budget.DEFLATED * (entry.compress_size + 1), claim)
        by_name[name] = entry
    _check_names(by_name)
    return by_name


def _place(entry: Any) -> tuple[int, int]:
    """Return where the bytes of an array of a file of safetensors begin and end."""
    demand(isinstance(entry, dict), "its header is not a mapping of mappings")
    begin, end = _sizes(entry.get("data_offsets"), "offsets")
    demand(begin <= end, "an array ends before it begins")
    return begin, end


def _dtype_of(entry: Any) -> str:
    kind = entry.get("dtype") if isinstance(entry, dict) else None
    demand(isinstance(kind, str), "an array has no dtype")
    return str(kind)


def _described(entry: Any, start: int, size: int, path: Path) -> ArrayFile:
    begin, end = _place(entry)
    kind = _dtype_of(entry)
    if kind not in _SAFETENSORS:
        raise ProblemError(Code.LOSSY_CONVERSION, f"contains values of dtype {kind}", hint="save numbers or booleans")
    shape = _sizes(entry.get("shape"), "shape")
    demand(len(shape) <= MAX_AXES, f"an array has {len(shape)} axes, more than {MAX_AXES}")
    dtype = np.dtype(_SAFETENSORS[kind])
    demand(start + end <= size, "it is shorter than it says")
    return _whole(ArrayFile(path, None, start + begin, shape, dtype, halves=kind == "BF16"), end - begin)


def _sizes(value: Any, what: str) -> tuple[int, ...]:
    """Return sizes, none of which has more than 63 bits."""
    sound = isinstance(value, list) and all(type(n) is int and 0 <= n < 1 << 63 for n in value)
    demand(sound, f"its header has no {what}")
    return tuple(value)


def _whole(array: ArrayFile, size: int) -> ArrayFile:
    """Return the array if the file has ``size`` bytes for it; else raise ValueError."""
    demand(min(array.shape, default=0) >= 0 and array.nbytes == size, "its shape and its size differ")
    return array


def read_vocabulary(path: Path) -> tuple[str, ...]:
    """Return the lines of a UTF-8 file, one token each. The first line may be empty, as in a vocabulary with a mask token.

    Raises ProblemError: GS501, the file does not exist, is no regular file, too large, or not UTF-8. GS105, it has no
    lines, an empty line, or the same line twice.
    """
    hint = "write one token per line, in UTF-8, beside the spec"
    try:
        # It does not wait for the other end of a pipe.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
            if not path.is_file():
                raise ProblemError(Code.UNREADABLE_FILE, "is not a file", hint=hint)
            content = file.read(_LARGEST_LIST + 1)
    except OSError as error:
        text = f"cannot be read: {(error.strerror or type(error).__name__).lower()}"
        raise ProblemError(Code.UNREADABLE_FILE, text, hint=hint) from None
    if len(content) > _LARGEST_LIST:
        raise ProblemError(Code.UNREADABLE_FILE, f"has more than {_LARGEST_LIST >> 20} MiB", "keep frequent tokens")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ProblemError(Code.UNREADABLE_FILE, f"is not UTF-8 on line {line}", hint=hint) from None
    lines = text.removesuffix("\n").split("\n") if text else []
    return _checked([line.removesuffix("\r") for line in lines])


def _checked(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the tokens of a file; raise GS105 for empty and repeated lines."""
    if not any(lines):
        raise ProblemError(Code.VALUE_NOT_ALLOWED, "contains no token", hint="write one token per line")
    first: dict[str, int] = {}
    for number, token in enumerate(lines, 1):
        if not token and number > 1:
            raise ProblemError(Code.VALUE_NOT_ALLOWED, f"has an empty line, line {number}", hint="remove the line")
        if first.setdefault(token, number) != number:
            text = f"contains the same token on lines {first[token]} and {number}"
            raise ProblemError(Code.VALUE_NOT_ALLOWED, text, hint="remove one of the lines")
    return tuple(lines)
