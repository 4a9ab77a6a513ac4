"""Networks of `keras.applications`, with narrow layers: all of Keras's graph and names, a small file.

Keras builds the whole network. Then the numbers of channels in its configuration are divided, and the network is made anew
from that: most of these functions have no argument for the width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import applications
from keras_file_rows import pixels

CLASSES = 5
ROWS = 4
WIDTHS = ("filters", "units", "groups", "projection_dim")
"""Arguments that count channels."""
KEPT = (1, 3, CLASSES)
"""Numbers of channels that stay: one group, those of a picture, and one per class."""


@dataclass(frozen=True)
class Family:
    """A network, the size of its pictures, and the number that its channels are divided by."""

    function: Callable[..., Any]
    size: int
    divide: int


FAMILIES = {
    "vgg16": Family(applications.VGG16, 32, 24),
    "resnet50": Family(applications.ResNet50, 32, 24),
    "resnet50_v2": Family(applications.ResNet50V2, 32, 24),
    "inception_v3": Family(applications.InceptionV3, 75, 24),
    "inception_resnet_v2": Family(applications.InceptionResNetV2, 75, 32),
    "xception": Family(applications.Xception, 71, 32),
    "mobilenet": Family(applications.MobileNet, 32, 16),
    "mobilenet_v2": Family(applications.MobileNetV2, 32, 16),
    "mobilenet_v3_small": Family(applications.MobileNetV3Small, 32, 12),
    "densenet121": Family(applications.DenseNet121, 32, 16),
    "nasnet_mobile": Family(applications.NASNetMobile, 32, 11),
    "efficientnet_b0": Family(applications.EfficientNetB0, 32, 12),
    "efficientnet_v2_b0": Family(applications.EfficientNetV2B0, 32, 16),
    "convnext_tiny": Family(applications.ConvNeXtTiny, 32, 24),
}


def narrow(value: Any, divide: int) -> Any:
    """A configuration with channels divided, and without the shapes that follow from them."""
    if isinstance(value, list | tuple):
        return type(value)(narrow(item, divide) for item in value)
    if not isinstance(value, dict):
        return value
    found = {key: narrow(item, divide) for key, item in value.items() if key != "build_config"}
    for key in WIDTHS:
        if isinstance(found.get(key), int):
            found[key] = narrower(found[key], divide)
    for key in ("target_shape", "batch_shape"):
        if key in found:
            *place, channels = found[key]
            found[key] = (*place, narrower(channels, divide))
    for key in ("rate", "drop_path_rate"):
        if key in found:
            found[key] = 0.0
    return found


def narrower(channels: int, divide: int) -> int:
    return channels if channels in KEPT else max(1, round(channels / divide))


def family(name: str) -> Callable[[np.random.Generator], tuple[Any, Any, Any]]:
    """What makes the compiled network, its pictures and their classes."""
    return lambda _: (build(name), pixels((ROWS, *shape_of(name)), 0), np.arange(ROWS) % CLASSES)


def shape_of(name: str) -> tuple[int, int, int]:
    return (FAMILIES[name].size, FAMILIES[name].size, 3)


def build(name: str) -> Any:
    """The compiled narrow network, with chance switched off."""
    kind = FAMILIES[name]
    whole = kind.function(weights=None, input_shape=shape_of(name), classes=CLASSES)
    model = type(whole).from_config(narrow(whole.get_config(), kind.divide))
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
