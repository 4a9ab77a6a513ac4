"""Hashing and HashedCrossing, in onnxruntime, against hashes of mmh3 5.3.1."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from preparing import lowered, prepared, texts

from graphspec.base.errors import ShapeError

HASHES = {
    "": 0,
    "a": 1009084850,
    "b": 2514386435,
    "5": 1394226660,
    "-7": 1918780564,
    "Rome": 2558946706,
    "日本": 3302619458,
    "\U0001f600": 3199479546,
    "x" * 10_000: 1958880323,
}
SEEDED = {"Rome": 3392018082, "b": 2466397185}  # with the seed 3 + 0x9E3779B1 · 5


def column(*given: Any) -> Any:
    return texts([[t] for t in given])


def test_texts_are_hashed_as_utf8() -> None:
    for bins in (1, 2, 10, 1000, 2**31 - 1):
        found = prepared({"type": "Hashing", "num_bins": bins}, column(*HASHES))
        assert found.ravel().tolist() == [h % bins for h in HASHES.values()]


def test_integers_are_hashed_as_texts() -> None:
    for dtype in (np.int64, np.int32):
        found = prepared({"type": "Hashing", "num_bins": 1000}, np.array([[5], [-7]], dtype))
        assert found.ravel().tolist() == [HASHES["5"] % 1000, HASHES["-7"] % 1000]


def test_salts_are_seeds() -> None:
    found = prepared({"type": "Hashing", "num_bins": 1000, "salt": [3, 8]}, column(*SEEDED))
    assert found.ravel().tolist() == [h % 1000 for h in SEEDED.values()]
    same = [
        prepared({"type": "Hashing", "num_bins": 1000, "salt": s}, column(*HASHES)).tolist() for s in (7, [7, 7], -3)
    ]
    assert same[0] == same[1] != same[2]


def test_the_mask_has_bin_0_for_itself() -> None:
    found = prepared({"type": "Hashing", "num_bins": 11, "mask_value": ""}, column(*HASHES)).ravel().tolist()
    assert found == [0 if t == "" else 1 + h % 10 for t, h in HASHES.items()]
    numbers = prepared({"type": "Hashing", "num_bins": 11, "mask_value": -7}, np.array([[5], [-7]])).ravel().tolist()
    assert numbers == [1 + HASHES["5"] % 10, 0]
    assert prepared({"type": "Hashing", "num_bins": 1, "mask_value": ""}, column("a", "")).ravel().tolist() == [0, 0]


def test_encodings_of_bins() -> None:
    pairs = texts([["a", "b"], ["a", "a"], ["", ""]])
    ids = prepared({"type": "Hashing", "num_bins": 7}, pairs)
    eye = np.eye(7, dtype=np.float32)
    for mode, expected in {"one_hot": eye[ids], "multi_hot": eye[ids].max(1), "count": eye[ids].sum(1)}.items():
        found = prepared({"type": "Hashing", "num_bins": 7, "output_mode": mode}, pairs)
        np.testing.assert_array_equal(found, expected)


def test_crossing() -> None:
    given = [column("a", "Rome", "", "日本"), np.array([[5], [-7], [5], [5]]), column("b", "", "a", "b")]
    hashes = [[HASHES[str(t)] for t in array.ravel().tolist()] for array in given]
    for count in (2, 3):
        mixed = hashes[0]
        for others in hashes[1:count]:
            mixed = [(1_000_003 * h + other) % 2**32 for h, other in zip(mixed, others, strict=True)]
        for bins in (1, 9, 5000):
            found = prepared({"type": "HashedCrossing", "num_bins": bins}, *given[:count])
            assert found.ravel().tolist() == [h % bins for h in mixed]
    hot = prepared({"type": "HashedCrossing", "num_bins": 9, "output_mode": "one_hot"}, *given[:2])
    assert (hot.shape, hot.sum(1).tolist()) == ((4, 9), [1] * 4)


def test_crosses_are_spread() -> None:
    """Combinations of few values fall into many bins, and the order of the columns counts."""
    a, b = (column(*(f"{name}{k}" for k in range(40))) for name in "ab")
    first, second = np.repeat(a, 40, 0), np.tile(b, (40, 1))
    found = prepared({"type": "HashedCrossing", "num_bins": 4096}, first, second).ravel()
    chance = 4096 * (1 - (1 - 1 / 4096) ** 1600)
    assert abs(len(set(found.tolist())) - chance) < 0.05 * chance
    assert (found != prepared({"type": "HashedCrossing", "num_bins": 4096}, second, first).ravel()).mean() > 0.9


@pytest.mark.parametrize(
    ("config", "arrays", "code", "text"),
    [
        ({"type": "Hashing", "num_bins": 3}, [np.zeros((1, 1), np.float32)], "GS306", "needs texts or integers"),
        ({"type": "Hashing", "num_bins": 3, "mask_value": 0}, [column("a")], "GS306", "has the `mask_value` 0"),
        ({"type": "HashedCrossing", "num_bins": 3}, [column("a"), texts(["a"])], "GS302", "needs inputs of one shape"),
        ({"type": "HashedCrossing", "num_bins": 3}, [texts([["a", "b"]])] * 2, "GS301", "needs inputs of the shape"),
    ],
)
def test_what_is_refused(config: dict[str, Any], arrays: list[Any], code: str, text: str) -> None:
    with pytest.raises(ShapeError, match=text) as caught:
        lowered(config, *arrays)
    assert caught.value.code == code
