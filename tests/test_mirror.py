"""Tests mirror the package: the tests of a folder stand in the folder of the same name."""

from __future__ import annotations

from pathlib import Path

from paths import TESTS

import graphspec

PACKAGE = Path(graphspec.__file__).parent
OWN = {
    "consumers": "apps in other languages, and the files and records that they are given",
    "diagnostics": "broken specs and their answers",
    "golden": "values of Keras, and how they are made",
    "museum": "what older releases wrote",
    "models": "models that people write, as specs and in Keras",
    "pretrained": "files of other programs, which are fetched",
    "support": "helpers",
    "tools": "tools/",
    "trust": "attacks, and what they have found",
}
"""Folders that mirror none of the package, and what they are about."""


def misplaced(folders: list[Path]) -> list[str]:
    """The folders of tests that neither mirror a folder of the package nor have an entry above."""
    return [
        f"tests/{folder.as_posix()}: there is no graphspec/{folder.as_posix()}; its tests belong to what they test"
        for folder in folders
        if folder.parts and folder.parts[0] not in OWN and not (PACKAGE / folder).is_dir()
    ]


def test_every_folder_of_tests_mirrors_one() -> None:
    folders = sorted({path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")})
    assert len(folders) > 20
    assert not (found := misplaced(folders)), "\n".join(found)
    assert all((TESTS / name).is_dir() for name in OWN)


def test_a_folder_that_mirrors_none_is_found() -> None:
    assert misplaced([Path(), Path("graph/ops"), Path("trust"), Path("golden/weights")]) == []
    assert misplaced([Path("graph/opps")]) == [
        "tests/graph/opps: there is no graphspec/graph/opps; its tests belong to what they test"
    ]
