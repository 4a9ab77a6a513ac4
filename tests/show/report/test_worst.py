"""The worst rows: those with the largest losses by hand, with their records, within the size of the section."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from findings import ATTACK, DATA, check_html, findings_of

import graphspec as gs
from graphspec.base.text import significant
from graphspec.show.html import html_of
from graphspec.show.report.findings import Findings
from graphspec.show.report.worst import largest, worst
from specs import blobs, dense_spec, pairs, two_heads_spec


def _html(found: Findings) -> str:
    section = worst(found)
    assert section is not None
    check_html(html_of(section.blocks))
    assert len(html_of(section.blocks)) < 120_000
    return html_of(section.blocks)


def test_rows_are_those_with_the_largest_losses() -> None:
    model = gs.compile(dense_spec(data=DATA))
    x, y = blobs(50)
    found = findings_of(model, x, y)
    losses = -np.log(model.predict(x)[np.arange(50), y])
    order = np.argsort(-losses, kind="stable")[:20]
    html = _html(found)
    assert re.findall(r"<th scope=row>row (\d+)</th>", html) == [str(k + 1) for k in order]
    assert "Rows are counted from 1." in html
    assert f"<td class=number>{significant(losses[order[0]])}</td>" in html
    for value in x[order[0]]:
        assert f"{value:.6g}" in html
    assert html.index("20 rows have a wrong answer") > 0


def test_lines_of_the_file_and_rows_of_a_split(tmp_path: Path) -> None:
    x, y = blobs(40)
    rows = [",".join([*map(str, a), str(b)]) for a, b in zip(x, y, strict=True)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,c,d,kind", *rows]) + "\n", encoding="utf-8")
    data = {
        "train": {
            "file": str(tmp_path / "rows.csv"),
            "inputs": {"x": ["a", "b", "c", "d"]},
            "targets": {"kind": "kind"},
        },
        "validation": {"split": 0.5},
    }
    model = gs.compile(dense_spec(data=data))
    from graphspec.show.report.findings import find

    found = find(model, tmp_path)
    assert found.judged is not None
    assert found.judged.part == "validation"
    html = _html(found)
    first = int(re.findall(r">line (\d+)<", html)[0])
    values = rows[first - 2].split(",")
    row = html[html.index(f">line {first}<") :].partition("</tr>")[0]
    for value in values[:4]:
        assert f">{float(np.float32(value)):.6g}<" in row
    assert "<code>rows.csv</code>" in html
    assert ">a</th>" in html


def test_a_loss_that_is_not_a_number_is_the_worst() -> None:
    found = findings_of(gs.compile(dense_spec(data=DATA)), *blobs(30))
    assert found.judged is not None
    head = found.judged.heads["kind"]
    assert head.losses is not None
    losses = head.losses.copy()
    losses[17] = np.nan
    ordered = largest(replace(head, losses=losses))
    assert ordered is not None
    assert ordered[0][0] == 17
    assert (np.diff(ordered[1][1:]) <= 0).all()


def test_without_losses_numbers_go_by_their_error() -> None:
    x, y = pairs(30)
    found = findings_of(gs.compile(two_heads_spec() | {"data": DATA}), x, y)
    assert found.judged is not None
    head = replace(found.judged.heads["gap"], losses=None)
    ordered = largest(head)
    assert ordered is not None
    assert head.targets is not None
    errors = np.abs(head.targets - head.answers)[:, 0]
    assert ordered[0].tolist() == np.argsort(-errors, kind="stable")[:20].tolist()
    assert largest(replace(head, losses=None, targets=None)) is None


def test_each_head_has_its_own_rows() -> None:
    x, y = pairs(30)
    html = _html(findings_of(gs.compile(two_heads_spec() | {"data": DATA}), x, y))
    assert html.count("data-tab=") == 2
    assert '<div id="worst-1"><h3>gap</h3>' in html


def _spec(inputs: dict[str, Any], layers: list[dict[str, Any]], labels: list[str] | None = None) -> dict[str, Any]:
    head: dict[str, Any] = {"loss": "sparse_categorical_crossentropy"}
    last = {"name": "y", "type": "Dense", "units": 3, "activation": "softmax"}
    outputs = {"y": head | ({"labels": labels} if labels else {})}
    return {"graphspec": 1, "name": "w", "inputs": inputs, "layers": [*layers, last], "outputs": outputs, "data": DATA}


def test_long_hostile_texts_have_room_and_are_escaped() -> None:
    vector = {"type": "TextVectorization", "output_mode": "multi_hot", "vocabulary": ["a", "b"]}
    model = gs.compile(_spec({"t": {"shape": [1], "dtype": "string"}}, [vector], [ATTACK, "b", ""]))
    texts = np.array([[f"{ATTACK} a {'<&> ' * 2000}"] for _ in range(30)], object)
    html = _html(findings_of(model, texts, np.arange(30) % 3))
    assert "more characters" in html
    assert html.count('<li class="case">') >= 10


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(28, 28, 1), (400, 300, 3)])
def test_pictures_have_room(shape: tuple[int, ...]) -> None:
    flat = [{"type": "Rescaling", "scale": 0.004}, {"type": "GlobalAveragePooling2D"}]
    model = gs.compile(_spec({"x": {"shape": list(shape), "dtype": "uint8"}}, flat))
    pictures = np.random.default_rng(0).integers(0, 256, (25, *shape), np.uint8)
    html = _html(findings_of(model, pictures, np.arange(25) % 3))
    assert html.count('src="data:image/png;base64,') == 20


def test_one_row_and_none() -> None:
    model = gs.compile(dense_spec(data=DATA))
    x, y = blobs(1)
    assert "1 row" in _html(findings_of(model, x, y))
    assert worst(Findings(model, Path("runs/none"), {})) is None


def test_of_windows_that_overlap_the_worst_counts() -> None:
    found = findings_of(gs.compile(dense_spec(data=DATA)), *blobs(6)).judged
    assert found is not None
    head = replace(next(iter(found.heads.values())), losses=np.array([1.0, 6, 5, 4, 3, 2]))
    first = np.arange(6)
    order, losses = largest(head, 3, (first, first + 1)) or ([], [])
    assert (list(order), list(losses)) == ([1, 3, 5], [6, 4, 2])
    assert list((largest(head, 3, (first, first)) or [[]])[0]) == [1, 2, 3]
