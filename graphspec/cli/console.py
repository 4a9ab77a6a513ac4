"""What the command line writes: text on any console, diagnostics, and errors with their exit status."""

from __future__ import annotations

import codecs
import errno
import functools
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from graphspec.codes import Code
from graphspec.errors import SHOWN, Diagnostic, GraphspecError, RunError, SpecError, UsageError
from graphspec.text import printable

if TYPE_CHECKING:
    from typing import ParamSpec

    P = ParamSpec("P")

INTERRUPTED = 130
BROKEN_PIPE = 141
INTERNAL = 70
"""Exit statuses of the shell's conventions: 128 + SIGINT, 128 + SIGPIPE, and ``EX_SOFTWARE``."""

_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
"""What is not the caller's mistake: a full disk, a limit, a device that fails."""

_PLAIN = {"│": "|", "×": "x", "…": "...", "–": "-", "—": "-", "≤": "<=", "≥": ">=", "·": "*", "→": "->", "�": "?"}


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    bad = error.object[error.start : error.end]
    text = "".join(_PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in bad)
    return text, error.end


def prepare_streams() -> None:
    """Let both streams take any text: what their encoding lacks is written in ASCII. One that is closed takes it unseen."""
    codecs.register_error("graphspec", _plain)
    if sys.stdout is None:  # `main` has opened the null device in its place
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="graphspec")


def colourful(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal that shows colours, and the user has not declined them."""
    if "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return False
    return sys.platform != "win32" or "WT_SESSION" in os.environ or "ANSICON" in os.environ


def out(text: str) -> None:
    """Lines of an answer for people, on stdout."""
    with on_stdout():
        sys.stdout.write(printable(text) + "\n")


def flush() -> None:
    """Let stdout have what was written so far."""
    with on_stdout():
        sys.stdout.flush()


@contextmanager
def on_stdout() -> Iterator[None]:
    """Errors of a stream name no file: those from in here are named."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = "standard output"
        raise


def data(content: bytes) -> None:
    """An answer for programs, on stdout: byte for byte as a file has it; on a terminal as any text, which is UTF-8."""
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None or sys.stdout.isatty():
        out(content.decode().removesuffix("\n"))
        return
    with on_stdout():
        sys.stdout.flush()
        buffer.write(content)
        buffer.flush()


def err(text: str) -> None:
    """Lines about the run, on stderr."""
    _on_stderr(printable(text) + "\n")


def print_diagnostics(diagnostics: Iterable[Diagnostic], stream: TextIO | None = None) -> None:
    """Render diagnostics on ``stream`` (stderr by default), with a blank line behind each: errors first if they are many."""
    from graphspec.cli.render import render

    found = list(diagnostics)
    shown = found
    if len(found) > SHOWN:
        first = sorted(found, key=lambda d: (not d.is_error, *d.sort_key()))[:SHOWN]
        shown = sorted(first, key=Diagnostic.sort_key)
    if not found:
        return
    text = render(shown, colour=colourful(stream or sys.stderr)) + "\n\n"
    if len(found) > SHOWN:
        text += f"… and {len(found) - SHOWN:,} more; `graphspec validate --format json` gives all\n\n"
    if stream is None:
        _on_stderr(text)
    else:
        with on_stdout():
            stream.write(text)


def _on_stderr(text: str) -> None:
    """What cannot be said there is lost: it must not end a run. What is on its way to stdout is shown first."""
    with suppress(OSError):  # of stdout: it is met again when the command has ended
        sys.stdout.flush()
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    """Let nothing more go to a stream that takes nothing, neither now nor when Python exits."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        stream.flush()


def guarded(command: Callable[P, int | None]) -> Callable[P, None]:
    """A command whose exceptions become messages on stderr and exit statuses, never a traceback."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        import typer

        raise typer.Exit(attempt(lambda: command(*args, **kwargs)))

    return run


def attempt(action: Callable[[], int | None]) -> int:
    """Run ``action`` and give the exit status; 0 where it returns None."""
    try:
        status = action() or 0
        flush()
        return status
    except SpecError as error:
        print_diagnostics(error.diagnostics)
        return error.status
    except GraphspecError as error:
        _complain(error)
        return error.status
    except KeyboardInterrupt:
        err("interrupted")
        return INTERRUPTED
    except MemoryError as error:
        _complain(
            RunError(Code.NOT_ENOUGH_MEMORY, f"out of memory: {error}", "use a smaller `batch_size` or smaller layers")
        )
        return RunError.status
    except OSError as error:
        return _failed(error)
    except Exception as error:
        return _internal(error)
    finally:
        try:
            sys.stdout.flush()
        except OSError:  # said above, or less than what was
            _discard(sys.stdout)


def _failed(error: OSError) -> int:
    """A file or a stream that cannot be used: the status says whether that is the machine's fault or the caller's."""
    if error.errno == errno.EPIPE:
        return BROKEN_PIPE
    name = f"{error.filename}: " if error.filename is not None else ""
    err(f"error: {name}{error.strerror or error}")
    return RunError.status if error.errno in _MACHINE else UsageError.status


def _complain(error: GraphspecError) -> None:
    if isinstance(error, RunError):
        text = str(error).partition(": ")[2].removesuffix(f" (help: {error.hint})")
        err(f"error[{error.code}]: {text}" + (f"\n  = help: {error.hint}" if error.hint else ""))
    else:
        err(f"error: {error}")


def _internal(error: Exception) -> int:
    """A mistake of graphspec's own."""
    err(f"internal error, please report: {type(error).__name__}: {error}")
    if os.environ.get("GRAPHSPEC_DEBUG") == "1":
        err("".join(traceback.format_exception(error)).rstrip())
    else:
        err("  = help: GRAPHSPEC_DEBUG=1 shows where it happened")
    return INTERNAL


def count(number: int, noun: str) -> str:
    """``1 error``, ``2 errors``, ``12,345 parameters``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def columns(rows: Iterable[Iterable[Any]], right: Iterable[int] = ()) -> list[str]:
    """Rows of cells as aligned lines; the columns in ``right`` are flush right."""
    table = [[str(cell) for cell in row] for row in rows]
    flush = set(right)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            c.rjust(w) if k in flush else c.ljust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
