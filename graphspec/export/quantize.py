"""Quantize an exported file: smaller numbers for the weights of its network, the rest as it was.

Only the *core* changes: the nodes between the first and the last one with weights. What comes before it (texts, lookups,
statistics of raw numbers) and after it (a softmax, the unit of a target, labels) computes the same bits in float32.
onnxruntime's tools convert the core; the result has ONNX's own operators alone.
"""

from __future__ import annotations

import json
import logging
import math
import tempfile
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from graphspec.base.arguments import bad_argument
from graphspec.base.document import Column, Table
from graphspec.base.errors import Code, Diagnostic, GraphspecError, SpecError, UsageError
from graphspec.base.files import write_atomic
from graphspec.base.terminal import table_lines
from graphspec.data.batches import Dataset
from graphspec.export.onnx import KEY, NOTE, with_outputs
from graphspec.export.read import Exported, answers_of, evaluate_answers, read_exported
from graphspec.graph.ir.graph import Array, numpy_dtype
from graphspec.graph.onnx_session import session
from graphspec.graph.ops import OPS

if TYPE_CHECKING:
    from graphspec.engine.runtime.running_metrics import RunningMetrics
    from graphspec.engine.runtime.session import Session
    from graphspec.export.prove import Proof
    from graphspec.vocabulary.metrics.metric import Direction

RECURRENT = ("LSTM", "GRU", "RNN")
CONVOLUTIONS = ("Conv", "ConvTranspose")
_HIDING = -1e8  # masks of attention add or choose values below this one
_PREPARED = "onnx.quant.pre_process", "onnxruntime.quant"  # else onnxruntime advises to prepare the model


