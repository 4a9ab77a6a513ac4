"""Pictures by a rule, which the script that asks Keras and the tests compute alike."""

from __future__ import annotations

import numpy as np


def pixels(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Values in [-1, 1) in steps of 1/128, by a multiplicative hash of position and seed."""
    places = np.arange(int(np.prod(shape)), dtype=np.uint64) + np.uint64(seed * 1_000_003 + 12_345)
    mixed = (places * np.uint64(2_654_435_761)) & np.uint64(0xFFFFFFFF)
    mixed ^= mixed >> np.uint64(15)
    mixed = (mixed * np.uint64(2_246_822_519)) & np.uint64(0xFFFFFFFF)
    bits = (mixed >> np.uint64(13)) & np.uint64(0xFF)
    return (bits.astype(np.float32) / 128 - 1).reshape(shape)


def probe(size: int) -> np.ndarray:
    """Numbers that the change of a weight is multiplied by, to compare two changes by their sum: `cos(1.7 i + 0.3)`."""
    return np.cos(1.7 * np.arange(size) + 0.3)
