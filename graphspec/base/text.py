"""Text for a terminal: its width, wrapping, tables, numbers, lines, and the escaping of untrusted characters."""

from __future__ import annotations

import math
import os
import re
import shlex
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TextIO

_BLOCK = 2**16  # characters that `line_of` searches at a time
_BREAK = re.compile("\r\n|\r|\n")
_HARMLESS = frozenset("\n\t\u00a0\u200c\u200d")  # whitespace, and the joiners that scripts and emoji need
_NARROWEST = 40  # columns of a terminal; a narrower one is treated as this wide
_ASCII_ROOM = 4  # columns that stay free where ``…`` becomes ``...``, at the start and the end of a line
_UNIT = re.compile(r"`[^`\n]*`\S*|'[^'\n]{0,60}'[^\s']*|\S+")
"""What a line is not broken in: code in backticks, a name in quotes, a word."""


def printable(text: str) -> str:
    """Replace the characters of ``text`` that control a terminal or change the text direction. Lines and tabs stay.

    All text from files, specs, data and arguments goes through this function before it reaches a terminal.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _HARMLESS else "�" for c in text)


def shell(*words: str) -> str:
    """Return words as a command line for the shell of this system: a word with spaces is quoted."""
    if os.name == "nt":
        from subprocess import list2cmdline

        return list2cmdline(words)
    return shlex.join(words)


def count_breaks(text: str) -> int:
    """Return the number of line breaks. As in YAML, these are LF, CR LF and CR."""
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def line_of(text: str, number: int) -> str | None:
    """Return line ``number``, from 1, without its break, or None if there are fewer. It builds no list of all lines."""
    before, start = number - 1, 0
    while start < len(text):
        end = start + _BLOCK
        if text[end - 1 : end + 1] == "\r\n":
            end += 1
        block = text[start:end]
        if (breaks := count_breaks(block)) >= before:
            break
        before, start = before - breaks, end
    for match in _BREAK.finditer(text, start):
        if not before:
            return text[start : match.start()]
        before, start = before - 1, match.end()
    return None if before else text[start:]


def terminal_width(stream: TextIO) -> int | None:
    """Return the columns of the terminal that ``stream`` writes to; None for a file or a pipe.

    The environment variable ``COLUMNS`` comes first, for all streams.
    """
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given):
        columns = int(given)
    elif not (hasattr(stream, "isatty") and stream.isatty()):  # a notebook's stream, or one of a program, may have less
        return None
    else:
        try:
            columns = os.get_terminal_size(stream.fileno()).columns or 80
        except (OSError, ValueError, AttributeError):  # a terminal without a size, or a stream without a descriptor
            columns = 80
    return max(columns, _NARROWEST) - (0 if _has(stream, "…") else _ASCII_ROOM)


def _has(stream: TextIO, text: str) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeError, LookupError):
        return False
    return True


def display_width(text: str) -> int:
    """Return the number of terminal columns of ``text``."""
    return len(text) if text.isascii() else sum(map(character_width, text))


def character_width(character: str) -> int:
    """Return the number of terminal columns of a character: 0, 1 or 2."""
    if unicodedata.category(character) in ("Mn", "Me"):  # accents, variation selectors of emoji
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def wrapped(text: str, width: int | None, *, indent: int = 0, start: int = 0) -> list[str]:
    """Break ``text`` between words into lines of at most ``width`` columns; the second and later ones are indented.

    Code in backticks and names in quotes stay whole where they fit into a line. A longer word stays whole: a path or a
    command can then be copied. Something else takes ``start`` columns of the first line.
    """
    if width is None:
        return [text]
    lines, line, used, empty = [], "", start, True
    for space, unit in _units(text, width - indent):
        size = display_width(unit)
        if not empty and used + len(space) + size > width:
            lines.append(line)
            line, used = " " * indent + unit, indent + size
        else:
            line, used = line + space + unit, used + len(space) + size
        empty = False
    return [*lines, line]


def _units(text: str, width: int) -> Iterator[tuple[str, str]]:
    """Yield words with the space before each; quoted words are one word where they fit into ``width`` columns."""
    place = 0
    for match in _UNIT.finditer(text):
        unit = match[0]
        words = [unit] if display_width(unit) <= width else unit.split(" ")
        yield text[place : match.start()], words[0]
        yield from ((" ", word) for word in words[1:])
        place = match.end()


def paragraph(text: str, width: int | None, indent: int = 2, start: str = "") -> list[str]:
    """Return the lines of a text that follows ``start``; all but the first are indented."""
    first, *rest = wrapped(text, width, indent=indent, start=display_width(start))
    return [(start + first).rstrip(), *rest]


def shorten_middle(text: str, width: int) -> str:
    """Return ``text``, with its middle replaced by ``…`` if it takes more than ``width`` columns."""
    if display_width(text) <= width or width < 1:
        return text
    characters, left, right, room = list(text), "", "", width - 1
    while characters:
        from_left = display_width(left) <= display_width(right)
        character = characters.pop(0 if from_left else -1)
        room -= character_width(character)
        if room < 0:
            break
        left, right = (left + character, right) if from_left else (left, character + right)
    return f"{left}…{right}"


def shorten_end(text: str, width: int) -> str:
    """Return ``text``, with its end replaced by ``…`` if it takes more than ``width`` columns."""
    if display_width(text) <= width:
        return text
    shown, room = "", width - 1
    for character in text:
        room -= character_width(character)
        if room < 0:
            break
        shown += character
    return shown.rstrip() + "…"


def number(value: float) -> str:
    """Format a loss, a metric or a rate: ``0.9744``, ``12.345``, ``1e-05``, ``1.235e+06``.

    Values from 0.01 to 99999 take six or seven characters; smaller and larger ones have four significant digits.
    """
    size = abs(value)
    if not math.isfinite(value) or 0 < size < 0.01 or size >= 999999.5:
        return f"{value:.4g}"
    if size < 1:
        return f"{value:.4f}"
    return f"{value:#.5g}".rstrip(".") if size < 99999.5 else f"{value:.0f}"


def significant(value: float) -> str:
    """Format a measure with four significant digits: ``0.01834``, ``1.000``, ``12.35``, ``5.472e-06``, ``12346``."""
    size = abs(value)
    if not math.isfinite(value) or 0 < size < 0.0001 or size >= 999999.5:
        return f"{value:.3e}"
    return f"{value:.0f}" if size >= 999.95 else f"{value:#.4g}"


def percent(share: float) -> str:
    """Format a share: ``45 %``, ``0.32 %``, ``0 %``."""
    return f"{100 * share:.0f} %" if share >= 0.01 or share == 0 else f"{100 * share:.2g} %"


def duration(seconds: float) -> str:
    """Format a time: ``40 ms``, ``2.5 s``, ``2 min 5 s``, ``3 h 12 min``."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return ``1 error``, ``2 errors``, ``12,345 parameters``; ``plural`` if it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def few(words: Sequence[object], most: int) -> str:
    """Return the first words of a list, with ``…`` if there are more."""
    return ", ".join(map(str, words[:most])) + (", …" if len(words) > most else "")


