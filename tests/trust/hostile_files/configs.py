# ruff: noqa: E501 (a case is one line)
"""Hostile configurations of models of Keras, as ``model.to_json()`` writes them."""

from __future__ import annotations

import base64
import json
import marshal
from typing import Any

from trust.hostile_files.case import Table
from trust.hostile_files.keras_models import (
    DENSE,
    Place,
    after,
    base,
    changed,
    dense,
    functional,
    layer,
    sequential,
    start,
    tensor,
    text,
)

CONFIGS = Table("model.json", "GS801", "GS802")
INVALID, UNSUPPORTED = "GS801", "GS802"


def _code() -> str:
    """A function that makes a file, as Keras stores a Lambda."""
    return base64.b64encode(marshal.dumps(compile("__import__('os').mkdir('canary')", "<x>", "exec"))).decode()


def _texts() -> None:
    """Texts that are no JSON, or too much of it."""
    add, whole = CONFIGS.add, text(base())
    add("cut at 1", whole[:1], "", INVALID, "usage")
    for k in (20, len(whole) // 2, len(whole) - 1):
        add(f"cut at {k}", whole[:k], "JSON", INVALID)
    add("100,000 brackets", whole[:-1] + b', "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "levels", INVALID)
    add("300 levels", whole[:-1] + b', "x": ' + b"[" * 300 + b"]" * 300 + b"}", "levels", INVALID)
    add("a number of 5,000 digits", whole.replace(b'"units": 3', b'"units": ' + b"9" * 5000), "JSON", INVALID)
    add("a key twice", whole.replace(b'"units": 3', b'"units": 3, "units": 4'), "units", INVALID)
    add("a class twice", whole[:-1] + b', "class_name": "Sequential"}', "class_name", INVALID)
    add("UTF-16", json.dumps(base()).encode("utf-16"), "", INVALID, "usage")
    add("bytes that are no text", whole.replace(b"dense", b"d\xff\xfee"), "", INVALID)
    add("NaN", whole.replace(b'"units": 3', b'"units": NaN'), "")
    add("infinity", whole.replace(b'"units": 3', b'"units": -Infinity'), "")


def _structure() -> None:
    """Values of other types where the model's structure stands."""
    add = CONFIGS.add

    def at(name: str, place: Place, value: Any, words: str = "", *codes: str, sound: bool = False) -> None:
        add(name, text(changed(place, value)), words, *codes, sound=sound)

    odd: dict[str, Any] = {"null": None, "a number": 7, "a text": "x", "a list": [], "a mapping": {}, "true": True}
    layers = ("config", "layers")
    for name in ("null", "a number", "a text", "a mapping", "true"):
        at(f"layers: {name}", layers, odd[name], "layers", INVALID)
    at("layers: none", layers, [])
    at("layers: numbers", layers, [1, 2], "layers[0]", INVALID)
    at("layers: lists of lists", layers, [[[]]], "layers[0]", INVALID)
    for name in ("null", "a number", "a text", "true"):
        at(f"config: {name}", ("config",), odd[name], "config", INVALID)
    for name in ("null", "a number", "a list", "a mapping"):
        at(f"class of a layer: {name}", (*DENSE, "class_name"), odd[name], "layers[1]", INVALID)
    for name in ("a number", "a list", "a text"):
        at(f"config of a layer: {name}", (*DENSE, "config"), odd[name], "dense")
    for name in ("a number", "a text", "a mapping", "true"):
        at(f"calls: {name}", (*DENSE, "inbound_nodes"), odd[name], "dense", INVALID)
    at("calls: numbers", (*DENSE, "inbound_nodes"), [1], "dense", INVALID)
    at("calls: nothing", (*DENSE, "inbound_nodes"), [])
    for name in ("null", "a number", "a text", "true"):
        at(f"outputs: {name}", ("config", "output_layers"), odd[name], "output_layers", INVALID)
    at("outputs: numbers", ("config", "output_layers"), [[1, 2, 3]], "output_layers", INVALID)
    at("outputs: nothing", ("config", "output_layers"), [])
    at("inputs: nothing", ("config", "input_layers"), [])
    at("outputs: a layer that is not there", ("config", "output_layers"), [["nowhere", 0, 0]], "nowhere", INVALID)
    at("inputs: a layer that is not there", ("config", "input_layers"), [["nowhere", 0, 0]], "nowhere", INVALID)
    at("outputs: a call that is not there", ("config", "output_layers"), [["dense", 9, 0]], "call 9", INVALID)
    at("outputs: an output that is not there", ("config", "output_layers"), [["dense", 0, 9]], "dense")
    at("outputs: an output of 10^30", ("config", "output_layers"), [["dense", 0, 10**30]], "", INVALID)
    at("outputs: a negative call", ("config", "output_layers"), [["dense", -1, 0]], "", INVALID)
    at("a name that is a list", (*DENSE, "name"), ["dense"])
    at("a name that is a mapping", ("config", "name"), {"a": 1}, sound=True)
    add("no class", b'{"config": {"layers": []}}', "", INVALID)
    add("an empty chain", text(sequential()), "", INVALID)
    add("a chain without a shape", text(sequential(dense())), "shape", UNSUPPORTED)


def _graphs() -> None:
    """Calls that do not fit together."""
    add = CONFIGS.add
    cycle = functional(start(), dense("a", "b"), dense("b", "a"))
    add("layers that read each other", text(cycle), "")
    add("a layer that reads itself", text(functional(start(), dense("a", "a"))), "")
    add("a layer that is not there", text(functional(start(), dense("a", "nowhere"))), "nowhere", INVALID)
    add("an output that is not there", text(functional(start(), dense("a", tensor("x", 0, 5)))), "'a'")
    add("a call that is not there", text(functional(start(), dense("a", tensor("x", 3)))), "call 3", INVALID)
    add("a name twice", text(functional(start(), dense("a"), dense("a"))), "two layers 'a'", INVALID)
    add("two inputs of a name", text(functional(start(), start(), dense("a"))), "two layers 'x'", INVALID)
    add("no input", text(functional(dense("a", 1.0), dense("b", "a"))), "")
    add("a number for a tensor", text(functional(start(), dense("a", 7))), "")
    add("a text for a tensor", text(functional(start(), dense("a", {"class_name": "x"}))), "")
    add("too many tensors", text(functional(start(), dense("a", "x", "x", "x"))), "")
    shapes = functional(
        start((None, 4)),
        layer("Reshape", "r", "x", target_shape=[2, 2]),
        layer("Add", "one", [tensor("x"), tensor("r")]),
    )
    add("shapes that differ", text(shapes), "")
    inner = base()
    for k in range(60):
        inner = functional(
            start(name=f"x{k}"), inner | {"name": f"m{k}", "inbound_nodes": [{"args": [tensor(f"x{k}")], "kwargs": {}}]}
        )
    add("60 models in each other", text(inner), "")
    add("20,001 layers", lambda: text(changed(("config", "layers"), [{}] * 20_001)), "20,001 layers", INVALID)
    deep = functional(start(), dense("d0"), *(dense(f"d{k}", f"d{k - 1}", units=2) for k in range(1, 60)))
    deep["config"]["layers"][-1]["class_name"] = "Nothing"
    add("60 layers and one that is unknown", text(deep), "Nothing", UNSUPPORTED)


def _code_in_files() -> None:
    """What would be code."""
    add = CONFIGS.add

    def at(name: str, place: Place, value: Any, words: str, *codes: str, sound: bool = False) -> None:
        add(name, text(changed(place, value)), words, *codes, sound=sound)

    function = {"class_name": "__lambda__", "config": {"code": _code(), "defaults": None, "closure": None}}
    add("a Lambda", text(after("Lambda", function=function, arguments={})), "one", UNSUPPORTED)
    add(
        "a Lambda of Keras 2",
        text(after("Lambda", function=[_code(), None, None], function_type="lambda")),
        "one",
        UNSUPPORTED,
    )
    add("a Lambda by name", text(after("Lambda", function="os.system", function_type="function")), "one", UNSUPPORTED)
    at("a custom class", DENSE, layer("Evil", "dense", "x", module="evil") | {"registered_name": "evil>Evil"}, "Evil")
    at("the module os", DENSE, layer("system", "dense", "x", module="os"), "system", UNSUPPORTED)
    at("the module builtins", DENSE, layer("eval", "dense", "x", module="builtins"), "eval", UNSUPPORTED)
    at("__import__ as a class", (*DENSE, "class_name"), "__import__", "__import__", UNSUPPORTED)
    at("a class with dots", (*DENSE, "class_name"), "os.system", "os.system", UNSUPPORTED)
    at("a class of paths", (*DENSE, "class_name"), "../../evil", "evil", UNSUPPORTED)
    at("another module of a known class", (*DENSE, "module"), "os", "not one of Keras's but code", UNSUPPORTED)
    at(
        "a registered name of a known class",
        (*DENSE, "registered_name"),
        "evil>Dense",
        "it can be imported",
        sound=True,
    )
    at("an activation that is code", (*DENSE, "config", "activation"), function, "dense", UNSUPPORTED)
    at(
        "an activation of a module",
        (*DENSE, "config", "activation"),
        {"module": "os", "class_name": "system", "config": {}},
        "dense",
    )
    at("an activation that is unknown", (*DENSE, "config", "activation"), "nonsense", "nonsense", UNSUPPORTED)
    at("an activation that is a number", (*DENSE, "config", "activation"), 7, "dense")
    at("an activation that is a list", (*DENSE, "config", "activation"), [[]], "dense")
    regularizer = {"module": "evil", "class_name": "Evil", "config": {}, "registered_name": "evil>Evil"}
    at("a regularizer of somebody", (*DENSE, "config", "kernel_regularizer"), regularizer, "Evil", UNSUPPORTED)
    at(
        "a constraint that is unknown",
        (*DENSE, "config", "kernel_constraint"),
        {"class_name": "Nothing", "config": {}},
        "Nothing",
    )
    at("a constraint that is a text", (*DENSE, "config", "bias_constraint"), "__import__", "dense")
    add(
        "a model that is a class",
        text(base() | {"class_name": "MyModel", "registered_name": "evil>MyModel", "config": {}}),
        "",
    )
    add(
        "a loss that is code",
        text(base() | {"compile_config": {"loss": function, "optimizer": "sgd"}}),
        "",
        UNSUPPORTED,
        sound=True,
    )
    cell = {"module": "evil", "class_name": "Evil", "config": {"units": 3}, "registered_name": "evil>Evil"}
    add("a cell of somebody", text(after("RNN", (None, 5, 4), cell=cell)), "Evil")
    inside = {"module": "evil", "class_name": "Evil", "config": {"name": "evil"}, "registered_name": "evil>Evil"}
    add("a wrapper of somebody's", text(after("TimeDistributed", (None, 5, 4), layer=inside)), "Evil")
    add("a wrapper of nothing", text(after("TimeDistributed", (None, 5, 4))), "one")
    add("a wrapper of a number", text(after("Bidirectional", (None, 5, 4), layer=7)), "one")
    add(
        "an operation of os",
        text(functional(start(), layer("System", "one", "x", module="os.path"))),
        "one",
        UNSUPPORTED,
    )
    add(
        "an operation that is unknown",
        text(functional(start(), layer("Evil", "one", "x", module="keras.src.ops.numpy"))),
        "Evil",
    )


def _arguments() -> None:
    """Numbers and names in layers that cannot be."""
    add = CONFIGS.add
    units: dict[str, Any] = {
        "-1": -1, "0": 0, "10^30": 10**30, "a text": "3", "null": None, "1.5": 1.5, "true": True, "a list": [3], "a mapping": {},
    }  # fmt: skip
    for name, value in units.items():
        add(f"units: {name}", text(functional(start(), dense(units=value))), "dense")
    add("10^9 units", text(functional(start(), dense(units=10**9), dense("b", "dense", units=10**9))), "", sound=True)
    add("a shape that is a text", text(functional(start("wide"), dense())), "x")
    add("a shape that is a number", text(functional(start(4), dense())), "x")
    add("a shape of nothing", text(functional(start([]), dense())), "x")
    add("a shape of texts", text(functional(start([None, "4"]), dense())), "x")
    add("a shape of negative numbers", text(functional(start([None, -4]), dense())), "x")
    add("a shape of 10^30", text(functional(start([None, 10**30]), dense())), "x")
    add("a shape of 100 axes", text(functional(start([None, *[1] * 100]), dense())), "")
    add("a dtype that is unknown", text(functional(start(dtype="float7"), dense())), "float7")
    add("a dtype that is a list", text(functional(start(dtype=["float32"]), dense())), "x")
    add(
        "a policy that is unknown",
        text(changed((*DENSE, "config", "dtype"), {"class_name": "Evil", "config": {"name": "x"}})),
        "dense",
        sound=True,
    )
    add(
        "quantized",
        text(changed((*DENSE, "config", "dtype"), {"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8"}})),
        "",
    )
    add("a kernel of nothing", text(after("Conv1D", (None, 9, 4), filters=3, kernel_size=0)), "one")
    add("a kernel that is larger", text(after("Conv1D", (None, 9, 4), filters=3, kernel_size=10**6)), "one")
    add("strides of 0", text(after("Conv1D", (None, 9, 4), filters=3, kernel_size=3, strides=0)), "one")
    add("groups that do not divide", text(after("Conv1D", (None, 9, 4), filters=3, kernel_size=3, groups=7)), "one")
    add(
        "a padding that is unknown",
        text(after("Conv1D", (None, 9, 4), filters=3, kernel_size=3, padding="evil")),
        "one",
    )
    add("a rate of 2", text(after("Dropout", rate=2.0)), "one")
    add("an axis beyond", text(after("Softmax", axis=9)), "one")
    add("another size", text(after("Reshape", target_shape=[5])), "one")
    add("sizes of 10^9", text(after("Reshape", target_shape=[10**9, -1, -1])), "one")
    add("10^9 repeats", text(after("RepeatVector", n=10**9)), "", sound=True)
    add("an embedding of 10^15", text(after("Embedding", (None, 4), input_dim=10**15, output_dim=10**6)), "")
    add("words in /etc/passwd", text(after("StringLookup", (None, 1), vocabulary="/etc/passwd")), "one")
    add("words that are numbers", text(after("StringLookup", (None, 1), vocabulary=[1, 2])), "")
    add("a key that no layer has", text(functional(start(), dense(__class__="os.system"))), "__class__")
    add("a key of another layer", text(functional(start(), dense(filters=3))), "filters")


_texts()
_structure()
_graphs()
_code_in_files()
_arguments()
