"""Real ONNX files as layers: what they compute, frozen or not, and what is refused; heads on them, trained and exported."""

from __future__ import annotations

import re
import runpy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from paths import ROOT

import graphspec as gs
from pretrained import NETWORKS, Network, answers, file, rows, spec

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_a_file_computes_what_onnxruntime_computes(network: Network, tmp_path: Path) -> None:
    x = rows(network, 2)
    expected = answers(network, x)
    for trainable in (False, True):
        model = gs.compile(spec(tmp_path, network, trainable=trainable))
        assert (model.prelude is None) == trainable
        assert any(param.trainable for param in model.graph.params.values()) == trainable
        found = model.predict(x)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * max(1.0, float(np.abs(expected).max())))


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (Network("common_old.onnx", (1, 64, 40), "208"), "it is quantized for all rows of a batch together"),
        (Network("silero_vad_half.onnx", (576,)), "has 1 inputs, but the file needs 2"),
        (Network("320n.onnx", (4, 32, 32)), "takes (N, 4, 32, 32) for 'images'"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_a_layer_is_refused(network: Network, text: str, tmp_path: Path) -> None:
    with pytest.raises(gs.SpecError) as caught:
        gs.compile(spec(tmp_path, network))
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("name", "weights"), [("garments", 36_874), ("letters", 40_346), ("letters_unfrozen", 134_580)]
)
def test_the_examples_are_sound(name: str, weights: int, tmp_path: Path) -> None:
    text = (ROOT / "examples" / "fine-tuning" / f"{name}.yaml").read_text(encoding="utf-8")
    found = re.search(r"pretrained/(ch_\S+\.onnx)", text)
    assert found is not None
    (tmp_path / "pretrained").mkdir()
    shutil.copyfile(file(found[1]), tmp_path / "pretrained" / found[1])
    (tmp_path / "net.yaml").write_text(text.partition("data:\n")[0], encoding="utf-8")
    model = gs.compile(tmp_path / "net.yaml")
    assert sum(param.size for param in model.graph.params.values() if param.trainable) == weights


HEAD: tuple[dict[str, Any], ...] = (
    {"name": "flat", "type": "Flatten"},
    {"name": "kind", "type": "Dense", "units": 2, "activation": "softmax"},
)


@pytest.mark.parametrize(
    "network",
    [
        Network("ch_PP-OCRv4_det_infer.onnx", (3, 32, 32), "p2o.Add.107"),
        Network("model.onnx", (2048,), "jax2tf_get_logits_/pjit_get_logits_/MagikaV2/LayerNorm_1/AddV2_1:0", "int32"),
    ],
    ids=str,
)
def test_a_head_learns_and_is_exported_with_the_file(network: Network, tmp_path: Path) -> None:
    x = rows(network, 24)
    y = np.arange(24) % 2
    half = x[y == 1].shape[0]
    x[y == 1] = np.where(rows(network, half) > 0, x[:1], x[y == 1])  # rows of one kind share something
    model = gs.compile(spec(tmp_path, network, *HEAD))
    history = model.fit(x, y, epochs=20, verbose=0)
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    model.export(tmp_path / "out.onnx", rows=x)  # proved against the runtime before it is written
    session = onnxruntime.InferenceSession(tmp_path / "out.onnx")
    np.testing.assert_allclose(session.run(None, {"x": x[:5]})[0], model.predict(x[:5]), rtol=1e-3, atol=1e-4)


def test_the_script_says_that_it_needs_the_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copyfile(ROOT / "examples" / "fine-tuning" / "prepare.py", tmp_path / "prepare.py")
    main = runpy.run_path(str(tmp_path / "prepare.py"))["main"]
    assert main(["letters"]) == 1
    assert capsys.readouterr().err.endswith("is not there: run this in examples/fine-tuning of the whole project\n")
