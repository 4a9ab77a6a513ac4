"""Whether operators keep the rows of a batch apart: shards of a batch then give the same as the batch.

Each value has the axis of its rows, or none. Layers have it in front, and those whose rows influence each other, such as
BatchNormalization, add up their sums over all workers. Operations of a spec may do anything with the axis: the rules below
know what operators do with it, and what they do not know counts as mixing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from math import inf
from typing import TYPE_CHECKING

from graphspec.ir.dims import Dim, has_rows, mul
from graphspec.kernels.context import normalize_axis

if TYPE_CHECKING:
    from graphspec.ir.graph import Graph, Node, Value

Axis = int | None
_SIZES = -1
"""In place of an axis: sizes, which depend on the number of rows. Only shapes may be made of them."""


class _MixedError(Exception):
    """An operator mixes rows, or may do so."""


def mixing_node(graph: Graph, owners: Collection[str]) -> Node | None:
    """Return the first operator of ``owners`` that mixes rows of a batch, or that takes rows from another axis than 0."""
    axes: dict[str, Axis] = {}

    def axis(value: Value | None) -> Axis:
        if value is None or value.kind in ("constant", "param"):
            return None
        return axes[value.name] if value.name in axes else 0 if has_rows(value.shape) else None

    for node in graph.needed(graph.trained_roots()):
        given = [axis(v) for v in node.inputs]
        if node.owner not in owners:
            ours = {v.name for v in node.inputs if v is not None and v.node is not None and v.node.owner in owners}
            if any(
                a not in (0, None) for v, a in zip(node.inputs, given, strict=True) if v is not None and v.name in ours
            ):
                return node
            continue
        try:
            found = _after(node, given)
        except _MixedError:
            return node
        axes |= {v.name: found for v in node.outputs}
    for value in [*graph.outputs.values(), *graph.loss_inputs.values()]:
        if axis(value) not in (0, None) and value.node is not None:
            return value.node
    return None


def _after(node: Node, given: Sequence[Axis]) -> Axis:
    """Return the axis of the rows in the outputs of an operator."""
    if node.op in ("Shape", "Size"):
        return _SIZES if given[0] is not None else None
    if _SIZES in given and node.op not in _SHAPED:
        if node.op not in _OF_SIZES:
            raise _MixedError
        return _SIZES
    if all(a is None for a in given):
        return None if node.op != "Expand" or not has_rows(node.outputs[0].shape) else _where_rows(node.outputs[0])
    if _SIZES in given and given[0] is None:
        return _where_rows(node.outputs[0])
    rule = RULES.get(node.op)
    if rule is None:
        raise _MixedError
    return rule(node, given)


def _where_rows(value: Value) -> int:
    return next(k for k, d in enumerate(value.shape) if has_rows((d,)))


def _only(given: Sequence[Axis]) -> int:
    """Return the axis of the first input, the only one with rows."""
    first, *others = given
    if first is None or any(a is not None and a != _SIZES for a in others):
        raise _MixedError
    return first


def _shape(node: Node, k: int) -> tuple[Dim, ...]:
    value = node.inputs[k]
    if value is None:
        raise _MixedError
    return value.shape


def _numbers(node: Node, k: int) -> list[int] | None:
    """Return the numbers of a constant input; None if it is absent."""
    value = node.inputs[k] if k < len(node.inputs) else None
    if value is None:
        return None
    if value.data is None:
        raise _MixedError
    return [int(n) for n in value.data.reshape(-1)]


def _broadcast(node: Node, given: Sequence[Axis]) -> int:
    """All rows are at the same distance from the end."""
    ends = {len(_shape(node, k)) - a for k, a in enumerate(given) if a is not None and a != _SIZES}
    if len(ends) != 1:
        raise _MixedError
    return len(node.outputs[0].shape) - ends.pop()


def _same(given: Sequence[Axis]) -> int:
    if len(set(given) - {_SIZES}) != 1 or given[0] is None:
        raise _MixedError
    return given[0]


def _apart(at: int, axes: Sequence[int]) -> int:
    if at in axes:
        raise _MixedError
    return at


def _reduction(node: Node, given: Sequence[Axis]) -> int:
    at, rank = _only(given), len(_shape(node, 0))
    listed = node.attrs.get("axes") or _numbers(node, 1) or range(rank)
    axes = [normalize_axis(k, rank) for k in listed]
    return _apart(at, axes) - (0 if node.attrs.get("keepdims", 1) else sum(k < at for k in axes))


def _extreme(node: Node, given: Sequence[Axis]) -> int:
    at, axis = _only(given), normalize_axis(node.attrs.get("axis", 0), len(_shape(node, 0)))
    return _apart(at, [axis]) - (0 if node.attrs.get("keepdims", 1) else int(axis < at))


def _along(default: int) -> Callable[[Node, Sequence[Axis]], int]:
    """Return the rule of what works along the attribute ``axis``; several inputs have the rows at the same place."""

    def rule(node: Node, given: Sequence[Axis]) -> int:
        return _apart(_same(given), [normalize_axis(node.attrs.get("axis", default), len(_shape(node, 0)))])

    return rule


def _along_first(default: int) -> Callable[[Node, Sequence[Axis]], int]:
    along = _along(default)
    return lambda node, given: along(node, [_only(given)])


def _cumulated(node: Node, given: Sequence[Axis]) -> int:
    return _apart(_only(given), [normalize_axis(k, len(_shape(node, 0))) for k in _numbers(node, 1) or [0]])


def _squeezed(node: Node, given: Sequence[Axis]) -> int:
    at, shape = _only(given), _shape(node, 0)
    listed = _numbers(node, 1)
    axes = [k for k, d in enumerate(shape) if d == 1] if listed is None else listed
    return at - sum(normalize_axis(k, len(shape)) < at for k in axes)


def _unsqueezed(node: Node, given: Sequence[Axis]) -> int:
    rank = len(node.outputs[0].shape)
    new = {normalize_axis(k, rank) for k in _numbers(node, 1) or []}
    return [k for k in range(rank) if k not in new][_only(given)]


def _transposed(node: Node, given: Sequence[Axis]) -> int:
    rank = len(_shape(node, 0))
    perm = node.attrs.get("perm")
    return (list(range(rank))[::-1] if perm is None else list(perm)).index(_only(given))


def _reshaped(node: Node, given: Sequence[Axis]) -> int:
    """The elements of a row stay together: the product of the sizes in front of it is the same."""
    at, after = _only(given), _where_rows(node.outputs[0])
    if _product(_shape(node, 0)[:at]) != _product(node.outputs[0].shape[:after]):
        raise _MixedError
    return after


def _product(sizes: Sequence[Dim]) -> Dim:
    found: Dim = 1
    for d in sizes:
        found = mul(found, d)
    return found


def _gathered(node: Node, given: Sequence[Axis]) -> int:
    data, indices = given
    rank = len(_shape(node, 0))
    axis = normalize_axis(node.attrs.get("axis", 0), rank)
    if data is not None and indices is None:
        return data if _apart(data, [axis]) < axis else data + len(_shape(node, 1)) - 1
    if indices is None or data is not None:
        raise _MixedError
    return axis + indices


def _sliced(node: Node, given: Sequence[Axis]) -> int:
    starts = _numbers(node, 1) or []
    listed = _numbers(node, 3)
    axes = range(len(starts)) if listed is None else listed
    return _apart(_only(given), [normalize_axis(k, len(_shape(node, 0))) for k in axes])


def _padded(node: Node, given: Sequence[Axis]) -> int:
    at, rank = _only(given), len(_shape(node, 0))
    pads, listed = _numbers(node, 1) or [], _numbers(node, 3)
    axes = list(range(rank)) if listed is None else [normalize_axis(k, rank) for k in listed]
    half = len(pads) // 2
    return _apart(at, [k for k, low, high in zip(axes, pads[:half], pads[half:], strict=True) if low or high])


def _tiled(node: Node, given: Sequence[Axis]) -> int:
    return _apart(_only(given), [k for k, times in enumerate(_numbers(node, 1) or []) if times != 1])


def _product_of(node: Node, given: Sequence[Axis]) -> int:
    """Rows are in an axis of the batches of matrices, in the rows of the first matrix, or in the columns of the second."""
    a, b = given
    left, right = len(_shape(node, 0)), len(_shape(node, 1))
    ends = (inf if a is None else left - a, inf if b is None else right - b)
    rank = len(node.outputs[0].shape)
    if ends[0] == inf and right > 1 and ends[1] == 1:
        return rank - 1
    if ends[1] == inf and left > 1 and ends[0] == 2:
        return rank - (2 if right > 1 else 1)
    found = {int(end) for end in ends if end != inf}
    if len(found) != 1 or min(found) < 3:
        raise _MixedError
    return rank - min(found) + (right == 1 and a is not None) + (left == 1 and b is not None)


def _einsum(node: Node, given: Sequence[Axis]) -> int:
    equation = str(node.attrs["equation"]).replace(" ", "")
    left, arrow, right = equation.partition("->")
    letters = {term[a] for term, a in zip(left.split(","), given, strict=True) if a is not None and "." not in term}
    if "." in equation or not arrow or len(letters) != 1 or (letter := letters.pop()) not in right:
        raise _MixedError
    if any(letter in term for term, a in zip(left.split(","), given, strict=True) if a is None):
        raise _MixedError
    return right.index(letter)


def _hot(node: Node, given: Sequence[Axis]) -> int:
    axis = normalize_axis(node.attrs.get("axis", -1), len(node.outputs[0].shape))
    return (at := _only(given)) + (axis <= at)


def _matrix(node: Node, given: Sequence[Axis]) -> int:
    at, rank = _only(given), len(_shape(node, 0))
    return _apart(at, [rank - 2, rank - 1])


def _in_front(node: Node, given: Sequence[Axis]) -> int:
    """Operators whose first axis is the batch."""
    if {a for a in given if a is not None} != {0} or given[0] is None:
        raise _MixedError
    return 0


def _normalized(node: Node, given: Sequence[Axis]) -> int:
    at, rank = _only(given), len(_shape(node, 0))
    return _apart(at, range(normalize_axis(node.attrs.get("axis", -1), rank), rank))


_ELEMENTWISE = """
    Abs Neg Sign Acos Acosh Asin Asinh Atan Atanh Cosh Sinh Gelu HardSwish Mish Swish Ceil Celu Cos Elu Erf Exp Floor
    HardSigmoid LeakyRelu Log Not Reciprocal Relu Round Selu Shrink Sigmoid Sin Softplus Softsign Sqrt Tan Tanh
    ThresholdedRelu IsInf IsNaN Cast Identity StopGradient Clip Add Div Mean Mod Mul Sub Sum Max Min And Equal Greater
    GreaterOrEqual Less LessOrEqual Or Xor Pow PRelu Where Expand CheckIds StraightThrough
