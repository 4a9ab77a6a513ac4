"""Files of other programs that are broken or hostile: a clear answer, no code that runs, nothing written, little memory.

The cases are in ``hostile_files/``, a table for each kind of file.
"""

from __future__ import annotations

import os
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from onnx_files import dense
from typer.main import get_command

from graphspec.base.text import display_width
from graphspec.cli.app import app
from trust.hostile_files.arrays import NPZ, SAFETENSORS, member, npz, one
from trust.hostile_files.case import Case
from trust.hostile_files.configs import CONFIGS
from trust.hostile_files.containers import H5, KERAS
from trust.hostile_files.hdf5 import file_of
from trust.hostile_files.keras_models import base, keras, text, whole_h5
from trust.hostile_files.onnx_models import ONNX, RUNS
from trust.hostile_files.zips import many

pytestmark = pytest.mark.slow

MEMORY = 64 << 20
"""Bytes that Python and NumPy may take for a file of a few kilobytes."""
SPEC = """\
graphspec: 1
name: net
inputs: {x: {shape: [4]}}
layers: [{name: dense, type: Dense, units: 3}]
outputs: {dense: {loss: mean_squared_error}}
training: {initial_weights: FILE}
"""
LOOKED = ("socket.", "pickle.find_class", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork")
LOOKED += ("marshal.loads",)
MISSING = ("GS501", "GS504", "GS514")
"""What a spec is told whose network needs other arrays."""
OF_LAYERS = ("GS201", "GS301", "GS302", "GS303", "GS501", "GS513", "GS801", "GS802")
"""What a spec is told whose layer is a hostile file."""
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_seen: list[str] | None = None
COMMANDS = get_command(app)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is None:
        return
    if event.startswith(LOOKED) and sys._getframe(1).f_code.co_filename != "<frozen importlib._bootstrap_external>":
        _seen.append(f"{event} {arguments!r}"[:200])
    if (
        event == "open"
        and isinstance(arguments[2], int)
        and arguments[2] & WRITES
        and not isinstance(arguments[0], int)
    ):
        _seen.append(f"writes {arguments[0]!r}")
    if event in ("os.mkdir", "os.rename", "os.remove", "os.symlink"):
        _seen.append(f"{event} {arguments!r}")


@contextmanager
def watched(*, memory: bool = False) -> Iterator[list[str]]:
    """What a command does beside reading and computing; its memory may be measured, too, which takes time."""
    global _seen
    found: list[str] = []
    _seen = found
    if memory:
        tracemalloc.start()
    try:
        yield found
        if memory and (peak := tracemalloc.get_traced_memory()[1]) > MEMORY:
            found.append(f"took {peak >> 20} MiB")
    finally:
        tracemalloc.stop()
        _seen = None


@pytest.fixture(scope="module", autouse=True)
def sound_files(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Sound files first: after them everything is imported, which takes memory and loads code."""
    sys.addaudithook(_hook)  # to the end of this process: not where this file is imported alone
    folder = tmp_path_factory.mktemp("sound")
    (folder / "w.safetensors").write_bytes(one())
    (folder / "w.npz").write_bytes(npz(member()))
    (folder / "net.yaml").write_text(SPEC.replace("FILE", "w.npz"), encoding="utf-8")
    (folder / "model.json").write_bytes(text(base()))
    (folder / "net.keras").write_bytes(keras())
    (folder / "net.h5").write_bytes(file_of(whole_h5()))
    for name in ("w.safetensors", "w.npz", "model.json", "net.keras", "net.h5"):
        assert graphspec("inspect", str(folder / name)).exit_code == 0
    graphspec("inspect", str(folder / "none.npz"))
    graphspec("validate", str(folder / "net.yaml"))
    graphspec("import", str(folder / "none.keras"), "-o", str(folder / "new.yaml"))
    (folder / "net.onnx").write_bytes(dense().SerializeToString())
    for trains in ("false", "true"):
        (folder / "net.yaml").write_text(LAYER.replace("TRAINS", trains), encoding="utf-8")
        assert graphspec("validate", str(folder / "net.yaml")).exit_code == 0
    assert graphspec("inspect", str(folder / "net.onnx")).exit_code == 0


def graphspec(*command: str) -> Result:
    return CliRunner().invoke(COMMANDS, command)


def problems(result: Result, *statuses: int) -> list[str]:
    """What is wrong with the form of an answer."""
    said = result.stdout + result.stderr
    found = []
    if result.exit_code not in statuses:
        found.append(f"status {result.exit_code}")
    if "Traceback" in said or any(ord(c) < 32 and c not in "\n\t" for c in said):
        found.append("no plain answer")
    if len(said) > 6_000 or any(display_width(line) > 500 for line in said.splitlines()):
        found.append(f"an answer of {len(said):,} characters")
    return [f"{problem}: {said[:800]}" for problem in found]


def tried(case: Case, folder: Path, *commands: tuple[str, ...], also: tuple[str, ...] = (), shown: str = "") -> None:
    """Make the file of a case, and try commands on it.

    Args:
        also: the codes that the second command may have besides.
        shown: a code of what the first command shows with status 0.
    """
    case.make(folder)
    before = sorted(folder.rglob("*"))
    for k, command in enumerate(commands):
        with watched(memory=k == 0) as seen:
            result = graphspec(*command)
        codes = (*case.codes, *(also if k else ()))
        assert problems(result, *statuses(codes, case), *([0] if shown in codes else [])) == []
        said = result.stdout + result.stderr
        assert result.exit_code != 1 or any(f"error[{code}]" in said for code in codes), said[:800]
        assert case.words in " ".join(said.split()) or (k and not case.codes), said[:800]
        assert seen == []
    assert sorted(folder.rglob("*")) == before


def statuses(codes: tuple[str, ...], case: Case) -> list[int]:
    """The statuses that an answer may have."""
    return [*([0] if not case.codes else []), *([1] if codes else []), *([2] if "usage" in codes else [])]


@pytest.mark.parametrize("case", [*SAFETENSORS, *NPZ], ids=str)
def test_arrays(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(SPEC.replace("FILE", case.file), encoding="utf-8")
    tried(case, tmp_path, ("inspect", case.file), ("validate", "net.yaml"), also=MISSING)


@pytest.mark.parametrize("case", [*CONFIGS, *KERAS, *H5], ids=str)
def test_models_of_keras(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unsupported is no error of `inspect`, which says so; `import` refuses it, and writes nothing."""
    monkeypatch.chdir(tmp_path)
    tried(case, tmp_path, ("inspect", case.file), shown="GS802")
    if not case.codes:
        return
    with watched() as seen:
        result = graphspec("import", case.file, "-o", "net.yaml")
    assert (problems(result, 1, *([2] if "usage" in case.codes else [])), seen) == ([], [])
    assert result.exit_code == 2 or "error[GS80" in result.stderr
    assert not (tmp_path / "net.yaml").exists()


def test_archives_with_many_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.base.budget.Budget.ENTRIES", 5)
    monkeypatch.setattr("graphspec.base.budget.Budget.ARRAYS", 5)
    for name in ("net.keras", "w.npz"):
        (tmp_path / name).write_bytes(many(6))
        result = graphspec("inspect", str(tmp_path / name))
        assert result.exit_code == 1
        assert "has 6 " in result.stderr


LAYER = """\
graphspec: 1
name: net
inputs: {x: {shape: [4]}}
layers: [{name: part, type: Onnx, file: net.onnx, inputs: [x], trainable: TRAINS}, {name: out, type: Dense, units: 2}]
outputs: {out: {loss: mean_squared_error}}
"""


@pytest.mark.parametrize("case", [*ONNX, *RUNS], ids=str)
def test_onnx_files(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`inspect` shows what only the nodes of a file make hostile; as a layer, frozen or not, it is refused."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("graphspec.vocabulary.onnx_files.signature.SECONDS", 0.2)
    for k, trains in enumerate(("false", "true")):
        (tmp_path / f"net{k}.yaml").write_text(LAYER.replace("TRAINS", trains), encoding="utf-8")
    first, others = ("inspect", case.file), [("validate", "net0.yaml"), ("validate", "net1.yaml")]
    if case.name in ONNX.cases:
        tried(case, tmp_path, first)
    else:
        others[0] = first
        tried(replace(case, codes=case.codes and (*case.codes, *OF_LAYERS)), tmp_path, ("validate", "net0.yaml"))
    before = sorted(tmp_path.rglob("*"))
    for command in others:
        with watched() as seen:
            result = graphspec(*command)
        statuses = [0] if command == first else [0, 1]
        assert (problems(result, *statuses, *([2] if "usage" in case.codes else [])), seen) == ([], [])
    assert sorted(tmp_path.rglob("*")) == before
