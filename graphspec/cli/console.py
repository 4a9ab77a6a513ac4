"""The output of the command line: text on any console, diagnostics, and errors with their exit status."""

from __future__ import annotations

import codecs
import errno
import json
import os
import shlex
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from graphspec.base.errors import SHOWN, Code, Diagnostic, Diagnostics, GraphspecError, RunError, SpecError, UsageError
from graphspec.base.libraries import other_distribution
from graphspec.base.text import paragraph, printable, terminal_width, wrapped
from graphspec.cli.stopping import signal_of, stopped_by

if TYPE_CHECKING:
    from graphspec.base.document import Block

BROKEN_PIPE, INTERNAL = 141, 70  # exit statuses by convention: 128 + SIGPIPE, and EX_SOFTWARE
SLOW = 2.0  # seconds
ASKED = "_GRAPHSPEC_COMPLETE"  # the variable by which a shell asks

# errors of the machine, not of the caller: a full disk, a limit, a failing device
_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE)

_ASCII = {"│": "|", "─": "-", "━": "=", "×": "x", "±": "+-", "…": "...", "–": "-", "—": "-", "≤": "<=", "≥": ">="}
_ASCII |= {"·": "*", "→": "->", "�": "?", "█": "#", "░": "-"}


def _to_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(_ASCII.get(c) or c.encode("ascii", "backslashreplace").decode() for c in bad), error.end


codecs.register_error("graphspec", _to_ascii)


def asked() -> list[str]:
    """Return the words after ``graphspec`` for which a shell asks; none if no shell asks."""
    line = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
    with suppress(ValueError):  # a quotation mark is open
        return shlex.split(line)[1:] if ASKED in os.environ else []
    return line.split()[1:]


def spelled(stream: TextIO) -> Callable[[str], str]:
    """Return how a stream writes a text: as it is, or with other characters for those outside its encoding."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return lambda text: text if text.isascii() else text.encode(encoding, "graphspec").decode(encoding)


def prepare_streams() -> None:
    """Let both streams accept any text: ASCII replaces characters outside their encoding; a closed stream discards it."""
    if sys.stdout is None:  # `main` has opened the null device as its descriptor
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="graphspec")


def colourful(stream: TextIO) -> bool:
    """Return whether ``stream`` is a terminal with colours, and the user has not disabled them."""
    if "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return False
    return sys.platform != "win32" or "WT_SESSION" in os.environ or "ANSICON" in os.environ


def out(*lines: str) -> None:
    """Write lines of a result for people to stdout."""
    with on_stdout():
        sys.stdout.writelines(f"{printable(line)}\n" for line in lines)


def out_blocks(blocks: Iterable[Block]) -> None:
    """Write a document for people to stdout."""
    from graphspec.base.terminal import lines_of

    out(*lines_of(blocks, terminal_width(sys.stdout)))


def write_json(record: Any) -> None:
    """Write a record for programs to stdout."""
    write_data(json.dumps(record, indent=1, ensure_ascii=False).encode(errors="replace") + b"\n")


def flush() -> None:
    """Flush stdout."""
    with on_stdout():
        sys.stdout.flush()


@contextmanager
def on_stdout() -> Iterator[None]:
    """Name stdout as the file of an OSError that names none."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = "standard output"
        raise


def write_data(content: bytes) -> None:
    """Write a result for programs to stdout: the bytes of a file; on a terminal, the same as text (UTF-8)."""
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None or sys.stdout.isatty():
        out(content.decode().removesuffix("\n"))
        return
    with on_stdout():
        sys.stdout.flush()
        buffer.write(content)
        buffer.flush()


def err(text: str) -> None:
    """Write lines about the run to stderr; what a command line contains is not wrapped."""
    _on_stderr(printable(text) + "\n")


def out_wrapped(text: str, indent: int = 2) -> None:
    """Write sentences of a result to stdout, wrapped to the terminal; what does not fit into a line is indented."""
    width = terminal_width(sys.stdout)
    for part in printable(text).split("\n"):
        out(*wrapped(part, width, indent=indent))


@contextmanager
def saying(text: str) -> Iterator[None]:
    """Say on stderr, if it is a terminal, what is being done, once it takes longer than ``SLOW`` seconds."""
    timer = threading.Timer(SLOW, err, [f"{text} …"])
    timer.daemon = True
    if sys.stderr.isatty():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def complain(message: str, hint: str | None = None) -> None:
    """Write an error and its fix to stderr, wrapped to the terminal."""
    width = terminal_width(sys.stderr)
    lines = [line for part in message.split("\n") for line in wrapped(part, width, indent=4)]
    if hint:
        lines += paragraph(hint, width, 10, "  = help: ")
    err("\n".join(lines))


