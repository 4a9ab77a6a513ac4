"""Spectrograms: their shapes, what they refuse, and that a signal's does not depend on others of its batch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from golden_cases import Case
from golden_run import compiled, onnx_outputs, run, store_of
from lowering import lower
from pydantic import ValidationError

from graphspec.base.errors import ShapeError
from graphspec.graph.ir.dims import Dim
from graphspec.vocabulary.layers import LAYERS
from graphspec.vocabulary.layers.sound import hertz_to_mel

SMALL = {"frame_length": 6, "fft_length": 8}
FIRST = {"data_format": "channels_first"}
SHAPES: list[tuple[str, dict[str, Any], tuple[Dim, ...], tuple[Dim, ...]]] = [
    ("STFTSpectrogram", {}, ("N", 1024, 1), ("N", 7, 129)),
    ("STFTSpectrogram", SMALL, ("N", 20, 2), ("N", 5, 10)),
    ("STFTSpectrogram", {**SMALL, "padding": "same"}, ("N", "t", 2), ("N", "(t+2)//3", 10)),
    ("STFTSpectrogram", {**SMALL, "mode": "stft", "expand_dims": True}, ("N", 20, 2), ("N", 5, 10, 2)),
    ("STFTSpectrogram", {**SMALL, **FIRST}, ("N", 2, 20), ("N", 10, 5)),
    ("STFTSpectrogram", {**SMALL, **FIRST, "expand_dims": True}, ("N", 2, 20), ("N", 2, 5, 5)),
    ("MelSpectrogram", {}, ("N", 16000), ("N", 128, 32)),
    ("MelSpectrogram", {"fft_length": 8, "sequence_stride": 3, "num_mel_bins": 2}, ("N", 9), ("N", 2, 4)),
]


@pytest.mark.parametrize(("kind", "args", "shape", "expected"), SHAPES)
def test_shape(kind: str, args: dict[str, Any], shape: tuple[Dim, ...], expected: tuple[Dim, ...]) -> None:
    _, (output,) = lower({"type": kind, **args}, shape)
    assert output.shape == expected


@pytest.mark.parametrize(
    ("kind", "args", "shape", "code"),
    [
        ("STFTSpectrogram", SMALL, ("N", 20), "GS301"),
        ("STFTSpectrogram", SMALL, ("N", 5, 1), "GS303"),
        ("STFTSpectrogram", {"frame_length": 4, "window": [1.0, 2.0]}, ("N", 20, 1), "GS304"),
        ("MelSpectrogram", {}, ("N", 16000, 1), "GS301"),
        ("MelSpectrogram", {"fft_length": 8}, ("N", 4), "GS303"),
    ],
)
def test_shapes_that_cannot_work(kind: str, args: dict[str, Any], shape: tuple[Dim, ...], code: str) -> None:
    with pytest.raises(ShapeError) as error:
        lower({"type": kind, **args}, shape)
    assert error.value.code == code


@pytest.mark.parametrize(
    ("kind", "args", "text"),
    [
        ("STFTSpectrogram", {"frame_length": 4, "frame_step": 5}, "frame_step 5 above its frame_length 4"),
        ("STFTSpectrogram", {"frame_length": 4, "fft_length": 3}, "fft_length 3 below its frame_length 4"),
        ("STFTSpectrogram", {"frame_length": 1}, "no frame_step"),
        ("MelSpectrogram", {"fft_length": 8, "sequence_length": 9}, "sequence_length 9 above its fft_length 8"),
        ("MelSpectrogram", {"fft_length": 8, "window": [1.0]}, "window of 1 numbers for frames of 8"),
        ("MelSpectrogram", {"sampling_rate": 8, "min_freq": 4}, "min_freq 4 and max_freq 4"),
    ],
)
def test_arguments_that_exclude_each_other(kind: str, args: dict[str, Any], text: str) -> None:
    cls = LAYERS.get(kind)
    assert cls is not None
    with pytest.raises(ValidationError, match=text):
        cls.model_validate(args)


def test_the_floor_of_decibels_is_that_of_each_signal() -> None:
    layer = {
        "name": "y",
        "type": "MelSpectrogram",
        "fft_length": 16,
        "sampling_rate": 80,
        "num_mel_bins": 3,
        "top_db": 20,
    }
    spec = {"graphspec": 1, "name": "mel", "inputs": {"x": {"shape": [40]}}, "layers": [layer], "outputs": {"y": {}}}
    _, graph = compiled(Case("mel", {"spec": spec}))
    x = np.random.default_rng(2).standard_normal((2, 40))
    x[1] *= 1000
    both, _, _ = run(graph, store_of(graph, {}), {"x": x}, graph.outputs)
    alone = [run(graph, store_of(graph, {}), {"x": x[k : k + 1]}, graph.outputs)[0]["y"][0] for k in range(2)]
    np.testing.assert_allclose(both["y"], np.stack(alone), rtol=1e-5)
    assert both["y"][0].max() < both["y"][1].min() + 20
    np.testing.assert_allclose(
        onnx_outputs(graph, {}, {"x": x.astype(np.float32)})["y"], both["y"], rtol=1e-4, atol=1e-4
    )


def test_mels_are_rounded_once() -> None:
    """NumPy's logarithm of float32 has another last bit on some processors."""
    hertz = np.linspace(0.0, 8000.0, 1025, dtype=np.float32)
    ratios = np.float32(1.0) + hertz / np.float32(700.0)
    assert np.array_equal(hertz_to_mel(hertz), [np.float32(1127.0) * np.float32(math.log(r)) for r in ratios.tolist()])
