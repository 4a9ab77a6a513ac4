"""The pages of the language are true: every block of YAML is a spec without errors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import graphspec as gs

DOCS = Path(__file__).parent.parent / "docs"


def blocks(page: str) -> list[tuple[int, str]]:
    """The fenced blocks of YAML, with the line of each."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [(text.count("\n", 0, m.start()) + 1, m[1]) for m in re.finditer(r"^```yaml\n(.*?)^```$", text, re.M | re.S)]


def completed(text: str) -> dict[str, Any]:
    """A block that shows some sections alone, with the others that a spec needs: its last layer is trained."""
    shown: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    document = {"graphspec": 1, "name": "shown", **shown}
    if "outputs" not in document:
        document["outputs"] = {document["layers"][-1]["name"]: {"loss": "mean_squared_error"}}
    return document


@pytest.mark.parametrize(("line", "text"), blocks("language.md"), ids=lambda v: str(v) if isinstance(v, int) else "")
def test_every_block_of_the_language_is_a_spec_without_problems(line: int, text: str) -> None:
    assert gs.validate(completed(text)) == [], f"docs/language.md:{line}"


def test_links_between_pages_lead_somewhere() -> None:
    for page in DOCS.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        anchors = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)}
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _, anchor = target.partition("#")
            if "://" in target:
                continue
            assert not path or (page.parent / path).exists(), f"{page.name}: {target}"
            if not path and page.name != "vocabulary.md":
                assert anchor in anchors, f"{page.name}: {target}"
