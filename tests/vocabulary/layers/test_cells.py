"""RNN and its cells compared with the layers of a single cell; `test_golden.py` compares the values with Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_cases import Case
from golden_run import compiled, run, store_of

from graphspec.base.errors import ShapeError
from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.vocabulary.layers import CELLS, LAYERS

LSTM: dict[str, Any] = {"type": "LSTMCell", "units": 3}
GRU: dict[str, Any] = {"type": "GRUCell", "units": 2, "activation": "gelu"}
RNN: dict[str, Any] = {"type": "SimpleRNNCell", "units": 4}


def outputs(layer: dict[str, Any], rename: dict[str, str] | None = None) -> Any:
    """Return the outputs of a layer; its weights depend on their names, after renaming."""
    spec = {
        "graphspec": 1,
        "name": "n",
        "inputs": {"x": {"shape": [4, 2]}},
        "layers": [{"name": "y", **layer}],
        "outputs": {"y": {}},
    }
    _, graph = compiled(Case("y", {"spec": spec}))
    weights = {}
    for name, param in graph.params.items():
        seed = list((rename or {}).get(name, name).encode())
        weights[name] = 0.5 * np.random.default_rng(seed).normal(size=param.shape)
    x = np.random.default_rng(0).normal(size=(3, 4, 2))
    return run(graph, store_of(graph, weights), {"x": x}, graph.outputs)[0]["y"]


@pytest.mark.parametrize("kind", ["SimpleRNN", "GRU", "LSTM"])
@pytest.mark.parametrize("activation", ["tanh", "silu"])
def test_a_layer_is_rnn_over_its_cell(kind: str, activation: str) -> None:
    """Both have the same names of weights."""
    more = {"units": 3, "activation": activation}
    layer = outputs({"type": kind, **more, "return_sequences": True})
    over = outputs({"type": "RNN", "cell": {"type": f"{kind}Cell", **more}, "return_sequences": True})
    np.testing.assert_array_equal(layer, over)


@pytest.mark.parametrize("kind", ["SimpleRNN", "GRU", "LSTM"])
def test_a_layer_has_the_arguments_of_its_cell(kind: str) -> None:
    layer, cell = LAYERS.get(kind), CELLS.get(f"{kind}Cell")
    assert layer is not None
    assert cell is not None
    assert {name: field.default for name, field in cell.model_fields.items()}.items() <= {
        name: field.default for name, field in layer.model_fields.items()
    }.items()


def test_stacks_may_be_nested() -> None:
    flat = {"type": "RNN", "cell": [LSTM, GRU, RNN]}
    nested = {
        "type": "RNN",
        "cell": {"type": "StackedRNNCells", "cells": [{"type": "StackedRNNCells", "cells": [LSTM, GRU]}, RNN]},
    }
    roles = ("kernel", "recurrent_kernel", "bias")
    places = {"0/0": "0", "0/1": "1", "1": "2"}
    rename = {f"y/{a}/{role}": f"y/{b}/{role}" for a, b in places.items() for role in roles}
    np.testing.assert_array_equal(outputs(nested, rename), outputs(flat))


def test_a_stack_of_one_cell_is_the_cell() -> None:
    rename = {f"y/0/{role}": f"y/{role}" for role in ("kernel", "recurrent_kernel", "bias")}
    np.testing.assert_array_equal(
        outputs({"type": "RNN", "cell": [LSTM]}, rename), outputs({"type": "RNN", "cell": LSTM})
    )


@pytest.mark.parametrize(
    ("layer", "before", "shape"),
    [
        ({"type": "GRU", "units": 2}, {"type": "LSTM", "units": 2, "activation": "gelu"}, (4, 3)),
        ({"type": "RNN", "cell": LSTM}, {"type": "RNN", "cell": [LSTM, RNN]}, (4, 3)),
        ({"type": "GRU", "units": 2}, {"type": "Bidirectional", "layer": {"type": "GRU", "units": 2}}, (4, 3)),
        (
            {"type": "ConvLSTM1D", "filters": 2, "kernel_size": 2},
            {"type": "ConvLSTM1D", "filters": 2, "kernel_size": 2},
            (4, 5, 3),
        ),
    ],
    ids=["written out", "stack", "both ways", "images"],
)
def test_hint_for_a_missing_time_axis(layer: Any, before: Any, shape: tuple[int, ...]) -> None:
    graph = Graph("test")
    x = Value("x", Type("float32", ("N", *shape)), "input")
    with Builder(graph, "first") as g:
        first = LAYERS.parse(before).lower(g, x)
    with pytest.raises(ShapeError) as error:
        LAYERS.parse(layer).lower(Builder(graph, "second"), first)
    assert error.value.problem.hint == "set `return_sequences: true` on 'first'"
