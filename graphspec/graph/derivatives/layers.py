"""Rules of layers' operators: convolutions, pooling, look-ups, resampling."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from graphspec.graph.builder import Builder, append
from graphspec.graph.derivatives.arrays import in_shape, zeros_like
from graphspec.graph.derivatives.walk import derivative
from graphspec.graph.ir.graph import Node, Type, Value
from graphspec.graph.kernels.context import need
from graphspec.graph.kernels.windows import Axis, padding
from graphspec.graph.ops import OPS
from graphspec.graph.ops.images import resampling_matrix

Gradients = Sequence["Value | None"]
Wants = Sequence[bool]


def _emit(g: Builder, name: str, inputs: Sequence[Value], attributes: dict[str, Any], *types: Type) -> Any:
    """Append an operator with other types than it would infer: with another output, or with the rows as channels."""
    attributes = OPS[name](**attributes).attributes
    return append(g.graph, g._unique(f"{g.owner}/{g._prefix}{name}"), name, inputs, attributes, g.owner, types)


# Convolutions: the gradient of the input is the transposed convolution, that of the kernel a convolution over the rows.
class _Windows(NamedTuple):
    """The windows along a spatial axis: ``rest`` inputs behind the last one are in none; None if that is not known."""

    kernel: int
    stride: int
    dilation: int
    begin: int
    end: int
    rest: int | None

    @property
    def overlap(self) -> bool:
        """Whether two windows may have an element in common."""
        return self.stride < (self.kernel - 1) * self.dilation + 1


def _windows(X: Value, Y: Value, kernel: Sequence[Any], op: Any) -> list[_Windows]:
    """Return the windows from X to Y along each axis. Sizes may vary unless the padding depends on them."""
    steps, gaps = op.steps(X.rank - 2)
    extents = [(k - 1) * gap + 1 for k, gap in zip(kernel, gaps, strict=True)]
    auto, found = getattr(op, "auto_pad", "NOTSET"), list[_Windows]()
    pads = padding(X.shape[2:], extents, steps, op.pads, auto)
    for k, (size, out, extent, step) in enumerate(zip(X.shape[2:], Y.shape[2:], extents, steps, strict=True)):
        half = (extent - 1) // 2, extent // 2
        both = pads[k] or (None if step > 1 else half if auto == "SAME_UPPER" else half[::-1])
        need.fixed(both is not None, f"has a gradient only if the size '{size}' of its input is fixed")
        (begin, end), extra = both or half, getattr(op, "output_padding", None)
        rest = 0 if step == 1 else extra[k] if extra else None
        if isinstance(size, int) and isinstance(out, int):
            rest = size + begin + end - extent - (out - 1) * step
            end, rest = end + max(-rest, 0), max(rest, 0)  # with `ceil_mode` the last window may reach beyond the end
        found.append(_Windows(kernel[k], step, gaps[k], begin, end, rest))
    return found


def _geometry(windows: Sequence[_Windows]) -> dict[str, Any]:
    pads = [*(w.begin for w in windows), *(w.end for w in windows)]
    return {"strides": [w.stride for w in windows], "dilations": [w.dilation for w in windows], "pads": pads}


def _to_input(g: Builder, d: Value, W: Value, X: Value, windows: Sequence[_Windows], group: int = 1) -> Value:
    """Return the gradient of a convolution's input: what is in no window gets zeros."""
    extra = [w.stride - 1 if w.rest is None else w.rest for w in windows]
    dX: Value = g.ConvTranspose(d, W, group=group, output_padding=extra, **_geometry(windows))
    if any(w.rest is None for w in windows):
        sizes, axes = g.ints([g.size(X, k) for k in range(2, X.rank)]), list(range(2, X.rank))
        cut = [dX, g.constant([0] * len(axes)), sizes, g.constant(axes)]
        (dX,) = _emit(g, "Slice", cut, {}, Type("float32", (*dX.shape[:2], *X.shape[2:])))
    return dX


_TAPS = 64  # of a kernel, up to which each has a node


