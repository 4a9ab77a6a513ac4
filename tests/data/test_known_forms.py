"""Inputs in a form that has been checked before: the short check agrees with the complete one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.specs import blobs, dense_spec

import graphspec as gs
from graphspec.data.signature import KnownForms, user_inputs
from graphspec.data.source import DataSignature
from graphspec.graph.ir.graph import MISSING_INTEGER, Range, Type

NEEDED = DataSignature(
    {
        "size": Type("float32", ("N", 1)),
        "age": Type("float32", ("N", 1)),
        "word": Type("string", ("N", 1)),
        "ids": Type("int64", ("N", "time")),
        "photo": Type("uint8", ("N", 2, 2)),
        "sold": Type("bool", ("N", 1)),
        "place": Type("int64", ("N", 1)),
    },
    limits={"ids": Range(0, 9), "place": Range(0, 4)},
    gaps=frozenset({"age", "word", "place"}),
)
FLOATS = ([1.5, 2.0], [0.0, -0.0], [np.nan, 1.0], [np.inf, 1.0], [1e39, 1.0], [1e-40, 3.4028235e38])
VALUES: dict[str, list[Any]] = {
    "size": [
        *(
            np.array(v, dtype)
            for v in FLOATS
            for dtype in (np.float32, np.float64)
            if max(v) < 1e39 or dtype is np.float64
        ),
        *(
            [1, 2],
            [True, False],
            np.array([1, 2], ">f4"),
            np.array([1, 2], np.float16),
            [[1.0], [2.0]],
            [[1.0], [2.0, 3.0]],
        ),
        *(["a", "b"], np.array([1.0, None], object), [1.0], 1.0, np.zeros((2, 2), np.float32), [], np.ma.array([1, 2])),
    ],
    "word": [
        ["a", "b"],
        ["a", None],
        ["é\0", "x\0y"],
        ["\ud800", "b"],
        [1, "b"],
        [1.5, 2.5],
        np.array([["a"], ["b"]], object),
    ],
    "ids": [
        [[1, 2, 3], [4, 5, 9]],
        [[0, 10], [1, 1]],
        [[-1, 2], [3, 4]],
        np.array([[1.0], [2.0]]),
        np.ones((2, 3), np.int32),
    ],
    "photo": [
        np.full((2, 2, 2), 255, np.uint8),
        np.full((2, 2, 2), 256),
        np.full((2, 2, 2), 7),
        np.ones((2, 2, 2), bool),
    ],
    "sold": [[True, False], [1, 0], np.array([[True], [False]])],
    "place": [[0, 4], [0, 5], [MISSING_INTEGER, 1], [1, None], [1.0, np.nan], np.array([1, 2], np.uint64)],
}
VALUES["age"] = VALUES["size"]
GOOD = {"size": [1.0, 2.0], "age": [3.0, 4.0], "word": ["u", "v"], "ids": [[1, 2], [3, 4]], "place": [2, 3]}
GOOD |= {"photo": np.zeros((2, 2, 2), np.uint8), "sold": np.array([True, False])}


def plain(arrays: dict[str, Any]) -> dict[str, list[Any]]:
    """The numbers and texts of checked inputs, in the dtypes in which they are fed."""
    kinds = {n: object if t.is_string else t.dtype for n, t in NEEDED.inputs.items()}
    return {name: np.asarray(array[:], kinds[name]).tolist() for name, array in arrays.items()}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in VALUES.items() for v in values], ids=repr)
def test_the_short_check_accepts_what_the_complete_one_accepts(name: str, value: Any) -> None:
    forms, given = KnownForms(NEEDED), GOOD | {name: value}
    for shape in ({}, {name: value}):  # forms of which this is one, perhaps
        with suppress(gs.SpecError):
            forms.remember(GOOD | shape, user_inputs(NEEDED, GOOD | shape))
    short = forms.feeds(given, 32)
    if short is not None:
        np.testing.assert_equal(plain(short), plain(user_inputs(NEEDED, given)))


def test_usual_values_need_no_complete_check() -> None:
    forms = KnownForms(NEEDED)
    forms.remember(GOOD, user_inputs(NEEDED, GOOD))
    for more in ({}, {"age": [np.nan, 1.0]}, {"size": np.array([5, 6], np.float32)}, {"word": np.array(["x", "y"])}):
        assert forms.feeds(GOOD | more, 32) is not None


def test_the_complete_check_decides_on_other_forms() -> None:
    forms = KnownForms(NEEDED)
    assert forms.feeds(GOOD, 32) is None
    forms.remember(GOOD, user_inputs(NEEDED, GOOD))
    assert forms.feeds(GOOD, 1) is None  # two batches
    assert forms.feeds(GOOD | {"other": [1, 2]}, 32) is None
    assert forms.feeds({n: v for n, v in GOOD.items() if n != "age"}, 32) is None
    assert forms.feeds(GOOD | {"ids": [[1, 2, 3], [1, 2, 3]]}, 32) is None
    assert forms.feeds(np.zeros(3), 32) is None


def test_a_memory_map_is_left_to_the_check_of_its_file(tmp_path: Path) -> None:
    needed = DataSignature({"x": Type("float32", ("N", 2))})
    forms, rows = KnownForms(needed), np.zeros((3, 2), np.float32)
    rows.tofile(tmp_path / "x.bin")
    mapped = np.asarray(np.memmap(tmp_path / "x.bin", np.float32, "r", shape=(3, 2)))
    forms.remember(rows, user_inputs(needed, rows))
    assert forms.feeds(rows, 32) is not None
    assert forms.feeds(mapped, 32) is None


def test_forms_are_forgotten_when_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.data.signature._MAX_FORMS", 3)
    needed = DataSignature({"x": Type("float32", ("N", 2))})
    forms = KnownForms(needed)
    for count in range(1, 6):
        rows = np.zeros((count, 2), np.float32)
        forms.remember(rows, user_inputs(needed, rows))
    known = [forms.feeds(np.zeros((count, 2), np.float32), 32) is not None for count in range(1, 6)]
    assert known == [False, False, False, True, True]


def test_a_model_answers_and_refuses_as_before() -> None:
    model, x = gs.compile(dense_spec()), blobs(5)[0]
    first, bad = model.predict(x), x.copy()
    bad[3, 1] = np.nan
    assert np.array_equal(model.predict(x), first)
    assert np.array_equal(model.predict(x.tolist()), first)
    assert np.array_equal(model.predict({"x": x.astype(np.float64)}), first)
    assert np.array_equal(model.predict(x, batch_size=2), gs.compile(dense_spec()).predict(x, batch_size=2))
    with pytest.raises(gs.SpecError) as known:
        model.predict(bad)
    with pytest.raises(gs.SpecError) as fresh:
        gs.compile(dense_spec()).predict(bad)
    assert str(known.value) == str(fresh.value)
    model.set_weights({name: 2 * w for name, w in model.weights.items()})
    assert not np.array_equal(model.predict(x), first)
