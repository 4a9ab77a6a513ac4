"""`tools.new`: every kind works at once and is known by its name; nothing is overwritten, whatever it is asked."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import copy, copytree, ignore_patterns

import pytest
from paths import ROOT

from tools.edit import RefusedError, add_imports, add_to_dict, add_to_table, add_to_tuple, names_in
from tools.new import generate, snake_case
from tools.skeletons import EXPORTED, KINDS

ASKED = [
    ("layer", "Wobble", None),
    ("operator", "BitwiseNot", "whole_batch"),
    ("loss", "WobblyError", None),
    ("metric", "WobblyMean", None),
    ("pass", "wobble_nodes", None),
    ("command", "wobble", None),
    ("layer", "CoreWobble", "core"),
    ("operator", "Wobble", "math"),
    ("loss", "RegressionWobble", "regression"),
    ("metric", "RegressionWobble", "regression"),
    ("pass", "wobble_files", "export"),
]
TABLES = (
    "graph/ops/test_gradients.py",
    "graph/ops/test_no_rows.py",
    "graph/ops/test_allocation.py",
    "graph/ops/test_cases.py",
)
"""What an operator's entry is enough for; the comparison with onnxruntime waits for the operator itself."""
OF_A_FAMILY = "graph/ops/test_whole_batch.py"
"""A test that is there already."""
TABLE = '{"first": "A B", "long": "C D"}'


