"""The tiles of the first page: what one can build, each in a small picture of what goes in and what comes out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from docs.pictures.canvas import Canvas
from docs.pictures.digits import DIGITS

WIDE, HIGH = 280.0, 140.0


def _tile(title: str, about: str) -> Canvas:
    return Canvas(title, about, WIDE)


def table() -> str:
    canvas = _tile(
        "A table",
        "A row of a table of penguins: a bill of 46.1 mm, a length of the flipper that is missing, the island Biscoe. "
        "An arrow leads to the answer, the species Gentoo.",
    )
    row = (("bill_length_mm", "46.1"), ("flipper_length_mm", "–"), ("island", "Biscoe"))
    for k, (name, value) in enumerate(row):
        canvas.rect(16, 22 + 32 * k, 158, 30, "cell")
        canvas.text(24, 42 + 32 * k, name, "m")
        canvas.text(168, 42 + 32 * k, value, "b", "end")
    canvas.arrow(178, 69, 198, 69)
    canvas.box(200, 54, "Gentoo", 68)
    return canvas.svg(HIGH)


def text() -> str:
    canvas = _tile(
        "Texts",
        "A sentence about a film, and two labels, bad and good. The sentence says that the film is moving from beginning "
        "to end, and the label good is marked.",
    )
    canvas.rect(16, 20, 248, 54, "cell", r=4)
    canvas.texts(28, 43, ["“A film that moves you,", "from beginning to end.”"])
    canvas.box(92, 92, "bad", 56)
    canvas.box(158, 92, "good", 56)
    canvas.rect(156, 90, 60, 34, "mark", r=5)
    return canvas.svg(HIGH)


def pictures() -> str:
    canvas = _tile(
        "Pictures",
        "Three handwritten digits of 8 by 8 pixels, as the drawing pad of the examples knows them, each with the name of "
        "its class below it.",
    )
    with np.load(DIGITS) as found:
        for k, name in enumerate((3, 7, 9)):
            digit = found["image"][np.flatnonzero(found["digit"] == name)[0]]
            canvas.shades(24 + 84 * k, 18, 64, digit[:, :, 0] / 16)
            canvas.text(56 + 84 * k, 106, str(name), "t", "middle")
    return canvas.svg(HIGH)


def series() -> str:
    canvas = _tile(
        "A series",
        "A line with the rhythm of days. Behind the last known value, another line goes on in the same rhythm, inside a "
        "band that says how sure the forecast is.",
    )
    hours = np.arange(0, 97)
    values = 52 - 0.1 * hours - 26 * np.sin(hours * np.pi / 12) - 7 * np.sin(hours * np.pi / 6)
    places = [(16 + 2.58 * h, 22 + v) for h, v in zip(hours.tolist(), values.tolist(), strict=True)]
    for h in range(72, 96):
        wide = 6 + 0.5 * (h - 72)
        canvas.rect(places[h][0], places[h][1] - wide, 2.7, 2 * wide, "pos", 0.25)
    canvas.path(places[:73], "line s0")
    canvas.path(places[72:], "line s1")
    canvas.line(places[72][0], 14, places[72][0], 126, "axis")
    canvas.text(places[72][0] - 6, 24, "until now", "m", "end")
    return canvas.svg(HIGH)


def tags() -> str:
    canvas = _tile(
        "Tags of words",
        "The four words of a sentence, The cat sat down, and below each of them a box with its part of speech: an article, "
        "a noun, a verb and an adverb.",
    )
    for k, (word, tag) in enumerate((("The", "ARTICLE"), ("cat", "NOUN"), ("sat", "VERB"), ("down", "ADVERB"))):
        x = 14 + 64.0 * k
        canvas.text(x + 30, 44, word, "h", "middle")
        canvas.line(x + 30, 52, x + 30, 70, "axis")
        canvas.rect(x + 1, 72, 58, 28, "box", r=4)
        canvas.text(x + 30, 90, tag, "m", "middle")
    return canvas.svg(HIGH)


def network() -> str:
    canvas = _tile(
        "A network by hand",
        "A network of layers as a drawing: an input goes into two branches of convolutions, with kernels of three and of "
        "five pixels, which a layer joins before the head.",
    )
    canvas.box(14, 55, "input", 50)
    canvas.box(92, 18, "Conv2D 3", 76)
    canvas.box(92, 92, "Conv2D 5", 76)
    canvas.box(196, 55, "head", 70)
    for y in (33, 107):
        canvas.arrow(64, 70, 90, y)
        canvas.arrow(168, y, 194, 70)
    return canvas.svg(HIGH)


def files() -> str:
    canvas = _tile(
        "A file of Keras or ONNX",
        "Two files, net.keras and net.onnx, become layers of a network, which stay as they are or train on; a new head "
        "stands behind them.",
    )
    canvas.box(14, 24, "net.keras", 78)
    canvas.box(14, 84, "net.onnx", 78)
    canvas.arrow(92, 42, 116, 64)
    canvas.arrow(92, 97, 116, 76)
    canvas.box(118, 55, "its layers", 76)
    canvas.arrow(194, 70, 210, 70)
    canvas.box(212, 55, "head", 54)
    canvas.rect(210, 53, 58, 34, "mark", r=5)
    return canvas.svg(HIGH)


def page() -> str:
    canvas = _tile(
        "A page to try it",
        "A window of a browser with a form: two sliders and a choice on the left. On the right, three bars show the "
        "probabilities of the answers while the form changes.",
    )
    canvas.rect(16, 14, 248, 112, "box", r=6)
    for k in range(3):
        canvas.circle(28 + 11 * k, 25, 3, "tip")
    canvas.line(16, 36, 264, 36, "axis")
    for y, x in ((56, 82), (78, 58)):
        canvas.line(30, y, 128, y, "axis", 3)
        canvas.circle(x, y, 6, "f0")
    canvas.rect(30, 93, 98, 20, "cell", r=3)
    canvas.text(38, 107, "Biscoe", "m")
    for k, share in enumerate((0.9, 0.18, 0.06)):
        canvas.rect(148, 52 + 22 * k, 104, 10, "cell", r=2)
        canvas.rect(148, 52 + 22 * k, 104 * share, 10, "f2" if k == 0 else "tip", r=2)
    return canvas.svg(HIGH)


def step() -> str:
    canvas = _tile(
        "A file that learns",
        "A box, step.onnx, takes rows and weights, and returns the loss and the weights after one step of training; an "
        "arrow leads the new weights back to the beginning.",
    )
    canvas.box(14, 20, "rows", 66)
    canvas.box(14, 66, "weights", 66)
    canvas.box(110, 43, "step.onnx", 80)
    canvas.text(204, 48, "loss", "b")
    canvas.text(204, 76, "weights", "b")
    canvas.arrow(80, 35, 108, 52)
    canvas.arrow(80, 81, 108, 64)
    canvas.arrow(190, 54, 202, 46)
    canvas.arrow(190, 62, 202, 70)
    canvas.path([(226, 82), (226, 118), (47, 118), (47, 106)], "arrow")
    canvas.arrow(47, 112, 47, 98)
    return canvas.svg(HIGH)


TILES: dict[str, Callable[[], str]] = {
    f"tile-{draw.__name__}": draw for draw in (table, text, pictures, series, tags, network, files, page, step)
}
"""What draws each tile, by the name of its file."""
