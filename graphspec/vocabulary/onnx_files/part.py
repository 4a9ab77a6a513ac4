"""A frozen part of an ONNX file: what some of its values need, as one operator of a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from graphspec.base.codes import Code
from graphspec.base.errors import RunError
from graphspec.graph.ir.graph import Array
from graphspec.graph.onnx_session import failure
from graphspec.vocabulary.onnx_files.loading import loaded, run_for
from graphspec.vocabulary.onnx_files.reading import OnnxFile, Port, at_opset, unsupported
from graphspec.vocabulary.onnx_files.splicing import Spliced, needed_nodes, read_by, splice

_FLOATS = ("float32", "float16", "float64")
FEEDS: Mapping[str, tuple[str, ...]] = {
    "float32": (*_FLOATS, "bfloat16"),
    "int64": (*("int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64"), *_FLOATS),
    "int32": ("int32", "int64", *_FLOATS),
    "uint8": ("uint8", "int32", "int64", *_FLOATS),
    "bool": ("bool", "float32", "int64", "int32"),
    "string": ("string",),
}
"""The dtypes of a file's input that values of a dtype of ours are cast to."""
_RESULTS = {"float16": "float32", "float64": "float32", "bfloat16": "float32"}
_RESULTS |= {"int8": "int64", "int16": "int64", "uint16": "int64", "uint32": "int64", "uint64": "int64"}
_MOST_TEXTS, _LONGEST_TEXT = 256, 1 << 16  # of a file's metadata
_OURS = ("float32", "int64", "int32", "uint8", "bool", "string")


@dataclass(frozen=True)
class Part:
    """A part of a file, with the types that it is fed.

    Attributes:
        file: the name of the file in the spec.
        sha256: the hash of its content.
        outputs: the file's values that are computed.
        inputs: the file's inputs that are fed, each with the dtype of its feed.
        content: the file; None if only its hash and types are known: then nothing can be computed.
    """

    file: str
    sha256: str
    outputs: tuple[str, ...]
    inputs: tuple[tuple[str, str], ...]
    content: OnnxFile | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"{self.file}[{', '.join(self.outputs)}]"

    @property
    def opset(self) -> int:
        """The opset of the file; 0 if it is not there."""
        return 0 if self.content is None else self.content.opset

    def require(self) -> OnnxFile:
        """Return the file.

        Raises:
            RunError: GS603, its content is not there.
        """
        if self.content is None:
            text = f"the ONNX file '{self.file}' (sha256 {self.sha256[:12]}…) is neither in the run nor beside the spec"
            raise RunError(Code.DAMAGED_RUN, text, "copy it back: it was written with the run")
        return self.content

    def spliced(self, prefix: str, inputs: Sequence[str], outputs: Sequence[str], opset: int) -> Spliced:
        """Return the nodes of the part for a graph of ``opset``, with casts to and from the file's dtypes.

        Args:
            inputs, outputs: the names of what it reads and computes in the other graph.

        Raises:
            ProblemError: GS802, the file cannot be converted to this opset.
        """
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
            ours = _RESULTS.get(kinds[name], kinds[name])
            inner = new if ours == kinds[name] else f"{new}/{kinds[name]}"
            wanted.append((name, inner))
            if inner != new:
                after.append(helper.make_node("Cast", [inner], [new], name=f"{new}/Cast", to=_element_type(ours)))
        found = splice(model, prefix, fed, wanted)
        found.nodes = [*before, *found.nodes, *after]
        return found

    def model(self, opset: int = 0) -> Any:
        """Return the part as a model of its own, whose inputs are ``x0``, ``x1``, … and whose outputs ``y0`` and so on."""
        from onnx import helper

        file = self.require()
        opset = max(opset, file.opset)
        names = [f"x{k}" for k in range(len(self.inputs))], [f"y{k}" for k in range(len(self.outputs))]
        found = self.spliced("file", *names, opset)
        kinds = element_types(file, self.outputs)
        ranks = {port.name: None if port.shape is None else [None] * len(port.shape) for port in file.inputs}
        inputs = [
            helper.make_tensor_value_info(new, _element_type(given), ranks[name])
            for (name, given), new in zip(self.inputs, names[0], strict=True)
        ]
        outputs = [
            helper.make_tensor_value_info(new, _element_type(_RESULTS.get(kinds[name], kinds[name])), None)
            for name, new in zip(self.outputs, names[1], strict=True)
        ]
        graph = helper.make_graph(
            found.nodes,
            "file",
            inputs,
            outputs,
            found.constants,
            value_info=found.infos,
            sparse_initializer=found.sparse,
        )
        imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, v) for d, v in found.domains.items())]
        model = helper.make_model(
            graph, opset_imports=imports, ir_version=max(file.model.ir_version, found.ir_version, 8)
        )
        return model

    def metadata(self) -> dict[str, str]:
        """Return what the file says of itself, such as its licence and its maker, with its name and hash."""
        model = self.require().model
        own = {
            "producer": model.producer_name,
            "domain": model.domain,
            "doc": model.doc_string or model.graph.doc_string,
        }
        texts = {entry.key: entry.value for entry in list(model.metadata_props)[:_MOST_TEXTS]}
        named = {key: text[:_LONGEST_TEXT] for key, text in (own | texts).items() if text}
        return {"file": self.file, "sha256": self.sha256} | named

    def run(self, feeds: Sequence[Array], seconds: float | None = None) -> list[Array]:
        """Compute the outputs of a batch, by one thread.

        Args:
            seconds: how long this may take: a file may have loops without an end. None for no limit.

        Raises:
            RunError: GS605, onnxruntime cannot compute them.
            TimeoutError: it takes longer.
        """
        self.require()
        named = {f"x{k}": array for k, array in enumerate(feeds)}
        try:
            if seconds is None:
                values: list[Array] = _session(self).run(None, named)
            else:
                values = run_for(_session(self), named, seconds)
        except TimeoutError:
            raise
        except Exception as error:
            text = f"onnxruntime fails to compute '{self.file}': {failure(error)}"
            raise RunError(Code.PREPARATION_FAILED, text) from error
        return values

    def multiply_adds(self, shapes: Sequence[tuple[Any, ...]]) -> int:
        """Return the multiply-adds of its products for inputs of these shapes; 0 if they are not known."""
        from graphspec.vocabulary.onnx_files.cost import multiply_adds

        return 0 if self.content is None else multiply_adds(self, tuple(map(tuple, shapes)))