"""
_FIRST_IS_BATCH = """
    AveragePool MaxPool GlobalAveragePool GlobalMaxPool Conv ConvTranspose DepthToSpace SpaceToDepth Resize
    GroupNormalization BatchNormalization Attention Gemm
"""
_SHAPED = ("Reshape", "Expand", "ConstantOfShape", "Slice", "TopK", "Tile", "Pad", "Range")
_OF_SIZES = ("Gather", "Concat", "Unsqueeze", "Squeeze", "Cast", "Identity", "Slice")
RULES: dict[str, Callable[[Node, Sequence[Axis]], int]] = {
    **dict.fromkeys(_ELEMENTWISE.split(), _broadcast),
    **dict.fromkeys(_FIRST_IS_BATCH.split(), _in_front),
    **dict.fromkeys(
        (
            *("ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp"),
            *("ReduceMean", "ReduceProd", "ReduceSumSquare"),
        ),
        _reduction,
    ),
    **dict.fromkeys(("ArgMax", "ArgMin"), _extreme),
    **dict.fromkeys(("Hardmax", "LogSoftmax", "Softmax", "LpNormalization"), _along_first(-1)),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), _normalized),
    "TopK": _along_first(-1),
    **dict.fromkeys(("Concat", "GatherElements", "ScatterElements"), _along(0)),
    "Split": _along_first(0),
    "CumSum": _cumulated,
    "Squeeze": _squeezed,
    "Unsqueeze": _unsqueezed,
    "Transpose": _transposed,
    "Reshape": _reshaped,
    "Flatten": _reshaped,
    "Gather": _gathered,
    "Slice": _sliced,
    "Pad": _padded,
    "Tile": _tiled,
    "MatMul": _product_of,
    "Einsum": _einsum,
    "OneHot": _hot,
    "Trilu": _matrix,
}
