"""A node of a file on its way into the graph: its inputs, its attributes, and the operator that it becomes.

Batch sizes may be fixed in a file. A file that was saved for one row, or a fixed number, has that number in its reshapes and
states. A reshape that keeps each row's elements together does the same to every row, so its number of rows may be any.
Everything else is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphspec.base.codes import Code
from graphspec.graph.builder import Builder
from graphspec.graph.ir.dims import Dim, ceildiv, has_rows, mul, product
from graphspec.graph.ir.graph import Value
from graphspec.graph.kernels.context import need
from graphspec.graph.onnx_session import sanitized
from graphspec.graph.ops import OPS
from graphspec.graph.ops.op import declared_attributes
from graphspec.vocabulary.onnx_files.unfreeze.rewrites import Flattened
from graphspec.vocabulary.onnx_files.unfreeze.tensors import Constant, Weights, kind_of, of_array, our_dtype, refuse
from graphspec.vocabulary.operations.sampling import COMPOSED


def label(node: Any) -> str:
    """Return a node of the file as text for a message: ``'/conv1/Conv' (Conv)``."""
    return f"'{name_of(node)}' ({operator_of(node)})"


def name_of(node: Any) -> str:
    """Return the name of a node, or of its first output."""
    return sanitized(node.name or next((o for o in node.output if o), ""), 120)


def operator_of(node: Any) -> str:
    """Return the operator of a node with its domain, if it is not ONNX's own."""
    return sanitized(f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type)


def part_of(node: Any) -> str:
    """Return the part of graph names that stands for a node of the file."""
    name = node.name or next((o for o in node.output if o), "") or node.op_type
    return re.sub(r"[^\w.-]+", "_", name).strip("_")[-100:] or "node"


def batch_size(model_inputs: Mapping[str, Any], inputs: Mapping[str, Value]) -> int | None:
    """Return the number of rows that the inputs of a file, by name, fix for a batch; None if they leave it open."""
    for name, X in inputs.items():
        dims = model_inputs[name].type.tensor_type.shape.dim
        if "N" in X.shape and len(dims) == X.rank and (size := dims[X.shape.index("N")].dim_value) > 0:
            return int(size)
    return None


def as_declared(g: Builder, info: Any, X: Value) -> Value:
    """Return an input in our dtype for that of the file."""
    from onnx import helper

    kind = info.type.tensor_type.elem_type
    dtype = our_dtype(np.dtype(helper.tensor_dtype_to_np_dtype(kind)).name) if kind else X.dtype
    return X if X.dtype == dtype else g.Cast(X, to=dtype)


def reshape_sizes(shape: Sequence[Dim], sizes: Sequence[int], batch: int) -> list[int]:
    """Return the sizes of a Reshape with 0, a copy, or -1 in place of the fixed ``batch`` or a multiple of it.

    Shapes: rows are in an axis of ``shape``, whose size is N or a multiple. A size is the batch's if the sizes in front of
    it are those of ``shape``, or have their product: then each row keeps its elements. The other sizes fix N.

    >>> reshape_sizes(("N", 8, 4), [1, 32], 1), reshape_sizes((8, "N", 4), [8, 1, 2, 2], 1)
    ([0, 32], [8, 0, 2, 2])
    >>> reshape_sizes((5, "N", 8), [5, 2, 4], 1), reshape_sizes(("N*2", 5, 4), [1, 2, 5, 4], 1)  # the heads of attention
    ([5, -1, 4], [-1, 2, 5, 4])
    >>> reshape_sizes((5, "N", 2, 4), [5, 8], 1)  # the rows of a matrix are steps and rows
    [-1, 8]
    >>> reshape_sizes(("N", 8, 4), [8, 1, 4], 1)  # is refused later: it mixes the rows
    [8, 1, 4]
    """
    at = next((k for k, d in enumerate(shape) if has_rows((d,))), None)
    if at is None:
        return list(sizes)
    if shape[at] == "N" and at < len(sizes) and sizes[at] == batch:
        front = all(d in (0, e) for d, e in zip(sizes[:at], shape[:at], strict=True))
        rest, own = sizes[at + 1 :], product(tuple(shape[at + 1 :]))
        copied = len(shape) - at - 1 >= len(rest) or 0 not in rest[len(shape) - at - 1 :]
        filled = tuple(shape[at + 1 + k] if d == 0 else d for k, d in enumerate(rest)) if copied else ()
        if front and copied and (-1 in rest or product(filled) == own):
            return [*sizes[:at], 0, *rest]
    if min(sizes, default=0) < 1:
        return list(sizes)
    before = product(tuple(shape[:at]))
    if at and len(sizes) == 2 and mul(before, batch) == sizes[0]:
        return [-1, sizes[1]]
    places = [k for k, d in enumerate(sizes) if product(tuple(sizes[:k])) == before and d % batch == 0]
    places = [k for k in places if sizes[k] == batch] if batch in sizes else places
    return [-1 if k in places[:1] else d for k, d in enumerate(sizes)]


