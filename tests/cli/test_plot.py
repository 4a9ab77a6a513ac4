"""`graphspec plot` writes a drawing, or reports why it cannot."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from commands import graphspec
from paths import ROOT


def test_command(tmp_path: Path) -> None:
    spec = ROOT / "specs" / "fashion_inception.yaml"
    drawn = graphspec("plot", spec, "-o", tmp_path / "net.svg")
    assert (drawn.exit_code, drawn.stdout) == (0, f"wrote {tmp_path / 'net.svg'}\n")
    ElementTree.fromstring((tmp_path / "net.svg").read_text(encoding="utf-8"))
    printed = graphspec("plot", spec)
    assert printed.exit_code == 0
    assert printed.stdout.startswith("flowchart TD\n")
    graphspec("plot", spec, "-o", tmp_path / "net.md")
    assert (tmp_path / "net.md").read_text(encoding="utf-8") == f"```mermaid\n{printed.stdout}```\n"


def test_nothing_is_drawn_of_what_is_wrong(tmp_path: Path) -> None:
    refused = graphspec("plot", ROOT / "specs" / "housing.yaml", "-o", tmp_path / "net.png")
    assert refused.exit_code == 2
    assert ".svg" in refused.stderr
    (tmp_path / "bad.yaml").write_text("graphspec: 1\n", encoding="utf-8")
    wrong = graphspec("plot", tmp_path / "bad.yaml", "-o", tmp_path / "bad.svg")
    assert wrong.exit_code == 1
    assert "GS103" in wrong.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]