class Core:
    """The nodes of a file between the first and the last one with weights; ``inputs`` and ``outputs`` enter and leave it."""

    def __init__(self, proto: Any) -> None:
        self.proto, graph = proto, proto.graph
        self._initial = {i.name: i for i in graph.initializer}
        after, before = set[str](), set[str]()
        weighted = {k for k, node in enumerate(graph.node) if weights_of(node, self._initial)}
        late, core = set[int](), set[int]()
        for k, node in enumerate(graph.node):
            if k in weighted or after.intersection(node.input):
                late.add(k)
                after.update(node.output)
        for k, node in reversed([*enumerate(graph.node)]):
            if k in weighted or before.intersection(node.output):
                before.update(node.input)
                core |= {k} & late
        self.nodes = [graph.node[k] for k in sorted(core)]
        self._others = [node for k, node in enumerate(graph.node) if k not in core]
        made = {name for node in self.nodes for name in node.output}
        self._outside = {name for node in self._others for name in node.input}
        read = dict.fromkeys(name for node in self.nodes for name in node.input if name)
        self.inputs = [name for name in read if name not in made and name not in self._initial]
        leaving = self._outside | {o.name for o in graph.output}
        self.outputs = [name for node in self.nodes for name in node.output if name in leaving]

    def model(self) -> Any:
        """Return the core as a model of its own."""
        from onnx import helper

        infos = {v.name: v for v in self._infos()}
        inner = [infos[n] for node in self.nodes for n in node.output if n in infos and n not in self.outputs]
        ends = ([infos[name] for name in names] for names in (self.inputs, self.outputs))
        graph = helper.make_graph([], "core", *ends, value_info=inner)
        graph.node.extend(self.nodes)
        read = dict.fromkeys(name for node in self.nodes for name in node.input if name in self._initial)
        names = {name: f"{name}/core" if name in self._outside else name for name in read}  # the others keep theirs
        for name, new in names.items():
            graph.initializer.append(self._initial[name])
            graph.initializer[-1].name = new
        for node in graph.node:
            node.input[:] = [names.get(name, name) for name in node.input]
        opset = [o for o in self.proto.opset_import if o.domain == ""]
        model = helper.make_model(graph, opset_imports=opset, ir_version=self.proto.ir_version)
        model.metadata_props.add(key=_PREPARED[0], value=_PREPARED[1])
        return model

    def feeds(self, rows: Mapping[str, Array]) -> dict[str, Array]:
        """Return what the other nodes feed the core for some rows, computed by onnxruntime."""
        raw = {v.name for v in self.proto.graph.input}
        computed = self._values([name for name in self.inputs if name not in raw], rows)
        return {name: rows[name] for name in self.inputs if name in raw} | computed

    def largest(self, rows: Mapping[str, Array]) -> float:
        """Return the largest absolute value of a float in the core for some rows, weights included.

        NaN does not count, nor do negative values so large that they hide steps from a softmax: smaller ones do it, too.
        """
        from onnx import TensorProto, numpy_helper

        types = {v.name: v.type.tensor_type.elem_type for v in self._infos()}
        wanted = [n for node in self.nodes for n in node.output if types.get(n) == TensorProto.FLOAT]
        read = {name for node in self.nodes for name in node.input}
        initial = [i for name, i in self._initial.items() if name in read and i.data_type == TensorProto.FLOAT]
        arrays = [*self._values(wanted, rows).values(), *map(numpy_helper.to_array, initial)]
        return max((float(np.max(np.abs(a), initial=0.0, where=a > _HIDING)) for a in arrays), default=0.0)

    def _infos(self) -> list[Any]:
        import onnx

        graph = onnx.shape_inference.infer_shapes(self.proto).graph
        return [*graph.input, *graph.output, *graph.value_info]

    def _values(self, wanted: Sequence[str], rows: Mapping[str, Array]) -> dict[str, Array]:
        """Return values of the file by name, computed by onnxruntime for some rows."""
        from onnx import helper

        if not wanted:
            return {}
        types = {v.name: v.type.tensor_type.elem_type for v in self._infos()}
        opened = deepcopy(self.proto)
        del opened.graph.output[:]
        opened.graph.output.extend(helper.make_tensor_value_info(name, types[name], None) for name in wanted)
        runner = session(opened.SerializeToString())
        feeds = {i.name: rows[i.name] for i in runner.get_inputs()}
        return dict(zip(wanted, runner.run(list(wanted), feeds), strict=True))

    def replaced_by(self, part: Any) -> Any:
        """Return the whole file with a converted core. It imports the domains that its nodes use, and no others."""
        new = deepcopy(self.proto)
        nodes = _sorted([*self._others, *part.graph.node], {v.name for v in self.proto.graph.input})
        read = {name for node in nodes for name in node.input}
        kept = [i for i in self.proto.graph.initializer if i.name in self._outside]
        del new.graph.node[:], new.graph.initializer[:], new.graph.value_info[:], new.opset_import[:]
        new.graph.node.extend(nodes)
        new.graph.initializer.extend([*kept, *(i for i in part.graph.initializer if i.name in read)])
        other = {name for node in self._others for name in node.output}
        new.graph.value_info.extend(v for v in self.proto.graph.value_info if v.name in other)
        used = {node.domain for node in nodes} | {""}
        new.opset_import.extend(o for o in self.proto.opset_import if o.domain in used)
        return new


def weights_of(node: Any, initial: Mapping[str, Any]) -> list[str]:
    """Return the names of the trained matrices that a node reads."""
    from onnx import TensorProto

    if node.domain or node.op_type not in OPS:
        return []
    names = [node.input[k] for k in OPS[node.op_type].weights_at if k < len(node.input)]
    return [n for n in names if n in initial and initial[n].data_type == TensorProto.FLOAT and len(initial[n].dims) > 1]


def _sorted(nodes: Sequence[Any], inputs: set[str]) -> list[Any]:
    """Return nodes in an order in which each follows its inputs: depth first, so that it depends on the nodes alone."""
    maker = {name: k for k, node in enumerate(nodes) for name in node.output if name and name not in inputs}
    order: dict[int, Any] = {}
    stack = [(k, False) for k in reversed(range(len(nodes)))]
    while stack:
        k, ready = stack.pop()
        if ready:
            order.setdefault(k, nodes[k])
        elif k not in order:
            stack.append((k, True))
            stack += [(maker[n], False) for n in reversed(nodes[k].input) if n in maker]
    return [*order.values()]


# Quantize the core of a file to 8 bits: networks with convolutions statically, others dynamically.
MIN_ELEMENTS = 1024  # a smaller matrix stays as it is: the additional nodes would need more bytes than it saves
_STATIC = [
    *CONVOLUTIONS,
    *("Gemm", "MatMul", "Relu", "Clip", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "Add", "Concat"),
    *("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Resize", "Pad"),
]
_BATCH = 32
Calibration = Callable[[], Mapping[str, Array]]  # returns rows by input, for the ranges of the activations


