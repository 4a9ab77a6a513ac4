"""An explanation: its largest contributions, and what it writes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

import graphspec as gs
from specs import blobs, dense_spec


@pytest.fixture(scope="module")
def found() -> gs.Explanation:
    model, (x, y) = gs.compile(dense_spec()), blobs(30)
    model.fit(x, y, epochs=2, verbose=0)
    return model.explain(x, rows=4)


def test_the_largest_come_first(found: gs.Explanation) -> None:
    top = found.top(1, 3)
    assert len(top) == 3
    assert [abs(c.value) for c in top] == sorted((abs(c.value) for c in top), reverse=True)
    assert sum(c.value for c in found.contributions(1)) == pytest.approx(found.values[1] - found.baselines[1], rel=0.01)
    assert len(found) == 4


def test_a_line_describes_it(found: gs.Explanation) -> None:
    assert repr(found).startswith(f"<graphspec.Explanation of {found.answer(0)} and of 3 other rows: ")
    assert found._repr_html_().startswith('<img alt="" style="max-width: 100%" src="data:image/svg+xml;base64,')


def test_json_lines_and_a_table(found: gs.Explanation) -> None:
    lines = [json.loads(line) for line in found.encode(".jsonl").splitlines()]
    assert [line["row"] for line in lines] == [0, 1, 2, 3]
    (name,) = found.attributions
    np.testing.assert_array_equal([line["attributions"][name] for line in lines], found.attributions[name])
    table = list(csv.DictReader(io.StringIO(found.encode(".csv"))))
    assert len(table) == found.attributions[name].size
    assert float(table[0]["attribution"]) == found.attributions[name][0, 0]
    assert table[0].keys() == {
        *["row", "head", "explains", "value", "baseline", "input", "place", "raw", "attribution"]
    }


@pytest.mark.parametrize("suffix", [".html", ".svg", ".csv", ".jsonl"])
def test_save(found: gs.Explanation, suffix: str, tmp_path: Path) -> None:
    path = found.save(tmp_path / f"why{suffix}")
    assert path.read_text(encoding="utf-8") == found.encode(suffix)


def test_a_file_of_another_kind(found: gs.Explanation, tmp_path: Path) -> None:
    with pytest.raises(gs.UsageError, match=r"must end in \.html, \.svg, \.jsonl, \.csv"):
        found.save(tmp_path / "why.png")


def test_an_answer_that_is_no_number() -> None:
    model, (x, _) = gs.compile(dense_spec()), blobs(3)
    model.set_weights({name: np.full_like(w, np.nan) for name, w in model.weights.items()})
    found = model.explain(x)
    says = "the answer or the baseline's is not a number, so nothing can be attributed"
    assert found.warnings == [f"row {k}: {says}" for k in (1, 2, 3)]
    for suffix in (".html", ".svg", ".csv", ".jsonl"):
        assert found.encode(suffix)