def print_diagnostics(diagnostics: Iterable[Diagnostic], stream: TextIO | None = None) -> None:
    """Write diagnostics to ``stream`` (stderr by default), each followed by a blank line; of many, errors come first."""
    from graphspec.base.errors import render

    found = Diagnostics(diagnostics)
    if not found:
        return
    shown = found.shown() if len(found) > SHOWN else found
    target = stream or sys.stderr
    text = render(shown, colour=colourful(target), width=terminal_width(target), spell=spelled(target)) + "\n\n"
    if len(found) > SHOWN:
        more = f"… and {len(found) - SHOWN:,} more; `graphspec validate --format json` prints all"
        text += "\n".join(wrapped(more, terminal_width(target), indent=2)) + "\n\n"
    if stream is None:
        _on_stderr(text)
    else:
        with on_stdout():
            stream.write(text)
    _note_codes(target, (str(d.code) for d in shown))


_explainable: dict[str, None] = {}  # the codes that this command has shown on a terminal
_MAX_NAMED = 3  # codes that the line about explanations names


def _note_codes(stream: TextIO, codes: Iterable[str]) -> None:
    if hasattr(stream, "isatty") and stream.isatty():
        _explainable.update(dict.fromkeys(codes))


def _point_to_explanations() -> None:
    """Write once, at the end of a command whose diagnostics were shown on a terminal, which command explains them."""
    codes = sorted(_explainable)
    _explainable.clear()
    if not codes:
        return
    them = "it" if len(codes) == 1 else "them" if len(codes) <= _MAX_NAMED else "some of them"
    text = f"`graphspec explain {' '.join(codes[:_MAX_NAMED])}` explains {them}, with examples"
    err("\n".join(wrapped(text, terminal_width(sys.stderr), indent=2)))


def _on_stderr(text: str) -> None:
    """Write to stderr, after flushing stdout. A failure is ignored: it must not end a run."""
    with suppress(OSError):  # an error of stdout is raised again at the end of the command
        sys.stdout.flush()
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    """Redirect a broken stream to the null device: flushing it, now or at exit, must not fail."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        stream.flush()


def status_of(command: Callable[[], int | None]) -> int:
    """Run a command and return its exit status: exceptions become messages on stderr, never a traceback."""
    _explainable.clear()
    status = attempt(command)
    _point_to_explanations()
    return status


_NO_MEMORY = ("failed to map segment", "Cannot allocate memory", "error return without exception set", "bad_alloc")
"""What the loader of libraries and C code say where there is too little memory, in exceptions of other kinds."""


def attempt(action: Callable[[], int | None]) -> int:
    """Run ``action`` and return the exit status; 0 if it returns None."""
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
    except KeyboardInterrupt as stop:
        number = signal_of(stop)
        err(stopped_by(number))
        return 128 + number
    except OSError as error:
        if error.errno == errno.EPIPE:
            return BROKEN_PIPE
        complain(f"error: {reason_of(error)}")
        return RunError.status if error.errno in _MACHINE else UsageError.status
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and f"{error.name}".startswith("graphspec."):
            text = f"error: this installation has no `{error.name}`, which this needs"
            complain(text, "install graphspec as a whole")
            return UsageError.status
        if isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY):
            hint = "use a smaller `batch_size` or smaller layers, or allow the process more memory"
            _complain(RunError(Code.NOT_ENOUGH_MEMORY, f"out of memory: {error}".rstrip(": "), hint))
            return RunError.status
        from graphspec.base.config import failure

        said = failure(error)
        report = f"internal error, please report: {type(error).__name__}: {error}"
        complain(report if said is None else f"error: a plugin fails: {said}")
        if os.environ.get("GRAPHSPEC_DEBUG") == "1":
            err("".join(traceback.format_exception(error)).rstrip())
        else:
            err("  = help: GRAPHSPEC_DEBUG=1 shows where it happened")
        if (other := other_distribution()) is not None:
            complain(f"warning: {other}")
        return INTERNAL if said is None else UsageError.status
    finally:
        try:
            sys.stdout.flush()
        except OSError:  # already reported, or less important than what was
            _discard(sys.stdout)


def reason_of(error: Exception) -> str:
    """Return what an exception says; what the system refuses is told without its number, after the file's name."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _complain(error: GraphspecError) -> None:
    if isinstance(error, RunError):
        complain(f"error[{error.code}]: {error.message}", error.hint)
        _note_codes(sys.stderr, [str(error.code)])
    else:
        complain(f"error: {error}")
