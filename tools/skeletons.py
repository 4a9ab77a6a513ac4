"""What `tools.new` writes for each kind: a small skeleton that works, and its test."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Kind:
    """One kind. In all texts ``$name`` is the name in snake case, ``$Name`` as given, ``$family`` the name of the file.

    Attributes:
        folder: below ``graphspec/`` and ``tests/``.
        imports, for_types: what the code needs.
        body: the code.
        about: the docstring of a file of its tests.
        test_imports, test: its tests, and what they need.
        entry_imports, entry: of an operator, its entry in the tables of tests.
        left: what is left to do, a line each; commands begin with ``$$ ``.
        table: the names that go into the table ``names.json``; empty for what is listed in a tuple.
        tuples: the file with the tuples, and their names by ``--family``; the first one is the default.
    """

    folder: str
    imports: tuple[str, ...]
    for_types: tuple[str, ...]
    body: str
    about: str
    test_imports: tuple[str, ...]
    test: str
    left: tuple[str, ...]
    entry_imports: tuple[str, ...] = ()
    entry: str = ""
    table: str = ""
    tuples: tuple[str, dict[str, str]] = field(default=("", {}))


_BUILDER = "from graphspec.vocabulary import Builder, Value"
_WRITE = "$file: say in its docstring what it computes (shapes, formula, source), then write that"
_VOCABULARY = (
    "make the schema for editors and the list of names again:",
    "$$ graphspec schema -o schemas/graphspec.schema.json && python -m tools.reference",
)
_NOT_KERAS = "if Keras does not have it: into NOT_KERAS of tests/support/golden_cases.py, and a comparison with NumPy"
_ENTRY = (
    "tests/graph/ops/cases/$family.py: its entry: what has a gradient, a batch without rows, a large one "
    "(`of_one` makes them of a function of one input, `of_two` of two; others are an OpCase)"
)
_CHANGELOG = "CHANGELOG.md: a line under Unreleased"
_GOLDEN = "tests/golden/%s: two configurations at least; then, where Keras is (CONTRIBUTING.md says how):"

LAYER = Kind(
    folder="vocabulary/layers",
    table="$Name",
    imports=(
        "from graphspec.base.config import setting",
        _BUILDER,
        "from graphspec.vocabulary.layers.layer import Layer, as_float",
    ),
    for_types=(),
    body='''
class $Name(Layer, supports_masking=True):
    """``x · scale`` as float32.

    Shapes: (batch, …) → the same.
    """

    scale: float = setting(1.0, "Factor.")

    def lower(self, g: Builder, X: Value) -> Value:
        Y: Value = g.Mul(as_float(g, X), g.constant(self.scale))
        return Y
''',
    about="$Name: what it gives, trained and exported.",
    test_imports=(
        "from pathlib import Path",
        "from typing import Any",
        "import numpy as np",
        "import pytest",
        "import graphspec as gs",
    ),
    test="""
@pytest.mark.parametrize(("arguments", "factor"), [({}, 1.0), ({"scale": 2.5}, 2.5)], ids=["default", "scale"])
def test_values_of_$name(arguments: dict[str, Any], factor: float, tmp_path: Path) -> None:
    layers = [{"name": "y", "type": "$Name", **arguments}]
    spec = {"graphspec": 1, "name": "one", "inputs": {"x": {"shape": [3]}}, "layers": layers, "outputs": {"y": {}}}
    model = gs.compile(spec)
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    np.testing.assert_allclose(model.run({"x": x})["y"], x * np.float32(factor), rtol=1e-6)
    assert model.export(tmp_path / "one.onnx").batches
""",
    left=(
        _WRITE,
        _GOLDEN % "cases_$family.py (or the one with its family's cases)",
        "$$ KERAS_BACKEND=torch python tests/golden/make_keras.py layers_$family",
        _NOT_KERAS,
        "graphspec/vocabulary/layers/keras_names.json: remove $Name if it is there",
        "tools/reference.py: a new file of layers goes into PAGES, to the page that shows it",
        *_VOCABULARY,
        _CHANGELOG,
        "$$ pytest -n 0 tests/vocabulary/layers tests/golden tests/export tests/language tests/test_vocabulary.py",
    ),
)

OPERATOR = Kind(
    folder="graph/ops",
    table="$Name",
    imports=(
        "from graphspec.graph.expressions import exp",
        "from graphspec.graph.ops.formulas import Row, register",
    ),
    for_types=(),
    body="""
