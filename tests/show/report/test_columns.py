"""The data: parts with their problems, classes by part, repeated rows, and the table of the fields."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from findings import ATTACK, DATA, check_html, findings_of, rows_of

import graphspec as gs
from graphspec.show.html import html_of
from graphspec.show.report.columns import columns
from graphspec.show.report.findings import Findings, find
from graphspec.show.report.kinds import score
from specs import blobs, dense_spec


def _html(found: Findings) -> str:
    section = columns(found)
    assert section is not None
    check_html(html_of(section.blocks))
    return html_of(section.blocks)


def finding(found: Findings) -> tuple[str, bool]:
    section = columns(found)
    assert section is not None
    return section.finding, section.alarm


def test_classes_and_repeated_rows_by_hand() -> None:
    x, y = blobs(50)
    train = (np.concatenate([x[:5], blobs(60, seed=1)[0]]), np.concatenate([y[:5], np.ones(60, int)]))
    found = findings_of(gs.compile(dense_spec(data=DATA)), x, y, train=train)
    html = _html(found)
    assert finding(found) == ("training rows among them", True)
    assert "<p class=alarm>5 test rows (10 %) have the same inputs as a training row: their results say little" in html
    count = int((y == 2).sum())
    assert f"<td class=number>{count}</td>" in html
    assert html.count('class="sharebar a"') == 3


def test_a_class_without_training_rows_is_named() -> None:
    x, y = blobs(50)
    spec = dense_spec(data=DATA)
    spec["outputs"]["kind"]["labels"] = ["a", "b", ATTACK]
    html = _html(findings_of(gs.compile(spec), x, y, train=(x[y < 2], y[y < 2])))
    assert "No training row has the class &lt;/script&gt;" in html


def test_drift_is_in_words() -> None:
    x, y = blobs(400)
    shifted = x.copy()
    shifted[:, 2] += 3
    found = findings_of(gs.compile(dense_spec(data=DATA)), shifted, y, train=blobs(400, seed=4))
    html = _html(found)
    text, alarm = finding(found)
    assert re.fullmatch(r"drift \d\.\d\d: x\[2\]", text)
    assert alarm
    assert finding(findings_of(gs.compile(dense_spec(data=DATA)), x, y, train=blobs(400, seed=4))) == ("", False)
    rows = html[html.index("<h3>Inputs") :].split("<tr>")[2:]
    assert [row.partition("</th>")[0].removeprefix("<th scope=row>") for row in rows] == [
        "x[0]",
        "x[1]",
        "x[2]",
        "x[3]",
    ]
    assert ["drift large" in row for row in rows] == [False, False, True, False]


def test_parts_that_cannot_be_read_or_have_changed(tmp_path: Path) -> None:
    x, y = blobs(30)
    rows = [",".join([*map(str, a), str(b)]) for a, b in zip(x, y, strict=True)]
    part = {"inputs": {"x": ["a", "b", "c", "d"]}, "targets": {"kind": "kind"}}
    data: dict[str, Any] = {}
    for name in ("train", "test"):
        (tmp_path / f"{name}.csv").write_text("\n".join(["a,b,c,d,kind", *rows]) + "\n", encoding="utf-8")
        data[name] = {"file": str(tmp_path / f"{name}.csv"), **part}
    model = gs.compile(dense_spec(data=data))
    judged = find(model, tmp_path).judged
    record = {"data_sha256": {"train": "0" * 64}}
    assert "changed since the training" in _html(Findings(model, tmp_path, {}, record, judged))
    assert "changed" not in _html(Findings(model, tmp_path, {}, {}, judged))
    (tmp_path / "train.csv").unlink()
    again = gs.compile(dense_spec(data=data))
    html = _html(Findings(again, tmp_path, {}, record, judged))
    assert "cannot be read: " in html
    assert "drift" not in html[html.index("<thead>", html.index("<h3>Inputs")) :].partition("</thead>")[0]


@pytest.mark.parametrize("rows", [1, 2])
def test_few_rows(rows: int) -> None:
    x, y = blobs(rows)
    _html(findings_of(gs.compile(dense_spec(data=DATA)), x, y))


def test_no_data_and_no_rows() -> None:
    assert columns(Findings(gs.compile(dense_spec()), Path("runs/none"), {})) is None
    html = _html(Findings(gs.compile(dense_spec(data=DATA)), Path("runs/none"), {}))
    assert "cannot be read any more" in html


def test_many_fields_have_room() -> None:
    spec = dense_spec(data=DATA, inputs={"x": {"shape": [100]}})
    x = np.random.default_rng(0).normal(size=(60, 100)).astype(np.float32)
    html = _html(findings_of(gs.compile(spec), x, np.arange(60) % 3))
    assert "20 more fields not shown" in html
    assert len(html) < 110_000


def test_rows_that_are_no_part_of_the_spec() -> None:
    model = gs.compile(dense_spec())
    x, y = blobs(30)
    found = Findings(model, Path("runs/none"), {}, {}, score(model, rows_of(model, x, y), "given"))
    html = _html(found)
    assert "<th scope=row>given</th><td class=number>30</td>" in html
    assert "<th scope=row>x[0]</th>" in html
