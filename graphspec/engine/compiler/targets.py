"""Heads that compare with an input or a node, not with an array of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.base.codes import Code
from graphspec.base.errors import Problem
from graphspec.graph.ir.dims import show
from graphspec.graph.ir.graph import Type, Value
from graphspec.graph.ir.ranges import Range

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.language.declarations import HeadDecl
    from graphspec.vocabulary.losses import Loss


def fails(loss: Loss, y_pred: Value) -> bool:
    """Return whether a loss cannot be computed for a head at all."""
    return any(problem.severity == "error" for problem in loss.check(y_pred))


def check_target(loss: Loss, y_pred: Value, target: Value) -> Problem | None:
    """Return GS402 if a loss cannot compare a head with ``target``; the subject of the message is the head."""
    name = type(loss).__name__
    if loss.targets == "none":
        return Problem(Code.LOSS_MISMATCH, f"has a `target`, but {name} compares with nothing", "remove `target`")
    if loss.targets == "labels":
        text = f"has a `target`, but {name} needs label sequences with their lengths, which only data have"
        return Problem(Code.LOSS_MISMATCH, text, "remove `target`, and store the labels in the data")
    expected = loss.target(y_pred)
    if not expected.is_float and (target.type.is_float or target.type.is_string):
        text = f"compares with {target.dtype} values, but the targets of {name} are integers"
        return Problem(Code.LOSS_MISMATCH, text, "declare the input with `dtype: int64`, or use a loss of numbers")
    if target.type.is_string:
        return Problem(
            Code.LOSS_MISMATCH, "compares with texts, but a loss compares numbers", "use a layer that encodes them"
        )
    allowed = class_ids(loss, y_pred)
    if allowed is not None and target.range is not None and not target.range.within(allowed):
        text = f"has {int(allowed.high) + 1} classes, but its target has ids from {target.range.low} to {target.range.high}"
        return Problem(Code.CLASSES_MISMATCH, text, "give the head a unit for each id")
    if _axes(target, expected) is None:
        text = f"compares with values of shape {show(target.shape)}, but {name} expects {show(expected.shape)}"
        return Problem(Code.LOSS_MISMATCH, text, "give both the same shape, for example with a Reshape")
    return None


def _axes(target: Value, expected: Type) -> str | None:
    """Return how the target gets the expected shape: as it is (an empty text), with an axis more or less; else None."""
    if target.shape == expected.shape:
        return ""
    if (*target.shape, 1) == expected.shape:
        return "add"
    return "drop" if target.shape == (*expected.shape, 1) else None


def lower_target(g: Builder, head: HeadDecl, y_pred: Value, target: Value) -> Value:
    """Emit the target that the loss expects; no gradient flows through it unless the head says so."""
    assert head.loss is not None
    expected = head.loss.target(y_pred)
    axes = _axes(target, expected)
    target = target.with_mask(None)
    if axes:
        last = g.constant([target.rank - (axes == "drop")])
        target = g.Unsqueeze(target, last) if axes == "add" else g.Squeeze(target, last)
    if target.dtype != expected.dtype:
        target = g.Cast(target, to=expected.dtype)
    if target.kind == "op" and not head.target_gradient:
        target = g.StopGradient(target)
    classes = class_ids(head.loss, y_pred)
    return target if classes is None else g.CheckIds(target, size=int(classes.high) + 1, argument="units")


def class_ids(loss: Loss, y_pred: Value) -> Range | None:
    """Return the ids of classes that a loss accepts; None if its targets are no ids, or if it ignores one of them."""
    axis = loss.class_axis(y_pred)
    if loss.targets != "ids" or axis is None or getattr(loss, "ignore_class", None) is not None:
        return None
    size = y_pred.shape[axis]
    return Range(0, size - 1) if isinstance(size, int) else None