register(__name__, {"$Name": Row("``Y = exp(X)``.", exp, lambda X, Y, d: d * Y$exported)})
""",
    about="$Name: its values.",
    test_imports=("import graphs", "import numpy as np"),
    test="""
def test_values_of_$name() -> None:
    X = np.random.default_rng(0).standard_normal((3, 4))
    np.testing.assert_allclose(graphs.run("$Name", [X])[0], np.exp(X), rtol=1e-5)
""",
    entry_imports=("from graph.ops.cases.broadcasting import of_one",),
    entry='"$Name": of_one($how)',
    left=(
        "python -m tools.make_operators && ruff format graphspec/graph/operators.pyi: the builder's stub",
        _WRITE,
        _ENTRY,
        "$opset",
        _CHANGELOG,
        "$$ pytest -n 0 tests/graph/ops -k '$Name or $name or every or table'",
    ),
)

EXPORTED = (
    "its entry also draws random inputs: tests/graph/ops/test_onnxruntime.py fails until $Name is written",
    "tests/graph/ops/test_node.py runs ONNX's tests of it: attributes that it refuses go into REFUSED, cases into EXCLUDED",
)
"""What is left for an operator that files hold."""

LOSS = Kind(
    folder="vocabulary/losses",
    table="$name $Name",
    imports=(_BUILDER, "from graphspec.vocabulary.losses.loss import LOSSES, Loss, mean"),
    for_types=(),
    body='''
@LOSSES.add("$name", "$Name")
class $Name(Loss):
    """Mean of ``|y_pred - y_true|`` over the last axis."""

    label, fits = "$name", "numbers"

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        return mean(g, g.Abs(g.Sub(y_pred, y_true)))
''',
    about="$Name: its value, and that it is trained.",
    test_imports=(
        "import numpy as np",
        "import graphspec as gs",
        "from specs import dense_spec",
    ),
    test="""
def test_value_and_training_of_$name() -> None:
    model = gs.compile(dense_spec(outputs={"kind": {"loss": "$name"}}))
    random = np.random.default_rng(0)
    x, y = (random.standard_normal((16, n)).astype(np.float32) for n in (4, 3))
    before = model.evaluate(x, y)["loss"]
    np.testing.assert_allclose(before, np.abs(model.run({"x": x})["kind"] - y).mean(), rtol=1e-5)
    model.fit(x, y, epochs=5, verbose=0)
    assert model.evaluate(x, y)["loss"] < before
""",
    left=(
        _WRITE,
        _GOLDEN % "cases_losses.py",
        "$$ KERAS_BACKEND=torch python tests/golden/make_keras.py losses",
        *_VOCABULARY,
        _CHANGELOG,
        "$$ pytest -n 0 tests/vocabulary/losses tests/golden tests/language/test_schema.py tests/test_vocabulary.py",
    ),
)

METRIC = Kind(
    folder="vocabulary/metrics",
    table="$Name $name",
    imports=("import numpy as np", "from graphspec.vocabulary.metrics.metric import METRICS, Average"),
    for_types=("from graphspec.graph.ir.graph import Array",),
    body='''
@METRICS.add("$Name", "$name")
class $Name(Average):
    """Mean of ``|y_pred - y_true|``."""

    label, direction = "$name", "down"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        errors: Array = np.abs(y_pred - y_true)
        return errors
''',
    about="$Name: its value over several batches.",
    test_imports=(
        "import numpy as np",
        "from heads import value",
        "from graphspec.vocabulary.metrics import METRICS",
        "from graphspec.engine.runtime.bind import Compute",
    ),
    test="""
