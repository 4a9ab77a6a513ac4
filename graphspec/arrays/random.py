"""Counter-based randomness: Philox keyed by (seed, purpose, name), its counter set from (step, row).

Any worker draws just its rows, and a run resumed at step k draws what an uninterrupted run draws, bit for bit.
Philox: Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, SC 2011.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

_CHUNK = 4096  # words drawn at once: random_raw allocates, and a step must stay below 128 KiB


class Clock:
    """The global training step, read by calls that draw random numbers or follow a schedule."""

    __slots__ = ("step",)

    def __init__(self, step: int = 0) -> None:
        self.step = step


def key(seed: int, purpose: str, name: str = "") -> tuple[int, int]:
    """The 128-bit Philox key of a stream, as two words."""
    digest = hashlib.blake2b(f"{seed}\0{purpose}\0{name}".encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


def generator(seed: int, purpose: str, name: str = "", step: int = 0) -> np.random.Generator:
    """A NumPy generator for what is drawn once: initial values, a permutation of an epoch."""
    words = key(seed, purpose, name)
    return np.random.Generator(np.random.Philox(key=np.array(words, np.uint64), counter=[0, 0, 0, step]))


class Orders:
    """Permutations of rows, one for each epoch: ``generator(seed, "shuffle", step=epoch)``'s, which takes 20 µs to make."""

    def __init__(self, seed: int) -> None:
        self._generator = generator(seed, "shuffle")
        self._state: Any = self._generator.bit_generator.state

    def of(self, epoch: int, n: int) -> np.ndarray[Any, Any]:
        """The numbers below ``n`` in the order of an epoch."""
        self._state["state"]["counter"][3] = epoch
        self._generator.bit_generator.state = self._state
        return self._generator.permutation(n)


class Stream:
    """Random 64-bit words for each step of a program.

    Row ``r`` of the batch always takes the same words of the stream of its step, whoever draws it.
    """

    def __init__(self, seed: int, purpose: str, name: str, clock: Clock) -> None:
        self._clock = clock
        self._key = np.array(key(seed, purpose, name), np.uint64)
        self._bits = np.random.Philox(key=self._key)
        self._state: Any = self._bits.state
        self._counter = np.zeros(4, np.uint64)
        self._state["state"] = {"counter": self._counter, "key": self._key}

    def fill(self, words: np.ndarray[Any, Any], first: int = 0) -> None:
        """Fill ``words`` (uint64, C order, shape (rows, words a row) with a multiple of 4 a row) from row ``first`` on."""
        counter = self._counter
        counter[0], counter[3] = first * (words.shape[1] // 4), self._clock.step
        self._state["buffer_pos"] = 4
        self._bits.state = self._state
        flat = words.reshape(-1)
        for start in range(0, flat.size, _CHUNK):
            stop = min(start + _CHUNK, flat.size)
            flat[start:stop] = self._bits.random_raw(stop - start)
