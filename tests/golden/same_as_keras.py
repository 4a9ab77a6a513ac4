"""Networks of `specs/architectures` beside Keras's: parameters, and outputs (logits) with the same random weights.

Run by hand, with Keras 3 and PyTorch installed: `KERAS_BACKEND=torch python tests/golden/same_as_keras.py [NAME …]`.
Layers are matched by the order in which both create them, and their weights by rank.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import applications, layers, ops

import graphspec as gs

FOLDER = Path(__file__).resolve().parents[2] / "specs" / "architectures"
created: list[Any] = []


def remember_layers() -> None:
    """Let ``created`` list every layer of Keras in the order of its creation."""
    construct = keras.layers.Layer.__init__

    def constructed(self: Any, *args: Any, **kwargs: Any) -> None:
        created.append(self)
        construct(self, *args, **kwargs)

    keras.layers.Layer.__init__ = constructed


def efficientnet_b0(size: int) -> Any:
    """Keras's, with the mean and the variance of the spec in place of those that ``adapt`` learns."""
    model = applications.EfficientNetB0(weights=None, input_shape=(size, size, 3), classifier_activation=None)
    normalization = model.get_layer("normalization")
    for name, numbers in (("mean", [0.485, 0.456, 0.406]), ("variance", [0.229**2, 0.224**2, 0.225**2])):
        setattr(normalization, name, ops.reshape(ops.convert_to_tensor(np.float32(numbers)), (1, 1, 1, 3)))
    return model


def convnext_tiny(size: int) -> Any:
    """Keras's, whose layers are listed in the order of their use: those that halve the pixels are created first."""
    model = application("ConvNeXtTiny")(size)
    created[:] = model.layers
    return model


def deeplab_v3_plus(size: int) -> Any:
    """As in https://keras.io/examples/vision/deeplabv3_plus/, of a preprocessed image."""

    def conv(x: Any, filters: int = 256, kernel: int = 3, dilation: int = 1, bias: bool = False) -> Any:
        x = layers.Conv2D(filters, kernel, dilation_rate=dilation, padding="same", use_bias=bias)(x)
        return ops.relu(layers.BatchNormalization()(x))

    def enlarged(x: Any, to: int) -> Any:
        return layers.UpSampling2D(to // x.shape[1], interpolation="bilinear")(x)

    image = keras.Input((size, size, 3))
    resnet = applications.ResNet50(weights=None, include_top=False, input_tensor=image)
    x = resnet.get_layer("conv4_block6_2_relu").output
    parts = [enlarged(conv(layers.AveragePooling2D(x.shape[1])(x), kernel=1, bias=True), x.shape[1])]
    parts += [conv(x, kernel=kernel, dilation=d) for kernel, d in ((1, 1), (3, 6), (3, 12), (3, 18))]
    x = enlarged(conv(layers.Concatenate()(parts), kernel=1), size // 4)
    edges = conv(resnet.get_layer("conv2_block3_2_relu").output, filters=48, kernel=1)
    x = enlarged(conv(conv(layers.Concatenate()([x, edges]))), size)
    return keras.Model(image, layers.Conv2D(20, 1, padding="same")(x))


def espcn(size: int) -> Any:
    """As in https://keras.io/examples/vision/super_resolution_sub_pixel/."""
    x = image = keras.Input((size, size, 1))
    for filters, kernel in ((64, 5), (64, 3), (32, 3), (9, 3)):
        x = layers.Conv2D(filters, kernel, padding="same", activation="relu")(x)
    x = ops.transpose(ops.reshape(x, (-1, size, size, 3, 3, 1)), (0, 1, 3, 2, 4, 5))
    return keras.Model(image, ops.reshape(x, (-1, size * 3, size * 3, 1)))


def application(name: str) -> Callable[[int], Any]:
    build = getattr(applications, name)
    return lambda size: build(weights=None, input_shape=(size, size, 3), classifier_activation=None)


LOGITS = ["vars.size={size}", "layers.object.activation=linear"]
NETWORKS: dict[str, tuple[Callable[[int], Any], int, list[str]]] = {
    "convnext_tiny": (convnext_tiny, 64, LOGITS),
    "deeplab_v3_plus": (deeplab_v3_plus, 128, ["vars.size=128", "layers.part.activation=linear"]),
    "densenet121": (application("DenseNet121"), 96, LOGITS),
    "efficientnet_b0": (efficientnet_b0, 224, LOGITS),
    "espcn": (espcn, 50, []),
    "inception_v3": (application("InceptionV3"), 128, LOGITS),
    "mobilenet_v2": (application("MobileNetV2"), 96, LOGITS),
    "resnet50": (application("ResNet50"), 96, LOGITS),
    "vgg16": (application("VGG16"), 224, LOGITS),
}
"""The network in Keras, the size of its image, and what to set in the spec."""

DRAWN: dict[str, Callable[[Any, tuple[int, ...]], Any]] = {
    "gamma": lambda random, shape: random.uniform(0.5, 1.5, shape),
    "beta": lambda random, shape: random.normal(0, 0.3, shape),
    "bias": lambda random, shape: random.normal(0, 0.3, shape),
    "moving_mean": lambda random, shape: random.normal(0, 0.3, shape),
    "moving_variance": lambda random, shape: random.uniform(0.3, 1.5, shape),
    "kernel": lambda random, shape: random.normal(0, np.prod(shape[:-1]) ** -0.5, shape),
    "depthwise_kernel": lambda random, shape: random.normal(0, np.prod(shape[:2]) ** -0.5, shape),
}
"""Random weights by role: every layer shifts, scales and keeps the order of magnitude."""


def by_rank(weights: Iterable[Any]) -> list[Any]:
    """The weights of a layer, or pairs of a name and a weight: kernels before biases."""
    return sorted(weights, key=lambda w: -len((w[1] if isinstance(w, tuple) else w).shape))


def compared(name: str) -> str:
    """A line: parameters there and here, and the largest difference in standard deviations of the outputs."""
    build, size, settings = NETWORKS[name]
    created.clear()
    theirs = build(size)
    used = {id(layer) for layer in theirs.layers}
    learnt = [
        weight
        for layer in created
        if id(layer) in used and layer.name != "normalization"
        for weight in (layer.weights if isinstance(layer, keras.Sequential) else by_rank(layer.weights))
    ]
    ours = gs.compile(str(FOLDER / f"{name}.yaml"), [setting.format(size=size) for setting in settings])
    random = np.random.default_rng(0)
    weights = {}
    nodes = groupby(ours.weights.items(), lambda item: item[0].rpartition("/")[0])
    for (key, value), weight in zip((w for _, node in nodes for w in by_rank(node)), learnt, strict=True):
        role = key.rpartition("/")[2]
        weights[key] = DRAWN[role](random, value.shape).astype(np.float32)
        weight.assign(weights[key].reshape(weight.shape))
    ours.set_weights(weights)
    x = random.uniform(0, 255, (2, *theirs.input_shape[1:])).astype(np.float32)
    expected, found = theirs.predict(x, verbose=0), ours.predict(x)
    difference = np.abs(expected - found).max() / expected.std()
    counts = theirs.count_params(), sum(w.size for w in weights.values())
    return f"{name:16} {counts[0]:12,} {counts[1]:12,} {difference:.1e}"


if __name__ == "__main__":
    remember_layers()
    for name in sys.argv[1:] or NETWORKS:
        print(compared(name), flush=True)
