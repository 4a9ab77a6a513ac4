"""A frozen part of an ONNX file: what some of its values need, as one operator of a graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Timer
from typing import Any

import numpy as np

from graphspec.base.errors import Code, ProblemError, RunError
from graphspec.graph.ir.graph import Array, numpy_dtype
from graphspec.graph.onnx_model import Content, element_type
from graphspec.graph.onnx_session import failure, session
from graphspec.graph.ops import OPS, Op
from graphspec.graph.ops.op import declared_attributes
from graphspec.vocabulary.onnx_files import reading
from graphspec.vocabulary.onnx_files.model_file import Declared
from graphspec.vocabulary.onnx_files.reading import OnnxFile, copy_of, subgraphs, weight_names

# onnxruntime's session of a part of a file.
SECONDS = 60.0  # how long a file may compute a few rows; one with a loop that never ends is stopped


def loaded(model: Any, *, optimised: bool = True) -> Any:
    """Return onnxruntime's session of a model, with one thread; raise GS802 if it cannot be loaded."""
    try:
        return session(model.SerializeToString(), 1, optimised=optimised)
    except Exception as error:  # onnxruntime's exceptions have no common class
        text, hint = f"cannot be loaded by onnxruntime: {failure(error)}", "look at it with `graphspec inspect`"
        raise ProblemError(Code.UNSUPPORTED_FILE, text, hint) from None