def part_of(file: OnnxFile, outputs: tuple[str, ...], inputs: Sequence[tuple[Port, str]]) -> Part:
    """Return the part of a file that computes ``outputs``.

    Args:
        inputs: the inputs that are fed, each with the dtype of its feed.
    """
    return Part(file.name, file.sha256, outputs, tuple((port.name, dtype) for port, dtype in inputs), file)


def needed_inputs(file: OnnxFile, outputs: Sequence[str]) -> list[Port]:
    """Return the inputs of a file that ``outputs`` depend on, in its order."""
    read = set[str]().union(*(read_by(node) for node in needed_nodes(file.model, outputs)), outputs)
    return [port for port in file.inputs if port.name in read]


def result_dtype(dtype: str) -> str | None:
    """Return the dtype in a graph of ours of a value of a file; None for one that has none."""
    ours = _RESULTS.get(dtype, dtype)
    return ours if ours in _OURS else None


def _element_type(dtype: str) -> int:
    from onnx import TensorProto, helper

    if dtype == "string":
        return int(TensorProto.STRING)
    if dtype == "bfloat16":
        return int(TensorProto.BFLOAT16)
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


@lru_cache(maxsize=4)
def _converted(file: OnnxFile, opset: int) -> Any:
    if file.opset > opset:
        text = f"'{file.name}' has opset {file.opset}, newer than {opset}"
        raise unsupported(text, f"use opset {file.opset} or newer")
    return file.model if not file.opset else at_opset(file.model, opset)


_DTYPES = {"float": "float32", "double": "float64"}


@lru_cache(maxsize=256)
def element_types(file: OnnxFile, names: tuple[str, ...]) -> dict[str, str]:
    """Return the dtypes of values in a file, as onnxruntime infers them.

    Raises:
        ProblemError: GS802, onnxruntime does not load the file, or a value is no tensor.
    """
    from onnx import ModelProto, ValueInfoProto

    known = {port.name: port.dtype for port in (*file.outputs, *file.inputs) if port.dtype}
    if all(name in known for name in names):
        return {name: known[name] for name in names}
    model = ModelProto()
    model.CopyFrom(file.model)
    del model.graph.output[:], model.graph.value_info[:]
    nodes = needed_nodes(file.model, names)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.output.extend(ValueInfoProto(name=name) for name in names)
    found = {}
    for output in loaded(model, optimised=False).get_outputs():
        kind = output.type.removeprefix("tensor(").removesuffix(")")
        if not output.type.startswith("tensor("):
            raise unsupported(f"has '{output.name}', which is no tensor but {output.type}", "choose another output")
        found[output.name] = _DTYPES.get(kind, kind)
    return found


@lru_cache(maxsize=8)
def _session(part: Part) -> Any:
    return loaded(part.model())
