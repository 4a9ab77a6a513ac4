"""The choice between calls of NumPy and a compiled kernel, made where calls are bound.

A *twin* is a function from arrays to the calls of NumPy that compute something with them. It has the name and the operands
of a kernel of the distribution ``graphspec-onnx-kernels``; where that is installed, the twin returns one call of the kernel.
Operators and optimizers call twins and do not know which they get. The calls of NumPy stay the truth: a kernel gives their
bits.
"""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, ParamSpec

import numpy as np

from graphspec.base.arrays.calls import Call, Calls
from graphspec.base.arrays.layout import axis_order
from graphspec.base.errors import UsageError
from graphspec.graph.ir.dims import Shape, fixed_size
from graphspec.graph.ir.graph import Array, Node

# The choice between fast kernels and simple ones: whichever is faster by default; tests force one or the other.
KERNELS = "GRAPHSPEC_KERNELS"
"""The environment variable: ``fast`` forces every applicable fast kernel of NumPy, ``reference`` forbids all, NumPy's
and compiled ones, ``compiled`` forces the compiled ones too. Workers get the :func:`mode` of rank 0."""


FORCED: str = os.environ.get(KERNELS, "")
_FAST = {"": None, "compiled": True, "fast": True, "reference": False}
if FORCED not in _FAST:
    _SAID = "`plain` is now called `reference`" if FORCED == "plain" else f"got {FORCED!r}"
    raise UsageError(f"{KERNELS} must be reference, fast or compiled, or not be set: {_SAID}")
FAST: bool | None = _FAST[FORCED]


def mode() -> str:
    """Return the value of the variable that gives another process the kernels that this one has now."""
    return FORCED if _FAST[FORCED] == FAST else {True: "fast", False: "reference", None: ""}[FAST]


def use_fast_kernel(pays: bool) -> bool:
    """Return whether to use an applicable fast kernel; ``pays`` is whether it is expected to be faster."""
    return pays if FAST is None else FAST


ABI = 3  # of the operands and results of the kernels that this version knows: ``GK_ABI`` in ``kernels/src/kernels.h``

BUILD = "`pip install ./kernels` in graphspec's source"  # on the public index, nobody owns the name of the kernels

P = ParamSpec("P")


def load(forced: str) -> Any:
    """Return the package with kernels of this ABI, unless NumPy's are forced; None without, UsageError if it is forced."""
    if forced in ("fast", "reference"):
        return None
    try:
        import graphspec_kernels as package
    except ImportError as error:
        fault = f"graphspec-onnx-kernels cannot be loaded ({error})"
        missing = error.name == "graphspec_kernels"
    else:
        if package.ABI == ABI:
            return package
        fault, missing = f"graphspec-onnx-kernels {package.__version__} has the ABI {package.ABI}, not {ABI}", False
    if forced == "compiled":
        raise UsageError(f"{KERNELS}=compiled: {fault}; {BUILD} builds it")
    if not missing:
        text = f"{fault}: graphspec goes on without it; {BUILD} builds the one of this version"
        warnings.warn(message=text, stacklevel=2)  # a sentence for Python's warnings, not the predicate of a diagnostic
    return None


LIBRARY: Any = load(FORCED)  # the package with the compiled kernels, or None
READ: ContextVar[bool] = ContextVar("read", default=False)  # whether twins return NumPy's calls, for who reads them


def version() -> str | None:
    """Return the version of the compiled kernels in use, which a run records; None without them."""
    return None if LIBRARY is None else str(LIBRARY.__version__)


_ANEW = ("attention", "attention_gradient", "conv_pool_direct", "conv_pool_direct_gradient", "spread_terms")
ROUNDING: frozenset[str] = frozenset({*_ANEW, "depthwise", "depthwise_gradient", "gelu", "gelu_by_tanh"})
"""The kernels with which results are rounded in another way: they sum in another order than their twins or than BLAS, or are
used where NumPy's sums would be ``einsum``'s, or have an exp of their own. They are of GELU, attention, convolutions with
groups, transposed ones with strides and those with few inputs before a pooling (:func:`rounds_otherwise`)."""
_ROUNDED = {"Gelu", "Attention", "DropoutAttention"}