@dataclass(frozen=True)
class Conversion:
    """What was done to a file: the ``method`` in a few words, and the number of weights that were converted."""

    method: str
    weights: int
    calibration_rows: int = 0  # they have determined the ranges of activations


def to_int8(part: Any, folder: Path, core: Core, calibration: Calibration) -> tuple[Any, Conversion]:
    """Return a core with weights of 8 bits, and what was done; ``part``, its model, changes, the ``folder`` is for tools."""
    from onnxruntime.quantization import quantize_dynamic

    _fold_batch_norms(part.graph)
    initial = {i.name: i for i in part.graph.initializer}
    nodes = [n for n in part.graph.node if n.op_type in (*CONVOLUTIONS, "Gemm", "MatMul")]
    products = [(node, sum(math.prod(initial[name].dims) for name in weights_of(node, initial))) for node in nodes]
    done, calibrated = list[str](), 0
    if any(node.op_type in CONVOLUTIONS and size for node, size in products):
        chosen = [(node, size) for node, size in products if size]
        rows = calibration()
        calibrated = len(next(iter(rows.values())))
        part = _static(part, folder, [node.name for node, size in products if not size], core.feeds(rows))
        done.append("static, per channel (QDQ)")
    elif chosen := [(node, size) for node, size in products if size >= MIN_ELEMENTS]:
        names = [node.name for node, _ in chosen]
        names += [f"{node.name}_MatMul" for node, _ in chosen if node.op_type == "Gemm"]  # its form in the result
        options = {"op_types_to_quantize": ["MatMul", "Gemm"], "nodes_to_quantize": names}
        part = _converted(part, folder, quantize_dynamic, **options)
        done.append("dynamic, per channel")
    count = sum(size for _, size in chosen)
    if stored := _store_as_int8(part.graph):
        count += stored
        done.append("weights of recurrent layers and embeddings")
    return part, Conversion(" + ".join(done) or "nothing", count, calibrated)


def _converted(part: Any, folder: Path, convert: Callable[..., None], *arguments: Any, **options: Any) -> Any:
    """Return what a tool of onnxruntime makes of a model, with weights of 8 bits, per channel."""
    import onnx
    from onnxruntime.quantization import QuantType

    before, after = folder / "core.onnx", folder / "converted.onnx"
    onnx.save(part, before)
    # 7 bits in use (`reduce_range`): products of 8 bits overflow on processors without VNNI
    options |= {"per_channel": True, "reduce_range": True, "weight_type": QuantType.QInt8}
    convert(before, after, *arguments, **options)
    return onnx.load(after)


