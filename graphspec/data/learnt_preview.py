"""What the layers and heads of a spec would learn from columns, as far as their profiles tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from graphspec.data.profile import OCCURRENCES, ColumnProfile
from graphspec.vocabulary.metrics import targets_of

if TYPE_CHECKING:
    from graphspec.language.declarations import NodeDecl, Spec


def preview(spec: Spec, columns: Mapping[str, Any], uses: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
    """Return what would be learnt, by column.

    Args:
        columns: profiles by name.
        uses: what columns are read for, by name (see :class:`graphspec.data.overview.Use`).
    """
    found: dict[str, list[str]] = {}
    for name, of in uses.items():
        column = columns.get(name)
        if not isinstance(column, ColumnProfile):
            continue
        texts = []
        for use in of:
            if use.section == "input":
                texts += [text for node in _chain(spec, use.name) for text in _of_layer(node, column)]
            else:
                texts += _of_head(spec, use.name, column)
        if texts:
            found[name] = list(dict.fromkeys(texts))
    return found


def _chain(spec: Spec, name: str) -> Iterator[NodeDecl]:
    """Yield the nodes that compute with an input alone."""
    known = {name}
    for node in spec.nodes:
        refs = [ref.name if ref is not None else "" for ref in node.inputs]
        if refs and known.issuperset(refs):
            known.add(node.name)
            yield node


def _of_layer(node: NodeDecl, column: ColumnProfile) -> Iterator[str]:
    """Yield what a layer would learn from a column."""
    layer = node.layer
    if layer is None or not getattr(layer, "learns", False):
        return
    numbers = column.numbers
    match node.type:
        case "StringLookup" | "IntegerLookup":
            yield _vocabulary(column.at_least, column.distinct, "value", layer)
        case "TextVectorization" if column.words is not None:
            yield _vocabulary(column.words.at_least, sum(column.words.at_least[:1]), "word", layer)
        case "Impute" if numbers is not None and column.absent:
            strategy = getattr(layer, "strategy", "median")
            value = numbers.median if strategy == "median" else numbers.mean
            yield f"missing: {strategy} {value:.6g}"
        case "Normalization" if numbers is not None:
            yield f"mean {numbers.mean:.6g}, deviation {numbers.deviation:.6g}"
        case "MinMaxScaling" if numbers is not None:
            yield f"range {numbers.low:.6g} … {numbers.high:.6g}"
        case "Discretization":
            yield f"{getattr(layer, 'num_bins', None) or 'some'} bins"


def _vocabulary(at_least: Sequence[int], distinct: int, noun: str, layer: Any) -> str:
    """Return the size of a vocabulary: values that occur often enough, the most frequent ones."""
    count = getattr(layer, "min_count", 1)
    known = at_least[min(count, OCCURRENCES) - 1] if at_least else distinct
    most = getattr(layer, "max_tokens", None)
    size = known if most is None else min(known, most)
    if size == distinct:
        return f"{size:,} {noun}" + ("" if size == 1 else "s")
    bound = "at most " if count > OCCURRENCES else ""
    return f"{bound}{size:,} of {distinct:,} {noun}s"


def _of_head(spec: Spec, name: str, column: ColumnProfile) -> Iterator[str]:
    head = spec.heads.get(name)
    if head is None:
        return
    if column.kind == "text" and head.labels is None and column.listed:
        values = [value for value, _ in column.frequent]
        if head.loss is not None and targets_of(head.loss) == "labels":
            yield f"labels {''.join(sorted(set().union(*values)))}, and the blank"
            return
        labels = sorted(values)
        few = ", ".join(labels[:12]) + (", …" if len(labels) > 12 else "")
        yield f"labels {few}"
    elif getattr(head, "scale", None) and column.numbers is not None:
        yield f"mean {column.numbers.mean:.6g}, deviation {column.numbers.deviation:.6g}"
