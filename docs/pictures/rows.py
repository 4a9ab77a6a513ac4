"""The picture of what becomes of columns: numbers, missing values, categories, texts, dates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import graphspec as gs
from docs.pictures.canvas import Array, Canvas, number

AREA = (50.0, 80.0, math.nan, 120.0, 70.0)
TOWN = ("Bern", "Basel", "Bern", "Chur", "Bern")
REMARK = ("a quiet house", "old house", "quiet", "a new old house", "new")
JOINED = ("2024-03-01", "2023-12-24", "2024-07-15", "2022-01-31", "2024-02-29")
HEADS = ("filled", "scaled", "gap", "towns", "tokens", "bag", "parts")


def fitted() -> Any:
    """A model whose layers have learnt from the five rows."""
    texts = {"shape": [1], "dtype": "string"}
    layers = [
        {"name": "filled", "type": "Impute", "indicator": True, "inputs": "area"},
        {"name": "scaled", "type": "Normalization", "inputs": "filled"},
        {"name": "gap", "type": "Identity", "inputs": "filled:1"},
        {"name": "towns", "type": "StringLookup", "output_mode": "one_hot", "inputs": "town"},
        {"name": "tokens", "type": "TextVectorization", "output_sequence_length": 4, "inputs": "remark"},
        {"name": "bag", "type": "TextVectorization", "output_mode": "multi_hot", "inputs": "remark"},
        {"name": "parts", "type": "DateParts", "parts": ["year", "month", "weekday"], "inputs": "joined"},
        {"name": "price", "type": "Dense", "units": 1, "inputs": "scaled"},
    ]
    spec = {
        "graphspec": 1,
        "name": "houses",
        "inputs": {"area": {"shape": [1]}, "town": texts, "remark": texts, "joined": texts},
        "layers": layers,
        "outputs": {"price": {"loss": "mean_squared_error"}, **{name: {} for name in HEADS}},
    }
    model = gs.compile(spec)
    model.fit(feeds(), {"price": np.ones((5, 1), np.float32)}, epochs=1, verbose=0)
    return model


def feeds(**changed: Any) -> dict[str, Array]:
    columns: dict[str, Any] = {"area": AREA, "town": TOWN, "remark": REMARK, "joined": JOINED, **changed}
    return {k: np.array([[v] for v in c], np.float32 if k == "area" else object) for k, c in columns.items()}


def named(model: Any, column: str, head: str, values: tuple[str, ...], width: int) -> list[str]:
    """The value that each column of a one-hot output stands for."""
    words = sorted(set(values)) + ["?"] * (5 - len(set(values)))
    found = ["?"] * width
    for start in range(0, len(words), 5):
        some = (words[start : start + 5] + ["?"] * 5)[:5]
        for word, row in zip(some, model.run(feeds(**{column: some}))[head], strict=True):
            found[int(row.argmax())] = word
    return found


def records() -> str:
    model = fitted()
    out = model.run(feeds())
    canvas = Canvas(
        "What becomes of the columns of five rows",
        "Four columns of five rows. Numbers: a missing one becomes the median, an indicator says where, and "
        "Normalization brings them to mean 0 and variance 1. Categories become one column each. Texts become ids "
        "of words, or a column for each word. Dates become a year, and sine and cosine of month and weekday.",
    )
    numbers(canvas, 20, 66, out)
    categories(canvas, 472, 66, out, named(model, "town", "towns", TOWN, 4))
    words = tuple(word for text in REMARK for word in text.split())
    remarks(canvas, 20, 300, out, named(model, "remark", "bag", words, 6))
    dates(canvas, 20, 534, out)
    return canvas.svg(770)


def column(canvas: Canvas, x: float, y: float, name: str, values: tuple[Any, ...], width: float) -> float:
    """Draw a raw column and the arrow behind it, and return where the arrow ends."""
    canvas.text(x, y, name, "m")
    canvas.rect(x, y + 8, width, 150, "cell")
    for k, value in enumerate(values):
        canvas.line(x, y + 8 + 30 * k, x + width, y + 8 + 30 * k, "rule")
        text = value if isinstance(value, str) else "missing" if math.isnan(value) else number(value)
        canvas.text(x + 8, y + 27 + 30 * k, text, "b" if text == "missing" else "")
    canvas.arrow(x + width + 6, y + 83, x + width + 32, y + 83)
    return x + width + 38


def numbers(canvas: Canvas, x: float, y: float, out: dict[str, Array]) -> None:
    canvas.text(x, y, "A number: Impute, then Normalization", "h")
    left = column(canvas, x, y + 26, "area", AREA, 66)
    canvas.text(left, y + 26, "median for missing", "m")
    canvas.cells(left, y + 34, out["filled"], (66, 30), plain=True)
    canvas.rect(left, y + 94, 66, 30, "mark")
    canvas.arrow(left + 72, y + 109, left + 110, y + 109)
    canvas.text(left + 136, y + 26, "standardized", "m")
    canvas.cells(left + 136, y + 34, out["scaled"], (66, 30), top=2.5)
    canvas.text(left + 232, y + 26, "indicator", "m")
    canvas.cells(left + 232, y + 34, out["gap"], (54, 30), top=2)
    given = np.array(AREA)
    filled = out["filled"]
    canvas.text(
        x,
        y + 202,
        f"median {number(np.nanmedian(given))}; then mean {number(filled.mean())}, deviation {number(filled.std())}",
        "m",
    )


def categories(canvas: Canvas, x: float, y: float, out: dict[str, Array], names: list[str]) -> None:
    canvas.text(x, y, "A category: StringLookup, one_hot", "h")
    left = column(canvas, x, y + 26, "town", TOWN, 62)
    for k, name in enumerate(names):
        canvas.text(left + 42 * k + 21, y + 26, name, "m", "middle")
    canvas.cells(left, y + 34, out["towns"], (42, 30), top=2)
    canvas.text(x, y + 202, "?: a town that training did not have", "m")


def remarks(canvas: Canvas, x: float, y: float, out: dict[str, Array], names: list[str]) -> None:
    canvas.text(x, y, "A text: TextVectorization", "h")
    left = column(canvas, x, y + 26, "remark", REMARK, 124)
    canvas.text(left, y + 26, "ids of words, in order", "m")
    canvas.cells(left, y + 34, out["tokens"], (38, 30), plain=True)
    canvas.text(left + 172, y + 115, "or", "b")
    canvas.text(left + 206, y + 6, "output_mode: multi_hot, a column for each word", "m")
    for k, name in enumerate(names):
        canvas.text(left + 206 + 50 * k + 25, y + 26, name, "m", "middle")
    canvas.cells(left + 206, y + 34, out["bag"], (50, 30), top=2)
    pairs = ", ".join(f"{name} {k + 1}" for k, name in enumerate(names) if name != "?")
    canvas.text(x, y + 202, f"ids: 0 fills up, unknown words 1, {pairs}", "m")


def dates(canvas: Canvas, x: float, y: float, out: dict[str, Array]) -> None:
    canvas.text(x, y, "A date: DateParts, parts: [year, month, weekday]", "h")
    left = column(canvas, x, y + 26, "joined", JOINED, 96)
    for k, name in enumerate(("year", "month: sin", "cos", "weekday: sin", "cos")):
        canvas.text(left + 85 * k + 42, y + 26, name, "m", "middle")
    parts = out["parts"]
    canvas.cells(left, y + 34, parts[:, :1], (85, 30), plain=True)
    canvas.cells(left + 85, y + 34, parts[:, 1:], (85, 30), top=1.6)
    canvas.texts(left + 440, y + 84, ["December and January", "are neighbours, and so", "are Sunday and Monday."], "m")
    canvas.text(x, y + 202, "Years are large numbers: standardize them with Normalization.", "m")
