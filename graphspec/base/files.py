"""Write files: replace a file atomically, create a new one, or append.

The suffixes of the data files are defined here, too.

Writing to a symbolic link changes its target. Devices, pipes and sockets are written to directly, never replaced.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, EISDIR, ELOOP
from functools import partial
from pathlib import Path
from typing import IO

ARCHIVE, TABLES = ".npz", (".csv", ".tsv", ".jsonl", ".parquet")
COMPRESSED = (".csv.gz", ".tsv.gz", ".jsonl.gz")
DATA_SUFFIXES = (ARCHIVE, *TABLES, *COMPRESSED)  # suffixes of data files
SQLITE = ".sqlite"
DATABASES = (".duckdb", SQLITE)  # suffixes of database files, of which a query chooses rows


def suffix_of(path: Path) -> str:
    """Return the suffix that tells a file's type, in lower case: ``.csv.gz`` for a compressed table, else the last one."""
    last = path.suffix.lower()
    return path.with_suffix("").suffix.lower() + last if last == ".gz" else last


LOCK = ".graphspec.lock"  # of a run directory. A killed process leaves it behind: its lock counts, not its existence
CACHE = ".graphspec-cache"  # the folder beside run directories that keeps prepared rows
_LEFTOVER = re.compile(r"\.(graphspec-[0-9a-f]{12}|.+\.\d+)\.tmp")  # version 0.2 wrote .<name>.<process>.tmp
_RAW = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_NEW = os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | _RAW

_writing = 0


def writing() -> bool:
    """Return whether a file is being written. Ending the process now would leave an incomplete file."""
    return _writing > 0


@contextmanager
def _marked_as_writing(path: Path) -> Iterator[None]:
    """Make :func:`writing` true in this context, and let an ``OSError`` name ``path`` instead of a temporary file."""
    global _writing
    _writing += 1
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        del error.filename2  # None would be printed, too
        raise
    finally:
        _writing -= 1


def open_closed_streams() -> None:
    """Open the null device for standard streams that the caller closed: the next file would get their descriptor."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; False for one that cannot be looked up, such as a name that is too long."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_regular(path: Path) -> bool:
    """Return whether ``path`` is a regular file; False for an invalid name: too long, or with a null character."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def write_atomic(path: Path, content: bytes | str) -> None:
    """Replace a file by ``content`` (text as UTF-8). Readers see the old file or the new one, even after a crash.

    An existing file keeps its permissions. A file without write permission is not replaced. After an OSError, such as for a
    missing folder, no temporary file remains.
    """
    data = content.encode() if isinstance(content, str) else memoryview(content)
    with written_in_parts(path) as write:
        write(data)


@contextmanager
def written_in_parts(path: Path) -> Iterator[Callable[[bytes | memoryview], None]]:
    """Yield a function that appends bytes to a new file, which replaces ``path`` at the end, see :func:`write_atomic`.

    If the context ends with an exception, ``path`` stays as it was. A device or a pipe receives the parts as they come.
    """
    with _marked_as_writing(path):
        before = _status(path)
        if before is not None and not stat.S_ISREG(before.st_mode):
            with _special(path, before.st_mode) as descriptor:
                yield partial(_write_all, descriptor)
            return
        target = _target(path)
        if before is not None and not os.access(target, os.W_OK):
            raise PermissionError(EACCES, os.strerror(EACCES))
        with _created(_temporary(target.parent), 0o666 if before is None else 0o600, target) as descriptor:
            yield partial(_write_all, descriptor)
            if before is not None:  # its owner and permissions, as far as the system allows
                with suppress(OSError, AttributeError):  # Windows lacks both functions
                    os.fchown(descriptor, before.st_uid, before.st_gid)
                with suppress(OSError, AttributeError):
                    os.fchmod(descriptor, before.st_mode & 0o777)


def create(path: Path, text: str) -> None:
    """Write a new file; one that exists, or a link, stays unchanged. After an error no incomplete file remains."""
    with _marked_as_writing(path), _created(path, 0o666) as descriptor:
        _write_all(descriptor, text.encode())


