"""Check what a training needs: weights, their groups, memory, and batches that workers can divide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from graphspec.base.arrays.memory import available, human
from graphspec.base.errors import Code, Diagnostic, Problem, RunError, SpecError
from graphspec.engine.compiler.lowered_network import Lowered, owner_of, visible
from graphspec.graph.analysis import activations, assumed_shapes, estimate, infer_shapes, lookups, needs_memory
from graphspec.graph.cuts import cut
from graphspec.graph.ir.graph import Graph, Node, Shape, show
from graphspec.graph.ops import operator
from graphspec.graph.optimizers import Optimizer
from graphspec.graph.optimizers.optimizer import unmatched
from graphspec.graph.row_axes import mixing_node
from graphspec.language.declarations import Ref, Spec
from graphspec.vocabulary.layers.layer import Layer


# Check whether a network can be trained.
#
# It has something to train (GS404) and fits into memory (GS602): both problems are warnings when a spec is checked, and
# errors when it is trained. The optimizer can update its sparse weights, and its groups have weights (GS105).
def refuse_untrainable(found: Iterable[Diagnostic]) -> None:
    """Raise the first of these warnings that prevents training.

    Raises SpecError: there is nothing to train (GS404). RunError: the network does not fit into memory (GS602).
    """
    for diagnostic in found:
        if diagnostic.code == Code.NOTHING_TO_TRAIN:
            raise SpecError([replace(diagnostic, severity="error")])
        if diagnostic.code == Code.NOT_ENOUGH_MEMORY:
            raise RunError(diagnostic.code, diagnostic.message, diagnostic.hint)


def refuse_memory(graph: Graph, required: int, free: int, shapes: Mapping[str, Shape] | None = None) -> None:
    """Raise GS602 (RunError) if more memory is required than is free; arguments as for :func:`lack_of_memory`."""
    if lack := lack_of_memory(graph, required, free, shapes):
        problem, _ = lack
        raise RunError.of("training" if shapes else "a model of these weights", problem)


def check_training(spec: Spec, lowered: Lowered) -> list[Diagnostic]:
    """Return GS404 as a warning if there is nothing to train."""
    graph, text = lowered.graph, ""  # heads and layers with errors count as trainable
    if not any(head.loss is not None or head.wrong for head in spec.all_heads.values()):
        text, hint = "head with a loss", "give a head a loss, such as `loss: mean_squared_error`"
    elif spec.heads.keys() <= graph.outputs.keys() and not any(p.trainable for p in graph.params.values()):
        text, hint = "trainable weight", "remove `trainable: false`" if graph.params else "add a layer with weights"
    if not spec.heads or not text:
        return []
    problem = Problem(Code.NOTHING_TO_TRAIN, f"has no {text}: there is nothing to train", hint)
    first = next(iter(spec.heads.values()))
    return [Diagnostic.of("the spec", problem, first.mark, path="outputs").as_warning()]


def check_memory(spec: Spec, lowered: Lowered) -> list[Diagnostic]:
    """Return GS602 as a warning if training does not fit into memory."""
    parts = cut(lowered.graph)
    graph = lowered.graph if parts is None else parts.rest  # onnxruntime computes the prelude, a few rows at a time
    shapes = assumed_shapes(graph, spec.training.batch_size)
    required = estimate(graph, shapes, len(spec.training.optimizer.slots()))
    if (lack := lack_of_memory(graph, required, available(), shapes)) is None:
        return []
    problem, largest = lack
    owner = owner_of(largest, lowered.declared)
    decl = lowered.declared.get(owner)
    mark, path = (spec.tree.first_key, "") if decl is None else (decl.mark, decl.tree.path)
    nodes = () if decl is None else (lowered.node_ref(Ref(owner, 0, mark)),)
    return [Diagnostic.of("training", problem, mark, path=path, nodes=nodes).as_warning()]


def check_sparse(spec: Spec, lowered: Lowered) -> list[Diagnostic]:
    """Return GS105 for sparse weights of which the optimizer cannot update single rows, or that are not only looked up."""
    found = []
    for name in (p.name for p in lowered.graph.params.values() if p.sparse and p.trainable):
        if (problem := _not_by_rows(spec.training.optimizer, name, lowered)) is None:
            continue
        decl = lowered.declared.get(owner_of(name, lowered.declared))
        at = None if decl is None else decl.tree.find(("sparse",))[0] or decl.tree
        mark, path = (spec.tree.first_key, "") if at is None else (at.mark, at.path)
        found.append(Diagnostic.of(f"'{name.rpartition('/')[0]}'", problem, mark, path=path))
    return found


def check_means(spec: Spec, lowered: Lowered) -> list[Diagnostic]:
    """Return GS306 for heads whose answers have no mean, in a network of several copies."""
    values = lowered.graph.outputs if spec.training.copies > 1 else {}
    problem = Problem(Code.WRONG_DTYPE, "is not float32: answers of copies are averaged", "name the node before it")
    heads = [spec.heads[name] for name, value in values.items() if not value.type.is_float]
    return [Diagnostic.of(f"head '{head.name}'", problem, head.mark, path=head.tree.path) for head in heads]


def check_groups(spec: Spec, lowered: Lowered) -> list[Diagnostic]:
    """Return GS105 for patterns of the optimizer's groups that match no trainable weight."""
    names = [p.name for p in lowered.graph.params.values() if p.trainable]
    groups = spec.training.optimizer.groups
    if not groups or not names or any(d.is_error for d in lowered.diagnostics):
        return []
    found = []
    for k, problem in unmatched(groups, names):
        at = spec.tree.find(("training", "optimizer", "groups", k, "weights"))[0] or spec.tree
        found.append(Diagnostic.of(f"group {k + 1} of the optimizer", problem, at.mark, path=at.path))
    return found


