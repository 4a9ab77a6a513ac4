"""Names of older versions: a warning, the meaning of today's names, and a text that is rewritten in its place.

The names are declared as maintainers and plugins declare them: ``old_keys`` and ``old_values`` of a class, ``old`` of a
registry.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from commands import graphspec

import graphspec as gs
from graphspec.base.config import Config
from graphspec.base.errors import GivenText
from graphspec.editor.analysis import Analysis
from graphspec.editor.document import applied
from graphspec.editor.fixes import fixes
from graphspec.engine.compiler.check import check
from graphspec.extend import LAYERS, LOSSES, METRICS, OPTIMIZERS, Builder, Layer, Old, Value
from graphspec.graph.optimizers import SGD
from graphspec.language.columns import COLUMNS
from graphspec.language.explain import REGISTRIES, fields_of
from graphspec.language.parse import TrainKeys
from graphspec.language.sections import HeadKeys, InputKeys, TrainingKeys


class Shifted(
    Layer,
    old_keys={"offset": Old("by", "shifts 2"), "amount": Old("offset", "shifts 1")},
    old_values={"mode": {"plus": Old("add", "shifts 2"), "none": Old("null", "shifts 2")}},
):
    """``x + by``, or ``x - by``."""

    by: float = 1.0
    mode: Literal["add", "subtract"] | None = "add"

    def lower(self, g: Builder, X: Value) -> Value:
        return X - self.by if self.mode == "subtract" else X + self.by


@pytest.fixture(autouse=True)
def old_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for registry, old, use in (
        (LAYERS, "Shift", "Shifted"),
        (LAYERS, "Fully", "Dense"),
        (LOSSES, "squares", "mean_squared_error"),
        (METRICS, "deviation", "mae"),
        (OPTIMIZERS, "Plain", "SGD"),
        (COLUMNS, "numeric", "number"),
    ):
        monkeypatch.setitem(registry.old, old, Old(use, "9"))
    monkeypatch.setitem(LAYERS._classes, "Shifted", Shifted)
    monkeypatch.setattr(Shifted, "label", "Shifted", raising=False)
    monkeypatch.setattr(SGD, "old_keys", {"lr": Old("learning_rate", "9")})
    monkeypatch.setattr(TrainingKeys, "old_keys", {"rounds": Old("epochs", "9")})
    monkeypatch.setattr(TrainKeys, "old_keys", {"table": Old("file", "9")})
    monkeypatch.setattr(HeadKeys, "old_keys", {"losses": Old("loss", "9")})


BEFORE = """\
%YAML 1.2
---
# Fully is what it was called
graphspec: 1
name: old   # rounds
vars: {kind: Shift, lr: 0.5}
inputs: {x: {shape: [ None , 4]}}
blocks:
  part:
    inputs: [x]
    layers:
      - {name: one, type: "Shift", 'offset': 2, mode: plus}   # a comment
    outputs: [one]
layers:
  - &first
    type: ${kind}
    offset   :   3.0

  - {name: parts, block: part, repeat: 2}
  - {type: !!str Shift, amount: 1, mode: 'none'}
  - {type: Shifted, "offset": 1}
  - type: GlobalAveragePooling1D
  - {name: y, type: Fully, units: 1}
outputs:
  y:
    losses: squares
    metrics: [deviation, {type: deviation}]
training: {optimizer: {type: Plain, lr: "${lr}"}, rounds: 2}
"""
AFTER = """\
%YAML 1.2
---
# Fully is what it was called
graphspec: 1
name: old   # rounds
vars: {kind: Shifted, lr: 0.5}
inputs: {x: {shape: [ null , 4]}}
blocks:
  part:
    inputs: [x]
    layers:
      - {name: one, type: "Shifted", 'by': 2, mode: add}   # a comment
    outputs: [one]
