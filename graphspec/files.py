"""Every file that graphspec writes: whole files by a temporary name and a rename, new ones, and files that grow.

Also the suffixes of the data files that it reads.

A symbolic link is written through to its target. What is no regular file (a device, a pipe) is written to as it is,
never replaced.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, EISDIR, ELOOP
from pathlib import Path

ARCHIVE, TABLES = ".npz", (".csv", ".tsv", ".jsonl", ".parquet")
DATA_SUFFIXES = (ARCHIVE, *TABLES)
"""Suffixes of data files."""
LOCK = ".graphspec.lock"
"""The file in a folder that a training holds locked. It is left behind by one that was killed; alone it means nothing."""
_LEFTOVER = re.compile(r"\.(graphspec-[0-9a-f]{12}|.+\.\d+)\.tmp")  # .<name>.<process>.tmp is that of version 0.2
_PLAIN = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_NEW = os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | _PLAIN

_writing = 0


def writing() -> bool:
    """Whether a file is being written: whoever ends the process now would leave half of it behind."""
    return _writing > 0


@contextmanager
def _work(path: Path) -> Iterator[None]:
    """While inside, :func:`writing` is true; an ``OSError`` names the file that was asked for, not a temporary one."""
    global _writing
    _writing += 1
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise
    finally:
        _writing -= 1


def is_regular(path: Path) -> bool:
    """Whether there is a regular file of this name; False for a name that no file can have, too."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or with a null character
        return False


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write ``content`` (text as UTF-8) so that a reader sees the old file or the new one, even after a crash.

    An existing file keeps its permissions; a file that may not be written is not replaced either.

    Raises:
        OSError: the folder is missing or the file cannot be written; nothing is left behind then.
    """
    data = content.encode() if isinstance(content, str) else memoryview(content)
    with _work(path):
        before = _status(path)
        if before is not None and not stat.S_ISREG(before.st_mode):
            _write_special(path, data, before.st_mode)
            return
        target = _target(path)
        if before is not None and not os.access(target, os.W_OK):
            raise PermissionError(EACCES, os.strerror(EACCES))
        temporary = _temporary(target.parent)
        try:
            with _created(temporary, 0o666 if before is None else 0o600) as descriptor:
                _write_all(descriptor, data)
                if before is not None:
                    _take_over(descriptor, before)
                os.fsync(descriptor)
            temporary.replace(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


def create(path: Path, text: str) -> None:
    """Write a new file.

    Raises:
        FileExistsError: there is one already, or a link of that name; it is left alone.
        OSError: it cannot be written; nothing is left behind then.
    """
    with _work(path):
        made = False
        try:
            with _created(path, 0o666) as descriptor:
                made = True
                _write_all(descriptor, text.encode())
                os.fsync(descriptor)
        except BaseException:
            if made:
                with suppress(OSError):
                    path.unlink()
            raise


def write_at(path: Path, start: int, data: bytes, *, new: bool = False) -> int:
    """Write ``data`` behind the first ``start`` bytes of a file, which then ends there; give its new size.

    What stood there before is cut off; a file that is shorter goes on from its end. What is no regular file is given
    ``data`` alone.

    Args:
        new: the file must not be there yet.

    Raises:
        OSError: it cannot be written; a regular file ends at ``start`` then, as far as that can be had.
    """
    with _work(path):
        before = _status(path)
        if before is not None and not new and not stat.S_ISREG(before.st_mode):
            _write_special(path, data, before.st_mode)
            return start + len(data)
        descriptor = os.open(path, os.O_RDWR | (_NEW if new else os.O_CREAT | _PLAIN), 0o666)
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


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, if it is not there."""
    path.mkdir(parents=True, exist_ok=True)


def is_leftover(path: Path) -> bool:
    """Whether ``path`` has the name of a temporary file, which a killed process may have left behind."""
    return _LEFTOVER.fullmatch(path.name) is not None


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files in a folder, and in those below it, that nobody is writing any more."""
    for path in [p for p in folder.rglob(".*.tmp") if is_leftover(p)]:
        path.unlink(missing_ok=True)


def refusal(path: Path) -> str | None:
    """Why a file cannot be written, as far as that can be told beforehand; None where nothing speaks against it."""
    status = _status(path)
    if status is not None and stat.S_ISDIR(status.st_mode):
        return f"{path} is a folder; name a file"
    if status is not None and not os.access(path, os.W_OK):
        return f"{path} may not be written"
    if status is not None and not stat.S_ISREG(status.st_mode):
        return None
    folder = _target(path).parent
    if not folder.is_dir():
        return f"there is no folder {folder if path.is_symlink() else path.parent}"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"no file may be written into the folder {folder}"


# Parts.


def _status(path: Path) -> os.stat_result | None:
    """What is there, behind all links; None where nothing is."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _target(path: Path) -> Path:
    """Where a file of this name is: behind all links, the last of which may lead to nothing yet."""
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(ELOOP, os.strerror(ELOOP))
    return target


def _temporary(folder: Path) -> Path:
    """A short name that nobody can guess: a long one would not fit beside a name of 255 bytes."""
    return folder / f".graphspec-{os.urandom(6).hex()}.tmp"


@contextmanager
def _created(path: Path, mode: int) -> Iterator[int]:
    """A descriptor of a new file: neither a file nor a link that is there is opened. The umask applies to ``mode``."""
    descriptor = os.open(path, os.O_WRONLY | _NEW, mode)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    rest = memoryview(data).cast("B")
    while rest:
        rest = rest[os.write(descriptor, rest[: 1 << 30]) :]


def _write_special(path: Path, data: bytes | memoryview, mode: int) -> None:
    """A device, a pipe or a socket; a pipe waits for its reader."""
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
    descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NOCTTY", 0) | _PLAIN)
    try:
        _write_all(descriptor, data)
    finally:
        os.close(descriptor)


def _take_over(descriptor: int, before: os.stat_result) -> None:
    """Owner and permissions of the file that is replaced, as far as that is allowed."""
    if hasattr(os, "fchown"):
        with suppress(OSError):
            os.fchown(descriptor, before.st_uid, before.st_gid)
    if hasattr(os, "fchmod"):
        with suppress(OSError):
            os.fchmod(descriptor, before.st_mode & 0o777)
