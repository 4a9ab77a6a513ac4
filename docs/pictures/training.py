"""Pictures of trainings: optimizers, initial weights, callbacks."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphspec as gs
from docs.pictures.canvas import Array, Canvas, Line, number
from graphspec.base.arrays.random import generator
from graphspec.language.explain import REGISTRIES
from graphspec.show.drawing.curves import Scale, linear

STEEP, FLAT = 4.0, 0.1
"""The valley's loss is ``(FLAT · a² + STEEP · b²) / 2`` for the weights a and b."""
START = np.array([[-8.0], [1.6]])


def path(optimizer: dict[str, Any], steps: int) -> Array:
    """The two weights before the first step and after each, shape (steps + 1, 2)."""
    spec = {
        "graphspec": 1,
        "name": "valley",
        "inputs": {"x": {"shape": [2]}},
        "layers": [{"name": "y", "type": "Dense", "units": 1, "use_bias": False}],
        "outputs": {"y": {"loss": "mean_squared_error"}},
        "training": {"optimizer": optimizer, "batch_size": 2, "shuffle": False},
    }
    model = gs.compile(spec)
    model.set_weights({"y/kernel": START.astype(np.float32)})
    x, y = np.diag(np.sqrt([FLAT, STEEP])).astype(np.float32), np.zeros((2, 1), np.float32)
    found = [START[:, 0]]
    for _ in range(steps):
        model.fit(x, y, epochs=1, verbose=0)
        found.append(model.weights["y/kernel"][:, 0])
    return np.array(found)


