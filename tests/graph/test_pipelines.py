"""The pipelines: every pass is in a pipeline, has a test, and does not change its input graph."""

from __future__ import annotations

import ast
from pathlib import Path

from pass_networks import CONV, model_of

from graphspec.export.onnx import prepare
from graphspec.graph import passes
from graphspec.graph.passes import FOR_EXPORT, FOR_PROGRAM

ALL = {rewrite.__name__: rewrite for rewrite in (*FOR_PROGRAM, *FOR_EXPORT)}


def test_every_pass_is_in_a_pipeline() -> None:
    """Each public function of the files of passes is one."""
    files = Path(passes.__file__).parent.glob("[a-z]*.py")
    public = {
        function.name
        for path in files
        for function in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(function, ast.FunctionDef)
        and [argument.arg for argument in function.args.args] == ["graph", "target"]
        and not function.name.startswith("_")
    }
    assert public == ALL.keys()
    assert len(ALL) > 10


def test_every_pass_has_a_test_of_its_name_that_runs_it() -> None:
    tests = Path(__file__).parent / "passes"
    texts = {name: tests / f"test_{name}.py" for name in ALL}
    assert [name for name, path in texts.items() if not path.exists()] == []
    assert [name for name, path in texts.items() if name not in called(path)] == []


def called(path: Path) -> set[str]:
    """Return the names that a file reads."""
    return {node.id for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Name)}


def test_a_graph_is_not_changed_by_its_passes() -> None:
    model = model_of([CONV, {"name": "y", "type": "Flatten"}], [4, 4, 1])
    before = [(n.name, tuple(v.name for v in n.inputs if v), dict(n.attrs)) for n in model.graph.nodes]
    prepare(model.graph, model.parameters)
    assert before == [(n.name, tuple(v.name for v in n.inputs if v), dict(n.attrs)) for n in model.graph.nodes]
