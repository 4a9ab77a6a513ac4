"""Ids that an Embedding has no row for are refused wherever they come from."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.engine.runtime.bind import build_program
from graphspec.graph.analysis import id_ranges, input_bounds
from graphspec.graph.builder import Target
from graphspec.graph.ir.graph import Range
from graphspec.graph.onnx_session import session
from graphspec.graph.ops.indexing import check_range
from trust import attack_ids

LAYERS: dict[str, tuple[list[dict[str, Any]], list[int], int]] = {
    "none": ([], [4], 1),
    "repeat": ([{"type": "RepeatVector", "n": 2}], [4], 1),
    "crop": ([{"type": "Cropping1D", "cropping": 1}], [6, 2], 1),
    "pad": ([{"type": "ZeroPadding1D"}], [6, 2], 1),
    "concatenate": ([{"type": "Concatenate", "inputs": ["i0", "i1"]}], [6], 2),
    "add": ([{"type": "Add", "inputs": ["i0", "i1"]}], [6], 2),
    "multiply": ([{"type": "Multiply", "inputs": ["i0", "i1"]}], [6], 2),
    "maximum": ([{"type": "Maximum", "inputs": ["i0", "i1"]}], [6], 2),
    "minimum": ([{"type": "Minimum", "inputs": ["i0", "i1"]}], [6], 2),
}


def model_of(path: str, input_dim: int = 5) -> gs.Model:
    layers, shape, count = LAYERS[path]
    embedding = {"name": "e", "type": "Embedding", "input_dim": input_dim, "output_dim": 3}
    document = {
        "graphspec": 1,
        "name": "ids",
        "inputs": {f"i{k}": {"shape": shape, "dtype": "int64"} for k in range(count)},
        "layers": [*({"name": f"l{k}", **layer} for k, layer in enumerate(layers)), embedding],
        "outputs": {"e": {"loss": "mse"}},
    }
    return gs.compile(document)


def filled(model: gs.Model, id_: int) -> dict[str, Any]:
    return {name: np.full((2, *v.shape[1:]), id_) for name, v in model.graph.inputs.items()}


@pytest.mark.parametrize("path", LAYERS)
def test_what_is_drawn_for_a_proof_is_in_range(path: str, tmp_path: Path) -> None:
    model = model_of(path)
    bounds = input_bounds(model.graph)
    assert bounds.keys() == model.graph.inputs.keys()
    for corner in range(2):
        model.run(
            {name: np.full((2, *v.shape[1:]), bounds[name][corner] - corner) for name, v in model.graph.inputs.items()}
        )
    model.export(tmp_path / "ids.onnx")


@pytest.mark.parametrize("wrong", [10, -3, 2**31])
@pytest.mark.parametrize("path", LAYERS)
def test_no_id_is_clipped(path: str, wrong: int) -> None:
    model = model_of(path)
    with pytest.raises(gs.SpecError, match="GS506"):
        model.predict(filled(model, wrong))


def test_an_input_is_refused_where_nothing_could_save_it() -> None:
    assert id_ranges(model_of("repeat").graph) == {"i0": Range(0, 4)}
    assert id_ranges(model_of("concatenate").graph) == {"i0": Range(0, 4), "i1": Range(0, 4)}
    assert id_ranges(model_of("crop").graph) == {}, "what is cut away may be anything"
    model = model_of("crop")
    x = np.zeros((2, 6, 2), np.int64)
    x[:, 0] = 99
    model.predict(x)


@pytest.mark.parametrize("path", ["none", "crop", "maximum"])
def test_run_checks_what_it_is_given(path: str) -> None:
    model = model_of(path)
    model.run(filled(model, 4))
    for wrong in (5, -1, 2**31):
        with pytest.raises(gs.SpecError, match="GS506"):
            model.run(filled(model, wrong))
    with pytest.raises(gs.SpecError, match=r"GS504.*not an exact int64"):
        model.run(filled(model, 1.5))
    with pytest.raises(gs.SpecError, match=r"GS502.*input 'i0' has no array"):
        model.run({})


def test_a_lookup_that_is_checked_beforehand_costs_nothing() -> None:
    checks = {}
    for path in ("repeat", "crop"):
        model = model_of(path)
        shapes = {name: (2, *v.shape[1:]) for name, v in model.graph.inputs.items()}
        program = build_program(model.graph, model.parameters, Target(shapes))
        checks[path] = sum(call[0] is check_range for call in program.calls)
    assert checks == {"repeat": 0, "crop": 1}


BINS = {"name": "bins", "type": "Discretization", "bin_boundaries": [0.0, 1.0, 2.0, 3.0, 4.0]}


def embedded(*layers: dict[str, Any], input_dim: int, dtype: str = "float32", shape: tuple[int, ...] = (4,)) -> Any:
    embedding = {"name": "e", "type": "Embedding", "input_dim": input_dim, "output_dim": 3}
    return {
        "graphspec": 1,
        "name": "bins",
        "inputs": {"x": {"shape": list(shape), "dtype": dtype}},
        "layers": [*layers, embedding],
        "outputs": {"e": {"loss": "mse"}},
    }


@pytest.mark.parametrize(
    "more", [[], [{"type": "RepeatVector", "n": 2}], [{"type": "Concatenate", "inputs": ["bins", "bins"]}]]
)
def test_more_bins_than_rows_are_an_error_of_the_spec(more: list[dict[str, Any]]) -> None:
    layers = [BINS, *({"name": f"m{k}", **layer} for k, layer in enumerate(more))]
    (found,) = gs.validate(embedded(*layers, input_dim=5))
    assert (found.code, found.path) == ("GS304", "layers.e.input_dim")
    assert (
        found.message == "Embedding 'e' looks up ids from 'bins', which range from 0 to 5; only 0 to 4 can have a row"
    )
    assert found.hint == "set `input_dim: 6`, or reduce the range of 'bins'"
    assert gs.validate(embedded(*layers, input_dim=6)) == []


def test_more_learnt_ids_than_rows() -> None:
    """Their number is not known yet: the hint must not name it."""
    texts: dict[str, Any] = {"name": "ids", "type": "StringLookup"}
    [found] = (d for d in gs.validate(embedded(texts, input_dim=5, dtype="string")) if d.is_error)
    assert found.hint == "set `input_dim: null`, or reduce the range of 'ids'"
    document = embedded(texts, input_dim=5, dtype="string")
    document["layers"][-1]["input_dim"] = None
    assert not [d for d in gs.validate(document) if d.is_error]


def test_bins_that_cannot_be_reached_are_none() -> None:
    far = {**BINS, "bin_boundaries": [0.0, 1.0, 300.0]}
    assert gs.validate(embedded(far, input_dim=3, dtype="uint8")) == []
    assert [d.code for d in gs.validate(embedded(far, input_dim=3))] == ["GS304"]


def test_what_may_or_may_not_be_out_of_range_is_no_error() -> None:
    spec = embedded(BINS, {"name": "sum", "type": "Add", "inputs": ["bins", "bins"]}, input_dim=6)
    assert gs.validate(spec) == []
    model = gs.compile(spec)
    model.predict(np.full((2, 4), 1.5, np.float32))
    with pytest.raises(gs.SpecError, match="'e' looks up id 10, outside 0 … 5"):
        model.predict(np.full((2, 4), 9.0, np.float32))


@pytest.mark.slow
def test_a_worker_says_what_is_wrong_with_its_rows() -> None:
    spec = {
        "graphspec": 1,
        "name": "ids",
        "inputs": {"a": {"shape": [3], "dtype": "int64"}, "b": {"shape": [3], "dtype": "int64"}},
        "layers": [
            {"name": "sum", "type": "Add", "inputs": ["a", "b"]},
            {"name": "e", "type": "Embedding", "input_dim": 5, "output_dim": 2},
        ],
        "outputs": {"e": {"loss": "mse"}},
        "training": {"workers": 2, "batch_size": 8, "shuffle": False},
    }
    model = gs.compile(spec)
    x, y = {name: np.zeros((8, 3), np.int64) for name in "ab"}, np.zeros((8, 3, 2), np.float32)
    x["a"][7] = 99  # of the second worker
    with pytest.raises(gs.SpecError, match=r"GS506.*'e' looks up id 99, outside 0 … 4"):
        model.fit(x, y, verbose=0)
    x["a"][7] = 4
    model.fit(x, y, verbose=0)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_the_largest_integers_of_an_image_do_not_wrap_round(dtype: str, interpolation: str, tmp_path: Path) -> None:
    layer = {"name": "r", "type": "Resizing", "height": 6, "width": 4, "interpolation": interpolation}
    spec = {"graphspec": 1, "name": "image", "inputs": {"x": {"shape": [3, 5, 1], "dtype": dtype}}}
    model = gs.compile(spec | {"layers": [layer], "outputs": {"r": {}}})
    most = np.iinfo(dtype).max
    x = np.full((2, 3, 5, 1), most, dtype)
    y = model.predict(x)
    assert y.dtype == dtype
    assert (y == most).all() if interpolation == "nearest" or dtype == "uint8" else (y > most - most // 1000000).all()
    model.export(tmp_path / "image.onnx")
    (out,) = session(tmp_path / "image.onnx", threads=1).run(None, {"x": x})
    np.testing.assert_array_equal(out, y)


def test_an_integer_image_is_filled_with_integers() -> None:
    layer = {"name": "r", "type": "Resizing", "height": 4, "width": 4, "interpolation": "nearest"}
    layer |= {"pad_to_aspect_ratio": True, "fill_value": 1.5}
    spec = {"graphspec": 1, "name": "image", "inputs": {"x": {"shape": [2, 4, 1], "dtype": "uint8"}}}
    found = gs.validate(spec | {"layers": [layer], "outputs": {"r": {}}})
    assert [(d.code, d.path) for d in found if d.is_error] == [("GS105", "layers.r.fill_value")]


@pytest.mark.slow
def test_ids_on_random_paths() -> None:
    found = [p for seed in range(60) for p in attack_ids.attack(random.Random(seed))]
    assert found == []


def test_an_export_whose_made_up_rows_have_no_ids_asks_for_rows(tmp_path: Path) -> None:
    edges = {**BINS, "bin_boundaries": [-1.0, 0.0, 1.0, 2.0, 3.0]}
    spec = embedded(edges, {"name": "sum", "type": "Add", "inputs": ["bins", "bins"]}, input_dim=6)
    model = gs.compile(spec)
    with pytest.raises(gs.SpecError, match=r"(?s)GS506.*'e' looks up id .*use `--rows FILE`"):
        model.export(tmp_path / "sum.onnx")
    model.export(tmp_path / "sum.onnx", rows=np.full((2, 4), 0.5, np.float32))
