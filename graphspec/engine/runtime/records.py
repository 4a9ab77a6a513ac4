"""Schemas of the files in a run directory. Their size is limited, and they are checked before use."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from graphspec.base.config import Config, Natural
from graphspec.base.errors import Code, RunError
from graphspec.language.read import MAX_BYTES
from graphspec.language.tree import MAX_DEPTH

RESTORE = "restore it, or start again with --overwrite"
_MAX_FILE_BYTES = 4 * MAX_BYTES  # the indented JSON of a spec is longer than its source
_MAX_NAME = 80  # characters of a name in a message
R = TypeVar("R", bound="Record")
Step = Annotated[int, Field(ge=0, lt=2**53)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Record(Config):
    """The base of all schemas of run files; their numbers may be infinite or NaN."""

    model_config = ConfigDict(allow_inf_nan=True)


class Provenance(Record):
    """The keys of ``run.json`` that are read back; the others are for people."""

    model_config = ConfigDict(extra="ignore")

    workers: Annotated[int, Field(ge=1)]
    data_sha256: dict[str, str]
    plan: dict[str, Any] = Field(default_factory=dict)


class Sums(Record):
    """The losses and metrics of an epoch so far."""

    sums: dict[str, float]
    rows: Natural
    metrics: list[list[float]]


class Progress(Record):
    """A checkpoint's state: the progress of a run. A saved model has no ``totals``, ``history`` and ``callbacks``."""

    epoch: Natural
    batch: Natural
    step: Step
    learning_rate: Finite
    swapped: bool = False
    stopped: str | None
    totals: Sums | None = None
    history: dict[str, list[float]] | None = None
    callbacks: list[dict[str, Any]] | None = None


class Header(Record):
    """The metadata of a run's safetensors file."""

    format: int
    sha256: str  # the hash of the arrays
    seal: str | None = None  # the hash of all other attributes
    network: str | None = None  # network, run: hashes of the parts of the spec that the arrays belong to
    run: str | None = None
    written_by: str | None = None  # the name of the callback that wrote the file, if any
    state: dict[str, Any] | None = None
    adapted: dict[str, Any] | None = None  # what the network has learnt before its first step, if it learns


def damaged(path: Path, why: str, hint: str | None = RESTORE) -> RunError:
    """Return the error GS603 for a file of a run."""
    return RunError(Code.DAMAGED_RUN, f"{path} is damaged: {why}", hint)


def check(schema: type[R], values: Any, path: Path, hint: str = RESTORE) -> R:
    """Check ``values``, read from ``path``, against a schema; the first that does not match it is GS603 (RunError)."""
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise damaged(path, explain(error), hint) from None


def explain(error: ValidationError) -> str:
    """Return the first problem in values that do not match a schema."""
    first = error.errors(include_url=False)[0]
    path = ".".join(str(key) for key in first["loc"])
    text = first["msg"][:1].lower() + first["msg"][1:]
    return f"'{short(path)}': {text}" if path else text


def short(name: str) -> str:
    """Shorten a name for a message."""
    return name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}…"


def read_json(path: Path, hint: str = RESTORE) -> dict[str, Any]:
    """Read a mapping from a JSON file. GS603 (RunError): it is missing, not regular, too large or deep, or no mapping."""
    if not path.is_file():
        why = "is not a regular file" if path.exists() else "is missing"
        raise RunError(Code.DAMAGED_RUN, f"{path} {why}", hint)
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
        if len(data) > _MAX_FILE_BYTES:
            raise ValueError(f"it is larger than {_MAX_FILE_BYTES >> 20} MiB")
        return parse_json(data.decode())
    except (OSError, ValueError) as error:
        raise damaged(path, str(error), hint) from None


def parse_json(text: str) -> dict[str, Any]:
    """Parse a JSON mapping. Raises ValueError: it is something else, is nested too deep, or has a key twice."""
    try:
        content = json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError(f"it is deeper than {MAX_DEPTH} levels") from None
    if not isinstance(content, dict):
        raise ValueError("it is not a mapping")
    level: list[Any] = [content]
    for _ in range(MAX_DEPTH):
        parents = [value for value in level if isinstance(value, dict | list)]
        level = [child for value in parents for child in (value.values() if isinstance(value, dict) else value)]
        if not level:
            return content
    raise ValueError(f"it is deeper than {MAX_DEPTH} levels")


def _unique(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"it has the key '{short(twice)}' twice")
    return mapping
