"""What is read back from a run directory: of bounded size, and checked by a schema before anything is done with it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from graphspec.codes import Code
from graphspec.config import Config, Natural
from graphspec.errors import RunError
from graphspec.language.source import MAX_BYTES
from graphspec.language.tree import MAX_DEPTH

RESTORE = "restore it, or start again with --overwrite"
_LARGEST = 4 * MAX_BYTES  # indented JSON is longer than what was written by hand
_LONGEST = 80  # characters of a name that a message shows

R = TypeVar("R", bound="Record")
Step = Annotated[int, Field(ge=0, lt=2**53)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Record(Config):
    """Base of what a file of a run holds; numbers of a run may be infinite or NaN."""

    model_config = ConfigDict(allow_inf_nan=True)


class Provenance(Record):
    """What is read of ``run.json``; the rest is for people."""

    model_config = ConfigDict(extra="ignore")

    workers: Annotated[int, Field(ge=1)]
    data_sha256: dict[str, str]


class Sums(Record):
    """The totals of an epoch so far."""

    sums: dict[str, float]
    rows: Natural
    metrics: list[list[float]]


class Progress(Record):
    """A checkpoint's state: where a run is. That of a saved model has no course (``totals``, ``history``, ``callbacks``)."""

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
    """What a safetensors file of a run says of itself.

    Attributes:
        sha256: of the arrays.
        seal: a sha256 of all that stands here besides.
        network, run: hashes of the parts of the spec that the arrays belong to.
        written_by: ModelCheckpoint's mark.
    """

    format: int
    sha256: str
    seal: str | None = None
    network: str | None = None
    run: str | None = None
    written_by: str | None = None
    state: dict[str, Any] | None = None


def damaged(path: Path, why: str, hint: str | None = RESTORE) -> RunError:
    """GS603 for a file of a run."""
    return RunError(Code.DAMAGED_RUN, f"{path} is damaged: {why}", hint)


def check(schema: type[R], values: Any, path: Path, hint: str = RESTORE) -> R:
    """``values``, read from ``path``, as the schema has them.

    Raises:
        RunError: GS603 with the first value that does not fit.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise damaged(path, explain(error), hint) from None


def explain(error: ValidationError) -> str:
    """The first problem of values that do not fit a schema."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(key) for key in first["loc"])
    text = first["msg"][:1].lower() + first["msg"][1:]
    return f"'{short(place)}': {text}" if place else text


def short(name: str) -> str:
    """A name for a message, cut where it is long."""
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"


def read_json(path: Path, hint: str = RESTORE) -> dict[str, Any]:
    """The mapping in a JSON file of a run.

    Raises:
        RunError: GS603 if it is missing, no regular file, too large or too deep, or no JSON mapping.
    """
    if not path.is_file():
        why = "is no regular file" if path.exists() else "is missing"
        raise RunError(Code.DAMAGED_RUN, f"{path} {why}", hint)
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST >> 20} MiB")
        return parse_json(data.decode())
    except (OSError, ValueError) as error:
        raise damaged(path, str(error), hint) from None


def parse_json(text: str) -> dict[str, Any]:
    """The mapping that ``text`` is.

    Raises:
        ValueError: it is none, is too deep, or has a key twice.
    """
    try:
        content = json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(content, dict):
        raise ValueError("it is no mapping")
    level: list[Any] = [content]
    for _ in range(MAX_DEPTH):
        level = [child for value in level for child in _children(value)]
        if not level:
            return content
    raise ValueError(f"it is deeper than {MAX_DEPTH} levels")


def _children(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _unique(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"it has the key '{short(twice)}' twice")
    return found
