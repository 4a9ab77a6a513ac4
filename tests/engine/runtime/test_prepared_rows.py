"""Rows are prepared once: the values, their storage, and the cache with its keys."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.base.arrays.memory import map_of
from graphspec.base.arrays.strings import Strings
from graphspec.data.batches import Dataset
from graphspec.engine.runtime import prepared_rows as prepared
from graphspec.engine.runtime.prepared_rows import Prelude, key_of, prepare_rows
from graphspec.graph.builder import Builder
from graphspec.graph.cuts import cut
from graphspec.graph.initializers import Zeros
from graphspec.graph.ir.graph import Graph, Type, Value

TEXTS = ["a b", "", "b b b b", "c", "a"] * 3


def prelude_of(keys: tuple[str, ...] = ("", "a", "b")) -> Prelude:
    """Tokens of a text as ids, summed behind the cut by a product with a weight."""
    graph = Graph("test")
    text = graph.inputs["text"] = Value("text", Type("string", ("N",)), "input")
    g = Builder(graph, "node")
    tokens = g.Tokenizer(text, separators=("\\s+",), mark=0, mincharnum=1, pad_value="")
    ids = g.LabelEncoder(tokens, keys_strings=keys, values_int64s=tuple(range(len(keys))), default_int64=len(keys))
    ids.range = None
    y = g.MatMul(g.MultiHot(ids, depth=300), g.param("kernel", (300, 1), Zeros()))
    parts = cut(graph.with_outputs({"y": y}))
    assert parts is not None
    return Prelude(parts.prelude)


def rows(texts: list[str] = TEXTS) -> Dataset:
    return Dataset({"text": Strings.of(np.array(texts, object))})


def ids_of(data: Dataset) -> Any:
    (array,) = data.inputs.values()
    return array


EXPECTED = {"a b": [1, 2, 0, 0], "": [0, 0, 0, 0], "b b b b": [2, 2, 2, 2], "c": [3, 0, 0, 0], "a": [1, 0, 0, 0]}


def nothing(rows: int, total: int) -> None:
    pass


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_short_rows_are_padded_whatever_the_chunks_are(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "CHUNK_ROWS", chunk)
    prelude = prelude_of()
    found = ids_of(prepare_rows(prelude, rows(), list(prelude.graph.outputs), None, nothing))
    assert found.tolist() == [EXPECTED[text] for text in TEXTS]


@pytest.mark.parametrize(("cores", "threads_set", "threads"), [(2, None, 2), (2, 2, 1), (1, 1, 1)])
def test_each_core_computes_chunks_of_networks(
    cores: int, threads_set: int | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chunks of both threads meet: with one thread, the barrier breaks."""
    meeting, prelude = threading.Barrier(threads, timeout=10), prelude_of()
    monkeypatch.setattr(prepared, "has_networks", lambda prelude: True)
    monkeypatch.setattr(prepared, "chunk_rows", lambda prelude, feeds: 4)
    monkeypatch.setattr(prepared, "usable_cores", lambda: cores)
    monkeypatch.setattr(prepared, "threads_set", lambda: threads_set)
    run, used, done = prelude.run, set[int](), list[int]()

    def met(feeds: Any) -> Any:
        if len(feeds["text"]) == 4:  # not the two rows that find the padding
            used.add(threading.get_ident())
            meeting.wait()
        return run(feeds)

    monkeypatch.setattr(prelude, "run", met)
    data = rows([*TEXTS, "a"])  # four chunks
    found = ids_of(prepare_rows(prelude, data, list(prelude.graph.outputs), None, lambda rows, _: done.append(rows)))
    assert [list(row) for row in found.reshape(len(data), -1)] == [EXPECTED[text] for text in [*TEXTS, "a"]]
    assert done == [4, 8, 12, 16]
    assert len(used) == threads


def test_progress_counts_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "CHUNK_ROWS", 4)
    seen: list[tuple[int, int]] = []
    prelude = prelude_of()
    prepare_rows(prelude, rows(), list(prelude.graph.outputs), None, lambda n, total: seen.append((n, total)))
    assert seen == [(4, 15), (8, 15), (12, 15), (15, 15)]


def test_the_cache_gives_the_same_rows_as_maps_and_computes_them_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prelude, data = prelude_of(), rows()
    names = list(prelude.graph.outputs)
    plain = ids_of(prepare_rows(prelude, data, names, None, nothing))
    first = ids_of(prepare_rows(prelude, data, names, tmp_path, nothing))
    assert map_of(first) is not None
    assert np.array_equal(first, plain)
    again = prelude_of()
    monkeypatch.setattr(Prelude, "run", lambda *_: pytest.fail("the rows were computed again"))
    assert np.array_equal(ids_of(prepare_rows(again, data, names, tmp_path, nothing)), plain)


def test_a_changed_vocabulary_a_changed_argument_and_changed_rows_change_the_key() -> None:
    data = rows().inputs
    key = key_of(prelude_of(), data)
    assert key == key_of(prelude_of(), rows().inputs)
    assert key != key_of(prelude_of(("", "a", "d")), data)
    assert key != key_of(prelude_of(), rows([*TEXTS[:-1], "b"]).inputs)
    assert key != key_of(prelude_of(), rows(["a", " b", *TEXTS[2:]]).inputs)


