"""The forms in training, in operators of ONNX, of operators that ONNX lacks or whose training differs from inference."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import numpy as np

from graphspec.graph.builder import Builder, Rebuild, Target, rebuild
from graphspec.graph.decompositions import DECOMPOSITIONS, Decomposition, attention, positions, registers
from graphspec.graph.derivatives.arrays import elements
from graphspec.graph.derivatives.layers import product
from graphspec.graph.derivatives.walk import RULES, written
from graphspec.graph.ir.graph import Graph, Node, Type, Value
from graphspec.graph.ops import OPS, operator
from graphspec.graph.ops.dropout import ALPHA
from graphspec.graph.passes.for_export import is_newer
from graphspec.graph.passes.for_program import drop_inference

FORMS: dict[str, Decomposition] = {}
"""By operator: ``form(g, op, *inputs)`` emits what it computes in training, and returns the output or all outputs."""
form = registers(FORMS)


def integer_input(g: Builder, name: str) -> Value:
    """Return the int64 scalar ``seed`` or ``step``, an input of the graph that is added if a form needs it."""
    return g.graph.inputs.setdefault(name, Value(name, Type("int64", ()), "input"))


def new_statistic(g: Builder, old: Value, new: Value) -> None:
    """Note the value that a statistic, a parameter with ``state``, has after the step."""
    g.graph.updates[old.name] = new


def batch_size(g: Builder) -> Value:
    """Return the number of rows in the batch, a float32 scalar."""
    rows = next(v for v in (*g.graph.inputs.values(), *g.graph.targets.values()) if v.rank and v.shape[0] == "N")
    size = g.Slice(g.Shape(rows), g.constant([0]), g.constant([1]))
    return g.Cast(g.Squeeze(size, g.constant([0])), to="float32")


def is_random(node: Node) -> bool:
    """Return whether a node draws random numbers in training."""
    return node.op in FORMS and ("seed" in node.attrs or OPS[node.op].identity_in_inference)


def in_primitives(graph: Graph, target: Target, only: Callable[[Node], bool] = lambda node: True) -> Graph:
    """Write every operator that has a form in training by it, and every one that the opset lacks by its decomposition.

    What an operator does only at inference is left out. ``only`` says which operators are written.

    >>> g, x = sketch({"x": ("N", 4)})
    >>> print_graph(in_primitives(g.graph.with_outputs({"y": g.Mish(x)}), Target()))
    %1 = Softplus(x)
    %2 = Tanh(%1)
    y = Mul(x, %2)
    """

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if node.op == "Scan":
            return state.copy(node, inputs, body=in_primitives(node.attrs["body"], target, only))
        found: Any = FORMS.get(node.op) if only(node) else None
        if only(node) and found is None and (node.op not in RULES or is_newer(node, target.opset)):
            found = DECOMPOSITIONS.get(node.op)
        if found is None:
            return None
        with written(node), state.builder(node) as g:
            result = found(g, operator(node), *inputs)
        return result if isinstance(result, tuple) else (result,)

    return rebuild(drop_inference(graph, Target(training=True)), visit)


@form("ReduceLoss")
def reduce_loss(g: Builder, op: Any, values: Value, weight: Value | None = None, mask: Value | None = None) -> Value:
    """Emit ``Σ values · weight · mask / divisor``, see the operator; 0 for a divisor of 0."""

    def expand(factor: Value) -> Value:
        axes = list(range(factor.rank, values.rank))
        return g.Unsqueeze(factor, g.constant(axes)) if axes else factor

    if weight is None and mask is None:
        return (g.ReduceSum if op.reduction == "sum" else g.ReduceMean)(values, keepdims=0)
    like = g.Expand(g.constant(1.0), g.Shape(values))
    kept = like if mask is None else like * expand(g.Cast(mask, to="float32"))
    factors = kept if weight is None else kept * expand(weight)
    total = g.ReduceSum(values * factors, keepdims=0)
    if op.reduction == "sum":
        return total
    divisor = g.ReduceSum(factors if op.reduction == "mean_with_sample_weight" else kept, keepdims=0)
    some = g.Not(g.Equal(divisor, g.constant(0.0)))
    return g.Where(some, total / g.Where(some, divisor, g.constant(1.0)), g.constant(0.0))


@form("SparseSoftmaxCrossEntropy")
def sparse_softmax_cross_entropy(g: Builder, op: Any, logits: Value, labels: Value) -> Value:
    """Emit the negated logarithm of the label's softmax."""
    ids = g.Unsqueeze(g.Cast(labels, to="int64"), g.constant([labels.rank]))
    chosen = g.Equal(ids, g.constant(list(range(logits.features))))
    return -g.ReduceSum(g.Where(chosen, g.LogSoftmax(logits, axis=-1), g.constant(0.0)), g.constant([-1]), keepdims=0)


