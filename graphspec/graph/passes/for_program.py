"""The passes before a graph is bound to a program. They may use operators that ONNX lacks.

The first two determine the matmuls of a graph, the last one which of them several workers share.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

from graphspec.base.arrays.layout import CACHE_LINE, shard_slice
from graphspec.graph.analysis import needed_gradients
from graphspec.graph.builder import Builder, Rebuild, Target, append, readers, rebuild
from graphspec.graph.ir.graph import Array, Graph, Node, Type, Value
from graphspec.graph.kernels.compiled import use_fast_kernel
from graphspec.graph.kernels.context import Shard
from graphspec.graph.kernels.windows import Window
from graphspec.graph.ops import OPS, operator
from graphspec.graph.ops.formulas import Unary

MIN_WIDTH_PER_ID = 20  # from here on GatherSum is faster: an id takes as long as 15 to 24 elements of a matmul
_UNSCALED = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}


def multiplies(node: Node) -> bool:
    """Return whether a node multiplies its first input by a matrix, without scaling or transposing."""
    unscaled = node.op in ("Gemm", "MatMul") and not node.attrs.items() - _UNSCALED.items()
    return unscaled and node.inputs[1] is not None and node.inputs[1].rank == 2


def drop_inference(graph: Graph, target: Target) -> Graph:
    """Replace operators that only act at inference by their first input, in a program for training.

    What only their other inputs need is computed no more: in training, a mean over a picture and its mirror image costs
    nothing.

    >>> g, x = sketch({"x": ("N", 4)})
    >>> graph = g.graph.with_outputs({"y": g.MeanAtInference(g.Relu(x), g.Relu(g.Neg(x)))})
    >>> print_graph(graph)
    %1 = Relu(x)
    %2 = Neg(x)
    %3 = Relu(%2)
    y = MeanAtInference(%1, %3)
    >>> print_graph(drop_inference(graph, Target(training=True)))
    y = Relu(x)
    """
    if not target.training or not any(OPS[node.op].inference_only for node in graph.nodes):
        return graph
    return rebuild(graph, lambda _, node, inputs: [X for X in inputs[:1] if X and OPS[node.op].inference_only] or None)


def _is_weighted(X: Value) -> bool:
    return X.node is not None and X.node.op == "MultiHot" and len(X.node.inputs) > 1


def _gathered(g: Builder, X: Value, W: Value) -> Value | None:
    """Emit ``X @ W`` as a GatherSum, if X is a MultiHot that is much wider than its list of ids."""
    if X.node is None or X.node.op != "MultiHot":
        return None
    ids, *weights = X.node.sources
    k, fixed = ids.shape[-1], all(v.kind in ("input", "constant") for v in weights)  # others may need a gradient
    least = 1 if weights else MIN_WIDTH_PER_ID  # the vectors of weights would be made in each step
    if not fixed or not use_fast_kernel(not isinstance(k, int) or least * k <= X.node.attrs["depth"]):
        return None
    return g.GatherSum(ids, W, *weights, count=X.node.attrs["count"])


def _joined(X: Value) -> list[Value]:
    """Return the parts that a matrix is joined of along its columns, those of parts included."""
    last = X.node is not None and X.node.op == "Concat" and X.node.attrs["axis"] in (1, -1) and X.rank == 2
    return [part for source in X.node.sources for part in _joined(source)] if last and X.node is not None else [X]


def multi_hot_matmul_to_gather_sum(graph: Graph, target: Target) -> Graph:
    """Replace products of MultiHot and a matrix by GatherSum.

    A multi-hot vector times a matrix is the sum of the matrix's rows at the ids. GatherSum computes the sum from the
    ids, so the wide vectors, mostly zeros, are never created. This is faster if the vectors are much wider than the
    lists of ids. Of vectors joined to some with weights, each part is multiplied by its own rows of the matrix.

    >>> g, ids, W = sketch({"ids": Type("int64", ("N", 3))}, {"W": (1000, 8)})
    >>> graph = g.graph.with_outputs({"y": g.MatMul(g.MultiHot(ids, depth=1000), W)})
    >>> print_graph(graph)
    %1 = MultiHot(ids, depth=1000)
    y = MatMul(%1, W)
    >>> print_graph(multi_hot_matmul_to_gather_sum(graph, Target()))
    y = GatherSum(ids, W)
    """
    if all(node.op != "MultiHot" for node in graph.nodes):
        return graph

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if not multiplies(node):
            return None
        X, W, bias = (*inputs, None)[:3]
        assert X is not None
        assert W is not None
        g, joined = state.builder(node), _joined(X)
        if len(joined) == 1 or not any(map(_is_weighted, joined)):
            Y = _gathered(g, X, W)
            return None if Y is None else (Y if bias is None else g.Add(Y, bias),)
        parts, others, begin = list[Value](), list[tuple[Value, Value]](), 0
        for part in joined:
            end = begin + part.fixed(-1)
            rows = g.Slice(W, g.constant([begin]), g.constant([end]), g.constant([0]))
            Y = _gathered(g, part, rows)
            others += [(part, rows)] if Y is None else []
            parts += [] if Y is None else [Y]
            begin = end
        if not parts:
            return None
        return (reduce(g.Add, [*parts, *(g.MatMul(*other) for other in others), *([] if bias is None else [bias])]),)

    return rebuild(graph, visit)


def only_multiplied(graph: Graph) -> dict[str, int]:
    """Return the inputs ``(N, width)`` that only matmuls read, with their widths."""
    multiplied, other = set[str](), {v.name for v in graph.outputs.values()}
    for node in graph.nodes:
        names = [v.name for v in node.sources]
        if multiplies(node):
            multiplied.add(names.pop(0))
        other.update(names)
    wide = {n: v.shape[1] for n, v in graph.inputs.items() if v.rank == 2 and v.type.is_float}
    return {n: k for n, k in wide.items() if isinstance(k, int) and n in multiplied - other}


def sparsify_bool_inputs(graph: Graph, target: Target) -> Graph:
    """Read an input ``(N, width)`` that is fed with shape ``(N, k)`` through MultiHot.

    A row of a bag-of-words input has few ones among thousands of columns. Training stores such rows as indices
    (``graphspec/data/batches.py``). The graph still describes the wide input, so this pass puts a MultiHot before its
    readers; ``multi_hot_matmul_to_gather_sum`` then removes the MultiHot and the wide vectors. It applies to inputs that
    are fed with another width than in the spec. They become int64: indices of at most k ones per row, padded with ``width``.

    >>> g, x, W = sketch({"x": ("N", 1000)}, {"W": (1000, 8)})
    >>> graph = g.graph.with_outputs({"y": g.MatMul(x, W)})
    >>> print_graph(graph)
    y = MatMul(x, W)
    >>> print_graph(sparsify_bool_inputs(graph, Target({"x": (64, 7)})))
    %1 = MultiHot(x, depth=1000, count=1)
    y = MatMul(%1, W)
    """
    sparse: dict[str, Value] = {}
    for name, v in graph.inputs.items():
        if v.rank == 2 and v.type.is_float and name in target.shapes:
            width, count = v.shape[1], target.shapes[name][1]
            if isinstance(width, int) and count != width:
                sparse[name] = Value(name, Type("int64", (v.shape[0], count)), "input")
    if not sparse:
        return graph

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if not any(v is not None and v.name in sparse for v in inputs):
            return None
        g, operands = state.builder(node), list(inputs)
        for k, v in enumerate(inputs):
            if v is not None and v.name in sparse:
                operands[k] = g.MultiHot(sparse[v.name], depth=v.fixed(1), count=1)
        return state.copy(node, operands)

    result = rebuild(graph, visit)
    result.inputs |= sparse
    return result


def sink_bias_relu_below_pool(graph: Graph, target: Target) -> Graph:
    """Apply the bias of a convolution and Relu after a MaxPool instead of before it.

    Adding a bias and ReLU, with or without a maximum, are monotonic, so they commute with the maximum of a window.
    After a 2×2 pooling there is a quarter of the elements, forward and backward. The pooling must be the only reader of
    the nodes that move, possibly through Transposes. Values and gradients are the same: a window's gradient goes to its
    first maximum if that is above 0 (and below a Clip's bound), otherwise nowhere. Rounding differs: elements that are
    equal only after the bias is added are now different, and the gradient of the bias is summed in another order.

    >>> g, x, W, b = sketch({"x": ("N", 3, 8, 8)}, {"W": (4, 3, 3, 3), "b": (4,)})
    >>> graph = g.graph.with_outputs({"y": g.MaxPool(g.Relu(g.Conv(x, W, b)), kernel_shape=(2, 2))})
    >>> print_graph(graph)
    %1 = Conv(x, W, b)
    %2 = Relu(%1)
    y = MaxPool(%2, kernel_shape=(2, 2))
    >>> print_graph(sink_bias_relu_below_pool(graph, Target()))
    %1 = Conv(x, W)
    %2 = MaxPool(%1, kernel_shape=(2, 2))
    %3 = Unsqueeze(b, [1, 2])
    %4 = Add(%2, %3)
    y = Relu(%4)
    """
    reads = readers(graph)
    moved = {node.name: _movable(node, reads) for node in graph.needed(graph.roots()) if node.op == "MaxPool"}
    relus, convs = ({node.name for pair in moved.values() if (node := pair[k]) is not None} for k in (0, 1))
    if not relus and not convs:
        return graph

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if node.name in relus:
            X = inputs[0]
            return None if X is None else (X,)
        if node.name in convs:
            return state.copy(node, inputs[:2])
        relu, conv = moved.get(node.name, (None, None))
        if relu is None and conv is None:
            return None
        g, (Y,) = state.builder(node), state.copy(node, inputs)
        if conv is not None:
            Y = g.Add(Y, g.Unsqueeze(conv.inputs[2], g.constant(list(range(1, Y.rank - 1)))))
        if relu is not None:
            Y = g.emit(relu.op, (Y, *relu.inputs[1:]), relu.attrs)
        return (Y,)

    return rebuild(graph, visit)


def _movable(pool: Node, reads: Mapping[str, int]) -> tuple[Node | None, Node | None]:
    """Return the Relu or Clip that can move below a MaxPool, and the convolution before it whose bias can, or None."""
    if pool.attrs["ceil_mode"] or any(d != 1 for d in pool.attrs["dilations"] or ()):  # perhaps only padding
        return None, None
    value, relu, channel = pool.inputs[0], None, 1
    while value is not None and value.node is not None and reads[value.name] == 1:
        source = value.node
        if source.op == "Conv" and channel == 1 and len(source.inputs) > 2:
            bias = source.inputs[2]
            movable = bias is not None and bias.kind == "param" and use_fast_kernel(True)
            return relu, source if movable else None
        if source.op in ("Relu", "Clip") and relu is None:
            if any(bound is not None and bound.kind != "constant" for bound in source.inputs[1:]):
                break
            relu = source
        elif source.op == "Transpose":
            channel = _perm(source)[channel]
        else:
            break
        value = source.inputs[0]
    return relu, None


def _perm(transpose: Node) -> Sequence[int]:
    """Return the permutation of a Transpose; by default it reverses the axes."""
    return transpose.attrs["perm"] or list(range(transpose.outputs[0].rank))[::-1]


Need = tuple[int | None, ...]  # how many elements of each axis are read, counted from the start; None for all


def crop_unread(graph: Graph, target: Target) -> Graph:
    """Crop rows and columns that nothing reads.

    A window that does not fit into the end of an axis is never computed: pooling by 2 does not read the last of 11
    rows. The convolution before it computes this row in vain, forward and backward, and perhaps also reads rows that
    nothing else needs. From the outputs backwards, this pass finds how much of each spatial axis is read. It then gives
    convolutions and poolings negative padding at the end of the axis, so they compute no more than that. Values and
    gradients are the same, but sums may be computed in another order.

    >>> g, x, W = sketch({"x": ("N", 1, 11, 11)}, {"W": (4, 1, 3, 3)})
    >>> graph = g.graph.with_outputs({"y": g.MaxPool(g.Conv(x, W), kernel_shape=(2, 2), strides=(2, 2))})
    >>> print_graph(graph, shapes=True)
    %1 = Conv(x, W)  # (N, 4, 9, 9)
    y = MaxPool(%1, kernel_shape=(2, 2), strides=(2, 2))  # (N, 4, 4, 4)
    >>> print_graph(crop_unread(graph, Target()), shapes=True)
    %1 = Conv(x, W, pads=[0, 0, -1, -1])  # (N, 4, 8, 8)
    y = MaxPool(%1, kernel_shape=(2, 2), pads=[0, 0, 0, 0], strides=(2, 2))  # (N, 4, 4, 4)
    """
    nodes = graph.needed(graph.roots())
    if not any(_windows(node) is not None for node in nodes) or not use_fast_kernel(True):
        return graph
    needs = _needs(nodes, graph.roots())
    shapes = {n.name: _needed_shape(n, needs[n.outputs[0].name]) for n in nodes if _windows(n) is not None}
    cropped = {node.name for node in nodes if node.name in shapes and shapes[node.name] != [*node.outputs[0].shape]}
    if not cropped:
        return graph

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        changed = any(a is not b and a.shape != b.shape for a, b in zip(inputs, node.inputs, strict=True) if a and b)
        if not changed and node.name not in cropped:
            return None
        X, windows = inputs[0], _windows(node)
        if windows is None or X is None:
            return state.copy_inferred(node, inputs)
        pads = _pads(node, windows, X, shapes[node.name])
        return state.copy_inferred(node, inputs, auto_pad="NOTSET", pads=pads)

    return rebuild(graph, visit)


def _needed_shape(node: Node, need: Need) -> list[Any]:
    """Return the output's shape, with the needed size on axes that are read partially."""
    return [d if n is None else n for d, n in zip(node.outputs[0].shape, need, strict=True)]


def _needs(nodes: Sequence[Node], roots: Sequence[Value]) -> dict[str, Need]:
    """Return the needed part of each value, by the value's name."""
    needs: dict[str, Need] = {value.name: (None,) * value.rank for value in roots}
    for node in reversed(nodes):
        for k, X in enumerate(node.inputs):
            if X is not None:
                several = len(node.outputs) > 1
                need = (None,) * X.rank if several else _reads(node, k, X, needs[node.outputs[0].name])
                pairs = zip(needs.get(X.name, need), need, strict=True)
                needs[X.name] = tuple(None if a is None or b is None else max(a, b) for a, b in pairs)
    return needs


def _reads(node: Node, k: int, value: Value, out: Need) -> Need:
    """Return the part of ``value``, input ``k``, that a node reads to compute the needed part ``out`` of its output."""
    if k == 0 and (windows := _windows(node)) is not None:
        lengths: list[int | None] = []  # of each spatial axis, None if all of it is read, or if that is unknown
        rows = zip(value.shape[2:], _needed_shape(node, out)[2:], windows, strict=True)
        for size, count, (stride, extent, begin) in rows:
            end = (count - 1) * stride + extent - begin if isinstance(count, int) else 0
            lengths.append(end if isinstance(size, int) and 0 < end < size else None)
        return (None, None, *lengths)
    if node.op == "Transpose":
        perm = _perm(node)
        return tuple(out[perm.index(axis)] for axis in range(value.rank))
    if OPS[node.op].elementwise and value.shape == node.outputs[0].shape:
        others = [v for i, v in enumerate(node.inputs) if i != k and v is not None]
        partial = [len(out) - axis for axis, n in enumerate(out) if n is not None]  # axes counted from the last
        if all(v.rank < axis or v.shape[-axis] == 1 for v in others for axis in partial):  # they are broadcast
            return out
    return (None,) * value.rank


def _windows(node: Node) -> list[Window] | None:
    """Return the windows of a convolution or a pooling; None for another operator, or if a window is symbolic."""
    X, W = (*node.inputs, None, None)[:2]
    return None if X is None else operator(node).windows(X, W)


def _pads(node: Node, windows: list[Window], X: Value, out: Sequence[Any]) -> list[int]:
    """Return the padding for which the windows over X produce the shape ``out``."""
    ends = list((node.attrs["pads"] or (0,) * 2 * len(windows))[len(windows) :])
    for axis, (stride, extent, begin) in enumerate(windows):
        size, count = X.shape[2 + axis], out[2 + axis]
        if isinstance(size, int) and isinstance(count, int):
            ends[axis] = (count - 1) * stride + extent - size - begin
    return [*(begin for _, _, begin in windows), *ends]


# Fusing is faster for convolution windows of at most this many elements. For larger windows the products take longer than
# the memory traffic, and other algorithms may be applicable. A 1×1 convolution is not fused, because it copies nothing.
_MAX_WINDOW = 200


def fuse_conv_max_pool(graph: Graph, target: Target) -> Graph:
    """Replace Conv and MaxPool by ConvPool if this is possible and faster.

    The fused operator ConvPool computes one plane of the convolution per tap of the pooling window, then the
    elementwise maximum of the planes. It processes a few samples at a time, so the large result of the convolution
    stays in the cache. It computes no gradient of its input, so the convolution must read a value that needs none, such
    as an image. The pooling must be the only reader of the convolution, and its windows must not overlap.

    >>> g, x, W = sketch({"x": ("N", 1, 11, 11)}, {"W": (4, 1, 3, 3)})
    >>> graph = g.graph.with_outputs({"y": g.MaxPool(g.Conv(x, W), kernel_shape=(2, 2), strides=(2, 2))})
    >>> print_graph(graph)
    %1 = Conv(x, W)
    y = MaxPool(%1, kernel_shape=(2, 2), strides=(2, 2))
    >>> print_graph(fuse_conv_max_pool(graph, Target()))
    y = ConvPool(x, W, window=(2, 2))
    """
    pools = [node for node in graph.nodes if node.op == "MaxPool" and _tiles(node)]
    if not pools:
        return graph
    reads = readers(graph)
    differentiated = needed_gradients(graph, graph.nodes, target.input_grads)
    convs = {node.name: conv for node in pools if (conv := _convolution_before(node, reads)) is not None}
    convs = {name: conv for name, conv in convs.items() if _fits(conv, differentiated)}
    if not convs:
        return graph
    operands: dict[str, tuple[Value | None, ...]] = {}

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if node.op == "Conv":
            operands[node.name] = inputs[:2]
        if (conv := convs.get(node.name)) is None:
            return None
        attrs = {key: conv.attrs[key] for key in ("auto_pad", "dilations", "pads", "strides")}
        return (state.builder(node).ConvPool(*operands[conv.name], window=node.attrs["kernel_shape"], **attrs),)

    return rebuild(graph, visit)


def _tiles(pool: Node) -> bool:
    """Return whether a MaxPool's windows have several elements, no overlap, no gaps and no padding."""
    attrs, window = pool.attrs, list(pool.attrs["kernel_shape"])
    unpadded = attrs["auto_pad"] in ("NOTSET", "VALID") and not any(attrs["pads"] or ()) and not attrs["ceil_mode"]
    dense = all(d == 1 for d in attrs["dilations"] or ()) and window == list(attrs["strides"] or (1,) * len(window))
    return unpadded and dense and math.prod(window) > 1


def _convolution_before(pool: Node, reads: Mapping[str, int]) -> Node | None:
    """Return the convolution whose only reader is this MaxPool, possibly through Transposes that cancel, or None."""
    value = pool.inputs[0]
    assert value is not None
    order = list(range(value.rank))  # the axis of `value` for each axis of the MaxPool's input
    while value is not None and value.node is not None and reads[value.name] == 1:
        node = value.node
        if node.op == "Conv":
            return node if order == sorted(order) else None
        if node.op != "Transpose":
            return None
        order, value = [_perm(node)[k] for k in order], node.inputs[0]
    return None


def _fits(conv: Node, differentiated: Collection[str]) -> bool:
    """Return whether a convolution has no groups and no bias, its input needs no gradient, and fusing is faster."""
    X, W, bias = (*conv.inputs, None)[:3]
    if X is None or W is None or X.name in differentiated or bias is not None or conv.attrs["group"] != 1:
        return False
    taps = math.prod(W.fixed(k) for k in range(2, W.rank))
    return use_fast_kernel(taps > 1 and taps * W.fixed(1) <= _MAX_WINDOW)


_MIN_KERNEL = 1 << 18  # elements of a kernel: for smaller ones a barrier takes longer than sharding saves
_MIN_RATIO = 1.5  # elements of a kernel, divided by the elements of the batch's inputs and outputs
_LINE_ELEMENTS = CACHE_LINE // 4  # elements of float32 in a cache line


def wide_kernels(graph: Graph, batch: int, workers: int) -> set[str]:
    """Return the trainable kernels that are large enough for sharding and that only one product of the batch reads."""
    reads, kernels = readers(graph), set()
    for node in filter(multiplies, graph.needed(graph.roots())):
        A, B, *C = node.sources
        only_reader = reads[B.name] == 1 and A.shape[:-1] == ("N",) and (not C or C[0].rank == 1)
        if B.param is None or not B.param.trainable or not only_reader:
            continue
        k, n = B.param.stored_shape
        pays = n % (workers * _LINE_ELEMENTS) == 0 and k * n >= max(_MIN_KERNEL, _MIN_RATIO * batch * (k + n))
        if min(k, n) >= workers and use_fast_kernel(pays):
            kernels.add(B.name)
    return kernels


def shard_products(graph: Graph, target: Target) -> Graph:
    """Replace products with sharded kernels by ShardedGemm, one worker's part of the product.

    Normally every worker computes the gradient of each complete kernel from its rows of the batch, and the gradients
    are summed after the step. For a wide kernel (``wide_kernels``) this sum needs more memory traffic than the batch's
    activations. So each worker computes some columns of the product for the batch of all workers, and the workers exchange
    activations instead of gradients. If there are only elementwise functions between two sharded products, the values
    between them are sharded by columns, too. In the example, ``shard`` is the first of two workers, with 32 of 64 rows.

    >>> g, x, A, B = sketch({"x": ("N", 512)}, {"A": (512, 1024), "B": (1024, 512)})
    >>> graph = g.graph.with_outputs({"y": g.MatMul(g.Relu(g.MatMul(x, A)), B)})
    >>> print_graph(graph)
    %1 = MatMul(x, A)
    %2 = Relu(%1)
    y = MatMul(%2, B)
    >>> shard = Shard(SimpleNamespace(rank=0, size=2), slice(0, 32), 64, {"A": ..., "B": ...})
    >>> print_graph(shard_products(graph, Target(shard=shard)))
    %1 = ShardedGemm(x, A, input_partition=rows, output_partition=columns, shape=(64, 512))
    %2 = Relu(%1)
    y = ShardedGemm(%2, B, input_partition=columns, output_partition=rows, shape=(32, 512))
    """
    shard = target.shard
    if shard is None or not shard.matrices:
        return graph
    group, rows = shard.group, shard.rows.stop - shard.rows.start
    nodes = graph.needed(graph.roots())
    sharded = {node.name: node for node in nodes if multiplies(node) and _kernel(node) in shard.matrices}
    operands, reads = {node.inputs[0].name for node in sharded.values() if node.inputs[0]}, readers(graph)
    joined = {v: name for v, name in _ends(nodes, sharded, reads).items() if v in operands and reads[v] == 1}

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if node.name not in sharded:
            return None
        (X, *_), (old,) = inputs, node.outputs
        assert X is not None
        source = "columns" if X.name in joined else "rows"
        result = "columns" if node.name in joined.values() else "rows"
        columns = shard_slice(old.features, group.rank, group.size)
        shape = (rows, old.features) if result == "rows" else (shard.total, columns.stop - columns.start)
        attrs = {"input_partition": source, "output_partition": result, "shape": shape}
        types, names = [Type(old.dtype, shape)], [old.name]
        return append(state.graph, node.name, "ShardedGemm", inputs, attrs, node.owner, types, names)

    return rebuild(graph, visit)


def shared_buffers(graph: Graph, shard: Shard) -> dict[str, Array]:
    """Return the shared memory for inputs and gradients of values by name: other workers read them there, without a copy."""
    nodes = graph.needed(graph.roots())
    sharded = {node.name: node for node in nodes if node.op == "ShardedGemm"}
    shared = {name: shard.matrices[_kernel(node)] for name, node in sharded.items()}
    firsts = {name: X for name, node in sharded.items() if (X := node.inputs[0]) is not None and X.kind == "input"}
    by_rows = [name for name, node in sharded.items() if node.attrs["output_partition"] == "rows"]
    ends = _ends(nodes, by_rows, readers(graph))
    return {
        **{X.name: shared[name].inputs[shard.rows] for name, X in firsts.items()},
        **{value: shared[name].output_gradients[shard.rows] for value, name in ends.items()},
    }


def _kernel(node: Node) -> str:
    return "" if node.inputs[1] is None else node.inputs[1].name


def _ends(nodes: Iterable[Node], begin: Collection[str], reads: Mapping[str, int]) -> dict[str, str]:
    """Return ``last value → first node`` by name of chains of elementwise functions, sole readers, from ``begin`` on."""
    ends: dict[str, str] = {}
    for node in nodes:
        X, Y = node.inputs[0] if node.inputs else None, node.outputs[0]
        if node.name in begin:
            ends[Y.name] = node.name
        elif X is not None and X.name in ends and reads[X.name] == 1 and issubclass(OPS[node.op], Unary):
            ends[Y.name] = ends.pop(X.name)
    return ends