def rounds_otherwise(nodes: Iterable[Node]) -> bool:
    """Return whether kernels of :data:`ROUNDING` may compute one of these nodes."""
    nodes = list(nodes)
    pooled = [node.sources[1].shape for node in nodes if node.op == "Conv" and any(n.op == "MaxPool" for n in nodes)]
    strided = [n.sources[1].shape for n in nodes if n.op == "ConvTranspose" and max(n.attrs.get("strides") or (1,)) > 1]
    found = any(map(spreads_well, strided)) or any(map(pools_directly, pooled))
    return found or any(n.op in _ROUNDED or n.attrs.get("group", 1) != 1 for n in nodes)


def pools_directly(kernel: Shape) -> bool:
    """Return whether a kernel has so few inputs that its convolution is best pooled without being written (measured)."""
    return fixed_size(kernel[:1]) >= 12 and fixed_size(kernel[1:]) <= (96 if len(kernel) == 5 else 32)


def spreads_well(kernel: Shape) -> bool:
    """Return whether the terms of a ConvTranspose with strides are so few that they are best computed at once (measured)."""
    most = 256 if len(kernel) == 3 else 576
    return fixed_size(kernel[:1]) >= 16 and fixed_size(kernel[2:]) > 1 and fixed_size(kernel[1:]) <= most


def refuse_other_version(recorded: object, directory: Path, nodes: Iterable[Node]) -> None:
    """Raise UsageError if a run was started with ``recorded`` kernels and those of :data:`ROUNDING` change its bits."""
    if recorded != version() and rounds_otherwise(nodes):
        then, now = (f"graphspec-onnx-kernels {v}" if v else "no graphspec-onnx-kernels" for v in (recorded, version()))
        text = f"the run in {directory} was started with {then}, but there is {now} here: "
        fix = f"build it ({BUILD})" if recorded else f"set {KERNELS}=fast"
        raise UsageError(f"{text}{fix}, or start again with --overwrite")


class Neighbour(NamedTuple):
    """A call beside a compiled one that the kernel can do as well, by an optional ``operand``.

    It calls a function of NumPy, or the kernel of that name, with ``operands``, results last. A kernel of one input has no
    array for the optional operand: it gets the result, to show that it is asked for.
    """

    operand: str
    function: np.ufunc | str
    operands: tuple[str, ...]


class Twin(Generic[P]):
    """Calls of NumPy, or a call of the kernel of the same name that gives the same bits.

    Positional arguments are the kernel's operands, arrays or None; named ones are scratch buffers that only NumPy needs.
    The calls ``before`` and ``after`` are taken in by the kernel, in the order in which it makes them.
    """

    def __init__(
        self,
        numpy: Callable[P, Calls],
        before: Sequence[Neighbour] = (),
        after: Sequence[Neighbour] = (),
        operands: Sequence[str] | None = None,
    ) -> None:
        self.name, self.numpy = numpy.__name__, numpy
        self.before, self.after = tuple(before), tuple(after)
        parameters = inspect.signature(numpy).parameters.values()
        positional = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
        self.operands = tuple(positional if operands is None else operands)
        TWINS[self.name] = self

    def __call__(self, *operands: P.args, **scratch: P.kwargs) -> Calls:
        call = self.bound(operands)
        return self.numpy(*operands, **scratch) if call is None else [(call,)]

    @property
    def compiled(self) -> bool:
        """Whether there is a kernel, which may serve not every array."""
        return LIBRARY is not None and not READ.get() and LIBRARY.operands().get(self.name) == self.operands

    def bound(self, operands: Sequence[Any]) -> Any:
        """Return the kernel bound to its operands; None if there is none for these arrays."""
        return LIBRARY.bind(self.name, *operands) if self.compiled else None


TWINS: dict[str, Twin[Any]] = {}  # all twins by name


def available(name: str) -> bool:
    """Return whether there is a kernel of that name, which may serve not every array."""
    return LIBRARY is not None and name in LIBRARY.operands()


def alone(name: str, *operands: Array | None) -> Calls:
    """Return the call of a kernel that has no twin, since NumPy's way there is another algorithm; none if it serves not."""
    bound = LIBRARY.bind(name, *operands)
    return [] if bound is None else [(bound,)]


