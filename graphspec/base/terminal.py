"""A document as lines of a terminal. Widths are known here alone: what is shortened, left out or wrapped in a narrow one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from graphspec.base import document
from graphspec.base.document import Bar, Block, Cell, Column, Inline, Row, Spark, Table, plain
from graphspec.base.text import Scale, display_width, paragraph, printable, shorten_end, shorten_middle, sparkline

_BARS = (4, 30)  # columns of the longest bar
_SPARKS = (8, 20)  # columns of values over time


def lines_of(blocks: Iterable[Block], width: int | None) -> Iterator[str]:
    """Yield the lines of texts and tables for a terminal of ``width`` columns; None for files and pipes: nothing is cut."""
    for block in blocks:
        match block:
            case document.Text(content=content) | document.Heading(content=content):
                yield from paragraph(plain(content), width)
            case document.Items(entries=entries, indent=indent):
                for entry in entries:
                    yield from paragraph(plain(entry), width, indent, "  ")
            case document.Facts(entries=entries):
                yield from table_lines(Table([Column(cut="middle"), Column(wrap=True)], entries), width)
            case Table():
                yield from table_lines(block, width)
            case document.Code(text=text):
                yield from printable(text).split("\n")
            case _:
                raise TypeError(f"a terminal has no form of a {type(block).__name__}")  # nothing is left out in silence


def table_lines(table: Table, width: int | None) -> list[str]:
    """Return the header, if there is one, and the rows of a table, aligned."""
    return fitted(table, width)[0]


def does_fit(lines: Iterable[str], width: int | None) -> bool:
    """Return whether no line is wider than the terminal."""
    return width is None or all(display_width(line) <= width for line in lines)


def fitted(table: Table, width: int | None) -> tuple[list[str], list[str]]:
    """Return the lines of a table, and the names of the columns that the terminal has no room for.

    In a terminal that is too narrow, columns that may be left out are first shortened, then left out in the order of their
    ranks; then the others are shortened, those with the largest ``least`` first.
    """
    columns = table.described()
    width = None if width is None else width - table.indent
    rows = [list(row.cells if isinstance(row, Row) else row) for row in table.rows]
    shown = list(range(len(columns)))
    left_out: list[str] = []
    grid = _Grid(columns, rows, table.gap, is_limited=width is not None)
    while width is not None and grid.width(shown) > width:
        over = grid.width(shown) - width
        ranked = sorted((k for k in shown if columns[k].drop), key=lambda k: columns[k].drop)
        spare = [k for k in ranked if grid.room(k) >= over]
        if spare:
            grid.widths[spare[-1]] -= over
        elif ranked:
            shown.remove(ranked[0])
            left_out.append(plain(columns[ranked[0]].name))
        else:
            elastic = [k for k in shown if any(_elastic(row[k]) for row in rows)]  # they take any width
            for k in elastic:
                grid.widths[k] -= min(grid.room(k), -(-over // len(elastic)))
            for k in sorted(shown, key=lambda k: -columns[k].least):
                grid.widths[k] -= min(grid.room(k), max(grid.width(shown) - width, 0))
            break
    lines = grid.lines(shown, width)
    if table.rule:
        lines[1:1] = ["─" * max(map(display_width, lines))]
    return [" " * table.indent + line if line else line for line in lines], left_out


class _Grid:
    """The cells of a table with the widths of its columns."""

    def __init__(
        self, columns: Sequence[Column], rows: Sequence[Sequence[Inline | Cell]], gap: int, *, is_limited: bool
    ) -> None:
        self.columns, self.rows, self.gap, self.is_limited = columns, rows, gap, is_limited
        names = [plain(column.name) for column in columns]
        self.header = names if any(names) else None
        self.widths = [self._widest(k) for k in range(len(columns))]

    def _widest(self, k: int) -> int:
        column = self.columns[k]
        cells = [plain(row[k]) for row in self.rows] + ([self.header[k]] if self.header else [])
        drawn = [each[1][1] for row in self.rows if (each := _elastic(row[k]))]
        widest = max([*map(display_width, cells), *drawn], default=0)
        return widest if column.most is None or not self.is_limited else min(widest, column.most)

    def width(self, shown: Sequence[int]) -> int:
        """Return the columns of the terminal that the shown columns take; a column that is wrapped takes what is left."""
        sizes = [self.widths[k] for k in shown if not self.columns[k].wrap and self.widths[k]]
        return sum(sizes) + self.gap * max(len(sizes) - 1, 0)

    def room(self, k: int) -> int:
        """Return how many columns of the terminal a column can give."""
        if elastic := next((each for row in self.rows if (each := _elastic(row[k]))), None):
            least = max(elastic[1][0], display_width(self.header[k]) if self.header else 0)
            return max(self.widths[k] - least, 0)
        return max(self.widths[k] - self.columns[k].least, 0) if self.columns[k].cut else 0

    def lines(self, shown: Sequence[int], width: int | None) -> list[str]:
        last = shown[-1]
        wraps = self.columns[last].wrap
        aligned = [k for k in shown if self.widths[k] and not (wraps and k == last)]
        table = [*([self.header] if self.header else []), *self.rows]
        left = [(" " * self.gap).join(self._padded(row[k], k) for k in aligned) for row in table]
        if not wraps:
            return [line.rstrip() for line in left]
        start = sum(self.widths[k] + self.gap for k in aligned)
        below = width is not None and width - start < self.columns[last].least
        lines: list[str] = []
        for number, (text, row) in enumerate(zip(left, table, strict=True)):
            said = plain(row[last])
            if not below:
                lines += paragraph(said, width, start, text + " " * self.gap)
                continue
            lines.append(shorten_end(text.rstrip(), width or start))
            if said and not (self.header and number == 0):
                lines += paragraph(said, width, 4, "    ")
        return lines

    def _padded(self, cell: Inline | Cell, k: int) -> str:
        column, width = self.columns[k], self.widths[k]
        if drawn := _elastic(cell):
            text = drawn[0](width)
        else:
            text = printable(plain(cell))
            shorten = shorten_end if column.cut == "end" else shorten_middle
            text = shorten(text, width) if display_width(text) > width else text
        space = " " * (width - display_width(text))
        return space + text if column.kind == "number" else text + space


def _elastic(cell: Inline | Cell) -> tuple[Callable[[int], str], tuple[int, int]] | None:
    """Return how a bar or a line of values is drawn in so many columns, and how few and many they are."""
    if isinstance(cell, Bar):
        return lambda width: ("░" if cell.against else "█") * round(width * cell.share), _BARS
    if isinstance(cell, Spark):
        scale = Scale(*cell.ends, cell.log)
        fewest, most = _SPARKS
        return lambda width: sparkline(cell.values, width, scale), (fewest, min(most, len(cell.values)))
    return None
