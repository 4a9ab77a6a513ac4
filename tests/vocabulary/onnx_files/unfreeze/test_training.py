"""Specs whose ONNX file trains: one step by hand, runs, exports, patterns, and what a spec may not say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from golden_cases import GOLDEN
from onnx import TensorProto, helper
from safetensors.numpy import load_file
from unfrozen import Trial, model_of, node

import graphspec as gs
from graphspec.base.codes import Code
from graphspec.base.errors import SpecError

RANDOM = np.random.default_rng(5)
MODULES = GOLDEN / "torch_modules"
STEPS = load_file(MODULES.with_suffix(".safetensors"))


def weights(*shape: int) -> Any:
    return RANDOM.standard_normal(shape).astype(np.float32)


TENSORS = {
    "body.w": weights(6, 3, 3, 3),
    "s": weights(6),
    "t": weights(6),
    "mean": weights(6),
    "var": np.abs(weights(6)) + 1,
    "head.w": weights(6, 4),
    "head.b": weights(4),
}
NODES = [
    node("Conv", "x body.w", "c", pads=[1, 1, 1, 1]),
    node("BatchNormalization", "c s t mean var", "n"),
    node("Relu", "n", "r"),
    node("GlobalAveragePool", "r", "p"),
    node("Flatten", "p", "f"),
    node("MatMul", "f head.w", "m"),
    node("Add", "m head.b", "y"),
]


def written(folder: Path, nodes: list[Any] = NODES, **entry: Any) -> Path:
    """A spec with the network as its only layer."""
    made = model_of(nodes, {"x": [1, 3, 8, 8]}, ["y"], TENSORS, opset=13)
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4]))
    (folder / "net.onnx").write_bytes(made.SerializeToString())
    document = {
        "graphspec": 1,
        "name": "tuned",
        "inputs": {"x": {"shape": [3, 8, 8]}},
        "layers": [{"name": "y", "type": "Onnx", "file": "net.onnx", **entry}],
        "outputs": {"y": {"loss": "mean_squared_error"}},
        "training": {"optimizer": {"type": "SGD", "learning_rate": 0.1}, "batch_size": 4},
    }
    path = folder / "net.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def given(folder: Path, x: Any) -> Any:
    """The file's answers to rows, which it takes one by one."""
    session = onnxruntime.InferenceSession(folder / "net.onnx")
    return np.concatenate([session.run(["y"], {"x": row[None]})[0] for row in x])


def test_training_begins_with_the_file_and_the_export_is_equal(tmp_path: Path) -> None:
    model = gs.compile(written(tmp_path, trainable=True))
    x = weights(8, 3, 8, 8)
    before = model.predict(x)
    np.testing.assert_allclose(before, given(tmp_path, x), rtol=1e-5, atol=1e-5)
    model.fit(x[:4], before[:4] + 1, epochs=1, verbose=0)
    found = model.weights
    assert set(found) == {f"y/{name}" for name in TENSORS} - {"y/mean", "y/var"}
    # the loss is the mean of 1 over 16 numbers, so each bias has the gradient 2 · 4 / 16
    np.testing.assert_allclose(found["y/head.b"], TENSORS["head.b"] + 0.1 * 0.5, rtol=1e-5)
    model.export(tmp_path / "tuned.onnx")
    (answers,) = onnxruntime.InferenceSession(tmp_path / "tuned.onnx").run(["y"], {"x": x})
    np.testing.assert_allclose(answers, model.predict(x), rtol=1e-5, atol=1e-5)
    assert np.abs(answers - before).min() > 0.01


def test_a_run_holds_the_file_and_its_own_weights(tmp_path: Path) -> None:
    model = gs.compile(written(tmp_path, trainable=["head.*"]))
    x = weights(8, 3, 8, 8)
    model.fit(x, weights(8, 4), epochs=1, verbose=0)
    model.save(tmp_path / "run")
    (tmp_path / "net.onnx").unlink()
    again = gs.load(tmp_path / "run")
    assert set(again.weights) == {"y/head.w", "y/head.b"}
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    again.export(tmp_path / "tuned.onnx")


