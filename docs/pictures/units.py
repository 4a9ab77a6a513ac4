"""Pictures of single layers with few numbers: Dense and Embedding, and the layers that merge."""

from __future__ import annotations

import numpy as np

from docs.pictures.canvas import Array, Canvas, number
from docs.pictures.compute import run

KERNEL = np.array([[0.5, -1.0, 0.25], [1.5, 0.5, -0.5], [-1.0, 1.0, 2.0], [0.25, -1.5, 1.0]])
BIAS = np.array([0.5, -0.25, 0.0])
ROW = np.array([2.0, -1.0, 0.5, 1.0])
TABLE = np.array([[0.1, -0.4, 0.9], [0.7, 0.2, -0.3], [-0.6, 0.8, 0.0], [0.3, 0.5, -0.8], [-0.2, -0.9, 0.4]])
IDS = np.array([3, 0, 3, 1])


def basic() -> str:
    canvas = Canvas(
        "Dense computes units from all features; Embedding looks rows up",
        "Left: four features and three units, joined by lines as thick as their weights, blue above 0 and orange "
        "below, with the table of weights and the sum of the first unit. Right: an embedding's table; four ids "
        "take their rows out of it.",
    )
    out = run({"type": "Dense", "units": 3}, ROW[None], weights={"kernel": KERNEL, "bias": BIAS})[0]
    canvas.text(20, 62, "Dense, units: 3", "h")
    left, right, top = 92.0, 282.0, 92.0
    places = [(left, top + 52 * k) for k in range(4)]
    units = [(right, top + 26 + 52 * k) for k in range(3)]
    for (r, c), weight in np.ndenumerate(KERNEL):
        kind = "s0" if weight > 0 else "s1"
        (x1, y1), (x2, y2) = places[r], units[c]
        canvas.line(x1, y1, x2, y2, kind, 0.6 + 2.2 * abs(weight))
    for k, (x, y) in enumerate(places):
        node(canvas, x, y, number(ROW[k]))
        canvas.text(x - 30, y + 4, f"x{k}", "m", "end")
    for k, (x, y) in enumerate(units):
        node(canvas, x, y, number(out[k]))
        canvas.text(x + 30, y + 4, f"y{k}", "m")
    canvas.text(left, top + 190, "features", "m", "middle")
    canvas.text(right, top + 190, "units", "m", "middle")
    y = 318.0
    canvas.text(20, y - 10, "kernel (4, 3)", "m")
    canvas.cells(20, y, KERNEL, (46, 26), top=2)
    canvas.text(196, y - 10, "bias (3)", "m")
    canvas.cells(196, y, BIAS, (46, 26), top=2)
    terms = " + ".join(f"{bracket(ROW[k])}·{bracket(KERNEL[k, 0])}" for k in range(4))
    canvas.texts(
        20, y + 128, [f"y0 = {terms} + {number(BIAS[0])} = {number(out[0])}", "blue: above 0, orange: below 0"], "m"
    )
    embedding(canvas, 440)
    return canvas.svg(476)


def bracket(value: float) -> str:
    return number(value) if value >= 0 else f"({number(value)})"


def node(canvas: Canvas, x: float, y: float, text: str) -> None:
    canvas.circle(x, y, 23, "box")
    canvas.text(x, y + 4.3, text, "b", "middle")


def embedding(canvas: Canvas, left: float) -> None:
    config = {"type": "Embedding", "input_dim": 5, "output_dim": 3}
    found = run(config, IDS[None], weights={"embeddings": TABLE})[0]
    canvas.text(left, 62, "Embedding, input_dim: 5, output_dim: 3", "h")
    x, y, w, h = left + 44, 92.0, 46.0, 30.0
    canvas.text(x, y - 8, "embeddings (5, 3)", "m")
    canvas.cells(x, y, TABLE, (w, h), top=1.3)
    for k in range(5):
        canvas.text(x - 12, y + h * k + 19, str(k), "b" if k in IDS else "m", "end")
    for k in sorted(set(IDS.tolist())):
        canvas.rect(x - 1, y + h * k, 3 * w + 2, h, "mark")
    below = 318.0
    canvas.text(left, below - 10, "ids", "m")
    canvas.text(x + 40, below - 10, "one row for each id (4, 3)", "m")
    for k, row in enumerate(IDS):
        up = below + 26 * k
        canvas.cells(left, up, [[row]], (30, 26), plain=True)
        canvas.arrow(left + 36, up + 13, x + 34, up + 13)
        canvas.cells(x + 40, up, found[k], (w, 26), top=1.3)
    canvas.texts(left, below + 128, ["Equal ids get equal rows.", "Training changes the table."], "m")


A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
B = np.array([[3.0, 0.0, -1.0], [2.0, -2.0, 1.0]])


def merging() -> str:
    canvas = Canvas(
        "Layers that merge two values",
        "Two inputs a and b of two rows and three features, and what Add, Subtract, Multiply, Maximum, Average, "
        "Concatenate and Dot make of them, with shapes.",
    )
    canvas.text(20, 62, "the inputs", "h")
    for k, (name, values) in enumerate((("a", A), ("b", B))):
        canvas.text(20, 92 + 88 * k, f"{name} (2, 3)", "m")
        canvas.cells(20, 100 + 88 * k, values, (40, 28), top=8)
    canvas.texts(20, 274, ["Each row of a batch is", "merged by itself."], "m")
    results: list[tuple[str, Array, str]] = []
    for name, about in (
        ("Add", "a + b: residual blocks"),
        ("Subtract", "a − b: what differs"),
        ("Multiply", "a · b: gates"),
        ("Average", "(a + b) / 2"),
        ("Maximum", "the larger of the two"),
        ("Dot", "Σ a · b: how alike"),
    ):
        config = {"type": name, "axes": 1} if name == "Dot" else {"type": name}
        results.append((name + (", axes: 1" if name == "Dot" else ""), run(config, A, B), about))
    for k, (name, values, about) in enumerate(results):
        x, y = 212.0 + 182 * (k % 3), 62.0 + 132 * (k // 3)
        canvas.text(x, y, name, "h")
        canvas.text(x, y + 19, about, "m")
        canvas.cells(x, y + 28, values, (40, 28), top=32 if name.startswith("Dot") else 8)
        canvas.text(x + 40 * values.shape[1] + 8, y + 61, shape(values), "m")
    joined = run({"type": "Concatenate"}, A, B)
    y = 330.0
    canvas.text(212, y, "Concatenate", "h")
    canvas.text(212, y + 19, "b beside a: other shapes may differ along the axis", "m")
    canvas.cells(212, y + 28, joined, (40, 28), top=8)
    canvas.rect(212 + 120, y + 27, 120, 58, "mark")
    canvas.text(212 + 248, y + 61, shape(joined), "m")
    return canvas.svg(438)


def shape(values: Array) -> str:
    return f"({', '.join(map(str, values.shape))})"
