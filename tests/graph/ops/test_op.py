"""The table of operators lists every operator by name, and does not find unknown names."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest

from graphspec.graph import ops
from graphspec.graph.ops import OPS, Op


def test_every_operator_is_in_the_table() -> None:
    for module in pkgutil.iter_modules(ops.__path__):
        import_module(f"graphspec.graph.ops.{module.name}")  # registers the rows of tables
    assert OPS.data.keys() <= set(OPS)
    classes = dict(OPS.items())
    assert classes.keys() == set(OPS)
    assert OPS.data.keys() == set(OPS)
    assert len(OPS) == len(OPS.data)
    assert all(issubclass(cls, Op) and cls.__name__ == name for name, cls in OPS.items())


def test_every_class_that_no_other_extends_is_an_operator_of_the_table() -> None:
    dict(OPS.items())  # imports every family
    classes = [Op]
    for cls in classes:
        classes += cls.__subclasses__()
    last = {c for c in classes if c.__module__.startswith(f"{ops.__name__}.") and not c.__subclasses__()}
    assert {cls.__name__ for cls in last} - set(OPS) == set()


def test_an_unknown_operator() -> None:
    assert "Nothing" not in OPS
    with pytest.raises(KeyError, match="Nothing"):
        OPS["Nothing"]
