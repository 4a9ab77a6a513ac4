"""Whether an ONNX model fits together: names, order, the sizes of weights, the depth of graphs in graphs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from graphspec.base.codes import Code
from graphspec.base.errors import ProblemError
from graphspec.graph.onnx_session import sanitized

MAX_NODES = 200_000
MAX_DEPTH = 16  # graphs in graphs, functions in functions
MAX_NAME = 1 << 12
MAX_RANK = 64
_SHOWN_PATH = 6


def tensors_of(model: Any) -> Iterator[Any]:
    """Yield all tensors of a model: initializers and attributes, those of subgraphs and functions too."""
    yield from _tensors_of_graph(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _tensors_of_node(node)
    for info in model.training_info:
        yield from _tensors_of_graph(info.initialization)
        yield from _tensors_of_graph(info.algorithm)


def subgraphs(node: Any) -> Iterator[Any]:
    """Yield the graphs inside a node, such as branches."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def check_sound(model: Any) -> None:
    """Raise GS801 unless names, order and sizes of a model fit together; what is too large or too deep counts as unsound."""
    for tensor in tensors_of(model):
        _check_texts(tensor.name)
        _check_tensor(tensor)
    for entry in model.opset_import:
        _check_texts(entry.domain)
    for function in model.functions:
        _check_texts(function.name, function.domain, *function.input, *function.output)
        for node in function.node:
            _check_names(node)
    _check_functions(model)
    _Graphs().check(model.graph, frozenset(), 0)


def node_name(node: Any) -> str:
    """Return how a message calls a node: by its name, else by what it computes."""
    name = node.name or next(iter(node.output), "")
    return f"{sanitized(node.op_type)} '{sanitized(name)}'"


