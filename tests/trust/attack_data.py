"""Data files that are odd, damaged or hostile: read, or refused by a diagnostic; never a wrong number."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import graphspec as gs
from graphspec.base.errors import Diagnostic, GraphspecError, Mark
from graphspec.data import archives
from graphspec.data.check import load
from graphspec.data.source import DataSignature
from graphspec.graph.ir.graph import Type
from graphspec.language.declarations import DataSource
from graphspec.language.tree import Tree
from trust.drawn_files import KINDS, MARK, READ, REFUSE, Truth

CASES = 60
TIMEOUT = 60.0
counts: Counter[str] = Counter()
"""How many files were read, and how many refused, by kind."""


def attack(random: Random) -> list[str]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kind, make = random.choice(KINDS)
        before = archives.MAPPED
        archives.MAPPED = random.choice([64, before])
        try:
            path, names, truth, expected = make(random, folder)
            problems = _tried(random, path, names, truth, expected)
        finally:
            archives.MAPPED = before
        if (folder / MARK).exists():
            problems.append("a pickle was loaded")
        return [f"{kind}: {problem}" for problem in problems]


def _tried(random: Random, path: Path, names: list[str], truth: Truth, expected: str) -> list[str]:
    """Read the file's columns by the package, and compare them."""
    target, features = names[-1], names[:-1]
    if random.random() < 0.15:
        return _by_command(random, path, features, target)
    wanted = DataSignature({"x": Type("float32", ("N", len(features)))}, {"y": Type("int64", ("N",))})
    mapping: dict[str, Any] = {"x": features}
    if random.random() < 0.3:
        wanted = DataSignature({f"x{k}": Type("float32", ("N",)) for k in range(len(features))}, wanted.targets)
        mapping = {f"x{k}": name for k, name in enumerate(features)}
    source = DataSource(path, mapping, {"y": target}, None, None, Tree({}, Mark("spec.yaml")))
    arrays, found = load(source, wanted)
    counts["read" if arrays is not None else "refused"] += 1
    if arrays is None:
        problems = _wrong(found)
        return problems if expected != READ else [*problems, f"refused, but it is right: {found[0] if found else ''}"]
    if expected == REFUSE:
        return ["read without a word, but it is damaged"]
    if truth is None:
        return []
    x = arrays.inputs
    read = {name: x["x"][:, k] if "x" in mapping else x[f"x{k}"] for k, name in enumerate(features)}
    read[target] = arrays.targets["y"]
    return [p for name in names if (p := _differs(name, truth[name], read[name], name == target))]


def _wrong(found: list[Diagnostic]) -> list[str]:
    """What is wrong with a refusal."""
    codes = ("GS105", "GS602", *(f"GS50{k}" for k in range(1, 9)))
    problems = [f"a code that is none of data: {d}" for d in found if d.code not in codes]
    problems += [f"a message shows a list: {d}" for d in found if "['" in d.message]
    return problems if found else ["refused without a word"]


def _differs(name: str, right: list[Any], read: Any, whole: bool) -> str | None:
    if len(read) != len(right):
        return f"'{name}' has {len(read)} rows, not {len(right)}"
    with np.errstate(over="ignore"):
        values = [int(v) for v in read] if whole else [np.float32(v) for v in read]
        expected = [_integer(v) for v in right] if whole else [np.float32(_float(v)) for v in right]
    for row, (have, want) in enumerate(zip(values, expected, strict=True)):
        if have != want:
            return f"row {row} of '{name}' is {have!r}, not {want!r} ({right[row]!r})"
    return None


def _float(value: Any) -> float:
    words = {"true": 1.0, "false": 0.0}
    return words[value.lower()] if isinstance(value, str) and value.lower() in words else float(value)


def _integer(value: Any) -> int:
    return int(Decimal(value.strip())) if isinstance(value, str) else int(value)


def _by_command(random: Random, path: Path, features: list[str], target: str) -> list[str]:
    """``predict`` and ``validate --data``: the status is 0 to 3, and something is said."""
    from commands import graphspec

    folder = Path(tempfile.mkdtemp())
    spec = {
        "graphspec": 1,
        "name": "data",
        "inputs": {"x": {"shape": [len(features)]}},
        "layers": [{"name": "y", "type": "Dense", "units": 1}],
        "outputs": {"y": {"loss": "mean_squared_error"}},
        "data": {"train": {"file": str(path), "inputs": {"x": features}, "targets": {"y": target}}},
    }
    try:
        if random.random() < 0.5:
            (folder / "spec.json").write_text(json.dumps(spec))
            result = graphspec("validate", "--data", folder / "spec.json")
        else:
            gs.compile(spec).save(folder / "run")
            result = graphspec("predict", folder / "run", path)
    except GraphspecError as error:
        return [f"the spec is refused: {error}"] if str(path).isprintable() else []
    counts[f"status {result.exit_code}"] += 1
    if result.exit_code not in (0, 1, 3) or (result.exception and not isinstance(result.exception, SystemExit)):
        return [f"status {result.exit_code}: {result.stderr[-200:]} {result.exception!r}"]
    return []
