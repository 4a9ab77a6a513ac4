"""The names of operations by the file of ``graphspec/operations`` that has them, and those that a spec cannot have."""

from __future__ import annotations


def _family(names: str) -> str:
    return " ".join(f"ops.{name}" for name in names.split())


OPERATIONS = {
    "arithmetic": _family("""
        add subtract multiply divide true_divide divide_no_nan floor_divide mod power maximum minimum
    """),
    "reduction": _family("""
        sum mean prod max min amax amin var std any all count_nonzero argmax argmin
    """),
}

REFUSED_OPERATIONS: dict[str, tuple[str, str]] = {}
