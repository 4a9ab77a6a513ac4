"""Checks of arrays against types, targets of CTC, splits, weights and batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphspec.base.arrays.layout import shard_slice
from graphspec.base.arrays.random import Orders, generator
from graphspec.base.errors import Diagnostic, SpecError
from graphspec.data.batches import BatchLoader, Dataset, class_ids, row_weights, split
from graphspec.data.check import check_arrays
from graphspec.data.source import DataSignature
from graphspec.graph.ir.graph import Range, Type

rng = np.random.default_rng(0)
FLOAT, IDS = Type("float32", ("N", 2)), Type("int64", ("N",))
WANTED = DataSignature({"x": FLOAT}, {"y": IDS}, classes={"y": 3})


def from_python(wanted: DataSignature, x: Any, y: Any = None, **more: Any) -> tuple[Dataset | None, list[Diagnostic]]:
    return check_arrays(x, y, wanted, **more)


def one(array: Any, kind: Type, *, target: bool = False, **limits: Any) -> Any:
    """Return the code of the only problem of an array, or the converted array."""
    if target:
        wanted = DataSignature({"x": Type("float32", ("N", 1))}, {"y": kind}, **limits)
        arrays, found = check_arrays({"x": np.zeros((len(array), 1), np.float32)}, {"y": array}, wanted)
    else:
        arrays, found = check_arrays({"x": array}, None, DataSignature({"x": kind}, **limits))
    if arrays is None:
        assert len(found) == 1, found
        return found[0].code
    return arrays.targets["y"] if target else arrays.inputs["x"]


# Conversions.


@pytest.mark.parametrize(
    ("values", "dtype", "wanted", "result"),
    [
        ([1, 2], "int64", "float32", "int64"),
        ([1, 2], "uint8", "float32", "uint8"),
        ([True, False], "bool", "float32", "bool"),
        ([1.5], "float64", "float32", "float32"),
        ([1.5], "float16", "float32", "float16"),
        ([1e300], "float64", "float32", "GS504"),
        ([float("nan")], "float32", "float32", "GS505"),
        ([float("inf")], "float64", "float32", "GS505"),
        ([1 + 2j], "complex64", "float32", "GS504"),
        (["2020-01-01"], "datetime64[D]", "float32", "GS504"),
        (["1"], "str", "float32", "GS504"),
        ([2.0, 3.0], "float64", "int64", "int64"),
        ([2.5], "float64", "int64", "GS504"),
        ([1e19], "float64", "int64", "GS504"),
        ([float("nan")], "float64", "int64", "GS505"),
        ([7], "uint8", "int64", "uint8"),
        ([7], "int64", "int32", "int32"),
        ([2**40], "int64", "int32", "GS504"),
        ([-1], "int64", "uint8", "GS504"),
        ([2**63], "uint64", "int64", "GS504"),
        ([True], "bool", "int64", "GS504"),
        ([True], "bool", "bool", "bool"),
        ([1], "int64", "bool", "GS504"),
    ],
)
def test_conversions(values: list[Any], dtype: str, wanted: str, result: str) -> None:
    found = one(np.array(values, dtype), Type(wanted, ("N",)))
    assert (found if isinstance(found, str) else found.dtype.name) == result


@pytest.mark.parametrize(
    ("have", "want", "target", "result"),
    [
        ((4,), ("N", 1), False, (4, 1)),
        ((4, 1), ("N", 1), False, (4, 1)),
        ((4,), ("N", 2), False, "GS503"),
        ((4, 28, 28), ("N", 28, 28, 1), False, "GS503"),
        ((4, 7), ("N", "time"), False, (4, 7)),
        ((), ("N",), False, "GS503"),
        ((4, 7, 1), ("N", "time"), True, (4, 7)),
        ((4, 1), ("N",), True, (4,)),
        ((4, 2), ("N",), True, "GS503"),
    ],
)
def test_shapes(have: tuple[int, ...], want: tuple[int | str, ...], target: bool, result: Any) -> None:
    array = np.zeros(have, np.int64) if target else np.zeros(have, np.float32)
    found = one(array, Type("int64" if target else "float32", want), target=target)
    assert (found if isinstance(found, str) else found.shape) == result


def test_named_dimensions_agree_between_inputs_and_targets() -> None:
    wanted = DataSignature(
        {"a": Type("int64", ("N", "time")), "b": Type("int64", ("N", "time"))},
        {"y": Type("int64", ("N", "(time-2)//2+1"))},
    )
    x = {"a": np.zeros((3, 8), int), "b": np.zeros((3, 8), int)}
    assert from_python(wanted, x, {"y": np.zeros((3, 4), int)})[1] == []
    _, found = from_python(wanted, x | {"b": np.zeros((3, 7), int)}, {"y": np.zeros((3, 5), int)})
    assert [d.code for d in found] == ["GS503", "GS503"]
    assert "where 'time' is 8" in found[0].message


def test_ids_and_classes_have_limits() -> None:
    kind = Type("int64", ("N", "t"))
    assert one(np.array([[0, 9]]), kind, limits={"x": Range(0, 9)}).tolist() == [[0, 9]]
    assert one(np.array([[0, 10]]), kind, limits={"x": Range(0, 9)}) == "GS506"
    assert one(np.array([[-1, 3]]), kind, limits={"x": Range(0, 9)}) == "GS506"
    assert one(np.array([0, 1, -1]), IDS, target=True, classes={"y": 2}) == "GS506"
    assert one(np.array([0, 1, -1]), IDS, target=True, classes={"y": 2}, ignored={"y": -1}).tolist() == [0, 1, -1]
    unit = Type("float32", ("N", 1))
    assert one(np.array([0, 1, 2]), unit, target=True, probabilities=frozenset("y")) == "GS506"


def test_text_targets_go_through_labels() -> None:
    labels = {"y": ["no", "yes", "maybe"]}
    text = np.array(["yes", "maybe", "no"])
    assert one(text, IDS, target=True, labels=labels).tolist() == [1, 2, 0]
    assert one(text.astype("S"), IDS, target=True, labels=labels).tolist() == [1, 2, 0]
    assert one(text, Type("float32", ("N", 3)), target=True, labels=labels).tolist() == [
        [0, 1, 0],
        [0, 0, 1],
        [1, 0, 0],
    ]
    binary = {"y": ["no", "yes"]}
    assert one(np.array(["no", "yes"]), Type("float32", ("N", 1)), target=True, labels=binary).tolist() == [[0], [1]]
    assert one(np.array(["yes", "yess"]), IDS, target=True, labels=labels) == "GS506"
    assert one(text, IDS, target=True) == "GS504"
    assert one(np.array(["yes", None], object), IDS, target=True, labels=labels) == "GS505"


def test_the_first_bad_row_of_a_large_array_is_named() -> None:
    x = np.zeros((300_000, 8), np.float32)
    x[222_222, 3] = np.nan
    _, found = from_python(DataSignature({"x": Type("float32", ("N", 8))}), {"x": x})
    assert found[0].message == "input 'x' has no value in 1 of 300,000 rows; first: the row at index 222222"


def test_arrays_from_python_are_named() -> None:
    _, found = from_python(WANTED, {"z": np.zeros((2, 2))}, {"y": [0, 1], "yy": [1]})
    assert [(d.code, d.file) for d in found] == [("GS502", "<arrays>")] * 3
    assert found[0].hint == "did you mean 'x'?" or "the inputs are x" in str(found[0].hint)
    assert [d.code for d in from_python(WANTED, {"x": [[1, 2], [3]]}, {"y": [0, 1]})[1]] == ["GS503"]


def test_sample_weights() -> None:
    steps = DataSignature({"x": FLOAT}, {"y": Type("int64", ("N", 3))})
    x, y = np.zeros((4, 2), np.float32), np.zeros((4, 3), np.int64)
    for shape, code in (((4,), None), ((4, 1), "GS503"), ((4, 3), None), ((4, 3, 1), None), ((3,), "GS507")):
        arrays, found = from_python(steps, {"x": x}, {"y": y}, sample_weight={"y": np.ones(shape)})
        assert [d.code for d in found] == ([] if code is None else [code]), shape
        assert arrays is None or arrays.weights["y"].dtype == np.float32
    units = DataSignature({"x": FLOAT}, {"y": Type("float32", ("N", 2))})
    assert from_python(units, {"x": x}, {"y": x}, sample_weight={"y": np.ones((4, 1))})[1] == []
    assert [d.code for d in from_python(units, {"x": x}, {"y": x}, sample_weight={"y": np.ones((4, 2))})[1]] == [
        "GS503"
    ]


# CTC.


@pytest.mark.parametrize(
    ("labels", "more", "code"),
    [
        ([[1, 2, 0], [3, 1, 2]], {}, None),
        ([[1, 1, 0], [3, 1, 2]], {}, None),
        ([[1, 1, 2], [3, 1, 2]], {}, None),
        ([[1, 1, 1], [3, 1, 2]], {}, "GS509"),
        ([[1, 1, 1], [3, 1, 2]], {"y_length": [2, 3]}, None),
        ([[1, 2, 3], [3, 1, 2]], {"y_input_length": [3, 2]}, "GS509"),
        ([[1, 2, 3], [3, 1, 2]], {"y_input_length": [3, 9]}, "GS507"),
        ([[1, 2, 3], [3, 1, 2]], {"y_length": [4, 1]}, "GS507"),
        ([[1, 0, 3], [3, 1, 2]], {}, "GS506"),
        ([[1, 4, 3], [3, 1, 2]], {}, "GS506"),
    ],
)
def test_ctc_targets(labels: list[list[int]], more: dict[str, list[int]], code: str | None) -> None:
    wanted = DataSignature(
        {"x": Type("float32", ("N", "t", 2))},
        {"y": Type("int64", ("N", "y_labels"))},
        classes={"y": 4},
        ctc=frozenset("y"),
        steps=lambda shapes: {"y": shapes["x"][1]},
    )
    arrays, found = from_python(wanted, {"x": np.zeros((2, 4, 2))}, {"y": np.array(labels), **more})
    assert [d.code for d in found] == ([] if code is None else [code])
    if arrays is not None:
        assert set(arrays.lengths) == set(more)
        assert set(arrays.feeds()) == {"x", "y", *more}


def test_label_sequences_of_two_heads_may_differ_in_length() -> None:
    kind = Type("int64", ("N", "labels"))
    wanted = DataSignature({"x": Type("int64", ("N", "labels"))}, {"a": kind, "b": kind}, ctc=frozenset("ab"))
    y = {"a": np.ones((2, 3), int), "b": np.ones((2, 5), int)}
    assert from_python(wanted, {"x": np.zeros((2, 9), int)}, y)[1] == []
    assert [d.code for d in from_python(wanted, {"x": np.zeros((2, 9), int)}, y | {"b": np.ones(2, int)})[1]] == [
        "GS503"
    ]


# Rows.


@given(st.integers(2, 60), st.floats(0.01, 0.99), st.integers(0, 5), st.booleans())
def test_split_parts_the_rows(n: int, fraction: float, seed: int, stratified: bool) -> None:
    classes = np.arange(n) % 3 if stratified else None
    train, held = split(n, fraction, seed, classes)
    assert sorted([*train, *held]) == list(range(n))
    assert len(held) == min(max(round(fraction * n), 1), n - 1)
    again = split(n, fraction, seed, classes)
    assert (again[1] == held).all()
    if classes is not None:
        shares = np.bincount(classes[held], minlength=3) - len(held) * np.bincount(classes, minlength=3) / n
        assert (np.abs(shares) < 1).all()


def test_split_is_drawn_by_the_seed_and_stratified_by_largest_remainders() -> None:
    assert (split(100, 0.2, 1)[1] != split(100, 0.2, 2)[1]).any()
    classes = np.repeat([0, 1, 2], [70, 25, 5])
    assert np.bincount(classes[split(100, 0.1, 3, classes)[1]]).tolist() == [7, 3]  # 7, 2.5, 0.5: the lower class first
    few = np.array([0, 1, 2, 3, 3, *[4] * 95])  # three classes with one row, which is for training
    assert np.bincount(few[split(100, 0.03, 1, few)[1]], minlength=5).tolist() == [0, 0, 0, 0, 3]
    assert len(split(4, 0.5, 1, np.arange(4))[1]) == 2  # unless there are no others
    with pytest.raises(SpecError, match="GS508"):
        split(1, 0.5, 0)


def test_row_weights() -> None:
    y = np.array([0, 1, 1, 2, 2, 2])
    assert row_weights({0: 2.0, 2: 0.5}, y, 3).tolist() == [2, 1, 1, 0.5, 0.5, 0.5]
    assert row_weights({"b": 3.0}, np.eye(3)[y], 3, ["a", "b", "c"]).tolist() == [1, 3, 3, 1, 1, 1]
    assert row_weights("balanced", y, 3) == pytest.approx([2, 1, 1, 2 / 3, 2 / 3, 2 / 3])
    assert row_weights("balanced", np.float32([[1], [0], [1], [1]]), 2) == pytest.approx([2 / 3, 2, 2 / 3, 2 / 3])
    assert class_ids(np.float32([[1], [0]])).tolist() == [1, 0]
    with pytest.raises(SpecError, match=r"(?s)GS405.*did you mean 'b'"):
        row_weights({"bb": 1.0}, y, 3, ["a", "b", "c"])


def test_the_order_of_an_epoch_depends_on_the_seed_and_the_epoch_alone() -> None:
    orders = Orders(7)
    for epoch, n in ((0, 10), (3, 7), (1, 10), (0, 10), (2**40, 11)):
        expected = generator(7, "shuffle", step=epoch).permutation(n)
        np.testing.assert_array_equal(orders.of(epoch, n), expected)


@pytest.mark.parametrize("shuffle", [False, True])
def test_feeder_gives_every_row_once_an_epoch(shuffle: bool) -> None:
    arrays = Dataset(
        {"x": np.arange(14, dtype=np.uint8).reshape(7, 2)}, {"y": np.arange(7)}, {"y": np.ones(7, np.float32)}
    )
    loader = BatchLoader(arrays, 3, shuffle=shuffle, seed=1)
    assert loader.batches == 3
    orders = []
    for epoch in (0, 1, 0):
        loader.start(epoch)
        order: list[int] = []
        for batch in range(loader.batches):
            rows = loader.rows(batch)
            shapes = loader.shapes(rows)
            assert shapes == {"x": (rows, 2), "y": (rows,), "y_sample_weight": (rows,)}
            feeds = {"x": np.zeros((rows, 2), np.float32), "y": np.zeros(rows, np.int64), "other": np.full(2, 5)}
            loader.copy(batch, feeds)
            assert (feeds["x"][:, 0] == feeds["y"] * 2).all()
            assert (feeds["other"] == 5).all()
            order += feeds["y"].tolist()
        assert sorted(order) == list(range(7))
        orders.append(order)
    assert orders[0] == orders[2]
    assert (orders[0] != orders[1]) == shuffle


def test_selected_rows_keep_everything() -> None:
    five = np.arange(5)
    arrays = Dataset({"x": five}, {"y": five}, {"y": five}, {"y_length": five})
    part = arrays.select(np.array([4, 3, 0, 1])).select(np.array([1, 3]))
    again = Dataset.of(part.named())
    for some in (part, again):
        assert len(some) == 2
        loader = BatchLoader(some, 2, shuffle=False, seed=0)
        feeds = {name: np.zeros(2, np.int64) for name in arrays.feeds()}
        loader.start(0)
        loader.copy(0, feeds)
        assert [a.tolist() for a in feeds.values()] == [[3, 1]] * 4
    assert len(Dataset.of(arrays.named())) == 5


WIDE = np.arange(60, dtype=np.float32).reshape(10, 6)
UNALIGNED = np.zeros(WIDE.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(WIDE.shape)
UNALIGNED[...] = WIDE
LYING: dict[str, np.ndarray[Any, Any]] = {
    "by columns": np.asfortranarray(WIDE),
    "strided": np.repeat(WIDE, 2, axis=1)[:, ::2],
    "backwards": WIDE[::-1].copy()[::-1],
    "unaligned": UNALIGNED,
    "swapped": WIDE.astype(WIDE.dtype.newbyteorder()),
    "wide": WIDE.astype(np.float64),
}


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("how", LYING)
def test_rows_are_gathered_however_they_lie_in_memory(how: str, shuffle: bool) -> None:
    arrays = Dataset({"x": LYING[how]}, {"y": np.arange(10)})
    for rank, size in ((0, 1), (1, 2), (2, 3)):
        loader = BatchLoader(arrays, 4, shuffle=shuffle, seed=2)
        loader.start(0)
        for batch in range(loader.batches):
            own = shard_slice(loader.rows(batch), rank, size)
            feeds = {"x": np.zeros((own.stop - own.start, 6), np.float32), "y": np.zeros(own.stop - own.start, int)}
            loader.filler(feeds, own)(batch)
            np.testing.assert_array_equal(feeds["x"], WIDE[feeds["y"]])
