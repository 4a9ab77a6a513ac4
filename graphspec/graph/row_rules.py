"""Where operators leave the rows of a batch: rules for the axis of the rows, by operator.

A rule gets the axis of the rows in each input, None for an input without rows, and returns the axis in the outputs. It
raises :class:`MixedError` if a row of an output depends on other rows. An operator without a rule counts as one that mixes
them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING

from graphspec.graph.ir.dims import Dim, has_rows, mul, product, quotient
from graphspec.graph.kernels.context import normalize_axis

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Node, Value

Axis = int | None
Rule = Callable[["Node", Sequence[Axis]], "int | tuple[int, ...]"]
SIZES = -1
"""In place of an axis: sizes, which depend on the number of rows. Only shapes may be made of them."""


class MixedError(Exception):
    """An operator mixes rows, or may do so."""


def where_rows(value: Value) -> int:
    """Return the first axis whose size has the number of rows in it."""
    for k, d in enumerate(value.shape):
        if has_rows((d,)):
            return k
    raise MixedError


def _only(given: Sequence[Axis]) -> int:
    """Return the axis of the first input, the only one with rows."""
    first, *others = given
    if first is None or any(a is not None and a != SIZES for a in others):
        raise MixedError
    return first


def _shape(node: Node, k: int) -> tuple[Dim, ...]:
    value = node.inputs[k]
    if value is None:
        raise MixedError
    return value.shape


def _numbers(node: Node, k: int) -> list[Dim] | None:
    """Return the numbers of an input that is known; None if it is absent."""
    value = node.inputs[k] if k < len(node.inputs) else None
    if value is None:
        return None
    if (found := value.known()) is None:
        raise MixedError
    return list(found)


def _axes(node: Node, k: int) -> list[int] | None:
    """Return the axes that an input lists; None if it is absent."""
    found = _numbers(node, k)
    return None if found is None else [int(n) for n in found]


def _broadcast(node: Node, given: Sequence[Axis]) -> int:
    """All rows are at the same distance from the end."""
    ends = {len(_shape(node, k)) - a for k, a in enumerate(given) if a is not None and a != SIZES}
    if len(ends) != 1:
        raise MixedError
    return len(node.outputs[0].shape) - ends.pop()


def _same(given: Sequence[Axis]) -> int:
    if len(set(given) - {SIZES}) != 1 or given[0] is None:
        raise MixedError
    return given[0]


def _apart(at: int, axes: Sequence[int]) -> int:
    if at in axes:
        raise MixedError
    return at


def _reduction(node: Node, given: Sequence[Axis]) -> int:
    at, rank = _only(given), len(_shape(node, 0))
    listed = node.attrs.get("axes") or _axes(node, 1) or range(rank)
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
    return _apart(_only(given), [normalize_axis(k, len(_shape(node, 0))) for k in _axes(node, 1) or [0]])


def _squeezed(node: Node, given: Sequence[Axis]) -> int:
    at, shape = _only(given), _shape(node, 0)
    listed = _axes(node, 1)
    axes = [k for k, d in enumerate(shape) if d == 1] if listed is None else listed
    return at - sum(normalize_axis(k, len(shape)) < at for k in axes)


def _unsqueezed(node: Node, given: Sequence[Axis]) -> int:
    rank = len(node.outputs[0].shape)
    new = {normalize_axis(k, rank) for k in _axes(node, 1) or []}
    return [k for k in range(rank) if k not in new][_only(given)]


def _transposed(node: Node, given: Sequence[Axis]) -> int:
    rank = len(_shape(node, 0))
    perm = node.attrs.get("perm")
    return (list(range(rank))[::-1] if perm is None else list(perm)).index(_only(given))


def _reshaped(node: Node, given: Sequence[Axis]) -> int:
    """Rows are in the only axis whose size they are in, or a factor of it; :func:`reshaped_outer` tells which factor."""
    _only(given)
    return where_rows(node.outputs[0])


def reshaped_outer(node: Node, at: int, outer: Dim) -> Dim:
    """Return how many elements of the axis of the rows are in front of each batch: the T of (T·N, …).

    The elements of a row stay in their order, so as many are in front of the batch as before.

    Args:
        at: the axis of the rows before the reshape.
        outer: the elements of that axis in front of each batch.
    """
    shape, after = node.outputs[0].shape, where_rows(node.outputs[0])
    found = quotient(mul(product(_shape(node, 0)[:at]), outer), product(shape[:after]))
    if found is None or quotient(shape[after], mul(found, "N")) is None:
        raise MixedError
    return found


def _gathered(node: Node, given: Sequence[Axis]) -> int:
    data, indices = given
    rank = len(_shape(node, 0))
    axis = normalize_axis(node.attrs.get("axis", 0), rank)
    if data is not None and indices is None:
        return data if _apart(data, [axis]) < axis else data + len(_shape(node, 1)) - 1
    if indices is None or data is not None:
        raise MixedError
    return axis + indices


def _sliced(node: Node, given: Sequence[Axis]) -> int:
    listed = _axes(node, 3)
    axes = range(len(_numbers(node, 1) or [])) if listed is None else listed
    return _apart(_only(given), [normalize_axis(k, len(_shape(node, 0))) for k in axes])


def _padded(node: Node, given: Sequence[Axis]) -> int:
    at, rank = _only(given), len(_shape(node, 0))
    pads, listed = _numbers(node, 1) or [], _axes(node, 3)
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
        raise MixedError
    return rank - min(found) + (right == 1 and a is not None) + (left == 1 and b is not None)


def _gemm(node: Node, given: Sequence[Axis]) -> int:
    """Rows are the rows of the product, or its columns."""
    a, b, *c = given
    if (a is None) == (b is None):
        raise MixedError
    at = int(bool(node.attrs.get("transA", 0))) if b is None else 1 - int(bool(node.attrs.get("transB", 0)))
    found = 0 if b is None else 1
    if (a if b is None else b) != at or (c and c[0] is not None and 2 - len(_shape(node, 2)) + c[0] != found):
        raise MixedError
    return found


_ELLIPSIS = "αβγδεζηθικ"
"""The letters for the axes of ``...``, from the last one."""


def _einsum(node: Node, given: Sequence[Axis]) -> int:
    left, arrow, right = str(node.attrs["equation"]).replace(" ", "").partition("->")

    def letters(term: str, rank: int) -> str:
        rest = rank - len(term.replace("...", ""))
        return term.replace("...", _ELLIPSIS[len(_ELLIPSIS) - rest :] if rest else "")

    terms = [letters(term, len(_shape(node, k))) for k, term in enumerate(left.split(","))]
    rows = {term[a] for term, a in zip(terms, given, strict=True) if a is not None}
    right = letters(right, len(node.outputs[0].shape))
    if not arrow or len(rows) != 1 or (row := rows.pop()) not in right:
        raise MixedError
    if any(row in term for term, a in zip(terms, given, strict=True) if a is None):
        raise MixedError
    return right.index(row)


def _gathered_deeply(node: Node, given: Sequence[Axis]) -> int:
    """``Y[b, q] = X[b, indices[b, q, 0], …]``: rows are in an axis b of both, in q of the indices, or behind in X."""
    data, indices = given
    shared, shape = int(node.attrs.get("batch_dims", 0)), _shape(node, 1)
    if data is not None and data == indices and data < shared:
        return data
    if data is None and indices is not None and shared <= indices < len(shape) - 1:
        return indices
    count = shape[-1]
    if indices is not None or data is None or not isinstance(count, int) or data < shared + count:
        raise MixedError
    return len(shape) - 1 + data - shared - count


def _recurrent(node: Node, given: Sequence[Axis]) -> int | tuple[int, ...]:
    """X is (time, batch, …) and Y (time, directions, batch, …), or both begin with the batch; states are like X.

    The masks of dropout, behind the states, begin with the batch.
    """
    at = 0 if node.attrs.get("layout", 0) else 1
    X, W, R, B, *others = (*given, None, None)[: max(len(given), 4)]
    allowed = {0, at, None} if "Dropout" in node.op else {at, None}
    if at != X or (W, R, B) != (None,) * 3 or set(others[:1]) - {0, None} or set(others[1:]) - allowed:
        raise MixedError
    return tuple(2 * at if k == 0 else at for k in range(len(node.outputs)))


def _hot(node: Node, given: Sequence[Axis]) -> int:
    axis = normalize_axis(node.attrs.get("axis", -1), len(node.outputs[0].shape))
    return (at := _only(given)) + (axis <= at)


def _matrix(node: Node, given: Sequence[Axis]) -> int:
    at, rank = _only(given), len(_shape(node, 0))
    return _apart(at, [rank - 2, rank - 1])


def _in_front(node: Node, given: Sequence[Axis]) -> int:
    """Rows are in front of the first input, the only one with rows."""
    return _first([_only(given)])


def _all_in_front(node: Node, given: Sequence[Axis]) -> int:
    """Rows are in front of the first input, and of each other one that has rows."""
    return _first(given)


def _first(given: Sequence[Axis]) -> int:
    if given[0] is None or set(given) - {0, None}:
        raise MixedError
    return 0


def _words(node: Node, given: Sequence[Axis]) -> int:
    return _only(given)


def _ids(node: Node, given: Sequence[Axis]) -> int:
    """The last axis has the ids of one vector."""
    return _apart(_same([a for a in given if a is not None]), [len(_shape(node, 0)) - 1])


def _normalized(node: Node, given: Sequence[Axis]) -> int:
    at, rank = _only(given), len(_shape(node, 0))
    return _apart(at, range(normalize_axis(node.attrs.get("axis", -1), rank), rank))


def _by_file(node: Node, given: Sequence[Axis]) -> tuple[int, ...]:
    """A part of an ONNX file keeps rows apart; this has been tried."""
    for value, at in zip(node.inputs, given, strict=True):
        if value is not None and at is not None and at != where_rows(value):
            raise MixedError
    return tuple(where_rows(v) for v in node.outputs)


_ELEMENTWISE = """
    Abs Neg Sign Acos Acosh Asin Asinh Atan Atanh Cosh Sinh Gelu HardSwish Mish Swish Ceil Celu Cos Elu Erf Exp Floor
    HardSigmoid LeakyRelu Log Not Reciprocal Relu Round Selu Shrink Sigmoid Sin Softplus Softsign Sqrt Tan Tanh
    ThresholdedRelu IsInf IsNaN Cast Identity StopGradient Clip Add Div Mean Mod Mul Sub Sum Max Min And Equal Greater
    GreaterOrEqual Less LessOrEqual Or Xor Pow PRelu Where Expand CheckIds StraightThrough Dropout SharedDropout
    AlphaDropout GaussianDropout GaussianNoise UniformNoise GumbelNoise Sample SigmoidCrossEntropy LabelEncoder
    StringNormalizer MurmurHash3
