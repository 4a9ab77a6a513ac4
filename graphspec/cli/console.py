"""What the command line writes: text on any console, diagnostics, and errors with their exit status."""

from __future__ import annotations

import codecs
import errno
import functools
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TextIO

from graphspec.errors import SHOWN, Diagnostic, GraphspecError, RunError, SpecError, UsageError

if TYPE_CHECKING:
    from typing import ParamSpec

    P = ParamSpec("P")

INTERRUPTED = 130
BROKEN_PIPE = 141
INTERNAL = 70
"""Exit statuses of the shell's conventions: 128 + SIGINT, 128 + SIGPIPE, and ``EX_SOFTWARE``."""

_PLAIN = {"│": "|", "×": "x", "…": "...", "–": "-", "—": "-", "≤": "<=", "≥": ">=", "·": "*", "→": "->", "�": "?"}


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    bad = error.object[error.start : error.end]
    text = "".join(_PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in bad)
    return text, error.end


def prepare_streams() -> None:
    """Let both streams take any text: what their encoding lacks is written in ASCII."""
    codecs.register_error("graphspec", _plain)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="graphspec")


def colourful(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal that shows colours, and the user has not declined them."""
    if "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return False
    return sys.platform != "win32" or "WT_SESSION" in os.environ or "ANSICON" in os.environ


def out(text: str) -> None:
    """A line of the answer, on stdout."""
    sys.stdout.write(text + "\n")


def err(text: str) -> None:
    """A line about the run, on stderr."""
    sys.stdout.flush()
    sys.stderr.write(text + "\n")


def show(diagnostics: Iterable[Diagnostic], stream: TextIO | None = None) -> None:
    """Render diagnostics on ``stream`` (stderr by default), with a blank line behind each: errors first if they are many."""
    from graphspec.cli.render import render

    stream = stream or sys.stderr
    found = list(diagnostics)
    shown = found
    if len(found) > SHOWN:
        first = sorted(found, key=lambda d: (not d.is_error, *d.sort_key()))[:SHOWN]
        shown = sorted(first, key=Diagnostic.sort_key)
    if found:
        stream.write(render(shown, colour=colourful(stream)) + "\n\n")
    if len(found) > SHOWN:
        stream.write(f"… and {len(found) - SHOWN:,} more; `graphspec validate --format json` gives all\n\n")


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
        sys.stdout.flush()
        return status
    except SpecError as error:
        show(error.diagnostics)
        return error.status
    except GraphspecError as error:
        _complain(error)
        return error.status
    except KeyboardInterrupt:
        err("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone: nothing may be flushed to it when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except MemoryError as error:
        _complain(RunError("GS602", f"out of memory: {error}", "use a smaller `batch_size` or smaller layers"))
        return RunError.status
    except OSError as error:
        name = f"{error.filename}: " if error.filename is not None else ""
        err(f"error: {name}{error.strerror or error}")
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO)
        return RunError.status if full else UsageError.status
    except Exception as error:
        return _internal(error)
    finally:
        _flush_stderr()


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
        traceback.print_exception(error)
    else:
        err("  = help: GRAPHSPEC_DEBUG=1 shows where it happened")
    return INTERNAL


def _flush_stderr() -> None:
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


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
