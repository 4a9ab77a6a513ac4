"""An ONNX file becomes a spec of one layer: trained if it can be, else frozen with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from commands import graphspec
from golden_cases import GOLDEN
from onnx import TensorProto, helper
from safetensors.numpy import load_file
from unfrozen import model_of, node

import graphspec as gs
from graphspec.base.codes import Code
from graphspec.base.errors import SpecError, UsageError


def weights(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def save(path: Path, nodes: list[Any], inputs: dict[str, Any], outputs: dict[str, Any], **tensors: Any) -> Path:
    made = model_of(nodes, inputs, list(outputs), tensors)
    for k, (name, shape) in enumerate(outputs.items()):
        made.graph.output[k].CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(made.SerializeToString())
    return path


def test_a_file_elsewhere_is_copied_and_trains(tmp_path: Path) -> None:
    nodes = [node("MatMul", "in::x w", "out/y")]
    file = save(tmp_path / "other" / "small.onnx", nodes, {"in::x": ["n", 3]}, {"out/y": ["n", 2]}, w=weights(3, 2))
    (tmp_path / "specs").mkdir()
    found = gs.import_file(file, tmp_path / "specs" / "mine.yaml")
    assert (
        found.path.read_text(encoding="utf-8")
        .partition("\n# To train")[0]
        .endswith(
            "name: mine\n\ninputs:\n  in_x: {shape: [3]}\n\n"
            "layers:\n  - {name: net, type: Onnx, file: small.onnx, trainable: true}\n\n"
            "outputs:\n  out_y: {layer: net}\n"
        )
    )
    assert found.notes[0] == "1 tensor of the file trains: 6 numbers. A list of names trains some of them."
    file.unlink()
    x = weights(4, 3)
    np.testing.assert_allclose(gs.compile(found.path).predict({"in_x": x}), x @ weights(3, 2), rtol=1e-5)
    with pytest.raises(UsageError, match="exist"):
        gs.import_file(tmp_path / "specs" / "small.onnx", tmp_path / "specs" / "mine.yaml")


def test_a_file_without_gradients_is_frozen_with_the_reason(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "m"), node("LpPool", "m", "y", kernel_shape=[2])]
    file = save(tmp_path / "pool.onnx", nodes, {"x": ["n", 3, 5]}, {"y": ["n", 3, 3]}, w=weights(5, 4))
    found = gs.import_file(file, tmp_path / "net.yaml")
    text = found.path.read_text(encoding="utf-8")
    assert "  - {name: net, type: Onnx, file: pool.onnx}\n" in text
    assert found.notes[0].startswith("The file is frozen: it cannot be trained: its file has operators")
    assert "LpPool ('the_y')" in found.notes[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.yaml", "pool.onnx"]


def test_rows_move_to_the_front_and_open_sizes_become_numbers(tmp_path: Path) -> None:
    """A state of all rows in axis 1, and a sum of two ways that fits for even sizes only."""
    nodes = [
        node("AveragePool", "x", "half", kernel_shape=[2], strides=[2]),
        node("Resize", "half _ up", "double", mode="nearest"),
        node("Add", "x double", "s"),
        node("ReduceMean", "s", "m", axes=[2], keepdims=0),
        node("Add", "m state", "next"),
        node("Add", "m b", "y"),
    ]
    inputs, outputs = {"x": ["n", 2, "t"], "state": [5, "n", 2]}, {"y": ["n", 2], "next": [5, "n", 2]}
    file = save(tmp_path / "net.onnx", nodes, inputs, outputs, up=np.array([1, 1, 2], np.float32), b=weights(2))
    found = gs.import_file(file, tmp_path / "net.yaml")
    text = found.path.read_text(encoding="utf-8")
    assert "  x: {shape: [2, 224]}\n  state: {shape: [5, 2]}\n" in text
    assert "  - {name: state_turned, type: ops.transpose, axes: [1, 0, 2], inputs: state}\n" in text
    assert found.lowered.graph.outputs["next"].shape == ("N", 5, 2)
    assert any("sizes of 'x' open" in note and "in place of 224" in note for note in found.notes)


@pytest.mark.parametrize(
    ("shape", "content", "code", "text"),
    [
        ([], None, Code.UNSUPPORTED_FILE, "which has no batch axis"),
        (None, b"no model", Code.INVALID_FILE, "the file is not"),
    ],
)
def test_what_cannot_be_imported(shape: Any, content: bytes | None, code: Code, text: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.onnx"
    if content is None:
        save(file, [node("Mul", "x rate", "y")], {"x": ["n", 3], "rate": shape}, {"y": ["n", 3]})
    else:
        file.write_bytes(content)
    with pytest.raises(SpecError, match=text) as caught:
        gs.import_file(file, tmp_path / "net.yaml")
    assert caught.value.diagnostics[0].code == code
    assert not (tmp_path / "net.yaml").exists()
    with pytest.raises(UsageError, match="there is no file"):
        gs.import_file(tmp_path / "missing.onnx")


def test_open_sizes_are_given_by_name(tmp_path: Path) -> None:
    """An axis with a name, or all of an input; with a number for its first axis, the rows are in another one."""
    nodes = [node("Transpose", "x", "t", perm=[1, 0, 2]), node("MatMul", "t w", "y")]
    inputs = {"x": ["steps", "rows", "width"]}
    file = save(tmp_path / "net.onnx", nodes, inputs, {"y": ["rows", "steps", 2]}, w=weights(6, 2))
    with pytest.raises(SpecError, match="inner sizes that differ") as caught:
        gs.import_file(file, tmp_path / "a.yaml")
    assert (
        caught.value.diagnostics[0].hint == "give sizes that the file leaves open: `--size rows=224`, with your number"
    )
    found = gs.import_file(file, tmp_path / "b.yaml", sizes={"width": 6, "steps": 4})
    assert found.lowered.graph.inputs["x"].shape == ("N", 4, 6)
    assert found.lowered.graph.outputs["y"].shape == ("N", 4, 2)
    assert not any("open" in note for note in found.notes)
    with pytest.raises(UsageError, match="has no open size 'depth': it leaves open rows, width, x"):
        gs.import_file(file, tmp_path / "c.yaml", sizes={"depth": 2})
    with pytest.raises(UsageError, match="in a Keras file all are known"):
        gs.import_file(GOLDEN / "keras_files" / "autoencoder.keras", tmp_path / "d.yaml", sizes={"x": 2})
    wrong = graphspec("import", file, "-o", tmp_path / "e.yaml", "--size", "x=six")
    assert "`--size x=six` is no size" in " ".join(wrong.stderr.split())


@pytest.mark.parametrize(
    ("name", "trained", "heads"),
    [
        ("regressor", 31, ["variable"]),
        ("classifier", 43, ["output_label", "output_probability"]),
        ("classifier_of_texts", 43, ["probabilities"]),
        ("classifier_of_two", 31, ["label", "probabilities"]),
    ],
)
def test_networks_of_scikit_learn_train(name: str, trained: int, heads: list[str], tmp_path: Path) -> None:
    """The scaler and the labels stand beside the products; probabilities by label are numbers in its order."""
    file = GOLDEN / "sklearn_files" / f"{name}.onnx"
    found = gs.import_file(file, tmp_path / "net.yaml")
    assert (found.parameters, list(found.lowered.graph.outputs)) == (trained, heads)
    assert any("is text, and a head is numbers" in note for note in found.notes) == ("texts" in name)
    text = found.path.read_text(encoding="utf-8").replace(f"{heads[-1]}: {{", f"{heads[-1]}: {{loss: mse, ")
    found.path.write_text(text.replace("{loss: mse, }", "{loss: mse}"), encoding="utf-8")
    model, x = gs.compile(found.path), weights(6, 4)

    def answers(path: Path) -> dict[str, Any]:
        session = onnxruntime.InferenceSession(path)
        values = zip([o.name for o in session.get_outputs()], session.run(None, {"X": x}), strict=True)
        return {n: np.array([[*row.values()] for row in v]) if isinstance(v, list) else v for n, v in values}

    def compare(path: Path) -> None:
        ours = model.predict(x)
        for head in heads:
            np.testing.assert_allclose(ours[head] if len(heads) > 1 else ours, answers(path)[head], atol=1e-6)

    compare(file)
    before = model.weights
    model.fit(x, {heads[-1]: answers(file)[heads[-1]] * 0 + 0.2}, epochs=1, verbose=0)
    assert all(np.any(model.weights[name] != array) for name, array in before.items())
    model.export(tmp_path / "trained.onnx")
    compare(tmp_path / "trained.onnx")


@pytest.mark.slow
def test_modules_of_pytorch_are_imported_to_train(tmp_path: Path) -> None:
    """As both of its exporters write them: all weights train but those that are folded."""
    stored = load_file(GOLDEN / "torch_modules.safetensors")
    for file in sorted((GOLDEN / "torch_modules").glob("*.onnx")):
        module = file.stem if f"{file.stem}/r" in stored else file.stem.rpartition("_")[0]
        found = gs.import_file(file, tmp_path / "net.yaml", overwrite=True)
        assert "trainable: true" in found.path.read_text(encoding="utf-8"), file.stem
        assert (found.parameters < stored[f"{module}/count"]) == file.stem.endswith("_folded")
