"""Pictures of functions: activations, losses, schedules."""

from __future__ import annotations

from typing import Any

import numpy as np

from docs.pictures.canvas import Array, Canvas, Line
from docs.pictures.compute import network, run
from graphspec.language.explain import REGISTRIES
from graphspec.show.drawing.curves import Scale, linear

OF_A_ROW = {"softmax": "(x, 0)", "log_softmax": "(x, 0)", "sparsemax": "(x, 0)", "glu": "(x, x)"}
"""Activations that are no functions of one value, and the rows that the picture gives them."""


JUMPS = {"threshold": (1.0,), "hard_shrink": (-0.5, 0.5)}
"""Where a function jumps: there it gets points on both sides."""
ARGUMENTS = {"threshold": {"threshold": 1.0, "default_value": -1.0}}


def curve(name: str, x: Array) -> Array:
    """The values of an activation; of those of a row, the first."""
    row = OF_A_ROW.get(name)
    second = np.zeros_like(x) if row == "(x, 0)" else x
    rows = np.stack([x, second], -1) if row else x[:, None]
    activation = {"type": name, **ARGUMENTS.get(name, {})}
    return np.asarray(run({"type": "Activation", "activation": activation}, rows)[:, 0])


def activations() -> str:
    names = primary_names("activation")
    canvas = Canvas(
        "All activations, from −4 to 4",
        "A small chart of each activation: the output from −2 to 4 over the input from −4 to 4, with the lines of 0. "
        f"The activations are {', '.join(names)}.",
    )
    x = np.linspace(-4, 4, 41)
    across, up = Scale(-4, 4, ()), Scale(-2, 4, ())
    w, h = 104.0, 72.0
    for k, name in enumerate(names):
        left, top = 20 + 123.0 * (k % 6), 70 + 106.0 * (k // 6)
        canvas.text(left, top - 7, name, "h")
        canvas.rect(left, top, w, h, "cell")
        canvas.line(left, top + h * 4 / 6, left + w, top + h * 4 / 6, "axis")
        canvas.line(left + w / 2, top, left + w / 2, top + h, "axis")
        at = np.sort(np.concatenate([x, *([jump - 1e-3, jump + 1e-3] for jump in JUMPS.get(name, ()))]))
        canvas.chart((left, top, w, h), [Line(name, at, curve(name, at))], across, up, dashed=False)
    rows = -(-len(names) // 6)
    end = 70 + 106.0 * rows
    about = [
        "The grey lines cross at (0, 0). threshold has threshold 1 and default_value −1.",
        (
            "softmax, log_softmax and sparsemax need a row: shown is the first output for (x, 0); of glu, the output "
            "for (x, x)."
        ),
    ]
    canvas.texts(20, end, about, "m")
    return canvas.svg(end + 36)


def primary_names(kind: str) -> list[str]:
    """The name of each class of a registry, without the other names."""
    registry = REGISTRIES[kind]
    return [next(name for name in registry.names() if registry.get(name) is cls) for cls in registry]


def loss_of(loss: str, true: float, predictions: Array) -> Array:
    """The loss of single predictions."""
    model = network({"x": {"shape": [1]}}, [{"name": "y", "type": "Identity"}], {"y": {"loss": loss}})
    target = np.full((1, 1), true, np.float32)
    return np.array([model.evaluate(np.full((1, 1), p, np.float32), target)["loss"] for p in predictions])


def losses() -> str:
    canvas = Canvas(
        "What each loss says of a prediction",
        "Three charts. Left: losses of classes over the predicted probability, where the class is right; "
        "cross-entropy grows without bound towards 0. Middle: losses of numbers over the prediction, where the "
        "true number is 0; the squared error grows fastest. Right: hinge losses over the output, where the target "
        "is 1; they are 0 from 1 on.",
    )
    probability = np.linspace(0.02, 1, 50)
    error = np.linspace(-3, 3, 49)
    output = np.linspace(-2, 3, 41)
    panels: tuple[tuple[str, str, str, Array, float, tuple[tuple[str, str], ...], Scale, Scale], ...] = (
        (
            "Classes", "the right class is 1", "predicted probability", probability, 1.0,
            (
                ("binary_crossentropy", "binary_crossentropy"),
                ("binary_focal_crossentropy", "binary_focal_crossentropy"),
                ("dice", "dice"),
                ("mean_squared_error", "mean_squared_error"),
            ),
            Scale(0, 1, (0, 0.5, 1)), Scale(0, 4, (0, 1, 2, 3, 4)),
        ),
        (
            "Numbers", "the true value is 0", "predicted value", error, 0.0,
            (
                ("mean_squared_error", "mean_squared_error"),
                ("mean_absolute_error", "mean_absolute_error"),
                ("huber, delta: 1", "huber"),
                ("log_cosh", "log_cosh"),
            ),
            linear([-3, 3], count=6), Scale(0, 4, (0, 1, 2, 3, 4)),
        ),
        (
            "Margins", "the target is 1", "output of the network", output, 1.0,
            (("hinge", "hinge"), ("squared_hinge", "squared_hinge")),
            Scale(-2, 3, (-2, -1, 0, 1, 2, 3)), Scale(0, 4, (0, 1, 2, 3, 4)),
        ),
    )  # fmt: skip
    for k, (name, about, below, x, true, found, across, up) in enumerate(panels):
        left = 44 + 244.0 * k
        lines = [Line(label, x, loss_of(loss, true, x), c) for c, (label, loss) in enumerate(found)]
        canvas.text(left, 66, name, "h")
        canvas.text(left, 85, about, "m")
        canvas.chart((left, 100, 196, 180), lines, across, up, below=below)
        canvas.legend(left - 20, 342, lines)
    return canvas.svg(420)


def schedules() -> str:
    canvas = Canvas(
        "The learning rate over 1,000 steps",
        "Six charts of the learning rate from step 0 to step 1,000: ExponentialDecay and InverseTimeDecay fall "
        "ever more slowly, PolynomialDecay falls along a line, PiecewiseConstantDecay in stairs, CosineDecay "
        "rises during a warm-up and then falls along half a wave, CosineDecayRestarts begins again after longer "
        "and longer times.",
    )
    shown: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("ExponentialDecay", {"decay_steps": 200, "decay_rate": 0.5}, "halves every 200 steps"),
        ("InverseTimeDecay", {"decay_steps": 200, "decay_rate": 1.0}, "half at step 200"),
        ("PolynomialDecay", {"decay_steps": 800, "end_learning_rate": 0.001}, "decay_steps: 800, power: 1"),
        (
            "PiecewiseConstantDecay",
            {"boundaries": [400, 700], "values": [0.01, 0.005, 0.001]},
            "boundaries: [400, 700]",
        ),
        (
            "CosineDecay",
            {"initial_learning_rate": 0.0, "warmup_target": 0.01, "warmup_steps": 100, "decay_steps": 900},
            "warmup_steps: 100",
        ),
        ("CosineDecayRestarts", {"first_decay_steps": 150}, "first_decay_steps: 150"),
    )
    for k, (name, config, about) in enumerate(shown):
        given = config if "values" in config else {"initial_learning_rate": 0.01, **config}
        schedule = REGISTRIES["schedule"].parse({"type": name, **given})
        rates = np.array([schedule(step) for step in range(1001)])
        jumps = np.abs(np.diff(rates, append=rates[-1])) > 5e-4
        steps = np.flatnonzero((np.arange(1001) % 20 == 0) | jumps | np.roll(jumps, 1))
        left, top = 60 + 242.0 * (k % 3), 100 + 214.0 * (k // 3)
        canvas.text(left, top - 30, name, "h")
        canvas.text(left, top - 12, about, "m")
        across, up = Scale(0, 1000, (0, 500, 1000)), Scale(0, 0.01, (0, 0.005, 0.01))
        canvas.chart((left, top, 186, 110), [Line(name, steps, rates[steps])], across, up, below="step", dashed=False)
    return canvas.svg(474)