def twin(
    *, before: Sequence[Neighbour] = (), after: Sequence[Neighbour] = ()
) -> Callable[[Callable[P, Calls]], Twin[P]]:
    """Return a decorator that makes a function from arrays to calls a :class:`Twin`, of the kernel of its name."""
    return lambda numpy: Twin(numpy, before, after)


def join(calls: Calls) -> Calls:
    """Return the calls, with those beside a compiled one taken in by it where it can: the same bits in fewer passes."""
    if LIBRARY is None:
        return calls
    result: Calls = []
    for call in calls:
        result.append(call)
        while len(result) > 1 and (joined := join_two(*result[-2:])) is not None:
            result[-2:] = [joined]
    return result


def join_two(first: Call, second: Call) -> Call | None:
    """Return one call that does what two in a row do; None if there is none."""
    return None if LIBRARY is None else _taken(second[0], first, "before") or _taken(first[0], second, "after")


def of_rows(calls: Calls, ids: Array, count: Array) -> Calls | None:
    """Return the calls for the first ``count`` rows of ``ids``; None unless the kernel has operands of these names."""
    if LIBRARY is None or len(calls) != 1 or not isinstance(calls[0][0], LIBRARY.Call):
        return None
    own, operands = _of_kernel(calls[0][0])
    rows = {"ids": ids, "count": count}
    bound = own.bound([*(operands | rows).values()]) if rows.keys() <= operands.keys() else None
    return None if bound is None else [(bound,)]


def _of_kernel(kernel: Any) -> tuple[Twin[Any], dict[str, Any]]:
    """Return the twin of a bound kernel, and the operands by name."""
    own = TWINS[kernel.__name__]
    return own, dict(zip(own.operands, kernel.operands, strict=True))


def _taken(kernel: Any, call: Call, side: str) -> Call | None:
    if not isinstance(kernel, LIBRARY.Call) or kernel.__name__ not in TWINS:
        return None
    own, bound = _of_kernel(kernel)
    rules: tuple[Neighbour, ...] = getattr(own, side)
    done = [k for k, rule in enumerate(rules) if bound[rule.operand] is not None]
    free = rules[: min(done, default=len(rules))] if side == "before" else rules[max(done, default=-1) + 1 :]
    for rule in free:
        arrays = _operands(call, rule.function)
        if arrays is None or len(arrays) != len(rule.operands):
            continue
        pairs = list(zip(rule.operands, arrays, strict=True))  # a name may stand twice, as in `y += added`
        if not all(name == rule.operand or _same(a, bound[name]) for name, a in pairs):
            continue
        result = bound[rule.operands[-1]]
        extra = dict(pairs).get(rule.operand, result)
        if extra.size == result.size:
            if not extra.flags.c_contiguous:
                continue
            extra = extra.reshape(result.shape)
        if (joined := own.bound([*(bound | {rule.operand: extra}).values()])) is not None:
            return (joined,)
    return None


def _operands(call: Call, function: np.ufunc | str) -> list[Array] | None:
    """Return the arrays of a call of ``function``, results last; None if it calls something else."""
    f: Any
    f, *operands = call
    if isinstance(function, str):
        if not isinstance(f, LIBRARY.Call) or f.__name__ != function:
            return None
        operands = list(f.operands)
    else:
        if isinstance(f, partial) and f.keywords.keys() <= {"out"}:
            f, operands = f.func, [*f.args, *operands, *f.keywords.values()]
        if f is not function:
            return None
    if not all(isinstance(x, np.ndarray) for x in operands):
        return None
    # In the order of the result's memory, which makes it contiguous if it can be.
    shape, order = operands[-1].shape, axis_order(operands[-1])
    return [x.transpose(order) if x.shape == shape else x for x in operands]


def _same(a: Array, b: Array | None) -> bool:
    """Return whether two contiguous arrays are the same numbers, whatever their shapes."""
    if b is None or a.dtype != b.dtype or a.size != b.size or a.ctypes.data != b.ctypes.data:
        return False
    return bool(a.flags.c_contiguous and b.flags.c_contiguous)