def test_value_of_$name() -> None:
    state = METRICS.parse("$name").start(value("N", 3), Compute())
    y_true, y_pred = np.random.default_rng(0).standard_normal((2, 8, 3))
    for rows in (slice(0, 5), slice(5, 8)):
        state.update(y_true[rows], y_pred[rows])
    np.testing.assert_allclose(state.result(), np.abs(y_pred - y_true).mean())
""",
    left=(
        _WRITE,
        _GOLDEN % "cases_metrics.py",
        "$$ KERAS_BACKEND=torch python tests/golden/make_keras.py metrics",
        _NOT_KERAS,
        *_VOCABULARY,
        _CHANGELOG,
        "$$ pytest -n 0 tests/vocabulary/metrics tests/golden tests/language/test_schema.py tests/test_vocabulary.py",
    ),
)

PASS = Kind(
    folder="graph/passes",
    tuples=("graphspec/graph/passes/__init__.py", {"program": "FOR_PROGRAM", "export": "FOR_EXPORT"}),
    imports=(
        "from collections.abc import Sequence",
        "from graphspec.graph.builder import Rebuild, rebuild",
        "from graphspec.graph.builder import Target",
        "from graphspec.graph.ir.graph import Graph, Node, Value",
    ),
    for_types=(),
    body='''
def $name(graph: Graph, target: Target) -> Graph:
    """The graph, each node as ``visit`` has it."""

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        return None  # the node again; else the values that replace its outputs

    return rebuild(graph, visit)
''',
    about="The pass `$name`.",
    test_imports=(
        "import numpy as np",
        "from graphs import build",
        "from graphspec.graph.passes.$name import $name",
        "from graphspec.graph.passes import $tuple",
        "from graphspec.graph.builder import Target",
    ),
    test="""
def test_other_graphs_stay_as_they_are() -> None:
    graph, _ = build("Softmax", [np.zeros((3, 4))])
    after = $name(graph, Target({"x0": (3, 4)}))
    assert [(n.name, n.op, n.attrs) for n in after.nodes] == [(n.name, n.op, n.attrs) for n in graph.nodes]
    assert after.outputs.keys() == graph.outputs.keys()


def test_it_is_in_the_pipeline() -> None:
    assert $name in $tuple
""",
    left=(
        "$file: say in its docstring what it replaces, with a graph before and after, then write that",
        "its test: a graph that it changes, and equal numbers (as in tests/graph/passes/test_cancel_transposes.py)",
        "graphspec/graph/passes/__init__.py: its place in $tuple; now it is the last",
        "docs/architecture.md: its name in the list of passes (tests/test_docs.py compares it)",
        "what it changes in bits and in time, on both commits:",
        "$$ python -m benchmarks.bits && python -m benchmarks.steps",
        "docs/decisions/: what it is for, the measurement and its command, on the page of its subject; " + _CHANGELOG,
        "$$ pytest -n 0 tests/graph tests/export tests/test_docs.py",
    ),
)

COMMAND = Kind(
    folder="cli",
    tuples=("graphspec/cli/app.py", {"": "COMMANDS"}),
    imports=("from graphspec.cli.console import out",),
    for_types=(),
    body='''
def $name() -> None:
    """Print one line."""
    out("$name")
''',
    about="``graphspec $name``.",
    test_imports=("from commands import graphspec",),
    test="""
def test_it_answers() -> None:
    result = graphspec("$name")
    assert (result.exit_code, result.stdout) == (0, "$name\\n")
""",
    left=(
        "$file: its arguments (those that several commands share are in graphspec/cli/console.py), and what it does",
        "graphspec/cli/app.py: its place in COMMANDS, which is the order of the help",
        'docs/commands.md: a section "## $name", and its link in the contents',
        _CHANGELOG,
        "$$ pytest -n 0 tests/cli/test_app.py tests/cli/test_$name.py",
    ),
)

KINDS = {"layer": LAYER, "operator": OPERATOR, "loss": LOSS, "metric": METRIC, "pass": PASS, "command": COMMAND}