@form("SquaredError")
def squared_error(g: Builder, op: Any, X: Value, targets: Value) -> Value:
    """Emit the mean of ``(X - targets)²`` over the last axis."""
    error = X - targets
    return g.ReduceMean(error * error, axes=(-1,), keepdims=0)


FORMS |= {
    "PerRow": lambda g, op, X: X / batch_size(g),
    "RowShare": lambda g, op, X: X,  # one worker has all rows
    "SoftmaxCrossEntropy": lambda g, op, logits, targets: (
        -g.ReduceSum(targets * g.LogSoftmax(logits, axis=-1), g.constant([-1]), keepdims=0)
    ),
    # smooth, and exact for small losses of both classes
    "SigmoidCrossEntropy": lambda g, op, X, t: t * g.Softplus(-X) + (1.0 - t) * g.Softplus(X),
}


# Forms of layers' operators: noise and augmentation from a seed, normalizations, sums over the batch.
_PRIME = 1_073_741_789  # below 2³⁰: int64 holds all products; cubes differ, since 3 does not divide it less 1
_KEYS = (362_436_069, 88_675_123)  # any two numbers below


def _cube(g: Builder, x: Value) -> Value:
    """Emit x³ modulo the prime, of x below twice the prime."""
    p = g.constant(_PRIME)
    return g.Mod(g.Mod(x * x, p) * x, p)


def _scrambled(g: Builder, x: Value) -> Value:
    """Emit a permutation of the numbers below the prime, of x modulo the prime."""
    x = g.Mod(x, g.constant(_PRIME))
    for key in _KEYS:
        x = _cube(g, x + key)
    return x


