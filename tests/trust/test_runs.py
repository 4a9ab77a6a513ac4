"""Run directories: one training at a time, whatever is read back is checked, and nothing is lost by a kill."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import SPEC, graphspec, project
from resuming import Stop

import graphspec as gs
from graphspec.base.files import LOCK
from graphspec.cli import progress
from graphspec.engine.training import checkpoint
from graphspec.engine.training import choose_workers as choose
from graphspec.engine.training import run_directory as lock
from graphspec.engine.training.run_directory import locked
from trust import attack_kills, hostile_runs

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return project(tmp_path).relative_to(tmp_path)


RUN = Path("runs/tiny")


def halted(monkeypatch: pytest.MonkeyPatch, after: int = 5) -> None:
    """A run that Ctrl-C ended."""
    with monkeypatch.context() as patch:
        patch.setattr(progress, "observer_for_stdout", lambda *_: Stop(after))
        assert graphspec("train", "tiny.yaml").exit_code == 130


def content(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


# The lock.


@pytest.mark.parametrize("flag", ["--resume", "--overwrite"])
def test_no_second_training_beside_one(spec: Path, monkeypatch: pytest.MonkeyPatch, flag: str) -> None:
    halted(monkeypatch)
    before = content(RUN)
    with locked(RUN):
        result = graphspec("train", spec, flag)
        assert result.exit_code == 2
        assert "another training is writing to runs/tiny" in result.stderr
        with pytest.raises(gs.UsageError, match="another training"):
            gs.compile(str(spec)).save(RUN)
    assert content(RUN) == before
    assert graphspec("train", spec, flag).exit_code == 0
    assert not (RUN / LOCK).exists()


def test_a_lock_that_was_left_behind_means_nothing(spec: Path) -> None:
    RUN.mkdir(parents=True)
    (RUN / LOCK).touch()
    assert graphspec("train", spec, "--resume").exit_code == 2  # nothing to resume
    assert graphspec("train", spec).exit_code == 0


def test_a_training_beside_a_running_one_in_another_process(spec: Path) -> None:
    """The other process is killed; its lock ends with it, whatever its worker still does."""
    code = """
import os, sys, time
from graphspec.engine.training import choose_workers as choose
from graphspec.engine.training.trainer import Trainer
choose.usable_cores = lambda: 2
step = Trainer.step
def slow(self):
    step(self)
    print("step", flush=True)
    if self.steps.leader is not None:
        time.sleep(60)
