"""Lower the nodes of an ONNX file into the graph: constants are folded, branches chosen, all else is our operators."""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphspec.base.errors import Code, ShapeError
from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Node, Value, show
from graphspec.graph.onnx_model import OPSET
from graphspec.graph.ops import OPS
from graphspec.graph.row_axes import RowAxes
from graphspec.vocabulary.onnx_files.part import needed_nodes
from graphspec.vocabulary.onnx_files.reading import opset_of, subgraphs
from graphspec.vocabulary.onnx_files.unfreeze import operators, tensors
from graphspec.vocabulary.onnx_files.unfreeze.operators import HANDLERS, OF_TABLES, Call, Known, as_declared, label
from graphspec.vocabulary.onnx_files.unfreeze.rewrites import Flattened, whole_activation
from graphspec.vocabulary.onnx_files.unfreeze.tensors import FROZEN, Constant, Weight, Weights, kind_of, refuse

_SHOWN = 4  # nodes of one operator in a message


@dataclass(frozen=True)
class Unfrozen:
    """The chosen outputs of a file in the graph, and the table of what trains, and of the constants that could."""

    outputs: tuple[Value, ...]
    weights: tuple[Weight, ...]


@dataclass
class Lowering:
    """The state of the lowering of one file."""

    g: Builder
    opset: int
    weights: Weights
    batch: int | None  # the number of rows that the file declares for its inputs; None if it is open
    batch_statistics: bool
    readers: Mapping[str, int]
    refused: list[Any] = field(default_factory=list)  # the nodes that have no operator here
    origins: dict[str, str] = field(default_factory=dict)  # the nodes of the file by the nodes of the graph

    def __post_init__(self) -> None:
        self.flattened = Flattened(self.g)

    def graph(self, graph: Any, scope: ChainMap[str, Known], outputs: Sequence[str]) -> list[Known]:
        for tensor in graph.initializer:
            scope[tensor.name] = self._stored(tensor.name, tensors.of_tensor(tensor.name, tensor, stored=True))
        for node in needed_nodes(graph.node, outputs):
            scope.update({k: v for k, v in zip(node.output, self.node(node, scope), strict=False) if k})
        return [scope[name] for name in outputs]

    def _stored(self, name: str, tensor: Constant) -> Constant:
        tensor.readers = self.readers.get(name, 1)
        tensor.trains = self.weights.chosen(name)
        return tensor

    def node(self, node: Any, scope: ChainMap[str, Known]) -> Sequence[Known]:
        given = [scope[name] if name else None for name in node.input]
        own = node.domain in ("", "ai.onnx") or (node.domain == "ai.onnx.ml" and node.op_type in OF_TABLES)
        if own and node.op_type == "Constant":
            return [self._constant(node)]
        if not own or not (node.op_type == "If" or supported(node.op_type)):
            self.refused.append(node)
            return [None] * len(node.output)
        if any(v is None and name for v, name in zip(given, node.input, strict=True)):
            return [None] * len(node.output)  # a node before it is refused
        if node.op_type == "If":
            return self._branch(node, given, scope)
        folded = self._folded(node, given)
        return self._lowered(node, given) if folded is None else folded

    def _constant(self, node: Any) -> Known:
        from onnx import helper

        (attribute,) = node.attribute
        value = helper.get_attribute_value(attribute)
        name = node.output[0]
        if attribute.name == "value":
            return self._stored(name, tensors.of_tensor(name, value, stored=True))
        if dtype := {"value_float": np.float32, "value_int": np.int64}.get(attribute.name.removesuffix("s")):
            return self._stored(name, tensors.of_array(name, np.array(value, dtype), stored=True))
        self.refused.append(node)
        return None

    def _branch(self, node: Any, given: Sequence[Known], scope: ChainMap[str, Known]) -> Sequence[Known]:
        """Return the outputs of the branch that a constant condition chooses."""
        condition = given[0]
        if not isinstance(condition, Constant):
            self.refused.append(node)
            return [None] * len(node.output)
        wanted = "then_branch" if bool(condition.array.reshape(-1)[0]) else "else_branch"
        graph = next(a.g for a in node.attribute if a.name == wanted)
        return self.graph(graph, scope.new_child(), [v.name for v in graph.output])

    def _folded(self, node: Any, given: Sequence[Known]) -> Sequence[Known] | None:
        """Return the outputs of a node that reads constants only; None if it cannot be computed now."""
        fixed = [c for c in given if isinstance(c, Constant)]
        if len(fixed) < sum(v is not None for v in given) or not given or not kind_of(node.op_type).folds():
            return None
        if any(c.trains for c in fixed):
            return None
        kinds = {a.i for a in node.attribute if a.name == "to" and node.op_type == "Cast"}
        if fixed[0].is_float and not kinds.isdisjoint(_FLOATS):
            return [fixed[0]]
        listed = [c if isinstance(c, Constant) else None for c in given]
        arrays = tensors.fold(node.op_type, listed, node.attribute, node.output, self.opset)
        if arrays is None:
            return None
        names = zip(node.output, arrays, strict=True)
        found = [tensors.of_array(name, array, readers=self.readers.get(name, 1)) for name, array in names]
        for k, piece in enumerate(found):
            if kind_of(node.op_type).rearranges and fixed[0].is_float:
                piece.source, piece.again = fixed[0], lambda X, k=k: self._emitted(node, [X, *given[1:]])[k]
            else:
                piece.parts, piece.emitted = given, lambda parts, k=k: self._emitted(node, parts)[k]
                piece.leaves = tensors.leaves_of(node.op_type, given)
        return found

    def _lowered(self, node: Any, given: Sequence[Known]) -> Sequence[Known]:
        try:
            found = self._emitted(node, given)
        except ShapeError as error:
            problem = error.problem
            hint = problem.hint if problem.code == Code.UNSUPPORTED_FILE and problem.hint else FROZEN
            text = f"has node {label(node)} in its file, which {problem.message}"
            raise error.changed(message=text, hint=hint, key="trainable") from None
        except TypeError:  # our operator has fewer inputs
            text = f"has node {label(node)} in its file, with more inputs than are available in training"
            raise refuse(text) from None
        return [self._known(name, v) for name, v in zip(node.output, found, strict=False)]

    def _emitted(self, node: Any, given: Sequence[Known]) -> Sequence[Known]:
        before = len(self.g.graph.nodes)
        slots = self.weights.slots(node.op_type, given)
        fixed = self.batch, self.batch_statistics, self.flattened
        call = Call(self.g, node, list(given), self.weights, frozenset(slots), self.opset, *fixed)
        with self.g.part(operators.part_of(node)):
            found = list(operators.handler_of(node.op_type)(call))
            if found and isinstance(found[0], Value) and found[0].node is not None and found[0] not in given:
                found[0] = self.flattened.follow(whole_activation(self.g, found[0]))
        for made in self.g.graph.nodes[before:]:
            self.origins[made.name] = label(node)
        first = found[0] if found and found[0] not in given else None
        if isinstance(first, Value) and first.node is not None and first.node.name in self.origins:
            self.weights.follow(node.op_type, given, slots, first)
        return found

    @staticmethod
    def _known(name: str, value: Known) -> Known:
        dims = value.dims if isinstance(value, Value) and value.kind == "op" else None
        if dims is None or not isinstance(value, Value) or not all(isinstance(d, int) for d in dims):
            return value
        return tensors.of_array(name, np.array(dims, value.dtype).reshape([int(d) for d in value.shape]))

    def check(self) -> None:
        """Raise one error with all nodes that have no operator here, by operator."""
        if not self.refused:
            return
        names: dict[str, list[str]] = {}
        for node in self.refused:
            names.setdefault(operators.operator_of(node), []).append(operators.name_of(node))
        parts = [f"{op} ({_listed(of_op)})" for op, of_op in names.items()]
        raise refuse(f"cannot be trained: its file has operators without a gradient here: {', '.join(parts)}")

    def check_rows(self, nodes: Sequence[Node]) -> None:
        """Raise :class:`ShapeError` if a node lets the rows of a batch influence each other."""
        rows = RowAxes(nodes)
        mixing = (n for n in rows.mixing if not (n.op == "BatchNormalization" and n.attrs.get("training_mode")))
        if first := next(mixing, None):
            shapes = ", ".join(show(v.shape) for v in first.inputs if v is not None)
            origin = self.origins.get(first.name, f"'{first.name}'")
            why = ": a batch size or an order of axes is fixed in it" if self.batch else ""
            raise refuse(f"has node {origin} in its file, which mixes the rows of a batch, of shape {shapes}{why}")