def uniform(g: Builder, sizes: Sequence[int | Value], purpose: str) -> Value:
    """Emit random integers below 2³⁰ of a shape.

    They depend on the seed, the step, the node and the element's index in its row: each row and each column has a number,
    scrambled by two rounds of cubes in a field (as in MiMC, Albrecht et al. 2016), and an element is their sum's square.
    So a row does not depend on how many rows there are, and every runtime computes the same integers.
    """
    key, node = g.constant(0), crc32(f"{g.owner}/{g._prefix}{purpose}".encode())
    for part in (integer_input(g, "seed"), integer_input(g, "step"), g.constant(node % _PRIME)):
        key = _scrambled(g, key + g.Mod(part, g.constant(_PRIME)))
    ones = [1] * (len(sizes) - 1)
    columns = g.reshape(_scrambled(g, key + _PRIME // 2 + positions(g, product(sizes[1:]))), (1, *sizes[1:]))
    rows = _scrambled(g, key + positions(g, sizes[0]))
    sums = g.reshape(rows, (-1, *ones)) + columns
    return g.Mod(sums * sums, g.constant(_PRIME))


def _sizes(g: Builder, X: Value, shared: Sequence[int] = ()) -> list[int | Value]:
    return [1 if k in shared else g.size(X, k) for k in range(X.rank)]


def _kept(g: Builder, X: Value, rate: float, op: Any, factor: float = 0.0, shared: Sequence[int] = ()) -> Value:
    """Emit 0 with probability ``rate``, else ``factor``, by default what keeps the mean."""
    random = uniform(g, _sizes(g, X, shared), f"dropout {op.seed}")
    return g.Cast(random >= round(rate * _PRIME), to="float32") * (factor or 1 / (1 - rate))


def _unit(g: Builder, X: Value, purpose: str) -> Value:
    """Emit random floats between 0 and 1, which they are not: multiples of 2⁻²³ and a half of it."""
    return (g.Cast(uniform(g, _sizes(g, X), purpose) / 128, to="float32") + 0.5) * 2.0**-23


def _normal(g: Builder, X: Value, op: Any, deviation: float) -> Value:
    """Emit normally distributed numbers of X's shape, by the Box–Muller transform."""
    radius = g.Sqrt(g.Log(_unit(g, X, f"radius {op.seed}")) * (-2.0 * deviation**2))
    return radius * g.Cos(_unit(g, X, f"angle {op.seed}") * (2 * math.pi))


@form("Dropout")
def dropout(g: Builder, op: Any, X: Value, ratio: Value | None = None, training_mode: Value | None = None) -> Value:
    """Emit ``X · k / (1 - ratio)`` with k 0 or 1."""
    rate = 0.5 if ratio is None or ratio.data is None else float(ratio.data.item())
    trains = training_mode is not None and training_mode.data is not None and training_mode.data.item()
    return X * _kept(g, X, rate, op) if trains and rate else X


@form("AlphaDropout")
def alpha_dropout(g: Builder, op: Any, X: Value) -> Value:
    """Emit ``a · (k · X + (1 - k) · α) + b``."""
    a = ((1 - op.rate) * (1 + op.rate * ALPHA**2)) ** -0.5
    kept = _kept(g, X, op.rate, op, a, op.shared) if op.rate else None
    return X if kept is None else X * kept + (kept * -ALPHA + a * ALPHA * (1 - op.rate))


FORMS |= {  # functions of the builder, the operator and its inputs
    "SharedDropout": lambda g, op, X: X * _kept(g, X, op.rate, op, shared=op.shared) if op.rate else X,
    "DropoutAttention": lambda g, op, *X: attention(g, op, *X, kept=lambda P: P * _kept(g, P, op.ratio, op)),
    "GaussianDropout": lambda g, op, X: X * (_normal(g, X, op, op.deviation) + 1.0),
    "GaussianNoise": lambda g, op, X: X + _normal(g, X, op, op.deviation),
    "Sample": lambda g, op, mean, log: mean + g.Exp(log * 0.5) * _normal(g, mean, op, 1.0),
    "UniformNoise": lambda g, op, X: X + (_unit(g, X, f"uniform {op.seed}") - 0.5) * (2 * op.width),
    "GumbelNoise": lambda g, op, X: X - g.Log(-g.Log(_unit(g, X, f"uniform {op.seed}"))),
    "CheckIds": lambda g, op, ids, *_: ids,  # an app knows which there are
    "GlobalAveragePool": lambda g, op, X: g.ReduceMean(X, axes=tuple(range(2, X.rank)), keepdims=1),
    "StraightThrough": lambda g, op, X, S: S + g.StopGradient(X - S),
    "AllRows": lambda g, op, X: X,
    "RowNumbers": lambda g, op, X: positions(g, g.size(X, 0)),
    "BatchSum": lambda g, op, X: g.ReduceSum(X, g.constant([0]), keepdims=0),
}


# Random pictures.
@form("RowUniform")
def row_uniform(g: Builder, op: Any, X: Value) -> Value:
    """Emit multiples of 2⁻²⁴ of the range, from its lower bound on."""
    integers = uniform(g, (1 if op.same else g.size(X, 0), len(op.low)), f"uniform {op.seed}") / 64
    width = np.subtract(op.high, op.low) * 2.0**-24
    return g.Cast(integers, to="float32") * g.constant(width) + g.constant(np.asarray(op.low, float))


@form("MixRows")
def mix_rows(g: Builder, op: Any, X: Value, kept: Value) -> Value:
    """Emit ``X · kept + Z · (1 - kept)``: row k of Z is row k + 1 of X for an even k, else k - 1."""
    count = g.ints([g.size(X, 0)])
    row = positions(g, count)
    partner = g.Min(row + 1 - g.Mod(row, g.constant(2)) * 2, count - 1)
    return X * kept + g.Gather(X, partner, axis=0) * (1.0 - kept)


@form("Recolor")
def recolor(g: Builder, op: Any, X: Value, scale: Value | None = None, shift: Value | None = None) -> Value:
    """Emit ``clip(mean + scale · (X - mean) + shift)``."""
    scale, shift = (v and g.reshape(v, (-1, *[1] * (X.rank - 1))) for v in (scale, shift))
    if scale is not None:
        X = X * scale + g.ReduceMean(X, axes=tuple(op.axes), keepdims=1) * (1.0 - scale)
    X = X if shift is None else X + shift
    return g.Clip(X, g.constant(op.low, "float32"), g.constant(op.high, "float32"))


@form("RandomCrop")
def random_crop(g: Builder, op: Any, X: Value, corner: Value, rows: Value, columns: Value) -> Value:
    """Emit the window at the corner."""
    for axis, size in ((2, rows.fixed(0)), (3, columns.fixed(1))):
        start = g.Gather(g.reshape(corner, (2,)), g.constant(axis - 2), axis=0) * float(X.fixed(axis) - size + 1)
        X = g.Gather(X, g.Cast(start, to="int64") + np.arange(size), axis=axis)
    return X


@form("AffineWarp")
def affine_warp(g: Builder, op: Any, X: Value, matrix: Value) -> Any:
    """Emit the sum of the pixels around each point, times their weights, which are products of those along both axes."""
    sizes, pixels, taps, weights = (X.fixed(1), X.fixed(2)), g.reshape(X, (-1, X.fixed(3))), list[Any](), list[Value]()
    grids = [np.arange(n, dtype=np.float32) - np.float32((n - 1) / 2) for n in sizes]
    columns = [g.reshape(v, (-1, 1, 1)) for v in g.Split(matrix, g.constant([1] * 6), axis=1)]
    for (a, b, shift), size in zip((columns[3:], columns[:3]), sizes, strict=True):
        at = a * grids[1] + (b * grids[0][:, None] + (shift * float(size) + (size - 1) / 2))
        low = (
            g.Floor(at) if op.interpolation == "bilinear" else at + g.Where(at < 0.0, g.constant(-0.5), g.constant(0.5))
        )
        index, high = g.Cast(low, to="int64"), at - low  # the nearest is that of halves away from zero
        both = [(index, 1.0 - high), (index + 1, high)] if op.interpolation == "bilinear" else [(index, None)]
        if op.fill_mode == "constant":
            inside = [g.Cast((k >= 0) & (k < size), to="float32") for k, _ in both]
            both = [(k, one if share is None else share * one) for (k, share), one in zip(both, inside, strict=True)]
        taps.append([(_within(g, k, size, op.fill_mode), share) for k, share in both])
    images, Y = g.reshape(positions(g, g.size(X, 0)) * (sizes[0] * sizes[1]), (-1, 1, 1)), None
    for (row, down), (column, across) in itertools.product(*taps):
        part = g.Gather(pixels, row * sizes[1] + images + column, axis=0)
        if down is not None:
            weights.append(g.Unsqueeze(down * across, g.constant([3])))
            part = part * weights[-1]
        Y = part if Y is None else Y + part
    filled = op.fill_value and op.fill_mode == "constant"
    return Y + (1.0 - g.Sum(*weights)) * op.fill_value if filled else Y


def _within(g: Builder, index: Value, size: int, mode: str) -> Value:
    if mode == "wrap":
        return g.Mod(index, g.constant(size))
    if mode == "reflect":
        index = g.Mod(index, g.constant(2 * size))
        return g.Min(index, 2 * size - 1 - index)
    return g.Min(g.Max(index, g.constant(0)), g.constant(size - 1))


# Normalizations. Squares are summed of centred numbers, which loses no digits.
@form("BatchNormalization", "MaskedBatchNormalization")
def batch_normalization(g: Builder, op: Any, X: Value, *inputs: Value) -> Any:
    """Emit the normalization by the batch's mean and variance, and what the moving statistics are after it."""
    W, (scale, B, *moving) = (inputs[0], inputs[1:]) if len(inputs) == 5 else (None, inputs)
    spatial, axes = g.constant(list(range(1, X.rank - 1))), (0, *range(2, X.rank))
    scale, B, mean, variance = (g.Unsqueeze(v, spatial) if X.rank > 2 else v for v in (scale, B, *moving))
    results, wide = [], None if W is None else g.Expand(W, g.Shape(X))
    if getattr(op, "training_mode", 1):
        axis = g.constant(axes)
        count = elements(g, X, axes) if wide is None else g.ReduceSum(wide, axis, keepdims=1) + 1e-7
        mean = g.ReduceSum(X if wide is None else X * wide, axis, keepdims=1) / count
        weighted = X - mean if wide is None else (X - mean) * wide
        variance = g.ReduceSumSquare(weighted, axes=axes, keepdims=1) / count
        for old, new in zip(moving, (mean, variance), strict=True):
            before = g.graph.updates.get(old.name, old)  # another node with these statistics has moved them
            results.append(before * op.momentum + g.reshape(new, (X.fixed(1),)) * (1 - op.momentum))
            if old.kind == "param":
                new_statistic(g, old, results[-1])
    return (X - mean) * (scale / g.Sqrt(variance + op.epsilon)) + B, *results


@form("LayerNormalization")
def layer_normalization(g: Builder, op: Any, X: Value, scale: Value, B: Value | None = None) -> Value:
    """Emit the normalization over ``axis`` and all axes after it."""
    axes = tuple(range(op.axis % X.rank, X.rank))
    centred = X - g.ReduceMean(X, axes=axes, keepdims=1)
    variance = g.ReduceSumSquare(centred, axes=axes, keepdims=1) * (1 / math.prod(X.fixed(k) for k in axes))
    Y = centred * g.Reciprocal(g.Sqrt(variance + op.epsilon)) * scale
    return Y if B is None else Y + B


@form("GlobalMaxPool")
def global_max(g: Builder, op: Any, X: Value) -> Value:
    """Emit the first largest element, by its index."""
    flat = g.reshape(X, (0, 0, -1))
    return g.reshape(g.GatherElements(flat, g.ArgMax(flat, axis=2), axis=2), (0, 0, *[1] * (X.rank - 2)))


@form("LpNormalization")
def lp_normalization(g: Builder, op: Any, X: Value) -> Value:
    """Emit ``X / ‖X‖``, and 0 for 0."""
    norm = (g.ReduceL1 if op.p == 1 else g.ReduceL2)(X, axes=(op.axis,), keepdims=1)
    some = norm > 0.0
    return X * g.Where(some, 1.0 / g.Where(some, norm, g.constant(1.0)), g.constant(0.0))


@form("RunningMean")
def running_mean(g: Builder, op: Any, M: Value, W: Value) -> Value:
    """Emit the mean with what the last step has made of the weight."""
    new = DECOMPOSITIONS["RunningMean"](g, op, M, W)
    new_statistic(g, M, new)
    return g.StopGradient(new)
