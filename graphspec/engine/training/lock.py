"""A lock that allows one training at a time in a folder; the operating system releases it when the process ends."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from graphspec.base.errors import UsageError
from graphspec.base.files import LOCK

_NO_LOCKS = frozenset((errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP))


@contextmanager
def locked(directory: Path, report: Callable[[str], None] | None = None, *, wait: bool = False) -> Iterator[None]:
    """Lock an existing folder inside the ``with`` block.

    Child processes do not inherit the lock, and it does not have to be removed after a crash. If the file system does not
    support locks (some network drives), the folder stays unlocked, and ``report`` receives a note for the user.

    Args:
        wait: wait until the folder is free, instead of raising.

    Raises:
        UsageError: another training has locked the folder.
    """
    from filelock import FileLock, Timeout

    path = directory / LOCK
    lock = FileLock(path, blocking=wait, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        text = f"another training is writing to {directory}: wait until it ends, stop it, or choose another folder"
        raise UsageError(text) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        if report is not None:
            report(f"note: {directory} cannot be locked ({error.strerror}): do not run a second training in it")
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):  # Windows cannot remove an open file: there, filelock removes it
            path.unlink()  # a process that has opened this file notices that it was removed, and creates a new one
        lock.release()
