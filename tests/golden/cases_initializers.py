"""The golden cases of initializers; data only."""

from __future__ import annotations

from typing import Any

Args = dict[str, Any]


WINDOWS = ("blackman", "nuttall", "blackmanharris", "flattop", "boxcar")
INITIALIZERS: list[Args] = [
    {"type": "GlorotUniform"},
    {"type": "GlorotNormal"},
    {"type": "HeUniform"},
    {"type": "HeNormal"},
    {"type": "LecunUniform"},
    {"type": "LecunNormal"},
    {"type": "VarianceScaling", "scale": 2.0, "mode": "fan_avg", "distribution": "uniform"},
    {"type": "VarianceScaling", "scale": 0.5, "mode": "fan_out", "distribution": "untruncated_normal"},
    {"type": "RandomUniform"},
    {"type": "RandomNormal"},
    {"type": "TruncatedNormal"},
    {"type": "Zeros"},
    {"type": "Ones"},
    {"type": "Constant", "value": 0.3},
    {"type": "Orthogonal"},
    {"type": "Orthogonal", "gain": 2.0},
    {"type": "Identity"},
    {"type": "STFT"},
    {"type": "STFT", "side": "imag", "window": "hamming", "scaling": "spectrum", "periodic": True},
    {"type": "STFT", "window": None},
    *({"type": "STFT", "side": "imag", "window": window, "scaling": None} for window in WINDOWS),
]
ARRAYS: list[tuple[Any, tuple[int, ...]]] = [
    ([[0.5, -1, 2], [3, 4.25, 1e-3]], (2, 3)),
    ([1, -2.5, 3], (2, 3)),
    ([[7], [0.125]], (2, 3)),
    ([2], (2, 1, 2)),
]
"""Values of Constant that are arrays, and the shapes that they broadcast to."""
INITIALIZER_SHAPES = [(64, 48), (48, 64), (40,), (5, 16, 24), (3, 3, 16, 24), (3, 3, 24, 16)]
STFT_SHAPES = [(12, 1, 9)]