def _static(part: Any, folder: Path, excluded: list[str], feeds: Mapping[str, Array]) -> Any:
    """Quantize convolutions and what lies between them, with ranges of activations that rows have shown."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    count = len(next(iter(feeds.values())))
    batches = ({n: a[k : k + _BATCH] for n, a in feeds.items()} for k in range(0, count, _BATCH))

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, Array] | None:
            return next(batches, None)

    return _converted(
        part,
        folder,
        quantize_static,
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=_STATIC,
        nodes_to_exclude=excluded,
        activation_type=QuantType.QUInt8,
        extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
    )


def _store_as_int8(graph: Any) -> int:
    """Store the weights of recurrent layers and embeddings in 8 bits, per channel; return how many they are.

    They are turned into float32 as the network runs. onnxruntime's integer LSTM exists in onnxruntime only.
    """
    from onnx import helper, numpy_helper

    initial = {i.name: i for i in graph.initializer}
    readers: defaultdict[str, list[tuple[Any, int]]] = defaultdict(list)
    for node in graph.node:
        for k, name in enumerate(node.input):
            readers[name].append((node, k))
    count, new = 0, []
    for node in list(graph.node):
        recurrent = node.op_type in RECURRENT
        if not recurrent and (node.op_type != "Gather" or _attribute(node, "axis", 0) != 0):
            continue
        for name in weights_of(node, initial):
            array = numpy_helper.to_array(initial[name])
            shared = any(other.op_type != node.op_type for other, _ in readers[name])
            if array.size < MIN_ELEMENTS or shared:
                continue
            count += array.size
            axis = 1 if recurrent else array.ndim - 1
            others = tuple(k for k in range(array.ndim) if k != axis)
            scale = np.abs(array).max(others, keepdims=True) / np.float32(127)
            scale = np.where(scale > 0, scale, np.float32(1)).astype(np.float32)
            stored = np.clip(np.rint(array / scale), -127, 127).astype(np.int8)
            graph.initializer.append(numpy_helper.from_array(scale.ravel(), f"{name}/scale"))
            initial[name].CopyFrom(numpy_helper.from_array(stored, name))
            if recurrent:
                new.append((name, f"{name}/scale", f"{name}/float", axis))
                for other, k in readers[name]:
                    other.input[k] = f"{name}/float"
                continue
            for other, _ in readers[name]:  # the ids that are looked up are few: their rows alone become floats
                output = other.output[0]
                other.output[0] = f"{output}/int8"
                new.append((f"{output}/int8", f"{name}/scale", output, -1))
    for source, scale_name, output, axis in new:
        kind, own_name = "DequantizeLinear", f"{output}/DequantizeLinear"
        graph.node.append(helper.make_node(kind, [source, scale_name], [output], name=own_name, axis=axis))
    return count


def _attribute(node: Any, name: str, default: Any) -> Any:
    from onnx import helper

    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def _fold_batch_norms(graph: Any) -> None:
    """Fold each BatchNormalization that alone reads a convolution into its weights."""
    from onnx import numpy_helper

    initial = {i.name: i for i in graph.initializer}
    readers = Counter([*(o.name for o in graph.output), *(name for node in graph.node for name in node.input)])
    maker = {node.output[0]: node for node in graph.node if node.op_type == "Conv"}
    for node in [n for n in graph.node if n.op_type == "BatchNormalization"]:
        conv = maker.get(node.input[0])
        if conv is None or readers[node.input[0]] > 1 or not {*conv.input[1:], *node.input[1:]} <= initial.keys():
            continue
        gamma, beta, mean, variance = (numpy_helper.to_array(initial[n]).astype(np.float64) for n in node.input[1:5])
        factor = gamma / np.sqrt(variance + _attribute(node, "epsilon", 1e-5))
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


Kind = Literal["int8", "float16"]
KINDS: tuple[Kind, ...] = ("int8", "float16")


def quantized(proto: Any, kind: Kind, calibration: Calibration) -> tuple[Any, Conversion]:
    """Return a converted copy of an ``onnx.ModelProto``, and what was done. Metadata and documentation stay.

    For networks with convolutions, ``calibration`` is called. ``weights`` is 0 if there is nothing to convert.
    """
    import onnx

    core = Core(proto)
    if not core.nodes:
        return proto, Conversion("nothing", 0)
    part = core.model()
    with _quiet(), tempfile.TemporaryDirectory(prefix="graphspec-") as folder:
        if kind == "float16":
            part, done = _to_float16(part)
        else:
            part, done = to_int8(part, Path(folder), core, calibration)
    new = core.replaced_by(part)
    onnx.checker.check_model(new)
    return new, done


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence onnxruntime's tools, which write to the root logger and would configure it."""
    root, handler, before = logging.getLogger(), logging.NullHandler(), logging.root.manager.disable
    root.addHandler(handler)
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)
        root.removeHandler(handler)


def _to_float16(part: Any) -> tuple[Any, Conversion]:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    initial = {i.name: i for i in part.graph.initializer}
    names = {name for node in part.graph.node for name in weights_of(node, initial)}
    count = sum(math.prod(initial[name].dims) for name in names)
    return convert_float_to_float16(part, keep_io_types=True), Conversion("float16 arithmetic", count)


# What a quantized file loses: losses and metrics before and after, and both sizes.
@dataclass(frozen=True)
class Change:
    """A loss or metric before and after."""

    before: float
    after: float
    worse: float | None  # by how much it got worse, negative for better; None if neither direction is
    relative: bool  # whether that is a fraction of the value before

    def text(self) -> str:
        """Return the change with a sign, as the table shows it."""
        difference = self.after - self.before
        if not self.relative:
            return f"{difference:+.4f}"
        return f"{difference / abs(self.before):+.2%}" if self.before else f"{difference:+.4g}"


