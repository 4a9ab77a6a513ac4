"""Values without a batch axis, such as parameters: layers see them as a batch of one row.

A value lacks the batch axis if ``N`` is in none of its dimensions. If no input of a layer has the axis, its outputs lack it,
too. Beside inputs that have it, a value is repeated for each row, unless the layer broadcasts rows itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from graphspec.graph.ir.dims import has_rows

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value
    from graphspec.vocabulary.layers.base import Layer

Inputs = Sequence["Value | None"]
Calls = Mapping[str, Sequence["Value"]]


def lower_layer(
    layer: Layer, g: Builder, inputs: Inputs, calls: Calls, options: Mapping[str, bool]
) -> tuple[Value, ...]:
    """Return the outputs of a layer, some of whose inputs may lack the batch axis."""
    run = partial(_outputs, layer, g, options)
    every = [*(v for v in inputs if v is not None), *(v for values in calls.values() for v in values)]
    with_rows = [v for v in every if has_rows(v.shape)]
    if layer.takes_values_as_they_are or len(with_rows) == len(every):
        return run(inputs, calls)
    if with_rows:
        like = next((v for v in with_rows if v.shape[0] == "N"), with_rows[0])
        size = None if layer.broadcasts_rows else g.size(like, 0)
        rows = {v.name: v if has_rows(v.shape) else _with_rows(g, v, size) for v in every}
        return run(*_replaced(inputs, calls, rows))
    g.one_row = True
    rows = {v.name: _with_rows(g, v, None) for v in every}
    return tuple(_without_rows(g, v) for v in run(*_replaced(inputs, calls, rows)))


def _outputs(layer: Layer, g: Builder, options: Mapping[str, bool], inputs: Inputs, calls: Calls) -> tuple[Value, ...]:
    values = layer.lower(g, *inputs, **calls, **options)
    outputs = values if isinstance(values, tuple) else (values,)
    if not layer.penalizes_itself:
        g.penalize(getattr(layer, "activity_regularizer", None), *outputs)
    return outputs


def _replaced(inputs: Inputs, calls: Calls, rows: Mapping[str, Value]) -> tuple[Inputs, Calls]:
    replaced = {key: [rows[v.name] for v in values] for key, values in calls.items()}
    return [None if v is None else rows[v.name] for v in inputs], replaced


def _with_rows(g: Builder, X: Value, size: int | Value | None) -> Value:
    """Return a value as a batch of one row, or of ``size`` equal rows."""
    Y: Value = g.Unsqueeze(X, g.constant([0]))
    if size is not None:
        Y = g.Expand(Y, g.ints([size, *(1,) * X.rank]))
    return Y.with_mask(None if X.mask is None else _with_rows(g, X.mask, size))


def _without_rows(g: Builder, Y: Value) -> Value:
    """Return the only row of a batch."""
    X: Value = g.Squeeze(Y, g.constant([0]))
    return X.with_mask(None if Y.mask is None else _without_rows(g, Y.mask))
