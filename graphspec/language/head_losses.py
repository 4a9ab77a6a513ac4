"""Hints for names of losses that mean another loss for every head: ``crossentropy``, ``nll``, ``CrossEntropyLoss``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.base.synonyms.names import fold

if TYPE_CHECKING:
    from graphspec.language.tree import Tree

_BY_HEAD = frozenset(
    (
        *("crossentropy", "softmaxcrossentropy", "softmaxcrossentropywithlogits", "ce", "xent", "nll"),
        *("negativeloglikelihood", "loglikelihood", "log", "categorical", "classification", "logistic", "softmax"),
        *("binary", "sigmoid", "sigmoidcrossentropy", "bcewithlogits", "binarycrossentropywithlogits"),
    )
)
_LOGITS = frozenset(("bcewithlogits", "binarycrossentropywithlogits", "sigmoidcrossentropy"))
_ANY = (
    "use sparse_categorical_crossentropy for class ids or labels, categorical_crossentropy for one-hot targets, or "
    "binary_crossentropy for one unit with sigmoid"
)


def loss_hint(loss: object, node: Tree | None) -> str | None:
    """Return a hint for the name of a cross-entropy, by the units and the activation of the head's node.

    Args:
        loss: the value of ``loss``: a name, or a mapping with ``type``.
        node: the entry of the node, if it is known.
    """
    name = loss.get("type") if isinstance(loss, dict) else loss
    if not isinstance(name, str) or (folded := fold(name).removesuffix("loss")) not in _BY_HEAD:
        return None
    units, activation, subject = _answer(node)
    if folded in _LOGITS or folded in ("binary", "sigmoid") or units == 1 or activation == "sigmoid":
        if activation == "sigmoid":
            return "did you mean 'binary_crossentropy'?"
        if activation is None and (folded in _LOGITS or units is not None):
            return (
                f"{subject} has no activation: write `{{type: binary_crossentropy, from_logits: true}}`, or "
                "binary_crossentropy and `activation: sigmoid`"
            )
        return "did you mean 'binary_crossentropy'?"
    if activation == "softmax":
        return "did you mean 'sparse_categorical_crossentropy'? for one-hot targets, categorical_crossentropy"
    if units is not None and activation is None:
        return (
            f"{subject} has no activation: write `{{type: sparse_categorical_crossentropy, from_logits: true}}`, or "
            "sparse_categorical_crossentropy and `activation: softmax`"
        )
    return _ANY


def _answer(node: Tree | None) -> tuple[int | None, str | None, str]:
    """Return the units and the folded activation of a node, each None if unknown or missing, and its name."""
    if node is None or not isinstance(node.value, dict):
        return None, None, "the head"
    values = {key: child.value for key, child in node.value.items()}
    units, activation = values.get("units", values.get("filters")), values.get("activation")
    if isinstance(activation, dict):
        activation = activation["type"].value if "type" in activation else None
    if values.get("type") in ("Softmax", "softmax"):
        activation = "softmax"
    name = values.get("name")
    subject = f"'{name}'" if isinstance(name, str) else "the head"
    is_linear = not isinstance(activation, str) or fold(activation) in ("linear", "none")
    return units if isinstance(units, int) else None, None if is_linear else fold(str(activation)), subject
