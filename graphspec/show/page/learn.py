"""What a page needs to teach a network names of a visitor's own: what its last weights read, and a step of a new head."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from graphspec.base.errors import UsageError
from graphspec.engine.compiler.check import check
from graphspec.engine.runtime.session import Session
from graphspec.export.training_step import KEY, export_training_step

MOST = 10
"""Names that a page learns: classes of the head in the step, whose unused ones have a bias that makes them impossible."""
_WIDEST = 1 << 13  # numbers that a head may read


def with_features(file: Path, heads: Sequence[str]) -> tuple[bytes, list[str], int]:
    """Return an exported file that also answers what the last weights before its heads read, with its names and its size.

    Of a mean of several networks, or of members, it is what the last weights of each one read.

    Raises UsageError: nothing before the heads reads a row as numbers of a fixed count, or these are too many.
    """
    import onnx

    model = onnx.load(file)
    shapes = {v.name: v.type.tensor_type.shape.dim for v in onnx.shape_inference.infer_shapes(model).graph.value_info}
    weights = {weight.name for weight in model.graph.initializer}
    made_by = {output: node for node in model.graph.node for output in node.output}
    found, seen, waiting = dict[str, list[int]](), set[str](), list(heads)
    while waiting:
        node = made_by.get(name := waiting.pop(0))
        if name in seen or node is None:
            continue
        seen.add(name)
        read = node.input[0] if node.op_type in ("MatMul", "Gemm") and node.input[1] in weights else ""
        if read in made_by and made_by[read].op_type == "Transpose":
            read = made_by[read].input[0]  # members are before rows only for this product
        batch, *sizes = shapes.get(read, [None])
        if batch is not None and not batch.dim_value and sizes and all(d.dim_value for d in sizes):
            found[read] = [d.dim_value for d in sizes]
        else:
            waiting += node.input
    if not 0 < (size := sum(map(math.prod, found.values()))) <= _WIDEST:
        why = f"read {size:,} numbers of a row, more than {_WIDEST:,}" if size else "do not read a row as some numbers"
        raise UsageError(f"this network cannot be taught on a page: the last weights before its heads {why}")
    model.graph.output.extend(onnx.helper.make_tensor_value_info(n, 1, ["N", *sizes]) for n, sizes in found.items())
    return model.SerializeToString(), list(found), size


def step_of(size: int) -> tuple[bytes, dict[str, Any]]:
    """Return a training step of a head for :data:`MOST` classes that reads ``size`` numbers, and its record.

    A page begins with zeros, from which a single layer learns as well, and which need no room.
    """
    import onnx

    document = {
        "graphspec": 1,
        "name": "own",
        "inputs": {"features": {"shape": [size]}},
        "layers": [{"name": "own", "type": "Dense", "units": MOST, "activation": "softmax"}],
        "outputs": {"own": {"loss": "sparse_categorical_crossentropy"}},
        "training": {"optimizer": {"type": "Adam", "learning_rate": 0.02}},
    }
    with TemporaryDirectory(prefix="graphspec-") as temporary:
        file = Path(temporary) / "step.onnx"
        export_training_step(Session(*check(document).require()), file)
        step = onnx.load(file)
    return step.SerializeToString(), json.loads(next(p.value for p in step.metadata_props if p.key == KEY))
