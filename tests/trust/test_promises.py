"""What SECURITY.md promises: the commands are watched by Python's audit hook, and its numbers are those of the code."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import SPEC, project

from graphspec.engine.compiler.check import check
from graphspec.language.expand import MAX_NESTING, MAX_NODES
from graphspec.language.read import MAX_BYTES, MAX_LINES
from graphspec.language.tree import MAX_DEPTH, MAX_DIGITS, MAX_KEY, MAX_TEXT, MAX_VALUES
from graphspec.vocabulary.layers.cells import MAX_STEPS

ROOT = Path(__file__).parents[2]
WATCHED = """
import json, os, sys
target, cwd = sys.argv[1], os.getcwd()
del sys.argv[1]
seen = []
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
LOOKED = ("socket.", "pickle.find_class", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork",
          "ftplib.", "smtplib.", "urllib.", "http.client.", "webbrowser.", "os.startfile", "ctypes.dlopen")
MOVES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod")
def hook(event, arguments):
    if event.startswith(LOOKED):
        seen.append([event, repr(arguments)[:200]])
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES and not isinstance(arguments[0], int):
        seen.append(["writes", os.path.join(cwd, os.fsdecode(arguments[0]))])
    if event in MOVES:
        for path in arguments[:2]:
            if isinstance(path, (str, bytes, os.PathLike)):
                seen.append(["writes", os.path.join(cwd, os.fsdecode(path))])
sys.addaudithook(hook)
from graphspec.__main__ import main
try:
    main()
finally:
    told = list(seen)
    with open(target, "w") as file:
        json.dump(told, file)
"""


def watched(folder: Path, *arguments: str, status: int = 0) -> list[tuple[str, str]]:
    """What a command does beside computing, run as the installed ``graphspec`` is: the folder is no place for modules."""
    script, seen = folder.parent / "watched.py", folder.parent / "seen.json"
    script.write_text(WATCHED, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(seen), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stderr
    return [(event, what) for event, what in json.loads(seen.read_text())]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project whose folder has modules of the names that graphspec imports, which tell when they run."""
    made = tmp_path / "project"
    made.mkdir()
    spec = SPEC.replace("callbacks: [", "callbacks: [{type: CSVLogger, filename: log.csv}, {type: TensorBoard}, ")
    project(made, spec)
    for name in (
        "numpy",
        "yaml",
        "duckdb",
        "onnx",
        "onnxruntime",
        "safetensors",
        "tensorboardX",
        "sitecustomize",
        "tiny",
    ):
        (made / f"{name}.py").write_text("open('ran', 'w')\nraise SystemExit('a module of the folder ran')\n")
    return made


COMMANDS: tuple[tuple[str, ...], ...] = (
    ("validate", "tiny.yaml", "--data", "--opset", "17"),
    ("summary", "tiny.yaml"),
    ("plot", "tiny.yaml", "-o", "net.svg"),
    ("train", "tiny.yaml", "--out", "run", "--export", "m.onnx"),
    ("evaluate", "run"),
    ("predict", "run", "test.npz", "-o", "out.csv"),
    ("predict", "m.onnx", "test.npz", "-o", "out.npz"),
    ("export", "run", "-o", "again.onnx"),
)
OUTPUTS = ("net.svg", "run", "m.onnx", "out.csv", "out.npz", "again.onnx")


@pytest.mark.slow
def test_commands_use_no_network_no_process_no_pickle_and_write_what_they_say(folder: Path) -> None:
    for verb in COMMANDS:
        found = watched(folder, *verb)
        names = [(event, what) for event, what in found if event != "writes"]
        harmless = ("ctypes.dlopen",)
        assert [(e, w) for e, w in names if e not in harmless and not e.startswith("subprocess")] == [], verb
        started = [what for event, what in names if event.startswith("subprocess")]
        assert all(what.startswith("('uname'") for what in started), started  # Python's `platform` asks it
        for what in (Path(what) for event, what in found if event == "writes"):
            inside = what.is_relative_to(folder) and (what.relative_to(folder).parts or ("",))[0] in OUTPUTS
            temporary = what.parent == folder and re.fullmatch(r"\.graphspec-\w+\.tmp", what.name)
            lock = what.parent == folder and what.name.startswith(".") and "lock" in what.name
            assert inside or temporary or lock or str(what) in (os.devnull, str(folder)), (verb, what)
    assert not (folder / "ran").exists()


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("ran",))


@pytest.mark.slow
def test_pickles_are_not_opened(folder: Path) -> None:
    rows = np.empty(20, object)
    rows[:] = [Evil() for _ in range(20)]
    np.savez(folder / "test.npz", features=rows, answer=np.zeros(20), allow_pickle=True)
    (folder / "train.npz").write_bytes(pickle.dumps(Evil()))
    found = watched(folder, "validate", "tiny.yaml", "--data", status=1)
    assert [event for event, _ in found if event == "pickle.find_class"] == []
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir [ran]", "!!python/name:os.system", "!run {}"])
def test_tags_of_yaml_make_no_objects(tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("spec.yaml").write_text(SPEC.replace("name: tiny", f"name: {tag}"), encoding="utf-8")
    assert [d.code for d in check("spec.yaml").errors] != []
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    "filename", ["/tmp/x.csv", "../x.csv", "~/x.csv", "C:\\x.csv", "spec.json", "weights.safetensors"]
)
def test_callbacks_stay_in_the_run(filename: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = project(tmp_path, SPEC.replace("callbacks: [", f"callbacks: [{{type: CSVLogger, filename: '{filename}'}}, "))
    assert [d.code for d in check(path).errors] == ["GS105"]


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([^|]+?) \| ([\d,]+)(?: [^|]*)?\|$", page, re.MULTILINE))
    assert {what: int(number.replace(",", "")) for what, number in rows.items()} == {
        "size of a spec": MAX_BYTES // 2**20,
        "lines": MAX_LINES,
        "levels of nesting": MAX_DEPTH,
        "values, with aliases and variables written out": MAX_VALUES,
        "characters of a text": MAX_TEXT,
        "characters of a key": MAX_KEY,
        "digits of a number": MAX_DIGITS,
        "nodes, with blocks and repeats written out": MAX_NODES,
        "blocks within blocks": MAX_NESTING,
        "steps of a recurrence that is written out": MAX_STEPS,
    }


def test_every_test_that_the_page_names_is_there() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    names = re.findall(r"`(tests/[\w/]+\.py)`", page)
    assert names
    assert [name for name in names if not (ROOT / name).is_file()] == []
