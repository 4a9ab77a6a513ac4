"""Whether operators keep the rows of a batch apart: parts of a batch then give the same as the batch.

Each value has the axis of its rows, or none. The batch may be a factor of the size of that axis: the inner one in (T·N, C),
as attention flattens its steps, the outer one in (N·heads, T, d). The layers have it in front. Operations of a spec may do
anything with it.

Each operator names its rule (``Op.rows``). A rule gets the axis of the rows in each input, None for an input without rows,
and returns the axis in the outputs. It raises :class:`MixedError` if a row of an output depends on other rows. An operator
without a rule counts as one that mixes them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from math import inf
from typing import TypeVar

from graphspec.graph.ir.dims import Dim, has_rows, mul, product, quotient
from graphspec.graph.ir.graph import Graph, Node, Value
from graphspec.graph.kernels.context import normalize_axis
from graphspec.graph.ops import OPS, Op

Axis = int | None
Rule = Callable[["Node", Sequence[Axis]], "int | tuple[int, ...]"]
SIZES = -1  # in place of an axis: sizes, which depend on the number of rows; only shapes may be made of them
RULES: dict[str, Rule] = {}  # the rules by their names, which operators have as `rows`


class MixedError(Exception):
    """An operator mixes rows, or may do so."""


T = TypeVar("T")


def _sure(value: T | None, *, apart: bool = True) -> T:
    """Return a value; raise MixedError if there is none, or if rows are not known to be ``apart``."""
    if value is None or not apart:
        raise MixedError
    return value


def where_rows(value: Value) -> int:
    """Return the first axis whose size has the number of rows in it."""
    return _sure(next((k for k, d in enumerate(value.shape) if has_rows((d,))), None))


def _only(places: Sequence[Axis]) -> int:
    """Return the axis of the first input, the only one with rows."""
    return _sure(places[0], apart=set(places[1:]) <= {None, SIZES})


def _shape(node: Node, k: int) -> tuple[Dim, ...]:
    return _sure(node.inputs[k]).shape


def _numbers(node: Node, k: int) -> list[Dim] | None:
    """Return the numbers of an input that is known; None if it is absent."""
    value = node.inputs[k] if k < len(node.inputs) else None
    return None if value is None else list(_sure(value.known()))


def _axes(node: Node, k: int) -> list[int] | None:
    numbers = _numbers(node, k)
    return None if numbers is None else [int(n) for n in numbers]


def _broadcast(node: Node, places: Sequence[Axis]) -> int:
    """All rows are at the same distance from the end."""
    ends = {len(_shape(node, k)) - a for k, a in enumerate(places) if a is not None and a != SIZES}
    return len(node.outputs[0].shape) - _sure(max(ends, default=None), apart=len(ends) == 1)


def _same(places: Sequence[Axis]) -> int:
    return _sure(places[0], apart=len(set(places) - {SIZES}) == 1)


def _apart(at: int, axes: Collection[int]) -> int:
    return _sure(at, apart=at not in axes)


def _padded(node: Node) -> list[int]:
    """Return the axes that get longer or shorter."""
    pads, listed = _numbers(node, 1) or [], _axes(node, 3)
    sides = zip(pads[: len(pads) // 2], pads[len(pads) // 2 :], strict=True)
    axes = range(len(_shape(node, 0))) if listed is None else listed
    return [k for k, (low, high) in zip(axes, sides, strict=True) if low or high]


def _along(axes: Callable[[Node], Iterable[int]], node: Node, places: Sequence[Axis]) -> int:
    """Only the first input has rows, and the operator works along other ``axes``, which may be dropped."""
    at, rank = _only(places), len(_shape(node, 0))
    others = {normalize_axis(k, rank) for k in axes(node)}
    dropped = node.op == "Squeeze" or not node.attrs.get("keepdims", 1)
    return _apart(at, others) - (sum(k < at for k in others) if dropped else 0)


ALONG: dict[str, Callable[[Node], Iterable[int]]] = {
    "along_axis": lambda node: [node.attrs["axis"]],
    "reduced": lambda node: node.attrs.get("axes") or _axes(node, 1) or range(len(_shape(node, 0))),
    "cumulated": lambda node: _axes(node, 1) or [0],
    "normalized": lambda node: range(node.attrs["axis"], len(_shape(node, 0)) if node.attrs["axis"] >= 0 else 0),
    "matrix": lambda node: (-2, -1),
    "padded": _padded,
    "sliced": lambda node: range(len(_numbers(node, 1) or [])) if (axes := _axes(node, 3)) is None else axes,
    "tiled": lambda node: [k for k, times in enumerate(_numbers(node, 1) or []) if times != 1],
    "squeezed": lambda node: (
        [k for k, d in enumerate(_shape(node, 0)) if d == 1] if (axes := _axes(node, 1)) is None else axes
    ),
}  # the axes that operators work along, by the names of their rules
RULES |= {name: partial(_along, axes) for name, axes in ALONG.items()}


def _along_shared_axis(node: Node, places: Sequence[Axis]) -> int:
    """The attribute ``axis`` is another one; all inputs have the rows at the same place."""
    return _apart(_same(places), [normalize_axis(node.attrs["axis"], len(_shape(node, 0)))])


def _unsqueezed(node: Node, places: Sequence[Axis]) -> int:
    rank = len(node.outputs[0].shape)
    new = {normalize_axis(k, rank) for k in _axes(node, 1) or []}
    return [k for k in range(rank) if k not in new][_only(places)]


def _transposed(node: Node, places: Sequence[Axis]) -> int:
    rank = len(_shape(node, 0))
    perm = node.attrs["perm"]
    return (list(range(rank))[::-1] if perm is None else list(perm)).index(_only(places))


def _reshaped(node: Node, places: Sequence[Axis]) -> int:
    """Rows are in the only axis whose size they are in, or a factor of it; :func:`reshaped_outer` tells which factor."""
    _only(places)
    return where_rows(node.outputs[0])


def reshaped_outer(node: Node, at: int, outer: Dim) -> Dim:
    """Return how many elements of the axis of the rows are in front of each batch: the T of (T·N, …).

    The elements of a row stay in their order, so as many are in front of the batch as before: ``outer`` in the axis ``at``.
    """
    shape, after = node.outputs[0].shape, where_rows(node.outputs[0])
    count = quotient(mul(product(_shape(node, 0)[:at]), outer), product(shape[:after]))
    if count is None or quotient(shape[after], mul(count, "N")) is None:
        raise MixedError
    return count


def _gathered(node: Node, places: Sequence[Axis]) -> int:
    data, indices = places
    axis = normalize_axis(node.attrs["axis"], len(_shape(node, 0)))
    if data is not None and indices is None:
        return data if _apart(data, [axis]) < axis else data + len(_shape(node, 1)) - 1
    return axis + _sure(indices, apart=data is None)


def _product_of_matrices(node: Node, places: Sequence[Axis]) -> int:
    """Rows are in an axis of the batches of matrices, in the rows of the first matrix, or in the columns of the second."""
    a, b = places
    left, right = len(_shape(node, 0)), len(_shape(node, 1))
    ends = (inf if a is None else left - a, inf if b is None else right - b)
    rank = len(node.outputs[0].shape)
    if ends[0] == inf and right > 1 and ends[1] == 1:
        return rank - 1
    if ends[1] == inf and left > 1 and ends[0] == 2:
        return rank - (2 if right > 1 else 1)
    behind = {int(end) for end in ends if end != inf}
    end = _sure(min(behind, default=None), apart=len(behind) == 1 and min(behind) >= 3)
    return rank - end + (right == 1 and a is not None) + (left == 1 and b is not None)


def _gemm(node: Node, places: Sequence[Axis]) -> int:
    """Rows are the rows of the product, or its columns."""
    a, b, *c = places
    at = int(bool(node.attrs["transA"])) if b is None else 1 - int(bool(node.attrs["transB"]))
    result = 0 if b is None else 1
    fits = (a is None) != (b is None) and (a if b is None else b) == at
    return _sure(result, apart=fits and (not c or c[0] is None or 2 - len(_shape(node, 2)) + c[0] == result))


_ELLIPSIS = "αβγδεζηθικ"  # the letters for the axes of `...`, from the last one


def _einsum(node: Node, places: Sequence[Axis]) -> int:
    left, arrow, right = str(node.attrs["equation"]).replace(" ", "").partition("->")

    def letters(term: str, rank: int) -> str:
        rest = rank - len(term.replace("...", ""))
        return term.replace("...", _ELLIPSIS[len(_ELLIPSIS) - rest :] if rest else "")

    terms = [letters(term, len(_shape(node, k))) for k, term in enumerate(left.split(","))]
    rows = {term[a] for term, a in zip(terms, places, strict=True) if a is not None}
    right = letters(right, len(node.outputs[0].shape))
    row = _sure(max(rows, default=None), apart=bool(arrow) and len(rows) == 1)
    alone = not any(row in term for term, a in zip(terms, places, strict=True) if a is None)
    return _sure(right.find(row), apart=row in right and alone)


def _gathered_deeply(node: Node, places: Sequence[Axis]) -> int:
    """``Y[b, q] = X[b, indices[b, q, 0], …]``: rows are in an axis b of both, in q of the indices, or behind in X."""
    data, indices = places
    shared, shape = int(node.attrs["batch_dims"]), _shape(node, 1)
    if data is not None and data == indices and data < shared:
        return data
    if data is None and indices is not None and shared <= indices < len(shape) - 1:
        return indices
    count = shape[-1]
    if indices is not None or data is None or not isinstance(count, int) or data < shared + count:
        raise MixedError
    return len(shape) - 1 + data - shared - count


def _recurrent(node: Node, places: Sequence[Axis]) -> int | tuple[int, ...]:
    """X is (time, batch, …) and Y (time, directions, batch, …), or both begin with the batch; states are like X.

    The masks of dropout, behind the states, begin with the batch.
    """
    at = 0 if node.attrs["layout"] else 1
    X, W, R, B, *others = (*places, None, None)[: max(len(places), 4)]
    allowed = {at, None} if OPS[node.op].exported else {0, at, None}
    sequences = at == X and (W, R, B) == (None,) * 3
    apart = sequences and set(others[:1]) <= {0, None} and set(others[1:]) <= allowed
    return _sure(tuple(2 * at if k == 0 else at for k in range(len(node.outputs))), apart=apart)


def _looped(node: Node, places: Sequence[Axis]) -> tuple[int, ...]:
    """Rows are in front of states and in axis 1 of sequences, and the body keeps them apart."""
    body, states, last = node.attrs["body"], node.attrs["states"], node.attrs["states"] + node.attrs["sequences"]
    inside = RowAxes(body.nodes)
    apart = not inside.mixing and all(map(inside.in_front, body.outputs.values()))
    apart = apart and all(axis in (None, int(states <= k < last)) for k, axis in enumerate(places))
    return _sure(tuple(int(k >= states) for k in range(len(node.outputs))), apart=apart)


def _one_hot(node: Node, places: Sequence[Axis]) -> int:
    axis = normalize_axis(node.attrs["axis"], len(node.outputs[0].shape))
    return (at := _only(places)) + (axis <= at)


def _first(node: Node, places: Sequence[Axis]) -> int:
    """The outputs have the rows where the first input has them, the only one with rows."""
    return _only(places)


def _in_front(node: Node, places: Sequence[Axis]) -> int:
    """Rows are in front of the first input, the only one with rows."""
    return _all_in_front(node, [_only(places)])


def _all_in_front(node: Node, places: Sequence[Axis]) -> int:
    """Rows are in front of the first input, and of each other one that has rows."""
    return _sure(places[0], apart=set(places) <= {0, None})


def _ids(node: Node, places: Sequence[Axis]) -> int:
    """The last axis has the ids of one vector."""
    return _apart(_same([a for a in places if a is not None]), [len(_shape(node, 0)) - 1])


def _by_file(node: Node, places: Sequence[Axis]) -> tuple[int, ...]:
    """A part of an ONNX file keeps rows apart; this has been tried."""
    with_rows = [(v, at) for v, at in zip(node.inputs, places, strict=True) if v is not None and at is not None]
    apart = all(at == where_rows(value) for value, at in with_rows)
    return _sure(tuple(where_rows(v) for v in node.outputs), apart=apart)


_OF_SHAPES: tuple[Rule, ...] = (_broadcast, _along_shared_axis, _unsqueezed, _transposed, _reshaped, _gathered)
_OF_PRODUCTS: tuple[Rule, ...] = (_product_of_matrices, _gemm, _einsum, _gathered_deeply, _recurrent, _looped)
_BY_PLACE: tuple[Rule, ...] = (_one_hot, _first, _in_front, _all_in_front, _ids, _by_file)
RULES |= {function.__name__[1:]: function for function in (*_OF_SHAPES, *_OF_PRODUCTS, *_BY_PLACE)}


class RowAxes:
    """The axes of the rows in the values of a graph, whose ``nodes`` are in topological order.

    The nodes of the owners ``trusted`` do with the rows what they should, if they get them in axis 0.
    """

    def __init__(self, nodes: Iterable[Node], trusted: Collection[str] = ()) -> None:
        self.axes: dict[str, Axis] = {}  # the axis of the rows of each value that is computed, by name
        self.outer: dict[str, Dim] = {}  # the elements of that axis in front of each batch, where there are several
        self.mixing: list[Node] = []  # the nodes that mix rows, or may do so, in their order
        for node in nodes:
            places = [self.axis(v) for v in node.inputs]
            axes: list[Axis] = [_assumed(v) for v in node.outputs]
            outer: Dim = 1
            try:
                if node.owner not in trusted:
                    axes, outer = _after(node, places), self._outer(node, places)
                elif any(not _is_of(v, trusted) and not self.in_front(v) for v in node.sources):
                    raise MixedError
            except MixedError:
                self.mixing.append(node)
            for value, axis in zip(node.outputs, axes, strict=True):
                self.axes[value.name] = axis
                if outer != 1 and axis not in (None, SIZES):
                    self.outer[value.name] = outer

    def axis(self, value: Value | None) -> Axis:
        if value is None or value.kind in ("constant", "param"):
            return None
        return self.axes[value.name] if value.name in self.axes else _assumed(value)

    def in_front(self, value: Value | None) -> bool:
        """Return whether a value begins with its rows, or has none."""
        return self.axis(value) in (0, None) and (value is None or value.name not in self.outer)

    def _outer(self, node: Node, places: Sequence[Axis]) -> Dim:
        """Return the elements in front of each batch in the axis of the outputs' rows: only a reshape changes them."""
        pairs = zip(node.inputs, places, strict=True)
        counts = {self.outer.get(v.name, 1) for v, axis in pairs if v is not None and axis not in (None, SIZES)}
        outer = counts.pop() if counts else 1
        if counts or (outer != 1 and "seed" in node.attrs):  # random numbers are drawn by row, in the order of the rows
            raise MixedError
        at = places[0] if places else None
        if OPS[node.op].rows != "reshaped" or at is None or at == SIZES:
            return outer
        return reshaped_outer(node, at, outer)


