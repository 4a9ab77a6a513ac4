"""What a release promised, as plain data: its names, the statuses of its commands, the codes of wrong specs.

``names.json`` and ``problems.json`` of a release in ``tests/museum``: ``make.py`` writes them, ``test_names.py`` compares
them with today.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MUSEUM = Path(__file__).parents[1] / "museum"
Ran = tuple[int, str]  # the exit status, and what was printed
Run = Callable[..., Ran]  # a command of the release, in a folder: ``run(folder, "validate", "net.yaml")``

PYTHON = """
import importlib, json, graphspec
def members(value):
    if not isinstance(value, type):
        return sorted(getattr(value, "__all__", []))
    builtin = {name for base in value.__mro__ if base.__module__ == "builtins" for name in dir(base)}
    return sorted(name for name in dir(value) if not name.startswith("_") and name not in builtin)
found = {"graphspec": sorted(graphspec.__all__)}
found |= {f"graphspec.{name}": members(getattr(graphspec, name)) for name in graphspec.__all__}
try:
    found["graphspec.extend"] = sorted(importlib.import_module("graphspec.extend").__all__)
except ImportError:  # 0.2 and before
    pass
print(json.dumps(found))
"""
"""A program that prints the public names of Python: of the package, its modules and its classes."""

KINDS = {  # sections, beside the kinds of classes, and where the schema has them
    "input": ("inputs", "additionalProperties"),
    "head": ("outputs", "additionalProperties"),
    "training": ("training",),
    "train": ("data", "properties", "train"),
    "validation": ("data", "properties", "validation"),
}

STATUSES = (
    "--version",
    "nonsense",
    "validate",
    "validate specs/penguins.yaml",
    "validate specs/missing.yaml",
    "validate specs/penguins.yaml specs/wrong.yaml",
    "validate specs/penguins.yaml --data --format json",
    "validate specs/penguins.yaml --set training.epochs=0",
    "validate specs/penguins.yaml --set nowhere.at.all=0",
    "validate specs/penguins.yaml --nonsense",
    "summary specs/penguins.yaml",
    "plot specs/penguins.yaml",
    "train specs/penguins.yaml --out run",
    "train specs/penguins.yaml --out diverged --set training.optimizer.learning_rate=1e30",
    "evaluate specs/penguins.yaml",
    "predict run specs/penguins.csv",
    "predict run specs/missing.csv",
    "export run -o new.onnx",
    "export run -o missing/new.onnx",
    "export damaged -o new.onnx",
)
"""Commands in a folder with the specs, the stopped run ``run`` of the release, and ``damaged``, whose arrays are cut."""


def values(said: str) -> dict[str, float]:
    """The losses and metrics that ``evaluate`` printed: the lines of two words before the first that is none."""
    return {name: float(value) for name, value in (line.split() for line in said.partition("\n\n")[0].splitlines())}


def folder_with_runs(folder: Path, release: Path) -> None:
    """Fill a folder for ``STATUSES``."""
    shutil.copytree(MUSEUM / "specs", folder / "specs")
    for name in ("run", "damaged"):
        shutil.copytree(release / "penguins", folder / name)
        spec = (folder / name / "spec.json").read_text(encoding="utf-8")
        (folder / name / "spec.json").write_text(spec.replace("../../specs/", "../specs/"), encoding="utf-8")
    (folder / "specs" / "wrong.yaml").write_text("graphspec: 1\nname: wrong\n", encoding="utf-8")
    for file in (folder / "damaged").glob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:100])


def statuses(run: Run, folder: Path, release: Path) -> dict[str, int]:
    """The exit statuses of ``STATUSES``, in a new folder."""
    folder_with_runs(folder, release)
    return {words: run(folder, *words.split())[0] for words in STATUSES}


def names(run: Run, python: Callable[[str], str], folder: Path) -> dict[str, Any]:
    """The names of a release: of Python, of commands with their options, of codes, and of what specs may have."""
    commands = _listed(run(folder, "--help")[1], r"([a-z-]+)")
    _, explained = run(folder, "explain") if "explain" in commands else (0, "")
    return {
        "python": json.loads(python(PYTHON)),
        "commands": {name: _listed(run(folder, name, "--help")[1], r"(?:-\w, ?)?(--[a-z-]+)") for name in commands},
        "codes": dict(re.findall(r"^ *(GS\d{3})  (.*)$", explained, re.M)),
        **vocabulary(json.loads(run(folder, "schema")[1])),
    }


def _listed(text: str, name: str) -> list[str]:
    """The commands or options of a help, each at the beginning of a line, maybe in a box."""
    text = text.partition("Commands")[2] if "--" not in name else text
    return sorted(set(re.findall(rf"^(?:│ +|  ){name} {{2,}}", text, re.M)))


def vocabulary(schema: dict[str, Any]) -> dict[str, Any]:
    """What a JSON Schema of specs accepts: the names of each kind, and of each class its keys, with the words of each."""
    defs = schema["$defs"]
    kinds = [kind for kind in defs if any(key.startswith(f"{kind}.") for key in defs) and kind != "node"]
    found = {kind: defs.get(f"{kind}-known", {}).get("pattern", "") for kind in kinds}
    listed = {
        kind: pattern[2:-2].split("|") if pattern else _words(defs[kind], schema) for kind, pattern in found.items()
    }
    keys = {name: _keys(part, schema) for name, part in defs.items() if name.partition(".")[0] in kinds and "." in name}
    for kind, place in KINDS.items():
        part = schema["properties"]
        for step in place:
            part = part[step]
        keys[kind] = _keys(part, schema)
    return {"names": {kind: " ".join(words) for kind, words in listed.items()}, "keys": keys}


def _keys(part: Any, schema: dict[str, Any]) -> str:
    found: dict[str, str] = {}
    for key, value in ((key, value) for key, value in _properties(part, schema) if key != "type"):
        found[key] = "|".join(dict.fromkeys(word for word in _words(value, schema) if re.fullmatch(r"[\w.-]+", word)))
    return " ".join(key + (f"={words}" if words else "") for key, words in found.items())


def _properties(part: Any, schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from part.get("properties", {}).items()
    for one in [*part.get("anyOf", ()), *part.get("allOf", ()), *(part.get(k, {}) for k in ("then", "else"))]:
        if one:
            yield from _properties(one, schema)


def _words(value: Any, schema: dict[str, Any]) -> list[str]:
    """The words that a value may be; those of classes are in ``names``."""
    words = [word for word in [*value.get("enum", ()), value.get("const")] if isinstance(word, str)]
    name = value.get("$ref", "").removeprefix("#/$defs/")
    referred = schema["$defs"].get(name, {})
    if referred and not {"if", "unevaluatedProperties"} & referred.keys() and f"{name}-known" not in schema["$defs"]:
        words += _words(referred, schema) if not any(key.startswith(f"{name}.") for key in schema["$defs"]) else []
    return [*words, *(word for one in value.get("anyOf", ()) for word in _words(one, schema))]


def problems(run: Run, folder: Path, specs: Path) -> dict[str, Any]:
    """Wrong specs with the places, severities and codes of what a release says about each."""
    texts = {path.name: path.read_text(encoding="utf-8", errors="replace") for path in sorted(specs.glob("*.yaml"))}
    usual = {k: v for k, v in texts.items() if not v.startswith("# graphspec") and not {"\0", "�"} & {*v}}  # no options
    for name, text in usual.items():
        (folder / name).write_text(text, encoding="utf-8")
    said = json.loads(run(folder, "validate", *usual, "--format", "json")[1])
    by_file = {name: [f"{d['line']} {d['severity']} {d['code']}" for d in said if d["file"] == name] for name in usual}
    return {name: {"spec": text, "said": by_file[name]} for name, text in usual.items()}


RECORDS = {
    "validate": "validate specs/wrong.yaml --format json",
    "inspect file": "inspect fresh.onnx --json",
    "inspect run": "inspect fresh --json",
    "inspect other file": "inspect foreign.onnx --json",
    "diff": "diff specs/penguins.yaml fresh --json",
    "diff files": "diff fresh.onnx foreign.onnx --json",
    "data": "data specs/penguins.yaml --json",
    "doctor": "doctor --json",
}
"""Commands that print JSON, after ``BEFORE``; ``foreign.onnx`` is of a release."""
BEFORE = (
    "train specs/penguins.yaml --set training.epochs=1 --out fresh --export fresh.onnx",
    "export fresh -o other.onnx --signature signature.json",
)
FILES = ("fresh/run.json", "fresh/checkpoint.json", "fresh/adapted.json", "signature.json")


def record_keys(run: Run, folder: Path, release: Path) -> dict[str, str]:
    """The keys of records that commands print and write, as paths; without those that a release does not have."""
    folder_with_runs(folder, release)
    shutil.copy(release / "words.onnx", folder / "foreign.onnx")
    for words in BEFORE:
        run(folder, *words.split())
    found = {name: printed for name, words in RECORDS.items() if (printed := run(folder, *words.split())[1]).strip()}
    found |= {name: (folder / name).read_text(encoding="utf-8") for name in FILES if (folder / name).is_file()}
    return {name: " ".join(sorted({*paths(json.loads(text))})) for name, text in found.items()}


def paths(value: Any, above: str = "") -> Iterator[str]:
    """The keys in a record as dotted paths, to the second level: what is below are mostly data. Items have one path."""
    for item in value if isinstance(value, list) else ():
        yield from paths(item, f"{above}[]")
    for key, inner in (
        value.items() if isinstance(value, dict) and above.count(".") < 1 and above != "blas_threads" else ()
    ):
        path = f"{above}.{key}".removeprefix(".")
        yield path
        yield from paths(inner, path)
