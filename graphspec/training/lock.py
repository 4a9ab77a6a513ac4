"""One training at a time in a folder: a lock of the operating system, which ends with the process that holds it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from graphspec.errors import UsageError
from graphspec.files import LOCK

_NO_LOCKS = frozenset((errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP))


@contextmanager
def locked(directory: Path, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock of a folder that exists.

    Children do not inherit it, and it needs no clearing away after a crash. A file system that has no locks (some network
    drives) leaves that to the user, who is told by ``say``.

    Raises:
        UsageError: another training holds it.
    """
    from filelock import FileLock, Timeout

    path = directory / LOCK
    lock = FileLock(path, blocking=False, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        text = f"another training is writing to {directory}: wait until it ends, stop it, or choose another folder"
        raise UsageError(text) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        if say is not None:
            say(f"note: {directory} cannot be locked ({error.strerror}): let no second training run in it")
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):  # Windows keeps a file that is open: filelock removes it there
            path.unlink()  # whoever opened it before finds that it has gone, and makes a new one
        lock.release()
