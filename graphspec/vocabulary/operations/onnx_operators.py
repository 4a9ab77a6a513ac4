"""ONNX's operators as layers ``onnx.<name>``, made from the operators: attributes are arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import create_model

from graphspec.base.codes import Code
from graphspec.base.config import FROM_LIST
from graphspec.graph.kernels.context import need
from graphspec.graph.ops import OPS, Op
from graphspec.graph.ops.op import REQUIRED, declared_attributes
from graphspec.vocabulary import Builder, Value
from graphspec.vocabulary.layers.layer import Number
from graphspec.vocabulary.operations.operation import Operation, arguments_of, arity_of, inputs_of
from graphspec.vocabulary.operations.sampling import COMPOSED

PREFIX = "onnx."


class OnnxOperator(Operation):
    """Base: one operator of ONNX."""

    def number(self, g: Builder, value: Number, index: int, others: Sequence[Value]) -> Value:
        """Return the constant for a number: as ONNX promotes nothing, ``1`` is int64 and ``1.0`` is float32.

        The third input of Dropout is a bool, which no spec has among its inputs: 1 is true.
        """
        if (type(self).__name__, index) == ("Dropout", 2):
            return g.constant(bool(value), "bool")
        return g.constant(value)


@cache
def names() -> tuple[str, ...]:
    """Return the names of all operators that a file may contain."""
    own = {name for name in OPS if OPS[name].exported and OPS[name].in_specs}
    return tuple(f"{PREFIX}{name}" for name in sorted(own | COMPOSED.keys()))


def make(name: str) -> type[Operation] | None:
    """Return the layer of an operator: ``onnx.ReduceSum``; None if no file may contain it."""
    name_of_op = name.removeprefix(PREFIX)
    op, composed = OPS.get(name_of_op, Op), COMPOSED.get(name_of_op)
    if composed is None and (op is Op or not (op.exported and op.in_specs)):
        return None
    annotations = get_type_hints(op)
    fields: dict[str, Any] = {
        key: (_argument(annotations[key]), ... if default is REQUIRED else _plain(default))
        for key, default in declared_attributes(op).items()
    }
    fields |= {} if composed is None else arguments_of(composed)
    signature = composed or _signature(op)
    made = create_model(name, __base__=OnnxOperator, __module__=__name__, __doc__=(composed or op).__doc__, **fields)
    made.function = staticmethod(composed or partial(emit, name_of_op))
    made.signed_by = staticmethod(signature)
    made.arity = arity_of(inputs_of(signature))
    made.takes_strings = op.takes_texts
    return made


def emit(name: str, g: Builder, *inputs: Value | None, **attributes: Any) -> Value | tuple[Value, ...]:
    """Emit one operator, except for what would train in the exported file too.

    Its ``infer`` refuses what does not go together: another error than ShapeError is a fault of ours.
    """
    if name == "BatchNormalization" and attributes["training_mode"]:
        learnt = all(X is not None and X.kind == "param" for X in inputs[3:5])
        text = (
            "needs a Parameter for the mean and one for the variance, which training moves, if it has training_mode 1"
        )
        need(learnt, text, code=Code.VALUE_NOT_ALLOWED, hint="or use the layer BatchNormalization", key="training_mode")
    outputs: Value | tuple[Value, ...] = g.emit(name, inputs, attributes)
    return outputs


def _signature(op: type[Op]) -> Callable[..., Any]:
    """Return the function whose parameters behind the first one are the inputs: ``infer`` may share one for all arities."""
    is_shared = op.has_kernel and arity_of(inputs_of(op.infer))[1] is None
    own = partial(op.bind, None) if is_shared else op.infer
    return op.infer if arity_of(inputs_of(own))[1] is None else own


def _argument(kind: Any) -> Any:
    """Return the type of an attribute as one of an argument: a sequence is a tuple, made from a list."""
    parts = get_args(kind) if get_origin(kind) in (UnionType, Union) else (kind,)
    lists = [part for part in parts if get_origin(part) is Sequence]
    union: Any = Union[tuple(tuple[get_args(p)[0], ...] if p in lists else p for p in parts)]  # type: ignore[misc] # noqa: UP007
    return Annotated[union, FROM_LIST] if lists else union


def _plain(default: Any) -> Any:
    return tuple(default) if isinstance(default, list) else default
