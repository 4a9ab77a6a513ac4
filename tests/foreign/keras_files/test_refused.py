"""What a file of Keras's may have that a spec cannot: each row of the page's table is refused, with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from paths import ROOT

from graphspec.base.errors import SpecError
from graphspec.foreign.keras_files.convert import convert


def saved(
    kind: str, module: str = "keras.layers", shape: Any = (4, 3), compiled: Any = None, **config: Any
) -> dict[str, Any]:
    """A functional model of one layer, as `to_json` writes it."""
    tensor = {
        "class_name": "__keras_tensor__",
        "config": {"shape": [None, *shape], "dtype": "float32", "keras_history": ["x", 0, 0]},
    }
    name = config.setdefault("name", "node")
    layers = [
        {
            "module": "keras.layers",
            "class_name": "InputLayer",
            "config": {"batch_shape": [None, *shape], "dtype": "float32", "name": "x"},
            "registered_name": None,
            "name": "x",
            "inbound_nodes": [],
        },
        {
            "module": module,
            "class_name": kind,
            "config": config,
            "registered_name": None if module.startswith("keras") else f"{module}>{kind}",
            "name": name,
            "inbound_nodes": [{"args": [tensor], "kwargs": {}}],
        },
    ]
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [[name, 0, 0]]}
    found = {"module": "keras.src.models.functional", "class_name": "Functional", "registered_name": "Functional"}
    return {**found, "config": {"name": "net", "trainable": True, "layers": layers, **ends}, "compile_config": compiled}


def own(kind: str) -> dict[str, Any]:
    return {"module": "builtins", "class_name": "function", "config": kind, "registered_name": kind}


CODE = {"class_name": "__lambda__", "config": {"code": "4wEAAAAA", "defaults": None, "closure": None}}
REFUSED = {
    "`Lambda`": (saved("Lambda", function=CODE), "is Python code"),
    "your own layers": (saved("Patches", module="my_package", size=2), "not one of Keras's"),
    "subclassed models": (
        {"module": "my_package", "class_name": "Net", "config": {}, "registered_name": "my_package>Net"},
        "Net",
    ),
    "`stateful=True`": (saved("LSTM", units=2, stateful=True), "stateful"),
    "`Hashing`, `HashedCrossing`": (saved("Hashing", shape=(1,), num_bins=5), "hashes"),
    "`ConvLSTM` over a varying number of steps": (
        saved("ConvLSTM1D", shape=(None, 5, 1), filters=2, kernel_size=2),
        "number of steps varies",
    ),
    "quantized layers": (
        saved(
            "Dense",
            units=2,
            dtype={
                "module": "keras",
                "class_name": "QuantizedDTypePolicy",
                "config": {"mode": "int8", "source_name": None},
            },
        ),
        "quantized",
    ),
    "your own activation": (saved("Dense", units=2, activation=own("mine")), "mine"),
    "layers that a spec does not have": (saved("RandomHue", shape=(4, 4, 3), factor=0.1), "RandomHue"),
    "operations that a spec does not have": (
        saved("Unique", module="keras.src.ops.numpy"),
        "unique",
    ),
}


@pytest.mark.parametrize("row", REFUSED)
def test_what_the_page_says_is_refused(row: str, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "from-keras.md").read_text("utf-8")
    table = page.split("## What is not imported")[1].split("##")[0]
    assert {line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[6:] if line} == {*REFUSED}
    config, said = REFUSED[row]
    path = tmp_path / "net.json"
    path.write_text(json.dumps(config), "utf-8")
    with pytest.raises(SpecError) as caught:
        convert(path)
    assert {d.code for d in caught.value.diagnostics} == {"GS802"}
    assert said in " ".join(d.message for d in caught.value.diagnostics)
    assert all(d.path for d in caught.value.diagnostics)
    assert all(d.hint for d in caught.value.diagnostics)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    config = saved("Lambda", function=CODE)
    layers = config["config"]["layers"]
    layers.append({**saved("LSTM", units=2, stateful=True, name="read")["config"]["layers"][1]})
    path = tmp_path / "net.json"
    path.write_text(json.dumps(config), "utf-8")
    with pytest.raises(SpecError) as caught:
        convert(path)
    assert len(caught.value.diagnostics) == 2


def test_a_loss_that_is_code_is_left_out_with_a_note(tmp_path: Path) -> None:
    compiled = {"optimizer": "adam", "loss": own("my_loss"), "metrics": [own("my_metric"), "mae"]}
    path = tmp_path / "net.json"
    path.write_text(json.dumps(saved("Dense", units=2, compiled=compiled)), "utf-8")
    found = convert(path)
    assert "loss" not in found.data["outputs"]["node"]
    assert any("my_loss" in note for note in found.notes)
