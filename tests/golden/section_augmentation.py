"""The golden values of augmentation in training, with given random numbers: ``cases_image.augmentation_cases``.

Per case: images, outputs, cotangents, gradients of Σ output · cotangent by the images. ``plain`` are the outputs without
training; those of RandomCrop are Keras's ``smart_resize``, which its documentation promises and its layer does not do.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import torch
from cases_image import augmentation_cases
from keras.src import backend
from keras.src.utils.image_utils import smart_resize
from keras_models import Section, exact, generator, make, plain


def section() -> Section:
    section = Section("augmentation")
    original = backend.random.uniform
    for case in augmentation_cases():
        given = iter(case["draws"])

        def uniform(shape: Any, minval: float = 0.0, maxval: float = 1.0, *_: Any, **__: Any) -> Any:
            share = torch.tensor(next(given), dtype=torch.float64).reshape(tuple(shape))  # noqa: B023
            return minval + share * (maxval - minval)

        rng = generator(case["id"])
        colors = case["layer"]["type"] in ("RandomContrast", "RandomBrightness")
        x = exact(rng.uniform(0, 255, case["shape"]) if colors else rng.normal(size=case["shape"]))
        images = torch.tensor(x, requires_grad=True)
        layer = make(dict(case["layer"]))
        backend.random.uniform = uniform
        y = layer(images * 1.0, training=True)  # RandomBrightness adds in place
        backend.random.uniform = original
        cotangents = exact(rng.normal(size=tuple(y.shape)))
        (y * torch.tensor(cotangents)).sum().backward()
        calm: Any = images
        if isinstance(layer, keras.layers.RandomCrop):
            size = layer.height, layer.width
            calm = smart_resize(images, size, data_format=layer.data_format, backend_module=layer.backend)
        section.add(
            case["id"],
            {"layer": case["layer"], "draws": case["draws"]},
            images=x,
            outputs=plain(y),
            plain=plain(calm),
            cotangents=cotangents,
            gradients=np.zeros_like(x) if images.grad is None else plain(images.grad),
        )
    return section
