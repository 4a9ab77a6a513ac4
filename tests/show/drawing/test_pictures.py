"""Pictures of a page are PNG files that other programs read, with the same pixels."""

from __future__ import annotations

import io
from base64 import b64decode
from typing import Any

import numpy as np
import pytest
from PIL import Image

from graphspec.show.drawing.pictures import data_uri, is_picture, pixels, png, shrunk, small_uri

Array = np.ndarray[Any, Any]


@pytest.mark.parametrize("shape", [(1, 1), (28, 28), (7, 13), (9, 5, 3), (64, 64, 3)])
@pytest.mark.parametrize("smooth", [False, True])
def test_pillow_reads_the_same_pixels(shape: tuple[int, ...], smooth: bool) -> None:
    if smooth:  # the filter of differences is smaller
        image = np.add.outer(np.arange(shape[0]), np.arange(shape[1])).astype(np.uint8)
        image = image if len(shape) == 2 else np.repeat(image[..., None], 3, 2)
    else:
        image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with Image.open(io.BytesIO(png(image))) as found:
        assert found.mode == ("L" if len(shape) == 2 else "RGB")
        np.testing.assert_array_equal(np.asarray(found), image)


def test_a_picture_is_made_small_enough() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (500, 300, 3), np.uint8)
    uri = small_uri(noise, 6000)
    assert len(uri) <= 6000
    with Image.open(io.BytesIO(b64decode(uri.partition(",")[2]))) as found:
        assert 24 <= max(found.size) < 128
        assert abs(found.size[1] / found.size[0] - 500 / 300) < 0.1
    small = noise[:16, :16]
    assert small_uri(small, 6000) == data_uri(small)


def test_shrunk_pictures_are_means_of_blocks() -> None:
    image = np.array([[0, 2, 10, 30], [4, 6, 20, 40]], np.uint8)
    np.testing.assert_array_equal(shrunk(image, 2), [[3, 25]])
    np.testing.assert_array_equal(shrunk(np.full((1, 300), 9, np.uint8), 100), np.full((1, 100), 9))
    assert shrunk(image, 4) is image


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0.0, 0.5, 1.0]), [0, 128, 255]),
        (np.array([0.0, 128.0, 255.0]), [0, 128, 255]),
        (np.array([-1.0, 0.0, 1.0]), [0, 128, 255]),
        (np.array([np.nan, np.inf, 1.0]), [0, 0, 255]),
        (np.array([7.0, 7.0, 7.0]), [7, 7, 7]),
        (np.array([-3.0, -3.0, -3.0]), [0, 0, 0]),
        (np.array([3, 4, 5], np.uint8), [3, 4, 5]),
        (np.array([False, True, True]), [0, 255, 255]),
    ],
)
def test_values_become_grey(values: Array, expected: list[int]) -> None:
    np.testing.assert_array_equal(pixels(values.reshape(1, 3, 1)), [expected])


def test_what_looks_like_a_picture() -> None:
    assert is_picture((28, 28, 1))
    assert is_picture((16, 112, 3))
    assert not is_picture((48, 5))
    assert not is_picture((28, 28))
    assert not is_picture((28, 28, 16))
    assert not is_picture((2, 24, 3))
