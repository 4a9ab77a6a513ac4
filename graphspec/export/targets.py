"""The opsets and onnxruntime versions that a file can be written for."""

from __future__ import annotations

from graphspec.base.arguments import bad_argument
from graphspec.base.errors import UsageError
from graphspec.graph.onnx_model import IR_OF_OPSET, OPSET

STANDARD = "onnx"
"""The target of runtimes that have ONNX's own operators alone."""
TARGETS = {
    STANDARD: OPSET,
    "ort-1.14": 17,
    "ort-1.15": 19,
    "ort-1.16": 19,
    "ort-1.17": 20,
    "ort-1.18": 21,
    "ort-1.19": 21,
    "ort-1.20": 21,
    "ort-1.21": 22,
    "ort-1.22": 22,
    "ort-1.23": 23,
    "ort-1.24": 25,
    "ort-1.26": 26,
    "ort-1.27": 26,
    "ort-1.28": 26,
    "ort-1.29": 26,
    "ort-1.30": 26,
    "ort-1.32": 28,
}
"""The newest opset that a version of onnxruntime supports; for ``onnx`` the one that most runtimes support."""


def opset_of(opset: int | None, target: str | None) -> int | None:
    """Return the requested opset, None if neither argument is given; ``target`` is ``onnx``, or such as ``ort-1.20``.

    Raises:
        UsageError: both are given, or the opset or target is unknown.
    """
    if opset is not None and target is not None:
        raise UsageError("give either an opset or a target, not both")
    if opset is not None and (isinstance(opset, bool) or not isinstance(opset, int)):
        raise bad_argument("opset", "an integer", opset)
    if target is not None:
        if not isinstance(target, str) or target not in TARGETS:
            raise UsageError(f"unknown target {target!a}; known are {', '.join(TARGETS)}")
        return TARGETS[target]
    if opset is not None and opset not in IR_OF_OPSET:
        raise UsageError(f"opset {opset} is not supported; choose {min(IR_OF_OPSET)} to {max(IR_OF_OPSET)}")
    return opset


def has_contrib(target: str | None) -> bool:
    """Return whether the target has onnxruntime's own operators (``com.microsoft``), as every full build of it has."""
    return target != STANDARD


def newest_opset(version: str) -> int:
    """Return the newest opset that a version of onnxruntime (``1.30.1``) is known to support."""

    def parts(text: str) -> list[int]:
        return [int(n) for n in text.split(".")[:2]]

    known = [
        k for name, k in TARGETS.items() if name != STANDARD and parts(name.removeprefix("ort-")) <= parts(version)
    ]
    return max(known, default=OPSET)
