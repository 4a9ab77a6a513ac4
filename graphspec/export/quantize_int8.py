"""Quantize the core of a file to 8 bits: networks with convolutions statically, others dynamically."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphspec.export.quantize_core import CONVOLUTIONS, RECURRENT, Core, weights_of
from graphspec.graph.ir.graph import Array

MIN_ELEMENTS = 1024  # a smaller matrix stays as it is: the additional nodes would need more bytes than it saves
_STATIC = [
    *CONVOLUTIONS,
    *("Gemm", "MatMul", "Relu", "Clip", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "Add", "Concat"),
    *("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Resize", "Pad"),
]
_BATCH = 32


@dataclass(frozen=True)
class Conversion:
    """What was done to a file.

    Attributes:
        method: in a few words.
        weights: the number of weights that were converted.
        calibration_rows: the number of rows that have determined the ranges of activations.
    """

    method: str
    weights: int
    calibration_rows: int = 0


def to_int8(
    part: Any, folder: Path, core: Core, calibration: Callable[[], Mapping[str, Array]]
) -> tuple[Any, Conversion]:
    """Return a core with weights of 8 bits, and what was done.

    Args:
        part: the core's model; it is changed.
        folder: for the files of onnxruntime's tools.
        calibration: see :func:`graphspec.export.quantize.quantized`.
    """
    _fold_batch_norms(part.graph)
    initial = {i.name: i for i in part.graph.initializer}
    count, done, calibrated = 0, [], 0
    if any(node.op_type in CONVOLUTIONS and weights_of(node, initial) for node in part.graph.node):
        products = [n for n in part.graph.node if n.op_type in (*CONVOLUTIONS, "Gemm", "MatMul")]
        chosen = [n for n in products if weights_of(n, initial)]
        left_out = [n.name for n in products if n not in chosen]
        rows = calibration()
        feeds = core.feeds(rows)
        calibrated = len(next(iter(rows.values())))
        part = _static(part, folder, left_out, feeds)
        done.append("static, per channel (QDQ)")
    else:
        chosen = [n for n in part.graph.node if n.op_type in ("Gemm", "MatMul") and _large(n, initial)]
        if chosen:
            part = _dynamic(part, folder, [node.name for node in chosen])
            done.append("dynamic, per channel")
    count += sum(_elements(n, initial) for n in chosen)
    if stored := _store_as_int8(part.graph):
        count += stored
        done.append("weights of recurrent layers and embeddings")
    return part, Conversion(" + ".join(done) or "nothing", count, calibrated)


def _elements(node: Any, initial: Mapping[str, Any]) -> int:
    return sum(int(np.prod(initial[name].dims)) for name in weights_of(node, initial))


def _large(node: Any, initial: Mapping[str, Any]) -> bool:
    return _elements(node, initial) >= MIN_ELEMENTS


def _dynamic(part: Any, folder: Path, nodes: list[str]) -> Any:
    """Quantize products of activations and weights; the ranges of activations are computed as the network runs."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    before, after = folder / "core.onnx", folder / "dynamic.onnx"
    onnx.save(part, before)
    quantize_dynamic(
        before,
        after,
        op_types_to_quantize=["MatMul", "Gemm"],
        nodes_to_quantize=_with_products(part, nodes),
        per_channel=True,
        reduce_range=True,  # 7 bits: products of 8 bits overflow on processors without VNNI
        weight_type=QuantType.QInt8,
    )
    return onnx.load(after)


def _with_products(part: Any, nodes: list[str]) -> list[str]:
    """Return the names of the nodes, and of the MatMuls that onnxruntime writes in place of a Gemm."""
    kinds = {node.name: node.op_type for node in part.graph.node}
    return [*nodes, *(f"{name}_MatMul" for name in nodes if kinds[name] == "Gemm")]