Trainer.step = slow
from graphspec.__main__ import main
main()
"""
    spec.write_text(SPEC.replace("training:", "training:\n  workers: 2"))
    other = subprocess.Popen(
        [sys.executable, "-c", code, "train", str(spec)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert "step\n" in iter(other.stdout.readline, "")
        for flags in ([], ["--resume"], ["--overwrite"]):
            assert graphspec("train", spec, *flags).exit_code == 2
        assert graphspec("train", spec, "--resume").stderr.count("another training") == 1
    finally:
        other.kill()
        other.communicate()
    assert graphspec("train", spec, "--resume").exit_code == 0


def test_a_drive_without_locks(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from filelock import FileLock

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(FileLock, "acquire", refuse)
    result = graphspec("train", spec)
    assert result.exit_code == 0
    assert "note: runs/tiny cannot be locked" in result.stderr
    assert lock.LOCK not in content(RUN)


# What a kill leaves.


def test_the_last_row_of_the_history_is_written_on_resume(spec: Path) -> None:
    """A kill between the last checkpoint and what follows from it."""
    assert graphspec("train", spec).exit_code == 0
    before = content(RUN)
    for name in ("history.csv", "weights.safetensors", "checkpoint.json"):
        (RUN / name).unlink()
    result = graphspec("evaluate", RUN)
    assert result.exit_code == 3
    assert "--resume" in result.stderr
    assert "--overwrite" not in result.stderr
    assert graphspec("train", spec, "--resume").exit_code == 0
    assert content(RUN) == before


def test_the_files_of_a_run_that_goes_on_are_those_of_its_checkpoint(
    spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    halted(monkeypatch, 8)
    before = content(RUN)
    (RUN / "history.csv").write_text("epoch\n")
    (RUN / "weights.safetensors").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(progress, "observer_for_stdout", lambda *_: Stop(1))
        patch.setattr(checkpoint, "save_checkpoint", lambda *_: None)
        patch.setattr("graphspec.engine.training.trainer.Trainer.checkpoint", lambda self: None)
        assert graphspec("train", spec, "--resume").exit_code == 130
    assert content(RUN) == before


# What is read back.


def test_more_workers_than_cores(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halted(monkeypatch)
    record = json.loads((RUN / "run.json").read_text())
    (RUN / "run.json").write_text(json.dumps(record | {"workers": 16}))
    monkeypatch.setattr(choose, "usable_cores", lambda: 2)
    result = graphspec("train", spec, "--resume")
    assert result.exit_code == 2
    assert "started with 16 workers" in result.stderr
    for wrong in (0, -1, True, 2.0, "2", None, 10**30):
        (RUN / "run.json").write_text(json.dumps(record | {"workers": wrong}))
        assert graphspec("train", spec, "--resume").exit_code in (2, 3), wrong
    del record["workers"]
    (RUN / "run.json").write_text(json.dumps(record))
    assert "GS603" in graphspec("train", spec, "--resume").stderr


def test_a_saved_model_is_no_run_to_resume(spec: Path) -> None:
    gs.compile(str(spec)).save(RUN)
    result = graphspec("train", spec, "--resume")
    assert result.exit_code == 2
    assert "a saved model" in result.stderr


def test_weights_of_another_network(spec: Path) -> None:
    """The same names and shapes, but another activation."""
    assert graphspec("train", spec).exit_code == 0
    assert graphspec("train", spec, "--out", "other", "--set", "layers.hidden.activation=tanh").exit_code == 0
    shutil.copy("other/weights.safetensors", RUN)
    result = graphspec("evaluate", RUN)
    assert result.exit_code == 3
    assert "belongs to another network" in result.stderr


def test_a_flipped_bit_of_a_weight(spec: Path) -> None:
    assert graphspec("train", spec).exit_code == 0
    data = bytearray((RUN / "weights.safetensors").read_bytes())
    data[-3] ^= 1
    (RUN / "weights.safetensors").write_bytes(data)
    result = graphspec("evaluate", RUN)
    assert result.exit_code == 3
    assert "checksum" in result.stderr


def test_runs_of_version_0_2(spec: Path) -> None:
    """Their weights have no header, and their checkpoints no seal."""
    from safetensors.numpy import save_file

    assert graphspec("train", spec).exit_code == 0
    expected = graphspec("evaluate", RUN).stdout
    weights, _ = checkpoint.load_arrays(RUN / "weights.safetensors")
    save_file(weights, RUN / "weights.safetensors")
    arrays, header = checkpoint.load_arrays(RUN / "checkpoint.safetensors")
    assert header is not None
    old = {"format": 1, "sha256": header.sha256, "state": header.state}
    save_file(arrays, RUN / "checkpoint.safetensors", {"graphspec": json.dumps(old)})
    assert graphspec("evaluate", RUN).stdout == expected
    assert graphspec("train", spec, "--resume", "--set", "training.epochs=4").exit_code == 0


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3", "F16", "F64", "I64"])
def test_weights_of_other_types(spec: Path, kind: str) -> None:
    assert graphspec("train", spec).exit_code == 0
    path = RUN / "weights.safetensors"
    header, _ = hostile_runs.split(path.read_bytes())
    size = hostile_runs.TYPES[kind]
    shape = header["hidden/bias"]["shape"]
    others = {n: t for n, t in header.items() if n not in ("__metadata__", "hidden/bias")}
    start = 8 * size
    made: dict[str, Any] = {"hidden/bias": {"dtype": kind, "shape": shape, "data_offsets": [0, start]}}
    for name, tensor in others.items():
        length = 4 * int(np.prod(tensor["shape"]))
        made[name] = tensor | {"data_offsets": [start, start + length]}
        start += length
    path.write_bytes(hostile_runs.join(made, bytes(start)))
    result = graphspec("evaluate", RUN)
    assert result.exit_code == 3
    assert f"'hidden/bias' is {kind}" in result.stderr


def test_a_callback_takes_only_what_it_declares(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard writes to the file that a checkpoint names: it must be no path."""
    callbacks = "callbacks: [{type: TensorBoard}]"
    spec.write_text(SPEC.replace(SPEC[SPEC.index("callbacks:") : SPEC.index("\ndata:")], callbacks))
    halted(monkeypatch, 7)
    Path("victim").write_text("precious")
    saved = checkpoint.load_checkpoint(RUN)
    saved.state["callbacks"][0]["files"][0] = ["../../../../victim", 0]
    checkpoint.save_checkpoint(RUN, saved)
    result = graphspec("train", spec, "--resume")
    assert result.exit_code == 3
    assert "GS603" in result.stderr
    assert Path("victim").read_text() == "precious"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