def mixing_node(graph: Graph, trusted: Collection[str] = ()) -> Node | None:
    """Return the first node that mixes rows of a batch, or that a head or a loss reads with rows in another axis than 0."""
    roots = graph.trained_roots()
    roots += [v.mask for v in roots if v.mask is not None]
    nodes = graph.needed(roots)
    # What only penalties read, without the nodes that compute the penalties, which sum over rows.
    names, owners = {node.name for node in nodes}, {v.node.owner for v in graph.penalties if v.node is not None}
    nodes += [n for n in graph.needed(graph.penalties) if n.name not in names and n.owner not in owners]
    rows = RowAxes(nodes, trusted)
    late = [v.node for v in roots if not rows.in_front(v) and not _is_of(v, trusted)]
    return next(iter([*rows.mixing, *late]), None)


def _is_of(value: Value, owners: Collection[str]) -> bool:
    """Return whether a value is computed by one of the owners of nodes, or not at all."""
    return value.node is None or value.node.owner in owners


def _assumed(value: Value) -> Axis:
    return where_rows(value) if has_rows(value.shape) else None


def _after(node: Node, places: Sequence[Axis]) -> list[Axis]:
    """Return the axis of the rows in each output of an operator."""
    if node.op in ("Shape", "Size"):
        return [_sizes(v) for v in node.outputs] if places[0] is not None else [None]
    op = OPS[node.op]
    if SIZES in places and not op.takes_sizes:
        if not _of_sizes(op, node) and any(v.dims is None for v in node.outputs):
            raise MixedError
        return [_sizes(v) for v in node.outputs]
    if SIZES in places and places[0] == SIZES and _of_sizes(op, node):
        return [_sizes(v) for v in node.outputs]
    if places[0] is None and set(places) <= {None, SIZES}:  # the same for all rows, though perhaps once for each
        result = [_assumed(v) for v in node.outputs]
    else:
        name = _sure(op.rows or ("broadcast" if op.elementwise else None))
        axes = RULES[name](node, [None if a == SIZES else a for a in places])
        result = list(axes) if isinstance(axes, tuple) else [axes] * len(node.outputs)
    for value, at in zip(node.outputs, result, strict=True):
        if any(has_rows((d,)) for k, d in enumerate(value.shape) if k != at):
            raise MixedError  # pairs of rows
    return result


def _sizes(value: Value) -> Axis:
    """Return that a value depends on the number of rows, unless its elements are known and do not."""
    return SIZES if value.dims is None or has_rows(value.dims) else None


def _of_sizes(op: type[Op], node: Node) -> bool:
    """Return whether an operator turns sizes into sizes: it chooses some, or changes their dtype."""
    return op.dims is not Op.dims and (op.copied_inputs is not None or len(node.inputs) == 1)
