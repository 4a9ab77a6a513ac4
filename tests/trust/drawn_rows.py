"""Rows for specs that were drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trust.drawn import Args
from trust.drawn_specs import Drawn

Array = np.ndarray[Any, Any]


def rows(drawn: Drawn, graph: Any, count: int, lengths: Mapping[str, int], r: np.random.Generator) -> tuple[Args, Args]:
    """Random inputs and targets; ``lengths`` are those of the axes that vary."""
    x: Args = {}
    for name, value in graph.inputs.items():
        shape = (count, *(lengths[s] if isinstance(s, str) else s for s in value.shape[1:]))
        high = drawn.ids.get(name, {"uint8": 256, "bool": 2}.get(value.dtype, 5))
        whole = value.dtype != "float32"
        x[name] = r.integers(0, high, shape).astype(value.dtype) if whole else r.normal(size=shape).astype("float32")
    shapes = {name: a.shape for name, a in x.items()}
    return x, {head: _targets(kind, shapes, head, graph, r) for head, kind in drawn.targets.items()}


def _targets(kind: str, shapes: Args, head: str, graph: Any, r: np.random.Generator) -> Array:
    from graphspec.graph.shapes import infer_shapes

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
    if kind == "shares":
        made = r.uniform(0.1, 1, shape)
        return (made / made.sum(-1, keepdims=True)).astype("float32")
    return r.normal(size=shape).astype("float32")
