"""Texts and learnt widths in the graph of a whole spec."""

from __future__ import annotations

from typing import Any

import pytest

from graphspec.engine.compiler.check import check
from graphspec.graph.ir.dims import show
from graphspec.vocabulary.layers import LAYERS


def spec(inputs: dict[str, Any], *layers: dict[str, Any], **head: Any) -> dict[str, Any]:
    last = layers[-1]["name"]
    return {"graphspec": 1, "name": "s", "inputs": inputs, "layers": list(layers), "outputs": {last: head}}


def test_widths_of_a_record_have_the_names_of_what_is_learnt() -> None:
    columns = {
        "age": {"type": "number", "indicator": True},
        "hours": {"type": "number", "scale": {"bins": 4}},
        "job": "category",
        "city": {"type": "category", "embed": 3},
        "zip": {"type": "category", "dtype": "int64", "vocabulary": [7, 8, 9]},
        "start": {"type": "date", "parts": ["year", "month"]},
        "note": {"type": "text", "max_tokens": 100},
    }
    record = {"columns": columns, "crosses": [["job", "city"]]}
    dense = {"name": "y", "type": "Dense", "units": 1}
    checked = check(spec({"p": record}, dense, loss="mean_squared_error"))
    assert checked.diagnostics == []
    assert checked.lowered is not None
    shapes = {name: show(values[0].shape) for name, values in checked.lowered.outputs.items() if values}
    wanted = {
        "p/age": "(N, 2)",
        "p/hours": "(N, 4)",
        "p/job/ids": "(N, 1)",
        "p/job": "(N, p.job.ids.tokens+2)",
        "p/city": "(N, 3)",
        "p/zip": "(N, 5)",
        "p/start": "(N, 3)",
        "p/note": "(N, p.note.tokens+1)",
        "p/job_x_city": "(N, 1000)",
        "p": "(N, p.job.ids.tokens+p.note.tokens+1020)",
        "y": "(N, 1)",
    }
    assert {name: shapes[name] for name in wanted} == wanted


@pytest.mark.parametrize("columns", [1, 300])
def test_records_of_many_categories(columns: int) -> None:
    record = {"columns": {f"c{k}": "category" for k in range(columns)}}
    checked = check(spec({"p": record}, {"name": "y", "type": "Dense", "units": 1}, loss="mean_squared_error"))
    assert checked.diagnostics == []
    assert checked.lowered is not None
    (whole,) = checked.lowered.outputs["p"] or ()
    assert len(show(whole.shape)) < 100


TEXTS = {"line": {"dtype": "string"}}


def test_a_layer_says_whether_it_takes_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    same = {"name": "y", "type": "Identity"}
    (found,) = check(spec(TEXTS, same)).errors
    assert (found.code, found.path) == ("GS306", "layers.y")
    assert found.message == "Identity 'y' takes numbers, but 'line' is text"
    assert found.hint is not None
    assert "StringLookup" in found.hint
    cls = LAYERS.get("Identity")
    assert cls is not None
    monkeypatch.setattr(cls, "takes_strings", True)
    (found,) = check(spec(TEXTS, same)).errors
    assert (found.code, found.path) == ("GS306", "outputs.y")
    assert found.message == "head 'y' is text, but a head is numbers"
    (found,) = check(spec(TEXTS, same, loss="mean_squared_error")).errors
    assert found.message == "head 'y' is text, but a head is numbers"


@pytest.mark.parametrize(("shape", "wanted"), [(None, "(N, 1)"), ([3], "(N, 3)"), ([None], "(N, line_1)")])
def test_shapes_of_texts(shape: list[int | None] | None, wanted: str) -> None:
    line = {"dtype": "string"} | ({} if shape is None else {"shape": shape})
    ids = {"name": "y", "type": "StringLookup", "vocabulary": ["a", "b"]}
    checked = check(spec({"line": line}, ids))
    assert checked.errors == []
    assert checked.lowered is not None
    (value,) = checked.lowered.outputs["y"] or ()
    assert show(value.shape) == wanted
