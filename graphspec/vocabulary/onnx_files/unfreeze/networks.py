"""The operators of networks whose form differs from ours: normalizations, transposed convolutions, recurrent ones."""

from __future__ import annotations

from graphspec.graph.ir.graph import Value
from graphspec.vocabulary.onnx_files.unfreeze.batch import for_all_rows
from graphspec.vocabulary.onnx_files.unfreeze.call import Call, Found, emit, outside
from graphspec.vocabulary.onnx_files.unfreeze.codes import refuse
from graphspec.vocabulary.onnx_files.unfreeze.constants import Constant
from graphspec.vocabulary.onnx_files.unfreeze.naming import label


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
    found: Value = call.g.GroupNormalization(X, scale, B, num_groups=X.fixed(1), epsilon=epsilon)
    return [found]


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
        low, high = [], []
        for k in range(rank):
            full = (strides[k] - 1) + (W.fixed(k + 2) - 1) * gaps[k] + 1 + extra[k] - strides[k] + 1
            if wanted:
                total = (
                    strides[k] * (X.fixed(k + 2) - 1)
                    + extra[k]
                    + (W.fixed(k + 2) - 1) * gaps[k]
                    + 1
                    - wanted[-rank:][k]
                )
            else:
                total = full - strides[k]
            if total < 0:  # more elements than the kernels reach: they are 0, but for the bias
                extra[k], total = extra[k] - total, 0
            half = total // 2
            upper = mode == "SAME_UPPER"
            low.append(half if upper else total - half)
            high.append(total - half if upper else half)
        attributes |= {"pads": tuple(low + high), "output_padding": tuple(extra)}
    found: Value = call.g.emit("ConvTranspose", [X, W, call.value(2)], attributes)
    return [found]


def pool(call: Call) -> Found:
    """MaxPool and AveragePool; the indices of MaxPool are refused."""
    if call.used(1):
        raise refuse("returns indices, which are not available in training")
    return emit(call)


def recurrent(call: Call) -> Found:
    """LSTM, GRU, RNN: time in front; constant initial states stand for all rows."""
    attributes = call.attributes()
    batch_first = attributes.pop("layout", 0)
    g, X = call.g, call.input(0)
    if batch_first:
        X = g.transpose(X, [1, 0, 2])
    inputs: list[Value | None] = [X, *(call.value(k) for k in range(1, min(len(call.given), 5)))]
    states: list[Value | None] = []
    for k in (5, 6)[: 2 if call.node.op_type == "LSTM" else 1]:
        state = call.value(k)
        if state is not None and batch_first:
            state = g.transpose(state, [1, 0, 2])
        states.append(
            None if state is None else for_all_rows(g, state, X, 1, fixed=isinstance(call.given[k], Constant))
        )
    peepholes = call.constant(7, "peepholes")
    if peepholes is not None and peepholes.array.any():
        raise refuse("has peepholes")
    inputs += [None] * (5 - len(inputs)) + states
    attributes.pop("input_forget", None) if not attributes.get("input_forget") else None
    if attributes.get("hidden_size") is None:
        attributes["hidden_size"] = call.input(2).fixed(2)
    found = g.emit(call.node.op_type, inputs, attributes)
    if not batch_first:
        return list(found)
    first, *last = found
    return [g.transpose(first, [2, 0, 1, 3]), *(g.transpose(v, [1, 0, 2]) for v in last)]
