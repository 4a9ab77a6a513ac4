"""Messages of layers for inputs that cannot work and for wrong arguments."""

from __future__ import annotations

from typing import Any

import pytest
from lowering import IMAGE, TIME, Dims, cell, lower, source
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from graphspec.base.errors import ShapeError
from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph
from graphspec.vocabulary.layers import LAYERS

SHAPE_ERRORS: list[tuple[str, dict[str, Any], list[Dims], str, str, str | None]] = [
    ("Dense", {"units": 1}, [("N",)], "GS301", "rank-2", None),
    ("Dense", {"units": 1}, [("N", 2, "time")], "GS305", "varies", None),
    ("Conv2D", {"filters": 1, "kernel_size": 3}, [("N", 10)], "GS301", "rank-4 data (batch, height", None),
    ("Conv2D", {"filters": 1, "kernel_size": 9}, [IMAGE], "GS303", "window of 9 along the height", "kernel_size"),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "groups": 2}, [IMAGE], "GS304", "3 input channels", "groups"),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "groups": 3}, [IMAGE], "GS304", "4 filters", "groups"),
    (
        "Conv2D",
        {"filters": 4, "kernel_size": 3, "strides": 2, "dilation_rate": 2},
        [IMAGE],
        "GS105",
        "exclude each other",
        "dilation_rate",
    ),
    ("Conv1D", {"filters": 1, "kernel_size": 3}, [("N", 9, "c")], "GS305", "varies", None),
    ("MaxPooling2D", {"pool_size": 7}, [IMAGE], "GS303", "along the width", "pool_size"),
    ("GlobalMaxPooling1D", {}, [("N", 3)], "GS301", "rank-3", None),
    ("Reshape", {"target_shape": [5, -1]}, [("N", 7, 7, 64)], "GS304", "(7, 7, 64), which has 3136", "target_shape"),
    ("Reshape", {"target_shape": [5]}, [("N", 7)], "GS304", "needs 5 elements", "target_shape"),
    ("Reshape", {"target_shape": [6]}, [TIME], "GS305", "which varies", "target_shape"),
    ("Permute", {"dims": [2, 1]}, [IMAGE], "GS301", "rank-3", "dims"),
    ("RepeatVector", {"n": 2}, [IMAGE], "GS301", "rank-2", None),
    ("ZeroPadding2D", {}, [("N", 3)], "GS301", "rank-4", None),
    ("UpSampling2D", {}, [("N", 3, 3)], "GS301", "rank-4", None),
    ("Softmax", {"axis": 3}, [TIME], "GS301", "axis from 1 to 2", "axis"),
    ("Rescaling", {"scale": [1, 2]}, [IMAGE], "GS304", "2 values in `scale` for 3", "scale"),
    ("Dropout", {"rate": 0.5, "noise_shape": [1, 2]}, [TIME], "GS301", "noise_shape", "noise_shape"),
    ("BatchNormalization", {"axis": 4}, [IMAGE], "GS301", "axis from 1 to 3", "axis"),
    ("BatchNormalization", {}, [("N", 3, "time")], "GS305", "varies", None),
    ("LayerNormalization", {"axis": 0}, [IMAGE], "GS301", "axis from 1 to 3", "axis"),
    ("Concatenate", {}, [IMAGE, ("N", 6, 4, 3)], "GS302", "joins shapes that differ outside axis -1", None),
    ("Concatenate", {}, [IMAGE, ("N", 3)], "GS302", "outside axis -1", None),
    ("Concatenate", {"axis": 0}, [IMAGE, IMAGE], "GS301", "axis from 1", "axis"),
    ("Add", {}, [("N", 3), ("N", 4)], "GS302", "cannot broadcast", None),
    ("Dot", {"axes": 1}, [("N", 3), ("N", 4)], "GS302", "different sizes", "axes"),
    ("Dot", {"axes": [0, 1]}, [("N", 3), ("N", 4)], "GS301", "an axis from 1", "axes"),
    ("Embedding", {"input_dim": 3, "output_dim": 2}, [("N", 4)], "GS306", "integer ids", None),
    ("LSTM", {"units": 2}, [("N", 3)], "GS301", "rank-3 data (batch, time, features)", None),
    ("LSTM", {"units": 2, "activation": "gelu"}, [TIME], "GS305", "does not have the activation gelu", "activation"),
    ("GRU", {"units": 2, "recurrent_activation": "softmax"}, [TIME], "GS305", "softmax", "recurrent_activation"),
    ("Bidirectional", {"layer": cell("LSTM", go_backwards=True)}, [TIME], "GS105", "one forward layer", "layer"),
    (
        "Bidirectional",
        {"layer": cell("LSTM"), "backward_layer": cell("LSTM", go_backwards=True, return_sequences=True)},
        [TIME],
        "GS105",
        "return_sequences",
        "backward_layer",
    ),
    ("TimeDistributed", {"layer": "Flatten"}, [("N", 3)], "GS301", "at least rank-3", None),
    ("TimeDistributed", {"layer": "Add"}, [TIME], "GS105", "2 or more inputs", "layer"),
    ("TimeDistributed", {"layer": "BatchNormalization"}, [TIME], "GS305", "varies", None),
    ("Dense", {"units": 2, "bias_initializer": "orthogonal"}, [("N", 3)], "GS301", "matrix", "bias_initializer"),
]


