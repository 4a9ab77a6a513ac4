"""Unfreezing: the nodes of an ONNX file become operators of the graph, and its weights train.

``lower_model`` is for layers; ``unfreeze`` also returns the table of what trains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from graphspec.base.errors import ProblemError
from graphspec.graph.onnx_model import OPSET
from graphspec.graph.onnx_session import sanitized
from graphspec.vocabulary.onnx_files.reading import OnnxFile, at_opset
from graphspec.vocabulary.onnx_files.unfreeze.constants import FROZEN, refuse
from graphspec.vocabulary.onnx_files.unfreeze.lowering import Unfrozen, unfreeze
from graphspec.vocabulary.onnx_files.unfreeze.weights import Weight

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

__all__ = ["Unfrozen", "Weight", "lower_model", "model_for_training", "unfreeze"]


@lru_cache(maxsize=4)
def model_for_training(file: OnnxFile) -> Any:
    """Return the model of a file with the operators of our opset, or newer ones that it has itself."""
    try:
        return file.model if file.opset >= OPSET else at_opset(file.model, OPSET)
    except ProblemError as error:
        problem = error.problem
        raise refuse(f"takes '{sanitized(file.name)}', which {problem.message}", problem.hint or FROZEN) from None


def lower_model(
    g: Builder,
    model: Any,
    inputs: Mapping[str, Value],
    outputs: Sequence[str],
    trainable: bool | Sequence[str],
    *,
    batch_statistics: bool = False,
) -> tuple[Value, ...]:
    """Lower the nodes of a file that ``outputs`` need, and return these.

    Args:
        model: an ``onnx.ModelProto`` of opset 17 or newer, without local functions and external data.
        inputs: a value for each input that ``outputs`` need, by its name in the file.
        outputs: names of tensors of the file.
        trainable: true for all tensors in the places of weights, or patterns of their names.
        batch_statistics: whether BatchNormalization normalizes by the batch in training, and moves its statistics.

    Raises:
        ShapeError: the file cannot be unfrozen, or does not fit its inputs. The message names the file's nodes.
    """
    patterns = None if isinstance(trainable, bool) else trainable
    return unfreeze(g, model, inputs, outputs, patterns, batch_statistics=batch_statistics).outputs
