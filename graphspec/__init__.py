"""graphspec: neural networks as data. Check a spec, train it with NumPy, and export it to a proved ONNX file.

import graphspec as gs

model = gs.compile("specs/newswires.yaml")
history = model.fit()
model.export("newswires.onnx")
"""

from __future__ import annotations

import sys

from graphspec.base.version import __version__

TYPE_CHECKING = False  # importing `typing` would take longer than the rest of this module
if TYPE_CHECKING:
    from typing import Any

    from graphspec.api.explanation import Explanation
    from graphspec.api.history import History
    from graphspec.api.model import Model, compile, load  # noqa: A004
    from graphspec.api.validation import validate
    from graphspec.base.errors import Diagnostic, GraphspecError, RunError, SpecError, UsageError
    from graphspec.foreign.importing.importer import import_file
    from graphspec.graph import constraints, initializers, optimizers, regularizers, schedules
    from graphspec.language.declarations import Spec
    from graphspec.vocabulary import activations, callbacks, layers, losses, metrics

__all__ = ["Diagnostic", "Explanation", "GraphspecError", "History", "Model", "RunError", "Spec", "SpecError"]
__all__ += ["UsageError", "__version__", "activations", "callbacks", "compile", "constraints", "import_file"]
__all__ += ["initializers", "layers", "load", "losses", "metrics", "optimizers", "regularizers", "schedules"]
__all__ += ["validate"]

_VOCABULARY = {
    **dict.fromkeys(("activations", "callbacks", "layers", "losses", "metrics"), "vocabulary"),
    **dict.fromkeys(("constraints", "initializers", "optimizers", "regularizers", "schedules"), "graph"),
    "sklearn": "api",
}
"""Public modules, which are imported when they are first used, and the folders that they lie in."""

_MODULES = {
    **dict.fromkeys(("Diagnostic", "GraphspecError", "RunError", "SpecError", "UsageError"), "graphspec.base.errors"),
    "Explanation": "graphspec.api.explanation",
    "History": "graphspec.api.history",
    "Model": "graphspec.api.model",
    "Spec": "graphspec.language.declarations",
    "compile": "graphspec.api.model",
    "import_file": "graphspec.foreign.importing.importer",
    "load": "graphspec.api.model",
    "validate": "graphspec.api.validation",
}


_OLD: dict[str, tuple[str, str, str]] = {}
"""Names of older versions: the name today, since when, and the version that no longer has the old one."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``import graphspec`` stays quick and hard to interrupt halfway."""
    from importlib import import_module

    if name in _VOCABULARY:
        return import_module(f"graphspec.{_VOCABULARY[name]}.{name}")
    if name in _OLD:
        from graphspec.base.deprecation import Old, name_today

        return __getattr__(name_today(__name__, name, {name: Old(*_OLD[name])}) or name)
    if name not in _MODULES:
        raise AttributeError(f"module 'graphspec' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


class _PublicModules:
    """``from graphspec.layers import Dense`` imports from ``graphspec.vocabulary.layers``: public names are short."""

    @staticmethod
    def find_spec(name: str, path: Any, target: Any = None) -> Any:
        """Return the specification of a public module, which its folder is left out of; None for others."""
        from importlib.machinery import ModuleSpec

        loader: Any = _PublicModules
        package, _, module = name.rpartition(".")
        return ModuleSpec(name, loader) if package == __name__ and module in _VOCABULARY else None

    @staticmethod
    def create_module(spec: Any) -> Any:
        """Return the module itself, which has its own name and specification."""
        module = __getattr__(spec.name.rpartition(".")[2])
        spec.loader_state = module.__spec__
        return module

    @staticmethod
    def exec_module(module: Any) -> None:
        """Give the module its own specification back."""
        module.__spec__ = module.__spec__.loader_state


sys.meta_path.append(_PublicModules)


def load_ipython_extension(shell: Any) -> None:
    """Add ``%%graphspec`` to a notebook: ``%load_ext graphspec`` calls this."""
    from graphspec.api.model import compile as compiled
    from graphspec.show.notebook.pages import register

    register(shell, compiled)


def __dir__() -> list[str]:
    return sorted(__all__)