@dataclass(frozen=True)
class Verdict:
    """The result of the gate."""

    kind: Kind
    done: Conversion
    max_loss: float
    origin: str
    count: int
    changes: Mapping[str, Change] = field(default_factory=dict)  # by key, in the order of `evaluate`
    sizes: tuple[int, int] = (0, 0)  # bytes of the float32 file and of the quantized one

    def to_json(self) -> dict[str, Any]:
        """Return the record for the file's metadata."""
        return {
            "kind": self.kind,
            "method": self.done.method,
            "quantized_weights": self.done.weights,
            "calibration_rows": self.done.calibration_rows,
            "rows": f"{self.count} {self.origin}",
            "max_loss": self.max_loss,
            "metrics": {k: {"before": c.before, "after": c.after} for k, c in self.changes.items()},
        }

    def table(self) -> list[tuple[str, str, str, str]]:
        """Return rows of a table: name, float32, quantized, change."""
        before, after = self.sizes
        return [
            ("", "float32", self.kind, "change"),
            *((k, f"{c.before:.6g}", f"{c.after:.6g}", c.text()) for k, c in self.changes.items()),
            ("file (kB)", f"{before / 1000:.1f}", f"{after / 1000:.1f}", f"{(after - before) / before:+.0%}"),
        ]

    def __str__(self) -> str:
        lines = [f"quantized to {self.kind}: {self.done.method}; compared on {self.count} {self.origin}"]
        if self.done.calibration_rows:
            lines.append(f"ranges of activations from {self.done.calibration_rows} training rows")
        lines += table_lines(Table([Column(), *[Column(kind="number")] * 3], self.table()), None)
        if self.sizes[1] >= self.sizes[0]:
            lines.append("the file has not become smaller: this network is too small to gain")
        return "\n".join(lines)


def change(before: float, after: float, direction: Direction | None) -> Change:
    """Return how a loss or metric has changed."""
    relative = direction != "up" or abs(before) > 1
    worse = after - before if direction == "down" else before - after
    if relative and worse:
        worse = worse / abs(before) if before else math.copysign(math.inf, worse)
    return Change(before, after, None if direction is None else worse, relative)


MAX_LOSS = 0.01
FLOAT16_MAX = 65504.0
_SOME = 64  # rows to look for values beyond float16 in
Rows = Callable[[], tuple[Dataset, str]]  # returns checked raw rows to test by, with targets, and what they are


@dataclass(frozen=True)
class Quantization:
    """What is wanted."""

    kind: Kind
    max_loss: float
    rows: Rows
    calibration: Calibration  # of training rows


def quantization_of(kind: Any, max_loss: Any, rows: Rows, calibration: Calibration) -> Quantization | None:
    """Return what the arguments of an export want; raise UsageError if they are wrong."""
    if kind is None and max_loss is not None:
        raise UsageError("a limit (`max_loss`) needs a kind of quantization: add `quantize`, int8 or float16")
    if kind is None:
        return None
    if not isinstance(kind, str) or kind not in KINDS:
        raise bad_argument("quantize", "'int8' or 'float16'", kind)
    limit = MAX_LOSS if max_loss is None else max_loss
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit < math.inf:
        raise bad_argument("max_loss", "a number from 0 on, such as 0.01", max_loss)
    return Quantization(kind, float(limit), rows, calibration)


