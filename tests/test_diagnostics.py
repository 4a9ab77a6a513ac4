"""Broken specs, and exactly what is said about each: code, place, excerpt, nodes and fix, as people read them.

``tests/diagnostics/NAME.yaml`` is a spec with a kind of mistake, ``NAME.txt`` the answer. A first line
``# graphspec validate …`` gives the options. ``UPDATE_DIAGNOSTICS=1`` writes the answers instead of comparing them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from paths import ROOT, TESTS

from graphspec.api.validation import check_further
from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, UsageError, render, render_json
from graphspec.engine.compiler.check import check

HERE = TESTS / "diagnostics"
CASES = sorted(p.name for p in HERE.iterdir() if p.suffix in (".yaml", ".json"))
ELSEWHERE = {
    "GS516": "tests/data/test_rows.py",
    "GS601": "tests/api/test_api.py",
    "GS603": "tests/engine/training/test_checkpoint.py",
    "GS604": "tests/engine/parallel/test_worker.py",
    "GS605": "tests/engine/runtime/test_prelude.py",
    "GS606": "tests/cli/test_ranks.py",
    "GS701": "tests/export/test_prove.py",
    "GS703": "tests/vocabulary/onnx_files/test_model_file.py",
    "GS704": "tests/export/test_quantize_gate.py",
    "GS801": "tests/foreign/keras_files/test_problems.py",
    "GS802": "tests/foreign/keras_files/test_problems.py",
}
"""Codes that no spec alone can cause, and where they are tested."""


def arrays(folder: Path) -> None:
    """The archives that the specs name."""

    def save(name: str, **values: object) -> None:
        np.savez(folder / f"{name}.npz", **{k: np.asarray(v) for k, v in values.items()})  # type: ignore[arg-type]

    table, wide = np.ones((4, 2), np.float32), np.ones((4, 5, 3), np.float32)
    save("arrays", x=table, price=table[:, 0])
    save("lengths", x=table, price=table[:3, 0])
    save("infinite", x=np.where(np.eye(4, 2) > 0, np.inf, 1.0), price=[1.0, 2.0, np.nan, 4.0])
    save("shapes", image=np.ones((4, 784)), line=wide[..., :2], kind=np.zeros(4, int), price=np.ones((4, 3)))
    pickled = np.array([[None], [1], ["a"], [2]])
    save("pickled", x=np.full((4, 3), 1e300), words=np.full((4, 2), 0.5), price=pickled, kind=np.array([1, 0, 1j, 0]))
    save("weights", **{"a/kernel": np.zeros((4, 3)), "a/bias": np.zeros(3), "b/kernels": np.zeros((3, 2))})
    torch = {"word.weight": np.zeros((12, 4)), "first.weight": np.zeros((3, 4)), "first.bias": np.zeros(3)}
    save("torch", **torch, **{"ids.weight": np.zeros((4, 2), int), "ids.bias": np.zeros(4)})
    save("letters", line=wide, text=[[1, 2, 0, 0, 0], [1, 1, 1, 1, 2], [3, 0, 0, 0, 0], [1, 2, 3, 4, 5]])
    save("blank", line=wide, text=[[1, 0, 0], [2, 0, 3], [4, 0, 0], [1, 2, 3]], text_length=[1, 3, 1, 3])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The specs and their data."""
    path = tmp_path_factory.mktemp("diagnostics")
    shutil.copytree(HERE, path, dirs_exist_ok=True)
    arrays(path / "data")
    return path


@pytest.fixture(autouse=True)
def _in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("graphspec.engine.compiler.training_checks.available", lambda: 16 * 2**30)


def options(name: str) -> list[str]:
    first = Path(name).read_bytes().split(b"\n", 1)[0].decode("utf-8", "replace")
    return shlex.split(first.removeprefix(f"# graphspec validate {name}")) if first.startswith("# graphspec") else []


def answer(name: str) -> list[Diagnostic]:
    """What ``graphspec validate`` finds."""
    given = options(name)
    checked = check(name, [value for key, value in pairwise(given) if key == "--set"])
    opset = next((int(value) for key, value in pairwise(given) if key == "--opset"), None)
    return check_further(checked, data="--data" in given, opset=opset)


@pytest.mark.parametrize("name", CASES)
def test_answer(name: str) -> None:
    found = answer(name)
    text = render(found) + "\n"
    golden = (HERE / name).with_suffix(".txt")
    if os.environ.get("UPDATE_DIAGNOSTICS") == "1":
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
    assert found, "nothing is wrong with it"
    assert all(d.hint for d in found), "a diagnostic has no fix"
    assert found == sorted(found, key=Diagnostic.sort_key)
    assert_json(name, found)
    assert_places(name, found)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["105_cells.yaml", "111_names.yaml"])
