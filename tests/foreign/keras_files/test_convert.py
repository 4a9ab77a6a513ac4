"""Configurations as Keras 2 and 3 write them, by hand: names, masks, calls, and everything that a spec cannot have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.base.codes import Code
from graphspec.foreign.keras_files.convert import Imported, convert

Config = dict[str, Any]


def tensor(name: str, call: int = 0, output: int = 0, shape: Any = None, dtype: str = "float32") -> Config:
    config = {"shape": shape, "dtype": dtype, "keras_history": [name, call, output]}
    return {"class_name": "__keras_tensor__", "config": config}


def layer(
    cls: str, name: str, config: Config | None = None, *calls: Any, module: str = "keras.layers", **extra: Any
) -> Config:
    """A layer of Keras 3; a call is its arguments, or a pair of them and keywords."""
    nodes = [
        {"args": list(call[0]), "kwargs": call[1]} if isinstance(call, tuple) else {"args": call, "kwargs": {}}
        for call in calls
    ]
    own = {"name": name, "trainable": True} if module == "keras.layers" else {"name": name}
    return {
        "module": module,
        "class_name": cls,
        "config": own | (config or {}),
        "registered_name": None,
        "name": name,
        "inbound_nodes": nodes,
        **extra,
    }


def operation(cls: str, name: str, *calls: Any, **config: Any) -> Config:
    return layer(cls, name, config, *calls, module="keras.src.ops.numpy")


def source(name: str = "x", shape: Any = (None, 4), dtype: str = "float32") -> Config:
    return layer("InputLayer", name, {"batch_shape": list(shape), "dtype": dtype})


def model(layers: list[Config], outputs: Any, inputs: Any = ("x", 0, 0), name: str = "net", **extra: Any) -> Config:
    config = {"name": name, "trainable": True, "layers": layers, "input_layers": inputs, "output_layers": outputs}
    return {"module": "keras.src.models.functional", "class_name": "Functional", "config": config} | extra


def imported(tmp_path: Path, config: Any) -> Imported:
    path = tmp_path / "net.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config), encoding="utf-8")
    return convert(path)


def problems(tmp_path: Path, config: Any) -> list[tuple[Code, str, str]]:
    with pytest.raises(gs.SpecError) as caught:
        imported(tmp_path, config)
    assert all(d.hint for d in caught.value.diagnostics)
    return [(Code(d.code), d.path, d.message) for d in caught.value.diagnostics]


def dense(name: str, *calls: Any, **config: Any) -> Config:
    return layer("Dense", name, {"units": 4} | config, *calls)


def test_names_become_valid_and_heads_have_those_of_the_outputs(tmp_path: Path) -> None:
    layers = [source("x y"), dense("block/one", [tensor("x y")]), dense("block_one", [tensor("block/one")])]
    found = imported(tmp_path, model(layers, {"block_one": ["block/one", 0, 0], "raw": ["x y", 0, 0]}, ["x y", 0, 0]))
    assert list(found.data["inputs"]) == ["x_y"]
    names = [entry["name"] for entry in found.data["layers"]]
    assert len(set(names)) == len(names) == 3  # the second layer is no head, and leads to none
    assert names[0] == "block_one"
    assert found.data["outputs"] == {"block_one": {}, "raw": {"layer": names[-1]}}
    assert found.data["layers"][-1] | {"name": ""} == {"name": "", "type": "Identity", "inputs": "x_y"}
    rows = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(gs.compile(found.data).predict(rows)["raw"], rows)


def test_everything_that_a_spec_cannot_have_is_said_at_once_with_its_place(tmp_path: Path) -> None:
    layers = [
        source(),
        layer("Lambda", "twice", {"function": {"class_name": "__lambda__", "config": {}}}, [tensor("x")]),
        layer("Gate", "gate", {}, [tensor("twice")], registered_name="Custom>Gate"),
        layer("Dense", "evil", {"units": 4}, [tensor("gate")], registered_name="Custom>Dense"),
        layer("LSTM", "states", {"units": 4, "stateful": True}, [tensor("x")]),
        layer("Hashing", "bins", {"num_bins": 4}, [tensor("x")]),
        dense(
            "q", [tensor("evil")], dtype={"class_name": "QuantizedDTypePolicy", "config": {"name": "int8_from_float32"}}
        ),
        operation("Nonzero", "where", [tensor("x")]),
        dense("act", [tensor("q")], activation={"class_name": "function", "config": "mine", "module": "my.code"}),
    ]
    found = problems(tmp_path, model(layers, ["act", 0, 0]))
    assert {code for code, _, _ in found} == {Code.UNSUPPORTED_FILE}
    places = [
        "layers[1] 'twice' (Lambda)",
        "layers[2] 'gate' (Gate)",
        "layers[3] 'evil' (Dense)",
        "layers[4] 'states' (LSTM)",
        "layers[5] 'bins' (Hashing)",
        "layers[6] 'q' (Dense)",
        "layers[7] 'where' (Nonzero)",
        "layers[8] 'act' (Dense): activation",
    ]
    assert sorted(path for _, path, _ in found) == [f"net.json: {place}" for place in places]


def test_masks_of_an_embedding_are_inferred_again_and_others_are_refused(tmp_path: Path) -> None:
    def config(compared: int) -> Config:
        layers = [
            source("x", (None, 5), "int64"),
            layer("Embedding", "look", {"input_dim": 9, "output_dim": 4, "mask_zero": True}, [tensor("x")]),
            operation("NotEqual", "not_equal", [tensor("x"), compared]),
            layer("LSTM", "read", {"units": 3}, ([tensor("look")], {"mask": tensor("not_equal"), "training": False})),
        ]
        return model(layers, ["read", 0, 0])

    found = imported(tmp_path, config(0))
    assert [entry["name"] for entry in found.data["layers"]] == ["look", "read"]
    ((code, place, message),) = problems(tmp_path, config(7))
    assert (code, place) == (Code.UNSUPPORTED_FILE, "net.json: layers[3] 'read' (LSTM)")
    assert "`mask`" in message


def old(cls: str, name: str, inbound: Any, **config: Any) -> Config:
    """A layer of Keras 2."""
    own = {"name": name, "trainable": True, "dtype": "float32"}
    return {"class_name": cls, "name": name, "config": own | config, "inbound_nodes": inbound}


def test_only_batch_normalizations_that_keras_2_called_without_training_are_frozen(tmp_path: Path) -> None:
    layers = [
        old("InputLayer", "x", [], batch_input_shape=[None, 4]),
        old("Dense", "a", [[["x", 0, 0, {"training": False}]]], units=3),
        old("BatchNormalization", "b", [[["a", 0, 0, {"training": False}]]]),
        old("BatchNormalization", "c", [[["b", 0, 0, {}]]]),
    ]
    config = {"class_name": "Functional", "config": model(layers, [["c", 0, 0]], [["x", 0, 0]])["config"]}
    found = imported(tmp_path, config)
    frozen = {entry["name"]: entry.get("trainable", True) for entry in found.data["layers"]}
    assert frozen == {"a": True, "b": False, "c": True}
    assert [note for note in found.notes if "frozen" in note] == [
        "batch normalizations that are called with `training=False` are frozen: their gamma and beta, too"
    ]


def test_the_mask_of_a_concatenation_is_inferred_and_one_of_the_users_own_is_refused(tmp_path: Path) -> None:
    """Keras gives the masks of what is joined its shape, joins them, and reduces them again."""

    def config(last: Config) -> Config:
        layers = [
            source("x", (None, 5), "int64"),
            layer("Embedding", "look", {"input_dim": 9, "output_dim": 4, "mask_zero": True}, [tensor("x")]),
            layer("Embedding", "other", {"input_dim": 9, "output_dim": 2, "mask_zero": True}, [tensor("x")]),
            operation("NotEqual", "known", [tensor("x"), 0]),
            operation("ExpandDims", "wide", [tensor("known")], axis=-1),
            operation("ZerosLike", "shape", [tensor("look")], dtype="bool"),
            operation("LogicalOr", "first", [tensor("wide"), tensor("shape")]),
            operation("OnesLike", "second", [tensor("other")], dtype="bool"),
            operation("Concatenate", "masks", [[tensor("first"), tensor("second")]], axis=-1),
            last,
            layer("Concatenate", "both", {"axis": -1}, [[tensor("look"), tensor("other")]]),
            layer("LSTM", "read", {"units": 3}, ([tensor("both")], {"mask": tensor("mask")})),
        ]
        return model(layers, ["read", 0, 0])

    found = imported(tmp_path, config(operation("Any", "mask", [tensor("masks")], axis=-1)))
    assert [entry["name"] for entry in found.data["layers"]] == ["look", "other", "both", "read"]
    ((_, _, message),) = problems(tmp_path, config(operation("LogicalNot", "mask", [tensor("known")])))
    assert "`mask`" in message


def test_sums_with_numbers_and_slices(tmp_path: Path) -> None:
    part = {"class_name": "__slice__", "config": {"start": 1, "stop": None, "step": 2}}
    array = {"class_name": "__numpy__", "config": {"value": [[1.0, 2.0], [3.0, 4.0]], "dtype": "float32"}}
    layers = [
        source(),
        operation("Add", "more", [tensor("x"), 2]),
        operation("Subtract", "less", [1.0, tensor("more")]),
        operation("Multiply", "square", [tensor("less", shape=[None, 4]), tensor("more", shape=[None, 4])]),
        operation("GetItem", "some", [tensor("square"), [{"class_name": "__ellipsis__", "config": {}}, part]]),
        operation("Matmul", "mixed", [tensor("some"), array]),
    ]
    found = imported(tmp_path, model(layers, ["mixed", 0, 0]))
    more, less, square, some, constant, _ = found.data["layers"]
    assert more == {"name": "more", "type": "Rescaling", "scale": 1.0, "offset": 2.0, "inputs": "x"}
    assert less == {"name": "less", "type": "Rescaling", "scale": -1.0, "offset": 1.0, "inputs": "more"}
    assert square == {"name": "square", "type": "Multiply", "inputs": ["less", "more"]}
    assert some == {"name": "some", "type": "GetItem", "key": "[..., 1::2]", "inputs": "square"}
    assert constant["type"] == "Constant"
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    expected = ((1 - (x + 2)) * (x + 2))[..., 1::2] @ np.array([[1, 2], [3, 4]], np.float32)
    np.testing.assert_allclose(gs.compile(found.data).predict(x), expected)


def test_nested_models_that_are_shared_are_instances_of_one_block(tmp_path: Path) -> None:
    inner = model(
        [source("a"), dense("d", [tensor("a")]), dense("e", [tensor("d")], trainable=False)],
        ["e", 0, 0],
        ["a", 0, 0],
        "look",
    )
    inner |= {
        "name": "look",
        "inbound_nodes": [{"args": [tensor("x")], "kwargs": {}}, {"args": [tensor("look")], "kwargs": {}}],
    }
    found = imported(tmp_path, model([source(), inner], ["look", 2, 0]))  # Keras counts a model's own node, too
    assert found.data["layers"] == [
        {"name": "look_2", "block": "look", "inputs": "x"},
        {"name": "look_3", "share": "look_2", "inputs": "look_2"},
    ]
    assert found.data["outputs"] == {"look": {"layer": "look_3"}}
    assert [entry.get("trainable") for entry in found.data["blocks"]["look"]["layers"]] == [None, False]
    assert set(gs.compile(found.data).weights) == {
        f"look_2/{role}" for role in ("d/kernel", "d/bias", "e/kernel", "e/bias")
    }


def test_what_it_was_compiled_with_comes_along_or_is_said(tmp_path: Path) -> None:
    layers = [source(), dense("a", [tensor("x")], activation="softmax"), dense("b", [tensor("x")])]
    compiled = {
        "optimizer": {
            "module": "keras.optimizers",
            "class_name": "Adam",
            "config": {"learning_rate": 0.5, "name": "adam"},
        },
        "loss": ["sparse_categorical_crossentropy", {"class_name": "function", "config": "mine", "module": "my.code"}],
        "metrics": [["accuracy"], None],
        "loss_weights": [2.0, 1.0],
    }
    found = imported(tmp_path, model(layers, [["a", 0, 0], ["b", 0, 0]], compile_config=compiled))
    assert found.data["outputs"] == {
        "a": {"loss": "sparse_categorical_crossentropy", "weight": 2.0, "metrics": ["accuracy"]},
        "b": {},
    }
    assert found.data["training"] == {"optimizer": {"type": "Adam", "learning_rate": 0.5}}
    assert any("mine is not Keras's but code" in note for note in found.notes)


def test_functions_of_tensorflow_in_models_of_keras_2(tmp_path: Path) -> None:
    part = [{"start": None, "stop": None, "step": None}, {"start": 1, "stop": 3, "step": None}]
    layers = [
        old("InputLayer", "x", [], batch_input_shape=[None, 4]),
        old("TFOpLambda", "tf.math.truediv", [["x", 0, 0, {"y": 2.0, "name": None}]], function="math.truediv"),
        old(
            "SlicingOpLambda",
            "tf.part",
            [["tf.math.truediv", 0, 0, {"slice_spec": part}]],
            function="__operators__.getitem",
        ),
        old(
            "TFOpLambda", "tf.concat", [[["x", 0, 0, {"axis": -1}], ["tf.part", 0, 0, {"axis": -1}]]], function="concat"
        ),
        old("Dropout", "drop", [[["tf.concat", 0, 0, {"training": False}]]], rate=0.5),
    ]
    config = {"class_name": "Functional", "config": model(layers, [["drop", 0, 0]], [["x", 0, 0]])["config"]}
    found = imported(tmp_path, config)
    assert "drop" not in [entry["name"] for entry in found.data["layers"]]
    assert any("`training=False`" in note for note in found.notes)
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    np.testing.assert_array_equal(gs.compile(found.data).predict(x), np.concatenate([x, x[:, 1:3] / 2], -1))
    layers[1]["config"]["function"] = "signal.fft"
    ((code, _, message),) = problems(tmp_path, config)
    assert code is Code.UNSUPPORTED_FILE
    assert "signal.fft of TensorFlow" in message


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("[1, 2", "neither an archive, nor HDF5, nor JSON"),
        ("{", "no JSON"),
        ('{"config": 1, "config": 2}', "the key 'config' twice"),
        ('{"a":' * 300 + "1" + "}" * 300, "more than 200 levels"),
        ('{"a":' * 100_000, "levels"),
        ({"class_name": "Functional"}, "no configuration"),
        ({"class_name": "Functional", "config": {"layers": 3}}, "no `layers`"),
        (model([source(), source()], ["x", 0, 0]), "two layers 'x'"),
        (model([source(), dense("d", [tensor("gone")])], ["d", 0, 0]), "reads 'gone'"),
        (model([source(), dense("d", [tensor("x")])], ["d", 3, 0]), "reads call 3 of 'd'"),
        (model([source(), dense("d")], [["d"]]), "output_layers is not readable"),
    ],
)
def test_a_file_that_contradicts_itself_is_invalid(tmp_path: Path, config: Any, said: str) -> None:
    ((code, _, message),) = problems(tmp_path, config)
    assert code is Code.INVALID_FILE
    assert said in message


def thing(cls: str, module: str = "keras.layers", **config: Any) -> Config:
    """An object among the arguments of a layer, or of what a model was compiled with."""
    return {"module": module, "class_name": cls, "config": config, "registered_name": None}


def inner(*layers: Config, inputs: Any = None, **kwargs: Any) -> Config:
    """A model `look` among the layers of another one, and how that calls it: on `x`, unless inputs are given."""
    found = model([source("a"), *layers], [layers[-1]["name"], 0, 0], ["a", 0, 0], "look")
    return found | {"name": "look", "inbound_nodes": [{"args": [inputs or tensor("x")], "kwargs": kwargs}]}


def old_model(*layers: Config, inputs: Any = (("x", 0, 0),)) -> Config:
    """A model of Keras 2 on `x`, whose output is that of the last layer."""
    made = model([OLD_INPUT, *layers], [[layers[-1]["name"], 0, 0]], inputs)
    return {"class_name": "Functional", "config": made["config"], "name": "look"}


def after(*layers: Config, shape: Any = (None, 4), call: int = 0) -> Config:
    """A model of `x` and these layers, whose output is that of the last one."""
    return model([source("x", shape), *layers], [layers[-1]["name"], call, 0])


def given(**config: Any) -> Config:
    """A model whose input has other settings."""
    return model([layer("InputLayer", "x", {"batch_shape": [8, 4]} | config), dense("d", [tensor("x")])], ["d", 0, 0])


OLD_INPUT = old("InputLayer", "x", [], batch_input_shape=[None, 4])
OLD_NORM = old("BatchNormalization", "norm", [[["x", 0, 0, {}]]])
OLD_DROP = old("Dropout", "drop", [[["norm", 0, 0, {}]]], rate=0.5)
DROP = layer("Dropout", "drop", {"rate": 0.5}, [tensor("d")])
NORM = layer("BatchNormalization", "norm", {}, [tensor("a")])
STEPS = (None, 5, 4)
X = tensor("x")


def timed(wrapped: Config, **config: Any) -> Config:
    return after(layer("TimeDistributed", "steps", {"layer": wrapped} | config, [tensor("x")]), shape=STEPS)


@pytest.mark.parametrize(
    ("config", "place", "said"),
    [
        (timed(inner(operation("Add", "plus", [tensor("a"), 1.0]))), "'plus'", "is a function in a model that a TimeDis"),
        (timed(inner(layer("Dot", "dot", {"axes": 1}, [[tensor("a"), tensor("a")]]))), "'dot'", "has 2 inputs in a model"),
        (after(layer("Bidirectional", "bi", {"layer": inner(NORM)}, [tensor("x")])), "'bi'", "wraps the model 'look'"),
        (old_model(OLD_NORM, old("Dropout", "d", [[["norm", 0, 0, {"training": True}]]])), "'d'", "acts at inference, too"),
        (old_model(old_model(OLD_NORM) | {"inbound_nodes": [[["x", 0, 0, {"training": True}]]]}), "'look'", "acts at infer"),
        (
            after(layer("GRU", "g", {"units": 4}, [X], ([X], {"initial_state": tensor("g")})), shape=STEPS),
            "'g'",
            "called again with `initial_state`",
        ),
        (after(layer("RNN", "r", {"cell": thing("My", "my.code")}, [X]), shape=STEPS), "cell", "the cell My, which"),
        (after(layer("Dense", "d", {"units": 4, "zero": 3}, [X])), "'d'", "has `zero: 3`, which Dense cannot have"),
        (after(dense("d", [tensor("x")], kernel_regularizer=thing("My", "my.code"))), "kernel_regul", "My, no regularizer"),
        (after(layer("LSTM", "l", {"units": 2, "return_state": 3}, [tensor("x")]), shape=STEPS), "'l'", "`return_state`"),
        (after(operation("GetItem", "part", [tensor("x"), tensor("x")])), "'part'", "takes a part that depends on values"),
        (after(operation("Sum", "sum", [tensor("x")], axis=1, odd=4)), "'sum'", "has `odd: 4`, which ops.sum cannot have"),
        (model([source(), source("h")], ["x", 0, 0], ["x", 0, 0]), "'h'", "'h' is none of the model's inputs"),
        (after(inner(layer("Conv1D", "c", {"filters": 1, "kernel_size": 9}, [tensor("a")])), call=1), "'c'", "rank-3 data"),
        (after(inner(NORM, inputs=[tensor("x")] * 2), call=1), "'look'", "has 1 input, and is called with 2"),
        (given(batch_shape=None), "'x'", "the input 'x' has no shape"),
        (given(dtype="complex64"), "'x'", "the input 'x' has the dtype complex64"),
        (given(ragged=True), "'x'", "the input 'x' is ragged"),
        (old_model(old("Add", "sum", [[["x", 0, 0, {}], ["_CONSTANT", -1]]])), "'sum'", "an input of 'sum' is not readable"),
    ],
)  # fmt: skip
def test_a_part_that_a_spec_cannot_have_is_said(tmp_path: Path, config: Any, place: str, said: str) -> None:
    found = problems(tmp_path, config)
    assert [path for _, path, message in found if place in path and said in message], found


CAT = layer("Concatenate", "cat", {"axis": 1}, [[tensor("drop"), tensor("a")]])
PARTS = (dense("d", [tensor("a")]), DROP, CAT)
WITHIN = inner(dense("d", [tensor("a")]), inputs=tensor("a")) | {"name": "within"}
LOOKED = layer("Embedding", "e", {"input_dim": 5, "output_dim": 2}, [tensor("f", shape=[None, 4])])
CELLS = [thing("LSTMCell", units=2), thing("GRUCell", units=3)]
WRITTEN_CELLS = [{"type": "LSTMCell", "units": 2}, {"type": "GRUCell", "units": 3}]
NESTED = [thing("Sequential", layers=[source("x"), dense("d")]), dense("e")]
MAE, NAMED_MAE = (thing(f"Mean{kind}Error", "keras.metrics", name="mae") for kind in ("Absolute", "Squared"))
DICT = model(
    [source("b"), source("a"), layer("Subtract", "s", {}, [[tensor("a"), tensor("b")]])],
    ["s", 0, 0],
    {"p": ["a", 0, 0], "q": ["b", 0, 0]},
)


@pytest.mark.parametrize(
    ("config", "entries", "note"),
    [
        (
            timed(inner(*PARTS)),
            {"d": {"layer": {"type": "Dense", "units": 4}}, "cat": {"axis": 2}, "drop": {"type": "Dropout", "rate": 0.5}},
            "",
        ),
        (timed(inner(*PARTS), trainable=False), {"steps": {"trainable": False}}, ""),
        (timed(inner(WITHIN)), {"within": {"block": "within"}, "d": {"layer": {"type": "Dense", "units": 4}}}, ""),
        (
            after(layer("ReLU", "f", {}, [tensor("x")]), LOOKED),
            {"e_ids": {"type": "ops.cast", "dtype": "int64", "inputs": "f"}, "e": {"inputs": "e_ids"}},
            "",
        ),
        (
            after(layer("BatchNormalization", "n", {}, ([tensor("x")], {"training": False}))),
            {"n": {"type": "BatchNormalization"}},
            "'n' is called with `training=False`, which Keras 3's `fit` ignores",
        ),
        (
            after(inner(NORM, training=False), call=1),
            {"look": {"block": "look"}},
            "the model 'look' is called with `training=False`, which Keras 3's `fit` ignores",
        ),
        (
            old_model(old_model(OLD_NORM, OLD_DROP) | {"inbound_nodes": [[["x", 0, 0, {"training": False}]]]}),
            {"norm": {"trainable": False}, "drop": None},
            "drop is left out",
        ),
        (
            model(
                [source("x"), source("y"), DICT | {"inbound_nodes": [{"args": [{"q": tensor("x"), "p": tensor("y")}]}]}],
                ["net", 1, 0],
                [["x", 0, 0], ["y", 0, 0]],
            ),
            {"net": {"inputs": ["y", "x"]}},
            "",
        ),
        (
            after(layer("RNN", "r", {"cell": thing("StackedRNNCells", cells=CELLS)}, [tensor("x")]), shape=STEPS),
            {"r": {"cell": {"type": "StackedRNNCells", "cells": WRITTEN_CELLS}}},
            "",
        ),
        (after(layer("ThresholdedReLU", "t", {"theta": 2.0}, [tensor("x")])), {"t": {"type": "ReLU", "threshold": 2.0}}, ""),
        (
            after(dense("d", [tensor("x")], kernel_initializer=thing("My", "my.code"))),
            {"d": {"kernel_initializer": None}},
            "the initializer My is left out",
        ),
        (after(layer("Normalization", "n", {"mean": [1.0], "variance": [2.0]}, [tensor("x")])), {"n": {"mean": [1.0]}}, ""),
        (given(sparse=True), {"d": {"inputs": "x"}}, "input 'x' is sparse in the file"),
        (given(), {"d": {"inputs": "x"}}, "input 'x' has a batch of 8 rows in the file"),
        (after(layer("Add", "s", {}, [{"b": tensor("x"), "a": 2.0}])), {"s": {"inputs": [2.0, "x"]}}, ""),
        (
            old_model(
                old("Reshape", "steps", [[["x", 0, 0, {}]]], target_shape=[2, 2]),
                old("InputLayer", "h", [], batch_input_shape=[None, 3]),
                old("GRU", "g", [[["steps", 0, 0, {}], ["h", 0, 0, {}]]], units=3),
                inputs=[["x", 0, 0], ["h", 0, 0]],
            ),
            {"g": {"inputs": "steps", "initial_state": ["h"]}},
            "",
        ),
        (
            old_model(old("TFOpLambda", "n", [["x", 0, 0, {"epsilon": 1e-12}]], function="math.l2_normalize")),
            {"n": {"type": "ops.normalize", "axis": -1}},
            "",
        ),
        (
            old_model(old("TFOpLambda", "s", [["_CONSTANT_VALUE", -1, 2.0, {"y": ["x", 0, 0]}]], function="math.subtract")),
            {"s": {"inputs": [2.0, "x"]}},
            "",
        ),
        (old_model(old("Add", "s", [{"b": ["x", 0, 0], "a": ["x", 0, 0]}])), {"s": {"inputs": ["x", "x"]}}, ""),
        (
            {"class_name": "Sequential", "config": [old("Dense", "d", [], units=3, batch_input_shape=[None, 4])]},
            {"d": {"units": 3}},
            "",
        ),
        (
            {"class_name": "Sequential", "config": {"layers": NESTED}},
            {"d": {"units": 4}, "e": {"units": 4}},
            "",
        ),
    ],
)  # fmt: skip
def test_a_part_is_written_as_a_spec_has_it(tmp_path: Path, config: Any, entries: dict[str, Any], note: str) -> None:
    found = imported(tmp_path, config)
    lists = [found.data["layers"], *(block["layers"] for block in found.data.get("blocks", {}).values())]
    written = {entry["name"]: entry for each in lists for entry in each}
    got = {
        name: written.get(name) and {key: written[name].get(key) for key in keys or ()}
        for name, keys in entries.items()
    }
    assert got == entries
    assert note in " ".join(found.notes)
    gs.compile(found.data)


def test_a_frozen_model_is_frozen_but_for_what_it_shares(tmp_path: Path) -> None:
    config = after(dense("d", [tensor("x")], [tensor("d")]), call=1)
    config["config"]["trainable"] = False
    found = imported(tmp_path, config).data["layers"]
    assert [(entry.get("trainable"), entry.get("share")) for entry in found] == [
        (False, None),
        (None, found[0]["name"]),
    ]


def optimizer(cls: str, module: str = "keras.optimizers", **config: Any) -> Config:
    return thing(cls, module, **config)


@pytest.mark.parametrize(
    ("compiled", "head", "trained", "note"),
    [
        (
            {"optimizer": optimizer("LossScaleOptimizer", inner_optimizer=optimizer("SGD")), "loss": "mse"},
            {"loss": "mse"},
            {"optimizer": {"type": "SGD"}},
            "the LossScaleOptimizer is left out: training is in float32",
        ),
        ({"optimizer": optimizer("LossScaleOptimizer"), "loss": "mse"}, {"loss": "mse"}, None, "the LossScaleOptimizer"),
        (
            {"optimizer": "mine", "loss": "my_loss", "metrics": ["mae"]},
            {},
            None,
            "the loss of head 'd' is left out: a spec has no loss 'my_loss'",
        ),
        ({"optimizer": "mine", "loss": 3}, {}, None, "the loss of head 'd' is left out: a spec has no loss 3"),
        ({"optimizer": "mine", "loss": "mse"}, {"loss": "mse"}, None, "a spec has no optimizer 'mine'"),
        ({"loss": "mse", "metrics": [None, "mae"]}, {"loss": "mse", "metrics": ["mae"]}, None, ""),
        (
            {"optimizer": optimizer("SGD", odd=5), "loss": "mse"},
            {"loss": "mse"},
            {"optimizer": {"type": "SGD"}},
            "the optimizer has `odd: 5`, which SGD cannot have; it is left out",
        ),
        (
            {"optimizer": optimizer("SGD", learning_rate=-1), "loss": "mse"},
            {"loss": "mse"},
            None,
            "the optimizer is left out: `learning_rate` of SGD in `training` must be >= 0, not -1",
        ),
        (
            {"loss": "ctc", "metrics": ["accuracy"], "loss_weights": 2.0},
            {},
            None,
            "loss of head 'd' left out: ctc of head 'd' needs values (batch, time, classes)",
        ),
        (
            {"loss": "mse", "metrics": ["mae", MAE, NAMED_MAE]},
            {"loss": "mse"},
            None,
            "metrics of head 'd' left out: metric 'mae' of head 'd' would be logged as 'mae'",
        ),
    ],
)  # fmt: skip
def test_what_it_was_compiled_with(
    tmp_path: Path, compiled: Config, head: Config, trained: Config | None, note: str
) -> None:
    found = imported(tmp_path, after(dense("d", [tensor("x")])) | {"compile_config": compiled})
    assert (found.data["outputs"], found.data.get("training")) == ({"d": head}, trained)
    assert note in " ".join(found.notes)


def test_a_model_without_a_shape_is_said(tmp_path: Path) -> None:
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [dense("d")]}}
    assert any("before its input had a shape" in message for _, _, message in problems(tmp_path, config))
    config["config"]["build_input_shape"] = [None, 3]
    assert imported(tmp_path, config).data["inputs"] == {"input": {"shape": [3]}}


def test_a_subclassed_model_is_code(tmp_path: Path) -> None:
    config = model([source(), dense("d", [tensor("x")])], ["d", 0, 0]) | {"class_name": "Mine", "module": "mine"}
    assert any("the class Mine, which is code" in message for _, _, message in problems(tmp_path, config))
