"""Run the prelude of a graph, which onnxruntime computes: on one batch, or on all rows of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from graphspec.base.codes import Code
from graphspec.base.errors import RunError
from graphspec.graph.ir.dims import Dim
from graphspec.graph.ir.graph import Array, Graph
from graphspec.graph.onnx_model import model_of, opset_for
from graphspec.graph.onnx_session import failure, session
from graphspec.graph.passes import FOR_OPSET, prepare
from graphspec.graph.target import Target


class Prelude:
    """A graph without weights, computed by onnxruntime."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __getstate__(self) -> dict[str, Any]:
        return {"graph": self.graph}

    @cached_property
    def serialized(self) -> bytes:
        """The prelude as an ONNX file: the same bytes for the same computation."""
        opset = opset_for(self.graph)
        model = model_of(prepare(self.graph, FOR_OPSET, Target(opset=opset)), opset=opset)
        data: bytes = model.SerializeToString(deterministic=True)
        return data

    @cached_property
    def _names(self) -> list[str]:
        return list(self.graph.outputs)

    @cached_property
    def _types(self) -> dict[str, Any]:
        """The dtypes of the inputs, None for texts: integers may be given as numbers."""
        return {name: None if v.dtype == "string" else np.dtype(v.dtype) for name, v in self.graph.inputs.items()}

    @cached_property
    def _session(self) -> Any:
        return session(self.serialized)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs for one batch, by name. Texts are arrays of ``object``.

        Raises:
            RunError: GS605, onnxruntime cannot compute them.
        """
        rows = len(next(iter(feeds.values()))) if feeds else 0
        if rows == 0:  # some of onnxruntime's operators on texts refuse a batch without rows
            return {name: np.empty(_no_rows(v.shape), v.dtype) for name, v in self.graph.outputs.items()}
        given = {name: np.asarray(feeds[name], dtype) for name, dtype in self._types.items()}
        try:
            values = self._session.run(self._names, given)
        except Exception as error:
            text = f"onnxruntime fails to prepare rows: {failure(error)}"
            raise RunError(Code.PREPARATION_FAILED, text) from error
        return dict(zip(self._names, values, strict=True))

    @cached_property
    def padding(self) -> dict[str, Any]:
        """The value that pads rows with fewer words, by output with an axis that varies.

        It is found by computing an empty text beside a longer one.
        """
        varying = {n: v for n, v in self.graph.outputs.items() if any(isinstance(d, str) for d in v.shape[1:])}
        if not varying:
            return {}
        found = self.run({name: _probe(v.dtype, v.shape) for name, v in self.graph.inputs.items()})
        return {name: found[name][0].reshape(-1)[-1] if found[name][0].size else 0 for name in varying}


def _no_rows(shape: tuple[Dim, ...]) -> tuple[int, ...]:
    return (0, *(d if isinstance(d, int) else 0 for d in shape[1:]))


def _probe(dtype: str, shape: tuple[Dim, ...]) -> Array:
    """Return two rows: one with empty texts, and one with long ones."""
    sizes = tuple(int(d) if isinstance(d, int) else 1 for d in shape[1:])
    if dtype != "string":
        return np.zeros((2, *sizes), dtype)
    rows = np.full((2, *sizes), "", object)
    rows[1] = "a 1 b 2 c 3, d. 4"  # words, numbers and punctuation: some tokens for every expression
    return rows
