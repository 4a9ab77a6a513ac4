"""The proof of an export: what it accepts, what it refuses, and on which rows."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from commands import graphspec, project

import graphspec as gs
from graphspec.export.onnx import to_model
from graphspec.export.prove import Proof, Rows, batch_of, lengths_for, prove
from graphspec.graph.ir.graph import Type
from graphspec.graph.onnx_session import session
from specs import blobs, dense_spec
from trust.efficientnet import efficientnet, with_random_statistics
from trust.mutants import mutant

IMAGE, STEPS, VECTOR = {"x": {"shape": [8, 8, 3]}}, {"x": {"shape": ["t", 4]}}, {"x": {"shape": [6]}}
NETWORKS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "dense": (
        VECTOR,
        [
            {"type": "Dense", "units": 8, "activation": "relu"},
            {"type": "LayerNormalization"},
            {"type": "Dense", "units": 3, "activation": "softmax"},
        ],
    ),
    "convolutions": (
        IMAGE,
        [
            {"type": "Conv2D", "filters": 4, "kernel_size": 3, "strides": 2, "padding": "same", "activation": "relu"},
            {"type": "BatchNormalization"},
            {"type": "SeparableConv2D", "filters": 4, "kernel_size": 3, "padding": "same"},
            {"type": "MaxPooling2D"},
            {"type": "Flatten"},
            {"type": "Dense", "units": 3},
        ],
    ),
    "recurrent": (
        STEPS,
        [
            {"type": "LSTM", "units": 5, "return_sequences": True},
            {"type": "GRU", "units": 5},
            {"type": "Dense", "units": 2},
        ],
    ),
    "shifted": (
        IMAGE,
        [
            {"type": "Conv2D", "filters": 4, "kernel_size": 3, "padding": "same"},
            {"type": "BatchNormalization"},
            {"type": "Activation", "activation": "sigmoid"},
            {"type": "Conv2D", "filters": 4, "kernel_size": 3, "padding": "same"},
            {"type": "BatchNormalization"},
            {"type": "GlobalAveragePooling2D"},
        ],
    ),
}


def network(inputs: dict[str, Any], layers: list[dict[str, Any]]) -> gs.Model:
    named = [{"name": f"l{k}"} | layer for k, layer in enumerate(layers)]
    return gs.compile(
        {"graphspec": 1, "name": "net", "inputs": inputs, "layers": named, "outputs": {named[-1]["name"]: {}}}
    )


def shifted(model: gs.Model) -> gs.Model:
    """Biases that the statistics behind them take away again: float32 loses three digits on the way."""
    random, weights = np.random.default_rng(0), model.weights
    for name, array in weights.items():
        if name.endswith(("/bias", "/moving_mean")):
            weights[name] = 1000 + random.normal(0, 0.3, array.shape)
        elif name.endswith("/moving_variance"):
            weights[name] = np.full(array.shape, 0.01)
    model.set_weights(weights)
    return model


def model_of(name: str) -> gs.Model:
    model = network(*NETWORKS[name])
    random = np.random.default_rng(1)
    biases = {n: random.normal(0, 0.3, a.shape) for n, a in model.weights.items() if n.endswith(("bias", "beta"))}
    model.set_weights(biases)
    return shifted(model) if name == "shifted" else model


def file_of(model: gs.Model) -> onnx.ModelProto:
    return to_model(model.graph, model.parameters, labels=model.labels, metadata={})


def answers(model: gs.Model, data: bytes) -> list[Any] | None:
    """What the file gives on the proof's rows; None where it does not run."""
    try:
        runner, rows = session(data, threads=1), Rows()
        return [runner.run(None, batch_of(model, rows, 5, lengths))[0] for lengths in lengths_for(model, rows)]
    except Exception:
        return None


def refused(model: gs.Model, data: bytes) -> bool:
    try:
        prove(model, data)
    except gs.SpecError as error:
        return [d.code for d in error.diagnostics] == ["GS701"]
    return False