def _to_kernel(g: Builder, X: Value, d: Value, windows: Sequence[_Windows], group: int) -> Value:
    """Return the gradient of a kernel (O, C / group, k…)."""
    C, filters, rest, kernel = X.fixed(1) // group, d.fixed(1), [*range(2, X.rank)], [w.kernel for w in windows]
    if group == 1 and math.prod(kernel) <= _TAPS:  # the sum over the rows of products with what each tap reads
        pads = [0, 0, *(w.begin for w in windows), 0, 0, *(w.end for w in windows)]
        padded = g.Pad(X, g.constant(pads)) if any(pads) else X
        reach = [(g.size(d, k) - 1) * w.stride + 1 for k, w in zip(rest, windows, strict=True)]
        read, type_ = list[Value](), Type("float32", (*X.shape[:2], *d.shape[2:]))
        for taps in itertools.product(*map(range, kernel)):
            starts = [tap * w.dilation for tap, w in zip(taps, windows, strict=True)]
            ends = g.ints([start + size for start, size in zip(starts, reach, strict=True)])
            cut = [padded, g.constant(starts), ends, g.constant(rest), g.constant([w.stride for w in windows])]
            read += _emit(g, "Slice", cut, {}, type_)
        columns = g.reshape(read[0] if len(read) == 1 else g.Concat(*read, axis=1), (0, len(read) * C, -1))
        products = g.reshape(d, (0, filters, -1)) @ g.transpose(columns, (0, 2, 1))
        W = g.reshape(g.ReduceSum(products, g.constant([0]), keepdims=0), (filters, *kernel, C))
        return g.transpose(W, (0, X.rank - 1, *range(1, X.rank - 1)))
    # A convolution with d as the kernel and rows as channels.
    sizes = [g.size(X, k) for k in rest]
    X = g.transpose(g.reshape(X, (-1, group, C, *sizes)), (2, 1, 0, *(k + 1 for k in rest)))
    turned = _geometry([w._replace(stride=w.dilation, dilation=w.stride) for w in windows])
    found = [w.kernel + (w.stride - 1 if w.rest is None else w.rest) // w.dilation for w in windows]
    operands = [g.reshape(X, (C, -1, *sizes)), g.transpose(d, (1, 0, *rest))]
    (W,) = _emit(g, "Conv", operands, {"group": group, **turned}, Type("float32", (C, filters, *found)))
    if found != kernel:
        W = g.Slice(W, g.constant([0] * len(kernel)), g.constant(kernel), g.constant(rest))
    return g.transpose(W, (1, 0, *rest))


@derivative("Conv", "ConvTranspose")
def conv(g: Builder, op: Any, node: Node, dYs: Any, wants: Wants) -> Gradients:
    """Return the gradients of input, kernel and bias; the transposed one is a convolution from its output to its input."""
    (X, W, *_), (d,), back = node.sources, dYs, node.op == "ConvTranspose"
    wide, narrow = (d, X) if back else (X, d)
    windows, dX = _windows(wide, narrow, W.shape[2:], op), None
    if wants[0] and back:
        (dX,) = _emit(g, "Conv", [d, W], {"group": op.group, **_geometry(windows)}, X.type)
    elif wants[0]:
        dX = _to_input(g, d, W, X, windows, op.group)
    dW = _to_kernel(g, wide, narrow, windows, op.group) if wants[1] else None
    axes = g.constant([0, *range(2, X.rank)])
    return [dX, dW, *(g.ReduceSum(d, axes, keepdims=0) if want else None for want in wants[2:])]


# Pooling.
@derivative("MaxPool")
def max_pool(g: Builder, op: Any, node: Node, dYs: Any, wants: Wants) -> Gradients:
    """Add each gradient where the largest element of its window is, which the pooling's second output tells."""
    (X,), (Y,), (d,) = node.sources, node.outputs, dYs
    _, places = _emit(g, "MaxPool", [X], node.attrs, Y.type, Type("int64", Y.shape))
    overlap = any(w.overlap for w in _windows(X, Y, op.kernel_shape, op))
    flat = [g.reshape(v, (-1,)) for v in (places, d)]
    zeros = g.Expand(g.constant(0.0), g.Reshape(g.Size(X), g.constant([1])))
    return [in_shape(g, g.ScatterElements(zeros, *flat, reduction="add" if overlap else "none"), X)]


@derivative("AveragePool")
def average_pool(g: Builder, op: Any, node: Node, dYs: Any, wants: Wants) -> Gradients:
    """Spread each gradient over its window: a transposed convolution with ones."""
    (X,), (Y,), (d,) = node.sources, node.outputs, dYs
    windows, rest = _windows(X, Y, op.kernel_shape, op), range(2, X.rank)
    if (op.count_include_pad or not any(w.begin or w.end for w in windows)) and not op.ceil_mode:
        shares = g.constant(1 / math.prod(op.kernel_shape))
    else:
        sizes = zip((X.fixed(k) for k in rest), (Y.fixed(k) for k in rest), windows, strict=True)
        axes = [Axis(size, out, w.kernel, w.stride, 1, w.begin) for size, out, w in sizes]
        shares = g.constant(op.inverse_counts([(k + 2, a) for k, a in enumerate(axes)], X.rank), "float32")
    images = [g.reshape(v, (-1, 1, *(g.size(v, k) for k in rest))) for v in (d * shares, X)]
    ones = g.constant(np.ones((1, 1, *op.kernel_shape)))
    return [in_shape(g, _to_input(g, images[0], ones, images[1], windows), X)]


# Look-ups.
def product(sizes: Sequence[int | Value]) -> int | Value:
    """Return the product of sizes, a value if one of them is."""
    total: int | Value = math.prod(d for d in sizes if isinstance(d, int))
    for size in sizes:
        total = size * total if isinstance(size, Value) else total
    return total


@derivative("Gather")
def gather(g: Builder, op: Any, node: Node, dYs: Any, wants: Wants) -> Gradients:
    """Add the gradients at the indices."""
    (X, ids), (d,), at = node.sources, dYs, op.axis % node.sources[0].rank
    before, after = ([g.size(X, k) for k in axes] for axes in (range(at), range(at + 1, X.rank)))
    rows = g.reshape(d, (*before, -1, *after))
    unique = ids.data is not None and np.unique(ids.data % X.fixed(at)).size == ids.data.size
    indices = g.Expand(g.reshape(ids, (-1, *[1] * len(after))), g.Shape(rows))
    return [g.ScatterElements(zeros_like(g, X), indices, rows, axis=at, reduction="none" if unique else "add")]


@derivative("GatherElements", "TopK")
def gather_elements(g: Builder, op: Any, node: Node, dYs: Any, wants: Wants) -> Gradients:
    """Add the gradients at the indices."""
    places = node.outputs[1] if node.op == "TopK" else node.sources[1]
    return [g.ScatterElements(zeros_like(g, node.sources[0]), places, dYs[0], axis=op.axis, reduction="add")]


@derivative("GatherND")
def gather_nd(g: Builder, op: Any, node: Node, dYs: Any, wants: Wants) -> Gradients:
    """Add the gradients at the tuples of indices, as rows: onnxruntime adds those of ScatterND in a race of threads."""
    (X, ids), (d,), b = node.sources, dYs, op.batch_dims
    length, lead = ids.features, [g.size(X, k) for k in range(b)]
    sizes = [g.size(X, k) for k in range(b, b + length)]
    strides = g.ints([product(sizes[k + 1 :]) for k in range(length)])
    places = g.ReduceSum(g.Mod(ids, g.ints(sizes)) * strides, g.constant([-1]), keepdims=0)
    rest = [g.size(X, k) for k in range(b + length, X.rank)]
    updates = g.reshape(d, (*lead, -1, *rest))
    indices = g.Expand(g.reshape(places, (*lead, -1, *[1] * len(rest))), g.Shape(updates))
    zeros = g.Expand(g.constant(0.0), g.ints([*lead, product(sizes), *rest]))
    return [in_shape(g, g.ScatterElements(zeros, indices, updates, axis=b, reduction="add"), X)]


@derivative("ScatterElements", "ScatterND")
def scatter(g: Builder, op: Any, node: Node, dYs: Any, wants: Wants) -> Gradients:
    """Return the gradients at the indices to the updates, and to the data those that nothing replaced."""
    (_, ids, updates), (d,) = node.sources, dYs
    attributes = {} if node.op == "ScatterND" else {"axis": op.axis}
    of_updates = g.emit(node.op.replace("Scatter", "Gather"), [d, ids], attributes) if wants[2] else None
    if wants[0] and op.reduction == "none":
        d = g.emit(node.op, [d, ids, zeros_like(g, updates)], attributes)
    return [d if wants[0] else None, None, of_updates]


# Resampling.
@derivative("Resize")
def resize(g: Builder, op: Any, node: Node, dYs: Any, wants: Wants) -> Gradients:
    """Return the product with the transposed matrix of each axis, or the sum of what was repeated."""
    (X, *_), (Y,), (d,) = node.sources, node.outputs, dYs
    scales = node.inputs[2].data if len(node.inputs) > 2 and node.inputs[2] is not None else None
    for k in range(X.rank):
        if X.shape[k] == Y.shape[k] and (scales is None or scales.flat[k] == 1):
            continue
        size, out = X.fixed(k), Y.fixed(k)
        matrix = resampling_matrix(op, size, out, out / size if scales is None else float(scales.flat[k]))
        sizes = [g.size(d, i) for i in range(d.rank)]
        if out % size == 0 and np.array_equal(matrix, np.repeat(np.eye(size), out // size, axis=0)):
            parts = g.reshape(d, (*sizes[:k], size, out // size, *sizes[k + 1 :]))
            d = g.ReduceSum(parts, g.constant([k + 1]), keepdims=0)
        else:
            order = [*(i for i in range(X.rank) if i != k), k]
            moved = g.transpose(d, order) @ g.constant(matrix)
            d = g.transpose(moved, [order.index(i) for i in range(X.rank)])
    return [d]


@derivative("DepthToSpace", "SpaceToDepth")
def blocks(g: Builder, op: Any, node: Node, dYs: Any, wants: Wants) -> Gradients:
    """Move the pixels back."""
    need.value(getattr(op, "mode", "DCR") == "DCR", "has mode CRD, in which it has no gradient in a training step")
    other = "SpaceToDepth" if node.op == "DepthToSpace" else "DepthToSpace"
    return [g.emit(other, [dYs[0]], {"blocksize": op.blocksize})]