"""
_FIRST_IS_BATCH = """
    AveragePool MaxPool GlobalAveragePool GlobalMaxPool Conv ConvTranspose ConvPool DepthToSpace SpaceToDepth Resize
    GroupNormalization BatchNormalization RowUniform ShardedGemm
"""
_ALL_ARE_BATCHES = """
    Attention DropoutAttention Recolor RandomCrop AffineWarp CTCLoss MaskedBatchNormalization CircleLoss InfoNCE
"""
SHAPED = frozenset(["Reshape", "Expand", "Slice", "TopK", "Tile", "Pad", "Resize"])
"""Operators that may take sizes: they only tell how large something is."""
OF_SIZES = frozenset(["Gather", "Concat", "Unsqueeze", "Squeeze", "Cast", "Identity", "Slice", "Reshape"])
"""Operators that turn sizes into sizes."""
RULES: dict[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE.split(), _broadcast),
    **dict.fromkeys(_FIRST_IS_BATCH.split(), _in_front),
    **dict.fromkeys(_ALL_ARE_BATCHES.split(), _all_in_front),
    **dict.fromkeys(("LSTM", "GRU", "RNN", "DropoutLSTM", "DropoutGRU", "DropoutRNN"), _recurrent),
    **dict.fromkeys(("MultiHot", "GatherSum"), _ids),
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
    "Gemm": _gemm,
    "GatherND": _gathered_deeply,
    "Tokenizer": _words,
    "OnnxFile": _by_file,
}
