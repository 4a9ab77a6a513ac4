"""A network as a Mermaid flowchart."""

from __future__ import annotations

from drawings import panels

from graphspec.show.drawing.svg import mermaid
from specs import dense_spec


def test_mermaid() -> None:
    assert mermaid(panels(dense_spec())) == (
        "flowchart TD\n"
        '    n0(["x<br/>(N, 4) float32"])\n'
        '    n1["hidden<br/>Dense · 8 units · relu<br/>(N, 8) · 40 parameters"]\n'
        '    n2["drop<br/>Dropout · rate 0.25<br/>(N, 8)"]\n'
        '    n3["kind<br/>Dense · 3 units · softmax<br/>(N, 3) · 27 parameters"]\n'
        '    n4(["kind<br/>loss SparseCategoricalCrossentropy<br/>metrics accuracy"])\n'
        "    n0 --> n1\n    n1 --> n2\n    n2 --> n3\n    n3 --> n4\n"
    )
