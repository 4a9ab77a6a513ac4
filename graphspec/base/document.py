"""A document: what a face of graphspec shows, without how it looks.

A function that knows a fact returns blocks. A renderer draws them: :mod:`graphspec.base.terminal` as lines of a terminal,
:mod:`graphspec.show.html` as a page, :mod:`graphspec.show.markdown` as Markdown. Only renderers know markup and widths; they
escape the texts of specs and data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, dataclass_transform

UNDEFINED = "–"  # the text of a value that is not defined; it sorts behind all others


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class _Part:
    """Base: a class that is derived from this one is a frozen dataclass."""

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True)(cls)


class Span(_Part):
    """A part of a text with a meaning, which a terminal does not show."""

    text: str
    kind: str = ""  # ``code``, ``b``, ``strong``, ``mark``, or a class of the page's styles, or both: ``strong best``
    tip: str = ""  # what the pointer shows on a page
    link: str = ""  # where it leads on a page


BREAK = Span(" ", "br")  # a line break inside a cell


class Drawing(_Part):
    """SVG or an image inside a text or a cell, with its texts escaped; ``about`` says what it shows."""

    markup: str
    about: str = ""


class Rest(_Part):
    """The rest of a long text, which a page shows when its title is chosen."""

    title: str
    text: str


class Bar(_Part):
    """A bar of a table: a ``share`` of the longest one, ``against`` for a negative value."""

    share: float
    against: bool = False


class Spark(_Part):
    """Values over time in a cell of a table, on a scale between two ``ends``, which may be logarithmic."""

    values: Sequence[float]
    ends: tuple[float, float]
    log: bool = False


Inline = str | Span | Drawing | Rest | Bar | Spark | tuple["Inline", ...]  # a text: plain, with a meaning, or parts


class Cell(_Part):
    """A cell of a table that is more than its text."""

    content: Inline
    order: float | str | None = None  # what the cell is sorted by; None for its text
    kind: str = ""  # how it looks, such as ``wrong``
    style: str = ""  # a value that the page's styles read, such as ``--s:0.50``


class Column(_Part):
    """A column of a table."""

    name: Inline = ""
    kind: str = ""  # ``number`` for cells that are aligned at the right, or another class of the page's styles
    fixed: bool = False  # whether readers cannot sort by it
    span: int = 1  # the number of columns of cells below the header
    cut: Literal["middle", "end"] | None = None  # where a narrow terminal shortens its cells; None for never
    least: int = 8  # the columns of a terminal that it takes at least, if it is shortened
    most: int | None = None  # and at most
    drop: int = 0  # a rank: a narrow terminal leaves out the column with the lowest rank first; 0 for never
    wrap: bool = False  # whether the last column is wrapped, below the others if ``least`` columns are not left


class Row(_Part):
    """A row of a table whose row has attributes: ``data`` are names and values that the page's scripts read."""

    cells: Sequence[Inline | Cell]
    data: tuple[tuple[str, str], ...] = ()


class Table(_Part):
    """A table. The first cell of a row is its header."""

    columns: Sequence[Column | str]
    rows: Sequence[Row | Sequence[Inline | Cell]]
    caption: str = ""  # what it shows
    label: str = ""  # what it is, for readers who go through a page by keyboard; the caption by default
    sort: bool = False  # whether readers can sort it
    kind: str = ""  # its class on a page
    id: str = ""
    frame: str = ""  # the class of what it scrolls in
    gap: int = 2  # spaces between the columns of a terminal
    indent: int = 0  # and before its lines
    rule: bool = False  # whether a line is drawn below the header

    def described(self) -> list[Column]:
        """Return the columns, those that are given by name alone, too."""
        return [Column(column) if isinstance(column, str) else column for column in self.columns]


class Text(_Part):
    """A paragraph; ``kind`` is a class of the page's styles, such as ``note`` or ``warning``."""

    content: Inline
    kind: str = ""


class Heading(_Part):
    """A heading inside a section."""

    content: Inline
    level: int = 3
    id: str = ""


class Items(_Part):
    """A list; ``indent`` is what a terminal puts before the further lines of an entry."""

    entries: Sequence[Inline]
    kind: str = ""
    indent: int = 4


class Facts(_Part):
    """Values with their names."""

    entries: Sequence[tuple[Inline, Inline | Cell]]
    kind: str = "values"


class Code(_Part):
    """Text to copy, letter by letter; with ``name``, a page has a button that copies it."""

    text: str
    name: str = ""
    label: str = ""


class Figure(_Part):
    """A drawing with a title, and what stands below it."""

    title: str
    drawing: Drawing
    below: Sequence[Block] = ()


class Legend(_Part):
    """What the colours and strokes of lines mean: ``(class, text)`` of each."""

    entries: Sequence[tuple[str, str]]


class Group(_Part):
    """Blocks that belong together; ``kind`` says how a page arranges them: ``beside``, ``charts``, ``head``."""

    kind: str
    blocks: Sequence[Block]


class Folded(_Part):
    """Blocks that a page shows when their title is chosen."""

    title: str
    blocks: Sequence[Block]


class Tabs(_Part):
    """Parts of which a page shows one at a time: ``(id, title, blocks)`` of each; ``label`` says what they are."""

    label: str
    parts: Sequence[tuple[str, str, Sequence[Block]]]


class Cards(_Part):
    """Records beside each other, each one some blocks."""

    kind: str
    cards: Sequence[Sequence[Block]]


class Element(_Part):
    """What only a page has, such as a button or a slider: markup whose texts are escaped."""

    markup: str


Block = Text | Heading | Items | Facts | Table | Code | Figure | Legend | Group | Folded | Tabs | Cards | Element


class Section(_Part):
    """A part of a document; ``id`` is its anchor, a word."""

    id: str
    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)
    finding: str = ""  # what it shows, in a few words, for the contents of a page; ``alarm`` if that is bad
    alarm: bool = False


def plain(content: Inline | Cell) -> str:
    """Return the text of a content, without meanings; a drawing is what it shows."""
    match content:
        case str():
            return content
        case Span(text=text) | Drawing(about=text) | Rest(text=text):
            return text
        case Cell(content=inner):
            return plain(inner)
        case tuple():
            return "".join(map(plain, content))
    return ""
