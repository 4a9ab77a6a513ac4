"""A small project with a search, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import commands

from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.search_check import goal_of
from graphspec.language.search_space import Search
from graphspec.search.study import Plan

SPACE = """
    layers.hidden.units: {int: [2, 8], log: true}
    training.optimizer:
      choice:
        - {type: SGD, momentum: {float: [0, 0.9]}, learning_rate: {float: [0.001, 1], log: true}}
        - {type: Adam, learning_rate: {choice: [0.001, 0.01, 0.1]}}
"""
GRID = """
    layers.hidden.units: {int: [2, 6], step: 2}
    training.optimizer:
      choice:
        - {type: SGD, momentum: {float: [0, 0.5], step: 0.5}}
        - adam
"""


def project(folder: Path, space: str = SPACE, **keys: Any) -> Path:
    """A spec with a search of ``space``, and its data."""
    path = commands.project(folder)
    given = "".join(f"  {key}: {value}\n" for key, value in ({"sampler": "random", "trials": 4} | keys).items())
    path.write_text(f"{commands.SPEC}search:\n{given}  space:{space}", encoding="utf-8")
    return path


def search_of(path: Path) -> Search:
    found = check(str(path)).require()[0].search
    assert found is not None
    return found


def plan_of(path: Path, folder: Path, trials: int = 4) -> Plan:
    search = search_of(path)
    return Plan("tiny", folder, search, goal_of(search), trials, 5, "1" * 64)