def _static(part: Any, folder: Path, left_out: list[str], feeds: Mapping[str, Array]) -> Any:
    """Quantize convolutions and what lies between them, with ranges of activations that rows have shown."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, batches: Iterable[dict[str, Array]]) -> None:
            self._batches = iter(batches)

        def get_next(self) -> dict[str, Array] | None:
            return next(self._batches, None)

    count = len(next(iter(feeds.values())))
    batches = ({n: a[k : k + _BATCH] for n, a in feeds.items()} for k in range(0, count, _BATCH))
    before, after = folder / "core.onnx", folder / "static.onnx"
    onnx.save(part, before)
    quantize_static(
        before,
        after,
        Reader(batches),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=_STATIC,
        nodes_to_exclude=left_out,
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
    )
    return onnx.load(after)


def _store_as_int8(graph: Any) -> int:
    """Store the weights of recurrent layers and embeddings in 8 bits, per channel; return how many they are.

    They are turned into float32 as the network runs. onnxruntime's integer LSTM exists in onnxruntime only.
    """
    from onnx import helper, numpy_helper

    initial = {i.name: i for i in graph.initializer}
    readers: dict[str, list[tuple[Any, int]]] = {}
    for node in graph.node:
        for k, name in enumerate(node.input):
            readers.setdefault(name, []).append((node, k))
    count, new = 0, []
    for node in list(graph.node):
        recurrent = node.op_type in RECURRENT
        if not recurrent and node.op_type != "Gather":
            continue
        for name in weights_of(node, initial):
            array = numpy_helper.to_array(initial[name])
            shared = any(other.op_type != node.op_type for other, _ in readers[name])
            if array.size < MIN_ELEMENTS or shared or (not recurrent and _attribute(node, "axis") != 0):
                continue
            count += array.size
            axis = 1 if recurrent else array.ndim - 1
            others = tuple(k for k in range(array.ndim) if k != axis)
            scale = np.abs(array).max(others) / np.float32(127)
            scale = np.where(scale > 0, scale, np.float32(1)).astype(np.float32)
            shape = [-1 if k == axis else 1 for k in range(array.ndim)]
            stored = np.clip(np.rint(array / scale.reshape(shape)), -127, 127).astype(np.int8)
            graph.initializer.append(numpy_helper.from_array(scale, f"{name}/scale"))
            initial[name].CopyFrom(numpy_helper.from_array(stored, name))
            if recurrent:
                new.append(helper.make_node("DequantizeLinear", [name, f"{name}/scale"], [f"{name}/float"], axis=axis))
                for other, k in readers[name]:
                    other.input[k] = f"{name}/float"
                continue
            for other, _ in readers[name]:  # the ids that are looked up are few: their rows alone become floats
                output = other.output[0]
                other.output[0] = f"{output}/int8"
                rows = [f"{output}/int8", f"{name}/scale"]
                new.append(helper.make_node("DequantizeLinear", rows, [output], axis=-1))
    for node in new:
        node.name = f"{node.output[0]}/DequantizeLinear"
    graph.node.extend(new)
    return count


def _attribute(node: Any, name: str) -> int:
    return next((int(a.i) for a in node.attribute if a.name == name), 0)


def _fold_batch_norms(graph: Any) -> None:
    """Fold each BatchNormalization that alone reads a convolution into its weights."""
    from onnx import numpy_helper

    initial = {i.name: i for i in graph.initializer}
    readers: dict[str, int] = {o.name: 1 for o in graph.output}
    for node in graph.node:
        for name in node.input:
            readers[name] = readers.get(name, 0) + 1
    maker = {node.output[0]: node for node in graph.node if node.op_type == "Conv"}
    for node in [n for n in graph.node if n.op_type == "BatchNormalization"]:
        conv = maker.get(node.input[0])
        if conv is None or readers[node.input[0]] > 1 or not {*conv.input[1:], *node.input[1:]} <= initial.keys():
            continue
        gamma, beta, mean, variance = (numpy_helper.to_array(initial[n]).astype(np.float64) for n in node.input[1:5])
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        factor = gamma / np.sqrt(variance + epsilon)
        kernel = numpy_helper.to_array(initial[conv.input[1]])
        bias = numpy_helper.to_array(initial[conv.input[2]]) if len(conv.input) > 2 else np.zeros(len(factor))
        folded = {
            f"{conv.name}/folded_kernel": kernel * factor.reshape(-1, *(1,) * (kernel.ndim - 1)),
            f"{conv.name}/folded_bias": (bias - mean) * factor + beta,
        }
        conv.input[:] = [conv.input[0], *folded]
        for name, array in folded.items():
            graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
        conv.output[0] = node.output[0]
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    kept = [i for i in graph.initializer if i.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
