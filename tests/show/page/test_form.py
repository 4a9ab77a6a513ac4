"""What a page knows of a file: kinds of fields, usual ranges, heads, and texts that cannot become markup."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from consumers.apps import FIXTURES, HERE
from show.report.test_build import HOSTILE

import graphspec as gs
from graphspec.base.errors import UsageError
from graphspec.show.page.build import _range, contents, form_of, page_of


def fields_of(name: str) -> dict[str, dict[str, Any]]:
    return {field["name"]: field for field in form_of(FIXTURES / name / "model.onnx")["fields"]}


def heads_of(name: str) -> dict[str, dict[str, Any]]:
    return {head["name"]: head for head in form_of(FIXTURES / name / "model.onnx")["heads"]}


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        (
            "table",
            {
                **dict.fromkeys(("age", "hours", "height", "steps"), "number"),
                **dict.fromkeys(("town", "trade", "code"), "category"),
                "joined": "date",
                "remark": "text",
            },
        ),
        ("demand", {"past": "numbers", "ahead": "numbers", "now": "date", "shop": "category"}),
        ("garments", {"image": "picture"}),
        ("sentences", {"tokens": "words"}),
        ("opinions", {"opinion": "text"}),
        ("integers", {"shop": "category", "items": "numbers", "level": "number", "urgent": "number"}),
    ],
)
def test_each_input_has_a_kind(name: str, kinds: dict[str, str]) -> None:
    assert {field: found["kind"] for field, found in fields_of(name).items()} == kinds


def test_ranges_are_those_of_the_training_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(HERE)
    import make_fixtures

    _, x, _, _ = make_fixtures.table()
    fields = fields_of("table")
    for name in ("age", "hours", "height", "steps"):
        given = x[name][np.isfinite(x[name])]
        low, high = np.quantile(given, [0.025, 0.975], method="nearest")  # an amount begins at no number below 0
        first = fields[name]["first"]
        first = low if first is None else first  # the range holds the example
        assert np.allclose([fields[name]["low"], fields[name]["high"]], [min(low, first), max(high, first)])
        assert np.isclose(fields[name]["typical"], np.quantile(given, 0.5, method="lower"))
    _, x, _, _ = make_fixtures.integers()
    middles = np.quantile(x["items"], 0.5, axis=0, method="lower")
    assert np.allclose(fields_of("integers")["items"]["typical"], middles)  # of a list: of each of its numbers


@pytest.mark.parametrize(
    ("low", "high", "first", "expected"),
    [
        (1900.0, 2020.0, 1960.0, (1900, 2020)),
        (1900.0, 2020.0, 1850.0, (1850, 2020)),  # the range holds the example
        (1900.0, 2020.0, None, (1900, 2020)),  # a missing example is no 0
        (-20.0, -10.0, None, (-20, -10)),
        (None, None, None, (0, 1)),
        (None, None, 3.0, (0, 6)),
    ],
)
def test_a_range_holds_the_example_if_there_is_one(
    low: float | None, high: float | None, first: float | None, expected: tuple[float, float]
) -> None:
    found = _range(low, None, high, first, "float32")
    assert (found["low"], found["high"]) == expected


def test_large_integers_are_texts() -> None:
    assert fields_of("table")["code"]["known"] == [3, 17, -5, "1152921504606846977"]


def test_heads_have_labels_intervals_and_pasts() -> None:
    assert heads_of("table")["kind"]["labels"] == ["b c", "ångström", "中"]
    heads = heads_of("demand")
    assert list(heads) == ["units", "visits"]
    assert heads["units"]["interval"] == ["units_low", "units_high"]
    assert (heads["units"]["past"], heads["visits"]["past"]) == ("past", None)
    assert not heads["units"]["joined"]
    assert [head["joined"] for head in heads_of("strokes").values()] == [True]  # of CTC: the letters of a text


def without_example(name: str, folder: Path) -> Path:
    """A fixture's file as of a network whose row is too large for an example."""
    import onnx

    model = onnx.load(FIXTURES / name / "model.onnx")
    for entry in model.metadata_props:
        if entry.key == "graphspec.signature":
            entry.value = json.dumps(json.loads(entry.value) | {"example": None})
    onnx.save(model, folder / "large.onnx")
    return folder / "large.onnx"


@pytest.mark.parametrize("name", ["table", "demand", "garments"])
def test_a_form_without_an_example_begins_with_what_is_typical(name: str, tmp_path: Path) -> None:
    fields = form_of(without_example(name, tmp_path))["fields"]
    assert [field["first"] for field in fields] == [field["typical"] for field in fields]
    given = {field["name"]: field["typical"] for field in fields if field["first"] is not None}
    assert given.keys() >= {"table": {"age", "town", "remark"}, "demand": {"past", "shop"}, "garments": set()}[name]


