"""``graphspec summary``: print a spec's nodes with shapes, parameters, memory and multiply-adds."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphspec.cli.console import columns, count, out, print_diagnostics
from graphspec.cli.options import AnyTarget, Sets
from graphspec.ir.learnt_size import LearntSize

if TYPE_CHECKING:
    from graphspec.compiler.cost import Cost
    from graphspec.compiler.lowered import Lowered
    from graphspec.language.declarations import HeadDecl, NodeDecl, Spec

_HEADER = ("node", "type", "computed", "output", "parameters", "memory", "multiply-adds", "inputs")


def summary(
    spec: AnyTarget,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="The batch size for the memory \\[default: the spec's].", show_default=False
        ),
    ] = None,
    sets: Sets = None,
) -> None:
    """Print every node with its output shape, parameters, memory per batch, and multiply-adds per row."""
    from graphspec.cli.targets import checked_target
    from graphspec.compiler.cost import cost
    from graphspec.graph.prelude import computed_once

    checked = checked_target(spec, sets or ())
    declaration, lowered = checked.require()
    print_diagnostics(checked.diagnostics)
    rows = batch_size or declaration.training.batch_size
    costs = cost(declaration, lowered, rows)
    title = f"{declaration.name}: {declaration.description}" if declaration.description else declaration.name
    out(" ".join(title.split()))
    out("")
    once = computed_once(lowered.graph)
    table = [_HEADER, *_table(declaration, lowered, costs, rows, once)]
    lines = columns(table if once else [line[:2] + line[3:] for line in table], right=(4, 5, 6) if once else (3, 4, 5))
    out(lines[0])
    out("─" * max(map(len, lines)))
    for line in lines[1:]:
        out(line)
    out("")
    for head in declaration.heads.values():
        out(f"head {head.name}: {_head(head)}")
    for line in _footer(declaration, lowered, costs, rows, once):
        out(line)


def _table(spec: Spec, lowered: Lowered, costs: Cost, rows: int, once: Collection[str]) -> Iterator[tuple[Any, ...]]:
    from graphspec.arrays.system_memory import human
    from graphspec.ir.dims import show

    for name, declared in spec.inputs.items():
        yield name, "input", "", show(("N", *declared.shape)), "", "", "", declared.dtype
    for node in spec.nodes:
        own = costs.nodes[node.name]
        outputs = lowered.outputs[node.name] or ()
        shapes = " ".join(show(v.shape) for v in outputs)
        size = own.trainable + own.frozen
        parameters = _size(size) if size else f"as {node.share}" if node.share else ""
        memory = human(own.activations) if own.activations else ""
        products = _size(own.multiply_adds // rows) if own.multiply_adds else ""
        yield (
            node.name,
            node.type or "",
            "once" if node.name in once else "",
            shapes,
            parameters,
            memory,
            products,
            _inputs(node),
        )


def _size(size: int) -> str:
    """Return a number of parameters or operations; it may depend on what is still to be learnt."""
    return "learnt" if isinstance(size, LearntSize) else f"{size:,}"


def _inputs(node: NodeDecl) -> str:
    refs = [ref for ref in node.inputs if ref is not None]
    refs += [ref for group in node.call.values() for ref in group if ref is not None]
    return ", ".join(ref.name if ref.output == 0 else f"{ref.name}:{ref.output}" for ref in refs)


def _head(head: HeadDecl) -> str:
    """Return ``of topic, loss …, metrics …``."""
    parts = []
    if head.layer is not None and (head.layer.name, head.layer.output) != (head.name, 0):
        parts.append(f"of {head.layer.name}" + (f":{head.layer.output}" if head.layer.output else ""))
    parts.append(f"loss {type(head.loss).__name__}" if head.loss is not None else "no loss")
    if head.weight != 1:
        parts.append(f"weight {head.weight:g}")
    if head.metrics:
        parts.append("metrics " + ", ".join(metric.key for metric in head.metrics))
    return ", ".join(parts)


def _footer(spec: Spec, lowered: Lowered, costs: Cost, rows: int, once: Collection[str]) -> Iterator[str]:
    from graphspec.arrays.system_memory import available, human
    from graphspec.graph.memory_estimate import estimate

    if once:
        yield f"computed once per row, before training, by onnxruntime: {count(len(once), 'node')}"
    total = costs.total()
    if lowered.graph.learnt:
        yield "sizes that are named after a node, and what depends on them, are learnt from the training rows"
    if isinstance(total.trainable + total.frozen, LearntSize):
        return
    size = count(total.trainable + total.frozen, "parameter")
    yield f"{size}: {total.trainable:,} trainable, {total.frozen:,} not trained"
    slots = len(spec.training.optimizer.slots())
    training = estimate(lowered.graph, costs.shapes, slots)
    inference = estimate(lowered.graph, costs.shapes, training=False)
    yield (
        f"memory at batch size {rows}: about {human(training)} in training, {human(inference)} in inference; "
        f"{human(available())} is available"
    )
    yield f"{total.multiply_adds // rows:,} multiply-adds per row, forward (matrix products, convolutions, recurrent layers)"
    if costs.lengths:
        assumed = ", ".join(f"{name} = {length}" for name, length in costs.lengths.items())
        yield f"counted with {assumed}, which may vary between batches"
