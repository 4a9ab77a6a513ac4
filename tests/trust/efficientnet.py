"""EfficientNetV2-B0 with random weights: a deep network that rounding upsets."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphspec as gs

# kernel, repeats, filters in and out, expansion, stride, share of squeeze-and-excite, fused
STAGES = [
    (3, 1, 32, 16, 1, 1, 0.0, True),
    (3, 2, 16, 32, 4, 2, 0.0, True),
    (3, 2, 32, 48, 4, 2, 0.0, True),
    (3, 3, 48, 96, 4, 2, 0.25, False),
    (3, 5, 96, 112, 6, 1, 0.25, False),
    (3, 8, 112, 192, 6, 2, 0.25, False),
]


def efficientnet(size: int, width: float = 1.0, classes: int = 10) -> dict[str, Any]:
    """The spec, with all filters times ``width`` and a linear head; as published for width 1."""
    layers: list[dict[str, Any]] = []

    def add(name: str, kind: str, inputs: Any = None, **arguments: Any) -> str:
        layers.append({"name": name, "type": kind} | ({} if inputs is None else {"inputs": inputs}) | arguments)
        return name

    def scaled(filters: int) -> int:
        return max(4, int(filters * width))

    def conv(name: str, x: str, filters: int, kernel: int, strides: int = 1, active: bool = True) -> str:
        shape = {"kernel_size": kernel, "strides": strides, "padding": "same", "use_bias": False}
        draw = {"type": "VarianceScaling", "scale": 2.0, "mode": "fan_out", "distribution": "truncated_normal"}
        if filters:
            add(name, "Conv2D", x, filters=filters, kernel_initializer=draw, **shape)
        else:
            add(name, "DepthwiseConv2D", x, depthwise_initializer=draw, **shape)
        add(f"{name}_norm", "BatchNormalization")
        return add(f"{name}_silu", "Activation", activation="silu") if active else f"{name}_norm"

    def weighed(name: str, x: str, few: int, filters: int) -> str:
        z = add(f"{name}_mean", "GlobalAveragePooling2D", x, keepdims=True)
        z = add(f"{name}_few", "Conv2D", z, filters=few, kernel_size=1, activation="silu")
        z = add(f"{name}_gate", "Conv2D", z, filters=filters, kernel_size=1, activation="sigmoid")
        return add(name, "Multiply", [x, z])

    x = conv("stem", "image", scaled(32), 3, 2)
    for stage, (kernel, repeats, first, out, expansion, stride, share, fused) in enumerate(STAGES):
        for block in range(repeats):
            name, before = f"s{stage}_{block}", x
            have, strides = scaled(first if block == 0 else out), stride if block == 0 else 1
            if fused and expansion == 1:
                x = conv(f"{name}_project", x, scaled(out), kernel, strides)
            elif fused:
                x = conv(f"{name}_expand", x, have * expansion, kernel, strides)
                x = conv(f"{name}_project", x, scaled(out), 1, active=False)
            else:
                x = conv(f"{name}_expand", x, have * expansion, 1)
                x = conv(f"{name}_depth", x, 0, kernel, strides)
                x = weighed(f"{name}_squeeze", x, max(1, int(have * share)), have * expansion)
                x = conv(f"{name}_project", x, scaled(out), 1, active=False)
            if strides == 1 and have == scaled(out):
                x = add(f"{name}_add", "Add", [x, before])
    x = conv("top", x, scaled(1280), 1)
    add("pool", "GlobalAveragePooling2D", x)
    add("head", "Dense", units=classes)
    return {
        "graphspec": 1,
        "name": "efficientnet",
        "inputs": {"image": {"shape": [size, size, 3]}},
        "layers": layers,
        "outputs": {"head": {}},
        "training": {"seed": 1},
    }


def with_random_statistics(spec: dict[str, Any], seed: int) -> gs.Model:
    """A model whose normalizations do what those of a trained one do: they shift and scale."""
    model, random = gs.compile(spec), np.random.default_rng(seed)
    drawn = {
        "gamma": lambda shape: random.uniform(0.5, 1.5, shape),
        "beta": lambda shape: random.normal(0, 0.3, shape),
        "moving_mean": lambda shape: random.normal(0, 0.3, shape),
        "moving_variance": lambda shape: random.uniform(0.1, 1.5, shape),
    }
    roles = {name: name.rpartition("/")[2] for name in model.weights}
    model.set_weights({n: drawn[role](model.weights[n].shape) for n, role in roles.items() if role in drawn})
    return model
