"""graphspec: neural networks as data. Check a spec, train it with NumPy, and export it to a proved ONNX file.

import graphspec as gs

model = gs.compile("specs/newswires.yaml")
history = model.fit()
model.export("newswires.onnx")
"""

from __future__ import annotations

from graphspec.version import __version__

TYPE_CHECKING = False  # importing `typing` would take longer than the rest of this module
if TYPE_CHECKING:
    from typing import Any

    from graphspec.api import History, Model, compile, load  # noqa: A004
    from graphspec.errors import Diagnostic, GraphspecError, RunError, SpecError, UsageError
    from graphspec.language.declarations import Spec
    from graphspec.validation import validate

__all__ = [
    "Diagnostic",
    "GraphspecError",
    "History",
    "Model",
    "RunError",
    "Spec",
    "SpecError",
    "UsageError",
    "__version__",
    "compile",
    "load",
    "validate",
]

_MODULES = {
    "Diagnostic": "graphspec.errors",
    "GraphspecError": "graphspec.errors",
    "RunError": "graphspec.errors",
    "SpecError": "graphspec.errors",
    "UsageError": "graphspec.errors",
    "History": "graphspec.api",
    "Model": "graphspec.api",
    "Spec": "graphspec.language.declarations",
    "compile": "graphspec.api",
    "load": "graphspec.api",
    "validate": "graphspec.validation",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``import graphspec`` stays quick and hard to interrupt halfway."""
    if name not in _MODULES:
        raise AttributeError(f"module 'graphspec' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value
