"""Load the text of a spec from a file, a pipe or a device, up to a limit."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any, Final

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, GivenText, SourceFile, SpecError, did_you_mean, shorten
from graphspec.base.text import count_breaks
from graphspec.language.syntax import line_and_column
from graphspec.language.tree import MAX_VALUES

MAX_BYTES: Final = 16 * 2**20
"""The largest file. A spec of 10,000 layers has about 2 MB."""
MAX_LINES: Final = MAX_VALUES
"""The largest number of lines."""

_SUFFIXES = (".yaml", ".yml", ".json")
_REFUSED = {stat.S_IFDIR: "a folder", stat.S_IFBLK: "a block device", stat.S_IFSOCK: "a socket"}


def fail(file: str, message: str, *, line: int | None = None, column: int | None = None, **fields: Any) -> SpecError:
    """Return the error for a source that cannot be read: GS101, or the code in ``fields``."""
    return SpecError([Diagnostic(fields.pop("code", Code.UNREADABLE_DOCUMENT), message, file, line, column, **fields)])


def load(file: str) -> SourceFile:
    """Read a file once and return its name with its text. ``/dev/stdin``, named pipes and process substitution work, too.

    Reading from a pipe waits for its writer.

    Raises:
        SpecError: the file cannot be read or is not text (GS101), or it is too large (GS110).
    """
    if isinstance(file, GivenText):
        return _given(file)
    path = Path(file)
    try:
        status = path.stat()
        kind = _REFUSED.get(stat.S_IFMT(status.st_mode))
        if stat.S_ISFIFO(status.st_mode) and path.suffix.lower() not in ("", *_SUFFIXES):
            kind = "a pipe"
        if kind is not None:
            raise fail(file, f"cannot read '{shorten(file)}': it is {kind}", hint="name a YAML or JSON file")
        size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        data = b""
        if size <= MAX_BYTES:
            with path.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        hint = did_you_mean(file, _specs_beside(path)) or "`graphspec init` writes a first spec"
        raise fail(file, f"no such file: {shorten(file)!r}", hint=hint) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise fail(file, f"cannot read {shorten(file)!r}: {reason}") from None
    if max(size, len(data)) > MAX_BYTES:
        much = f"{size / 2**20:.0f}" if size > MAX_BYTES else f"more than {MAX_BYTES // 2**20}"
        raise _too_large(file, f"the file has {much} MiB")
    return SourceFile(file, _decoded(file, data))


def _too_large(file: str, size: str) -> SpecError:
    text = f"{size}, but a spec has at most {MAX_BYTES // 2**20}"
    return fail(file, text, code=Code.DOCUMENT_TOO_LARGE, hint="is it a spec? store data in separate files")


def _given(file: GivenText) -> GivenText:
    """Return a text that is no file, unless it is too large."""
    if len(file.text) > MAX_BYTES:
        raise _too_large(file, f"the text has {len(file.text) / 2**20:.0f} MiB")
    return file


def _specs_beside(path: Path) -> list[str]:
    """Return the specs in the folder of ``path``."""
    try:
        return [str(p) for p in path.parent.iterdir() if p.suffix in _SUFFIXES]
    except OSError:
        return []


def _decoded(file: str, data: bytes) -> str:
    """Decode UTF-8, or UTF-16 with a byte-order mark."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        head = data[: error.start].decode(encoding, "ignore")
        line, column = line_and_column(head, len(head))
        text = f"not YAML or JSON: byte 0x{data[error.start]:02x} is not UTF-8 text"
        raise fail(file, text, line=line, column=column, hint="a spec is a text file in UTF-8") from None


def check_lines(file: str, text: str) -> None:
    """Refuse a text with too many lines. Every line takes time, even an empty one.

    Raises:
        SpecError: GS110.
    """
    if (lines := count_breaks(text)) > MAX_LINES:
        message = f"the document has {lines:,} lines, but a spec has at most {MAX_LINES:,}"
        hint = "is it a spec? store data in separate files"
        raise fail(file, message, code=Code.DOCUMENT_TOO_LARGE, line=None, hint=hint)
