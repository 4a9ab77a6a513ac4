"""What a file is: an ONNX file, a model of Keras, or weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from graphspec.base.files import is_regular
from graphspec.foreign.inspecting.weight_file import SUFFIXES

Kind = Literal["keras", "weights"]
_KERAS = (".keras", ".h5", ".hdf5")
_BEGINNING = 1 << 16  # bytes of a JSON text that are looked at


def kind_of(path: Path) -> Kind | None:
    """Return what a file of another program is, by its suffix, and of a JSON text by its keys; None for anything else."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return "weights"
    if suffix in _KERAS or (suffix == ".json" and is_regular(path) and _is_model(path)):
        return "keras"
    return None


def _is_model(path: Path) -> bool:
    """Return whether a JSON text begins like a configuration of Keras, with a key ``class_name`` or ``config``."""
    try:
        with path.open("rb") as file:
            text = file.read(_BEGINNING).decode(errors="replace")
    except (OSError, ValueError):
        return False
    at = text.find("{")
    if at < 0 or text[:at].strip(" \t\r\n\ufeff"):
        return False
    try:
        key, _ = json.JSONDecoder().raw_decode(text[at + 1 :].lstrip(" \t\r\n"))
    except (ValueError, RecursionError):
        return False
    return key in ("class_name", "config", "module", "registered_name", "keras_version", "backend")