@pytest.mark.parametrize("name", hostile_runs.FILES)
def test_files_that_are_none(spec: Path, name: str) -> None:
    assert graphspec("train", spec).exit_code == 0
    (RUN / name).unlink()
    for make in (os.mkfifo, lambda p: p.symlink_to("/dev/zero"), lambda p: p.mkdir()):
        make(RUN / name)
        for command in (["evaluate", RUN], ["train", spec, "--resume"]):
            status = graphspec(*command).exit_code
            assert status in (0, 2, 3), (name, command)
        if (RUN / name).is_dir():
            (RUN / name).rmdir()
        else:
            (RUN / name).unlink()


# What --overwrite removes.

_CALLBACKS = """\
callbacks:
    - {type: CSVLogger, filename: tables/log.tsv, separator: "\\t"}
    - {type: ModelCheckpoint, filepath: "kept/{epoch:02d}"}
    - {type: ModelCheckpoint, filepath: "{val_loss:.3f}.safetensors"}
    - {type: TensorBoard}"""


def test_overwrite_removes_what_the_run_wrote_and_nothing_else(spec: Path) -> None:
    spec.write_text(SPEC.replace(SPEC[SPEC.index("callbacks:") : SPEC.index("\ndata:")], _CALLBACKS))
    assert graphspec("train", spec).exit_code == 0
    assert len(content(RUN)) > 25
    foreign = {
        "thesis.tex": b"precious",
        "0.123.safetensors": b"not ModelCheckpoint's",
        "kept/01/notes.txt": b"good run",
        "kept/77/spec.json": b"{}",
        "logs/train/mine": b"",
        "other/spec.json": b"{}",
        "other/run.json": b"{}",
    }
    for name, data in foreign.items():
        (RUN / name).parent.mkdir(exist_ok=True)
        (RUN / name).write_bytes(data)
    (RUN / "link").symlink_to(Path.cwd(), target_is_directory=True)
    (RUN / "kept" / ".graphspec-0123456789ab.tmp").touch()
    spec.write_text(SPEC.replace("epochs: 3", "epochs: 1"))
    result = graphspec("train", spec, "--overwrite")
    assert result.exit_code == 0
    assert "keeps files that no run wrote:" in result.stderr
    assert "and 3 more" in result.stderr
    left = content(RUN)
    assert {name: left.pop(name) for name in foreign} == foreign
    own = {"spec.json", "run.json", "weights.safetensors", "checkpoint.safetensors", "checkpoint.json", "history.csv"}
    own |= {"timing.json", "report.html"}
    assert left.keys() == own
    assert (RUN / "link").is_symlink()
    assert not (RUN / "tables").exists()


@pytest.mark.parametrize("text", ["", "{}", "[", '{"training": {"callbacks": 3}}', "[" * 100_000])
def test_overwrite_of_a_damaged_run(spec: Path, text: str) -> None:
    assert graphspec("train", spec).exit_code == 0
    before = attack_kills.content(RUN)
    (RUN / "spec.json").write_text(text)
    (RUN / "checkpoint.safetensors").write_text(text)
    assert graphspec("train", spec, "--overwrite").exit_code == 0
    assert attack_kills.content(RUN) == before


def test_overwrite_of_a_run_with_links_leaves_their_targets_alone(spec: Path) -> None:
    assert graphspec("train", spec).exit_code == 0
    before = content(RUN)
    for name in before:
        Path(f"victim-{name}").write_text("precious")
        (RUN / name).unlink()
        (RUN / name).symlink_to(Path(f"victim-{name}").resolve())
    for command in (["--resume"], ["--overwrite"]):
        graphspec("train", spec, *command)
    assert all(Path(f"victim-{name}").read_text() == "precious" for name in before)