@pytest.mark.parametrize(
    ("kind", "args", "inputs", "code", "text", "key"), SHAPE_ERRORS, ids=[f"{c[0]}-{c[3]}" for c in SHAPE_ERRORS]
)
def test_shape_error(
    kind: str, args: dict[str, Any], inputs: list[Dims], code: str, text: str, key: str | None
) -> None:
    with pytest.raises(ShapeError) as error:
        lower({"type": kind, **args}, *inputs)
    assert error.value.code == code
    assert text in error.value.problem.message
    assert error.value.problem.key == key


def test_hints_name_the_fix() -> None:
    def hint(layer: Any, shape: Dims, dtype: str = "float32") -> str:
        with pytest.raises(ShapeError) as error:
            lower(layer, shape, dtype=dtype)
        return error.value.problem.hint or ""

    assert "target_shape: [28, 28, 1]" in hint({"type": "Conv2D", "filters": 1, "kernel_size": 3}, ("N", 28, 28))
    assert "Embedding" in hint(cell("LSTM"), ("N", 5), "int64")
    assert "dtype: int64" in hint({"type": "Embedding", "input_dim": 3, "output_dim": 2}, ("N", 4))


def test_hint_of_a_recurrent_layer_on_another_ones_last_output() -> None:
    graph = Graph("test")
    layer = LAYERS.parse(cell("GRU"))
    with Builder(graph, "first") as g:
        first = layer.lower(g, source("x", TIME))
    with pytest.raises(ShapeError) as error:
        layer.lower(Builder(graph, "second"), first)
    assert error.value.problem.hint == "set `return_sequences: true` on 'first'"


def test_initial_states_must_fit() -> None:
    state = source("h", ("N", 5))
    with pytest.raises(ShapeError, match="expects 2 initial states, got 1"):
        lower(cell("LSTM"), TIME, initial_state=[state])
    with pytest.raises(ShapeError, match=r"needs initial states of shape \(N, 5\), got \(N, 4\)"):
        lower(cell("GRU"), TIME, initial_state=[source("h", ("N", 4))])
    _, (output,) = lower({"type": "Bidirectional", "layer": cell("GRU")}, TIME, initial_state=[state, state])
    assert output.shape == ("N", 10)


ARGUMENT_ERRORS: list[tuple[dict[str, Any], str, str]] = [
    (cell("LSTM", stateful=True), "stateful", "GS105"),
    (cell("LSTM", recurrent_dropout=1.0), "recurrent_dropout", "less_than"),
    ({"type": "BatchNormalization", "renorm": True}, "renorm", "GS105"),
    ({"type": "Bidirectional", "layer": {"type": "Dense", "units": 2}}, "layer", "GS105"),
    ({"type": "Permute", "dims": [0, 1]}, "dims", "GS105"),
    ({"type": "Reshape", "target_shape": [-1, -1]}, "target_shape", "GS105"),
    ({"type": "Dense", "units": 0}, "units", "greater_than_equal"),
    ({"type": "Dense", "units": "4"}, "units", "int_type"),
    ({"type": "Dense"}, "units", "missing"),
    ({"type": "Dense", "units": 2, "unit": 3}, "unit", "extra_forbidden"),
    ({"type": "Dense", "units": 2, "activation": "rleu"}, "activation", "GS111"),
    ({"type": "Conv2D", "filters": 2, "kernel_size": 3, "padding": "causal"}, "padding", "literal_error"),
    ({"type": "Dropout", "rate": 1.0}, "rate", "less_than"),
    ({"type": "UpSampling2D", "interpolation": "cubic"}, "interpolation", "literal_error"),
]


@pytest.mark.parametrize(
    ("layer", "key", "kind"), ARGUMENT_ERRORS, ids=[f"{c[0]['type']}-{c[1]}" for c in ARGUMENT_ERRORS]
)
def test_argument_error(layer: dict[str, Any], key: str, kind: str) -> None:
    cls = LAYERS.get(layer["type"])
    assert cls is not None
    with pytest.raises(ValidationError) as error:
        cls.model_validate({k: v for k, v in layer.items() if k != "type"})
    (found,) = error.value.errors()
    assert found["loc"][0] == key
    assert found["type"] == kind


def test_an_error_in_a_wrapped_layer_is_nested() -> None:
    with pytest.raises(PydanticCustomError) as error:
        LAYERS.parse({"type": "Bidirectional", "layer": cell("LSTM", stateful=True)})
    assert error.value.type == "nested"
