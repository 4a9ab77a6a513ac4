"""A file is written only if onnxruntime returns the same values."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import pytest

import graphspec as gs
from graphspec.export.onnx import to_model
from graphspec.export.prove import UNUSUAL_TEXTS, Rounding, Rows, prove
from graphspec.vocabulary.layers import LAYERS, Layer
from specs import dense_spec


def test_numbers_that_differ_leave_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = gs.compile(dense_spec())
    honest = gs.Model.run

    def off(self: gs.Model, feeds: Any) -> Any:
        return {head: values + np.float32(1e-3) for head, values in honest(self, feeds).items()}

    monkeypatch.setattr(gs.Model, "run", off)
    (tmp_path / "old.onnx").write_bytes(b"before")
    with pytest.raises(gs.SpecError) as caught:
        model.export(tmp_path / "old.onnx")
    assert [d.code for d in caught.value.diagnostics] == ["GS701"]
    assert "head 'kind' at batch size 1" in str(caught.value)
    assert (tmp_path / "old.onnx").read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["old.onnx"]


class Known(Layer):
    """One-hot vectors of four known words, of another one, and of a missing one."""

    takes_strings: ClassVar[bool] = True

    def lower(self, g: Any, X: Any) -> Any:
        words = g.Tokenizer(X, mark=0, mincharnum=1, pad_value="", tokenexp=r"[\pL]+")
        ids = g.LabelEncoder(words, keys_strings=("", "a", "b", "é"), values_int64s=(0, 2, 3, 4), default_int64=1)
        counts = g.ReduceSum(g.OneHot(ids, g.constant([5]), g.constant([0.0, 1.0])), g.constant([1, 2]), keepdims=0)
        return g.Mul(counts, g.constant([0.0, 1.0, 2.0, 3.0, 4.0]))


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> gs.Model:
    """A network that counts words."""
    monkeypatch.setitem(LAYERS._classes, "Known", Known)
    layers = [
        {"name": "known", "type": "Known"},
        {"name": "kind", "type": "Dense", "units": 3, "activation": "softmax"},
    ]
    return gs.compile(dense_spec(inputs={"text": {"dtype": "string"}}, layers=layers))


def file_of(model: gs.Model) -> onnx.ModelProto:
    return to_model(model.whole, model.parameters, labels={}, metadata={})


def test_a_file_with_texts_is_proved_on_unusual_rows(texts: gs.Model, tmp_path: Path) -> None:
    proof = texts.export(tmp_path / "net.onnx")
    assert proof.unusual >= len(UNUSUAL_TEXTS)
    assert f"and on {proof.unusual} rows with missing, unseen, very long" in str(proof)
    proof = texts.export(tmp_path / "net.onnx", rows={"text": np.array([["a b"], ["é"]], object)})
    assert proof.rows == "the rows given"
    (row,), answer = proof.example[0]["text"], proof.example[1]["kind"]
    assert row.tolist() == ["a b"]
    np.testing.assert_allclose(answer, texts.predict(np.array([["a b"]], object)), rtol=1e-5)


@pytest.mark.parametrize(("attribute", "value"), [("default_int64", 2), ("values_int64s", [1, 2, 3, 4])])
def test_what_ordinary_rows_do_not_show_is_found(attribute: str, value: Any, texts: gs.Model) -> None:
    """Unseen words counted as a known one, and missing ones as unseen: the rows have known words alone."""
    rows = Rows({"text": np.array([["a b"], ["b é"]], object)}, "rows")
    right = file_of(texts)
    assert prove(texts, right.SerializeToString(), rows).unusual
    (node,) = (n for n in right.graph.node if n.op_type == "LabelEncoder")
    kept = [a for a in node.attribute if a.name != attribute]
    del node.attribute[:]
    node.attribute.extend([*kept, onnx.helper.make_attribute(attribute, value)])
    with pytest.raises(gs.SpecError) as caught:
        prove(texts, right.SerializeToString(), rows)
    assert [d.code for d in caught.value.diagnostics] == ["GS701"]


def test_rounding_behind_texts(texts: gs.Model) -> None:
    """Float64 computes what is behind the prelude; texts never reach it."""
    feeds = {"text": np.array([["a b"], ["unseen"]], object)}
    rounding = Rounding(texts, feeds)
    np.testing.assert_allclose(rounding.exact["kind"], texts.run(feeds)["kind"], rtol=1e-5)
    assert (rounding.bound("kind", 4) < 1e-4).all()


def test_operators_of_onnxruntime_alone(texts: gs.Model, tmp_path: Path) -> None:
    with pytest.raises(gs.SpecError) as caught:
        texts.export(tmp_path / "net.onnx", target="onnx")
    (found,) = caught.value.diagnostics
    assert found.code == "GS702"
    assert found.message == "'known' needs the operator Tokenizer, which only onnxruntime has"
    assert not list(tmp_path.iterdir())
    assert [d.code for d in gs.validate(texts.document(), target="onnx")] == ["GS702"]
    assert gs.validate(texts.document(), target="ort-1.14") == []
    gs.compile(dense_spec()).export(tmp_path / "net.onnx", target="onnx")
    assert onnx.load(tmp_path / "net.onnx").opset_import[0].version == 17


def test_generated_rows_are_no_longer_than_positions_known(tmp_path: Path) -> None:
    """A table of 17 positions allows the sizes 3, 7 and 16; the next one, 40, would look up what is not there."""
    layer = {"name": "y", "type": "TokenAndPositionEmbedding", "vocabulary_size": 5, "embedding_dim": 2}
    inputs = {"x": {"shape": [None], "dtype": "int32"}}
    spec = {"graphspec": 1, "name": "net", "inputs": inputs, "outputs": {"y": {"loss": "mse"}}}
    for longest, sizes in ((5, [3]), (17, [3, 7, 16])):
        model = gs.compile({**spec, "layers": [{**layer, "sequence_length": longest}]})
        proof = model.export(tmp_path / "net.onnx")
        assert [next(iter(lengths.values())) for lengths in proof.lengths] == sizes