def is_shape(shape: Sequence[Dim], sizes: Sequence[int], batch: int | None) -> bool:
    """Return whether ``sizes`` are ``shape``, with the fixed ``batch`` for N, and perhaps one -1."""
    pairs = list(zip(sizes, shape, strict=False))
    return len(shape) == len(sizes) and all(d in (e, -1) or (e == "N" and d == batch) for d, e in pairs)


def for_all_rows(g: Builder, X: Value, like: Value, axis: int, *, fixed: bool = False) -> Value:
    """Return X with the rows of ``like`` on ``axis`` if its one row depends on no input, or is ``fixed`` in the file."""
    rows = like.shape[axis]
    if not (fixed or _constant(X)) or X.shape[axis] != 1 or rows == 1:
        return X
    size = g.size(like, axis)
    return g.Expand(X, g.ints([size if a == axis else 1 for a in range(X.rank)]))


def _constant(X: Value) -> bool:
    """Return whether a value depends on sizes and constants alone, and has no rows."""
    stack, seen = [X], set[str]()
    while stack:
        v = stack.pop()
        if v.kind in ("input", "target"):
            return False
        if v.name not in seen and v.node is not None and v.node.op not in ("Shape", "Size"):
            stack.extend(u for u in v.node.inputs if u is not None)
        seen.add(v.name)
    return True


Known = Constant | Value | None  # what stands for a tensor of the file; None if no node that can be lowered computes it
Found = Sequence[Known]


@dataclass
class Call:
    """A node of the file with what stands for its inputs."""

    g: Builder
    node: Any
    given: list[Known]
    weights: Weights
    slots: frozenset[int]  # the inputs that are weights if they are constant
    opset: int
    batch: int | None  # the number of rows that the file fixes for a batch; None if it leaves it open
    batch_statistics: bool
    flattened: Flattened

    def known(self, k: int) -> Known:
        """Return what stands for an input; None if it is absent."""
        return self.given[k] if k < len(self.given) else None

    def value(self, k: int) -> Value | None:
        """Return an input as a value of the graph; None if it is absent."""
        known = self.known(k)
        if not isinstance(known, Constant):
            return known
        with outside(self.g):
            kind = kind_of(self.node.op_type)
            kernel = k in kind.weights_at and kind.channels == 1
            return self.weights.value(known, label(self.node), slot=k in self.slots, kernel=kernel)

    def input(self, k: int) -> Value:
        value = self.value(k)
        need(value is not None, f"needs its input {k}", code=Code.WRONG_INPUT_COUNT)
        assert value is not None
        return value

    def values(self) -> list[Value | None]:
        return [self.value(k) for k in range(len(self.given))]

    def constant(self, k: int, what: str) -> Constant | None:
        """Return an input that must be constant; None if it is absent."""
        if isinstance(known := self.known(k), Value):
            raise refuse(f"computes its {what}, which must be constant")
        return known

    def attributes(self) -> dict[str, Any]:
        """Return the attributes by name, in our form."""
        from onnx import helper

        def ours(name: str, value: Any) -> Any:
            if isinstance(value, list | tuple):
                return tuple(ours("", v) for v in value)
            if name in ("to", "dtype"):
                return our_dtype(np.dtype(helper.tensor_dtype_to_np_dtype(value)).name)
            return value.decode(errors="replace") if isinstance(value, bytes) else value

        return {a.name: ours(a.name, helper.get_attribute_value(a)) for a in self.node.attribute}

    def used(self, k: int) -> bool:
        """Return whether the file names the output ``k``."""
        return k < len(self.node.output) and bool(self.node.output[k])