@pytest.mark.parametrize("name", NETWORKS)
def test_mutants_are_refused(name: str) -> None:
    """A file with one mistake that moves its answers well beyond rounding never passes."""
    model, draw = model_of(name), random.Random(name)
    right = file_of(model)
    prove(model, right.SerializeToString())
    expected = answers(model, right.SerializeToString())
    assert expected is not None
    wrong = 0
    for _ in range(25):
        changed, what = mutant(right, draw)
        data = changed.SerializeToString()
        got = answers(model, data)
        if got is not None and all(a.shape == b.shape for a, b in zip(got, expected, strict=True)):
            moved = max(float(np.max(np.abs(a - b)) / np.abs(b).max()) for a, b in zip(got, expected, strict=True))
            if moved < 0.05:
                continue
        wrong += 1
        assert refused(model, data), what
    assert wrong >= 10


def test_a_batch_normalization_that_takes_a_large_bias_away(tmp_path: Path) -> None:
    layers = [{"type": "Conv2D", "filters": 8, "kernel_size": 3}, {"type": "BatchNormalization"}]
    model = network(IMAGE, layers)
    kernel = model.weights["l0/kernel"] * 0.01
    shift = np.full(8, 1000.0)
    statistics = {"l1/moving_mean": shift, "l1/moving_variance": np.full(8, 0.01)}
    model.set_weights({"l0/kernel": kernel, "l0/bias": shift} | statistics)
    proof = model.export(tmp_path / "net.onnx")
    assert proof.differences["l1"] > 1e-4
    assert proof.rounding["l1"] < 1e-5  # onnxruntime folds the two, and is right; the runtime rounds in between
    assert "float64 decided" in str(proof)
    facts = {p.key: p.value for p in onnx.load(tmp_path / "net.onnx").metadata_props}
    assert json.loads(facts["proof"])["decided_by_float64"] == proof.rounding


@pytest.mark.slow
def test_a_network_that_rounding_upsets(tmp_path: Path) -> None:
    model = with_random_statistics(efficientnet(32, 0.25), 6)
    proof = model.export(tmp_path / "net.onnx")
    assert proof.rounding
    data = (tmp_path / "net.onnx").read_bytes()
    file = onnx.load_from_string(data)
    (kernel,) = (t for t in file.graph.initializer if t.name == "s5_3_project/kernel")
    kernel.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(kernel) * np.float32(1.05), kernel.name))
    with pytest.raises(gs.SpecError) as caught:
        prove(model, file.SerializeToString())
    (found,) = caught.value.diagnostics
    assert found.code == "GS701"
    for word in ("onnxruntime returns", "the runtime", "float64", "rounding explains"):
        assert word in found.message