def test_fields_name_the_columns_that_they_read(tmp_path: Path) -> None:
    columns = {"past": "bikers", "ahead": ["holiday", "work"]}
    spec: dict[str, Any] = {
        "graphspec": 1,
        "name": "hire",
        "inputs": {"past": {"shape": [3]}, "ahead": {"shape": [2, 2]}},
        "layers": [
            {"name": "flat", "type": "Flatten", "inputs": "ahead"},
            {"name": "both", "type": "Concatenate", "inputs": ["past", "flat"]},
            {"name": "y", "type": "Dense", "units": 2},
        ],
        "outputs": {"y": {"loss": "mse"}},
        "data": {
            "train": {
                "file": "hire.csv",
                "windows": {"length": 3, "horizon": 2, "future": ["ahead"]},
                "inputs": columns,
                "targets": {"y": "bikers"},
            }
        },
    }
    rows = {"past": np.zeros((1, 3), np.float32), "ahead": np.zeros((1, 2, 2), np.float32)}
    gs.compile(spec).export(tmp_path / "hire.onnx", rows=rows)
    fields = form_of(tmp_path / "hire.onnx")["fields"]
    assert {field["input"]: field["columns"] for field in fields} == {"past": ["bikers"], "ahead": columns["ahead"]}


def hostile(folder: Path) -> Path:
    """A file whose names, labels and known values try to become markup."""
    spec = {
        "graphspec": 1,
        "name": "hostile",
        "description": HOSTILE,
        "inputs": {"row": {"columns": {"colour": "category", "size": {"type": "number", "missing": "mean"}}}},
        "layers": [{"name": "kind", "type": "Dense", "units": 2, "activation": "softmax", "inputs": "row"}],
        "outputs": {"kind": {"loss": "sparse_categorical_crossentropy", "description": HOSTILE}},
        "training": {"epochs": 1, "batch_size": 8},
    }
    model = gs.compile(spec)
    x = {"colour": np.array([["red"], [HOSTILE]] * 8, object), "size": np.arange(16, dtype=np.float32)[:, None]}
    model.fit(x, {"kind": np.array(["no", HOSTILE] * 8, object)}, verbose=0)
    model.export(folder / "hostile.onnx", rows=x)
    return folder / "hostile.onnx"


def test_texts_cannot_become_markup(tmp_path: Path) -> None:
    html = page_of(hostile(tmp_path))
    assert re.findall(r"<script[^>]*>", html) == [
        '<script type="application/json" id="about">',
        '<script type="text/plain" id="model">',
        "<script>",
    ]
    assert "<img" not in html
    assert "\u202e" not in html
    record = json.loads(html.partition('id="about">')[2].partition("</script>")[0])
    assert HOSTILE in record["fields"][0]["known"]  # as it is, for the network
    listed = contents({HOSTILE: form_of(tmp_path / "hostile.onnx") | {"title": HOSTILE}})
    assert re.findall(r"<script|<img", listed) == []


def test_the_page_is_small_and_fetches_the_engine_alone(tmp_path: Path) -> None:
    file = FIXTURES / "table" / "model.onnx"
    html = page_of(file)
    assert len(html) - file.stat().st_size * 4 / 3 < 150_000
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert "connect-src https://cdn.jsdelivr.net/npm/onnxruntime-web@" in policy[1]
    assert "unsafe-inline" not in policy[1]
    assert '"integrity": "sha384-' in html
    for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"):
        (tmp_path / name).write_bytes(b"engine")
    own = page_of(file, tmp_path)
    assert "connect-src 'none'" in own
    assert "jsdelivr" not in own


def test_what_has_no_page_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx

    foreign = onnx.load(FIXTURES / "table" / "model.onnx")
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    with pytest.raises(UsageError, match="has no spec: a page needs"):
        page_of(tmp_path / "foreign.onnx")
    with pytest.raises(UsageError, match=r"has no ort\.wasm\.bundle\.min\.mjs"):
        page_of(FIXTURES / "table" / "model.onnx", tmp_path)
    monkeypatch.setattr("graphspec.show.page.build.LARGEST", 1000)
    with pytest.raises(UsageError, match="a page holds at most"):
        page_of(FIXTURES / "table" / "model.onnx")


def test_ids_have_the_range_of_their_table(tmp_path: Path) -> None:
    spec = {
        "graphspec": 1,
        "name": "ids",
        "inputs": {"job": {"shape": [], "dtype": "int64"}},
        "layers": [
            {"name": "look", "type": "Embedding", "input_dim": 20, "output_dim": 3},
            {"name": "y", "type": "Dense", "units": 1},
        ],
        "outputs": {"y": {"loss": "mse"}},
    }
    gs.compile(spec).export(tmp_path / "ids.onnx", rows={"job": np.array([3, 19])})
    (field,) = form_of(tmp_path / "ids.onnx")["fields"]
    assert (field["kind"], field["dims"], field["ids"]) == ("number", [], [0, 19])
    assert (field["low"], field["high"], field["first"]) == (0, 19, 3)
