"""No name of a release is lost: today has it, or says what it is called now. Codes and exit statuses stay.

What `tests/support/promises.py` wrote of each release (`names.json`, `problems.json`) is compared with today.
"""

from __future__ import annotations

import json
import warnings
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import promises
import pytest
import typer
from commands import graphspec
from pydantic import ValidationError

import graphspec as gs
from graphspec.api.model import GONE
from graphspec.base.codes import Code
from graphspec.base.config import Config
from graphspec.cli.app import app
from graphspec.engine.compiler.check import check
from graphspec.language.explain import REGISTRIES, fields_of
from graphspec.language.layer_entries import ENTRY_KEYS
from graphspec.language.parse import TrainKeys, ValidationKeys
from graphspec.language.sections import HeadKeys, InputKeys, TrainingKeys

HERE = Path(__file__).parent
VERSIONS = sorted(path.parent.name for path in HERE.glob("*/names.json"))
SECTIONS: dict[str, type[Config]] = {
    "input": InputKeys,
    "head": HeadKeys,
    "training": TrainingKeys,
    "train": TrainKeys,
    "validation": ValidationKeys,
}
pytestmark = pytest.mark.parametrize("version", VERSIONS)

NOW = {
    "105_cells.yaml": "a cell reads a state as a further input",
    "105_unavailable.yaml": "layers that were refused are available",
    "304_statistics.yaml": "statistics of a Normalization are learnt from the rows",
    "306_encoding.yaml": "what a CategoryEncoding counts is learnt",
    "401_activation.yaml": "a softmax over one unit is an error (the changelog says so)",
    "104_python.yaml": "`None` in a shape",
}
"""Specs of which something else is said today, and why."""


@cache
def record(version: str, name: str = "names") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / version / f"{name}.json").read_text(encoding="utf-8"))
    return found


def lost_in_python(names: dict[str, list[str]]) -> list[str]:
    lost = []
    for owner, members in names.items():
        module, _, inner = owner.partition(".")
        place = (
            import_module(owner)
            if owner in ("graphspec", "graphspec.extend")
            else getattr(import_module(module), inner)
        )
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # it says the name of today
            lost += [f"{owner}.{name}" for name in members if not hasattr(place, name)]
    return lost


def test_python_has_every_name(version: str) -> None:
    names = record(version)["python"]
    assert "compile" in names["graphspec"]
    assert len(names["graphspec.Model"]) > 5
    assert {*lost_in_python(names)} <= {f"graphspec.Model.{name}" for name in GONE}
    with pytest.raises(AttributeError, match=r"it was one of 0\.2; `model\.summary\(\)` shows the shapes"):
        gs.compile(HERE / "specs" / "penguins.yaml").concrete  # noqa: B018 (it is an error)
    assert lost_in_python({"graphspec": ["compil"], "graphspec.Model": ["fits"]}) == [
        "graphspec.compil",
        "graphspec.Model.fits",
    ]


def test_the_command_line_has_every_command_and_option(version: str) -> None:
    today: Any = typer.main.get_command(app)
    commands = record(version)["commands"]
    assert "--out" in commands["train"]
    for name, options in commands.items():
        known = {option for parameter in today.commands[name].params for option in parameter.opts}
        assert set(options) - {*known, "--help"} == set(), name


def lost_in_specs(names: dict[str, str], keys: dict[str, str]) -> list[str]:
    """The names of classes, keys and words that no spec of today may have."""
    lost = [
        f"{kind} {name}"
        for kind, listed in names.items()
        for name in listed.split()
        if REGISTRIES[kind].get(name) is None and name not in REGISTRIES[kind].old
    ]
    for owner, listed in keys.items():
        kind, _, name = owner.partition(".")
        cls = SECTIONS.get(kind) or REGISTRIES[kind].get(name)
        assert cls is not None
        known = {*fields_of(cls), *cls.neutral, *cls.old_keys, *(ENTRY_KEYS if kind == "layer" else ("type",))}
        known |= {*getattr(cls, "call_arguments", ()), *getattr(cls, "call_options", ())}
        for key, _, words in (written.partition("=") for written in listed.split()):
            if key not in known:
                lost.append(f"{owner} {key}")
            wrong = [word for word in words.split("|") if word and not _accepts(cls, key, word)]
            lost += [f"{owner} {key}={word}" for word in wrong if word not in cls.old_values.get(key, {})]
    return lost


def _accepts(cls: type[Config], key: str, word: str) -> bool:
    try:
        cls.model_validate({key: word})
    except ValidationError as error:
        return all(found["loc"][:1] != (key,) for found in error.errors(include_url=False))
    return True


def test_specs_may_have_every_name(version: str) -> None:
    names, keys = record(version)["names"], record(version)["keys"]
    assert len(names) >= 11
    assert "units" in keys["layer.Dense"]
    assert "padding=valid|same" in keys["layer.Conv2D"]
    assert lost_in_specs(names, keys) == []
    changed = {"layer.Dense": "units unit", "layer.Conv2D": "padding=valid|full", "training": "epochs rounds"}
    assert lost_in_specs({"loss": "mse msee"}, changed) == [
        *("loss msee", "layer.Dense unit", "layer.Conv2D padding=full", "training rounds")
    ]


@pytest.mark.slow
def test_commands_end_with_the_status_of_then(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"

    def run(_: Path, *words: str) -> promises.Ran:
        monkeypatch.chdir(folder)
        result = graphspec(*words)
        return result.exit_code, result.stdout

    found, then = promises.statuses(run, folder, HERE / version), record(version)["statuses"]
    assert {0, 1, 2, 3} <= set(then.values())
    assert {words: status for words, status in found.items() if words in then} == then


@pytest.mark.slow
def test_codes_say_what_they_said(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {*record(version)["codes"]} <= {*Code}
    problems, other = record(version, "problems"), []
    codes = {said.split()[-1] for one in problems.values() for said in one["said"]}
    assert len(codes) > 25
    monkeypatch.chdir(tmp_path)
    for name, one in problems.items():
        Path(name).write_text(one["spec"], encoding="utf-8")
        said = [f"{d.line} {d.severity} {d.code}" for d in check(name).diagnostics]
        if sorted({*said}) != sorted({*one["said"]}):
            other.append(name)
    assert sorted(other) == sorted(name for name in NOW if name in problems)


@pytest.mark.slow
def test_records_keep_their_keys(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a release, and those with ``format: 1`` that came after 0.2: ``records.json``, until a release has them."""
    folder = tmp_path / "folder"

    def run(_: Path, *words: str) -> promises.Ran:
        monkeypatch.chdir(folder)
        result = graphspec(*words)
        return result.exit_code, result.stdout

    found = promises.record_keys(run, folder, HERE / version)
    unreleased = json.loads((HERE / "records.json").read_text(encoding="utf-8"))
    with_format = {name for name, keys in unreleased.items() if "format" in keys.split()}
    assert with_format >= {"inspect file", "inspect run", "diff", "doctor", "signature.json"}
    for then in (record(version)["records"], unreleased):
        lost = {name: set(keys.split()) - set(found.get(name, "").split()) for name, keys in then.items()}
        assert {name: keys for name, keys in lost.items() if keys} == {}
