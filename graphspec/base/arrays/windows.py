"""The windows of a spectrum: weights of the samples of a frame."""

from __future__ import annotations

import numpy as np

from graphspec.base.arrays.layout import Array

COSINES = {
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.5, 0.08),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
    "flattop": (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
    "boxcar": (1.0,),
}
"""The weights of the cosines of 0, 1, 2, … periods that a window is the sum of."""


def spectral_window(window: str | tuple[float, ...] | None, length: int, periodic: bool) -> Array:
    """Return the weights (length,) in float64; a ``periodic`` window ends one sample before it would repeat itself."""
    if window is None or length == 1:
        return np.ones(length)
    if not isinstance(window, str):
        return np.asarray(window, np.float64)
    x = np.linspace(-np.pi, np.pi, length + periodic)[:length]
    return np.asarray(sum(a * np.cos(k * x) for k, a in enumerate(COSINES[window])), np.float64)
