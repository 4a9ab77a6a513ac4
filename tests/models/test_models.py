"""Models that people write, as specs: forward, gradients, steps and export are those of Keras (`make_golden.py`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_run import fitting, run, store_of
from paths import ROOT, TESTS
from safetensors.numpy import load_file

import graphspec as gs
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.objective import add_losses
from graphspec.export.onnx import to_model
from graphspec.graph.ir.graph import Graph
from graphspec.graph.kernels.compiled import FORCED
from graphspec.graph.onnx_session import session
from graphspec.language.declarations import Spec

FOLDER = TESTS / "models"
MODELS = [path.relative_to(FOLDER).with_suffix("").as_posix() for path in sorted(FOLDER.glob("*/*.yaml"))]
WARNED = {
    "audio/wavenet": {"GS204"},  # nobody reads the last residual
    "series/nbeats": {"GS204"},  # nobody reads the rest of the last block
    "text/attention_seq2seq": {"GS308"},  # a layer with initial states ignores its mask
}
"""Codes of warnings about models that are so in Keras, too."""
Arrays = dict[str, dict[str, np.ndarray[Any, Any]]]


def golden(name: str) -> Arrays:
    """The stored arrays by kind and name; `losses` is a kind with one array, called ``""``."""
    found: Arrays = {}
    for key, array in load_file(FOLDER / f"{name}.safetensors").items():
        kind, _, rest = key.partition("/")
        found.setdefault(kind, {})[rest] = array
    return found


def still(name: str) -> list[str]:
    """Settings without chance: `vars.drop` is the rate of dropout, by convention of these specs."""
    return ["vars.drop=0"] if "\nvars:" in (text := spec_of(name).read_text("utf-8")) and "drop:" in text else []


def spec_of(name: str) -> Path:
    return FOLDER / f"{name}.yaml"


def assert_near(found: Any, expected: Any, share: float, what: str) -> None:
    """The same names and shapes; differences are at most a share of the largest value."""
    assert found.keys() == expected.keys(), what
    for name, array in expected.items():
        assert found[name].shape == array.shape, f"{what} {name}: {found[name].shape}, expected {array.shape}"
        largest = np.max(np.abs(array), initial=1e-3)
        np.testing.assert_allclose(found[name] / largest, array / largest, rtol=0, atol=share, err_msg=f"{what} {name}")


def test_every_model_is_whole_and_on_the_page() -> None:
    page = (ROOT / "docs" / "from-keras.md").read_text("utf-8")
    for name in MODELS:
        assert (FOLDER / f"{name}.py").is_file(), name
        assert f"(../tests/models/{name}.yaml)" in page, name
    files = {path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.glob("*/*.safetensors")}
    assert files == {*MODELS}
    assert sum(path.stat().st_size for path in FOLDER.glob("*/*.safetensors")) < 2.5e6


@pytest.mark.parametrize("name", MODELS)
def test_gradients_outputs_steps_and_the_file_are_those_of_keras(name: str) -> None:
    checked, values = check(str(spec_of(name)), still(name)), golden(name)
    assert {str(d.code) for d in checked.diagnostics} == WARNED.get(name, set())
    spec, lowered = checked.require()
    model = gs.compile(spec)
    model.set_weights(values["weights"])
    assert_step(spec, lowered.graph, values)
    assert_outputs(model, values)
    inputs = values["inputs"]
    rows = len(next(iter(inputs.values())))
    history = model.fit(inputs, values.get("targets"), epochs=3, batch_size=rows, shuffle=False, verbose=0)
    np.testing.assert_allclose(history.history["loss"], values["losses"][""], rtol=1e-4)


def assert_step(spec: Spec, graph: Graph, values: Arrays) -> None:
    """Compare the loss, its gradients and the moving statistics of the first step, in float64."""
    objective = add_losses(graph, spec)
    assert objective.total is not None
    graph, targets = objective.graph, values.get("targets", {})
    fed = {head: fitting(array, graph.targets[head].type) for head, array in targets.items()}
    parameters = store_of(graph, values["weights"])
    found, gradients, _ = run(
        graph, parameters, values["inputs"] | fed, {"loss": objective.total}, loss=objective.total, training=True
    )
    np.testing.assert_allclose(found["loss"], values["losses"][""][0], rtol=1e-5)
    assert_near(gradients, values["gradients"], 1e-5, "gradient of")
    assert_near(parameters.get(group="state"), values.get("state", {}), 1e-5, "state")


def assert_outputs(model: gs.Model, values: Arrays) -> None:
    """Compare the outputs for all rows, and those of the ONNX file for all rows and for the first one alone."""
    graph = to_model(model.whole, model.parameters, labels=model.labels, metadata={})
    inputs = {item.name: values["inputs"][item.name] for item in graph.graph.input}  # losses may read further inputs
    expected, seen = values["outputs"], values.get("seen", {})
    predicted = model.predict(inputs, batch_size=len(next(iter(inputs.values()))))
    heads = predicted if isinstance(predicted, dict) else dict(zip(expected, [predicted], strict=True))
    answers: list[tuple[str, Any, int | None]] = [("output", heads, None)]
    if not FORCED:  # the file is the same with any kernels
        file, first = session(graph.SerializeToString(), threads=1), {name: array[:1] for name, array in inputs.items()}
        for what, fed, rows in (("in the file", inputs, None), ("row in the file", first, 1)):
            answers.append((what, dict(zip(expected, file.run([*expected], fed), strict=True)), rows))
    for what, given, rows in answers:
        where = {head: seen[head][:rows] if head in seen else ... for head in given}
        shown = {head: array[where[head]] for head, array in given.items()}
        assert_near(shown, {head: array[:rows][where[head]] for head, array in expected.items()}, 1e-5, what)
