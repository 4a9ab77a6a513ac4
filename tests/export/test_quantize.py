"""Quantized files: what becomes of each kind of network, and what stays as it was."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from commands import graphspec
from quantizing import CASES, Case, convolution, dense, recurrent, text

import graphspec as gs
from graphspec.export.onnx import NOTE
from graphspec.export.prove import Proof
from graphspec.export.quantize import KINDS
from graphspec.graph.onnx_session import session


@cache
def trained(make: Callable[[], Case]) -> gs.Model:
    spec, x, y = make()
    model = gs.compile(spec)
    half = len(next(iter(x.values()))) // 2
    model.fit({n: a[:half] for n, a in x.items()}, {n: a[:half] for n, a in y.items()}, verbose=0)
    return model


def held_out(make: Callable[[], Case]) -> tuple[dict[str, Any], dict[str, Any]]:
    _, x, y = make()
    half = len(next(iter(x.values()))) // 2
    return {n: a[half:] for n, a in x.items()}, {n: a[half:] for n, a in y.items()}


def written(make: Callable[[], Case], path: Path, kind: str | None, max_loss: float = 0.2) -> Proof:
    _, rows, _ = make()
    half = {n: a[: len(a) // 2] for n, a in rows.items()}
    more = {} if kind is None else {"quantize": kind, "max_loss": max_loss, "validation_data": held_out(make)}
    return trained(make).export(path, rows=half, **more)


def metadata(path: Path) -> dict[str, Any]:
    return {p.key: p.value for p in onnx.load(path).metadata_props}


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_a_network_is_about_as_good(make: Callable[[], Case], kind: str, tmp_path: Path) -> None:
    before, after = tmp_path / "float32.onnx", tmp_path / f"{kind}.onnx"
    written(make, before, None)
    verdict = written(make, after, kind).quantized
    assert verdict is not None
    assert verdict.sizes == (before.stat().st_size, after.stat().st_size)
    assert list(verdict.changes) == list(trained(make).evaluate(*held_out(make)))
    x, _ = held_out(make)
    old, new = (session(path, threads=1) for path in (before, after))
    a, b = (runner.run(None, {i.name: x[i.name] for i in runner.get_inputs()}) for runner in (old, new))
    floats = [(p, q) for p, q in zip(a, b, strict=True) if p.dtype.kind == "f"]
    assert any((p != q).any() for p, q in floats)
    for p, q in floats:
        assert np.abs(p - q).max() < (0.2 if kind == "int8" else 0.01) * np.abs(p).max()
    for one, two in zip((*old.get_inputs(), *old.get_outputs()), (*new.get_inputs(), *new.get_outputs()), strict=True):
        assert (one.name, one.type, one.shape) == (two.name, two.type, two.shape)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_the_same_bits_and_operators_of_onnx_alone(make: Callable[[], Case], kind: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"{k}.onnx" for k in range(3)]
    written(make, paths[0], kind)
    written(make, paths[1], kind)
    written(make, paths[2], None)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    new, old = onnx.load(paths[0]), onnx.load(paths[2])
    assert new.producer_name == old.producer_name
    assert new.ir_version == old.ir_version
    assert [(o.domain, o.version) for o in new.opset_import] == [(o.domain, o.version) for o in old.opset_import]
    assert {n.domain for n in new.graph.node} <= {n.domain for n in old.graph.node}
    for one, two in zip((*new.graph.input, *new.graph.output), (*old.graph.input, *old.graph.output), strict=True):
        assert one == two
    assert new.doc_string == old.doc_string


@pytest.mark.slow
def test_what_becomes_of_each_kind(tmp_path: Path) -> None:
    found, methods = {}, {}
    for make in CASES:
        written(make, tmp_path / "net.onnx", "int8")
        found[make.__name__] = operators(tmp_path / "net.onnx")
        methods[make.__name__] = json.loads(metadata(tmp_path / "net.onnx")[NOTE])["method"]
    assert found["dense"].count("MatMulInteger") == 1  # the heads are small
    assert found["attention"].count("MatMulInteger") >= 4
    assert "MatMul" in found["attention"]  # of two activations
    assert "BatchNormalization" not in found["convolution"]
    assert found["convolution"].count("Conv") == 3
    assert "QuantizeLinear" in found["convolution"]
    assert {"LSTM", "DequantizeLinear"} <= {*found["recurrent"]}
    assert "Tokenizer" in found["text"]
    assert methods == {
        "dense": "dynamic, per channel",
        "convolution": "static, per channel (QDQ)",
        "recurrent": "weights of recurrent layers and embeddings",
        "text": "dynamic, per channel",
        "attention": "dynamic, per channel",
    }


def test_weights_have_eight_and_sixteen_bits(tmp_path: Path) -> None:
    sizes = {}
    for kind in (None, *KINDS):
        written(recurrent, tmp_path / "net.onnx", kind)
        tensors = onnx.load(tmp_path / "net.onnx").graph.initializer
        sizes[kind] = {t.name: len(onnx.numpy_helper.to_array(t).tobytes()) for t in tensors}
    table, kernel = "look/embeddings", next(n for n in sizes[None] if n.endswith("/kernel") and n.startswith("read"))
    for name in (table, kernel):
        assert sizes["int8"][name] * 4 == sizes["float16"][name] * 2 == sizes[None][name]


def test_the_prelude_and_what_follows_stay_in_float32(tmp_path: Path) -> None:
    """Raw numbers and prices are beyond float16, which ends at 65,504."""
    random = np.random.default_rng(6)
    area = random.normal(2e6, 4e5, (120, 1)).astype(np.float32)
    spec = {
        **dense()[0],
        "inputs": {"house": {"columns": {"area": "number"}}},
        "layers": [
            {"name": "hidden", "type": "Dense", "units": 32, "activation": "relu", "inputs": "house"},
            {"name": "price", "type": "Dense", "units": 1},
        ],
        "outputs": {"price": {"loss": "mean_squared_error", "scale": "standard"}},
    }
    model = gs.compile(spec)
    price = area / 3 + 1e5
    model.fit({"area": area}, {"price": price}, verbose=0)
    model.export(
        tmp_path / "a.onnx", quantize="float16", max_loss=0.05, validation_data=({"area": area}, {"price": price})
    )
    (found,) = session(tmp_path / "a.onnx", threads=1).run(["price"], {"area": area})
    np.testing.assert_allclose(found, model.predict({"area": area}), rtol=0.01)


def test_nothing_is_logged_printed_or_warned_of(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    handlers = [*logging.getLogger().handlers]
    trained(convolution)
    trained(text)
    capfd.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for make, kind in ((convolution, "int8"), (text, "int8"), (dense, "float16")):
            written(make, tmp_path / "net.onnx", kind)
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger().handlers == handlers
    assert logging.root.manager.disable == logging.NOTSET


@pytest.mark.parametrize("kind", KINDS)
def test_other_commands_read_the_file(kind: str, tmp_path: Path) -> None:
    x, y = held_out(text)
    path = tmp_path / "net.onnx"
    written(text, path, kind)
    rows = [{"line": line, "good": ["no", "yes"][g]} for line, g in zip(x["line"][:, 0], y["good"], strict=True)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = graphspec("predict", path, tmp_path / "rows.jsonl", "--labels")
    assert result.exit_code == 0, result.stderr
    labels = trained(text).predict(x)[:, 0] > 0.5
    agree = [(line == "yes") == label for line, label in zip(result.stdout.splitlines(), labels, strict=True)]
    assert np.mean(agree) > 0.95
    for verb in ("summary", "validate"):
        assert graphspec(verb, path).exit_code == 0


def test_another_opset(tmp_path: Path) -> None:
    x, y = held_out(dense)
    model = trained(dense)
    for target in ("ort-1.14", "ort-1.20", "onnx"):
        model.export(tmp_path / "a.onnx", target=target, quantize="int8", max_loss=0.2, validation_data=(x, y))
        assert "MatMulInteger" in operators(tmp_path / "a.onnx")
    with pytest.raises(gs.SpecError, match="GS702"):
        written_for_onnx(tmp_path / "b.onnx")
    assert not (tmp_path / "b.onnx").exists()


def written_for_onnx(path: Path) -> None:
    trained(text).export(path, target="onnx", quantize="int8", validation_data=held_out(text))
