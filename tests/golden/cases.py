"""The layers' golden cases: small specs of graphspec, read by `make_keras.py`.

A case is a dict: `id`, `spec`, `training` (false), `batch` (2), `time` (length of a null axis, 5), `values` (of inputs,
where random ones will not do).
"""

from __future__ import annotations

from typing import Any

import numpy as np

Case = dict[str, Any]

# Row by row: nothing masked, padded, leading and trailing padding, gaps, all masked.
GAPS = [[1, 2, 3, 4, 5], [3, 1, 2, 0, 0], [0, 0, 2, 4, 0], [1, 0, 3, 0, 2], [0, 0, 0, 0, 0]]
PADDED = [[1, 2, 3, 4, 5], [3, 1, 2, 0, 0], [4, 0, 0, 0, 0]]
GAPS2 = [[1, 0, 3, 4, 0], [3, 1, 2, 0, 0], [0, 1, 0, 4, 0], [1, 0, 3, 0, 2], [0, 0, 0, 1, 0]]


def spec(name: str, inputs: dict[str, Any], layers: list[dict[str, Any]], outputs: dict[str, Any]) -> dict[str, Any]:
    """A mini spec; an input is its shape or a mapping."""
    inputs = {key: value if isinstance(value, dict) else {"shape": value} for key, value in inputs.items()}
    return {"graphspec": 1, "name": name, "inputs": inputs, "layers": layers, "outputs": outputs}


def single(label: str, shape: list[int | None], cls: str, args: dict[str, Any], **extra: Any) -> Case:
    """One float input `x`, one node `y`."""
    name = f"{cls}-{label}"
    return {"id": name, "spec": spec(name, {"x": shape}, [{"name": "y", "type": cls, **args}], {"y": {}}), **extra}


def graph(
    name: str,
    inputs: dict[str, Any],
    *layers: dict[str, Any],
    outputs: dict[str, Any] | None = None,
    values: dict[str, Any] | None = None,
    **extra: Any,
) -> Case:
    """Several nodes; the head is `y` unless `outputs` says otherwise."""
    made = spec(name, inputs, list(layers), outputs or {"y": {}})
    return {"id": name, "spec": made, "values": values or {}, **extra}


def masked(
    name: str, ids: list[list[int]], *layers: dict[str, Any], dim: int = 3, time: int | None = None, **extra: Any
) -> Case:
    """Ids through an Embedding with mask_zero into the layers; their number varies unless `time` fixes it."""
    embed = {"name": "embed", "type": "Embedding", "input_dim": 6, "output_dim": dim, "mask_zero": True}
    inputs = {"ids": {"shape": [time], "dtype": "int64"}}
    return graph(name, inputs, embed, *layers, values={"ids": np.array(ids)}, batch=len(ids), **extra)


def masking(name: str, ids: list[list[int]], *layers: dict[str, Any], dim: int = 3, **extra: Any) -> Case:
    """A float sequence, zero where `ids` is, through Masking into the layers."""
    keep = np.array(ids) != 0
    x = np.random.default_rng(len(name)).normal(size=(*keep.shape, dim)) * keep[..., None]
    first = {"name": "mask", "type": "Masking"}
    return graph(name, {"x": [None, dim]}, first, *layers, values={"x": x}, batch=len(ids), **extra)
