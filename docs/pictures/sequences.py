"""Pictures of layers on sequences: recurrent layers and attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from docs.pictures.canvas import Array, Canvas, Line, number
from docs.pictures.compute import network, run
from graphspec.show.drawing.curves import Scale

STEPS = np.array([1.0, 0.5, -1.0, 0.0, 0.5])
INPUT, RECURRENT = 0.8, 0.5
PULSES = np.zeros(20)
PULSES[[2, 10]] = 1.0


def recurrent() -> str:
    canvas = Canvas(
        "A recurrent layer reads a sequence step by step",
        "One recurrent cell drawn once for each of five steps: it takes the value of the step and its own output "
        "of the step before. With return_sequences true all outputs go on, else the last one. Below: three units "
        "of an LSTM over twenty steps; one keeps what it has seen, one loses it slowly, one at once.",
    )
    weights = {"kernel": [[INPUT]], "recurrent_kernel": [[RECURRENT]], "bias": [0.0]}
    out = run({"type": "SimpleRNN", "units": 1, "return_sequences": True}, STEPS[None, :, None], weights=weights)[
        0, :, 0
    ]
    canvas.text(20, 62, "SimpleRNN, units: 1, unrolled: the same cell and weights at every step", "h")
    top, between = 150.0, 106.0
    for k, (x, y) in enumerate(zip(STEPS, out, strict=True)):
        middle = 96 + between * k
        canvas.box(middle - 26, top, "cell", 52, 36)
        canvas.arrow(middle, top + 66, middle, top + 38)
        canvas.cells(middle - 22, top + 66, [[x]], (44, 26), top=1.6)
        canvas.arrow(middle, top - 2, middle, top - 26)
        canvas.cells(middle - 22, top - 52, [[y]], (44, 26), top=1.6)
        canvas.text(middle, top + 109, f"step {k}", "m", "middle")
        if k < 4:
            canvas.arrow(middle + 26, top + 18, middle + between - 26, top + 18)
            canvas.text(middle + between / 2, top + 11, number(y), "m", "middle")
    canvas.text(20, top - 35, "outputs", "m")
    canvas.text(20, top + 84, "inputs", "m")
    canvas.rect(96 + between * 4 - 27, top - 57, 54, 36, "mark")
    canvas.texts(578, top - 48, ["return_sequences: false:", "the last output (1)"], "m")
    canvas.texts(578, top + 2, ["return_sequences: true:", "all outputs (5, 1)"], "m")
    terms = f"{number(INPUT)}·{number(STEPS[1])} + {number(RECURRENT)}·{number(out[0])}"
    canvas.text(20, top + 142, f"step 1: tanh({terms}) = {number(out[1])}; step 0 begins with 0", "m")
    remembering(canvas, 352)
    return canvas.svg(590)


def remembering(canvas: Canvas, y: float) -> None:
    """Three units of an LSTM that differ in the bias of their forget gates: its gates are input, forget, cell, output."""
    forget = np.array([6.0, 1.5, -3.0])
    kernel = np.zeros((1, 4, 3))
    kernel[0, 0], kernel[0, 2] = 5.0, 2.0
    bias = np.zeros((4, 3))
    bias[0], bias[1], bias[3] = -3.0, forget, 3.0
    weights = {"kernel": kernel.reshape(1, 12), "recurrent_kernel": np.zeros((3, 12)), "bias": bias.reshape(12)}
    out = run({"type": "LSTM", "units": 3, "return_sequences": True}, PULSES[None, :, None], weights=weights)[0]
    canvas.text(20, y, "LSTM, units: 3, return_sequences: true, on a sequence of twenty steps", "h")
    kept = 1 / (1 + np.exp(-forget))
    names = [f"unit {k}: keeps {100 * share:.0f} % at each step" for k, share in enumerate(kept)]
    steps = np.arange(20.0)
    lines = [Line(name, steps, out[:, k], k) for k, name in enumerate(names)]
    across = Scale(0, 19, (0, 5, 10, 15))
    at = canvas.chart((60, y + 34, 410, 150), lines, across, Scale(0, 1, (0, 0.5, 1)), below="step")
    for step in np.flatnonzero(PULSES).tolist():
        canvas.arrow(at(step, 0)[0], y + 12, at(step, 0)[0], y + 32)
    canvas.legend(500, y + 46, lines)
    canvas.texts(
        500,
        y + 112,
        ["The arrows mark the two steps", "whose input is 1; all others are 0.", "Training finds what to keep."],
        "m",
    )


WORDS = ("the", "dog", "chased", "a", "cat")
VECTORS = np.array(
    [[2.0, 0.0, 0.0, 0.2], [0.2, 1.8, 0.3, 0.0], [0.0, 0.6, 2.0, 0.1], [1.9, 0.0, 0.1, 0.3], [0.1, 1.7, 0.2, 0.4]]
)


def scores(layer: dict[str, Any], weights: dict[str, Array] | None = None) -> Array:
    """The weights of an attention of the words to themselves."""
    config = {"name": "look", "inputs": ["x", "x"], "return_attention_scores": True, **layer}
    layers = [config, {"name": "w", "type": "Identity", "inputs": "look:1"}]
    model = network({"x": {"shape": list(VECTORS.shape)}}, layers, {"w": {}})
    if weights:
        model.set_weights({f"look/{name}": array.astype(np.float32) for name, array in weights.items()})
    return np.asarray(model.run({"x": VECTORS[None].astype(np.float32)})["w"][0])


def attention() -> str:
    canvas = Canvas(
        "In attention, every query weighs all keys",
        "Four tables of attention weights for five words, each row a query whose weights add up to 1. First all "
        "words, then with a causal mask, under which a word sees itself and what stands before it. Then two "
        "heads: one looks for animals, one for the verb.",
    )
    table(canvas, 86, 108, "Attention", scores({"type": "Attention"}))
    table(canvas, 352, 108, "use_causal_mask: true", scores({"type": "Attention", "use_causal_mask": True}))
    canvas.texts(
        574,
        134,
        [
            "Rows are queries, columns",
            "are keys. The weights of",
            "a row add up to 1.",
            "",
            "weight =",
            "softmax(query · key)",
        ],
        "m",
    )
    canvas.texts(574, 254, ["With the causal mask a", "word sees none after it."], "m")
    heads = two_heads()
    table(canvas, 86, 356, "MultiHeadAttention, head 0", heads[0])
    table(canvas, 352, 356, "head 1", heads[1])
    canvas.texts(
        574,
        382,
        [
            "Each head has its own",
            "projections: here head 0",
            "asks for animals, head 1",
            "for the verb. Training",
            "finds what to ask for.",
        ],
        "m",
    )
    return canvas.svg(538)


def two_heads() -> Array:
    """Weights of two heads whose queries are all alike: one fits the animals' feature, the other one the verb's."""
    key = np.zeros((4, 2, 2))
    key[1, 0, 0] = key[2, 1, 0] = 1.5
    bias = np.zeros((2, 2))
    bias[:, 0] = 1.4
    weights = {"key/kernel": key, "query/bias": bias, "query/kernel": np.zeros((4, 2, 2))}
    return scores({"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 2}, weights)


def table(canvas: Canvas, x: float, y: float, name: str, weights: Array) -> None:
    canvas.text(x, y - 38, name, "h")
    canvas.cells(x, y, weights, (40, 30), top=1)
    for k, word in enumerate(WORDS):
        canvas.text(x + 40 * k + 20, y - 8, word, "m", "middle")
        canvas.text(x - 8, y + 30 * k + 19, word, "b", "end")