def run_for(runner: Any, feeds: Mapping[str, Array], seconds: float) -> list[Array]:
    """Return all outputs of a session; stop it, and raise TimeoutError, if they take longer than ``seconds``."""
    from onnxruntime import RunOptions

    options = RunOptions()
    timer = Timer(seconds, setattr, (options, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        values: list[Array] = runner.run(None, dict(feeds), options)
        return values
    except Exception:
        if options.terminate:
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()


# The part of an ONNX file that computes chosen values, with other names, so that it fits into another graph.
_NEWER_TYPES = {9: (17, 18, 19, 20), 10: (21, 22), 11: (23,), 12: (24,), 13: (25, 26, 27, 28)}
"""The IR versions that brought element types: numbers of ``TensorProto.DataType``."""


def needed_nodes(nodes: Sequence[Any], outputs: Iterable[str]) -> list[Any]:
    """Return the nodes of a graph that ``outputs`` depend on, in their order; in a sound file each is behind its inputs."""
    wanted = set(outputs)
    chosen = []
    for node in reversed(nodes):
        if wanted.intersection(filter(None, node.output)):
            chosen.append(node)
            wanted |= read_by(node)
    return chosen[::-1]


def read_by(node: Any) -> set[str]:
    """Return the values of the graph around it that a node reads, also in the graphs inside it."""
    names = set(filter(None, node.input))
    for graph in subgraphs(node):
        inside = {v.name for v in graph.input} | {t.name for t in graph.initializer}
        for inner in graph.node:
            names |= read_by(inner) - inside
            inside.update(inner.output)
        names |= {v.name for v in graph.output} - inside
    return names


def splice(model: Any, prefix: str, inputs: Mapping[str, str], outputs: Sequence[tuple[str, str]]) -> Content:
    """Return the nodes that compute ``outputs``. All other values are named ``<prefix>/<name>``.

    Constants become initializers, which every runtime and tool shows as such.

    ``inputs``: the names of what is fed, by the file's names of inputs; ``outputs``: the file's values, each with its
    new name; a value may occur twice.
    """
    from onnx import helper

    piece = Content()
    chosen = [name for name, _ in outputs]
    nodes = needed_nodes(model.graph.node, chosen)
    read = set[str]().union(*map(read_by, nodes), chosen)
    names = {name: f"{prefix}/{name}" for name in _defined(model.graph)} | dict(inputs)
    computed = {name for node in nodes for name in node.output}
    for name, new in outputs:
        if name in computed and names[name].startswith(f"{prefix}/"):
            names[name] = new
        else:  # an input, a weight, or a value that is asked for twice
            piece.nodes.append(helper.make_node("Identity", [names[name]], [new], name=f"{new}/Identity"))
    last, piece.nodes = piece.nodes, []
    kept = set(dict(outputs).values())
    for k, node in enumerate(nodes):
        if (tensor := _tensor_of(node)) is not None and names[node.output[0]] not in kept:
            piece.constants.append(_copy(tensor, names[node.output[0]]))
        else:
            piece.nodes.append(_renamed(node, names, prefix, f"{node.op_type}_{k}"))
    piece.nodes += last
    for tensor in model.graph.initializer:
        if tensor.name in read and tensor.name not in inputs:
            piece.constants.append(_copy(tensor, names[tensor.name]))
    for sparse in model.graph.sparse_initializer:
        if sparse.values.name in read:
            piece.sparse.append(copy_of(sparse))
            piece.sparse[-1].values.name = names[sparse.values.name]
    used = {domain for domain, _ in operators_of(nodes)} - {""}
    piece.domains = {o.domain: int(o.version) for o in model.opset_import if o.domain in used}
    known = "", "ai.onnx", "ai.onnx.ml"
    unknown = {name for node in nodes if node.domain not in known for name in node.output if name}
    for info in model.graph.value_info:
        if info.name in unknown and info.type.tensor_type.elem_type:
            piece.infos.append(_typed(names[info.name], info))
    kinds = {tensor.data_type for tensor in piece.constants}
    kinds |= {a.i for node in piece.nodes if node.op_type == "Cast" for a in node.attribute if a.name == "to"}
    piece.ir_version = max((ir for ir, new in _NEWER_TYPES.items() if kinds & set(new)), default=0)
    return piece


def operators_of(nodes: Iterable[Any]) -> set[tuple[str, str]]:
    """Return domain and name of all operators, also in the graphs inside them; ONNX's own domain is empty."""
    operators: set[tuple[str, str]] = set()
    for node in nodes:
        operators.add(("" if node.domain == "ai.onnx" else node.domain, node.op_type))
        for graph in subgraphs(node):
            operators |= operators_of(graph.node)
    return operators


def _defined(graph: Any) -> set[str]:
    computed = {name for node in graph.node for name in node.output if name}
    return {v.name for v in graph.input} | {*weight_names(graph)} | computed


def _tensor_of(node: Any) -> Any:
    """Return the tensor of a ``Constant``; None for other nodes, and for constants in another form."""
    own = node.op_type == "Constant" and node.domain in ("", "ai.onnx")
    return next((a.t for a in node.attribute if own and a.name == "value" and a.HasField("t")), None)


def _copy(tensor: Any, name: str) -> Any:
    copy = copy_of(tensor)
    copy.name = name
    copy.ClearField("doc_string")
    return copy


def _typed(name: str, info: Any) -> Any:
    """Return the element type and the number of axes of a value; its sizes may have changed."""
    from onnx import helper

    kind = info.type.tensor_type
    shape = [None] * len(kind.shape.dim) if kind.HasField("shape") else None
    return helper.make_tensor_value_info(name, kind.elem_type, shape)


def _renamed(node: Any, names: Mapping[str, str], prefix: str, default: str) -> Any:
    copy = _copy(node, f"{prefix}/{node.name or default}")
    copy.input[:] = [names.get(name, name) for name in node.input]
    copy.output[:] = [names.get(name, name) for name in node.output]
    for graph in subgraphs(copy):
        _rename_inside(graph, names, f"{prefix}/{node.name or default}")
    return copy


def _rename_inside(graph: Any, around: Mapping[str, str], prefix: str) -> None:
    """Rename the values of a graph in a node, in place; it may read those of the graphs around it."""
    names = {**around, **{name: f"{prefix}/{name}" for name in _defined(graph)}}
    for each in (*graph.input, *graph.output, *graph.initializer, *(s.values for s in graph.sparse_initializer)):
        each.name = names.get(each.name, each.name)
    for key in ("value_info", "quantization_annotation", "doc_string"):
        graph.ClearField(key)
    nodes = [_renamed(node, names, prefix, f"{node.op_type}_{k}") for k, node in enumerate(graph.node)]
    del graph.node[:]
    graph.node.extend(nodes)


_FLOATS = ("float32", "float16", "float64")
FEEDS: Mapping[str, tuple[str, ...]] = {  # the dtypes of a file's input that values of a dtype of ours are cast to
    "float32": (*_FLOATS, "bfloat16"),
    "int64": (*("int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64"), *_FLOATS),
    "int32": ("int32", "int64", *_FLOATS),
    "uint8": ("uint8", "int32", "int64", *_FLOATS),
    "bool": ("bool", "float32", "int64", "int32"),
    "string": ("string",),
}
_RESULTS = {"float16": "float32", "float64": "float32", "bfloat16": "float32"}
_RESULTS |= {"int8": "int64", "int16": "int64", "uint16": "int64", "uint32": "int64", "uint64": "int64"}
_MOST_TEXTS, _LONGEST_TEXT = 256, 1 << 16  # of a file's metadata


@dataclass(frozen=True)
class Part:
    """A part of a file, with the types that it is fed."""

    file: str  # the name of the file in the spec
    sha256: str  # the hash of its content
    outputs: tuple[str, ...]  # the file's values that are computed
    inputs: tuple[tuple[str, str], ...]  # the file's inputs that are fed, each with the dtype of its feed
    content: OnnxFile | None = field(default=None, repr=False, compare=False)  # None: nothing can be computed

    def __repr__(self) -> str:
        return f"{self.file}[{', '.join(self.outputs)}]"

    @property
    def opset(self) -> int:
        """The opset of the file; 0 if it is not there."""
        return 0 if self.content is None else self.content.opset

    def require(self) -> OnnxFile:
        """Return the file; raise GS603 if its content is not there."""
        if self.content is not None:
            return self.content
        text = f"the ONNX file '{self.file}' (sha256 {self.sha256[:12]}…) is neither in the run nor beside the spec"
        raise RunError(Code.DAMAGED_RUN, text, "copy it back: it was written with the run")

    def spliced(self, prefix: str, inputs: Sequence[str], outputs: Sequence[str], opset: int) -> Content:
        """Return the nodes between ``inputs`` and ``outputs`` of a graph of ``opset``, with casts; GS802 if that fails."""
        from onnx import helper

        file = self.require()
        model = _converted(file, opset)
        ports = {port.name: port for port in file.inputs}
        before, fed = [], dict[str, str]()
        for (name, given), new in zip(self.inputs, inputs, strict=True):
            fed[name] = new
            if ports[name].dtype != given:
                fed[name] = f"{prefix}/{name}/given"
                to = _element_type(ports[name].dtype)
                before.append(helper.make_node("Cast", [new], [fed[name]], name=f"{fed[name]}/Cast", to=to))
        kinds = element_types(file, self.outputs)
        after, wanted = [], list[tuple[str, str]]()
        for name, new in zip(self.outputs, outputs, strict=True):
            ours = our_dtype(kinds[name])
            inner = new if ours == kinds[name] else f"{new}/{kinds[name]}"
            wanted.append((name, inner))
            if inner != new:
                after.append(helper.make_node("Cast", [inner], [new], name=f"{new}/Cast", to=_element_type(ours)))
        piece = splice(model, prefix, fed, wanted)
        piece.nodes = [*before, *piece.nodes, *after]
        return piece

    def model(self, opset: int = 0) -> Any:
        """Return the part as a model of its own, whose inputs are ``x0``, ``x1``, … and whose outputs ``y0`` and so on."""
        from onnx import helper

        file = self.require()
        opset = max(opset, file.opset)
        x, y = [f"x{k}" for k in range(len(self.inputs))], [f"y{k}" for k in range(len(self.outputs))]
        piece, info = self.spliced("file", x, y, opset), helper.make_tensor_value_info
        kinds = element_types(file, self.outputs)
        ranks = {port.name: None if port.shape is None else [None] * len(port.shape) for port in file.inputs}
        inputs = [info(new, _element_type(d), ranks[name]) for (name, d), new in zip(self.inputs, x, strict=True)]
        dtypes = [our_dtype(kinds[name]) for name in self.outputs]
        outputs = [info(new, _element_type(dtype), None) for new, dtype in zip(y, dtypes, strict=True)]
        rest = {"value_info": piece.infos, "sparse_initializer": piece.sparse}
        graph = helper.make_graph(piece.nodes, "file", inputs, outputs, piece.constants, **rest)
        imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, v) for d, v in piece.domains.items())]
        ir_version = max(file.model.ir_version, piece.ir_version, 8)
        return helper.make_model(graph, opset_imports=imports, ir_version=ir_version)

    def metadata(self) -> dict[str, str]:
        """Return what the file says of itself, such as its licence and its maker, with its name and hash."""
        model = self.require().model
        doc = model.doc_string or model.graph.doc_string
        own = {"producer": model.producer_name, "domain": model.domain, "doc": doc}
        texts = {entry.key: entry.value for entry in list(model.metadata_props)[:_MOST_TEXTS]}
        named = {key: text[:_LONGEST_TEXT] for key, text in (own | texts).items() if text}
        return {"file": self.file, "sha256": self.sha256} | named

    def run(self, feeds: Sequence[Array], seconds: float | None = None) -> list[Array]:
        """Compute a batch by one thread; GS605 if onnxruntime cannot, TimeoutError if it needs more than ``seconds``."""
        self.require()
        named = {f"x{k}": array for k, array in enumerate(feeds)}
        try:
            runner = _session(self)
            values: list[Array] = runner.run(None, named) if seconds is None else run_for(runner, named, seconds)
        except TimeoutError:
            raise
        except Exception as error:
            text = f"onnxruntime fails to compute '{self.file}': {failure(error)}"
            raise RunError(Code.PREPARATION_FAILED, text) from error
        return values

    def multiply_adds(self, shapes: Sequence[tuple[Any, ...]]) -> int:
        """Return the multiply-adds of its products for inputs of these shapes; 0 if they are not known."""
        return 0 if self.content is None else multiply_adds(self, tuple(map(tuple, shapes)))


