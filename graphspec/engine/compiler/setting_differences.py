"""What differs between two specs or runs beside their networks: training, data, and what layers have learnt."""

from __future__ import annotations

import filecmp
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from graphspec.engine.compiler.adapted import Adapted
from graphspec.engine.compiler.plain_values import Change, changes, plain
from graphspec.language.declarations import DataSource, Spec

_ROWS = ("file", "images", "texts")
_NOT_COMPARED = frozenset((*_ROWS, "tree", "folder", "beside", "allow"))
_APART = ("tree", "initial_weights")
_MAX_COMPARED = 1 << 28  # bytes of data files of two places whose content is compared
_MAX_LISTED = 10  # new and missing words of a vocabulary


def training_differences(old: Spec, new: Spec) -> list[Change]:
    """Compare how two networks are trained."""
    return changes(_settings(old.training) | _initial(old), _settings(new.training) | _initial(new))


def _initial(spec: Spec) -> dict[str, Any]:
    """Return the files of initial weights as a spec writes them, by key: ``initial_weights``, ``hidden.weights``."""
    return {f"{f.node}.weights" if f.node else "initial_weights": f.written() for f in spec.weight_files}


def _settings(record: Any) -> dict[str, Any]:
    return {f.name: plain(getattr(record, f.name)) for f in fields(record) if f.name not in _APART}


def data_differences(old: Spec, new: Spec) -> list[Change]:
    """Compare the sources of rows. A file is the same if its place or its content is; for an ONNX file, if its name is."""
    found: list[Change] = []
    only_names = old.base is None or new.base is None
    for part in dict.fromkeys((*old.data, *new.data)):
        a, b = old.data.get(part), new.data.get(part)
        if a is None or b is None:
            found.append(Change(part, *(None if source is None else _written(source) for source in (a, b))))
            continue
        for key in _ROWS:
            names: list[Path | None] = [getattr(source, key) for source in (a, b)]
            if not _same_rows(names[0], names[1], only_names=only_names):
                found.append(Change(f"{part}.{key}", *(None if name is None else str(name) for name in names)))
        found += changes(_source(a), _source(b), part)
    return found


def _source(source: DataSource) -> dict[str, Any]:
    settings = {f.name: getattr(source, f.name) for f in fields(source) if f.name not in _NOT_COMPARED}
    windows = settings.pop("windows")
    plain_settings = {key: plain(value) for key, value in settings.items()}
    return plain_settings | {"windows": None if windows is None else _settings(windows)}


def _written(source: DataSource) -> dict[str, Any]:
    rows = {key: str(path) for key in _ROWS if (path := getattr(source, key)) is not None}
    return rows | {k: v for k, v in _source(source).items() if v not in (None, False, ".")}


def _same_rows(old: Path | None, new: Path | None, *, only_names: bool) -> bool:
    if old is None or new is None:
        return old is new
    if only_names:
        return old.name == new.name
    if old.resolve() == new.resolve():
        return True
    try:
        sizes = {old.stat().st_size, new.stat().st_size} if old.is_file() and new.is_file() else {-1}
        return len(sizes) == 1 and 0 <= max(sizes) <= _MAX_COMPARED and filecmp.cmp(old, new, shallow=False)
    except OSError:
        return False


def learnt_differences(old: Adapted, new: Adapted, names: Mapping[str, str] | None = None) -> list[Change]:
    """Compare what layers and heads have learnt from the training rows: of two vocabularies, the words that one lacks.

    Args:
        names: the new names of renamed layers and heads.
    """
    names = names or {}
    found = changes(old.rows, new.rows, "rows")
    for before, after in ((old.layers, new.layers), (old.heads, new.heads)):
        renamed = {names.get(name, name): state for name, state in before.items()}
        for name in dict.fromkeys((*renamed, *after)):
            a, b = renamed.get(name, {}), after.get(name, {})
            for key in dict.fromkeys((*a, *b)):
                found += _learnt(f"{name}.{key}", plain(a.get(key)), plain(b.get(key)))
    return found


def _learnt(key: str, old: Any, new: Any) -> list[Change]:
    if old == new:
        return []
    if not all(isinstance(value, list) and all(isinstance(v, str | int) for v in value) for value in (old, new)):
        return [Change(key, _summary(old), _summary(new))]
    lacking, extra = set(old), set(new)
    missing, added = ([v for v in a if v not in b] for a, b in ((old, extra), (new, lacking)))
    if not missing and not added:
        return [Change(f"{key} (order)", old[:_MAX_LISTED], new[:_MAX_LISTED])]
    found = [Change(f"{key} (count)", len(old), len(new))] if len(old) != len(new) else []
    return [*found, Change(key, missing[:_MAX_LISTED] or None, added[:_MAX_LISTED] or None)]


def _summary(value: Any) -> Any:
    """Return a learnt value; of a long list, the first numbers."""
    return value if not isinstance(value, list) or len(value) <= _MAX_LISTED else [*value[:_MAX_LISTED], "…"]
