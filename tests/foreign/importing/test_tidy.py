"""Plain data become what a person would write, and stay the same network with the same weights."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from paths import ROOT
from plain_specs import plain_spec, random_network

from graphspec.base.errors import GivenText
from graphspec.engine.compiler.check import check
from graphspec.foreign.importing.importer import difference
from graphspec.foreign.importing.tidy import Tidied, rounded, tidy
from graphspec.language.names import snake_case
from graphspec.language.write import write_yaml


def tidied(data: dict[str, Any]) -> tuple[Tidied, str]:
    """The readable spec and its text; it has the graph of ``data``."""
    plain = check(deepcopy(data)).require()[1]
    found = tidy(deepcopy(data))
    text = write_yaml(found.data)
    graph = check(GivenText("net.yaml", text)).require()[1].graph
    assert difference(plain.graph, graph, found.weight) is None
    return found, text


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_stay_the_same(seed: int) -> None:
    tidied(random_network(seed))


@pytest.mark.parametrize(
    ("name", "lines", "automatic"),
    [("resnet50", 70, True), ("mobilenet_v2", 80, False), ("transformer_encoder", 42, False)],
)
@pytest.mark.slow
def test_what_a_network_repeats_is_found_again(name: str, lines: int, automatic: bool) -> None:
    """In about as many lines as a person needs, not in the hundreds that the plain form has."""
    data = plain_spec(ROOT / "specs" / "architectures" / f"{name}.yaml", automatic=automatic)
    found, text = tidied(data)
    assert text.count("\n") <= lines
    assert found.data["blocks"]


def dense(name: str, inputs: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "Dense", "units": 8, "activation": "relu", "inputs": [inputs], **more}


def network(*layers: dict[str, Any], **more: Any) -> dict[str, Any]:
    end = {"name": "y", "type": "Dense", "units": 1, "activation": "linear", "inputs": [layers[-1]["name"]]}
    data = {"graphspec": 1, "name": "net", "inputs": {"x": {"shape": [8]}}, "layers": [*layers, end]}
    return data | {"outputs": {"y": {"loss": {"type": "MeanSquaredError"}}}} | more


def test_a_small_network_is_a_list_of_nodes() -> None:
    layers = [dense("first", "x"), {"name": "drop", "type": "Dropout", "rate": 0.5, "seed": None, "inputs": ["first"]}]
    found, text = tidied(network(*layers, dense("both", "drop", use_bias=True, trainable=False)))
    assert found.renamed == {}
    assert text.partition("layers:\n")[2] == (
        "  - {name: first, type: Dense, units: 8, activation: relu}\n"
        "  - {name: drop, type: Dropout, rate: 0.5}\n"
        "  - {name: both, type: Dense, units: 8, activation: relu, trainable: false}\n"
        '  - {name: "y", type: Dense, units: 1}\n'
        "\n"
        "outputs:\n"
        '  "y": {loss: mean_squared_error}\n'
    )


def test_equal_nodes_in_a_row_are_a_repeat_if_keras_has_named_them() -> None:
    found, text = tidied(network(*(dense(f"dense_{k}", f"dense_{k - 1}" if k else "x") for k in range(4))))
    assert "  - {name: dense, type: Dense, units: 8, activation: relu, repeat: 4}\n" in text
    assert found.weight("dense_0/kernel") == "dense_1/kernel"
    assert found.weight("dense_3/bias") == "dense_4/bias"
    _, text = tidied(network(*(dense(name, above) for name, above in (("a", "x"), ("b", "a"), ("c", "b")))))
    assert "repeat" not in text


def residual(unit: int, inputs: str, units: int = 16) -> list[dict[str, Any]]:
    a, b, c, d = (f"stage_{unit}_{end}" for end in ("norm", "wide", "thin", "sum"))
    return [
        {"name": a, "type": "LayerNormalization", "axis": [-1], "inputs": [inputs]},
        dense(b, a, units=units),
        dense(c, b, activation="linear"),
        {"name": d, "type": "Add", "inputs": [inputs, c]},
    ]


def test_repeated_parts_are_blocks_with_their_own_names() -> None:
    units = (16, 16, 32, 32, 32)
    layers = [n for k, size in enumerate(units) for n in residual(k + 1, f"stage_{k}_sum" if k else "x", size)]
    found, _ = tidied(network(*layers))
    assert found.data["blocks"] == {
        "stage": {
            "params": {"units": 32},
            "inputs": ["x"],
            "layers": [
                {"name": "norm", "type": "LayerNormalization", "inputs": "x"},
                {"name": "wide", "type": "Dense", "units": "${units}", "activation": "relu"},
                {"name": "thin", "type": "Dense", "units": 8},
                {"name": "sum", "type": "Add", "inputs": ["x", "thin"]},
            ],
            "outputs": ["sum"],
        }
    }
    assert found.data["layers"][:2] == [
        {"name": "stage", "block": "stage", "params": {"units": 16}, "repeat": 2},
        {"name": "stage_3", "block": "stage", "repeat": 3},
    ]
    assert found.weight("stage_4_wide/kernel") == "stage_3_2/wide/kernel"


def test_a_node_that_a_head_reads_keeps_its_name() -> None:
    layers = [n for k in range(4) for n in residual(k + 1, f"stage_{k}_sum" if k else "x")]
    heads = {"y": {"loss": "mse"}, "seen": {"layer": "stage_2_thin"}}
    found, _ = tidied(network(*layers, outputs=heads))
    assert any(entry["name"] == "stage_2_thin" for entry in found.data["layers"])


def test_blocks_of_a_nested_model_stay_and_are_shared() -> None:
    inner = {
        "inputs": ["x"],
        "layers": [dense("one", "x"), dense("two", "one", activation="linear")],
        "outputs": ["two"],
    }
    first = {"name": "left", "block": "encoder", "inputs": ["x"]}
    second = {"name": "right", "share": "left", "inputs": ["left"]}
    found, text = tidied(network(first, second, blocks={"encoder": inner}))
    assert found.data["layers"][:2] == [{"name": "left", "block": "encoder"}, {"name": "right", "share": "left"}]
    assert "      - {name: one, type: Dense, units: 8, activation: relu}\n" in text


def test_long_values_become_variables() -> None:
    uniform = {"type": "VarianceScaling", "scale": 0.5, "mode": "fan_out", "distribution": "uniform", "seed": None}
    names = ("a", "b", "c")
    layers = [dense(n, ("x", *names)[k], units=8 + k, kernel_initializer=uniform) for k, n in enumerate(names)]
    found, _ = tidied(network(*layers))
    assert found.data["vars"] == {"variance_scaling": {k: v for k, v in uniform.items() if k != "seed"}}
    assert {entry.get("kernel_initializer") for entry in found.data["layers"]} == {"${variance_scaling}", None}


Step = tuple[str, dict[str, Any]]
DENSE: Step = ("Dense", {"units": 8})
NORM: Step = ("LayerNormalization", {})
RELU: Step = ("ReLU", {})
DROP: Step = ("Dropout", {"rate": 0.5})
SKIP: Step = ("Add", {"inputs": ["<", ""]})
GATE: Step = ("Multiply", {"inputs": ["<", ""]})
ATTEND: Step = ("MultiHeadAttention", {"num_heads": 2, "key_dim": 4, "inputs": ["", ""]})
CONV = {"filters": 4, "kernel_size": 3, "padding": "same"}


def repeated(copies: int, *motif: Step) -> list[dict[str, Any]]:
    """Copies of a chain with the names that Keras gives. `<` is the chain's input; a function is called with the copy."""
    layers: list[dict[str, Any]] = []
    for copy in range(copies):
        start = above = layers[-1]["name"] if layers else "x"
        for kind, options in motif:
            entry = {"inputs": [above]} | {k: v(copy) if callable(v) else v for k, v in options.items()}
            entry["inputs"] = [start if name == "<" else above if name == "" else name for name in entry["inputs"]]
            same = sum(other["type"] == kind for other in layers)
            above = f"{snake_case(kind)}_{same}" if same else snake_case(kind)
            layers.append({"name": above, "type": kind} | entry)
    return layers