def _tensors_of_graph(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    for node in graph.node:
        yield from _tensors_of_node(node)


def _tensors_of_node(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        one = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
        for sparse in (*one, *attribute.sparse_tensors):
            yield sparse.values
            yield sparse.indices
    for graph in subgraphs(node):
        yield from _tensors_of_graph(graph)


def _check_names(node: Any) -> None:
    _check_texts(node.name, node.op_type, node.domain, *node.input, *node.output, *(a.name for a in node.attribute))


def _check_texts(*texts: Any) -> None:
    """Raise GS801 unless names are texts: protobuf returns bytes for what is not UTF-8."""
    if any(isinstance(text, bytes) for text in texts):
        raise _unsound("it has a name that is not UTF-8")


def _check_tensor(tensor: Any) -> None:
    from graphspec.vocabulary.onnx_files.tensors import is_known, nbytes_of, stored_bytes

    subject = f"the weight '{sanitized(tensor.name)}'"
    if not is_known(tensor.data_type):
        raise _unsound(f"{subject} has the element type {tensor.data_type}, which ONNX does not have")
    if len(tensor.dims) > MAX_RANK or any(d < 0 for d in tensor.dims):
        raise _unsound(f"{subject} has an impossible shape")
    for entry in tensor.external_data:
        _check_texts(entry.key, entry.value)
    needed, stored = nbytes_of(tensor), stored_bytes(tensor)
    if tensor.data_location != 1 and needed is not None and stored is not None and needed != stored:
        raise _unsound(f"{subject} needs {needed:,} bytes, but has {stored:,}")


class _Graphs:
    """Checks the graphs of one model, from the outside in."""

    def __init__(self) -> None:
        self._nodes = 0

    def check(self, graph: Any, around: Collection[str], depth: int) -> None:
        """Check a graph.

        Args:
            around: the values of the graphs around it, which it may read.
        """
        if depth > MAX_DEPTH:
            raise _unsound(f"it has graphs in graphs, more than {MAX_DEPTH} deep")
        self._nodes += len(graph.node)
        if self._nodes > MAX_NODES:
            raise _unsound(f"it has more than {MAX_NODES:,} nodes")
        inputs = [v.name for v in graph.input]
        weights = [t.name for t in graph.initializer] + [t.values.name for t in graph.sparse_initializer]
        _refuse_twice(inputs, "it has two inputs")
        _refuse_twice(weights, "it has two weights")
        known = {*around, *inputs, *weights}
        made: dict[str, int] = {}
        _check_texts(*inputs, *(v.name for v in graph.output))
        for k, node in enumerate(graph.node):
            _check_names(node)
            if not node.op_type:
                raise _unsound(f"{node_name(node)} has no operator")
            for name in filter(None, node.output):
                if name in made or name in inputs or name in weights:
                    raise _unsound(f"{node_name(node)} computes '{sanitized(name)}', which exists already")
                made[name] = k
        for name in (*known, *made):
            if len(name) > MAX_NAME:
                raise _unsound(f"it has a name of {len(name):,} characters")
        self._check_order(graph.node, made, known, depth)
        known |= made.keys()
        if lost := [v.name for v in graph.output if v.name not in known]:
            raise _unsound(f"nothing computes its output '{sanitized(lost[0])}'")

    def _check_order(self, nodes: Sequence[Any], made: dict[str, int], known: set[str], depth: int) -> None:
        ready = set(known)
        for k, node in enumerate(nodes):
            for name in filter(None, node.input):
                if name in ready:
                    continue
                if name not in made:
                    raise _unsound(f"nothing computes '{sanitized(name)}', which {node_name(node)} reads")
                _refuse_cycle(nodes, made, k)
                raise _unsound(f"{node_name(node)} stands before the node that computes '{sanitized(name)}'")
            for graph in subgraphs(node):
                self.check(graph, ready, depth + 1)
            ready.update(filter(None, node.output))


def _refuse_twice(names: Sequence[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise _unsound(f"{what} '{sanitized(name)}'")
        seen.add(name)


def _refuse_cycle(nodes: Sequence[Any], made: dict[str, int], start: int) -> None:
    """Raise GS801 if a node depends on itself; the message shows the cycle."""
    path: list[tuple[int, Iterator[str]]] = [(start, iter(nodes[start].input))]
    on_path, done = {start}, set[int]()
    while path:
        k, needs = path[-1]
        other = next((made[n] for n in needs if n in made and made[n] not in done), None)
        if other is None:
            done.add(k)
            on_path.discard(k)
            path.pop()
        elif other in on_path:
            cycle = [i for i, _ in path]
            shown = [node_name(nodes[i]) for i in cycle[cycle.index(other) :]][:_SHOWN_PATH]
            raise _unsound(f"nodes depend on themselves: {' ← '.join([*shown, shown[0]])}")
        else:
            path.append((other, iter(nodes[other].input)))
            on_path.add(other)


def _check_functions(model: Any) -> None:
    """Raise GS801 if local functions contain themselves, or have too many nodes once they are inlined."""
    functions = {(f.domain, f.name, getattr(f, "overload", "")): f for f in model.functions}
    sizes: dict[tuple[str, str, str], int] = {}

    def size(nodes: Sequence[Any], stack: tuple[tuple[str, str, str], ...], depth: int) -> int:
        if depth > MAX_DEPTH * 2:
            raise _unsound(f"it has graphs or functions in each other, more than {MAX_DEPTH * 2} deep")
        total = 0
        for node in nodes:
            key = node.domain, node.op_type, getattr(node, "overload", "")
            if key in stack:
                raise _unsound(f"its function '{sanitized(node.op_type)}' contains itself")
            if key in functions:
                if key not in sizes:
                    sizes[key] = size(functions[key].node, (*stack, key), depth + 1)
                total += sizes[key]
            total += 1 + sum(size(graph.node, stack, depth + 1) for graph in subgraphs(node))
            if total > MAX_NODES:
                raise _unsound(f"it has more than {MAX_NODES:,} nodes")
        return total

    for key, function in functions.items():
        size(function.node, (key,), 0)
    size(model.graph.node, (), 0)


def _unsound(text: str) -> ProblemError:
    return ProblemError(Code.INVALID_FILE, f"is not a sound ONNX file: {text}", "export or download the file again")