def gate(model: Session, proto: Any, proof: Proof, wanted: Quantization) -> tuple[Any, Verdict]:
    """Return the quantized file for a proved ``proto``, and what it loses.

    Its metadata have the record of the quantization, with the proof of the float32 file, in place of the proof.

    Raises:
        SpecError: GS704, it loses too much, has values that are not finite, or there is nothing to quantize.
        UsageError: there are no rows to judge by, or no losses.
    """
    if not model.spec.trained:
        why = "no head has a loss; give one a loss"
        raise UsageError(f"a quantized network is judged by its losses and metrics, and {why}")
    rows, origin = wanted.rows()
    try:
        new, done = quantized(proto, wanted.kind, wanted.calibration)
    except GraphspecError:
        raise  # of the rows
    except Exception as error:  # onnxruntime's tools raise what they like
        from graphspec.graph.onnx_session import failure

        text = f"onnxruntime's tools cannot quantize the network to {wanted.kind}: {failure(error)}"
        raise _refused(model, text, _other(wanted.kind)) from error
    if not done.weights:
        text = f"there is nothing to quantize to {wanted.kind}: no matrix of weights has {MIN_ELEMENTS} elements"
        if wanted.kind == "float16":
            text = "there is nothing to quantize to float16: no layer has a matrix of weights"
        raise _refused(model, text, "export it without `--quantize`")
    if wanted.kind == "float16" and (largest := _largest(model, proto, rows)) > FLOAT16_MAX:
        # onnxruntime computes on a CPU in float32, and a GPU in float16: no metric would show it.
        text = f"the network has values up to {largest:.3g} on {origin}, and float16 ends at {FLOAT16_MAX:,.0f}"
        raise _refused(model, text, "export it without `--quantize`; no file was written")
    with tempfile.TemporaryDirectory(prefix="graphspec-") as folder:
        before, _, running = _evaluated(model, Path(folder) / "float32.onnx", proto, rows)
        after, file, changed = _evaluated(model, Path(folder) / f"{wanted.kind}.onnx", new, rows)
        example = file.run(proof.example[0])
    for head, array in before.items():
        if (np.isfinite(array) & ~np.isfinite(after[head])).any():
            text = f"as {wanted.kind} the network returns values of '{head}' that are not finite"
            raise _refused(model, text, _other(wanted.kind))
    logs = running.logs(), changed.logs()
    changes = {key: change(logs[0][key], logs[1][key], side) for key, side in running.directions().items()}
    verdict = Verdict(wanted.kind, done, wanted.max_loss, origin, len(rows), changes)
    _judge(model, verdict)
    _record(new, verdict, proof, example)
    return new, replace(verdict, sizes=(len(proto.SerializeToString()), len(new.SerializeToString())))


def _largest(model: Session, proto: Any, rows: Dataset) -> float:
    """Return the largest absolute value of a float between the first and the last weight, for some of the rows."""
    some, inputs = rows.sample(_SOME), model.whole.inputs
    dtypes = {name: object if v.type.is_string else numpy_dtype(v.dtype) for name, v in inputs.items()}
    return Core(proto).largest({name: some[name].astype(dtype) for name, dtype in dtypes.items()})


def _judge(model: Session, verdict: Verdict) -> None:
    """Raise GS704 for the metrics that got worse by more than the limit."""
    broken = []
    for key, each in verdict.changes.items():
        if math.isfinite(each.before) and not math.isfinite(each.after):
            broken.append(f"'{key}' is no longer finite")
        elif each.worse is not None and each.worse > verdict.max_loss:
            broken.append(f"'{key}' goes from {each.before:.6g} to {each.after:.6g} ({each.text()})")
    if broken:
        text = f"as {verdict.kind} the network is worse on {verdict.count} {verdict.origin}"
        limit = f"more than `--max-loss {verdict.max_loss:g}` allows"
        raise _refused(model, f"{text}, {limit}: {'; '.join(broken)}", _other(verdict.kind))


def _other(kind: Kind) -> str:
    other = "try `--quantize float16`" if kind == "int8" else "export it without `--quantize`"
    return f"{other}, or allow more with `--max-loss`; no file was written"


def _refused(model: Session, text: str, hint: str) -> SpecError:
    return SpecError([Diagnostic(Code.QUANTIZATION_LOSS, text, file=model.source, path="outputs", hint=hint)])


def _evaluated(
    model: Session, path: Path, proto: Any, rows: Dataset
) -> tuple[dict[str, Array], Exported, RunningMetrics]:
    """Return the heads of a file for some rows, and their losses and metrics: it is read and checked as any other file."""
    write_atomic(path, proto.SerializeToString())
    file = read_exported(path)
    answers = answers_of(file, rows, file.spec.training.batch_size)
    return answers, file, evaluate_answers(file, file.spec, rows, answers, model.weights)[0]


def _record(proto: Any, verdict: Verdict, proof: Proof, example: Mapping[str, Array]) -> None:
    from onnx import helper

    texts = {entry.key: entry.value for entry in proto.metadata_props}
    texts[KEY] = json.dumps(with_outputs(json.loads(texts[KEY]), example))
    texts.pop("proof", None)
    texts[NOTE] = json.dumps(verdict.to_json() | {"proof_of_float32": proof.to_json()})
    helper.set_model_props(proto, texts)
