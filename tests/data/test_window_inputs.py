"""Inputs that windows read over the future, or once: in training, in evaluation, and for forecasts after the last row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data.sources import diagnostics, rows, written

import graphspec
from graphspec.base.errors import SpecError
from graphspec.data.new_rows import NewRows, read_rows, rows_at_end
from graphspec.data.source import DataSignature
from graphspec.graph.ir.graph import Type

KINDS = {
    "past": Type("float32", ("N", 3, 2)),
    "ahead": Type("float32", ("N", 2)),
    "when": Type("string", ("N", 2)),
    "shop": Type("string", ("N", 1)),
}
TARGETS = {"y": Type("float32", ("N", 2))}
TEXT = """file: s.csv
windows: {length: 3, horizon: 2, group: g, order: t, every: 1d, future: [ahead, when], static: [shop]}
inputs: {past: [v, w], ahead: w, when: t, shop: g}
targets: {y: v}"""
SPEC = """
graphspec: 1
name: sales
inputs:
  past: {shape: [3, 2]}
  ahead: {shape: [2]}
  when: {shape: [2], dtype: string}
  shop: {columns: {g: {type: category, embed: 2}}}
layers:
  - {name: flat, type: Flatten, inputs: past}
  - {name: parts, type: DateParts, inputs: when, parts: [weekday, yearday], one_hot: true}
  - {name: day, type: Flatten}
  - {name: all, type: Concatenate, inputs: [flat, ahead, day, shop]}
  - {name: y, type: Dense, units: 2}
outputs:
  y: {loss: mse, scale: standard}
data:
  train:
    file: s.csv
    windows: {length: 3, horizon: 2, group: g, order: t, every: 1d, future: [ahead, when], static: [shop]}
    inputs: {past: [v, w], ahead: w, when: t}
    targets: {y: v}
  validation: {split: 0.2, by: time}
