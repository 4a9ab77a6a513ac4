"""``graphspec`` and ``python -m graphspec``."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signal import SIG_IGN, SIGINT, getsignal, signal
    from types import FrameType
else:
    from _signal import SIG_IGN, SIGINT, getsignal, signal  # `signal` imports enum first, which Ctrl-C may interrupt

INTERRUPTED = 130
"""The exit status that shells give for Ctrl-C: 128 + SIGINT."""


def main() -> None:
    """Run the command line, and end with its status.

    Ctrl-C ends the process at once, since an exception is no help here: modules that are being imported turn it into
    errors of their own, and objects that are being removed lose it. Nothing is undone by that: files are whole or absent.
    Only a file that is being written, and training, get a KeyboardInterrupt, after which they clean up.
    """
    ignored = getsignal(SIGINT) == SIG_IGN  # by who started this, so that Ctrl-C is for others
    if not ignored:
        signal(SIGINT, _interrupted)
        sys.unraisablehook = _unraisable
    _open_closed()

    import atexit
    import gc

    # Imports make many objects that stay: collecting less often starts a tenth sooner.
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)  # nor are they searched when all ends: that is a sixth of the time of `validate`
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # else it looks through every package installed

    from graphspec.cli.app import app
    from graphspec.cli.console import prepare_streams

    prepare_streams()
    try:
        app(prog_name="graphspec")
    finally:
        signal(SIGINT, SIG_IGN)  # all is done but for Python to end


def _open_closed() -> None:
    """Give streams that were closed by the caller the null device: the next file would take their place."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


def _interrupted(signum: int, frame: FrameType | None) -> None:
    writing = getattr(sys.modules.get("graphspec.files"), "writing", bool)
    if writing():
        raise KeyboardInterrupt
    try:  # noqa: SIM105 (nothing may be imported here)
        sys.stdout.flush()
    except Exception:  # closed, full, or being written to at this moment
        pass
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(INTERRUPTED)


def _unraisable(what: sys.UnraisableHookArgs) -> None:
    """A KeyboardInterrupt that Python could not pass on still ends the process."""
    if issubclass(what.exc_type, KeyboardInterrupt):
        os._exit(INTERRUPTED)
    sys.__unraisablehook__(what)


if __name__ == "__main__":
    main()