@contextmanager
def outside(g: Builder) -> Iterator[None]:
    """Name what is created inside after the layer alone, without the node of the file."""
    before, g._prefix = g._prefix, ""
    try:
        yield
    finally:
        g._prefix = before


# Attributes that our operators lack, and their values, besides ONNX's default, that say what ours do. The storage order
# is that of the indices, which are refused.
_NEUTRAL: dict[str, tuple[Any, ...]] = {"storage_order": (0, 1), "spatial": (1,)}


def emit(call: Call, inputs: Sequence[Value | None] | None = None, **changed: Any) -> Found:
    """Emit the operator of the node's name. Outputs beyond ours that the file reads are refused."""
    op = call.node.op_type
    attributes = call.attributes() | changed
    declared = declared_attributes(OPS[op])
    for name in [n for n in attributes if n not in declared]:
        value = attributes.pop(name)
        ones = isinstance(value, tuple) and name == "dilations" and set(value) <= {1}
        if not (ones or value in _NEUTRAL.get(name, ()) or value == _default(op, name)):
            raise refuse(f"has {name} {value!r}, which is not available in training")
    outputs = call.g.emit(op, call.values() if inputs is None else list(inputs), attributes)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    if more := [k for k in range(len(outputs), len(call.node.output)) if call.used(k)]:
        raise refuse(f"has output {more[0]}, which is not available in training")
    return outputs


def _default(op: str, attribute: str) -> Any:
    """Return ONNX's default of an attribute; None if it has none."""
    from onnx import defs, helper

    declared = defs.get_schema(op).attributes.get(attribute) if defs.has(op) else None
    if declared is None or not declared.default_value.name:
        return None
    value = helper.get_attribute_value(declared.default_value)
    return value.decode() if isinstance(value, bytes) else value


# The operators of a file whose form differs from ours, or that need none.
def batch_normalization(call: Call) -> Found:
    """BatchNormalization by moving statistics, or by those of the batch if the spec says so."""
    if call.attributes().get("training_mode") or any(call.used(k) for k in range(1, 5)):
        raise refuse("is saved for training: save the file for inference")
    if not call.batch_statistics:
        return emit(call, training_mode=0)
    moving = []
    for k in (3, 4):
        known = call.given[k]
        if not isinstance(known, Constant):
            raise refuse("computes its statistics, which must be constant for `batch_statistics`")
        with outside(call.g):
            moving.append(call.weights.state(known, label(call.node)))
    return emit(call, [call.input(0), call.input(1), call.input(2), *moving], training_mode=1)


def instance_normalization(call: Call) -> Found:
    """``(X - mean) / sqrt(var + epsilon) · scale + B`` over the spatial axes: a group for each channel."""
    X, scale, B = call.input(0), call.input(1), call.input(2)
    epsilon = call.attributes().get("epsilon", 1e-5)
    return [call.g.GroupNormalization(X, scale, B, num_groups=X.fixed(1), epsilon=epsilon)]


