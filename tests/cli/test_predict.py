"""``graphspec evaluate``, ``predict`` and ``export``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import pytest
from commands import SPEC, graphspec, project

import graphspec as gs
from graphspec.vocabulary.layers import LAYERS, Layer
from specs import blobs, dense_spec

TABLE = SPEC.replace(
    "train: {file: train.npz}",
    "train: {file: train.csv, inputs: {features: [a, b, c, d]}, targets: {answer: said}}",
).replace("  test: {file: test.npz}\n", "")


def arrays_of(path: Path) -> dict[str, Any]:
    """Return the arrays of an archive, and close it."""
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run with its ONNX file and its data next to it."""
    folder = tmp_path_factory.mktemp("run")
    result = graphspec("train", project(folder), "--out", folder / "run", "--export", folder / "tiny.onnx")
    assert result.exit_code == 0, result.stderr
    return folder / "run"


@pytest.fixture
def table_run(tmp_path: Path) -> Path:
    """A run trained on a table."""
    spec = project(tmp_path, TABLE)
    data = arrays_of(tmp_path / "train.npz")
    rows = np.column_stack([data["features"], data["answer"]]).tolist()
    with (tmp_path / "train.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["d", "c", "b", "a", "said"], *([*x[::-1], ["no", "yes"][int(y)]] for *x, y in rows)]
        )
    result = graphspec("train", spec, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    return tmp_path / "run"


def _table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_evaluate_without_test_data(table_run: Path) -> None:
    result = graphspec("evaluate", table_run)
    assert result.exit_code == 2
    assert "--data" in result.stderr
    assert graphspec("evaluate", table_run, "--data", table_run.parent / "train.csv").exit_code == 0


@pytest.mark.parametrize("verb", [["evaluate"], ["export", "-o", "a.onnx"]], ids=lambda words: words[0])
def test_no_run(verb: list[str], tmp_path: Path) -> None:
    result = graphspec(*verb, tmp_path)
    assert result.exit_code == 2
    assert "is not a run directory" in result.stderr


def test_a_damaged_run(run: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "run"
    damaged.mkdir()
    for file in run.iterdir():
        (damaged / file.name).write_bytes(
            file.read_bytes()[: 2000 if file.name == "weights.safetensors" else None][:-3]
        )
    (damaged / "spec.json").write_bytes((run / "spec.json").read_bytes())
    result = graphspec("evaluate", damaged)
    assert result.exit_code == 3
    assert "error[GS603]" in result.stderr


# predict


def test_predict_prints_a_table(run: Path) -> None:
    result = graphspec("predict", run, run.parent / "test.npz")
    assert result.exit_code == 0, result.stderr
    rows = _table(result.stdout)
    expected = gs.load(run).predict(arrays_of(run.parent / "test.npz")["features"])
    assert list(rows[0]) == ["answer", "answer_label"]
    np.testing.assert_allclose([float(r["answer"]) for r in rows], expected[:, 0], rtol=1e-6)
    assert all(r["answer_label"] == ("yes" if float(r["answer"]) > 0.5 else "no") for r in rows)


@pytest.mark.parametrize("name", ["run", "tiny.onnx"])
def test_predict_writes_every_format(run: Path, tmp_path: Path, name: str) -> None:
    source, data = run.parent / name, run.parent / "test.npz"
    for suffix in ("csv", "npz", "jsonl"):
        result = graphspec("predict", source, data, "-o", tmp_path / f"p.{suffix}")
        assert result.exit_code == 0, result.stderr
        assert result.stdout == f"{tmp_path / f'p.{suffix}'}: 20 rows of answer, answer_label\n"
    with np.load(tmp_path / "p.npz", allow_pickle=False) as arrays:
        values, labels = arrays["answer"], arrays["answer_label"]
    assert (values.shape, values.dtype, labels.shape, labels.dtype.kind) == ((20, 1), np.float32, (20,), "U")
    rows = _table((tmp_path / "p.csv").read_text())
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    for k in range(20):
        assert np.float32(rows[k]["answer"]) == np.float32(lines[k]["answer"]) == values[k, 0]
        assert rows[k]["answer_label"] == lines[k]["answer_label"] == labels[k]


def test_run_and_onnx_agree(run: Path) -> None:
    data = run.parent / "test.npz"
    a, b = (_table(graphspec("predict", source, data).stdout) for source in (run, run.parent / "tiny.onnx"))
    np.testing.assert_allclose([float(r["answer"]) for r in a], [float(r["answer"]) for r in b], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_predict_maps_columns(table_run: Path, tmp_path: Path) -> None:
    """A file has the training table's columns in another order and without the target, or an array named like the input."""
    graphspec("export", table_run, "-o", tmp_path / "t.onnx")
    data = arrays_of(tmp_path / "test.npz")["features"]
    (tmp_path / "new.jsonl").write_text(
        "".join(json.dumps(dict(zip("acbd", map(float, x[[0, 2, 1, 3]]), strict=True))) + "\n" for x in data)
    )
    expected = graphspec("predict", table_run, tmp_path / "test.npz").stdout
    for source in (table_run, tmp_path / "t.onnx"):
        got = graphspec("predict", source, tmp_path / "new.jsonl")
        assert got.exit_code == 0, got.stderr
        pairs = zip(_table(got.stdout), _table(expected), strict=True)
        assert all(float(a["answer"]) == pytest.approx(float(b["answer"]), rel=1e-4) for a, b in pairs)


def _wrong(folder: Path) -> Iterator[tuple[Path, str]]:
    np.savez(folder / "names.npz", other=np.zeros((2, 4)))
    yield folder / "names.npz", "GS502"
    np.savez(folder / "shape.npz", features=np.zeros((2, 5)))
    yield folder / "shape.npz", "GS503"
    np.savez(folder / "nan.npz", features=np.full((2, 4), np.nan))
    yield folder / "nan.npz", "GS505"
    np.savez(folder / "none.npz", features=np.zeros((0, 4)))
    yield folder / "none.npz", "GS508"
    np.savez(folder / "pickle.npz", features=np.array([[{}] * 4] * 2, dtype=object))
    yield folder / "pickle.npz", "GS504"
    (folder / "bad.npz").write_bytes(b"nothing")
    yield folder / "bad.npz", "GS501"
    yield folder / "missing.csv", "GS501"
    yield folder / "missing.txt", "GS501"
    yield folder / "missing.png", "GS501"
    (folder / "data.txt").write_text("1 2 3")
    yield folder / "data.txt", "GS105"


@pytest.mark.slow
def test_predict_from_wrong_data(run: Path, tmp_path: Path) -> None:
    for file, code in _wrong(tmp_path):
        for source in (run, run.parent / "tiny.onnx"):
            result = graphspec("predict", source, file)
            assert (result.exit_code, result.stdout) == (1, ""), file
            assert f"{file}: error[{code}]" in result.stderr


def test_predict_usage(run: Path, tmp_path: Path) -> None:
    data = run.parent / "test.npz"
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    model = onnx.load(run.parent / "tiny.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    for source in (tmp_path / "none", tmp_path / "bad.onnx", tmp_path / "foreign.onnx"):
        result = graphspec("predict", source, data)
        assert (result.exit_code, result.stdout) == (2, ""), source
    result = graphspec("predict", run, data, "-o", tmp_path / "p.xlsx")
    assert result.exit_code == 2
    result = graphspec("predict", run, data, "-o", tmp_path / "no" / "p.csv")
    assert result.exit_code == 2


def lines_of(features: Any, **others: Any) -> str:
    rows = [{"features": x.tolist()} | {k: v[i] for k, v in others.items()} for i, x in enumerate(features)]
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("name", ["run", "tiny.onnx"])
def test_predict_from_standard_input(run: Path, tmp_path: Path, name: str) -> None:
    features = np.tile(arrays_of(run.parent / "test.npz")["features"], (30, 1))  # several batches
    text = lines_of(features, name=[f"row {k}" for k in range(len(features))])
    expected = graphspec("predict", run.parent / name, run.parent / "test.npz").stdout.splitlines()
    answer = graphspec("predict", run.parent / name, "-", stdin=text)
    assert answer.exit_code == 0, answer.stderr
    header, *rows = answer.stdout.splitlines()
    assert (header, len(rows)) == ("answer,answer_label", 600)
    for row, other in zip(_table(answer.stdout)[-20:], _table("\n".join(expected)), strict=True):
        assert float(row["answer"]) == pytest.approx(float(other["answer"]), rel=1e-5)
    for suffix in ("csv", "npz", "jsonl"):
        result = graphspec(
            "predict", run.parent / name, "-", "-o", tmp_path / f"p.{suffix}", "--keep", "name", stdin=text
        )
        assert result.stdout == f"{tmp_path / f'p.{suffix}'}: 600 rows of name, answer, answer_label\n"
    assert arrays_of(tmp_path / "p.npz")["name"].tolist() == [f"row {k}" for k in range(600)]
    assert [r["name"] for r in _table((tmp_path / "p.csv").read_text())] == [f"row {k}" for k in range(600)]
    last = json.loads((tmp_path / "p.jsonl").read_text().splitlines()[-1])
    assert list(last) == ["name", "answer", "answer_label"]
    assert last["name"] == "row 599"


@pytest.mark.slow
def test_labels_alone(run: Path) -> None:
    rows = _table(graphspec("predict", run, run.parent / "test.npz").stdout)
    expected = [row["answer_label"] for row in rows]
    assert graphspec("predict", run, run.parent / "test.npz", "--labels").stdout.splitlines() == expected
    result = graphspec("predict", run, run.parent / "test.npz", "--labels", "--json")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [{"answer_label": name} for name in expected]
    text = lines_of(arrays_of(run.parent / "test.npz")["features"], id=list(range(20)))
    table = _table(graphspec("predict", run, "-", "--labels", "--keep", "id", stdin=text).stdout)
    assert table == [{"id": str(k), "answer_label": name} for k, name in enumerate(expected)]


def test_labels_of_a_network_without_labels(tmp_path: Path) -> None:
    spec = project(tmp_path, SPEC.replace(', labels: ["no", "yes"]', ""))
    assert graphspec("train", spec, "--out", tmp_path / "run").exit_code == 0
    result = graphspec("predict", tmp_path / "run", tmp_path / "test.npz", "--labels")
    assert result.exit_code == 2
    assert "no head has labels" in result.stderr


def test_kept_values_are_as_in_the_input(run: Path) -> None:
    features = arrays_of(run.parent / "test.npz")["features"][:4]
    values = [None, {"a": [1, 2.5]}, True, 'é, "b"']
    text = lines_of(features, note=values, number=[10**25, 1, 2, -7])
    more = ("--keep", "note", "--keep", "number")
    lines = graphspec("predict", run, "-", "--json", *more, stdin=text).stdout.splitlines()
    assert [json.loads(line)["note"] for line in lines] == values
    assert json.loads(lines[0])["number"] == 10**25
    cells = [row["note"] for row in _table(graphspec("predict", run, "-", *more, stdin=text).stdout)]
    assert cells == ["", '{"a": [1, 2.5]}', "true", 'é, "b"']


def test_kept_numbers_are_numbers_in_an_archive(run: Path, tmp_path: Path) -> None:
    rows = [{"features": [1, 2, 3, 4], "id": k, "ok": k > 1, "share": k / 2, "any": k or None} for k in range(3)]
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    kept = [word for name in ("id", "ok", "share", "any") for word in ("--keep", name)]
    assert graphspec("predict", run, "-", "-o", tmp_path / "p.npz", *kept, stdin=text).exit_code == 0
    found = arrays_of(tmp_path / "p.npz")
    assert {name: found[name].tolist() for name in ("id", "ok", "share", "any")} == {
        "id": [0, 1, 2],
        "ok": [False, False, True],
        "share": [0.0, 0.5, 1.0],
        "any": ["", "1", "2"],
    }


def test_the_last_window_needs_an_answer_for_each_step(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("t,v\n" + "".join(f"{k},{k % 3}\n" for k in range(30)), encoding="utf-8")
    windows = {"length": 4, "horizon": 2, "order": "t", "every": 1}
    spec: dict[str, Any] = {
        "graphspec": 1,
        "name": "forecast",
        "inputs": {"past": {"shape": [4]}},
        "layers": [{"name": n, "type": "Dense", "units": k, "inputs": "past"} for n, k in (("next", 2), ("trend", 1))],
        "outputs": {"next": {"loss": "mae"}, "trend": {}},
        "training": {"epochs": 1},
        "data": {"train": {"file": "s.csv", "windows": windows, "inputs": {"past": "v"}, "targets": {"next": "v"}}},
    }
    (tmp_path / "s.json").write_text(json.dumps(spec), encoding="utf-8")
    assert graphspec("train", tmp_path / "s.json", "--out", tmp_path / "run", "--no-report").exit_code == 0
    result = graphspec("predict", tmp_path / "run", tmp_path / "s.csv", "--last")
    assert result.exit_code == 2
    assert "for each of 2 steps: 'trend' has (1,) per window; leave out --last" in " ".join(result.stderr.split())


def test_columns_of_a_table_are_kept(table_run: Path) -> None:
    table = table_run.parent / "train.csv"
    with table.open(newline="") as file:
        said = [row["said"] for row in csv.DictReader(file)]
    result = graphspec("predict", table_run, table, "--keep", "said", "--keep", "d")
    rows = _table(result.stdout)
    assert list(rows[0]) == ["said", "d", "answer", "answer_label"]
    assert [row["said"] for row in rows] == said
    result = graphspec("predict", table_run, table, "--keep", "sad")
    assert result.exit_code == 1
    assert "error[GS502]" in result.stderr
    assert "'said'" in result.stderr


def test_keep_usage(run: Path) -> None:
    data = run.parent / "test.npz"
    for more in (["--keep", "features"], ["--keep", "answer"], ["--json", "-o", "a.csv"]):
        result = graphspec("predict", run, data, *more)
        assert (result.exit_code, result.stdout) == (2, ""), more


def test_a_kept_column_with_the_name_of_a_head(run: Path, tmp_path: Path) -> None:
    text = json.dumps({"features": [1, 2, 3, 4], "answer": "yes", "id": 7}) + "\n"
    result = graphspec("predict", run, "-", "--keep", "answer", "--keep", "id", stdin=text)
    assert result.exit_code == 0, result.stderr
    (row,) = _table(result.stdout)
    assert list(row) == ["answer_given", "id", "answer", "answer_label"]
    assert (row["answer_given"], row["id"]) == ("yes", "7")
    result = graphspec("predict", run, "-", "--keep", "id", "--keep", "id", stdin=text)
    assert result.exit_code == 2
    assert "kept twice" in result.stderr


def test_columns_have_the_names_of_classes(tmp_path: Path) -> None:
    spec = dense_spec()
    spec["outputs"]["kind"]["labels"] = ["red", "label", "a,b"]
    model = gs.compile(spec)
    model.save(tmp_path / "run")
    np.savez(tmp_path / "x.npz", x=blobs(3)[0])
    result = graphspec("predict", tmp_path / "run", tmp_path / "x.npz")
    assert result.exit_code == 0, result.stderr
    rows = _table(result.stdout)
    assert list(rows[0]) == ["kind_red", "kind_label_", "kind_a,b", "kind_label"]  # `kind_label` is the label
    np.testing.assert_allclose([float(rows[0][c]) for c in list(rows[0])[:3]], model.predict(blobs(3)[0])[0], rtol=1e-5)


@pytest.mark.slow
def test_wrong_records(run: Path, tmp_path: Path) -> None:
    good = json.dumps({"features": [1, 2, 3, 4]}) + "\n"
    for text, code, said in (
        ("", "GS508", "has no rows"),
        (good + '{"feature": [1, 2, 3, 4]}', "GS502", "line 2"),
        (good + "[1, 2]", "GS501", "line 2"),
        (good + '{"features": [1, 2, 3]}', "GS503", "lists of different lengths"),
        ('{"features": [1, 2, 3]}', "GS503", "(1, 3)"),
        (good + '{"features": [1, 2, 3, "x"]}', "GS504", "text"),
        (good * 300 + '{"features": [1, 2, 3, null]}', "GS505", "line 301"),
    ):
        for source in (run, run.parent / "tiny.onnx"):
            result = graphspec("predict", source, "-", "-o", tmp_path / "p.csv", stdin=text)
            assert result.exit_code == 1, text
            assert f"<stdin>: error[{code}]" in result.stderr
            assert said in result.stderr
            assert list(tmp_path.iterdir()) == []


# export


def test_export(run: Path, tmp_path: Path) -> None:
    for more, opset in (([], 17), (["--opset", "18"], 18), (["--target", "ort-1.20"], 21)):
        result = graphspec("export", run, "-o", tmp_path / "a.onnx", *more)
        assert result.exit_code == 0, result.stderr
        assert "equal to the runtime" in result.stdout
        assert onnx.load(tmp_path / "a.onnx").opset_import[0].version == opset


def test_export_usage(run: Path, tmp_path: Path) -> None:
    for more in (["--opset", "3"], ["--target", "ort-9"], ["--opset", "17", "--target", "ort-1.20"]):
        result = graphspec("export", run, "-o", tmp_path / "a.onnx", *more)
        assert result.exit_code == 2
        assert not (tmp_path / "a.onnx").exists()


def test_no_file_where_the_numbers_differ(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = gs.Model.run
    monkeypatch.setattr(gs.Model, "run", lambda self, feeds: {n: a + 1 for n, a in forward(self, feeds).items()})
    result = graphspec("export", run, "-o", tmp_path / "a.onnx")
    assert result.exit_code == 1
    assert "error[GS701]" in result.stderr
    assert not (tmp_path / "a.onnx").exists()


@pytest.mark.parametrize("file", ["no/a.onnx", "."])
def test_an_output_that_cannot_be_written(file: str, run: Path, tmp_path: Path) -> None:
    for words in (["export", run], ["predict", run, run.parent / "test.npz"], ["schema"]):
        result = graphspec(*words, "-o", tmp_path / file)
        assert result.exit_code == 2
        assert "folder" in result.stderr


# texts


class Lengths(Layer):
    """How many words a text has, and whether it is "yes"."""

    takes_strings: ClassVar[bool] = True

    def lower(self, g: Any, X: Any) -> Any:
        words = g.Tokenizer(X, mark=0, mincharnum=1, pad_value="", separators=(" ",))
        known = g.LabelEncoder(words, keys_strings=("",), values_int64s=(0,), default_int64=1)
        count = g.ReduceSum(g.Cast(known, to="float32"), g.constant([2]), keepdims=0)
        yes = g.LabelEncoder(X, keys_strings=("yes",), values_int64s=(1,), default_int64=0)
        return g.Concat(count, g.Cast(yes, to="float32"), axis=1)


@pytest.fixture
def text_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A saved network of a text and a number that may be missing, with its ONNX file."""
    monkeypatch.setitem(LAYERS._classes, "Lengths", Lengths)
    layers = [
        {"name": "words", "type": "Lengths", "inputs": "note"},
        {"name": "full", "type": "Impute", "strategy": "constant", "fill_value": -1.0, "inputs": "age"},
        {"name": "both", "type": "Concatenate", "inputs": ["words", "full"]},
    ]
    inputs = {"note": {"dtype": "string"}, "age": {"shape": [1]}}
    spec = {"graphspec": 1, "name": "net", "inputs": inputs, "layers": layers, "outputs": {"both": {}}}
    model = gs.compile(spec)
    model.save(tmp_path / "run")
    model.export(tmp_path / "net.onnx")
    return tmp_path / "run"


EXPECTED = [[2, 0, 7], [1, 1, -1], [0, 0, 3.5], [0, 0, -1]]


@pytest.mark.parametrize("name", ["run", "net.onnx"])
def test_texts_and_missing_numbers(text_run: Path, name: str) -> None:
    rows = [
        {"note": "a b", "age": 7, "other": "x"},
        {"note": "yes", "age": None},
        {"note": None, "age": 3.5},
        {"note": ""},
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    source = text_run.parent / name
    result = graphspec("predict", source, "-", "--json", stdin=text)
    assert result.exit_code == 0, result.stderr
    assert [json.loads(line)["both"] for line in result.stdout.splitlines()] == EXPECTED
    table = text_run.parent / "rows.csv"
    table.write_text("id,age,note\n1,7,a b\n2,,yes\n3,3.5,\n4,NA,\n", encoding="utf-8")
    result = graphspec("predict", source, table, "--keep", "id")
    assert result.exit_code == 0, result.stderr
    found = [[row["id"], *(float(row[f"both_{k}"]) for k in range(3))] for row in _table(result.stdout)]
    assert found == [[str(k + 1), *row] for k, row in enumerate(EXPECTED)]
    result = graphspec("predict", source, "-", stdin='{"age": 3}')
    assert result.exit_code == 1
    assert "key 'note' of '<stdin>' is missing in line 1" in result.stderr


@pytest.mark.parametrize(
    ("row", "options", "meant"),
    [
        ({"note": "", "aeg": 3}, (), True),
        ({"note": "", "aeg": 3, "age": None}, (), False),
        ({"note": "", "aeg": 3}, ("--keep", "aeg"), False),
        ({"note": "", "shop": 3}, (), False),
    ],
)
def test_a_key_that_may_be_misspelt_is_told_once(
    text_run: Path, row: dict[str, Any], options: tuple[str, ...], *, meant: bool
) -> None:
    lines = (json.dumps(row) + "\n") * 600  # three batches
    result = graphspec("predict", text_run, "-", *options, stdin=lines)
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 601)
    told = "<stdin>: warning[GS502]: key 'age' of '<stdin>' is missing in line 1\n"
    assert result.stderr == (told + "  = help: did you mean 'aeg'? write null for a missing value\n\n" if meant else "")
