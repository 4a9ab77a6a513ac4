"""Random arguments for layers without inputs, and what joins them with a value of the graph."""

from __future__ import annotations

from typing import Any

from trust.drawn import Args, Drawing, Tensor, draws


def _alone(d: Drawing, t: Tensor) -> list[int] | None:
    """A shape that broadcasts with ``t`` without its batch."""
    if not t.plain or not t.is_float or t.mask is not None:
        return None
    shape = [n if isinstance(n, int) and d.chance(0.8) else 1 for n in t.shape]
    return shape[d.int(0, len(shape)) if d.chance(0.3) else 0 :]


def _values(d: Drawing, sizes: list[int]) -> Any:
    """Numbers in nested lists of these sizes."""
    return [_values(d, sizes[1:]) for _ in range(sizes[0])] if sizes else d.number(-1, 1)


@draws("Parameter")
def parameter(d: Drawing, t: Tensor) -> Args | None:
    shape = _alone(d, t)
    if shape is None:
        return None
    penalty = d.some(regularizer=d.regularizer(), constraint=d.one("non_neg", "max_norm") if len(shape) == 2 else None)
    start = {"initializer": d.initializer()} if len(shape) == 2 else d.some(initializer="ones")
    if d.chance(0.2):
        start = {"initializer": {"type": "Array", "value": _values(d, shape)}}
    elif d.chance(0.1):
        start = {"initializer": {"type": "Constant", "value": _values(d, shape[-1:])}}
    return {"shape": shape, "inputs": [], **start, **{k: v for k, v in penalty.items() if v is not None}}


@draws("Constant")
def constant(d: Drawing, t: Tensor) -> Args | None:
    shape = _alone(d, t)
    if shape is None:
        return None
    return {"value": _values(d, shape), "inputs": []}


def joining(d: Drawing, node: Args, t: Tensor) -> list[Args]:
    """The node, sometimes a layer of its value alone, and a layer that joins it with ``t``."""
    nodes = [node]
    if d.chance(0.4) and node.get("shape"):
        dense = {"type": "Dense", "units": node["shape"][-1]}
        between = d.one({"type": "LayerNormalization"}, dense, {"type": "Dropout", "rate": 0.3})
        nodes.append({"name": f"{node['name']}b", "inputs": node["name"], **between, **d.some(trainable=False)})
    both = [t.ref, nodes[-1]["name"]]
    join = {"type": d.one("Add", "Multiply", "Maximum"), "inputs": d.one(both, both[::-1])}
    return [*nodes, {"name": f"{node['name']}c", **join}]