def group_normalization(call: Call) -> Found:
    """GroupNormalization; before opset 21 it has a scale and a bias for each group."""
    attributes = call.attributes()
    groups, channels = attributes["num_groups"], call.input(0).fixed(1)
    vectors = [call.input(1), call.input(2)]
    if call.opset < 21 and groups != channels:
        g = call.g
        wide = [g.Expand(g.Unsqueeze(v, g.constant([1])), g.constant([groups, channels // groups])) for v in vectors]
        vectors = [g.Reshape(v, g.constant([channels])) for v in wide]
    return emit(call, [call.input(0), *vectors])


def conv_transpose(call: Call) -> Found:
    """ConvTranspose: ``output_shape`` and ``auto_pad`` become pads, by ONNX's formula."""
    attributes = call.attributes()
    mode, wanted = attributes.pop("auto_pad", "NOTSET"), attributes.pop("output_shape", None)
    X, W = call.input(0), call.input(1)
    if mode not in ("NOTSET", "VALID") or wanted:
        rank = X.rank - 2
        strides, gaps = attributes.get("strides") or (1,) * rank, attributes.get("dilations") or (1,) * rank
        extra = list(attributes.get("output_padding") or (0,) * rank)
        small, large = [], []
        for k in range(rank):
            total = (W.fixed(k + 2) - 1) * gaps[k] + 1 + extra[k]
            total += strides[k] * (X.fixed(k + 2) - 1) - wanted[-rank:][k] if wanted else -strides[k]
            if total < 0:  # more elements than the kernels reach: they are 0, but for the bias
                extra[k], total = extra[k] - total, 0
            small.append(total // 2)
            large.append(total - total // 2)
        pads = small + large if mode == "SAME_UPPER" else large + small
        attributes |= {"pads": tuple(pads), "output_padding": tuple(extra)}
    return [call.g.emit("ConvTranspose", [X, W, call.value(2)], attributes)]


def pool(call: Call) -> Found:
    """MaxPool and AveragePool. The indices of MaxPool count in a row, as for a batch of one; MaxUnpool takes them so."""
    if not call.used(1):
        return emit(call)
    Y, at = composed(call)
    assert isinstance(at, Value)
    return [Y, at.node.inputs[0] if at.node else None]


def composed(call: Call) -> Found:
    """An operator that is made of others here."""
    with call.g as g:
        outputs = COMPOSED[call.node.op_type](g, *call.values(), **call.attributes())
    return outputs if isinstance(outputs, tuple) else (outputs,)


def recurrent(call: Call) -> Found:
    """LSTM, GRU, RNN: time in front; constant initial states stand for all rows."""
    attributes = call.attributes()
    batch_first = attributes.pop("layout", 0)
    g = call.g

    def turned(v: Value) -> Value:
        return g.transpose(v, [1, 0, 2]) if batch_first else v

    X = turned(call.input(0))
    inputs: list[Value | None] = [X, *(call.value(k) for k in range(1, 5))]
    for k in (5, 6)[: 2 if call.node.op_type == "LSTM" else 1]:
        state, fixed = call.value(k), isinstance(call.known(k), Constant)
        inputs.append(None if state is None else for_all_rows(g, turned(state), X, 1, fixed=fixed))
    peepholes = call.constant(7, "peepholes")
    if peepholes is not None and peepholes.array.any():
        raise refuse("has peepholes")
    if not attributes.get("input_forget"):
        attributes.pop("input_forget", None)
    if attributes.get("hidden_size") is None:
        attributes["hidden_size"] = call.input(2).fixed(2)
    first, *last = g.emit(call.node.op_type, inputs, attributes)
    return [g.transpose(first, [2, 0, 1, 3]) if batch_first else first, *map(turned, last)]


def identity(call: Call) -> Found:
    """Dropout at inference, Identity, ZipMap: what stands for the input stands for the output."""
    if call.node.op_type == "Dropout":
        mode = call.constant(2, "training_mode")
        if (mode is not None and bool(mode.array)) or call.used(1):
            raise refuse("is random, or returns its mask")
    return [call.given[0]]


def cast(call: Call) -> Found:
    """Cast and CastLike; between floats, which are all float32 here, they are the identity."""
    X, like = call.input(0), call.node.op_type == "CastLike"
    to = call.input(1).dtype if like else call.attributes()["to"]
    if X.dtype == to:
        return [call.given[0]]
    return [call.g.Cast(X, to=to)] if like else emit(call, [X], to=to)


def constant_of_shape(call: Call) -> Found:
    """ConstantOfShape of sizes that depend on the batch."""
    from onnx import numpy_helper

    value = call.attributes().get("value")
    array = np.zeros(1, np.float32) if value is None else np.asarray(numpy_helper.to_array(value))
    shape = call.input(0)
    if any(isinstance(d, int) and d < 0 for d in shape.known() or ()):
        raise refuse("has a negative size")
    filled = of_array("", array)
    return [call.g.Expand(call.g.constant(filled.array.reshape(-1)[0], filled.dtype), shape)]


def reduction(call: Call) -> Found:
    """A reduction: axes are an attribute in our form, except for ReduceSum's."""
    attributes, op = call.attributes(), call.node.op_type
    noop = attributes.pop("noop_with_empty_axes", 0)
    listed = attributes.get("axes")
    if (axes := call.constant(1, "axes")) is not None:
        listed = tuple(axes.ints())
    if not listed and noop:
        return [call.given[0]]
    keep = {"keepdims": attributes.get("keepdims", 1)}
    if op == "ReduceSum":
        return [call.g.emit(op, [call.input(0), call.g.constant(list(listed)) if listed else None], keep)]
    return [call.g.emit(op, [call.input(0)], keep | {"axes": listed or None})]


def split(call: Call) -> Found:
    """Split; without sizes the pieces are equal, and the last one may be smaller."""
    X, axis = call.input(0), call.attributes().get("axis", 0)
    if call.known(1) is not None:
        return emit(call, [X, call.input(1)])
    count, size = len(call.node.output), X.fixed(axis)
    piece = int(ceildiv(size, count))
    sizes = [max(min(piece, size - k * piece), 0) for k in range(count)]
    pieces: Found = call.g.Split(X, call.g.constant(sizes), axis=axis)
    return pieces


def clip(call: Call) -> Found:
    """Clip: bounds are scalars; those of one element in another shape count as such."""
    bounds: list[Value | None] = []
    for k in (1, 2):
        known = call.known(k)
        if isinstance(known, Constant) and known.size == 1 and not known.trains:
            bounds.append(call.g.constant(known.array.reshape(()), known.dtype))
        else:
            bounds.append(call.value(k))
    return emit(call, [call.input(0), *bounds])


def resize(call: Call) -> Found:
    """Resize without a region: by scales, or to sizes."""
    axes = call.attributes().pop("axes", None)
    X = call.input(0)

    scales, sizes = (None if isinstance(c := call.known(k), Constant) and c.size == 0 else c for k in (2, 3))
    if sizes is not None:
        wanted = call.input(3).known()
        if wanted is None:
            raise refuse("computes its sizes from values")
        full = list(X.shape) if axes is not None else list(wanted)
        for k, d in zip(axes or (), wanted, strict=False):
            full[k] = d
        if call.batch is not None and isinstance(full[0], int) and full[0] == call.batch and X.shape[0] == "N":
            full[0] = X.shape[0]
        if not any(isinstance(d, str) for d in full):
            return emit(call, [X, None, None, call.g.constant(np.array(full, np.int64))], axes=None)
        parts: list[Any] = [call.g.size(X, k) if d == X.shape[k] else d for k, d in enumerate(full)]
        computed = all(isinstance(d, int | Value) for d in parts)
        return emit(call, [X, None, None, call.g.ints(parts) if computed else call.input(3)], axes=None)
    if not isinstance(scales, Constant):
        raise refuse("computes its scales, which must be constant")
    factors = [float(s) for s in scales.array.reshape(-1)]
    if axes is not None:
        by_axis = dict(zip((a % X.rank for a in axes), factors, strict=False))
        factors = [by_axis.get(k, 1.0) for k in range(X.rank)]
    return emit(call, [X, None, call.g.constant(np.array(factors, np.float32), "float32")], axes=None)


def pad(call: Call) -> Found:
    """Pad: ``axes`` become pads of 0 on the others."""
    X = call.input(0)
    axes = call.constant(3, "axes")
    pads = call.given[1]
    if axes is not None:
        known = call.constant(1, "pads")
        need(known is not None, "needs its pads")
        assert known is not None
        half, full = known.size // 2, [0] * (2 * X.rank)
        for k, axis in enumerate(axes.ints()):
            full[axis % X.rank], full[X.rank + axis % X.rank] = known.ints()[k], known.ints()[half + k]
        pads = of_array("", np.array(full, np.int64))
    call.given[1] = pads
    fill = call.known(2)
    if isinstance(fill, Constant):
        fill = None if fill.size == 0 else call.g.constant(fill.array.reshape(()), fill.dtype)
    return emit(call, [X, call.input(1), fill])


def reshape(call: Call) -> Found:
    """Reshape: a size that is the fixed batch of the file becomes that of ours."""
    sizes = call.constant(1, "sizes") if isinstance(call.given[1], Constant) else None
    whole = call.flattened.of(call.input(0))
    if sizes is not None and whole is not None and is_shape(whole.shape, sizes.ints(), call.batch):
        return [whole]
    literal = call.attributes().get("allowzero") and sizes is not None and 0 in sizes.ints()
    if sizes is not None and call.batch is not None and not literal:
        changed = reshape_sizes(call.input(0).shape, sizes.ints(), call.batch)
        return emit(call, [call.input(0), call.g.constant(np.array(changed, np.int64))], allowzero=0)
    return emit(call)


_FAR, _END = 10**9, 2**63 - 1  # "up to the end", as converters from TensorFlow and from PyTorch write it


def sliced(call: Call) -> Found:
    """Slice: whole axes are left out, and what is far behind the end is the end."""
    parts = [call.known(k) for k in range(1, 5)]
    if not all(p is None or isinstance(p, Constant) for p in parts):
        return emit(call)
    starts, ends, axes, steps = (p.ints() if isinstance(p, Constant) else None for p in parts)
    need(starts is not None and ends is not None, "needs its bounds")
    count = len(starts or ())
    rows = list(zip(starts or (), ends or (), axes or range(count), steps or [1] * count, strict=True))
    rows = [(a, (_END if b >= _FAR else -_END if b <= -_FAR else b), k, step) for a, b, k, step in rows]
    rows = [row for row in rows if not (row[0] == 0 and row[1] == _END and row[3] == 1)]
    if not rows:
        return [call.given[0]]
    columns = [call.g.constant(np.array(column, np.int64)) for column in zip(*rows, strict=True)]
    return emit(call, [call.input(0), *columns])


def concat(call: Call) -> Found:
    """Concat: constants of one row, such as a class token, stand for all rows."""
    values = [v for v in call.values() if v is not None]
    rows = next((v for v in values if v.rank and v.shape[0] == "N"), None)
    if rows is not None and call.attributes()["axis"] % rows.rank and call.batch == 1:
        values = [for_all_rows(call.g, v, rows, 0) for v in values]
    return emit(call, values)


def numbers(call: Call) -> Found:
    """Range: one of floats that come from sizes is one of integers, converted."""
    values = [call.input(k) for k in range(3)]
    if values[0].dtype != "float32":
        return emit(call, values)
    sources = []
    for known, v in zip(call.given, values, strict=False):
        if isinstance(known, Constant) and float(known.array.reshape(-1)[0]).is_integer():
            sources.append(call.g.constant(known.array.astype(np.int64)))
            continue
        source = v.node.inputs[0] if v.node is not None and v.node.op == "Cast" else None
        if source is None or source.dtype != "int64":
            raise refuse("counts in floats that do not come from sizes")
        sources.append(source)
    return [call.g.Cast(call.g.Range(*sources), to="float32")]


def equal(call: Call) -> Found:
    """Equal; of lists of sizes if it is known, as no size is -1, which PyTorch's `expand` asks."""
    X, Y = call.input(0), call.input(1)
    if not (X.rank == Y.rank == 1 and X.dtype == Y.dtype == "int64" and X.shape == Y.shape):
        return emit(call)
    pairs = list(zip(X.known() or (), Y.known() or (), strict=False))
    if pairs and all(a == b or _differ(a, b) or _differ(b, a) for a, b in pairs):
        return [of_array("", np.array([a == b for a, b in pairs]))]
    return emit(call)


def _differ(a: Dim, b: Dim) -> bool:
    """Return whether a number surely is another one than ``b``, perhaps a size."""
    return isinstance(a, int) and a != b and (a < 0 or isinstance(b, int))


def where(call: Call) -> Found:
    """Where; of a known condition that is the same for all sizes, the chosen ones."""
    known = call.known(0)
    if isinstance(known, Constant) and len(known.shape) == 1 and len({*known.ints()}) == 1:
        chosen = call.known(1 if known.ints()[0] else 2)
        if chosen is not None and len(chosen.shape) == 1 and chosen.shape == known.shape:
            return [chosen]
    return emit(call)


def scaler(call: Call) -> Found:
    """Scaler: ``(X - offset) · scale``, the statistics of scikit-learn's scalers."""
    g, attributes, X = call.g, call.attributes(), call.input(0)
    X = X if X.dtype == "float32" else g.Cast(X, to="float32")
    offset, scale = (g.constant(attributes.get(name, [neutral]), "float32") for name, neutral in _OF_SCALER)
    return [g.Mul(g.Sub(X, offset), scale)]


def extractor(call: Call) -> Found:
    """ArrayFeatureExtractor: elements of the last axis by index; a list counts as one row."""
    g, X, indices = call.g, call.input(0), call.input(1)
    X = X if X.rank > 1 else g.Unsqueeze(X, g.constant([0]))
    return [g.Gather(X, g.Reshape(indices, g.constant([-1])), axis=-1)]


_OF_SCALER = (("offset", 0.0), ("scale", 1.0))
OF_TABLES = ("Scaler", "ArrayFeatureExtractor", "ZipMap")  # of ai.onnx.ml, beside a network of scikit-learn

HANDLERS: dict[str, Callable[[Call], Found]] = {  # the operators whose form differs from ours, or that need none
    "Identity": identity,
    "Dropout": identity,
    "ZipMap": identity,  # the numbers alone, in the order of its labels
    "Equal": equal,
    "Where": where,
    "Scaler": scaler,
    "ArrayFeatureExtractor": extractor,
    "Cast": cast,
    "CastLike": cast,
    "ConstantOfShape": constant_of_shape,
    "Split": split,
    "Clip": clip,
    "BatchNormalization": batch_normalization,
    "InstanceNormalization": instance_normalization,
    "GroupNormalization": group_normalization,
    "ConvTranspose": conv_transpose,
    **dict.fromkeys(COMPOSED, composed),
    "MaxPool": pool,
    "AveragePool": pool,
    **dict.fromkeys(("LSTM", "GRU", "RNN"), recurrent),
    "Resize": resize,
    "Pad": pad,
    "Reshape": reshape,
    "Slice": sliced,
    "Concat": concat,
    "Range": numbers,
}


def handler_of(op: str) -> Callable[[Call], Found]:
    """Return what lowers an operator: :func:`emit` if its form is ours."""
    return HANDLERS.get(op, reduction if kind_of(op).rows == "reduced" else emit)
