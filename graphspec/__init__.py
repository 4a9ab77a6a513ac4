"""graphspec: neural networks as data. Check a spec, train it with NumPy, and export it to a proved ONNX file.

import graphspec as gs

model = gs.compile("specs/newswires.yaml")
history = model.fit()
model.export("newswires.onnx")
"""

from __future__ import annotations

from graphspec.base.version import __version__

TYPE_CHECKING = False  # importing `typing` would take longer than the rest of this module
if TYPE_CHECKING:
    from typing import Any

    from graphspec.api import Model, compile, load  # noqa: A004
    from graphspec.base.errors import Diagnostic, GraphspecError, RunError, SpecError, UsageError
    from graphspec.engine.validation import validate
    from graphspec.foreign.importing.importer import import_file
    from graphspec.graph import constraints, initializers, optimizers, regularizers, schedules
    from graphspec.language.declarations import Spec
    from graphspec.show.notebook.explanation import Explanation
    from graphspec.show.notebook.history import History
    from graphspec.vocabulary import activations, callbacks, layers, losses, metrics

__all__ = [
    "Diagnostic",
    "Explanation",
    "GraphspecError",
    "History",
    "Model",
    "RunError",
    "Spec",
    "SpecError",
    "UsageError",
    "__version__",
    "activations",
    "callbacks",
    "compile",
    "constraints",
    "import_file",
    "initializers",
    "layers",
    "load",
    "losses",
    "metrics",
    "optimizers",
    "regularizers",
    "schedules",
    "validate",
]

_VOCABULARY = (
    *("activations", "callbacks", "constraints", "initializers", "layers", "losses"),
    *("metrics", "optimizers", "regularizers", "schedules"),
)
"""Modules that are imported when they are first used."""

_MODULES = {
    "Diagnostic": "graphspec.base.errors",
    "GraphspecError": "graphspec.base.errors",
    "RunError": "graphspec.base.errors",
    "SpecError": "graphspec.base.errors",
    "UsageError": "graphspec.base.errors",
    "Explanation": "graphspec.show.notebook.explanation",
    "History": "graphspec.show.notebook.history",
    "Model": "graphspec.api",
    "Spec": "graphspec.language.declarations",
    "compile": "graphspec.api",
    "import_file": "graphspec.foreign.importing.importer",
    "load": "graphspec.api",
    "validate": "graphspec.engine.validation",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``import graphspec`` stays quick and hard to interrupt halfway."""
    from importlib import import_module

    if name in _VOCABULARY:
        return import_module(f"graphspec.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module 'graphspec' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def load_ipython_extension(shell: Any) -> None:
    """Add ``%%graphspec`` to a notebook: ``%load_ext graphspec`` calls this."""
    from graphspec.api import compile as compiled
    from graphspec.show.notebook.magic import register

    register(shell, compiled)


def __dir__() -> list[str]:
    return sorted(__all__)
