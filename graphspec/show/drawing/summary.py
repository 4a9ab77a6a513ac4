"""A table of a spec's nodes with shapes, parameters, memory and multiply-adds, as lines of text."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from graphspec.base.arrays.memory import available, human
from graphspec.base.document import Column, Table
from graphspec.base.terminal import fitted
from graphspec.base.text import count, printable, wrapped
from graphspec.engine.compiler.cost import Cost, cost
from graphspec.engine.compiler.lowered_network import Lowered
from graphspec.graph.analysis import estimate
from graphspec.graph.cuts import computed_once
from graphspec.graph.ir.dims import LearntSize, show
from graphspec.language.declarations import HeadDecl, Spec, operand_text

# The table of ``summary``: a row for each node, records folded, as many columns as the terminal has room for.
COLUMNS = (
    Column("node", cut="middle", least=20),
    Column("type", cut="middle", least=6),
    Column("computed", drop=4),
    Column("output", cut="end", least=20),
    Column("parameters", "number"),
    Column("memory", "number", drop=1),
    Column("multiply-adds", "number", drop=2),
    Column("inputs", cut="end", least=16, drop=3),
)


class Row(NamedTuple):
    """A row of the table: a node, an input, or a whole record; numbers are None for an empty cell."""

    name: str
    kind: str
    output: str = ""
    once: bool = False
    parameters: int | None = None
    shared: str = ""
    memory: int | None = None
    products: int | None = None
    inputs: str = ""


def rows_of(spec: Spec, lowered: Lowered, costs: Cost, rows: int, once: Collection[str]) -> list[Row]:
    """Return a row for each input and node, for batches of ``rows``; some are computed ``once``, before training."""
    found = [Row(name, "input", _shape(("N", *i.shape)), inputs=i.dtype) for name, i in spec.inputs.items()]
    sizes = {name: [size for v in values or () for size in v.shape] for name, values in lowered.outputs.items()}
    open_sizes = {name for name, of in sizes.items() if any(isinstance(size, LearntSize) for size in of)}
    for node in spec.nodes:
        own = costs.nodes[node.name]
        shapes = " ".join(_shape(v.shape) for v in lowered.outputs[node.name] or ())
        size = own.trainable + own.frozen
        memory = _known(own.activations, node.name not in open_sizes)
        learnt = isinstance(size, LearntSize) or open_sizes & {ref.name for ref in node.inputs if ref is not None}
        products = _known(own.multiply_adds // rows, not learnt)
        called = (ref for refs in node.call.values() for ref in refs if ref)
        inputs = ", ".join(map(operand_text, [*node.operands(), *called]))
        kind, shared = node.type or "", node.share or ""
        found.append(Row(node.name, kind, shapes, node.name in once, size or None, shared, memory, products, inputs))
    return found


def _known(size: int, known: bool) -> int | None:
    """Return a size, which is learnt where it has been computed from stand-ins; None for nothing."""
    return (size if known else LearntSize(size, "learnt")) if size else None


def _shape(shape: Sequence[Any]) -> str:
    """Return a shape as text; sizes that come from the training rows are ``learnt``."""
    return show(tuple("learnt" if isinstance(size, LearntSize) else size for size in shape))


def fold_records(rows: Sequence[Row], spec: Spec) -> list[Row]:
    """Return the rows with each record as one row: its columns, what is made of them, and what joins them."""
    records = _records(spec)
    groups: dict[tuple[str, int], list[Row]] = {}
    for k, row in enumerate(rows):
        record = _record_of(row, records)
        groups.setdefault((record, 0 if record else k), []).append(row)
    return [_folded(name, records[name], own) if name else own[0] for (name, _), own in groups.items()]


def _records(spec: Spec) -> dict[str, list[str]]:
    inputs = spec.document.get("inputs")
    declared = inputs if isinstance(inputs, dict) else {}
    return {
        name: [str(column) for column in record["columns"]]
        for name, record in declared.items()
        if isinstance(record, dict) and isinstance(record.get("columns"), dict)
    }


def _record_of(row: Row, records: Mapping[str, Sequence[str]]) -> str:
    for name, names in records.items():
        if row.name == name or row.name.startswith(f"{name}/") or (row.kind == "input" and row.name in names):
            return name
    return ""


def _folded(name: str, names: Sequence[str], rows: Sequence[Row]) -> Row:
    return Row(
        name,
        f"record of {count(len(names), 'column')}",
        next((row.output for row in rows if row.name == name), ""),  # of the node that joins its columns
        all(row.once for row in rows if row.kind != "input"),
        _sum(row.parameters for row in rows),
        memory=_sum(row.memory for row in rows),
        products=_sum(row.products for row in rows),
        inputs=", ".join(names),
    )


def _sum(numbers: Iterable[int | None]) -> int | None:
    return sum(number for number in numbers if number is not None) or None


def table_of(rows: Sequence[Row]) -> Table:
    """Return the table; a narrow terminal leaves out the memory first."""
    cells = []
    for row in rows:
        memory = human(row.memory) if row.memory and not isinstance(row.memory, LearntSize) else _size(row.memory)
        parameters = _size(row.parameters) or (f"as {row.shared}" if row.shared else "")
        once = "once" if row.once else ""
        cells.append((row.name, row.kind, once, row.output, parameters, memory, _size(row.products), row.inputs))
    if any(row.once for row in rows):
        return Table(COLUMNS, cells, rule=True)
    return Table(COLUMNS[:2] + COLUMNS[3:], [cell[:2] + cell[3:] for cell in cells], rule=True)


def _size(size: int | None) -> str:
    """Return a number of parameters or operations; it may depend on what is still to be learnt."""
    if size is None:
        return ""
    return "learnt" if isinstance(size, LearntSize) else f"{size:,}"


def summary_lines(
    spec: Spec, lowered: Lowered, rows: int, *, width: int | None = None, expand: bool = False, option: str = "--expand"
) -> Iterator[str]:
    """Yield the lines of the summary for batches of ``rows``, at most ``width`` columns wide.

    A record is one row, unless every node of it is wanted; the ``option`` is what the reader writes for that.
    """
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
    if len(folded) < len(table):
        yield from _wrapped(f"{option} prints every node of a record", width)
    if left_out:
        yield from _wrapped(f"left out in a narrow terminal: {', '.join(left_out)}", width)


def _wrapped(text: str, width: int | None) -> list[str]:
    return [line for part in printable(text).split("\n") for line in wrapped(part, width, indent=2)]


def _head(head: HeadDecl) -> str:
    """Return ``of topic, loss …, metrics …``."""
    names = [operand_text(ref) for ref in head.layers if ref is not None]
    parts = [
        f"of {' and '.join(names)}" if names != [head.name] else "",
        f"compared with {operand_text(head.target)}" if head.target is not None else "",
        f"loss {type(head.loss).__name__}" if head.loss is not None else "no loss",
        f"weight {head.weight:g}" if head.weight != 1 else "",
        "metrics " + ", ".join(metric.key for metric in head.metrics) if head.metrics else "",
        "for training only" if head.only_trained else "",
    ]
    return ", ".join(filter(None, parts))


def _footer(spec: Spec, lowered: Lowered, costs: Cost, rows: int, once: Collection[str]) -> Iterator[str]:
    if once:
        yield f"computed once per row, before training, by onnxruntime: {count(len(once), 'node')}"
    total = costs.total()
    if lowered.graph.learnt:
        yield "learnt: sizes that come from the training rows"
    if isinstance(total.trainable + total.frozen, LearntSize):
        return
    size = count(total.trainable + total.frozen, "parameter")
    yield f"{size}: {total.trainable:,} trainable, {total.frozen:,} not trained"
    training = estimate(lowered.graph, costs.shapes, len(spec.training.optimizer.slots()))
    inference = estimate(lowered.graph, costs.shapes, training=False)
    yield (
        f"memory at batch size {rows}: about {human(training)} in training, {human(inference)} in inference; "
        f"{human(available())} available"
    )
    yield f"{total.multiply_adds // rows:,} multiply-adds per row, forward (matrix products, convolutions, recurrent layers)"
    if costs.lengths:
        assumed = ", ".join(f"{name} = {length}" for name, length in costs.lengths.items())
        yield f"counted with {assumed}, which may vary between batches"
