"""Signals that end a command: what is said, the exit status, and that no file stays incomplete.

Nothing is imported that a signal could interrupt.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from types import FrameType
else:
    import _signal  # Ctrl-C could interrupt the imports of `signal`

_NAMES = {int(getattr(_signal, name)): name for name in ("SIGTERM", "SIGUSR1", "SIGBREAK") if hasattr(_signal, name)}


def signal_of(error: BaseException | None) -> int:
    """Return the number of the signal that raised a KeyboardInterrupt: its argument, else SIGINT."""
    given = getattr(error, "args", ())
    return given[0] if given and isinstance(given[0], int) else int(_signal.SIGINT)


def stopped_by(number: int) -> str:
    """Return what has ended the work: ``interrupted`` for Ctrl-C, ``stopped by SIGTERM`` for that signal."""
    name = _NAMES.get(number)
    return "interrupted" if name is None else f"stopped by {name}"


def on_signal(number: int, frame: FrameType | None) -> None:
    """Handle a signal: raise in a file that is being written, else flush the output and exit with 128 + its number."""
    writing = getattr(sys.modules.get("graphspec.base.files"), "writing", bool)
    if writing():
        raise KeyboardInterrupt(number)
    try:  # noqa: SIM105 (a signal handler must not import)
        sys.stdout.flush()
    except Exception:  # the stream is closed, full, or in use by the interrupted code
        pass
    try:
        os.write(2, f"{stopped_by(number)}\n".encode())
    finally:
        os._exit(128 + number)


def on_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """Exit on a KeyboardInterrupt that Python could not propagate, such as one in a finalizer."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        os._exit(128 + signal_of(unraisable.exc_value))
    sys.__unraisablehook__(unraisable)
