from collections.abc import Iterable
from typing import Any

Pair = tuple[int, int]

ABI: int
"""Changes if the operands or the results of a kernel change. graphspec uses kernels of the ABI that it knows."""

class Call:
    """A kernel and its operands; a call without arguments runs it. It keeps its arrays alive."""

    @property
    def __name__(self) -> str: ...
    @property
    def operands(self) -> tuple[Any, ...]: ...
    def __call__(self) -> None: ...
    def uses(self) -> list[tuple[int, int, bool]]:
        """Return the memory of each operand: its first address, its end, and whether the call writes to it."""

class Sequence:
    """Calls in a row; a call without arguments makes them all, kernels without Python between them."""

    @property
    def steps(self) -> tuple[tuple[Any, tuple[Any, ...]], ...]:
        """The calls: pairs of a function and its operands."""
    def __call__(self) -> None: ...

def sequence(steps: Iterable[tuple[Any, tuple[Any, ...]]], /) -> Sequence:
    """Return a sequence of pairs of a function and its operands; a bound kernel has no operands.

    Raises:
        TypeError: a step is not such a pair.
    """

class Rows:
    """Copies the rows of a batch to buffers. It keeps its arrays alive."""

    def __call__(self, batch: int, order: Any = ..., /) -> None:
        """Copy the rows of a batch, or those that `order`, an array of int64, has in their place.

        Raises:
            IndexError: there are no such rows; nothing is copied then.
        """

def rows(step: int, first: int, pairs: Iterable[tuple[Any, Any]], /) -> Rows | None:
    """Return a copier for batches of `step` rows, of which those from `first` on fill the buffers.

    `pairs`: an array and its buffer, equal but for the number of rows. None if a pair has several types, or gaps.
    """

def is_finite(array: Any, /) -> bool:
    """Return whether all numbers of an array are finite; False for another one than of float32, without gaps."""

def use_blas(wide: bool = ..., gemm: Pair = ..., gemv: Pair = ..., dot: Pair = ..., /) -> None:
    """Set the BLAS of the kernels `dot` and `matmul`; without arguments none, and they serve nothing.

    `wide`: whether its integers have 64 bits, else 32. A pair has the addresses of a function of CBLAS for float and double.
    """

def use_tanh(*addresses: int) -> None:
    """Set NumPy's loops of tanh for the kernels `lstm_gates`: a loop and its data for float, then for double; or none."""

def bind_loop(loop: int, data: int, x: Any, y: Any, /) -> Call | None:
    """Bind the inner loop of a ufunc of one input, at the address `loop`, to two arrays of the same layout without gaps.

    Returns None for other layouts or types than float and double.
    """

def bind(name: str, /, *operands: Any) -> Call | None:
    """Bind a kernel to arrays; None stands for an optional operand that is not there.

    Returns None if the kernel does not serve the arrays' types, layouts or overlaps.

    Raises:
        KeyError: there is no such kernel.
        TypeError: there are too many operands or too few, or one is no array.
        ValueError: shapes do not fit, or an array that is written is read-only.
    """

def operands() -> dict[str, tuple[str, ...]]:
    """Return the names of the operands of every kernel, in order."""
