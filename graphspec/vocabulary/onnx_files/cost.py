"""The multiply-adds of a part of an ONNX file: the shapes of its products are found by running it on one row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from graphspec.graph.ir.graph import numpy_dtype
from graphspec.graph.ops import OPS, Op
from graphspec.graph.ops.base import declared_attributes
from graphspec.vocabulary.onnx_files.loading import SECONDS, loaded, run_for

Shapes = tuple[tuple[int, ...], ...]


class Part(Protocol):
    """A part of a file, as :class:`graphspec.vocabulary.onnx_files.part.Part`."""

    @property
    def inputs(self) -> Sequence[tuple[str, str]]:
        """The inputs with their dtypes."""

    def model(self) -> Any:
        """Return the part as a model of its own."""


@lru_cache(maxsize=64)
def multiply_adds(part: Part, shapes: Shapes) -> int:
    """Return the multiply-adds of the products in the main graph for inputs of these shapes; 0 if it cannot be computed.

    Products in branches and loops are not counted.
    """
    from onnx import ValueInfoProto

    model = part.model()
    weights = {t.name: tuple(t.dims) for t in model.graph.initializer}
    products = [node for node in model.graph.node if _is_product(node)]
    wanted = {name for node in products for name in (*node.input, *node.output[:1]) if name and name not in weights}
    wanted -= {value.name for value in (*model.graph.input, *model.graph.output)}
    model.graph.output.extend(ValueInfoProto(name=name) for name in sorted(wanted))
    feeds = {
        f"x{k}": _zeros(shape, dtype) for k, (shape, (_, dtype)) in enumerate(zip(shapes, part.inputs, strict=True))
    }
    try:
        runner = loaded(model, optimised=False)
        values = run_for(runner, feeds, SECONDS)
    except Exception:  # onnxruntime's exceptions have no common class; it may take too long, too
        return 0
    known = weights | {name: np.shape(array) for name, array in feeds.items()}
    known |= {output.name: np.shape(v) for output, v in zip(runner.get_outputs(), values, strict=True)}
    return sum(_count(node, known) for node in products)


def _is_product(node: Any) -> bool:
    known = node.domain in ("", "ai.onnx") and node.op_type in OPS
    return known and OPS[node.op_type].multiply_adds is not Op.multiply_adds


def _count(node: Any, known: Mapping[str, tuple[int, ...]]) -> int:
    from onnx import helper

    cls = OPS[node.op_type]
    declared = declared_attributes(cls)
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute if a.name in declared}
    op = object.__new__(cls)
    vars(op).update(declared | {name: _text(value) for name, value in given.items()})
    shapes: Sequence[tuple[int, ...]] = [known[name] if name else () for name in node.input]
    return op.multiply_adds(shapes, known[node.output[0]] if node.output[0] else ())


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _zeros(shape: tuple[int, ...], dtype: str) -> Any:
    return np.full(shape, "", object) if dtype == "string" else np.zeros(shape, numpy_dtype(dtype))
