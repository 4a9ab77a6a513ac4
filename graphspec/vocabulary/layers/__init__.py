"""The vocabulary of layers, by family; `keras_names.json` has the names of operations, and those that a spec cannot have."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from graphspec.vocabulary.layers.layer import CELLS, LAYERS, Layer

# Of a family its names, of what is refused rows of names, reason and replacement.
_WORDS = json.loads(Path(__file__).with_name("keras_names.json").read_text(encoding="utf-8"))


def _name(name: str) -> str:
    return name if name[0].isupper() else f"ops.{name}"


def _refused(section: str) -> dict[str, tuple[str, str]]:
    return {
        name: (reason.replace("<name>", name), hint.replace("<name>", name))
        for names, reason, hint in _WORDS[section]
        for name in names.split()
    }


LAYERS.found_in(__name__)
OPERATIONS: dict[str, str] = {key: " ".join(map(_name, names.split())) for key, names in _WORDS["operations"].items()}
LAYERS.found_in("graphspec.vocabulary.operations", OPERATIONS)
LAYERS.found_in("graphspec.vocabulary.onnx_files", {"layer": "Onnx"})
LAYERS.made_by("graphspec.vocabulary.operations.onnx_operators", "onnx")
CELLS.found_in(__name__, {"cells": "SimpleRNNCell GRUCell LSTMCell StackedRNNCells"})

LAYERS.refused |= _refused("refused_layers")
LAYERS.refused |= {_name(name): reason for name, reason in _refused("refused_operations").items()}
CELLS.refused |= _refused("refused_cells")


__all__ = ["CELLS", "LAYERS", "Layer"]
__all__ += dict.fromkeys(LAYERS.public() + CELLS.public())  # cells are layers, too
__dir__ = partial(sorted, __all__)


def __getattr__(name: str) -> Any:
    """Import a class when it is first used."""
    return (CELLS if name in CELLS.names() else LAYERS).attribute(__name__, name)
