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


@draws("Formula")
def formula(d: Drawing, t: Tensor) -> Args | None:
    if not t.is_float or t.gaps:
        return None
    x, n = f"`{t.ref}`", d.number(0.1, 2)
    forms = (f"{x} * {n} - 1", f"abs({x}) ** 2 / {n + 1}", f"where({x} > 0, {x}, {n})", f"tanh({x}) * ({x} < {n})")
    return {"value": d.one(*forms)}


def joining(d: Drawing, node: Args, t: Tensor) -> list[Args]:
    """The node, sometimes a layer of its value alone, and a layer that joins it with ``t``."""
    nodes, name = [node], node["name"]
    if node["type"] == "RelativePositionBias":
        nodes.append({"name": f"{name}a", "type": "Flatten", "inputs": name})
        nodes.append({"name": f"{name}b", "type": "Dense", "units": t.features, "inputs": f"{name}a"})
    elif d.chance(0.4) and node.get("shape"):
        dense = {"type": "Dense", "units": node["shape"][-1]}
        between = d.one({"type": "LayerNormalization"}, dense, {"type": "Dropout", "rate": 0.3})
        nodes.append({"name": f"{name}b", "inputs": name, **between, **d.some(trainable=False)})
    both = [t.ref, nodes[-1]["name"]]
    join = {"type": d.one("Add", "Multiply", "Maximum"), "inputs": d.one(both, both[::-1])}
    return [*nodes, {"name": f"{name}c", **join}]


# Positions, tiles and messages


@draws("SinePositionEncoding", "RotaryEmbedding", "ClassToken")
def positions(d: Drawing, t: Tensor, name: str) -> Args | None:
    turned = name == "RotaryEmbedding"
    if not t.is_float or t.features is None or not (t.rank == 2 or (t.rank > 1 and not turned and name[0] == "S")):
        return None
    if turned:
        return d.some(max_wavelength=20.0, scaling_factor=2.0) if t.features % 2 == 0 else None
    return d.some(initializer="ones") if name == "ClassToken" else d.some(max_wavelength=20.0, add=True)


@draws("RelativePositionBias")
def relative(d: Drawing, t: Tensor) -> Args | None:
    if t.rank < 2 or not t.is_float or t.features is None or t.mask is not None or not isinstance(t.shape[0], int):
        return None
    buckets = d.some(num_buckets=8, bidirectional=False, max_distance=9)
    return {"num_heads": d.int(1, 3), **({"window_size": [1, t.shape[0]]} if d.chance(0.4) else buckets)}


@draws("ReversibleEmbedding", "TokenAndPositionEmbedding")
def tokens(d: Drawing, t: Tensor, name: str) -> Args | None:
    if t.ids is None or t.rank > 2 or (name[0] == "T" and t.rank != 1):
        return None
    size = t.ids + d.int(0, 2)
    if name == "ReversibleEmbedding":
        return {"input_dim": size, "output_dim": d.int(1, 4), **d.some(mask_zero=t.rank == 1, tie_weights=False)}
    longest = t.shape[0] if isinstance(t.shape[0], int) else 9
    return {"vocabulary_size": size, "sequence_length": longest, "embedding_dim": d.int(1, 4), **d.some(mask_zero=True)}


@draws("StochasticDepth", "LayerScale")
def branches(d: Drawing, t: Tensor, name: str) -> Args | None:
    if not t.is_float or t.features is None:
        return None
    return d.some(rate=0.2, seed=4) if name == "StochasticDepth" else d.some(init_values=0.3, gamma_regularizer="l2")


@draws("Patches", "SpaceToDepth", "DepthToSpace")
def tiles(d: Drawing, t: Tensor, name: str) -> Args | None:
    if t.rank != 3 or t.features is None or t.dtype == "bool":
        return None
    if name == "DepthToSpace":
        return {"block_size": 2 if t.features % 4 == 0 else 1}
    sizes = [[k for k in (1, 2, 3) if n % k == 0] if isinstance(n, int) else [] for n in t.shape[:2]]
    if name == "Patches" and all(sizes):
        return {"patch_size": [d.among(size) for size in sizes]}
    both = [k for k in sizes[0] if k in sizes[1]]
    return {"block_size": d.among(both)} if both and name != "Patches" else None


@draws("GatherNodes", "SegmentSum", "SegmentMean", "SegmentMax", "SegmentSoftmax")
def messages(d: Drawing, t: Tensor, name: str) -> Args | None:
    if not t.is_float or t.rank != 2 or t.features is None:
        return None
    steps = t.shape[0]
    fits = d.others(lambda o: o.ids is not None and o.rank == 1 and o.dtype != "bool")
    if name == "GatherNodes":
        ids = [o for o in fits if isinstance(steps, int) and o.ids is not None and o.ids <= steps]
        if not ids and (not t.exact or not isinstance(steps, int)):
            return None
        return {"inputs": [t.ref, d.among(ids).ref]} if ids else {"before": [_largest(t, 1)], "inputs": [t.ref, "@a"]}
    ids = [o for o in fits if o.shape[0] == steps]
    segments = {"num_segments": d.int(1, 4)}
    if not ids:
        return segments | {"before": [_largest(t, 2)], "inputs": [t.ref, "@a"]} if t.exact else None
    return segments | {"inputs": [t.ref, d.among(ids).ref]}


def _largest(t: Tensor, axis: int) -> Args:
    """A node of ids: where the largest elements along an axis are."""
    return {"name": "@a", "type": "ops.argmax", "inputs": t.ref, "axis": axis}


@draws("DotInteraction")
def interaction(d: Drawing, t: Tensor) -> Args | None:
    if not t.is_float or t.features is None or not (t.rank == 1 or (t.rank == 2 and isinstance(t.shape[0], int))):
        return None
    fits = d.others(lambda o: o.is_float and o.rank == 1 and o.features == t.features)
    if not fits:
        return None
    more = [d.among(fits).ref for _ in range(d.int(1, 2))]
    return {"inputs": [t.ref, *more], "self_interaction": d.chance(0.5), "skip_gather": d.chance(0.3)}
