"""CRF: values, gradients and decoded tags of PyTorch's library; all sequences by hand; masks, files, metrics."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_cases import GOLDEN
from golden_run import run as run_graph
from graphs import build
from safetensors.numpy import load_file

import graphspec as gs
from graphspec.engine.runtime.parameters import Parameters
from graphspec.export.read import read_exported
from graphspec.graph.builder import Builder

FILE = load_file(GOLDEN / "torch_losses.safetensors")
GIVEN = {name.partition("/")[2]: array for name, array in FILE.items() if name.startswith("crf/")}
ENDS = np.stack([GIVEN["start_transitions"], GIVEN["end_transitions"]])
RNG = np.random.default_rng(4)


def test_loss_and_gradients_are_those_of_torchcrf() -> None:
    arrays = [GIVEN["x"], GIVEN["transitions"], ENDS, GIVEN["tags"], GIVEN["mask"]]
    graph, values = build("CRFLoss", arrays)
    loss = Builder(graph, "loss").ReduceSum(values, keepdims=0)
    feeds = {f"x{k}": array for k, array in enumerate(arrays)}
    wanted = ["x0", "x1", "x2"]
    found, _, slopes = run_graph(
        graph, Parameters(graph, np.float64), feeds, {"y": values}, loss=loss, input_grads=wanted
    )
    np.testing.assert_allclose(found["y"], GIVEN["values"], rtol=1e-12)
    np.testing.assert_allclose(slopes["x0"], GIVEN["gradient"], atol=1e-12)
    np.testing.assert_allclose(slopes["x1"], GIVEN["transitions_gradient"], atol=1e-12)
    expected = np.stack([GIVEN["start_transitions_gradient"], GIVEN["end_transitions_gradient"]])
    np.testing.assert_allclose(slopes["x2"], expected, atol=1e-12)


def tagger(time: int | str, **more: Any) -> Any:
    masked = [{"name": "masked", "type": "Masking"}]
    layers = [*masked, {"name": "scores", "type": "Dense", "units": 4}, {"name": "tags", "type": "CRF"}]
    return gs.compile({
        "graphspec": 1, "name": "m", "inputs": {"x": {"shape": [time, 4]}}, "layers": layers,
        "outputs": {"tags": {"loss": "crf", "metrics": ["accuracy"], **more}},
        "training": {"optimizer": {"type": "Adam", "learning_rate": 0.1}, "batch_size": 5, "epochs": 60, "seed": 1},
    })  # fmt: skip


@pytest.mark.parametrize("time", [7, "time"])
def test_the_best_sequence_is_that_of_torchcrf_here_and_in_the_file(time: int | str, tmp_path: Path) -> None:
    model, x = tagger(time), (GIVEN["x"] * GIVEN["mask"][..., None]).astype(np.float32)
    start = {"scores/kernel": np.eye(4), "scores/bias": np.zeros(4), "tags/ends": ENDS}
    model.set_weights(
        {k: v.astype(np.float32) for k, v in (start | {"tags/transitions": GIVEN["transitions"]}).items()}
    )
    answers = model.predict(x)
    assert set(np.unique(answers)) == {0, 1}
    np.testing.assert_array_equal(answers.argmax(-1)[GIVEN["mask"]], GIVEN["best"][GIVEN["mask"]])
    assert "equal to the runtime" in str(model.export(tmp_path / "m.onnx"))
    np.testing.assert_array_equal(read_exported(tmp_path / "m.onnx").run({"x": x})["tags"], answers)


def test_all_sequences_by_hand() -> None:
    x, a, ends = RNG.normal(size=(1, 4, 3)), RNG.normal(size=(3, 3)), RNG.normal(size=(2, 3))
    scores = {}
    for y in itertools.product(range(3), repeat=4):
        score = ends[0, y[0]] + ends[1, y[-1]] + sum(x[0, t, y[t]] for t in range(4))
        scores[y] = score + sum(a[y[t], y[t + 1]] for t in range(3))
    tags = np.array([[2, 0, 1, 1]])
    graph, values = build("CRFLoss", [x, a, ends, tags])
    feeds = {"x0": x, "x1": a, "x2": ends, "x3": tags}
    found, *_ = run_graph(graph, Parameters(graph, np.float64), feeds, {"y": values})
    expected = np.log(sum(np.exp(s) for s in scores.values())) - scores[2, 0, 1, 1]
    np.testing.assert_allclose(found["y"], [expected], rtol=1e-12)
    graph, path = build("Viterbi", [x, a, ends])
    found, *_ = run_graph(graph, Parameters(graph, np.float64), {"x0": x, "x1": a, "x2": ends}, {"y": path})
    assert tuple(found["y"].argmax(-1)[0]) == max(scores, key=lambda y: scores[y])


def test_transitions_are_learnt_and_metrics_see_the_tags(tmp_path: Path) -> None:
    """Tags alternate, which single steps do not show."""
    first = RNG.integers(0, 2, 40)
    tags = (first[:, None] + np.arange(6)) % 2
    x = RNG.normal(size=(40, 6, 4)).astype(np.float32)
    x[..., 0] = 0
    x[:, 0, 0] = 4 * first - 2
    model = tagger("time", labels=["B-A", "I-A", "B-B", "O"], metrics=["accuracy", "span_f1"])
    history = model.fit(x, tags, verbose=0).history
    assert history["loss"][-1] < 1 < history["loss"][0]
    assert model.evaluate(x, tags, verbose=0)["accuracy"] > 0.95
    assert "equal to the runtime" in str(model.export(tmp_path / "m.onnx"))


def test_a_head_on_another_layer_is_refused() -> None:
    with pytest.raises(gs.SpecError, match="needs the transitions of a CRF layer"):
        gs.compile({
            "graphspec": 1, "name": "m", "inputs": {"x": {"shape": [3, 4]}},
            "layers": [{"name": "scores", "type": "Dense", "units": 4}], "outputs": {"scores": {"loss": "crf"}},
        })  # fmt: skip
