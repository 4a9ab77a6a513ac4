"""What the tables of tests run of every operator: one entry an operator, in the file of its family in ``graph/ops/``."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from graph.ops.cases import case
from graph.ops.cases.case import TABLES, Elsewhere, Example, OpCase

__all__ = ["CASES", "FAMILIES", "TABLES", "Elsewhere", "Example", "OpCase", "examples"]

HELPERS = {"case", "draw", "broadcasting", "recurrent_examples"}

FAMILIES: dict[str, dict[str, OpCase]] = {}
"""The entries by the file that has them."""
for _name in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    if _name not in HELPERS:
        case.restart(_name)
        FAMILIES[_name] = import_module(f"{__name__}.{_name}").CASES

CASES: dict[str, OpCase] = {op: entry for family in FAMILIES.values() for op, entry in family.items()}


def examples(table: str) -> list[tuple[str, Example]]:
    """Every example of one table with its operator."""
    found = ((op, getattr(entry, table)) for op, entry in CASES.items())
    return [(op, example) for op, listed in found if isinstance(listed, list) for example in listed]