def unfreeze(
    g: Builder,
    model: Any,
    inputs: Mapping[str, Value],
    outputs: Sequence[str],
    patterns: Sequence[str] | None = None,
    *,
    batch_statistics: bool = False,
) -> Unfrozen:
    """Lower the nodes of a file that ``outputs`` need; ShapeErrors name the file's nodes.

    Args:
        model: an ``onnx.ModelProto`` of opset 17 or newer, without local functions and external data.
        inputs: a value for each input that ``outputs`` need, by its name in the file.
        patterns: the names of the tensors that train, with ``*``; None for all tensors in the places of weights.
        batch_statistics: whether BatchNormalization normalizes by the batch in training, and moves its statistics.
    """
    graph = model.graph
    if graph.sparse_initializer:
        raise refuse("cannot be trained: its file has sparse weights")
    declared = {v.name: v for v in graph.input}
    weights = Weights(g, patterns)
    weights.check_patterns(list(float_names(graph)))
    opset, batch = opset_of(model) or OPSET, operators.batch_size(declared, inputs)
    graphs = list(graphs_in(graph))
    readers = Counter(name for each in graphs for node in each.node for name in node.input if name)
    readers.update(v.name for inner in graphs[1:] for v in inner.output)
    lowering = Lowering(g, opset, weights, batch, batch_statistics, readers)
    before = len(g.graph.nodes)
    scope: ChainMap[str, Known] = ChainMap({})
    with g.part("inputs"):
        for name, value in inputs.items():
            given = value.kind == "constant" and value.data is not None
            scope[name] = tensors.of_array(name, value.data) if given else as_declared(g, declared[name], value)
    try:
        known = lowering.graph(graph, scope, outputs)
    except ShapeError:
        lowering.check()
        raise
    lowering.check()
    values = [weights.value(v, "", slot=False) if isinstance(v, Constant) else v for v in known]
    found = tuple(v for v in values if v is not None)
    wanted = {n.name for n in g.graph.needed(found)}
    g.graph.nodes[before:] = [n for n in g.graph.nodes[before:] if n.name in wanted]
    lowering.check_rows(g.graph.nodes[before:])
    return Unfrozen(found, tuple(weights.table()))


def supported(op: str) -> bool:
    """Return whether an operator of ONNX's own domain can be unfrozen."""
    return op in HANDLERS or (op in OPS and OPS[op].exported and OPS[op].has_kernel and not OPS[op].domain)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:_SHOWN]) + more


def graphs_in(graph: Any) -> Iterator[Any]:
    """Yield a graph, and those inside its nodes."""
    yield graph
    for node in graph.node:
        for inner in subgraphs(node):
            yield from graphs_in(inner)


def float_names(graph: Any) -> Iterator[str]:
    """Yield the names of the stored floats of a file: initializers and the outputs of nodes Constant."""
    for inner in graphs_in(graph):
        yield from (t.name for t in inner.initializer if t.data_type in _FLOATS)
        for node in inner.node:
            kinds = [a.t.data_type for a in node.attribute if a.name == "value" and node.op_type == "Constant"]
            yield from (node.output[0] for kind in kinds if kind in _FLOATS)


_FLOATS = (1, 10, 11, 16)  # float32, float16, float64, bfloat16
