"""The shapes after the lines of nodes."""

from __future__ import annotations

from editor.documents import BRANCHES
from paths import ROOT

from graphspec.editor.analysis import Analysis
from graphspec.editor.hover import shape_hints


def hints(text: str, start: int = 0, end: int | None = None) -> dict[int, str]:
    """The hints by their lines, from 1."""
    analysis = Analysis(text, "spec.yaml")
    found = shape_hints(analysis, start, len(text) if end is None else end)
    assert all(hint.offset in analysis.text.ends for hint in found)
    return {analysis.text.line_of(hint.offset) + 1: hint.text for hint in found}


def test_known_shapes_of_a_broken_spec() -> None:
    assert hints(BRANCHES) == {6: "(N, 28, 28, 64)", 7: "(N, 26, 26, 64)"}


def test_a_fixed_spec() -> None:
    fixed = BRANCHES.replace("kernel_size: 3, inputs", "kernel_size: 3, padding: same, inputs").replace(
        "Flaten", "Flatten"
    )
    assert hints(fixed) == {
        6: "(N, 28, 28, 64)",
        7: "(N, 28, 28, 64)",
        8: "(N, 28, 28, 128)",
        9: "(N, 100352)",
        10: "(N, 10)",
    }


def test_only_the_lines_that_are_seen() -> None:
    start = BRANCHES.index("  - {name: b2")
    assert hints(BRANCHES, start, start + 10) == {7: "(N, 26, 26, 64)"}


def test_instances_blocks_and_records() -> None:
    text = (ROOT / "specs" / "fashion_inception.yaml").read_text(encoding="utf-8")
    lines = {line: text.splitlines()[line - 1] for line in hints(text)}
    found = {lines[line].strip()[:16]: shape for line, shape in hints(text).items()}
    assert found["- {name: mix_1, "] == "(N, 14, 14, 80)"
    assert found["- {name: mix_2, "] == "(N, 7, 7, 120)"
    assert found["- {name: mixed, "] == "(N, 14, 14, 80) | (N, 7, 7, 120)"
    record = (ROOT / "specs" / "penguins.yaml").read_text(encoding="utf-8")
    assert "(N, learnt)" in hints(record).values()


def test_a_node_in_lines_has_its_shape_after_the_first_line() -> None:
    text = BRANCHES.replace(
        "  - {name: b1, type: Conv2D, ", "  - name: b1   # first\n    type: Conv2D\n    dilation_rate: 1\n    "
    )
    text = text.replace(
        "filters: 64, kernel_size: 3, padding: same, inputs: image}", "filters: 64\n    kernel_size: 3", 1
    )
    assert hints(text)[6] == "(N, 26, 26, 64)"
