"""A drawing as plain SVG: cells with numbers, arrows, and charts, on a card, light or dark as the reader's system is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphspec.show.drawing.curves import Scale
from graphspec.show.drawing.svg import escape, text_width

Array = np.ndarray[Any, Any]

WIDTH = 760.0
"""Pixels. Pages show pictures about 700 pixels wide: text of 12 pixels is then 11 high."""
MARGIN = 20.0
STYLE = """.gp text{font:12px system-ui,'Segoe UI',Helvetica,Arial,sans-serif;fill:#334155}
.gp .t{font-size:17px;font-weight:700;fill:#0f172a}
.gp .h{font-size:13px;font-weight:600;fill:#0f172a}
.gp .m{fill:#64748b}
.gp .b{font-weight:600;fill:#0f172a}
.gp .card{fill:#fff}
.gp .cell{fill:#f8fafc}.gp .rule{stroke:#cbd5e1}
.gp .box{fill:#f1f5f9;stroke:#475569}
.gp .grid{stroke:#e2e8f0}.gp .frame{fill:none;stroke:#94a3b8}
.gp .axis{stroke:#94a3b8}
.gp .arrow{stroke:#64748b;stroke-width:1.5;fill:none}
.gp .tip{fill:#64748b}
.gp .mark{fill:none;stroke:#db2777;stroke-width:2.5}
.gp .pos{fill:#3b82f6}.gp .neg{fill:#f97316}
.gp .ring{fill:none;stroke:#94a3b8}.gp .area{stroke:none;opacity:.75}
.gp .line{fill:none;stroke-width:2;stroke-linejoin:round}
.gp .s0{stroke:#2563eb}.gp .s1{stroke:#ea580c}.gp .s2{stroke:#16a34a}
.gp .s3{stroke:#9333ea}.gp .s4{stroke:#db2777}.gp .s5{stroke:#0e7490}
.gp .f0{fill:#2563eb}.gp .f1{fill:#ea580c}.gp .f2{fill:#16a34a}
.gp .f3{fill:#9333ea}.gp .f4{fill:#db2777}.gp .f5{fill:#0e7490}
@media (prefers-color-scheme:dark){
.gp text{fill:#cbd5e1}
.gp .t,.gp .h,.gp .b{fill:#f8fafc}
.gp .m{fill:#94a3b8}
.gp .card{fill:#0f172a}
.gp .cell{fill:#1e293b}.gp .rule{stroke:#475569}
.gp .box{fill:#1e293b;stroke:#94a3b8}
.gp .grid{stroke:#1e293b}
.gp .axis{stroke:#64748b}
.gp .arrow{stroke:#94a3b8}.gp .tip{fill:#94a3b8}
.gp .mark{stroke:#f472b6}
.gp .s0{stroke:#60a5fa}.gp .s1{stroke:#fb923c}.gp .s2{stroke:#4ade80}
.gp .s3{stroke:#c084fc}.gp .s4{stroke:#f472b6}.gp .s5{stroke:#22d3ee}
.gp .f0{fill:#60a5fa}.gp .f1{fill:#fb923c}.gp .f2{fill:#4ade80}
.gp .f3{fill:#c084fc}.gp .f4{fill:#f472b6}.gp .f5{fill:#22d3ee}
}"""
DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "1 4")
"""Lines differ in more than their colours."""


class Line(NamedTuple):
    """A line of a chart.

    Attributes:
        label: its name, or empty.
        x, y: its points.
        colour: from 0 to 5.
    """

    label: str
    x: Sequence[float] | Array
    y: Sequence[float] | Array
    colour: int = 0


def number(value: float) -> str:
    """A number in a cell: at most two decimals, with a true minus sign and no ``-0``."""
    text = f"{round(float(value), 2) + 0.0:.2f}".rstrip("0").rstrip(".")
    return text.replace("-", "−")


class Canvas:
    """A picture in the making. Coordinates are pixels; (0, 0) is at the top left.

    Args:
        title: the heading, which readers of the screen hear too.
        about: what there is to see, for those who cannot see it.
        width: of the picture; a narrow one, such as a tile, shows no heading.
    """

    def __init__(self, title: str, about: str, width: float = WIDTH) -> None:
        self.title, self.about, self.width = title, about, width
        self.parts: list[str] = []
        if width == WIDTH:
            self.text(MARGIN, 32, title, "t")

    def svg(self, height: float) -> str:
        """Return the document."""
        size = f"0 0 {self.width:.0f} {height:.0f}"
        return "\n".join(
            [
                (
                    f'<svg xmlns="http://www.w3.org/2000/svg" class="gp" width="{self.width:.0f}" height="{height:.0f}" '
                    f'viewBox="{size}" role="img">'
                ),
                f"<title>{escape(self.title)}</title>",
                f"<desc>{escape(self.about)}</desc>",
                f"<style>{STYLE}</style>",
                f'<rect class="card" width="{self.width:.0f}" height="{height:.0f}" rx="8"/>',
                *self.parts,
                "</svg>",
                "",
            ]
        )

    def text(self, x: float, y: float, text: str, kind: str = "", anchor: str = "", turned: bool = False) -> None:
        """Write a line of text: ``kind`` is t (title), h (heading), m (muted), b (bold); ``anchor`` middle or end."""
        more = f' class="{kind}"' if kind else ""
        more += f' text-anchor="{anchor}"' if anchor else ""
        more += f' transform="rotate(-90 {short(x)} {short(y)})"' if turned else ""
        self.parts.append(f'<text x="{short(x)}" y="{short(y)}"{more}>{escape(text)}</text>')

    def texts(self, x: float, y: float, lines: Iterable[str], kind: str = "", anchor: str = "") -> None:
        """Write lines below each other."""
        for k, line in enumerate(lines):
            self.text(x, y + 17 * k, line, kind, anchor)

    def rect(
        self, x: float, y: float, w: float, h: float, kind: str, opacity: float | None = None, r: float = 0
    ) -> None:
        more = f' opacity="{short(opacity, 2)}"' if opacity is not None else ""
        more += f' rx="{short(r)}"' if r else ""
        self.parts.append(
            f'<rect class="{kind}" x="{short(x)}" y="{short(y)}" width="{short(w)}" height="{short(h)}"{more}/>'
        )

    def circle(self, x: float, y: float, r: float, kind: str) -> None:
        self.parts.append(f'<circle class="{kind}" cx="{short(x)}" cy="{short(y)}" r="{short(r)}"/>')

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str, width: float | None = None) -> None:
        more = f' stroke-width="{short(width, 2)}"' if width is not None else ""
        self.parts.append(
            f'<line class="{kind}" x1="{short(x1)}" y1="{short(y1)}" x2="{short(x2)}" y2="{short(y2)}"{more}/>'
        )

    def path(self, points: Iterable[tuple[float, float]], kind: str, dash: str = "") -> None:
        more = f' stroke-dasharray="{dash}"' if dash else ""
        listed = " ".join(f"{short(x)},{short(y)}" for x, y in points)
        self.parts.append(f'<polyline class="{kind}" points="{listed}"{more}/>')

    def arrow(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """Draw an arrow with its tip at the second point."""
        length = float(np.hypot(x2 - x1, y2 - y1))
        ux, uy = (x2 - x1) / length, (y2 - y1) / length
        self.line(x1, y1, x2 - 6 * ux, y2 - 6 * uy, "arrow")
        corners = [(x2, y2), (x2 - 9 * ux + 4 * uy, y2 - 9 * uy - 4 * ux), (x2 - 9 * ux - 4 * uy, y2 - 9 * uy + 4 * ux)]
        self.parts.append(f'<polygon class="tip" points="{" ".join(f"{short(x)},{short(y)}" for x, y in corners)}"/>')

    def cells(
        self,
        x: float,
        y: float,
        values: Any,
        size: float | tuple[float, float] = 30.0,
        *,
        top: float | None = None,
        show: Callable[[float], str] = number,
        plain: bool = False,
    ) -> tuple[float, float]:
        """Draw a table of numbers, blue above 0 and orange below, and return its width and height.

        Args:
            size: of a cell, or its width and height.
            top: the absolute value with the strongest colour; by default the largest.
            show: the text of a value.
            plain: whether cells have no colour.
        """
        table = np.atleast_2d(np.asarray(values, float))
        w, h = size if isinstance(size, tuple) else (size, size)
        top = top or float(np.nanmax(np.abs(table))) or 1.0
        rows, columns = table.shape
        self.rect(x, y, columns * w, rows * h, "cell")
        for (r, c), value in np.ndenumerate(table):
            left, up = x + c * w, y + r * h
            if not plain and abs(value) > 1e-9:
                strength = 0.1 + 0.55 * min(abs(value) / top, 1)
                self.rect(left, up, w, h, "pos" if value > 0 else "neg", strength)
            if text := show(float(value)):
                self.text(left + w / 2, up + h / 2 + 4.3, text, "", "middle")
        inner = [f"M{short(x)} {short(y + r * h)}h{short(columns * w)}" for r in range(rows + 1)]
        inner += [f"M{short(x + c * w)} {short(y)}v{short(rows * h)}" for c in range(columns + 1)]
        self.parts.append(f'<path class="rule" d="{"".join(inner)}"/>')
        return table.shape[1] * w, table.shape[0] * h

    def shades(self, x: float, y: float, size: float, pixels: Array) -> None:
        """Draw a grey picture of shape (height, width), whose values are from 0 (white) to 1 (black), in nine shades."""
        levels = np.round(np.clip(pixels, 0, 1) * 8).astype(int)
        height, width = levels.shape
        h = size * height / width
        self.parts.append(
            f'<rect x="{short(x)}" y="{short(y)}" width="{short(size)}" height="{short(h)}" fill="#fff"/>'
        )
        self.parts.append(
            f'<g transform="translate({short(x)} {short(y + size / width / 2)}) scale({size / width:.4f})" '
            'fill="none" stroke-width="1.04" shape-rendering="crispEdges">'
        )
        for level in range(1, 9):
            if runs := "".join(f"M{start} {row}h{length}" for row, start, length in runs_of(levels == level)):
                grey = f"{round(255 * (1 - level / 8)):02x}"
                self.parts.append(f'<path stroke="#{grey * 3}" d="{runs}"/>')
        self.parts.append("</g>")
        self.rect(x, y, size, h, "frame")

    def chart(
        self,
        box: tuple[float, float, float, float],
        lines: Sequence[Line],
        across: Scale,
        up: Scale,
        *,
        title: str = "",
        below: str = "",
        grid: bool = True,
        dashed: bool = True,
    ) -> Callable[[float, float], tuple[float, float]]:
        """Draw lines in a plot area (x, y, width, height), and return where a point is. Lines end where the area does."""
        x, y, w, h = box

        def at(a: float, b: float) -> tuple[float, float]:
            return x + across.position(a) * w, y + (1 - up.position(b)) * h

        if title:
            self.text(x, y - 9, title, "h")
        for tick, label in labels(up):
            if grid:
                self.line(x, at(across.low, tick)[1], x + w, at(across.low, tick)[1], "grid")
            self.text(x - 6, at(across.low, tick)[1] + 4, label, "m", "end")
        if across.ticks:
            self.line(x, y + h, x + w, y + h, "axis")
        for tick, label in labels(across):
            self.line(at(tick, up.low)[0], y + h, at(tick, up.low)[0], y + h + 4, "axis")
            self.text(at(tick, up.low)[0], y + h + 17, label, "m", "middle")
        if below:
            self.text(x + w / 2, y + h + 34, below, "m", "middle")
        for k, line in enumerate(lines):
            for piece in inside(line, up):
                self.path([at(a, b) for a, b in piece], f"line s{line.colour}", DASHES[k % 6] if dashed else "")
        return at

    def legend(self, x: float, y: float, lines: Sequence[Line], *, across: float = 0, dashed: bool = True) -> None:
        """Name lines: below each other, or with ``across`` pixels from one to the next."""
        for k, line in enumerate(lines):
            left, up = (x + across * k, y) if across else (x, y + 18 * k)
            self.path([(left, up - 4), (left + 26, up - 4)], f"line s{line.colour}", DASHES[k % 6] if dashed else "")
            self.text(left + 33, up, line.label)

    def box(self, x: float, y: float, text: str, w: float | None = None, h: float = 30.0) -> float:
        """Draw a box with a text, and return its width."""
        w = w or text_width(text) + 20
        self.rect(x, y, w, h, "box", r=4)
        self.text(x + w / 2, y + h / 2 + 4.3, text, "b", "middle")
        return w


def labels(scale: Scale) -> list[tuple[float, str]]:
    """The ticks of a scale, which may have none, and their texts."""
    texts = scale.labels() if scale.ticks else []
    return [(tick, text.replace("-", "−")) for tick, text in zip(scale.ticks, texts, strict=True)]


def inside(line: Line, up: Scale) -> list[list[tuple[float, float]]]:
    """The points of a line, cut where it leaves the scale."""
    pieces: list[list[tuple[float, float]]] = [[]]
    room = (up.high - up.low) * 1e-6
    for a, b in zip(line.x, line.y, strict=True):
        if up.low - room <= b <= up.high + room:
            pieces[-1].append((float(a), float(b)))
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if len(piece) > 1]


def short(value: float, decimals: int = 1) -> str:
    """A coordinate."""
    return f"{float(value):.{decimals}f}".rstrip("0").rstrip(".") if decimals else f"{value:.0f}"


def runs_of(marked: Array) -> list[tuple[int, int, int]]:
    """Row, first column and length of each run of cells that are marked, line by line."""
    edges = np.diff(np.pad(marked.astype(int), ((0, 0), (1, 1))), axis=1)
    (rows, starts), (_, ends) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    return list(zip(rows.tolist(), starts.tolist(), (ends - starts).tolist(), strict=True))
