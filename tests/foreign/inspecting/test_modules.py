"""Arrays by module: numbers that differ are a range, and a file with many modules is told by the beginnings of names."""

from __future__ import annotations

from graphspec.foreign.inspecting.lines import modules


def rows(*names: str) -> list[tuple[str, int]]:
    return [(row.name, row.total) for row in modules((name, "float32", (2,), 2) for name in names)]


def test_modules_that_differ_in_numbers_alone_are_one_row() -> None:
    found = modules((f"encoder.{k}.{part}", "float32", (2,), 2) for k in range(3) for part in ("weight", "bias"))
    assert [(row.name, len(row.numbers), row.total, row.elements) for row in found] == [("encoder.{0..2}", 3, 6, 12)]
    assert found[0].arrays == (("weight", "float32", (2,)), ("bias", "float32", (2,)))
    assert rows("a.0.w", "a.2.w") == [("a.*", 2)]
    assert rows("a1/b1/w", "a1/b2/w") == [("a1/b{1..2}", 2)]
    assert rows("w", "a.w") == [("", 1), ("a", 1)]


def test_other_shapes_are_other_rows() -> None:
    found = modules([("a.0.w", "float32", (2,), 2), ("a.1.w", "float32", (3,), 3)])
    assert [row.name for row in found] == ["a.0", "a.1"]


def test_many_modules_are_told_by_their_beginnings() -> None:
    names = [f"{a}/{b}/{c}/w" for a in "xy" for b in "pqr" for c in "abcdefgh"]
    arrays = [(name, "float32", (k,), k) for k, name in enumerate(names)]
    found = modules(arrays)
    assert [row.name for row in found] == ["x/p/…", "x/q/…", "x/r/…", "y/p/…", "y/q/…", "y/r/…"]
    assert all(row.arrays is None and row.total == 8 for row in found)
    assert sum(row.elements for row in found) == sum(range(48))