def test_a_runtime_that_is_wrong_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, honest = model_of("shifted"), gs.Model.run
    monkeypatch.setattr(gs.Model, "run", lambda self, feeds: {h: a * 1.1 for h, a in honest(self, feeds).items()})
    with pytest.raises(gs.SpecError, match="GS701"):
        model.export(tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def overflowing(scale: float) -> gs.Model:
    model = network(VECTOR, [{"type": "Dense", "units": 4}, {"type": "Dense", "units": 3}])
    model.set_weights({"l0/kernel": np.full((6, 4), scale), "l1/kernel": np.full((4, 3), scale)})
    return model


def test_numbers_beyond_float32(tmp_path: Path) -> None:
    """What overflows in both is equal; it proves nothing, so smaller rows are tried too."""
    proof = overflowing(3e19).export(tmp_path / "net.onnx")
    assert proof.rows.endswith("also scaled down")
    assert np.isfinite(proof.differences["l1"])
    assert json.loads(json.dumps(proof.to_json()), parse_constant=pytest.fail)
    with pytest.raises(gs.SpecError) as caught:
        overflowing(1e38).export(tmp_path / "other.onnx")
    (found,) = caught.value.diagnostics
    assert (found.code, "not finite" in found.message) == ("GS701", True)
    assert "--rows FILE" in str(found.hint)
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


def test_labels_are_those_of_the_files_own_answers() -> None:
    spec = dense_spec()
    spec["outputs"]["kind"]["labels"] = ["red", "green", "blue"]
    model = gs.compile(spec)
    right = to_model(model.graph, model.parameters, labels=model.labels, metadata={})
    prove(model, right.SerializeToString())
    (words,) = (t for t in right.graph.initializer if t.name == "kind/labels")
    words.string_data[:] = [b"green", b"red", b"blue"]
    with pytest.raises(gs.SpecError, match="labels do not match"):
        prove(model, right.SerializeToString())


# Rows.


def test_a_fit_keeps_rows_spread_over_its_data() -> None:
    model = gs.compile(dense_spec())
    assert model.sample_rows is None
    x, y = blobs(100)
    model.fit(x, y, epochs=1, validation_split=0.2, verbose=0)
    assert model.sample_rows is not None
    kept = model.sample_rows["x"]
    assert kept.shape == (5, 4)
    places = [int(np.flatnonzero((x == row).all(1))[0]) for row in kept]
    assert places == sorted(set(places))
    assert places[-1] - places[0] > 80
    x[:] = 0
    assert kept.any()  # a copy
    model.fit(x[:2], y[:2], epochs=1, verbose=0)
    assert model.sample_rows["x"].shape == (2, 4)


def test_where_the_rows_come_from(tmp_path: Path) -> None:
    """The last fit, else the test data, else the training data, else made-up rows; never the reason for no export."""
    model = gs.compile(project(tmp_path))
    assert model.export(tmp_path / "a.onnx").rows == "the test data"
    (tmp_path / "test.npz").write_bytes(b"damaged")
    assert model.export(tmp_path / "a.onnx").rows == "the training data (the test data cannot be read)"
    (tmp_path / "train.npz").unlink()
    proof = model.export(tmp_path / "a.onnx")
    assert proof.rows == "random rows (the test data cannot be read)"
    assert "proved only on random rows (the test data cannot be read)" in str(proof)
    assert "largest difference" not in str(proof)  # of random rows, it would say little
    facts = {p.key: p.value for p in onnx.load(tmp_path / "a.onnx").metadata_props}
    assert json.loads(facts["proof"])["random_rows"] is True
    x, y = blobs()
    model.fit(x, (y > 0).astype(np.float32), epochs=1, verbose=0)
    assert model.export(tmp_path / "a.onnx").rows == "the last fit"
    facts = {p.key: p.value for p in onnx.load(tmp_path / "a.onnx").metadata_props}
    assert json.loads(facts["proof"])["rows"] == "the last fit"


def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The rows that the runtime is run on."""
    found: list[Any] = []
    honest = gs.Model.run
    monkeypatch.setattr(gs.Model, "run", lambda self, feeds: found.append(feeds) or honest(self, feeds))
    return found


def test_rows_that_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, feeds = gs.compile(dense_spec()), seen(monkeypatch)
    x, _ = blobs(3)
    for rows in (x, {"x": x}, x.astype(np.float64)):
        assert model.export(tmp_path / "a.onnx", rows=rows).rows == "the rows given"
    assert all(any((row == given).all() for given in x) for feed in feeds for row in feed["x"])
    np.savez(tmp_path / "rows.npz", x=x)
    assert model.export(tmp_path / "a.onnx", rows=tmp_path / "rows.npz").rows == "rows.npz"
    for wrong, code in ((x[:, :2], "GS503"), (x[:0], "GS508"), ({"z": x}, "GS502"), (np.full((2, 4), np.nan), "GS505")):
        with pytest.raises(gs.SpecError, match=code):
            model.export(tmp_path / "b.onnx", rows=wrong)
    assert not (tmp_path / "b.onnx").exists()


def test_rows_on_the_command_line(tmp_path: Path) -> None:
    result = graphspec("train", project(tmp_path), "--out", tmp_path / "run", "--export", tmp_path / "a.onnx")
    assert "proved on rows of the test data" in result.stdout
    result = graphspec("export", tmp_path / "run", "-o", tmp_path / "a.onnx")
    assert "proved on rows of the test data" in result.stdout
    result = graphspec("export", tmp_path / "run", "-o", tmp_path / "a.onnx", "--rows", tmp_path / "train.npz")
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("proved on rows of "))
    assert line.endswith("train.npz")
    assert len(line) <= 80
    np.savez(tmp_path / "wrong.npz", features=np.zeros((2, 3)))
    for file, code in (("wrong.npz", "GS503"), ("none.npz", "GS501")):
        result = graphspec("export", tmp_path / "run", "-o", tmp_path / "b.onnx", "--rows", tmp_path / file)
        assert (result.exit_code, f"error[{code}]" in result.stderr) == (1, True)
    assert not (tmp_path / "b.onnx").exists()


@pytest.mark.parametrize("kind", ["npz", "compressed", "csv", "parquet"])
def test_a_large_file_is_not_read_whole(kind: str, tmp_path: Path) -> None:
    """Five rows of ten thousand; of an archive no more bytes than these."""
    import tracemalloc

    from graphspec.data.files import open_source
    from graphspec.data.source import Request

    rows = np.random.default_rng(0).standard_normal((10_000, 200)).astype(np.float32)
    path = tmp_path / f"rows.{'npz' if kind == 'compressed' else kind}"
    if kind in ("npz", "compressed"):
        (np.savez if kind == "npz" else np.savez_compressed)(path, x=rows)
        names = ["x"]
    else:
        import duckdb

        columns = {f"c{k}": rows[:, k] for k in range(3)}  # noqa: F841, the query names it
        duckdb.sql(f"COPY (SELECT * FROM columns) TO '{path}'")
        names = ["c0", "c1", "c2"]
    archive = kind in ("npz", "compressed")
    source = open_source(path, 5)
    request = Request("x", names, not archive, Type("float32", ("N", 200 if archive else 3)), is_input=True)
    tracemalloc.start()
    found = source.fill([request])["x"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(found, rows[:5] if archive else rows[:5, :3], rtol=1e-6)
    assert peak < 2_000_000


def test_rows_shorter_than_the_lengths_that_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, feeds = model_of("recurrent"), seen(monkeypatch)
    rows = np.random.default_rng(0).standard_normal((2, 5, 4)).astype(np.float32)
    proof = model.export(tmp_path / "a.onnx", rows=rows)
    assert proof.lengths == [{"t": 3}, {"t": 5}]
    assert all((feed["x"][0] == rows[0, : feed["x"].shape[1]]).all() for feed in feeds)


def test_made_up_ids_are_in_range(tmp_path: Path) -> None:
    embedding = {"type": "Embedding", "input_dim": 5, "output_dim": 3}
    model = network({"x": {"shape": [3], "dtype": "int64"}}, [{"type": "RepeatVector", "n": 2}, embedding])
    assert isinstance(model.export(tmp_path / "a.onnx"), Proof)


# Equal nodes.


def test_equal_nodes_are_written_once(tmp_path: Path) -> None:
    half = {"type": "Rescaling", "scale": 0.5}
    layers = [{"name": n, "inputs": i} | half for n, i in (("a", "x"), ("b", "x"), ("c", "x"), ("d", "c"))]
    layers.append({"name": "e", "type": "Rescaling", "scale": 0.25, "inputs": "x"})
    layers.append({"name": "all", "type": "Concatenate", "inputs": ["a", "b", "d", "e"]})
    inputs = {"x": {"shape": [4], "dtype": "uint8"}}
    spec = {"graphspec": 1, "name": "net", "inputs": inputs, "layers": layers, "outputs": {"all": {}, "b": {}}}
    model = gs.compile(spec)
    model.export(tmp_path / "a.onnx")
    nodes = [(n.op_type, n.name) for n in onnx.load(tmp_path / "a.onnx").graph.node]
    muls = [name for op, name in nodes if op == "Mul"]
    assert (muls, [op for op, _ in nodes].count("Cast")) == (["a/Mul", "d/Mul", "e/Mul"], 1)
    x = np.arange(8, dtype=np.uint8).reshape(2, 4)
    got = session(tmp_path / "a.onnx", threads=1).run(["all", "b"], {"x": x})
    np.testing.assert_array_equal(got[0], np.concatenate([x / 2, x / 2, x / 4, x / 4], 1))
    np.testing.assert_array_equal(got[1], x / 2)