def tree(folder: Path) -> Path:
    """A copy of what the tool reads, and of what the tests that it writes need."""
    without = ignore_patterns("__pycache__")
    copytree(ROOT / "graphspec", folder / "graphspec", ignore=without)
    for name in ("support", "graph/ops/cases"):
        copytree(ROOT / "tests" / name, folder / "tests" / name, ignore=without)
    for kind in KINDS.values():
        (folder / "tests" / kind.folder).mkdir(parents=True, exist_ok=True)
    for name in ("pyproject.toml", "tests/conftest.py", f"tests/{OF_A_FAMILY}", *(f"tests/{path}" for path in TABLES)):
        copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree that nothing is written to."""
    return tree(tmp_path_factory.mktemp("fresh"))


def content(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for name in ("*.py", "names.json") for path in root.rglob(name)}


def lines_of_code(source: bytes) -> int:
    """Without docstrings, comments and empty lines."""
    text = source.decode()
    parsed = ast.parse(text)
    strings = [n for n in ast.walk(parsed) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)]
    hidden = {k for n in strings for k in range(n.lineno, (n.end_lineno or 0) + 1)}
    rows = enumerate(text.splitlines(), 1)
    return sum(bool(row.split("#")[0].strip()) and k not in hidden for k, row in rows)


@pytest.mark.slow
def test_every_kind_works_at_once(tmp_path: Path) -> None:
    root = tree(tmp_path)
    before = content(root)
    tests = []
    for kind, name, family in ASKED:
        now = content(root)
        files, left = generate(kind, name, family, root)
        known, code, test, *entry = files
        assert len(entry) == (kind == "operator")
        assert all(f'"{name}": of_one(' in path.read_text(encoding="utf-8") for path in entry)
        assert left
        assert not [line for line in left if "$" in line.removeprefix("$ ")], "a name that is not filled in"
        assert lines_of_code(code.read_bytes()) - lines_of_code(now.get(code, b"")) <= 15
        assert name in known.read_text(encoding="utf-8")
        tests.append(test)
    changed = {path for path, text in content(root).items() if before.get(path) != text}
    assert len(changed) == 6 + 2 * len(tests) + 2  # what knows them, one of code and of tests each, two entries
    assert {root / "tests" / OF_A_FAMILY, root / "tests" / "graph" / "ops" / "test_math.py"} <= {*tests}
    ruff = [sys.executable, "-m", "ruff"]
    for words in (["check", "--no-cache", "-q"], ["format", "--check", "--no-cache", "-q"]):
        subprocess.run([*ruff, *words, *(p for p in changed if p.suffix == ".py")], cwd=root, check=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")} | {"PYTHONPATH": str(root)}
    operators = [name for kind, name, _ in ASKED if kind == "operator"]
    entries = [*(f"tests/{path}" for path in TABLES), "-k", " or ".join(operators)]
    for asked, least in ((tests, len(tests)), (entries, 9 * len(operators))):
        pytest_ = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *asked]
        ran = subprocess.run(pytest_, cwd=root, env=environment, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert ran.stdout.count(".") >= least


def test_what_is_left_names_files_that_exist() -> None:
    text = "\n".join([*(line for kind in KINDS.values() for line in kind.left), *EXPORTED])
    paths = re.findall(r"\b((?:graphspec|tests|docs|schemas)/[\w/.]+)(?![\w$])", text)
    paths = [path for path in paths if not path.endswith(("_", "_$"))]
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    ("kind", "name", "family", "reason"),
    [
        ("layer", "Dense", None, "there is a layer `Dense` already"),
        ("layer", "wobble", None, "write a class name"),
        ("layer", "Wob ble", None, "write a class name"),
        ("layer", "None", None, "a word of Python itself"),
        ("layer", "Layer", "wobble", "wobble.py uses the name `Layer` already"),
        (
            "layer",
            "Core",
            None,
            "there is a file graphspec/vocabulary/layers/core.py already; `--family core` adds to it",
        ),
        ("layer", "Wobble", "layer", "there is a file graphspec/vocabulary/layers/layer.py already"),
        ("layer", "Wobble", "../x", "cannot name a file"),
        ("layer", "Value", "core", "core.py uses the name `Value` already"),
        ("operator", "Exp", "math", "there is an operator `Exp` already"),
        ("loss", "Mse", None, "there is a loss `mse` already"),
        ("metric", "Class", None, "a word of Python itself"),
        ("pass", "crop_unread", None, "uses the name `crop_unread` for something else"),
        ("pass", "wobble", None, "write a verb and its object"),
        ("pass", "wobble_nodes", "later", "there is no family 'later': use program or export"),
        ("command", "train", None, "there is a file graphspec/cli/train.py already"),
        ("command", "print", None, "a word of Python itself"),
        ("command", "Wobble", None, "write one lower-case word"),
        ("command", "wobble", "train", "there is no family 'train'"),
    ],
)
def test_what_is_refused_changes_nothing(fresh: Path, kind: str, name: str, family: str | None, reason: str) -> None:
    before = content(fresh)
    with pytest.raises(RefusedError) as refusal:
        generate(kind, name, family, fresh)
    assert reason in str(refusal.value)
    assert content(fresh) == before


@pytest.fixture
def in_the_way(fresh: Path) -> Iterator[Path]:
    path = fresh / "tests" / "vocabulary" / "layers" / "test_wobble.py"
    path.write_text("mine = 1\n")
    yield path
    path.unlink()


def test_a_test_in_the_way_is_not_overwritten(fresh: Path, in_the_way: Path) -> None:
    with pytest.raises(RefusedError, match=r"there is a file tests/vocabulary/layers/test_wobble\.py already"):
        generate("layer", "Wobble", None, fresh)
    assert in_the_way.read_text() == "mine = 1\n"
    assert not (fresh / "graphspec" / "layers" / "wobble.py").exists()


def test_tests_of_a_family_stand_together(tmp_path: Path) -> None:
    root = tree(tmp_path)
    for name in ("FirstError", "SecondError"):
        _, _, test = generate("loss", name, "regression", root)[0]
    assert test.name == "test_regression.py"
    assert [line for line in test.read_text(encoding="utf-8").splitlines() if line.startswith("def ")] == [
        "def test_value_and_training_of_first_error() -> None:",
        "def test_value_and_training_of_second_error() -> None:",
    ]


def test_a_folder_that_is_full(tmp_path: Path) -> None:
    root = tree(tmp_path)
    folder = root / "graphspec" / "vocabulary" / "losses"
    for k in range(45 - len([*folder.glob("*.py")])):
        (folder / f"more_{k}.py").touch()
    with pytest.raises(RefusedError, match=r"losses/wobble\.py would be file 46 of its folder: name a family"):
        generate("loss", "Wobble", None, root)
    assert len(generate("loss", "Wobble", "regression", root)[0]) == 3


def test_an_operator_that_onnx_has_not_is_not_exported(tmp_path: Path) -> None:
    (_, ours, _, entry), left = generate("operator", "Wobble", "whole_batch", tree(tmp_path))
    assert "exported=False)})\n" in ours.read_text(encoding="utf-8")
    assert '"Wobble": of_one(exported=False)' in entry.read_text(encoding="utf-8")
    assert any("ONNX has no operator of this name" in line for line in left)


def test_tables() -> None:
    assert '"first": "A B N",\n' in add_to_table(TABLE, "first", "N")
    for family in ("a", "gap", "z"):
        assert names_in(add_to_table(TABLE, family, "N")) == {*"ABCDN"}
    assert [*json.loads(add_to_table(TABLE, "gap", "N"))] == ["first", "gap", "long"]
    assert [*json.loads(add_to_table('{"b": "B", "a": "A"}', "aa", "N"))] == ["b", "a", "aa"]


def test_tuples() -> None:
    assert add_to_tuple("X = (a, b)\n", "X", "c") == "X = (a, b, c)\n"
    assert ast.unparse(ast.parse(add_to_tuple("X: T = (\n    a,\n)\n", "X", "c"))) == "X: T = (a, c)"
    with pytest.raises(RefusedError, match="there is no tuple Y"):
        add_to_tuple("X = (a,)\n", "Y", "c")


def test_dictionaries() -> None:
    assert add_to_dict("X = {}\n", "X", '"c": 3') == 'X = { "c": 3}\n'
    for text in ('X = {"a": 1}\n', 'X = {\n    "a": 1,\n}\nY = 2\n'):
        assert "X = {'a': 1, 'c': 3}" in ast.unparse(ast.parse(add_to_dict(text, "X", '"c": 3')))
    with pytest.raises(RefusedError, match="there is no dictionary Y"):
        add_to_dict("X = {}\n", "Y", '"c": 3')


def test_imports() -> None:
    head = '"""Doc."""\n\nfrom __future__ import annotations\n\nfrom m import a\n'
    assert "from m import b\n" in add_imports(head, ["from m import a, b"])
    typed = add_imports(head, [], ["from n import T"])
    assert "from typing import TYPE_CHECKING\n" in typed
    assert "if TYPE_CHECKING:\n    from n import T\n" in typed
    assert add_imports(typed, [], ["from n import T"]).count("import T") == typed.count("import T")
    with pytest.raises(RefusedError, match="uses the name `a` for something else"):
        add_imports(head, ["from other import a"])


@pytest.mark.parametrize(
    ("name", "wanted"), [("MeanIoU", "mean_io_u"), ("Conv1D", "conv1d"), ("LeakyReLU", "leaky_re_lu"), ("AUC", "auc")]
)
def test_snake_case_is_that_of_keras(name: str, wanted: str) -> None:
    assert snake_case(name) == wanted
