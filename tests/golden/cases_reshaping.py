"""The golden cases of cropping, padding and upsampling of sequences and volumes, and of kernels on images."""

from __future__ import annotations

from cases import Case, masked, single

FIRST = {"data_format": "channels_first"}
KERNELS = ["bicubic", "lanczos3", "lanczos5"]


def layer_cases() -> list[Case]:
    cases = [
        single("default", [4, 2], "ZeroPadding1D", {}),
        single("pair", [3, 2], "ZeroPadding1D", {"padding": [2, 1]}),
        single("time", [None, 2], "ZeroPadding1D", {"padding": [0, 3]}),
        single("channels_first", [2, 3], "ZeroPadding1D", {"padding": 2, **FIRST}),
        single("time", [None, 3, 2], "ZeroPadding2D", {"padding": [[2, 0], [1, 1]]}),
        single("default", [2, 3, 2, 1], "ZeroPadding3D", {}),
        single("numbers", [2, 1, 3, 2], "ZeroPadding3D", {"padding": [0, 2, 1]}),
        single("pairs", [2, None, 2, 2], "ZeroPadding3D", {"padding": [[1, 0], [0, 2], [3, 1]]}, time=3),
        single("channels_first", [2, 2, 3, 1], "ZeroPadding3D", {"padding": [1, 0, 2], **FIRST}),
        single("default", [5, 2], "Cropping1D", {}),
        single("pair", [6, 2], "Cropping1D", {"cropping": [0, 2]}),
        single("time", [None, 2], "Cropping1D", {"cropping": [2, 1]}),
        masked("mask-Cropping1D", [[1, 2, 3], [2, 0, 0]], {"name": "y", "type": "Cropping1D", "cropping": [1, 0]}),
        single("default", [2, 3, 2], "Cropping2D", {}),
        single("number", [4, 3, 2], "Cropping2D", {"cropping": 1}),
        single("pairs", [5, 6, 2], "Cropping2D", {"cropping": [[1, 2], [0, 3]]}),
        single("time", [None, 4, 2], "Cropping2D", {"cropping": [[0, 2], [1, 0]]}),
        single("channels_first", [2, 4, 5], "Cropping2D", {"cropping": [1, 2], **FIRST}),
        single("default", [3, 4, 3, 2], "Cropping3D", {}),
        single("pairs", [3, 4, 5, 1], "Cropping3D", {"cropping": [[0, 1], [2, 1], [0, 0]]}),
        single("time", [4, None, 3, 1], "Cropping3D", {"cropping": [1, 2, 0]}),
        single("channels_first", [2, 3, 3, 4], "Cropping3D", {"cropping": [1, 0, [2, 1]], **FIRST}),
        single("default", [3, 2], "UpSampling1D", {}),
        single("three", [2, 3], "UpSampling1D", {"size": 3}),
        single("time", [None, 2], "UpSampling1D", {"size": 2}),
        single("time", [None, 2, 2], "UpSampling2D", {"size": [2, 3]}),
        single("bilinear_time", [None, 2, 2], "UpSampling2D", {"size": [3, 2], "interpolation": "bilinear"}),
        single("default", [2, 1, 3, 2], "UpSampling3D", {}),
        single("factors", [2, 3, 2, 1], "UpSampling3D", {"size": [1, 2, 3]}),
        single("time", [None, 2, 2, 1], "UpSampling3D", {"size": [2, 1, 2]}, time=3),
        single("channels_first", [2, 1, 2, 3], "UpSampling3D", {"size": [2, 3, 1], **FIRST}),
    ]
    for kernel in KERNELS:
        cases += [
            single(kernel, [4, 5, 2], "UpSampling2D", {"size": [2, 3], "interpolation": kernel}),
            single(f"{kernel}_channels_first", [2, 3, 6], "UpSampling2D", {"interpolation": kernel, **FIRST}),
        ]
    return cases