def needed_inputs(file: OnnxFile, outputs: Sequence[str]) -> list[Declared]:
    """Return the inputs of a file that ``outputs`` depend on, in its order."""
    read = set[str]().union(*map(read_by, needed_nodes(file.model.graph.node, outputs)), outputs)
    return [port for port in file.inputs if port.name in read]


def our_dtype(dtype: str) -> str:
    """Return the dtype in a graph of ours for a dtype of a file; that itself if there is none."""
    return _RESULTS.get(dtype, dtype)


def result_dtype(dtype: str) -> str | None:
    """Return the dtype in a graph of ours of a value of a file; None for one that has none."""
    return ours if (ours := our_dtype(dtype)) in FEEDS else None


def _element_type(dtype: str) -> int:
    from onnx import TensorProto

    return int(TensorProto.BFLOAT16) if dtype == "bfloat16" else element_type(dtype)


@lru_cache(maxsize=4)
def _converted(file: OnnxFile, opset: int) -> Any:
    if file.opset > opset:
        text = f"'{file.name}' has opset {file.opset}, newer than {opset}"
        raise reading.unsupported(text, f"use opset {file.opset} or newer")
    return file.model if not file.opset else reading.at_opset(file.model, opset)


_DTYPES = {"float": "float32", "double": "float64"}


