"""A table of a spec's nodes with shapes, parameters, memory and multiply-adds, as lines of text."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from graphspec.base.terminal import fitted
from graphspec.base.text import count, printable, wrapped
from graphspec.graph.ir.learnt_size import LearntSize
from graphspec.show.drawing.summary_table import fold_records, rows_of, table_of

if TYPE_CHECKING:
    from graphspec.engine.compiler.cost import Cost
    from graphspec.engine.compiler.lowered import Lowered
    from graphspec.language.declarations import HeadDecl, Spec


def summary_lines(
    spec: Spec,
    lowered: Lowered,
    rows: int,
    *,
    width: int | None = None,
    expand: bool = False,
    option: str = "--expand",
) -> Iterator[str]:
    """Yield the lines of the summary.

    Args:
        rows: the batch size for the memory.
        width: the columns of the terminal; None for as many as it takes.
        expand: show every node of a record, not one row.
        option: what the reader writes to see them.
    """
    from graphspec.engine.compiler.cost import cost
    from graphspec.graph.prelude import computed_once

    costs = cost(spec, lowered, rows)
    title = f"{spec.name}: {spec.description}" if spec.description else spec.name
    yield from _wrapped(" ".join(title.split()), width)
    yield ""
    once = computed_once(lowered.graph)
    table = rows_of(spec, lowered, costs, rows, once)
    folded = table if expand else fold_records(table, spec)
    lines, left_out = fitted(table_of(folded), width)
    yield from lines
    yield ""
    for head in spec.all_heads.values():
        yield from _wrapped(f"head {head.name}: {_head(head)}", width)
    for line in _footer(spec, lowered, costs, rows, once):
        yield from _wrapped(line, width)
    more = [f"{option} prints every node of a record"] if len(folded) < len(table) else []
    if left_out:
        more.append(f"left out in a narrow terminal: {', '.join(left_out)}")
    for line in more:
        yield from _wrapped(line, width)


def _wrapped(text: str, width: int | None) -> list[str]:
    return [line for part in printable(text).split("\n") for line in wrapped(part, width, indent=2)]


def _head(head: HeadDecl) -> str:
    """Return ``of topic, loss …, metrics …``."""
    parts = []
    names = [f"{ref.name}:{ref.output}" if ref.output else ref.name for ref in head.layers if ref is not None]
    if names != [head.name]:
        parts.append(f"of {' and '.join(names)}")
    if head.target is not None:
        parts.append(f"compared with {head.target.name}" + (f":{head.target.output}" if head.target.output else ""))
    parts.append(f"loss {type(head.loss).__name__}" if head.loss is not None else "no loss")
    if head.weight != 1:
        parts.append(f"weight {head.weight:g}")
    if head.metrics:
        parts.append("metrics " + ", ".join(metric.key for metric in head.metrics))
    if head.only_trained:
        parts.append("for training only")
    return ", ".join(parts)


def _footer(spec: Spec, lowered: Lowered, costs: Cost, rows: int, once: Collection[str]) -> Iterator[str]:
    from graphspec.base.arrays.system_memory import available, human
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
