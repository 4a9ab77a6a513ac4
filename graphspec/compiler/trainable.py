"""Whether a network may be trained: there must be something to train (GS404), and it must fit into memory (GS602).

Both are warnings where a spec is only checked, and errors for all that train.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from graphspec.arrays.system_memory import available, human
from graphspec.codes import Code
from graphspec.errors import Diagnostic, Problem, RunError, SpecError
from graphspec.graph.memory_estimate import activations, assumed_shapes, estimate, needs_memory
from graphspec.ir.dims import Shape, show
from graphspec.ir.graph import Graph
from graphspec.language.declarations import Ref
from graphspec.ops import operator

if TYPE_CHECKING:
    from graphspec.compiler.lowered import Lowered
    from graphspec.language.declarations import Spec


def refuse_untrainable(found: Iterable[Diagnostic]) -> None:
    """Raise the first of these warnings that keeps a network from being trained.

    Raises:
        SpecError: GS404, there is nothing to train.
        RunError: GS602, it does not fit into memory.
    """
    for diagnostic in found:
        if diagnostic.code == Code.NOTHING_TO_TRAIN:
            raise SpecError([replace(diagnostic, severity="error")])
        if diagnostic.code == Code.NOT_ENOUGH_MEMORY:
            raise RunError(diagnostic.code, diagnostic.message, diagnostic.hint)


def refuse_memory(graph: Graph, need: int, have: int, shapes: Mapping[str, Shape] | None = None) -> None:
    """Raise where :func:`lack_of_memory` finds one.

    Raises:
        RunError: GS602.
    """
    if lack := lack_of_memory(graph, need, have, shapes):
        problem, _ = lack
        raise RunError.of("training" if shapes else "a model of these weights", problem)


def check_training(spec: Spec, lowered: Lowered) -> list[Diagnostic]:
    """GS404 as a warning where there is nothing to train."""
    if not spec.heads or (problem := nothing_to_train(spec, lowered.graph)) is None:
        return []
    first = next(iter(spec.heads.values()))
    return [Diagnostic.of("the spec", problem, first.mark, path="outputs").as_warning()]


def check_memory(spec: Spec, lowered: Lowered) -> list[Diagnostic]:
    """GS602 as a warning where training cannot fit."""
    graph = lowered.graph
    shapes = assumed_shapes(graph, spec.training.batch_size)
    need = estimate(graph, shapes, len(spec.training.optimizer.slots()))
    if (lack := lack_of_memory(graph, need, available(), shapes)) is None:
        return []
    problem, largest = lack
    owner = _owner(largest, lowered)
    decl = lowered.declared.get(owner)
    mark, path = (spec.tree.first_key, "") if decl is None else (decl.mark, decl.tree.path)
    nodes = () if decl is None else (lowered.node_ref(Ref(owner, 0, decl.mark)),)
    return [Diagnostic.of("training", problem, mark, path=path, nodes=nodes).as_warning()]


def nothing_to_train(spec: Spec, graph: Graph) -> Problem | None:
    """Why the spec leaves training nothing to do. A head or a layer that is wrong may be one to train."""
    if not any(head.loss is not None or head.wrong for head in spec.heads.values()):
        hint = "give a head a loss, such as `loss: mean_squared_error`"
        return Problem(Code.NOTHING_TO_TRAIN, "has no head with a loss: there is nothing to train", hint)
    if len(graph.outputs) == len(spec.heads) and not any(p.trainable for p in graph.params.values()):
        hint = "remove `trainable: false`" if graph.params else "add a layer with weights"
        return Problem(Code.NOTHING_TO_TRAIN, "has no weight that is trained: there is nothing to train", hint)
    return None


def lack_of_memory(
    graph: Graph, need: int, have: int, shapes: Mapping[str, Shape] | None = None
) -> tuple[Problem, str] | None:
    """What is wrong where more bytes are needed than there are, and the name of the largest weight or of a node.

    Args:
        shapes: those of the inputs in a batch that is trained; None where it is only about the weights.
    """
    if need <= have:
        return None
    text = f"needs about {human(need)} of memory, there is {human(have)}"
    values = 0 if shapes is None else activations(graph, shapes) * 2
    if shapes is None or need - values > values:
        weight = max(graph.params.values(), key=lambda p: p.size)
        hint = f"its weight '{weight.name}' {show(weight.shape)} alone takes {human(weight.size * 4)}: make it smaller"
        return Problem(Code.NOT_ENOUGH_MEMORY, text, hint), weight.name
    batch = f"a smaller `batch_size` (now {next(iter(shapes.values()))[0]})"
    largest = _largest(graph, shapes)
    hint = f"use {batch}, or make the output of '{largest}' smaller" if largest else f"use {batch} or smaller layers"
    return Problem(Code.NOT_ENOUGH_MEMORY, text, hint), largest


def _owner(name: str, lowered: Lowered) -> str:
    """The node that a weight belongs to, or the node itself: both, and the role of a weight, may have slashes."""
    while name not in lowered.declared and "/" in name:
        name = name.rpartition("/")[0]
    return name


def _largest(graph: Graph, shapes: Mapping[str, Shape]) -> str:
    """The node whose values take most memory."""
    from graphspec.graph.shapes import infer_shapes

    nodes = graph.needed(graph.outputs.values())
    types = infer_shapes(graph, nodes, shapes)
    sizes = {n: sum(types[v.name].type.nbytes for v in n.outputs) for n in nodes if needs_memory(operator(n))}
    return max(sizes, key=sizes.__getitem__).owner if sizes else ""