@pytest.mark.parametrize(
    ("shape", "layers", "block", "first"),
    [
        ([8], repeated(4, DENSE, NORM, RELU, SKIP), "residual", {"repeat": 3}),
        ([8], repeated(4, DENSE, NORM, ("Add", {"inputs": ["", 2.0]}), GATE), "gated", {"repeat": 3}),
        ([6, 8], repeated(5, ATTEND, NORM, SKIP, DENSE, RELU, DENSE), "transformer", {"repeat": 4}),
        ([32, 32, 4], repeated(4, ("Conv2D", CONV | {"strides": 2}), NORM, RELU, DROP), "down", {"repeat": 3}),
        (  # one size of two is a parameter
            [9, 9, 4],
            repeated(9, ("Conv2D", CONV | {"kernel_size": lambda k: [3, 1 if k < 3 else 5]}), NORM, RELU, DROP),
            "conv_norm_relu",
            {"params": {"kernel_size": 1}, "repeat": 3},
        ),
    ],
)
def test_blocks_are_called_what_they_do(shape: Any, layers: Any, block: str, first: dict[str, Any]) -> None:
    heads = {"y": {"layer": layers[-1]["name"]}}
    found, _ = tidied(
        {"graphspec": 1, "name": "n", "inputs": {"x": {"shape": shape}}, "layers": layers, "outputs": heads}
    )
    assert [*found.data["blocks"]] == [block]
    entry = found.data["layers"][0]
    assert {key: entry.get(key) for key in ("block", *first)} == {"block": block, **first}


def test_numbers_of_float32_are_short_again() -> None:
    assert rounded({"learning_rate": 0.0010000000474974513, "decay": [0.1, 1e-7]}) == {
        "learning_rate": 0.001,
        "decay": [0.1, 1e-7],
    }
