"""The frame of the attacks: cases come again by their seed, and none that dies or hangs is taken for a good one."""

from __future__ import annotations

import sys
import tempfile
from itertools import islice
from pathlib import Path

import pytest

from trust import frame

SERVE = """
import os, sys, time, types
sys.path.insert(0, {tests!r})
from trust import frame
attack = types.ModuleType("attack")
def chosen(random):
    print("what a case prints is no answer")
    return {{"dies": os.abort, "hangs": lambda: time.sleep(60), "raises": lambda: 1 / 0, "holds": list,
             "finds": lambda: [str(random.random())]}}["{what}"]()
attack.attack = chosen
frame.module = lambda name: attack
frame.serve("any")
"""


def answer(what: str, folder: Path, timeout: float = 30.0) -> list[str]:
    script = SERVE.format(tests=str(frame.HERE.parent), what=what)
    with tempfile.TemporaryFile() as log:
        child = frame.Child([sys.executable, "-c", script], str(folder), log)
        try:
            return child.ask(7, timeout)[0]
        finally:
            child.end()


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("holds", []),
        ("finds", ["0.32383276483316237"]),
        ("raises", ["ZeroDivisionError at <string>:8: division by zero"]),
    ],
)
def test_answers(what: str, found: list[str], tmp_path: Path) -> None:
    assert answer(what, tmp_path) == found


def test_a_process_that_dies_is_a_problem(tmp_path: Path) -> None:
    (problem,) = answer("dies", tmp_path)
    assert "the interpreter ended with status" in problem


@pytest.mark.slow
def test_a_case_that_hangs_is_a_problem(tmp_path: Path) -> None:
    (problem,) = answer("hangs", tmp_path, timeout=2.0)
    assert "no answer in 2 s" in problem


def test_the_same_seed_makes_the_same_cases() -> None:
    assert list(islice(frame.seeds("a", 1), 3)) == list(islice(frame.seeds("a", 1), 3))
    assert list(islice(frame.seeds("a", 1), 3)) != list(islice(frame.seeds("b", 1), 3))


def test_problems_fit_80_columns() -> None:
    text = frame.shown("graphs", 12, "a \x1b[31m" + "long " * 50)
    assert "\x1b" not in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert text.endswith("python -m tests.trust --only graphs --case 12")
