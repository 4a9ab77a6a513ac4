"""A document: what a face of graphspec shows, without how it looks.

A function that knows a fact returns blocks. A renderer draws them: :mod:`graphspec.base.terminal` as lines of a terminal,
:mod:`graphspec.show.html` as a page. Only renderers know markup and widths; text of specs and data is escaped by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

UNDEFINED = "–"
"""The text of a value that is not defined; it sorts behind all others."""


@dataclass(frozen=True)
class Span:
    """A part of a text with a meaning.

    Attributes:
        kind: ``code``, ``b``, ``strong``, ``mark``, or a class of the page's styles, or both: ``strong best``. A terminal
            shows the text alone.
        tip: what the pointer shows on a page.
        link: where it leads on a page.
    """

    text: str
    kind: str = ""
    tip: str = ""
    link: str = ""


BREAK = Span(" ", "br")
"""A line break inside a cell."""


@dataclass(frozen=True)
class Drawing:
    """SVG or an image inside a text or a cell, with its texts escaped; ``about`` says what it shows."""

    markup: str
    about: str = ""


@dataclass(frozen=True)
class Rest:
    """The rest of a long text, which a page shows when its title is chosen."""

    title: str
    text: str


@dataclass(frozen=True)
class Bar:
    """A bar of a table: a ``share`` of the longest one, ``against`` for a negative value."""

    share: float
    against: bool = False


@dataclass(frozen=True)
class Spark:
    """Values over time in a cell of a table, on a scale between two ``ends``, which may be logarithmic."""

    values: Sequence[float]
    ends: tuple[float, float]
    log: bool = False


Inline = str | Span | Drawing | Rest | Bar | Spark | tuple["Inline", ...]
"""A text: plain, with a meaning, or several parts."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table that is more than its text.

    Attributes:
        order: what the cell is sorted by; None for its text.
        kind: how it looks, such as ``wrong``.
        style: a value that the page's styles read, such as ``--s:0.50``.
    """

    content: Inline
    order: float | str | None = None
    kind: str = ""
    style: str = ""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        kind: ``number`` for cells that are aligned at the right, or another class of the page's styles.
        fixed: whether readers cannot sort by it.
        span: the number of columns of cells below the header.
        cut: where a narrow terminal shortens its cells; None for never.
        least, most: the columns of a terminal that it takes at least, if it is shortened, and at most.
        drop: a rank: a narrow terminal leaves out the column with the lowest rank first; 0 for never.
        wrap: whether the cells of this column, the last one, are wrapped, or have lines of their own where less than
            ``least`` columns are left.
    """

    name: Inline = ""
    kind: str = ""
    fixed: bool = False
    span: int = 1
    cut: Literal["middle", "end"] | None = None
    least: int = 8
    most: int | None = None
    drop: int = 0
    wrap: bool = False


@dataclass(frozen=True)
class Row:
    """A row of a table whose row has attributes: ``data`` are names and values that the page's scripts read."""

    cells: Sequence[Inline | Cell]
    data: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Table:
    """A table. The first cell of a row is its header.

    Attributes:
        caption: what it shows.
        label: what it is, for readers who go through a page by keyboard; the caption by default.
        sort: whether readers can sort it.
        kind, id: the class and the id of the table on a page; ``frame`` is the class of what it scrolls in.
        gap, indent: spaces between the columns of a terminal, and before its lines.
        rule: whether a line is drawn below the header.
    """

    columns: Sequence[Column | str]
    rows: Sequence[Row | Sequence[Inline | Cell]]
    caption: str = ""
    label: str = ""
    sort: bool = False
    kind: str = ""
    id: str = ""
    frame: str = ""
    gap: int = 2
    indent: int = 0
    rule: bool = False

    def described(self) -> list[Column]:
        """Return the columns, those that are given by name alone, too."""
        return [Column(column) if isinstance(column, str) else column for column in self.columns]


@dataclass(frozen=True)
class Text:
    """A paragraph; ``kind`` is a class of the page's styles, such as ``note`` or ``warning``."""

    content: Inline
    kind: str = ""


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    content: Inline
    level: int = 3
    id: str = ""


@dataclass(frozen=True)
class Items:
    """A list; ``indent`` is what a terminal puts before the further lines of an entry."""

    entries: Sequence[Inline]
    kind: str = ""
    indent: int = 4


@dataclass(frozen=True)
class Facts:
    """Values with their names."""

    entries: Sequence[tuple[Inline, Inline | Cell]]
    kind: str = "values"


@dataclass(frozen=True)
class Code:
    """Text to copy, letter by letter; with ``name``, a page has a button that copies it."""

    text: str
    name: str = ""
    label: str = ""


@dataclass(frozen=True)
class Figure:
    """A drawing with a title, and what stands below it."""

    title: str
    drawing: Drawing
    below: Sequence[Block] = ()


@dataclass(frozen=True)
class Legend:
    """What the colours and strokes of lines mean: ``(class, text)`` of each."""

    entries: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Group:
    """Blocks that belong together; ``kind`` says how a page arranges them: ``beside``, ``charts``, ``head``."""

    kind: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Folded:
    """Blocks that a page shows when their title is chosen."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Tabs:
    """Parts of which a page shows one at a time: ``(id, title, blocks)`` of each; ``label`` says what they are."""

    label: str
    parts: Sequence[tuple[str, str, Sequence[Block]]]


@dataclass(frozen=True)
class Cards:
    """Records beside each other, each one some blocks."""

    kind: str
    cards: Sequence[Sequence[Block]]


@dataclass(frozen=True)
class Element:
    """What only a page has, such as a button or a slider: markup whose texts are escaped."""

    markup: str


Block = Text | Heading | Items | Facts | Table | Code | Figure | Legend | Group | Folded | Tabs | Cards | Element


@dataclass(frozen=True)
class Section:
    """A part of a document; ``id`` is its anchor, a word."""

    id: str
    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)


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