def test_answer_of_a_fresh_process(name: str) -> None:
    """What is said of names does not hang on which families have been imported."""
    command = [sys.executable, "-m", "graphspec", "validate", name]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, check=False)
    assert done.stdout.startswith((HERE / name).with_suffix(".txt").read_text(encoding="utf-8"))


def assert_json(name: str, found: list[Diagnostic]) -> None:
    records = json.loads(render_json(found))
    assert len(records) == len(found)
    for record, diagnostic in zip(records, found, strict=True):
        assert list(record) == [
            *("code", "severity", "message", "file", "line", "column", "end_line", "end_column"),
            *("path", "hint", "nodes"),
        ]
        assert re.fullmatch(r"GS[1-8]\d\d", record["code"])
        assert record["severity"] in ("error", "warning")
        assert (record["code"], record["line"], record["column"]) == (
            diagnostic.code,
            diagnostic.line,
            diagnostic.column,
        )
        assert record["file"] in (name, "--set")
        assert isinstance(record["message"], str)
        assert isinstance(record["path"], str)
        assert record["hint"] is None or isinstance(record["hint"], str)
        for node in record["nodes"]:
            assert list(node) == ["name", "type", "shape", "line"]
            alone = node["type"] in ("Parameter", "Constant")
            assert node["shape"] is None or alone or node["shape"][:1] == ["N"]


def assert_places(name: str, found: list[Diagnostic]) -> None:
    """What is underlined is there, and the path of keys leads somewhere, but for a text that is no document at all."""
    lines = re.split("\r\n|\r|\n", Path(name).read_bytes().decode("utf-8", "replace"))
    for d in found:
        if d.line is None:
            assert d.file == "--set"
            continue
        assert d.column is not None
        assert 1 <= d.line <= len(lines)
        assert d.column + d.length - 1 <= max(len(lines[d.line - 1]), 1)
        assert d.path or d.code in ("GS101", "GS103", "GS602"), d


def test_every_code_is_covered() -> None:
    """Each code is given by one of these specs, or tested where it says."""
    answers = [(HERE / name).with_suffix(".txt").read_text(encoding="utf-8") for name in CASES]
    given = {code for text in answers for code in re.findall(r"(?:error|warning)\[(GS\d{3})\]", text)}
    assert given | set(ELSEWHERE) == set(Code)
    assert not given & set(ELSEWHERE)
    for code, file in ELSEWHERE.items():
        assert code in (ROOT / file).read_text(encoding="utf-8"), f"{code} is not tested in {file}"


def test_the_example_of_the_language() -> None:
    (found,) = answer("302_merge.yaml")
    assert render([found]).replace("302_merge.yaml", "specs/branches.yaml") == (
        "specs/branches.yaml:14:6: error[GS302]: Concatenate 'mix' joins shapes that differ outside axis -1\n"
        "   │\n"
        "14 │   - {name: mix, type: Concatenate, inputs: [b1, b2]}\n"
        "   │      ^^^^^^^^^\n"
        "   = b1  (N, 28, 28, 64)   from Conv2D at line 9, padding: same\n"
        "   = b2  (N, 26, 26, 64)   from Conv2D at line 11, padding: valid\n"
        "   = help: set `padding: same` on 'b2' (line 11)"
    )


def test_a_dict_has_no_lines() -> None:
    document = {
        "graphspec": 1,
        "name": "houses",
        "inputs": {"x": {"shape": [13]}},
        "layers": [{"name": "price", "type": "Dense", "unit": 1}],
        "outputs": {"price": {"loss": "mse"}},
    }
    (found,) = check(document).diagnostics
    record = found.to_json()
    assert (record["file"], record["line"], record["column"]) == ("<dict>", None, None)
    assert record["path"] == "layers.price.unit"
    assert record["hint"] == "did you mean 'units'?"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("layers.hiden.units=3", "there is no 'hiden' in 'layers'; did you mean 'hidden'?"),
        ("layers.7.units=1", "there is no '7' in 'layers'"),
        ("layers.hidden.units.x=1", "'layers.hidden.units' is 64, which has no keys"),
        ("nam.x=1", "there is no 'nam'; did you mean 'name'?"),
        ("layers.hidden", "--set takes key.path=VALUE"),
        ("vars.rate={", "not YAML or JSON"),
    ],
)
def test_an_override_that_leads_nowhere_is_wrong_usage(override: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        check("set_values.yaml", [override])
