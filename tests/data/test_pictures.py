"""``init --from FOLDER`` of pictures: what is seen in them, and the network that fits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from commands import graphspec
from onnx import TensorProto, helper
from PIL import Image

from graphspec.language.parse import parse

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _write(size: tuple[int, int], *, colours: bool, one_sided: bool, n: int = 40) -> None:
    """Pictures of a bright half, at the left or the right (``one_sided``), else at the top or the bottom."""
    r = np.random.default_rng(0)
    for k in range(n):
        pixels = r.integers(0, 60, (*size, 3 if colours else 1), np.uint8).repeat(1 if colours else 3, axis=2)
        half = pixels if not one_sided else pixels.transpose(1, 0, 2)
        half = half[: len(half) // 2] if k % 2 else half[len(half) // 2 :]
        half += 150
        place = Path("pictures", "ab"[k % 2])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{k:03}.png")


def _init(*words: str) -> tuple[dict[str, object], str]:
    result = graphspec("init", "net.yaml", "--from", "pictures", *words)
    assert (result.exit_code, result.stderr) == (0, "")
    spec, problems = parse("net.yaml")
    assert not problems
    text = Path("net.yaml").read_text()
    assert max(map(len, text.splitlines())) <= 120
    assert graphspec("validate", "net.yaml", "--data").exit_code == 0
    return {node.name: node.layer for node in spec.nodes} | {"image": spec.inputs["image"].shape}, text


@pytest.mark.parametrize("one_sided", [False, True])
def test_pictures_are_flipped_if_mirrored_ones_resemble_their_class(one_sided: bool) -> None:
    _write((12, 10), colours=True, one_sided=one_sided)
    nodes, text = _init()
    assert ("flipped" in nodes) is ("both" in nodes) is not one_sided
    if not one_sided:
        assert "# 100 % look like their class mirrored, 100 % as they are" in text


def test_a_folder_of_which_one_or_no_picture_can_be_read() -> None:
    """One has no neighbour to resemble; without any, the template stays as it is."""
    _write((12, 10), colours=True, one_sided=False, n=4)
    for k in range(4):
        broken = Path("pictures", "ab"[k % 2], f"{k:03}.png")
        broken.write_bytes(broken.read_bytes()[: 40 if k else None])
    for spec in ("one.yaml", "none.yaml"):
        result = graphspec("init", spec, "--from", "pictures")
        assert result.exit_code == 0, result.stderr
        assert ("flipped" in Path(spec).read_text()) is (spec == "none.yaml")
        Path("pictures", "a", "000.png").write_bytes(b"no picture")


@pytest.mark.parametrize(
    ("size", "resized", "stages", "strides"),
    [
        ((8, 8), (8, 8), 2, 1),
        ((16, 8), (16, 8), 2, 1),
        ((28, 28), (28, 28), 3, 1),
        ((3, 12), (3, 12), 0, 1),
        ((96, 128), (48, 64), 3, 2),
    ],
)
def test_pictures_are_not_enlarged_and_large_ones_reduced(
    size: tuple[int, int], resized: tuple[int, int], stages: int, strides: int
) -> None:
    _write(size, colours=False, one_sided=True, n=20)
    nodes, text = _init()
    assert nodes["image"][2] == 1  # type: ignore[index]
    assert "# height, width, grey: 0 to 255" in text
    assert (nodes["resized"].height, nodes["resized"].width) == resized  # type: ignore[attr-defined]
    assert sum(name.endswith("/conv_1") for name in nodes) == stages
    assert nodes["stem"].strides == strides  # type: ignore[attr-defined]


def _backbone(path: str, shape: tuple[object, ...], *, last: str = "Gemm") -> None:
    """A classifier: the mean of each channel, then three classes."""
    axes = [2, 3] if shape[1] == 3 else [1, 2]
    weight = helper.make_tensor("w", TensorProto.FLOAT, (3, 3), np.eye(3, dtype=np.float32).ravel())
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["means"], keepdims=0),
        helper.make_node(last, ["means", "w"] if last == "Gemm" else ["means"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"], axis=1),
    ]
    values = [weight, helper.make_tensor("axes", TensorProto.INT64, (2,), axes)]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("N", 3))]
    graph = helper.make_graph(nodes, "g", inputs, outputs, values)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)


@pytest.mark.parametrize(
    ("shape", "last", "output", "size"),
    [
        (("N", 3, 8, 9), "Gemm", "means", (8, 9)),
        (("N", 16, 16, 3), "Gemm", "means", (16, 16)),
        (("N", 3, "h", "w"), "Relu", None, (224, 224)),
    ],
)
def test_a_backbone_is_frozen_before_a_new_head(
    shape: tuple[object, ...], last: str, output: str | None, size: tuple[int, int]
) -> None:
    _write((10, 12), colours=True, one_sided=True, n=20)
    _backbone("net.onnx", shape, last=last)
    nodes, _ = _init("--backbone", "net.onnx")
    assert nodes["features"].output == output  # type: ignore[attr-defined]
    assert (nodes["resized"].height, nodes["resized"].width) == size  # type: ignore[attr-defined]
    assert ("turned" in nodes) is (shape[1] == 3)
    assert set(nodes) - {"image", "turned"} == {"resized", "scaled", "features", "flat", "kind"}
    if output is not None:
        result = graphspec("train", "net.yaml", "--set", "training.epochs=1", "--export", "out.onnx", "--no-report")
        assert (result.exit_code, "out.onnx: equal to the runtime" in result.stdout) == (0, True), result.stderr


def test_files_that_are_no_backbone_are_refused() -> None:
    _write((8, 8), colours=True, one_sided=True, n=20)
    _backbone("flat.onnx", ("N", 5, 8, 9))
    Path("bad.onnx").write_bytes(b"\xff")
    Path("deep").mkdir()
    for words, text in (
        (["net.yaml", "--from", "pictures", "--backbone", "flat.onnx"], "flat.onnx reads no pictures: float32 (N, 3,"),
        (["net.yaml", "--from", "pictures", "--backbone", "bad.onnx"], "bad.onnx"),
        (["net.yaml", "--from", "pictures", "--backbone", "none.onnx"], "none.onnx"),
        (["deep/net.yaml", "--from", "pictures", "--backbone", "flat.onnx"], "is not beside the spec or below"),
        (["net.yaml", "--backbone", "flat.onnx"], "--backbone is for pictures: name their folder with --from"),
    ):
        result = graphspec("init", *words)
        assert (result.exit_code, text in " ".join(result.stderr.split())) == (2, True), result.stderr
        assert not Path("net.yaml").exists()
