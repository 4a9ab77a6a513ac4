"""Pictures of several sizes are indexed like an array, and computed by size."""

from __future__ import annotations

import numpy as np
import pytest

from graphspec.base.arrays.pictures import Pictures, in_chunks, of_one_size

SIZES = [(2, 3), (4, 1), (2, 3), (5, 5), (4, 1), (2, 3)]
ROWS = [np.full((*size, 3), k, np.uint8) for k, size in enumerate(SIZES)]


@pytest.fixture
def pictures() -> Pictures:
    found = Pictures.of(ROWS)
    assert found is not None
    return found


def test_indexing(pictures: Pictures) -> None:
    assert (len(pictures), pictures.ndim, pictures.shape) == (6, 4, (6, 5, 5, 3))
    assert pictures.nbytes == sum(row.nbytes for row in ROWS)
    for k in range(-6, 6):
        assert (pictures[k] == ROWS[k]).all()
    with pytest.raises(IndexError):
        pictures[6]
    alike = pictures[np.array([5, 0])]
    assert isinstance(alike, np.ndarray)
    assert (alike == np.stack([ROWS[5], ROWS[0]])).all()
    several = pictures[1:4]
    assert isinstance(several, Pictures)
    assert [row.shape for row in np.asarray(several)] == [(4, 1, 3), (2, 3, 3), (5, 5, 3)]
    assert len(pictures[np.arange(6) > 6]) == 0
    again = Pictures.from_arrays(pictures.arrays())
    assert [again[k].tolist() for k in range(6)] == [row.tolist() for row in ROWS]
    assert pictures.astype(np.float32)[3].dtype == np.float32


@pytest.mark.parametrize(
    "rows",
    [
        ROWS[:1],
        [ROWS[0], ROWS[2]],
        [ROWS[0], ROWS[1][..., :1]],
        [ROWS[0], ROWS[1][0]],
        [ROWS[0], "a"],
        np.ones((2, 3)),
        5,
        [],
    ],
)
def test_what_is_no_list_of_pictures_of_several_sizes(rows: object) -> None:
    assert Pictures.of(rows) is None


def test_chunks_have_one_size(pictures: Pictures) -> None:
    other = np.arange(6)
    chunks = list(in_chunks([other, pictures], 6, 2))
    assert sorted(np.concatenate([other[c] for c in chunks]).tolist()) == [0, 1, 2, 3, 4, 5]
    assert all(isinstance(pictures[chunk], np.ndarray) and len(other[chunk]) <= 2 for chunk in chunks)
    assert [c.tolist() for c in map(np.asarray, in_chunks([pictures], np.array([4, 3, 1]), 9))] == [[4, 1], [3]]
    assert list(in_chunks([other], 6, 4)) == [slice(0, 4), slice(4, 6)]
    assert [c.tolist() for c in map(np.asarray, in_chunks([other], np.array([5, 1, 2]), 2))] == [[5, 1], [2]]
    assert list(in_chunks([pictures], np.arange(0), 4)) == []


def test_large_pictures_are_few(pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.base.arrays.pictures._CHUNK_BYTES", 40)
    assert all(pictures[chunk].nbytes <= 40 or len(pictures[chunk]) == 1 for chunk in in_chunks([pictures], 6, 100))


def test_the_size_that_most_have(pictures: Pictures) -> None:
    assert of_one_size([pictures, np.arange(6)], np.array([5, 4, 3, 0])).tolist() == [5, 0]
    assert of_one_size([np.arange(6)], np.array([5, 3])).tolist() == [5, 3]
    assert of_one_size([pictures], np.arange(0)).tolist() == []