def optimizers() -> str:
    canvas = Canvas(
        "Four optimizers in a narrow valley",
        "The loss of two weights is a valley, flat along and steep across, with its lowest point in the middle, "
        "drawn as ellipses of equal loss. Each panel shows 40 steps from the same start: SGD swings across and "
        "creeps along; momentum swings out and overshoots; RMSprop goes down both ways at nearly equal speed; "
        "Adam follows a smooth bend.",
    )
    shown: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("SGD", "learning_rate: 0.42", {"type": "SGD", "learning_rate": 0.42}),
        ("SGD, momentum: 0.8", "learning_rate: 0.2", {"type": "SGD", "learning_rate": 0.2, "momentum": 0.8}),
        ("RMSprop", "learning_rate: 0.3", {"type": "RMSprop", "learning_rate": 0.3}),
        ("Adam", "learning_rate: 0.5", {"type": "Adam", "learning_rate": 0.5}),
    )
    steps = 40
    across, up = Scale(-9, 5, ()), Scale(-2.4, 2.4, ())
    for k, (name, rate, optimizer) in enumerate(shown):
        left, top, w, h = 20 + 366.0 * (k % 2), 84 + 214.0 * (k // 2), 354.0, 140.0
        canvas.text(left, top - 10, name, "h")
        canvas.text(left + w, top - 10, rate, "m", "end")
        canvas.rect(left, top, w, h, "cell")
        angle = np.linspace(0, 2 * np.pi, 49)
        rings = [
            Line("", np.sqrt(2 * v / FLAT) * np.cos(angle), np.sqrt(2 * v / STEEP) * np.sin(angle))
            for v in (0.15, 0.6, 1.2)
        ]
        for ring in rings:
            points = zip(ring.x, ring.y, strict=True)
            canvas.path([(left + across.position(a) * w, top + (1 - up.position(b)) * h) for a, b in points], "ring")
        found = path(optimizer, steps)
        at = canvas.chart((left, top, w, h), [Line(name, found[:, 0], found[:, 1], k)], across, up, dashed=False)
        for a, b in found:
            canvas.circle(*at(a, b), 2, f"f{k}")
        canvas.circle(*at(*found[0]), 5, f"f{k}")
        canvas.path([(at(0, 0)[0] + dx, at(0, 0)[1] + dy) for dx, dy in ((-5, -5), (5, 5))], "mark")
        canvas.path([(at(0, 0)[0] + dx, at(0, 0)[1] + dy) for dx, dy in ((-5, 5), (5, -5))], "mark")
        losses = (FLAT * found[:, 0] ** 2 + STEEP * found[:, 1] ** 2) / 2
        text = f"loss {number(losses[0])} at the start, {losses[10]:.2g} after 10 steps, {losses[-1]:.2g} after {steps}"
        canvas.text(left, top + h + 18, text, "m")
    canvas.text(
        20,
        490,
        "Ellipses have equal loss; the cross is the minimum, each point a step. Rates are chosen for this valley.",
        "m",
    )
    return canvas.svg(508)


def weights() -> str:
    canvas = Canvas(
        "What initializers draw for a kernel of 200 × 100",
        "Nine histograms of 20,000 first weights from −0.25 to 0.25, with their standard deviations: normal ones "
        "are bells, truncated ones are cut at two deviations, uniform ones are flat between two bounds.",
    )
    names = (
        ("GlorotUniform", "the default; fan in + fan out"),
        ("GlorotNormal", "the same deviation, a bell"),
        ("Orthogonal", "columns at right angles"),
        ("HeNormal", "for relu; fan in"),
        ("HeUniform", "the same deviation, flat"),
        ("LecunNormal", "for selu; fan in"),
        ("RandomNormal", "stddev: 0.05"),
        ("TruncatedNormal", "stddev: 0.05, cut at 0.1"),
        ("RandomUniform", "from −0.05 to 0.05"),
    )
    for k, (name, about) in enumerate(names):
        initializer = REGISTRIES["initializer"].parse(name)
        drawn = initializer((200, 100), generator(1, "initial", "kernel"))
        counts, edges = np.histogram(drawn, np.linspace(-0.25, 0.25, 41))
        left, top, w, h = 20 + 246.0 * (k % 3), 104 + 164.0 * (k // 3), 220.0, 84.0
        canvas.text(left, top - 30, name, "h")
        canvas.text(left + w, top - 30, f"std {drawn.std():.3f}", "m", "end")
        canvas.text(left, top - 12, about, "m")
        highest = 2700
        bars = [(left, top + h)]
        for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
            level = top + h * (1 - min(count / highest, 1.0))
            bars += [(left + w * (edge + 0.25) / 0.5, level) for edge in (low, high)]
        canvas.path([*bars, (left + w, top + h)], f"area f{k // 3}")
        canvas.line(left, top + h, left + w, top + h, "axis")
        for value, anchor in ((-0.25, "start"), (0.0, "middle"), (0.25, "end")):
            canvas.text(left + w * (value + 0.25) / 0.5, top + h + 17, number(value), "m", anchor)
    return canvas.svg(552)


def callbacks() -> str:
    canvas = Canvas(
        "Callbacks act on a training",
        "The loss on training and validation rows of a small network with more weights than rows. The validation "
        "loss falls and then rises again: ReduceLROnPlateau halves the learning rate, EarlyStopping ends the "
        "training and restores the weights of the best epoch.",
    )
    history = overfitted()
    epochs = np.arange(1, history.epochs + 1)
    best = history.best("val_loss").epoch
    rates = np.array(history["learning_rate"])
    lines = [Line("training", epochs, history["loss"], 0), Line("validation", epochs, history["val_loss"], 1)]
    across = Scale(1, len(epochs), tuple(float(k) for k in range(5, len(epochs) + 1, 5)))
    up = linear([0.0, *history["loss"], *history["val_loss"]])
    at = canvas.chart((60, 92, 450, 190), lines, across, up, title="loss")
    canvas.legend(536, 104, lines)
    x, y = at(best, history["val_loss"][best - 1])
    canvas.circle(x, y, 6, "mark")
    canvas.text(x, y - 13, f"best: epoch {best}", "b", "middle")
    canvas.texts(
        536,
        160,
        [
            "EarlyStopping, patience: 8,",
            f"ends after epoch {len(epochs)}: none of",
            "the last 8 was better. It restores",
            f"the weights of epoch {best}.",
        ],
        "m",
    )
    falls = [int(k) + 2 for k in np.flatnonzero(np.diff(rates))]
    stairs = Line("", np.repeat(epochs, 2)[1:], np.repeat(rates, 2)[:-1], 2)
    at = canvas.chart(
        (60, 340, 450, 80), [stairs], across, Scale(0, 0.002, (0, 0.001, 0.002)), title="learning rate", below="epoch"
    )
    for k in falls:
        canvas.circle(*at(k, rates[k - 1]), 4, "f2")
    canvas.texts(
        536,
        340,
        ["ReduceLROnPlateau, patience: 3,", "factor: 0.5, halves the rate after", "3 epochs without a better loss."],
        "m",
    )
    return canvas.svg(474)


def overfitted() -> Any:
    """The history of a network that learns 40 noisy rows by heart."""
    random = np.random.default_rng(2)
    x = random.uniform(-2, 2, (240, 3)).astype(np.float32)
    y = (np.sin(2 * x[:, :1]) + 0.5 * x[:, 1:2] + random.normal(0, 0.6, (240, 1))).astype(np.float32)
    spec = {
        "graphspec": 1,
        "name": "overfitted",
        "inputs": {"x": {"shape": [3]}},
        "layers": [
            {"name": "a", "type": "Dense", "units": 64, "activation": "relu"},
            {"name": "b", "type": "Dense", "units": 64, "activation": "relu"},
            {"name": "y", "type": "Dense", "units": 1},
        ],
        "outputs": {"y": {"loss": "mean_squared_error"}},
        "training": {
            "optimizer": {"type": "Adam", "learning_rate": 0.002},
            "epochs": 60,
            "batch_size": 40,
            "seed": 3,
            "callbacks": [
                {"type": "ReduceLROnPlateau", "patience": 3, "factor": 0.5},
                {"type": "EarlyStopping", "patience": 8, "restore_best_weights": True},
            ],
        },
    }
    return gs.compile(spec).fit(x[:40], y[:40], validation_data=(x[40:], y[40:]), verbose=0)
