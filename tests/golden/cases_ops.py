"""What the golden cases of operations are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import Case, spec

INT: dict[str, Any] = {"dtype": "int64"}
BOOL: dict[str, Any] = {"dtype": "bool"}


def op(
    name: str,
    label: str,
    *inputs: Any,
    mixes: bool = False,
    beside: bool = False,
    between: tuple[float, float] = (-2, 2),
    **args: Any,
) -> Case:
    """One operation of inputs `a`, `b`, …, which are shapes or mappings; a number stands for itself, a
    tuple for a list of numbers.

    Args:
        mixes: whether a row of the output depends on several rows.
        beside: whether the output has no batch axis: the head, which needs one, is then the sum of it and `a`.
        between: the bounds of random floats.
    """
    case = f"ops.{name}-{label}"
    random = np.random.default_rng(sum(map(ord, case)))
    declared: dict[str, Any] = {}
    values: dict[str, Any] = {}
    listed: list[Any] = []
    for given in inputs:
        if isinstance(given, int | float | tuple):
            listed.append(list(given) if isinstance(given, tuple) else given)
            continue
        key = "abcdef"[len(declared)]
        item = dict(given) if isinstance(given, dict) else {"shape": given}
        low, high = item.pop("between", between)
        size = (2, *(5 if d is None else d for d in item["shape"]))
        dtype = item.get("dtype", "float32")
        drawn = random.integers(0, 2, size) if dtype == "bool" else random.integers(int(low), int(high) + 1, size)
        values[key] = (random.uniform(low, high, size) if dtype == "float32" else drawn).astype(dtype)
        declared[key] = item
        listed.append(key)
    node = {
        "name": "r" if beside else "y",
        "type": "GetItem" if name == "get_item" else f"ops.{name}",
        "inputs": listed if len(listed) > 1 else listed[0],
        **args,
    }
    joined = [{"name": "y", "type": "ops.add", "inputs": ["a", "r"]}] if beside else []
    made = spec(case, declared, [node, *joined], {"y": {}})
    return {"id": case, "spec": made, "values": values, "mixes": mixes or beside}
