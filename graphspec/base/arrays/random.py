"""Counter-based random numbers: Philox keyed by (seed, purpose, name), with its counter set from (step, row).

Every worker can draw only its own rows. A run resumed at step k draws the same bits as an uninterrupted run.
Philox: Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, SC 2011.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

_CHUNK = 4096  # 64-bit words per draw: random_raw allocates its result, and a step may allocate at most 128 KiB


class Clock:
    """The global training step, read by calls that draw random numbers or follow a schedule."""

    __slots__ = ("step",)

    def __init__(self, step: int = 0) -> None:
        self.step = step


def key(seed: int, purpose: str, name: str = "") -> tuple[int, int]:
    """Return the 128-bit Philox key of a stream as two 64-bit words."""
    digest = hashlib.blake2b(f"{seed}\0{purpose}\0{name}".encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


def generator(seed: int, purpose: str, name: str = "", step: int = 0) -> np.random.Generator:
    """Return a NumPy generator for values that are drawn once, such as initial weights or an epoch's permutation."""
    words = key(seed, purpose, name)
    return np.random.Generator(np.random.Philox(key=np.array(words, np.uint64), counter=[0, 0, 0, step]))


class Orders:
    """Permutations of rows, one for each epoch.

    They equal those of ``generator(seed, "shuffle", step=epoch)``, but the generator, which takes 20 µs to create, is
    created only once.
    """

    def __init__(self, seed: int) -> None:
        self._generator = generator(seed, "shuffle")
        self._state: Any = self._generator.bit_generator.state

    def of(self, epoch: int, n: int) -> np.ndarray[Any, Any]:
        """Return the indices 0 to ``n - 1`` in the order of ``epoch``."""
        self._state["state"]["counter"][3] = epoch
        self._generator.bit_generator.state = self._state
        return self._generator.permutation(n)


class Stream:
    """Random 64-bit words for each step of a program.

    Row ``r`` of a batch gets the same words whichever worker draws them.
    """

    def __init__(self, seed: int, purpose: str, name: str, clock: Clock) -> None:
        self._clock = clock
        self._key = np.array(key(seed, purpose, name), np.uint64)
        self._bits = np.random.Philox(key=self._key)
        self._state: Any = self._bits.state
        self._counter = np.zeros(4, np.uint64)
        self._state["state"] = {"counter": self._counter, "key": self._key}

    def fill(self, words: np.ndarray[Any, Any], first: int = 0) -> None:
        """Fill ``words`` with the random words of its rows; row 0 of ``words`` is row ``first`` of the batch.

        ``words`` is a C-contiguous uint64 array (rows, words per row); the number of words per row is a multiple of 4.
        """
        counter = self._counter
        counter[0], counter[3] = first * (words.shape[1] // 4), self._clock.step
        self._state["buffer_pos"] = 4
        self._bits.state = self._state
        flat = words.reshape(-1)
        for start in range(0, flat.size, _CHUNK):
            stop = min(start + _CHUNK, flat.size)
            flat[start:stop] = self._bits.random_raw(stop - start)
