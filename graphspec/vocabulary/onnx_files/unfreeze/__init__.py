"""Unfreezing: the nodes of an ONNX file become operators of the graph, and its weights train."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from graphspec.base.errors import ProblemError
from graphspec.graph.onnx_model import OPSET
from graphspec.graph.onnx_session import sanitized
from graphspec.vocabulary.onnx_files.reading import OnnxFile, at_opset
from graphspec.vocabulary.onnx_files.unfreeze.lowering import Unfrozen, unfreeze
from graphspec.vocabulary.onnx_files.unfreeze.tensors import FROZEN, Weight, refuse

__all__ = ["Unfrozen", "Weight", "model_for_training", "unfreeze"]


@lru_cache(maxsize=4)
def model_for_training(file: OnnxFile) -> Any:
    """Return the model of a file with the operators of our opset, or newer ones that it has itself."""
    try:
        return file.model if file.opset >= OPSET else at_opset(file.model, OPSET)
    except ProblemError as error:
        problem = error.problem
        text = f"takes '{sanitized(file.name)}', which {problem.message}"
        raise refuse(text, hint=problem.hint or FROZEN) from None
