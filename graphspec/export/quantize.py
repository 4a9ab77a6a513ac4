"""Quantize an exported file: smaller numbers for the weights of its network, the rest as it was.

Only the *core* changes: the nodes between the first and the last one with weights. What comes before it (texts, lookups,
statistics of raw numbers) and after it (a softmax, the unit of a target, labels) computes the same bits in float32.
onnxruntime's tools convert the core; the result has ONNX's own operators alone.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from graphspec.export.quantize_core import Core, weights_of
from graphspec.export.quantize_int8 import Conversion, to_int8
from graphspec.graph.ir.graph import Array

Kind = Literal["int8", "float16"]
KINDS: tuple[Kind, ...] = ("int8", "float16")


def quantized(proto: Any, kind: Kind, calibration: Callable[[], Mapping[str, Array]]) -> tuple[Any, Conversion]:
    """Return a converted copy of an ``onnx.ModelProto``, and what was done. Metadata and documentation stay.

    Args:
        calibration: returns rows by input, for the ranges of the activations; called for networks with convolutions.

    ``weights`` is 0 if there is nothing to convert.
    """
    import onnx

    core = Core(proto)
    if not core.nodes:
        return proto, Conversion("nothing", 0)
    part = core.model()
    with _quiet(), tempfile.TemporaryDirectory(prefix="graphspec-") as folder:
        if kind == "float16":
            part, done = _to_float16(part)
        else:
            part, done = to_int8(part, Path(folder), core, calibration)
    new = core.replaced_by(part)
    onnx.checker.check_model(new)
    return new, done


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence onnxruntime's tools, which write to the root logger and would configure it."""
    root, handler, before = logging.getLogger(), logging.NullHandler(), logging.root.manager.disable
    root.addHandler(handler)
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        root.removeHandler(handler)


def _to_float16(part: Any) -> tuple[Any, Conversion]:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    initial = {i.name: i for i in part.graph.initializer}
    names = {name for node in part.graph.node for name in weights_of(node, initial)}
    count = sum(int(np.prod(initial[name].dims)) for name in names)
    return convert_float_to_float16(part, keep_io_types=True), Conversion("float16 arithmetic", count)
