"""The explanations of codes are true: the wrong example of each gives its code and no other, the right one none.

``UPDATE_EXPLANATIONS=1`` writes the answers instead of comparing them.
"""

from __future__ import annotations

import os
import re
from difflib import SequenceMatcher
from pathlib import Path

import pytest
from explaining import codes_in, first_answer, run_example
from paths import ROOT

from graphspec.base.codes import Code
from graphspec.base.explanations.pages import GROUPS, explanation, find, near
from graphspec.base.text import display_width

PAGES = ROOT / "graphspec" / "base" / "explanations"
IN_WORDS = {Code.WORKER_DIED, Code.PREPARATION_FAILED, Code.RANKS_DIFFER}
"""Codes that no example can cause on every machine."""
OF_OTHERS = {Code.DAMAGED_RUN}
"""Codes whose answer quotes a text of another package."""
EXAMPLES = [code for code in Code if code not in IN_WORDS]


@pytest.fixture(autouse=True)
def _memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.engine.compiler.training_checks.available", lambda: 16 * 2**30)


@pytest.mark.parametrize("code", EXAMPLES)
def test_the_wrong_example_gives_its_code_and_no_other(code: Code, tmp_path: Path) -> None:
    statuses, text = run_example(code, "wrong", tmp_path)
    assert codes_in(text) == {code}, text
    if f"error[{code}]" in text:
        assert any(statuses)
    answer = first_answer(text)
    if os.environ.get("UPDATE_EXPLANATIONS") == "1":
        page = PAGES / f"{code[:3].lower()}.md"
        before = explanation(code).answer
        page.write_text(page.read_text(encoding="utf-8").replace(before, answer), encoding="utf-8")
    elif code not in OF_OTHERS:
        assert answer == explanation(code).answer


def _is_mended_by_command(code: Code) -> bool:
    """Whether only the commands of the two examples differ."""
    return not any(b.file and b.role == "right" for b in explanation(code).blocks)


@pytest.mark.slow
@pytest.mark.parametrize("code", EXAMPLES)
def test_the_right_example_is_right(code: Code, tmp_path: Path) -> None:
    if _is_mended_by_command(code):
        run_example(code, "wrong", tmp_path)
    statuses, text = run_example(code, "right", tmp_path)
    assert codes_in(text) == set(), text
    assert set(statuses) == {0}, text


@pytest.mark.parametrize("code", list(Code))
def test_every_code_is_explained_by_a_small_change(code: Code) -> None:
    explained = explanation(code)
    if code in IN_WORDS:
        assert explained.note
        assert not explained.answer
        assert explained.example("right")
        return
    wrong, right = ("".join(b.text for b in explained.example(role)) for role in ("wrong", "right"))
    assert wrong != right
    if not _is_mended_by_command(code):
        assert SequenceMatcher(None, wrong, right, autojunk=False).ratio() > 0.8
    assert len(wrong.splitlines()) <= 25
    assert explained.answer.count(f"[{code}]") == 1


def test_pages_have_the_codes_in_order_and_nothing_else() -> None:
    assert sorted(path.name for path in PAGES.glob("*.md")) == [f"{group.lower()}.md" for group in GROUPS]
    found = []
    for group in GROUPS:
        codes = re.findall(r"^## (.*)$", (PAGES / f"{group.lower()}.md").read_text(encoding="utf-8"), re.M)
        assert all(code.startswith(group) for code in codes)
        found += codes
    assert found == sorted(Code)


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("code", EXAMPLES)
def test_an_answer_fits_the_width(code: Code, width: int) -> None:
    lines = explanation(code).rendered_answer(width=width).splitlines()
    assert [line for line in lines if display_width(line) > width] == []
    assert f"[{code}]" in lines[0]


def test_an_answer_at_any_width_is_the_one_that_was_given() -> None:
    for code in EXAMPLES:
        explained = explanation(code)
        assert explained.rendered_answer() + "\n" == explained.answer


def test_the_lines_that_the_examples_differ_in() -> None:
    explained = explanation(Code.SHAPES_DIFFER)
    (wrong, *_), (right, *_) = explained.example("wrong"), explained.example("right")
    assert [wrong.text.splitlines()[k] for k in explained.changed_lines(wrong)] == [
        "  - {name: b2, type: Conv2D, filters: 64, kernel_size: 3, inputs: image}"
    ]
    assert [right.text.splitlines()[k] for k in explained.changed_lines(right)] == [
        "  - {name: b2, type: Conv2D, filters: 64, kernel_size: 3, padding: same, inputs: image}"
    ]


@pytest.mark.parametrize("text", ["GS302", "gs302", " Gs302 ", "302", "[GS302]"])
def test_a_code_in_other_spellings(text: str) -> None:
    assert find(text) is Code.SHAPES_DIFFER


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("GS312", "GS302"),
        ("GS322", "GS302"),
        ("GS999", None),
        ("", None),
        ("cycle", "GS202"),
        ("duplicate", "GS106"),
        ("shapes difer", "GS302"),
        ("GS799", "GS701"),
    ],
)
def test_codes_near_an_unknown_one(text: str, first: str | None) -> None:
    assert find(text) is None
    assert next(iter(near(text)), None) == first