def test_equal_bytes_with_other_borders_between_texts_have_another_key() -> None:
    assert key_of(prelude_of(), rows(["ab", "c"]).inputs) != key_of(prelude_of(), rows(["a", "bc"]).inputs)


def test_texts_that_are_no_column_have_a_key_of_their_characters() -> None:
    def key(*texts: str) -> str:
        return key_of(prelude_of(), {"text": np.array(texts, object)[:, None]})

    assert key("ab", "c") == key("".join(("a", "b")), "c")
    assert len({key("ab", "c"), key("a", "bc"), key("ab", "d")}) == 3


def test_a_failed_preparation_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prelude, calls, run = prelude_of(), [], Prelude.run
    monkeypatch.setattr(prepared, "CHUNK_ROWS", 4)

    def fail(self: Prelude, feeds: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return run(self, feeds)

    monkeypatch.setattr(Prelude, "run", fail)
    with pytest.raises(KeyboardInterrupt):
        prepare_rows(prelude, rows(), list(prelude.graph.outputs), tmp_path, nothing)
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == []


def test_what_a_killed_preparation_left_is_removed_and_never_used(tmp_path: Path) -> None:
    prelude, data = prelude_of(), rows()
    left = tmp_path / ".graphspec-0123456789ab.tmp"
    left.mkdir()
    (left / "0.bin").write_bytes(b"half")
    prepare_rows(prelude, data, list(prelude.graph.outputs), tmp_path, nothing)
    assert not left.exists()


@pytest.mark.parametrize("damage", ["truncate", "index", "missing"])
def test_a_damaged_entry_is_computed_again(tmp_path: Path, damage: str) -> None:
    prelude, data = prelude_of(), rows()
    names = list(prelude.graph.outputs)
    expected = np.array(ids_of(prepare_rows(prelude, data, names, tmp_path, nothing)))
    entry = tmp_path / key_of(prelude, data.inputs)
    if damage == "truncate":
        (entry / "0.bin").write_bytes((entry / "0.bin").read_bytes()[:-1])
    elif damage == "index":
        (entry / "index.json").write_text(json.dumps({"arrays": {}}))
    else:
        (entry / "0.bin").unlink()
    assert np.array_equal(ids_of(prepare_rows(prelude, data, names, tmp_path, nothing)), expected)


def test_integers_are_stored_in_the_smallest_dtype_of_their_range() -> None:
    graph = Graph("test")
    word = graph.inputs["word"] = Value("word", Type("string", ("N", 1)), "input")
    g = Builder(graph, "node")
    ids = g.LabelEncoder(word, keys_strings=("a", "b"), values_int64s=(0, 300), default_int64=1)
    from graphspec.graph.ir.graph import Range

    ids.range = Range(0, 300)
    parts = cut(graph.with_outputs({"y": g.MatMul(g.MultiHot(ids, depth=301), g.param("k", (301, 1), Zeros()))}))
    assert parts is not None
    prelude = Prelude(parts.prelude)
    data = Dataset({"word": Strings.of(np.array([["a"], ["b"], ["c"]], object))})
    found = ids_of(prepare_rows(prelude, data, list(prelude.graph.outputs), None, nothing))
    assert found.dtype == np.int16
    assert found.tolist() == [[0], [300], [1]]


def test_pictures_of_several_sizes_beside_texts_of_several_lengths() -> None:
    model = gs.compile(
        {
            "graphspec": 1,
            "name": "both",
            "inputs": {"x": {"shape": [None, None, 1], "dtype": "uint8"}, "t": {"dtype": "string"}},
            "layers": [
                {"name": "r", "type": "Resizing", "inputs": "x", "height": 2, "width": 2},
                {"type": "Flatten"},
                {"name": "p", "type": "Rescaling", "scale": 0.01},
                {"type": "TextVectorization", "inputs": "t", "vocabulary": ["a", "b", "c"]},
                {"type": "Embedding", "input_dim": 5, "output_dim": 2, "mask_zero": True},
                {"name": "g", "type": "GlobalAveragePooling1D"},
                {"type": "Concatenate", "inputs": ["p", "g"]},
                {"name": "y", "type": "Dense", "units": 1},
            ],
            "outputs": {"y": {"loss": "mse"}},
        }
    )
    r = np.random.default_rng(0)
    x = [r.integers(0, 256, (2 + k % 3, 3, 1)).astype(np.uint8) for k in range(9)]
    t = np.array(["a b c a", "b", "c c", "a b", "b c a b a", "a", "c", "b a", "c b a"], object)
    model.fit({"x": x, "t": t}, np.arange(9.0), epochs=1, verbose=0)
    alone = [model.evaluate({"x": x[k][None], "t": t[k : k + 1]}, np.array([float(k)]))["loss"] for k in range(9)]
    assert model.evaluate({"x": x, "t": t}, np.arange(9.0))["loss"] == pytest.approx(np.mean(alone), rel=1e-5)
