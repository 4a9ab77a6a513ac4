"""`tools.mutation`: what faults it makes of a line, and what it says of those of a small package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

if sys.platform == "win32":
    pytest.skip("each mutant is a fork", allow_module_level=True)

from tools.mutation import equivalent, mutants_of, sample

CHANGES = {
    "a < b": ["a <= b"],
    "a == b and c": ["a == b or c", "a != b"],
    "y = f(a, 1)": ["f(1, a)", "2"],
    "f('text', a) + max(a, b)": ["f('text', a) - max(a, b)"],
    "x[-1]": ["1", "2"],
    "not a": ["a"],
    "'text' + a": [],
    "def f(x: Literal[1] = 3) -> Literal[2]: 'Text.'": ["2"],
    "x.append(1.5)": ["pass", "3.0"],
    "raise E(f'{a + 1}')": ["pass"],
    "if f(a): pass": ["if not f(a)"],
    "total += 0": ["pass", "1"],
}


@pytest.mark.parametrize("line", CHANGES)
def test_faults_of_a_line(line: str) -> None:
    assert [mutant.after for mutant, _ in mutants_of(line)] == CHANGES[line]


def test_shape_rules_are_an_area_of_their_own() -> None:
    source = "def infer(x) -> Type:\n  return x + 1\ndef bind(x):\n  return x - 1\n"
    assert [m.function for m, _ in mutants_of(source, area="shape rules")] == ["infer"] * 2
    assert [m.function for m, _ in mutants_of(source, area="kernels and their gradients")] == ["bind"] * 2


def test_a_sample_is_the_same_each_time_and_each_equivalent_mutant_is_one() -> None:
    file = "graphspec/graph/derivatives/walk.py"
    drawn = sample(ROOT, [file], 5, 0)
    assert drawn == sample(ROOT, [file], 5, 0) != sample(ROOT, [file], 5, 1)
    assert len(drawn) == 5
    files = sorted({key.partition(" ")[0] for key in equivalent()})
    assert not equivalent().keys() - {mutant.key for mutant in sample(ROOT, files, None, 0)}


SUMS = """
def total(n):
    while n > 5:
        n -= 2
    return n
def unseen(a, b):
    return a * b
"""
PROGRAM = """
import sys
from pathlib import Path
from tools import mutation
mutation.IMPORTED_ONCE, mutation.LIMIT = ["pytest"], 2
sys.exit(mutation.main(sys.argv[2:], Path(sys.argv[1])))
"""


def test_a_small_package(tmp_path: Path) -> None:
    files = {
        "small/__init__.py": "",
        "small/part/__init__.py": "",
        "small/part/sums.py": SUMS,
        "tests/part/test_sums.py": "from small.part.sums import total\ndef test_total():\n    assert total(8) == 4\n",
        "pytest.ini": "[pytest]\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n## Mutation\n\nText.\n\n| area |\n| old |\n\nMore.\n")
    words = ["small/part/sums.py", "--results", str(tmp_path / "results.json"), "--markdown", str(page)]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert {key.partition(" ")[2]: verdict for key, verdict in found.items() if key != "tests/part"} == {
        "total: n > 5 → n >= 5": "survived",
        "total: 5 → 4": "survived",
        "total: n -= 2 → pass": "killed by the limit of time",
        "total: 2 → 1": "killed",
        "unseen: a * b → a / b": "survived",
    }
    assert "\n| all | 5 | 2 | 0 | 3 | 40 % |\n\nMore.\n" in page.read_text(encoding="utf-8")
    assert "old" not in page.read_text(encoding="utf-8")
