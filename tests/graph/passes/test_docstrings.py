"""The docstring of every pass shows a small graph before and after, and the example is true."""

from __future__ import annotations

import doctest
from functools import partial
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import sketching as text
from sketching import print_graph, sketch

from graphspec.engine.runtime.parameters import Parameters
from graphspec.export.onnx import constants_of
from graphspec.graph import passes
from graphspec.graph.builder import Target
from graphspec.graph.ir.graph import Type
from graphspec.graph.kernels.context import Shard

NAMES = sorted(function.__name__ for function in (*passes.FOR_PROGRAM, *passes.FOR_EXPORT))
KNOWN: dict[str, Any] = {
    known.__name__: known
    for known in (sketch, print_graph, Target, Type, Shard, Parameters, SimpleNamespace, constants_of, partial)
}
"""The names that examples may use without an import, besides the names of their module."""
LONGEST = 8  # lines


def example_of(module: ModuleType, name: str) -> doctest.DocTest:
    docstring = getattr(module, name).__doc__ or ""
    return doctest.DocTestParser().get_doctest(docstring, vars(module) | KNOWN, name, module.__file__, 0)


def faults(example: doctest.DocTest, name: str) -> list[str]:
    """Return the faults of an example: it is not run, shows no change, is too long, or is not true."""
    shown = [e for e in example.examples if e.source.startswith("print_graph(")]
    if len(shown) != 2 or f"{name}(" in shown[0].source or f"{name}(" not in shown[1].source:
        return ["it does not print the graph before the pass and after it"]
    found = [f"{e.source.strip()} prints more than {LONGEST} lines" for e in shown if e.want.count("\n") > LONGEST]
    if shown[0].want == shown[1].want:
        found.append("the pass changes nothing")
    doctest.DocTestRunner(verbose=False).run(example, out=found.append, clear_globs=False)
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("kernels_that_pay")
def test_a_pass_shows_a_graph_before_and_after(name: str) -> None:
    function = getattr(passes, name)
    prose = (function.__doc__ or "").partition(">>>")[0]
    assert len(prose.splitlines()) > 4, "state what it does, why, and when it applies"
    assert faults(example_of(import_module(function.__module__), name), name) == []


def test_the_helper_for_examples() -> None:
    example = example_of(text, "sketch")
    assert len(example.examples) == 2
    printed: list[str] = []
    assert doctest.DocTestRunner(verbose=False).run(example, out=printed.append).failed == 0, "".join(printed)


BEFORE = """
>>> g, x = sketch({"x": ("N", 4)})
>>> graph = g.graph.with_outputs({"y": g.Relu(x)})
>>> print_graph(graph)
y = Relu(x)
"""


@pytest.mark.parametrize(
    "docstring",
    [
        "",
        BEFORE,
        BEFORE + ">>> print_graph(rewrite(graph))\ny = Relu(x)\n",
        BEFORE + ">>> print_graph(rewrite(graph))\ny = Tanh(x)\n",
        BEFORE + ">>> print_graph(rewrite(graph))\n" + "y = Relu(x)\n" * 9,
    ],
    ids=["none", "before alone", "no change", "untrue", "long"],
)
def test_bad_examples_are_found(docstring: str) -> None:
    example = doctest.DocTestParser().get_doctest(docstring, KNOWN | {"rewrite": lambda g: g}, "rewrite", None, 0)
    assert faults(example, "rewrite")