layers:
  - &first
    type: ${kind}
    by   :   3.0

  - {name: parts, block: part, repeat: 2}
  - {type: !!str Shifted, by: 1, mode: null}
  - {type: Shifted, "by": 1}
  - type: GlobalAveragePooling1D
  - {name: y, type: Dense, units: 1}
outputs:
  y:
    loss: mean_squared_error
    metrics: [mae, {type: mae}]
training: {optimizer: {type: SGD, learning_rate: "${lr}"}, epochs: 2}
"""
CHANGES = 18


def network(source: Any, sets: tuple[str, ...] = ()) -> tuple[Any, Any, list[str]]:
    """The document and the graph of a spec, and the codes of what is found."""
    checked = check(source, sets)
    spec, lowered = checked.require()
    nodes = [(n.op, repr(n.attrs), [str(o.type) for o in n.outputs]) for n in lowered.graph.nodes]
    return (
        spec.document,
        (nodes, repr(spec.training.optimizer), spec.training.epochs),
        [d.code for d in checked.diagnostics],
    )


@pytest.fixture(params=["\n", "\r\n"], ids=["LF", "CRLF"])
def spec(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    path = tmp_path / "old.yaml"
    path.write_bytes(BEFORE.replace("\n", request.param).encode())
    yield path
    assert path.read_bytes().replace(b"\r\n", b"\n").decode() in (BEFORE, AFTER)


def test_an_old_spec_has_the_meaning_of_the_new_one() -> None:
    document, graph, codes = network(GivenText("old.yaml", BEFORE))
    assert codes == ["GS112"] * CHANGES
    assert network(GivenText("new.yaml", AFTER)) == (document, graph, [])


def test_a_spec_is_rewritten_in_its_place(spec: Path) -> None:
    result = graphspec("upgrade", spec)
    assert (result.exit_code, result.stderr) == (0, "")
    assert spec.read_bytes().replace(b"\r\n", b"\n").decode() == AFTER
    *changes, last = result.stdout.splitlines()
    assert len(changes) == CHANGES
    assert changes[0] == f"{spec}:6:14: 'Shift' is written `Shifted` since 9"
    assert last == f"{spec}: {CHANGES} names changed"
    again = graphspec("upgrade", spec)
    assert (again.exit_code, again.stdout) == (0, f"{spec}: nothing to change\n")


def test_check_and_output_leave_the_spec(spec: Path) -> None:
    before, out = spec.read_bytes(), spec.with_name("new.yaml")
    assert graphspec("upgrade", spec, "--check").exit_code == 1
    assert graphspec("upgrade", spec, "-o", out).exit_code == 0
    assert graphspec("upgrade", out, "--check").exit_code == 0
    assert (spec.read_bytes(), out.read_text(encoding="utf-8")) == (before, AFTER)


def test_warnings_have_their_places_and_change_no_status(spec: Path) -> None:
    result = graphspec("validate", spec)
    assert result.exit_code == 0
    assert f"{spec}:12:36: warning[GS112]: 'offset' is written `by` since shifts 2" in result.stdout
    assert f"{spec}: ok, {CHANGES} warnings" in result.stdout


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_json_in_its_encoding(tmp_path: Path, encoding: str) -> None:
    document = {"graphspec": 1, "name": "ü", "inputs": {"x": {"shape": ["None", 4]}}}
    document |= {"layers": [{"name": "y", "type": "Fully", "units": 1}], "outputs": {"y": {"losses": None}}}
    path = tmp_path / "old.json"
    path.write_bytes(json.dumps(document, ensure_ascii=False, indent=1).encode(encoding))
    assert graphspec("upgrade", path).exit_code == 0
    text = path.read_bytes().decode(encoding)
    expected = json.dumps(document, ensure_ascii=False, indent=1)
    for old, new in (('"None"', "null"), ("Fully", "Dense"), ("losses", "loss")):
        expected = expected.replace(old, new)
    assert text == expected
    assert path.read_bytes()[:2] == text.encode(encoding)[:2] == expected.encode(encoding)[:2]


SMALL = {
    "graphspec": 1,
    "name": "small",
    "inputs": {"x": {"shape": [4]}},
    "layers": [{"name": "y", "type": "Dense", "units": 1}],
    "outputs": {"y": {"loss": "mse"}},
}


@pytest.mark.parametrize(
    ("more", "sets", "training"),
    [
        ({"training": {"rounds": 3}}, (), {"epochs": 3}),
        ({"training": {"rounds": 3}}, ("training.epochs=4",), {"epochs": 4}),
        ({"training": {"rounds": 3}}, ("training.rounds=4",), {"epochs": 4}),
        ({"training": {"epochs": 3}}, ("training.rounds=4",), {"epochs": 4}),
        ({"training": {"epochs": 3}}, ("training.optimizer={type: Plain, lr: 0.2}",), None),
    ],
)
def test_dicts_and_overrides(more: dict[str, Any], sets: tuple[str, ...], training: dict[str, Any] | None) -> None:
    document, _, codes = network(SMALL | more, sets)
    assert set(codes) == {"GS112"}
    assert document["training"] == (training or {"epochs": 3, "optimizer": {"type": "SGD", "learning_rate": 0.2}})


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("training: {rounds: 3, epochs: 4}", "1:12: error[GS102]: unknown key 'rounds' of `training`"),
        ('training: {"r\\u006funds": 3}', "1:12: warning[GS112]: 'rounds' is written `epochs` since 9"),
        ("training: {rounds: 3, epoch: 4}", "error[GS102]: unknown key 'epoch' of `training`"),
    ],
)
def test_what_cannot_be_rewritten_is_named(tmp_path: Path, text: str, answer: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text + "\n" + "".join(f"{k}: {json.dumps(v)}\n" for k, v in SMALL.items()), encoding="utf-8")
    result = graphspec("upgrade", path)
    assert result.exit_code == 1
    assert answer in result.stderr


def test_one_of_several_that_cannot_be_read(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(BEFORE, encoding="utf-8")
    bad.write_text("a: [", encoding="utf-8")
    assert graphspec("upgrade", bad, good).exit_code == 1
    assert (good.read_text(encoding="utf-8"), bad.read_text(encoding="utf-8")) == (AFTER, "a: [")


@pytest.mark.parametrize("words", [("a", "b", "-o", "c"), ("a", "--check", "-o", "c"), ("run",), ("run/spec.json",)])
def test_wrong_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "spec.json").write_text(json.dumps(SMALL | {"training": {"rounds": 3}}), encoding="utf-8")
    assert graphspec("upgrade", *words).exit_code == 2


def test_a_run_of_an_old_spec_is_continued_with_the_new_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", x=np.ones((8, 4), np.float32), y=np.ones((8, 1), np.float32))
    path = tmp_path / "old.json"
    training = {"rounds": 1, "optimizer": {"type": "Plain", "lr": 0.1}}
    path.write_text(
        json.dumps(SMALL | {"training": training, "data": {"train": {"table": "rows.npz"}}}), encoding="utf-8"
    )
    run = tmp_path / "run"
    assert graphspec("train", path, "--out", run, "--no-report").exit_code == 0
    assert json.loads((run / "spec.json").read_text(encoding="utf-8"))["training"]["epochs"] == 1
    assert graphspec("upgrade", path).exit_code == 0
    written = (run / "spec.json").read_text(encoding="utf-8")
    (run / "spec.json").write_text(written.replace('"epochs"', '"rounds"'), encoding="utf-8")  # as an older version did
    again = graphspec("train", path, "--out", run, "--no-report", "--resume", "--set", "training.epochs=2")
    assert again.exit_code == 0, again.stderr
    assert len((run / "history.csv").read_text(encoding="utf-8").splitlines()) == 3


EDITED = """\
graphspec: 1
name: edited
inputs: {x: {columns: {a: numeric, b: {type: numeric}}}}
layers: [{name: y, type: Fully, units: 1}]
outputs: {y: {losses: mse}}
"""


def test_an_editor_fixes_each() -> None:
    analysis = Analysis(EDITED, "edited.yaml")
    first = [fixes(analysis, diagnostic)[0] for diagnostic in analysis.diagnostics]
    text = applied(EDITED, [edit for fix in first for edit in fix.edits])
    assert text == EDITED.replace("numeric", "number").replace("Fully", "Dense").replace("losses", "loss")
    assert len(first) == 4
    assert Analysis(text, "edited.yaml").diagnostics == []


def test_python_calls_are_told() -> None:
    with pytest.warns(DeprecationWarning, match="Shifted: 'offset' is called 'by' since shifts 2"):
        assert Shifted(offset=3.0).by == 3.0
    with pytest.raises(gs.UsageError, match="`by` of Shifted is given twice, once as `offset`"), pytest.warns():
        Shifted(offset=3.0, by=3.0)
    with pytest.warns(DeprecationWarning, match="'Fully' is called 'Dense' since 9") as told:
        assert gs.layers.Fully is gs.layers.Dense
    assert told[0].filename == __file__


def test_names_of_the_package_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gs, "_OLD", {"build": ("compile", "9", "9.2")})
    text = "graphspec: 'build' is called 'compile' since 9; 9.2 no longer has the old name"
    with pytest.warns(DeprecationWarning, match=re.escape(text)) as told:
        assert gs.build is gs.compile  # type: ignore[attr-defined]
    assert told[0].filename == __file__


def wrong_entries(cls: type[Config]) -> list[str]:
    """Entries of a class that lead to no key of today, or whose old name is one."""
    fields, label = fields_of(cls), cls.__name__
    wrong = [f"{label}.{key}" for key, old in cls.old_keys.items() if key in fields or old.use not in fields]
    wrong += [f"{label}.{key}" for key in cls.old_values if key not in fields]
    return wrong + [
        f"{label}.{key}={w}" for key, words in cls.old_values.items() for w, old in words.items() if w == old.use
    ]


def below(cls: type[Config]) -> Iterator[type[Config]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from below(sub)


@pytest.mark.slow
def test_every_entry_leads_to_a_name_of_today() -> None:
    for registry in (*REGISTRIES.values(), COLUMNS):
        classes = [*registry]  # imports all
        assert classes
        for name, old in registry.old.items():
            assert name not in registry.names(), name
            assert registry.get(old.use) is not None, name
    found = [wrong for cls in dict.fromkeys(below(Config)) if cls is not Shifted for wrong in wrong_entries(cls)]
    assert found == []
    assert InputKeys.old_values["shape"]["None"].use == "null"
    assert wrong_entries(Shifted) == ["Shifted.amount"]  # it leads to another old name, which is followed


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([["None"], ["none"]], [[None], [None]]),
        ([["None"], ["None"]], [["size"], ["size"]]),  # equal sizes
        ([["NaN", "NaN"], ["nil"]], [["size", "size"], [None]]),
        ([["None", "size"], ["None"]], None),  # `size` has a meaning
        ([["None", "nil"], ["None", "nil"]], None),
    ],
)
def test_words_for_sizes_keep_their_meaning(before: list[Any], after: list[Any] | None) -> None:
    inputs = {f"x{k}": {"shape": [*shape, 4]} for k, shape in enumerate(before)}
    y = {"name": "y", "type": "Dense", "units": 1, "inputs": "x0"}
    found = check({"graphspec": 1, "name": "n", "inputs": inputs, "layers": [y], "outputs": {"y": {"loss": "mse"}}})
    if after is None:
        assert {d.code for d in found.diagnostics} == {"GS105"}
    else:
        spec, _ = found.require()
        assert [i["shape"] for i in spec.document["inputs"].values()] == [[*shape, 4] for shape in after]