def _not_by_rows(optimizer: Optimizer, name: str, lowered: Lowered) -> Problem | None:
    kind = type(optimizer).__name__
    if not optimizer.updates_rows():
        text, hint = f"{kind} updates whole weights", "use an optimizer such as Adam, Adagrad or SGD"
    elif optimizer.decay_of(name):
        text, hint = f"the `weight_decay` of {kind} changes all rows in every step", "use an optimizer without it"
    elif optimizer.gradient_accumulation_steps:
        text, hint = "`gradient_accumulation_steps` adds up gradients of all rows", "use a larger `batch_size` instead"
    elif name not in lookups(lowered.graph.nodes, [name]):
        text, hint = "its weights are not only looked up by ids", "take it out of the layer around it"
    else:
        return None
    return Problem(Code.VALUE_NOT_ALLOWED, f"is sparse, but {text}", f"{hint}, or leave `sparse` out", "sparse")


def lack_of_memory(
    graph: Graph, required: int, free: int, shapes: Mapping[str, Shape] | None = None
) -> tuple[Problem, str] | None:
    """Return GS602 and the largest weight or node if memory lacks; ``shapes`` of inputs: None for the weights alone."""
    if required <= free:
        return None
    text = f"needs about {human(required)} of memory, but {human(free)} are available"
    values = 0 if shapes is None else activations(graph, shapes) * 2
    if shapes is None or required - values > values:
        weight = max(graph.params.values(), key=lambda p: p.size)
        hint = f"its weight '{weight.name}' {show(weight.shape)} needs {human(weight.size * 4)}: make it smaller"
        return Problem(Code.NOT_ENOUGH_MEMORY, text, hint), weight.name
    batch = f"a smaller `batch_size` (now {next(iter(shapes.values()))[0]})"
    largest = _largest(graph, shapes)
    hint = f"use {batch}, or make the output of '{largest}' smaller" if largest else f"use {batch} or smaller layers"
    return Problem(Code.NOT_ENOUGH_MEMORY, text, hint), largest


def _largest(graph: Graph, shapes: Mapping[str, Shape]) -> str:
    nodes = graph.needed(graph.trained_roots())
    types = infer_shapes(graph, nodes, shapes)
    sizes = {n: sum(types[v.name].type.nbytes for v in n.outputs) for n in nodes if needs_memory(operator(n))}
    return max(sizes, key=sizes.__getitem__).owner if sizes else ""


# Refuse workers and shards, which have a part of each batch, for a network whose nodes mix the rows of a batch (GS105).
WHOLE = (  # the hint for workers, which have a part of the rows each
    "train with `workers: 1` and without `shards`; the losses info_nce, clip and circle compare the rows of all workers"
)


def check_workers(spec: Spec, lowered: Lowered) -> list[Diagnostic]:
    """Return GS105 for several workers, or shards, of a network that mixes the rows of a batch."""
    training = spec.training
    key = "shards" if training.shards is not None else "workers"
    several = training.shards is not None or (isinstance(training.workers, int) and training.workers > 1)
    if not several or training.several or (node := mixing(spec, lowered.graph)) is None:
        return []
    at = spec.tree.find(("training", key))[0] or spec.tree
    text = f"is not possible: {describe(node)}, but each process has a part of them"
    decl = lowered.declared.get(node.owner)
    nodes = () if decl is None else (lowered.node_ref(Ref(decl.name, 0, decl.mark)),)
    problem = Problem(Code.VALUE_NOT_ALLOWED, text, WHOLE)
    return [Diagnostic.of(f"`{key}`", problem, at.mark, path=at.path, nodes=nodes)]


def mixing(spec: Spec, graph: Graph) -> Node | None:
    """Return the first operator that may mix the rows of a batch. Batch normalization does not: statistics are shared."""
    layers = {node.name: node.layer for node in spec.nodes}
    owners = {node.name: layers[node.name if node.share is None else node.share] for node in spec.nodes}
    return mixing_node(graph, {name for name, layer in owners.items() if _gathers_steps(layer)})


def describe(node: Node) -> str:
    """Return what an operator does that mixes rows, or may do so."""
    return f"'{visible(node.owner)}' mixes the rows of a batch ({node.op})"


def _gathers_steps(layer: Layer | None) -> bool:
    """Return whether a layer, or the one that it wraps, gathers steps of many rows at once."""
    while layer is not None and not layer.gathers_steps:
        layer = getattr(layer, "layer", None)
    return layer is not None