def test_statistics_of_the_batch(tmp_path: Path) -> None:
    model = gs.compile(written(tmp_path, trainable=True, batch_statistics=True))
    x = weights(8, 3, 8, 8)
    np.testing.assert_allclose(model.predict(x), given(tmp_path, x), rtol=1e-5, atol=1e-5)
    model.fit(x, weights(8, 4), epochs=1, verbose=0)
    assert np.abs(model.weights["y/mean"] - TENSORS["mean"]).min() > 1e-4


@pytest.mark.parametrize(
    ("entry", "code", "text"),
    [
        ({"trainable": ["tail.*"]}, Code.UNSUPPORTED_FILE, "Onnx 'y' has a pattern 'tail.*' in `trainable`"),
        ({"trainable": 3}, Code.WRONG_TYPE, "`trainable`"),
        ({"type": "Dense", "units": 2, "trainable": ["a"]}, Code.WRONG_TYPE, "must be true or false"),
    ],
)
def test_what_a_spec_may_not_say(entry: dict[str, Any], code: Code, text: str, tmp_path: Path) -> None:
    path = written(tmp_path, **entry)
    if "units" in entry:
        path.write_text(path.read_text(encoding="utf-8").replace('"file": "net.onnx", ', ""), encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        gs.compile(path)
    assert next((d.code, text in d.message) for d in caught.value.diagnostics) == (code, True)


def test_a_node_without_a_gradient_is_named_with_its_file(tmp_path: Path) -> None:
    path = written(tmp_path, [*NODES[:-1], node("Det", "m", "y")], trainable=True)
    with pytest.raises(SpecError, match=r"Onnx 'y' cannot be trained: its file has .* Det \('the_y'\)"):
        gs.compile(path)


FILES = sorted(path.stem for path in MODULES.glob("*.onnx"))
FOLDED = {"weight_norm_folded": 7, "batch_norm_folded": 8}  # weights that the exporter has folded into others


def trial_of(name: str) -> tuple[Trial, dict[str, Any], dict[str, Any]]:
    """The unfrozen file of a module, its inputs, and what is stored of it."""
    module = name if f"{name}/r" in STEPS else name.rpartition("_")[0]
    stored = {n.removeprefix(f"{module}/"): a for n, a in STEPS.items() if n.startswith(f"{module}/")}
    feeds = {n: a for n, a in stored.items() if n.startswith("x")}
    axis, dtypes = stored["axis"].item(), {n: a.dtype.name for n, a in feeds.items()}
    shapes = {n: ["N" if k == axis else d for k, d in enumerate(a.shape)] for n, a in feeds.items()}
    return Trial(onnx.load(MODULES / f"{name}.onnx"), shapes, dtypes=dtypes), feeds, stored


@pytest.mark.parametrize("name", [name for name in FILES if name not in FOLDED])
def test_a_step_of_a_module_is_that_of_pytorch(name: str) -> None:
    """All its weights train, and no constants of the exporter; a batch fixed at one row may be any."""
    trial, feeds, stored = trial_of(name)
    assert sum(int(np.prod(p.shape)) for p in trial.graph.params.values()) == stored["count"]
    np.testing.assert_allclose(trial.run(feeds)[0], stored["before"], atol=2e-6)
    found = trial.step(feeds, stored["r"], 0.5)
    change = np.abs(stored["after"] - stored["before"]).max()
    assert np.abs(found - stored["after"]).max() <= 1e-4 * change + 2e-6
    assert change > 5e-3


@pytest.mark.parametrize(("name", "lost"), FOLDED.items())
def test_weights_that_the_exporter_folds_do_not_train(name: str, lost: int) -> None:
    trial, feeds, stored = trial_of(name)
    assert sum(int(np.prod(p.shape)) for p in trial.graph.params.values()) == stored["count"] - lost
    np.testing.assert_allclose(trial.run(feeds)[0], stored["before"], atol=2e-6)
