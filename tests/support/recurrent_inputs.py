"""Inputs of recurrent operators."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def inputs_of(  # noqa: PLR0913 (the sizes of the operators)
    op: str, T: int, N: int, features: int, H: int, D: int, *, bias: bool, lens: bool, initial: bool, seed: int = 0
) -> list[Array | None]:
    random = np.random.default_rng(seed)

    def normal(*shape: int, scale: float = 0.7) -> Array:
        return (scale * random.standard_normal(shape)).astype(np.float32)

    G = GATES[op]
    inputs: list[Array | None] = [normal(T, N, features), normal(D, G * H, features), normal(D, G * H, H)]
    inputs.append(normal(D, 2 * G * H) if bias else None)
    inputs.append(random.integers(0, T + 1, N).astype(np.int32) if lens else None)
    if initial:
        inputs += [normal(D, N, H) for _ in range(2 if op == "LSTM" else 1)]
    while inputs[-1] is None:
        inputs.pop()
    return inputs
