"""Rows for specs that were drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trust.drawn import Args
from trust.drawn_records import MISSING, WORDS
from trust.drawn_specs import Drawn

Array = np.ndarray[Any, Any]


def inputs(drawn: Drawn, model: Any, count: int, lengths: Mapping[str, int], r: np.random.Generator) -> Args:
    """Random inputs, with gaps where they may have some; ``lengths`` are those of the axes that vary."""
    x: Args = {}
    gaps = model.needed_inputs.gaps
    for name, value in model.whole.inputs.items():
        shape = (count, *(lengths[s] if isinstance(s, str) else s for s in value.shape[1:]))
        high = drawn.ids.get(name, {"uint8": 256, "bool": 2}.get(value.dtype, 5))
        if value.type.is_string:
            x[name] = np.array(WORDS, object)[r.integers(0, len(WORDS), shape)]
            x[name][:4] = np.array([*WORDS[:2]] * 2, object).reshape(4, *[1] * (len(shape) - 1))
            continue
        whole = value.dtype != "float32"
        x[name] = r.integers(0, high, shape).astype(value.dtype) if whole else r.normal(size=shape).astype("float32")
        if name in gaps and not (whole and name in drawn.ids and value.dtype != "int64"):
            x[name][2:][r.random(x[name][2:].shape) < 0.3] = MISSING if whole else np.nan
    return x


def targets(drawn: Drawn, model: Any, x: Args, r: np.random.Generator) -> Args:
    """Random targets for these rows, of a model that has learnt what it learns."""
    graph, shapes = model.graph, {name: a.shape for name, a in model.through_prelude(x).items()}
    return {head: _targets(kind, shapes, head, graph, r) for head, kind in drawn.targets.items()}


def _targets(kind: str, shapes: Args, head: str, graph: Any, r: np.random.Generator) -> Array:
    from graphspec.graph.analysis import infer_shapes

    if head not in graph.outputs:  # a term of the loss: a bit for each row
        return r.integers(0, 2, next(iter(shapes.values()))[:1]).astype("float32")
    value = graph.outputs[head]
    known = {} if value.name in shapes else infer_shapes(graph, graph.needed([value]), shapes)
    shape = known[value.name].shape if known else shapes[value.name]  # a head may be what comes in
    if kind == "bits":
        return r.integers(0, 2, shape).astype("float32")
    if kind == "signs":
        return (r.integers(0, 2, shape) * 2 - 1).astype("float32")
    if kind == "positive":
        return r.uniform(0.5, 2, shape).astype("float32")
    if kind == "labels":
        return r.integers(1, shape[-1], (shape[0], 1))
    if kind == "ids":
        return r.integers(0, shape[-1], shape[:-1])
    if kind == "one_hot":
        return np.eye(shape[-1], dtype="float32")[r.integers(0, shape[-1], shape[:-1])]
    if kind == "times":
        return r.integers(0, 2, (shape[0], 2)).astype("float32")
    if kind == "counts":
        return r.integers(0, 5, shape[:-1]).astype("float32")
    if kind == "one":
        return r.normal(size=shape[:-1]).astype("float32")
    if kind == "shares":
        made = r.uniform(0.1, 1, shape)
        return (made / made.sum(-1, keepdims=True)).astype("float32")
    return r.normal(size=shape).astype("float32")
