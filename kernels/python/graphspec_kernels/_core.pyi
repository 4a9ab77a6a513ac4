from typing import Any

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