training: {epochs: 2}
"""


def lines(days: int, known: int) -> str:
    """Rows of two series: after ``known`` days, `v` is not known."""
    found = ["t,g,v,w"]
    for k, g in enumerate("ab"):
        dates = np.datetime64("2024-02-27") + np.arange(days)
        found += [f"{d},{g},{100 * k + n if n < known else ''},{n / 10}" for n, d in enumerate(dates)]
    return "\n".join(found) + "\n"


def test_each_input_is_read_over_its_part(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(lines(6, 6))
    arrays = rows(written(tmp_path, TEXT), DataSignature(KINDS, TARGETS))
    chosen = arrays.chosen
    assert arrays.inputs["past"][chosen][1].tolist() == np.float32([[1, 0.1], [2, 0.2], [3, 0.3]]).tolist()
    assert arrays.inputs["ahead"][chosen].tolist() == np.float32([[0.3, 0.4], [0.4, 0.5]] * 2).tolist()
    assert arrays.targets["y"][chosen].tolist() == [[3, 4], [4, 5], [103, 104], [104, 105]]
    assert arrays.inputs["when"][chosen].tolist() == [["2024-03-01", "2024-03-02"], ["2024-03-02", "2024-03-03"]] * 2
    assert arrays.inputs["shop"][chosen].ravel().tolist() == ["a", "a", "b", "b"]


def test_an_added_step_has_its_own_time_and_group(tmp_path: Path) -> None:
    text = lines(6, 6).splitlines()
    del text[4]  # March 1 of a
    (tmp_path / "s.csv").write_text("\n".join(text))
    arrays = rows(written(tmp_path, TEXT.replace("1d,", "1d, missing: interpolate,")), DataSignature(KINDS, TARGETS))
    assert arrays.inputs["when"][arrays.chosen][0].tolist() == ["2024-03-01", "2024-03-02"]
    assert arrays.inputs["ahead"][arrays.chosen][0].tolist() == np.float32([0.3, 0.4]).tolist()


def last(tmp_path: Path, text: str, spec: str = SPEC) -> NewRows:
    (tmp_path / "s.csv").write_text(lines(12, 12))
    (tmp_path / "new.csv").write_text(text)
    (tmp_path / "spec.yaml").write_text(spec)
    model = graphspec.compile(tmp_path / "spec.yaml")
    return read_rows(model.spec, model.graph, tmp_path / "new.csv", last=True)


def test_the_last_window_ends_where_the_past_is_known(tmp_path: Path) -> None:
    found = last(tmp_path, lines(8, 6))
    assert found.inputs["past"][:, -1].tolist() == np.float32([[5, 0.5], [105, 0.5]]).tolist()
    assert found.inputs["ahead"].tolist() == np.float32([[0.6, 0.7]] * 2).tolist()
    assert found.inputs["g"].ravel().tolist() == ["a", "b"]
    assert found.ends is not None
    assert found.ends.columns(ahead=True)["t"].tolist() == ["2024-03-04", "2024-03-05"] * 2
    longer = last(tmp_path, lines(10, 6))  # more is known of the future than is forecast
    assert longer.inputs["ahead"].tolist() == found.inputs["ahead"].tolist()


@pytest.mark.parametrize(("days", "has"), [(6, "0 rows"), (7, "1 row")])
def test_a_future_that_is_not_there(tmp_path: Path, days: int, has: str) -> None:
    with pytest.raises(SpecError) as caught:
        last(tmp_path, lines(days, 6))
    [found] = caught.value.diagnostics
    assert found.code == "GS508"
    assert f"has {has} after the last known value of 'a', but the future has 2" in found.message


def test_a_value_that_is_missing_before_the_end(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        last(tmp_path, lines(8, 6).replace(",103,", ",,"))
    assert [d.code for d in caught.value.diagnostics] == ["GS505"]


def test_times_of_the_future_are_computed(tmp_path: Path) -> None:
    spec = SPEC.replace("future: [ahead, when]", "future: [when]").replace("ahead: w, ", "ahead: w, ")
    spec = spec.replace("  ahead: {shape: [2]}\n", "").replace("ahead: w, ", "").replace("[flat, ahead,", "[flat,")
    found = last(tmp_path, lines(6, 6), spec)
    assert found.inputs["when"].tolist() == [["2024-03-04", "2024-03-05"]] * 2
    assert found.inputs["past"][:, -1].tolist() == np.float32([[5, 0.5], [105, 0.5]]).tolist()
    without = spec.replace(" every: 1d,", "")  # the usual step
    assert last(tmp_path, lines(6, 6), without).inputs["when"].tolist() == found.inputs["when"].tolist()
    appended = last(tmp_path, lines(8, 6).replace(",0.6\n", ",\n").replace(",0.7\n", ",\n"), spec)
    assert appended.inputs["when"].tolist() == found.inputs["when"].tolist()


def test_trained_evaluated_and_exported(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(lines(40, 40))
    (tmp_path / "spec.yaml").write_text(SPEC)
    model = graphspec.compile(tmp_path / "spec.yaml")
    model.fit(verbose=0)
    assert model.export(tmp_path / "m.onnx").rows == "the last fit"
    with pytest.raises(SpecError, match="0 rows after the last known value"):
        rows_at_end(model.spec, model.whole, model.spec.data["train"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[ahead, when]", "[ahaed, when]", "names an unknown input 'ahaed'"),
        (", static: [shop]", "", "read the past of record 'shop', whose columns have one value"),
        ("static: [shop]", "static: [when]", "names 'when', which `future` names, too"),
        ("static: [shop]", "static: [past]", "names 'past', whose shape is [3, 2]"),
        ("ahead: {shape: [2]}", "ahead: {shape: [3]}", "names 'ahead', whose shape is [3]"),
        ("ahead: w", "ahead: v", "names 'ahead', whose column 'v' is a target: what is forecast is not known"),
    ],
)
def test_inputs_that_do_not_suit(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SPEC
    (tmp_path / "spec.yaml").write_text(SPEC.replace(old, new))
    found = [d for d in graphspec.validate(tmp_path / "spec.yaml") if message in d.message]
    assert found
    assert found[0].hint


def test_a_time_may_not_occur_twice(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(lines(6, 6))
    [found] = diagnostics(written(tmp_path, TEXT.replace(" group: g,", "")), DataSignature(KINDS, TARGETS))
    assert found.code == "GS105"
    assert found.hint == "give `group`, or remove one of the rows"


def test_one_step_ahead_and_the_calendar_of_the_past(tmp_path: Path) -> None:
    text = lines(6, 6).splitlines()
    del text[5]  # March 2 of a
    (tmp_path / "s.csv").write_text("\n".join(text))
    kinds = {"x": Type("string", ("N", 4)), "ahead": Type("float32", ("N",)), "w": Type("float32", ("N", 2))}
    source = written(
        tmp_path,
        "file: s.csv\nwindows: {length: 4, group: g, order: t, every: 1d, missing: previous, future: [ahead], static: [w]}\n"
        "inputs: {x: t, ahead: w, w: [v, w]}\ntargets: {y: v}",
    )
    arrays = rows(source, DataSignature(kinds, {"y": Type("float32", ("N", 1))}))
    assert arrays.inputs["x"][0].tolist() == ["2024-02-27", "2024-02-28", "2024-02-29", "2024-03-01"]
    assert arrays.inputs["x"][1][-1] == "2024-03-02"
    assert arrays.inputs["ahead"][:2].tolist() == np.float32([0.3, 0.5]).tolist()
    assert arrays.inputs["w"][1].tolist() == np.float32([3, 0.3]).tolist()