@lru_cache(maxsize=256)
def element_types(file: OnnxFile, names: tuple[str, ...]) -> dict[str, str]:
    """Return the dtypes of values as onnxruntime infers them; GS802 if it cannot load the file, or for no tensor."""
    from onnx import ValueInfoProto

    known = {port.name: port.dtype for port in (*file.outputs, *file.inputs) if port.dtype}
    if known.keys() >= {*names}:
        return {name: known[name] for name in names}
    model = copy_of(file.model)
    del model.graph.output[:], model.graph.value_info[:], model.graph.node[:]
    model.graph.node.extend(needed_nodes(file.model.graph.node, names))
    model.graph.output.extend(ValueInfoProto(name=name) for name in names)
    dtypes = {}
    for output in loaded(model, optimised=False).get_outputs():
        kind = output.type.removeprefix("tensor(").removesuffix(")")
        if not output.type.startswith("tensor("):
            text = f"has '{output.name}', which is no tensor but {output.type}"
            raise reading.unsupported(text, "choose another output")
        dtypes[output.name] = _DTYPES.get(kind, kind)
    return dtypes


@lru_cache(maxsize=8)
def _session(part: Part) -> Any:
    return loaded(part.model())


@lru_cache(maxsize=64)
def multiply_adds(part: Part, shapes: tuple[tuple[int, ...], ...]) -> int:
    """Return the multiply-adds of the products in the main graph for inputs of these shapes; 0 if it cannot be computed.

    It is run on one row to find the shapes of its products. Products in branches and loops are not counted.
    """
    from onnx import ValueInfoProto

    model = part.model()
    weights = {t.name: tuple(t.dims) for t in model.graph.initializer}
    known = (node for node in model.graph.node if node.domain in ("", "ai.onnx") and node.op_type in OPS)
    products = [node for node in known if OPS[node.op_type].multiply_adds is not Op.multiply_adds]
    wanted = {name for node in products for name in (*node.input, *node.output[:1]) if name and name not in weights}
    wanted -= {value.name for value in (*model.graph.input, *model.graph.output)}
    model.graph.output.extend(ValueInfoProto(name=name) for name in sorted(wanted))
    fed = enumerate(zip(shapes, part.inputs, strict=True))
    feeds = {f"x{k}": _zeros(shape, dtype) for k, (shape, (_, dtype)) in fed}
    try:
        runner = loaded(model, optimised=False)
        values = run_for(runner, feeds, SECONDS)
    except Exception:  # onnxruntime's exceptions have no common class; it may take too long, too
        return 0
    sizes = weights | {name: np.shape(array) for name, array in feeds.items()}
    sizes |= {output.name: np.shape(v) for output, v in zip(runner.get_outputs(), values, strict=True)}
    return sum(_count(node, sizes) for node in products)


def _count(node: Any, known: Mapping[str, tuple[int, ...]]) -> int:
    from onnx import helper

    cls = OPS[node.op_type]
    declared = declared_attributes(cls)
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute if a.name in declared}
    op = object.__new__(cls)
    vars(op).update(declared | {name: v.decode() if isinstance(v, bytes) else v for name, v in given.items()})
    shapes: Sequence[tuple[int, ...]] = [known[name] if name else () for name in node.input]
    return op.multiply_adds(shapes, known[node.output[0]] if node.output[0] else ())


def _zeros(shape: tuple[int, ...], dtype: str) -> Any:
    return np.full(shape, "", object) if dtype == "string" else np.zeros(shape, numpy_dtype(dtype))