def write_at(path: Path, start: int, data: bytes) -> int:
    """Truncate a file to ``start`` bytes, append ``data``, and return its new size.

    If the file is shorter than ``start``, ``data`` is appended at its end. Devices and pipes only receive ``data``. After an
    error a regular file is truncated to ``start`` again, if possible.
    """
    with _marked_as_writing(path):
        before = _status(path)
        if before is not None and not stat.S_ISREG(before.st_mode):
            with _special(path, before.st_mode) as descriptor:
                _write_all(descriptor, data)
            return start + len(data)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _RAW, 0o666)
        try:
            start = min(start, os.fstat(descriptor).st_size)
            os.ftruncate(descriptor, start)
            os.lseek(descriptor, start, os.SEEK_SET)
            try:
                _write_all(descriptor, data)
            except BaseException:
                with suppress(OSError):
                    os.ftruncate(descriptor, start)
                raise
            return start + len(data)
        finally:
            os.close(descriptor)


@contextmanager
def sized_file(path: Path, nbytes: int, *, new: bool = True) -> Iterator[IO[bytes]]:
    """Open a file of ``nbytes`` bytes to be mapped into memory: a new or emptied one, or what it contains.

    Its space is reserved: a map of a file with holes ends the process if the disk is full.
    """
    with _marked_as_writing(path), path.open("w+b" if new else "r+b") as file:
        if nbytes and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, nbytes)
        else:
            file.truncate(nbytes)
        yield file


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Create a folder with files: yield a temporary folder, which gets its name ``path`` when the context ends.

    After an error, such as if ``path`` exists, nothing remains. A killed process leaves the temporary folder
    (:func:`remove_leftovers`).
    """
    make_folder(path.parent)
    with _marked_as_writing(path):
        temporary = _temporary(path.parent)
        temporary.mkdir()
        try:
            yield temporary
            temporary.rename(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def make_folder(path: Path) -> None:
    """Create a folder and its parents, unless it exists."""
    path.mkdir(parents=True, exist_ok=True)


def is_leftover(path: Path) -> bool:
    """Return whether ``path`` has the name of a temporary file. Killed processes leave such files behind."""
    return _LEFTOVER.fullmatch(path.name) is not None


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders in a folder and its subfolders. No other process may be writing there."""
    for path in [p for p in folder.rglob(".*.tmp") if is_leftover(p)]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def why_not_writable(path: Path) -> str | None:
    """Return why a file cannot be written, or None if no obstacle is known in advance."""
    if (status := _status(path)) is not None:
        if stat.S_ISDIR(status.st_mode):
            return f"{path} is a folder; name a file"
        if not os.access(path, os.W_OK):
            return f"{path} may not be written"
        if not stat.S_ISREG(status.st_mode):
            return None
    folder = _target(path).parent
    if not folder.is_dir():
        return f"there is no folder {folder if path.is_symlink() else path.parent}"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"no file may be written into the folder {folder}"


def _status(path: Path) -> os.stat_result | None:
    """Return the status of ``path``, following links; None if nothing exists there."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _target(path: Path) -> Path:
    """Return the file that ``path`` refers to, following links. The target of the last link need not exist."""
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(ELOOP, os.strerror(ELOOP))
    return target


def _temporary(folder: Path) -> Path:
    """Return an unpredictable temporary name. It is short: a suffix to a name of 255 bytes would be too long."""
    return folder / f".graphspec-{os.urandom(6).hex()}.tmp"


@contextmanager
def _created(path: Path, mode: int, final: Path | None = None) -> Iterator[int]:
    """Yield the descriptor of a new file, which replaces ``final`` at the end; an incomplete one is removed.

    Fail if a file or link exists. The umask applies to ``mode``.
    """
    descriptor = os.open(path, os.O_WRONLY | _NEW, mode)
    try:
        try:
            yield descriptor
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if final is not None:
            path.replace(final)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    remaining = memoryview(data).cast("B")
    while remaining:
        remaining = remaining[os.write(descriptor, remaining[: 1 << 30]) :]


@contextmanager
def _special(path: Path, mode: int) -> Iterator[int]:
    """Open a device, a pipe or a socket, and yield its descriptor. Opening a pipe waits for its reader."""
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
    descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NOCTTY", 0) | _RAW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
