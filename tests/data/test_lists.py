"""Lists of texts of several lengths: tokens, and the tag of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from data.sources import diagnostics, rows, written

from graphspec.base.arrays.strings import Strings
from graphspec.data.batches import BatchLoader, Dataset, in_batches, step_of_widths
from graphspec.data.check import check_arrays
from graphspec.data.source import DataSignature
from graphspec.data.targets import learn_labels, with_class_ids
from graphspec.graph.ir.graph import Type

IDS = Type("int64", ("N", "time"))
WANTED = DataSignature(
    {"tokens": Type("string", ("N", "time"))}, {"tags": IDS}, classes={"tags": 3}, text_labels=frozenset({"tags"})
)
KNOWN = DataSignature(WANTED.inputs, WANTED.targets, classes={"tags": 3}, labels={"tags": ["DT", "NN", "VB"]})
ROWS = [
    {"tokens": ["The", "cat"], "tags": ["DT", "NN"]},
    {"tokens": ["Go"], "tags": ["VB"]},
    {"tokens": ["The", "cät", "sat"], "tags": ["DT", "NN", "VB"]},
]


def source(folder: Path, *records: Any, more: str = "") -> Any:
    (folder / "t.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records or ROWS))
    return written(folder, f"file: t.jsonl\n{more}")


def test_lists_are_padded_with_empty_texts(tmp_path: Path) -> None:
    found = rows(source(tmp_path), WANTED)
    assert found.inputs["tokens"][:].tolist() == [["The", "cat", ""], ["Go", "", ""], ["The", "cät", "sat"]]
    assert found.targets["tags"][:].tolist() == [["DT", "NN", ""], ["VB", "", ""], ["DT", "NN", "VB"]]


def test_tags_become_ids_and_padding_has_none_of_its_own(tmp_path: Path) -> None:
    found = rows(source(tmp_path), WANTED)
    labels = learn_labels(found.targets["tags"])  # type: ignore[arg-type]
    assert labels == ["DT", "NN", "VB"]
    ids = with_class_ids(found, {"tags": labels}, {"tags": IDS}).targets["tags"]
    assert ids.tolist() == [[0, 1, 0], [2, 0, 0], [0, 1, 2]]
    assert ids.dtype == np.uint8
    assert rows(source(tmp_path), KNOWN).targets["tags"].tolist() == ids.tolist()


def test_a_parquet_file_has_lists_too(tmp_path: Path) -> None:
    source(tmp_path)
    copy = f"COPY (SELECT * FROM read_json('{tmp_path}/t.jsonl')) TO '{tmp_path}/t.parquet'"
    duckdb.sql(copy)
    found = rows(written(tmp_path, "file: t.parquet"), WANTED)
    assert found.inputs["tokens"][:].tolist()[2] == ["The", "cät", "sat"]


def test_files_of_a_pattern_may_have_longer_lists(tmp_path: Path) -> None:
    for k, record in enumerate(ROWS):
        (tmp_path / f"t{k}.jsonl").write_text(json.dumps(record) + "\n")
    found = rows(written(tmp_path, "file: t*.jsonl"), WANTED)
    assert found.inputs["tokens"][:].tolist() == rows(source(tmp_path), WANTED).inputs["tokens"][:].tolist()


@pytest.mark.parametrize(
    ("record", "code", "message"),
    [
        ({"tokens": ["a", "b"], "tags": ["DT"]}, "GS507", "has 1 texts in line 4, where 'tokens' has 2"),
        ({"tokens": ["a", "b"], "tags": ["DT", ""]}, "GS507", "has 1 texts in line 4, where 'tokens' has 2"),
        ({"tokens": ["a", "b"], "tags": ["", "DT"]}, "GS505", "has an empty text in the list of line 4"),
        ({"tokens": [], "tags": []}, "GS505", "has no target in 1 of 4 rows; first: line 4"),
    ],
)
def test_what_does_not_fit_is_told_with_its_line(tmp_path: Path, record: Any, code: str, message: str) -> None:
    [found] = diagnostics(source(tmp_path, *ROWS, record), WANTED)
    assert found.code == code
    assert message in found.message


def test_a_tag_that_the_network_does_not_know(tmp_path: Path) -> None:
    [found] = diagnostics(source(tmp_path, *ROWS, {"tokens": ["a"], "tags": ["NNS"]}), KNOWN)
    assert found.code == "GS506"
    assert "'NNS' in line 4" in found.message
    assert found.hint == "did you mean 'NN'?"


def test_rows_without_tags_are_dropped_if_asked(tmp_path: Path) -> None:
    record = {"tokens": ["a", "b", "c", "d"], "tags": None}
    found = rows(source(tmp_path, record, *ROWS, more="drop_missing_targets: true"), WANTED)
    assert len(found) == 3
    assert found.targets["tags"].shape == found.inputs["tokens"].shape == (3, 4)


def test_numbers_are_no_tags(tmp_path: Path) -> None:
    [found] = diagnostics(source(tmp_path, {"tokens": [{"a": 1}], "tags": ["DT"]}), WANTED)
    assert found.code == "GS504"
    assert "which are not lists of texts" in found.message


def test_lists_from_python() -> None:
    tokens = [["The", "cat"], ["Go"]]
    for given in (tokens, np.array([*map(list, tokens)], object)):
        found, problems = check_arrays({"tokens": given}, {"tags": [["DT", "NN"], ["VB"]]}, WANTED)
        assert found is not None, problems
        assert found.inputs["tokens"][:].tolist() == [["The", "cat"], ["Go", ""]]
    found, problems = check_arrays({"tokens": tokens}, {"tags": [["DT"], ["VB"]]}, WANTED)
    assert found is None
    assert "has 1 texts in the row at index 0, where 'tokens' has 2" in problems[0].message


def test_widths_of_batches() -> None:
    assert [step_of_widths(n) for n in (1, 4, 5, 8, 9, 17, 31, 33, 65, 100, 257)] == [
        4, 4, 8, 8, 12, 20, 32, 40, 80, 112, 320,
    ]  # fmt: skip
    assert all(n <= step_of_widths(n) <= max(1.25 * n + 1, 4 + n) for n in range(1, 1000))


def loader(sizes: np.ndarray, *, shuffle: bool, batch: int = 4) -> BatchLoader:
    data = np.where(np.arange(sizes.max()) < sizes[:, None], np.arange(1, len(sizes) + 1)[:, None], 0)
    held = Dataset({"x": data.astype(np.int16), "z": np.arange(len(sizes))}, sizes={"x": sizes})
    return BatchLoader(held, batch, shuffle=shuffle, seed=3)


def batches(found: BatchLoader, epoch: int) -> list[dict[str, np.ndarray]]:
    found.start(epoch)
    result = []
    for k in range(found.batches):
        feeds = {n: np.zeros(shape, np.int64) for n, shape in found.shapes(*found.form(k)).items()}
        found.copy(k, feeds)
        result.append(feeds)
    return result


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_batch_is_as_wide_as_its_longest_row_and_no_row_is_lost(shuffle: bool) -> None:
    sizes = np.random.default_rng(1).integers(1, 60, 50)
    found = loader(sizes, shuffle=shuffle)
    for epoch in (0, 1):
        parts = batches(found, epoch)
        assert sorted(np.concatenate([p["z"] for p in parts]).tolist()) == list(range(50))
        for part in parts:
            assert part["x"].shape[1] == min(step_of_widths(int(sizes[part["z"]].max())), sizes.max())
            assert ((part["x"] != 0).sum(1) == sizes[part["z"]]).all()
            assert (part["x"].max(1) == part["z"] + 1).all()
    assert any(len(p["z"]) == 2 for p in parts[-1:])  # the last batch is the short one


def test_shuffled_batches_have_rows_of_nearly_one_size_in_an_order_of_the_epoch() -> None:
    sizes = np.random.default_rng(1).integers(1, 60, 400)
    found = loader(sizes, shuffle=True)
    first, second = ([p["z"].tolist() for p in batches(found, epoch)] for epoch in (0, 1))
    assert first != second
    assert first == [p["z"].tolist() for p in batches(loader(sizes, shuffle=True), 0)]
    assert np.mean([np.ptp(sizes[rows]) for rows in first]) < 6
    longest = [sizes[rows].max() for rows in first]
    assert np.corrcoef(longest, np.arange(len(longest)))[0, 1] < 0.5  # not from the short ones to the long ones


def test_rows_that_are_evaluated_come_longest_first() -> None:
    held = loader(np.array([2, 5, 9, 5, 1]), shuffle=False).dataset
    assert held.longest_first().tolist() == [2, 1, 3, 0, 4]
    assert held.select(np.array([0, 3, 2])).longest_first().tolist() == [2, 1, 0]
    part = held.select(np.array([4, 3, 2])).taken(slice(1, 3))
    assert part.chosen is None
    assert (part.inputs["z"].tolist(), part.sizes["x"].tolist()) == ([3, 2], [5, 9])


def test_answers_of_several_lengths_are_joined() -> None:
    tokens = Strings.of(np.array([["a", "", "", ""], ["b", "c", "", ""], ["d", "e", "f", "g"]], object))
    seen = []

    def run(feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        seen.append(feeds["tokens"].shape)
        return {"label": feeds["tokens"].astype(str), "value": np.ones((*feeds["tokens"].shape, 2))}

    found = in_batches({"tokens": tokens}, 2, run, ["tokens"])  # type: ignore[dict-item]
    assert seen == [(2, 4), (1, 4)]
    short = tokens.select(np.array([2, 0, 1]))
    assert in_batches({"tokens": short}, 1, run, ["tokens"])["label"].tolist() == short[:].tolist()  # type: ignore[dict-item]
    assert seen[2:] == [(1, 4), (1, 1), (1, 2)]
    assert found["label"].tolist() == tokens[:].tolist()
    assert found["value"].sum(-1).tolist() == [[2] * 4] * 3