# Sparklines: a series of values as one short word of blocks, such as ``█▅▃▂▁▁``.
BLOCKS = "▁▂▃▄▅▆▇█"
_GAP = "·"  # where no value is finite
_DECADE = 10.0  # between the smallest and the largest value: the scale is logarithmic


class Scale(NamedTuple):
    """What the lowest and the highest block stand for; ``log`` for a logarithmic scale between them."""

    low: float
    high: float
    log: bool = False


def scale_of(values: Iterable[float], *, may_be_log: bool = False) -> Scale:
    """Return the scale for some values: logarithmic if that is allowed, and positive values span a decade or more.

    Values that are not finite do not count.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return Scale(0.0, 0.0)
    low, high = min(finite), max(finite)
    return Scale(low, high, may_be_log and low > 0 and high / low >= _DECADE)


def sparkline(values: Sequence[float], width: int, scale: Scale | None = None) -> str:
    """Return a series as at most ``width`` blocks; of a longer one, each block is the mean of a part.

    Parts without a finite value are ``·``. All blocks are ``▁`` if the values are equal.
    """
    scale = scale or scale_of(values)
    count = min(len(values), width)
    parts = (values[k * len(values) // count : (k + 1) * len(values) // count] for k in range(count))
    return "".join(_block([value for value in part if math.isfinite(value)], scale) for part in parts)


def _block(values: Sequence[float], scale: Scale) -> str:
    if not values:
        return _GAP
    value, low, high = math.fsum(value / len(values) for value in values), scale.low, scale.high
    if scale.log:
        value, low, high = math.log(max(value, low)), math.log(low), math.log(high)
    span = high / 2 - low / 2  # without an overflow
    share = (value / 2 - low / 2) / span if span > 0 else 0.0
    return BLOCKS[min(max(int(share * len(BLOCKS)), 0), len(BLOCKS) - 1)]


def can_show(stream: TextIO) -> bool:
    """Return whether the encoding of ``stream`` has all the blocks."""
    return _has(stream, BLOCKS + _GAP)
