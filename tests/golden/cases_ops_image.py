"""The golden cases of operations on images."""

from __future__ import annotations

from cases import Case
from cases_ops import INT, op

FIRST = {"data_format": "channels_first"}


def layer_cases() -> list[Case]:
    return [
        op("image.resize", "bilinear", [5, 6, 2], size=[3, 8]),
        op("image.resize", "bicubic", [2, 5, 6], size=[7, 7], interpolation="bicubic", **FIRST),
        op("image.rgb_to_grayscale", "last", [2, 3, 3]),
        op("image.rgb_to_grayscale", "first", [3, 2, 3], **FIRST),
        op("image.pad_images", "borders", [2, 3, 1], top_padding=1, bottom_padding=2, left_padding=0, target_width=5),
        op(
            "image.pad_images",
            "first",
            {"shape": [1, 2, 3], **INT},
            target_height=4,
            target_width=5,
            top_padding=0,
            right_padding=1,
            **FIRST,
        ),
        op(
            "image.crop_images",
            "borders",
            [5, 6, 1],
            top_cropping=1,
            bottom_cropping=2,
            left_cropping=0,
            target_width=5,
        ),
        op(
            "image.crop_images",
            "first",
            [1, 5, 6],
            target_height=4,
            target_width=5,
            top_cropping=0,
            right_cropping=1,
            **FIRST,
        ),
    ]
