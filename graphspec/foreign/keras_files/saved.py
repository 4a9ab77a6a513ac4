"""Open what Keras saved: a ``.keras`` archive, an ``.h5`` file, or a configuration alone as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphspec.base.errors import SpecError, UsageError
from graphspec.foreign.keras_files.archive import Archive
from graphspec.foreign.keras_files.hdf5 import MAGIC, Hdf5
from graphspec.foreign.keras_files.json_text import MAX_TEXT, parse_json
from graphspec.foreign.keras_files.new_weights import NewWeights
from graphspec.foreign.keras_files.old_weights import OldWeights
from graphspec.foreign.keras_files.problems import Problems
from graphspec.foreign.keras_files.weights import WeightSource

CONFIG, WEIGHTS, METADATA, KEY = "config.json", "model.weights.h5", "metadata.json", "keras_version"
_MAX_ASSET = 64 << 20
_MAX_VERSION = 40


def _no_asset(_: str) -> str | None:
    return None


@dataclass
class Saved:
    """A saved model.

    Attributes:
        config: the configuration of the model.
        place: what messages call it.
        training: with what the model was compiled; None if it was not.
        weights: None for a configuration alone.
        asset: the text of a file in the archive's ``assets``, by its path there; None if there is none.
        names: the names of the entries of the archive.
        version: the version of Keras that saved it; empty if it is not known.
        file: the file with the weights; None for a configuration alone.
    """

    config: Any
    place: str
    training: Any = None
    weights: WeightSource | None = None
    asset: Callable[[str], str | None] = _no_asset
    names: tuple[str, ...] = ()
    version: str = ""
    file: Hdf5 | None = None


@contextmanager
def opened(path: Path, problems: Problems) -> Iterator[Saved]:
    """Open a file by its content, whatever its name.

    Raises:
        UsageError: it cannot be opened, or pyfive is not installed.
        SpecError: GS801, GS802.
    """
    if path.is_dir():
        if (path / "saved_model.pb").exists():
            text = "a SavedModel is a graph of TensorFlow with its code, and not the layers of a model"
            problems.unsupported("", text, "load it with Keras 2, and save it as `.keras` or `.h5`")
            raise SpecError(problems.found)
        raise UsageError(f"{path} is a folder, not a file of Keras's")
    if path.exists() and not path.is_file():  # a pipe has no end
        raise UsageError(f"{path} is not a regular file")
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    if start.startswith(b"PK"):
        with Archive(path, problems) as archive:
            yield from _archive(archive, problems)
    elif start == MAGIC:
        yield from _hdf5(path, problems)
    else:
        yield _json(path, problems)


def _archive(archive: Archive, problems: Problems) -> Iterator[Saved]:
    if CONFIG not in archive:
        hint = "it needs `config.json` and `model.weights.h5`: save the model with `model.save('net.keras')`"
        raise problems.fail("", "it is a ZIP archive, but no model that Keras saved", hint)
    config = parse_json(archive.read(CONFIG, MAX_TEXT), CONFIG, problems)
    training = config.get("compile_config") if isinstance(config, dict) else None

    def asset(name: str) -> str | None:
        if name not in archive:
            return None
        try:
            return archive.read(name, _MAX_ASSET).decode("utf-8")
        except UnicodeDecodeError:
            raise problems.fail(name, f"{name} is no text in UTF-8") from None

    metadata = parse_json(archive.read(METADATA, MAX_TEXT), METADATA, problems) if METADATA in archive else None
    saved = Saved(config, CONFIG, training, None, asset, tuple(archive.names), _version(metadata))
    if WEIGHTS not in archive:
        if any(name.endswith(".weights.h5") for name in archive.names):
            text = "the weights are in several files"
            problems.unsupported(WEIGHTS, text, "save the model again without `max_shard_size`")
            raise SpecError(problems.found)
        raise problems.fail(WEIGHTS, f"the archive has no {WEIGHTS}")
    file = Hdf5(archive.open(WEIGHTS), WEIGHTS, problems)
    try:
        saved.weights, saved.file = NewWeights(file), file
        yield saved
    finally:
        file.close()


def _hdf5(path: Path, problems: Problems) -> Iterator[Saved]:
    file = Hdf5(path.open("rb"), path.name, problems)
    try:
        text = file.attribute(file.root, "model_config", path.name)
        if not isinstance(text, str):
            hint = "it has weights alone: save the whole model with `model.save`, or `model.to_json()` beside it"
            problems.unsupported("", "the file has no configuration of a model", hint)
            raise SpecError(problems.found)
        config = parse_json(text, "model_config", problems)
        trained = file.attribute(file.root, "training_config", path.name)
        training = parse_json(trained, "training_config", problems) if isinstance(trained, str) else None
        group = file.find(file.root, "model_weights")
        saved = Saved(config, "model_config", training, OldWeights(file, file.root if group is None else group))
        saved.version, saved.file = _version({KEY: file.attribute(file.root, KEY, path.name)}), file
        yield saved
    finally:
        file.close()


def _json(path: Path, problems: Problems) -> Saved:
    with path.open("rb") as file:
        text = file.read(min(path.stat().st_size, MAX_TEXT) + 1)
    if not text.lstrip().startswith(b"{"):
        hint = "Keras saves `.keras` and `.h5` files; `model.to_json()` is the network alone"
        raise problems.fail("", "it is neither an archive, nor HDF5, nor JSON: no model that Keras saved", hint)
    config = parse_json(text, path.name, problems)
    training = config.get("compile_config") if isinstance(config, dict) else None
    return Saved(config, path.name, training, version=_version(config))


def _version(record: Any) -> str:
    """Return the version of Keras that a record names."""
    found = record.get(KEY) if isinstance(record, dict) else None
    return found[:_MAX_VERSION] if isinstance(found, str) else ""
