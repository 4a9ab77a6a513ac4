"""``graphspec summary``: print a spec's nodes with shapes, parameters, memory and multiply-adds."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from graphspec.cli.console import count, out, out_wrapped, print_diagnostics
from graphspec.cli.options import Sets, SpecFile
from graphspec.cli.summary_table import fold_records, rows_of, table_lines
from graphspec.ir.learnt_size import LearntSize
from graphspec.text import terminal_width

if TYPE_CHECKING:
    from graphspec.compiler.cost import Cost
    from graphspec.compiler.lowered import Lowered
    from graphspec.language.declarations import HeadDecl, Spec


def summary(
    spec: SpecFile,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="The batch size for the memory; the spec's by default.", show_default=False
        ),
    ] = None,
    expand: Annotated[bool, typer.Option("--expand", help="Print every node of a record, not one row.")] = False,
    sets: Sets = None,
) -> None:
    """Print every node with its output shape, parameters, memory per batch, and multiply-adds per row."""
    from graphspec.compiler.check import check
    from graphspec.compiler.cost import cost
    from graphspec.graph.prelude import computed_once

    checked = check(str(spec), sets or (), allow_outside=True)
    declaration, lowered = checked.require()
    print_diagnostics(checked.diagnostics)
    rows = batch_size or declaration.training.batch_size
    costs = cost(declaration, lowered, rows)
    title = f"{declaration.name}: {declaration.description}" if declaration.description else declaration.name
    out_wrapped(" ".join(title.split()))
    out("")
    once = computed_once(lowered.graph)
    table = rows_of(declaration, lowered, costs, rows, once)
    folded = table if expand else fold_records(table, declaration)
    width = terminal_width(sys.stdout)
    lines, left_out = table_lines(folded, width)
    for line in lines:
        out(line)
    out("")
    for head in declaration.heads.values():
        out_wrapped(f"head {head.name}: {_head(head)}")
    for line in _footer(declaration, lowered, costs, rows, once):
        out_wrapped(line)
    more = ["--expand prints every node of a record"] if len(folded) < len(table) else []
    if left_out:
        more.append(f"left out in a narrow terminal: {', '.join(left_out)}")
    if more:
        out_wrapped("; ".join(more))


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
        yield "learnt: sizes that come from the training rows"
    if isinstance(total.trainable + total.frozen, LearntSize):
        return
    size = count(total.trainable + total.frozen, "parameter")
    yield f"{size}: {total.trainable:,} trainable, {total.frozen:,} not trained"
    slots = len(spec.training.optimizer.slots())
    training = estimate(lowered.graph, costs.shapes, slots)
    inference = estimate(lowered.graph, costs.shapes, training=False)
    yield (
        f"memory at batch size {rows}: about {human(training)} in training, {human(inference)} in inference; "
        f"{human(available())} available"
    )
    yield f"{total.multiply_adds // rows:,} multiply-adds per row, forward (matrix products, convolutions, recurrent layers)"
    if costs.lengths:
        assumed = ", ".join(f"{name} = {length}" for name, length in costs.lengths.items())
        yield f"counted with {assumed}, which may vary between batches"
