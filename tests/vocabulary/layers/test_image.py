"""Cropping, padding, upsampling, resizing and augmentation: shapes, dtypes and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from lowering import IMAGE, TIME, Dims, lower
from pydantic import ValidationError

import graphspec as gs
from graphspec.base.errors import ShapeError
from graphspec.vocabulary.layers import LAYERS
from graphspec.vocabulary.layers.resizing import KERNELS, matrix

FIRST = {"data_format": "channels_first"}
PLANES, VOLUME, ANY = ("N", 3, 8, 6), ("N", 4, 8, 6, 3), ("N", "h", "w", 3)
ONE = {"factor": 0.1}
SHAPES: list[tuple[str, dict[str, Any], Dims, Dims]] = [
    ("ZeroPadding1D", {"padding": [1, 2]}, TIME, ("N", "time+3", 3)),
    ("ZeroPadding1D", {"padding": 2, **FIRST}, ("N", 3, 5), ("N", 3, 9)),
    ("ZeroPadding3D", {"padding": [1, 2, [0, 3]]}, VOLUME, ("N", 6, 12, 9, 3)),
    ("Cropping1D", {"cropping": [1, 2]}, TIME, ("N", "time-3", 3)),
    ("Cropping2D", {}, IMAGE, IMAGE),
    ("Cropping2D", {"cropping": [[0, 2], [1, 0]]}, ANY, ("N", "h-2", "w-1", 3)),
    ("Cropping2D", {"cropping": [1, 2], **FIRST}, PLANES, ("N", 3, 6, 2)),
    ("Cropping3D", {}, VOLUME, ("N", 2, 6, 4, 3)),
    ("UpSampling1D", {}, TIME, ("N", "time*2", 3)),
    ("UpSampling3D", {"size": [1, 2, 3]}, VOLUME, ("N", 4, 16, 18, 3)),
    ("Resizing", {"height": 5, "width": 9}, ANY, ("N", 5, 9, 3)),
    ("Resizing", {"height": 5, "width": 9, "interpolation": "lanczos5", **FIRST}, PLANES, ("N", 3, 5, 9)),
    ("CenterCrop", {"height": 4, "width": 3}, IMAGE, ("N", 4, 3, 3)),
    ("CenterCrop", {"height": 9, "width": 3, **FIRST}, PLANES, ("N", 3, 9, 3)),
    ("RandomCrop", {"height": 4, "width": 3}, IMAGE, ("N", 4, 3, 3)),
    ("RandomCrop", {"height": 8, "width": 6}, IMAGE, IMAGE),
    ("RandomCrop", {"height": 9, "width": 3, **FIRST}, PLANES, ("N", 3, 9, 3)),
    ("RandomFlip", {}, ANY, ANY),
    ("RandomRotation", ONE, ANY, ANY),
    ("RandomTranslation", {"height_factor": 0.1, "width_factor": [0, 0.2], **FIRST}, PLANES, PLANES),
    ("RandomZoom", {"height_factor": 0.1}, ANY, ANY),
    ("RandomContrast", ONE, ANY, ANY),
    ("RandomBrightness", ONE, ANY, ANY),
]


@pytest.mark.parametrize(("kind", "args", "shape", "expected"), SHAPES, ids=[case[0] for case in SHAPES])
def test_shape(kind: str, args: dict[str, Any], shape: Dims, expected: Dims) -> None:
    _, (output,) = lower({"type": kind, **args}, shape)
    assert output.shape == expected
    assert output.dtype == "float32"


@pytest.mark.parametrize(
    ("layer", "kept"),
    [
        ({"type": "ZeroPadding1D"}, True),
        ({"type": "Cropping1D"}, True),
        ({"type": "Resizing", "height": 4, "width": 4}, True),
        ({"type": "CenterCrop", "height": 4, "width": 4}, False),
        ({"type": "RandomFlip"}, False),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_dtypes_are_those_of_keras(layer: dict[str, Any], kept: bool) -> None:
    shape = ("N", 7, 3) if layer["type"].endswith("1D") else IMAGE
    for dtype in ("uint8", "int64"):
        _, (output,) = lower(layer, shape, dtype=dtype)
        assert output.dtype == (dtype if kept else "float32")


SHAPE_ERRORS: list[tuple[str, dict[str, Any], Dims, str, str, str | None]] = [
    ("ZeroPadding1D", {}, ("N", 3), "GS301", "rank-3 data (batch, steps, channels)", None),
    ("ZeroPadding3D", {}, IMAGE, "GS301", "rank-5 data (batch, depth, height, width, channels)", None),
    ("Cropping1D", {"cropping": [3, 4]}, ("N", 7, 3), "GS303", "crops 3 + 4 of 7 on axis 1", "cropping"),
    ("Cropping2D", {"cropping": [[0, 0], [3, 3]]}, IMAGE, "GS303", "of 6 on axis 2", "cropping"),
    ("Cropping3D", {"cropping": 2, **FIRST}, ("N", 3, 8, 4, 6), "GS303", "of 4 on axis 3", "cropping"),
    ("UpSampling1D", {}, IMAGE, "GS301", "rank-3", None),
    ("UpSampling2D", {"interpolation": "bicubic"}, ANY, "GS305", "needs a fixed height", "interpolation"),
    ("UpSampling3D", {}, IMAGE, "GS301", "rank-5", None),
    ("Resizing", {"height": 2, "width": 2}, TIME, "GS301", "rank-4", None),
    ("Resizing", {"height": 2, "width": 2, "interpolation": "nearest"}, ANY, "GS305", "'h'", "interpolation"),
    ("Resizing", {"height": 2, "width": 2, "antialias": True}, ("N", 8, "w", 3), "GS305", "fixed width", "antialias"),
    (
        "Resizing",
        {"height": 2, "width": 2, "pad_to_aspect_ratio": True},
        ANY,
        "GS305",
        "keeping the aspect ratio",
        "pad_to_aspect_ratio",
    ),
    ("CenterCrop", {"height": 2, "width": 2}, ANY, "GS305", "varies there ('h')", "height"),
    ("RandomCrop", {"height": 2, "width": 2}, ANY, "GS305", "varies there ('h')", "height"),
    *(
        (kind, args, ("N", 8, 6), "GS301", "rank-4", None)
        for kind, args in (
            ("RandomFlip", {}),
            ("RandomRotation", ONE),
            ("RandomContrast", ONE),
            ("RandomBrightness", ONE),
            ("RandomCrop", {"height": 2, "width": 2}),
            ("CenterCrop", {"height": 2, "width": 2}),
        )
    ),
]


@pytest.mark.parametrize(
    ("kind", "args", "shape", "code", "text", "key"), SHAPE_ERRORS, ids=[f"{c[0]}-{c[3]}" for c in SHAPE_ERRORS]
)
def test_shape_error(kind: str, args: dict[str, Any], shape: Dims, code: str, text: str, key: str | None) -> None:
    with pytest.raises(ShapeError) as error:
        lower({"type": kind, **args}, shape)
    assert error.value.code == code
    assert text in error.value.problem.message
    assert error.value.problem.key == key


ARGUMENT_ERRORS: list[tuple[str, dict[str, Any], tuple[str, ...], str]] = [
    ("Cropping1D", {"cropping": -1}, ("cropping",), "greater_than_equal"),
    ("Cropping2D", {"cropping": [1, 2, 3]}, ("cropping",), "too_long"),
    ("UpSampling2D", {"interpolation": "cubic"}, ("interpolation",), "literal_error"),
    ("Resizing", {"height": 2, "width": 2, "fill_mode": "reflect"}, ("fill_mode",), "literal_error"),
    ("Resizing", {"height": 2, "width": 2, "crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, (), "GS105"),
    ("RandomRotation", {"factor": [0.2, -0.1]}, ("factor",), "GS105"),
    ("RandomRotation", {"factor": [0.2]}, ("factor",), "GS104"),
    ("RandomTranslation", {"height_factor": 1.5, "width_factor": 0}, ("height_factor",), "GS105"),
    ("RandomZoom", {"height_factor": [-1, 0]}, ("height_factor",), "GS105"),
    ("RandomContrast", {"factor": -0.1}, ("factor",), "GS105"),
    ("RandomContrast", {"factor": 0.1, "value_range": [1, 0]}, ("value_range",), "GS105"),
    ("RandomBrightness", {"factor": "bright"}, ("factor",), "GS104"),
    ("RandomFlip", {"mode": "diagonal"}, ("mode",), "literal_error"),
]


@pytest.mark.parametrize(
    ("kind", "args", "key", "error"), ARGUMENT_ERRORS, ids=[f"{c[0]}-{c[3]}" for c in ARGUMENT_ERRORS]
)
def test_argument_error(kind: str, args: dict[str, Any], key: tuple[str, ...], error: str) -> None:
    cls = LAYERS.get(kind)
    assert cls is not None
    with pytest.raises(ValidationError) as raised:
        cls.model_validate(args)
    first = raised.value.errors()[0]
    assert first["loc"][:1] == key
    assert first["type"] == error


@pytest.mark.parametrize("kernel", KERNELS)
def test_resampling_keeps_a_constant_and_the_pixels_of_the_same_size(kernel: str) -> None:
    for size, out in ((5, 9), (9, 5), (1, 4), (4, 1)):
        for antialias in (False, True):
            np.testing.assert_allclose(matrix(size, out, kernel, antialias).sum(1), 1)
    np.testing.assert_allclose(matrix(6, 6, kernel), np.eye(6), atol=1e-12)


def test_halves_round_alike_in_onnxruntime(tmp_path: Any) -> None:
    """28 to 32 pixels have weights of sixteenths: many results are exact halves but for the last bit."""
    layers = [{"name": "y", "type": "Resizing", "height": 32, "width": 32}]
    inputs = {"x": {"shape": [None, None, 1], "dtype": "uint8"}}
    model = gs.compile({"graphspec": 1, "name": "halves", "inputs": inputs, "layers": layers, "outputs": {"y": {}}})
    x = np.random.default_rng(0).integers(0, 256, (16, 28, 28, 1)).astype(np.uint8)
    model.export(tmp_path / "y.onnx")
    [y] = onnxruntime.InferenceSession(tmp_path / "y.onnx").run(["y"], {"x": x})
    assert np.array_equal(y, model.predict(x))
