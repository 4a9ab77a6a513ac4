"""Processes that know nothing of each other, such as the tasks of an array job, share the folder of a search."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from errno import ENOLCK
from pathlib import Path

import pytest
from commands import graphspec
from filelock import FileLock
from searches import plan_of, project

from graphspec.cli.search import _plan
from graphspec.engine.compiler.check import check
from graphspec.search.page import PAGE
from graphspec.search.study import TRIAL, Study

TRIALS = 5


@pytest.mark.slow
def test_one_of_three_is_killed_and_no_trial_is_lost_or_done_twice(tmp_path: Path) -> None:
    path, folder = project(tmp_path), tmp_path / "shared"
    command = [sys.executable, "-m", "graphspec", "search", path, "--out", folder, "--trials", TRIALS, "--no-report"]
    command += ["--set", "training.epochs=100", "--set", "training.workers=1", "--export", tmp_path / "best.onnx"]
    words = [str(word) for word in command]
    started = [subprocess.Popen(words, cwd=tmp_path, stdout=-1, stderr=-1, encoding="utf-8") for _ in range(3)]
    deadline = time.monotonic() + 60
    while len(list(folder.glob("000[1-3]/history.csv"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    started[0].kill()
    told = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started[1:]] == [0, 0], told
    records = [json.loads((folder / f"{k:04d}" / TRIAL).read_text()) for k in range(1, TRIALS + 1)]
    assert [record["state"] for record in records] == ["complete"] * TRIALS
    assert sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name.isdigit()) == [
        f"{k:04d}" for k in range(1, TRIALS + 1)
    ]
    lines = "".join(out.partition("trials: ")[0].partition("settings\n")[2] for out, _ in told)
    ended = Counter(re.findall(r"^ *(\d+)  ", lines, re.MULTILINE))
    assert max(ended.values()) == 1, "a trial that has ended is not trained again"
    assert any(record["starts"] > 1 or record["reached"] for record in records), "one was taken over"
    assert f"{TRIALS} complete" in told[1][0] + told[2][0]
    assert f">{TRIALS}</" in (folder / PAGE).read_text(encoding="utf-8").partition("complete")[2][:200]
    assert (tmp_path / "best.onnx").is_file()
    alone = Study(plan_of(path, tmp_path / "alone", TRIALS))
    with ExitStack() as stack:
        params = [trial.params for _ in range(TRIALS) if (trial := stack.enter_context(alone.claimed()))]
    assert [record["params"] for record in records] == params, "the values of random trials depend on their numbers"


def test_who_ends_while_others_work_leaves_the_export_to_them(tmp_path: Path) -> None:
    path, folder = project(tmp_path), tmp_path / "s"
    plan = _plan(path, check(str(path)), folder, 1, None)
    words = ("search", path, "--out", folder, "--trials", "1", "--export", tmp_path / "best.onnx", "--no-report")
    with Study(plan).claimed() as trial:
        assert trial is not None
        done = graphspec(*words)
        assert (done.exit_code, done.stderr) == (0, "")
        assert "other processes are working on 1 trial: the last of them to end writes" in " ".join(done.stdout.split())
        assert not (folder / PAGE).exists()
        trial = replace(trial, state="failed", problem="too wide")
        Study(plan).finish(trial)
    done = graphspec(*words)
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (3, "1 trial: 1 failed")


def test_a_folder_without_locks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: FileLock, *_: object, **__: object) -> None:
        Path(self.lock_file).touch()  # which stays
        raise OSError(ENOLCK, "No locks available")

    def waits(seconds: float) -> None:
        raise AssertionError("it waits for a lock that nobody has")

    monkeypatch.setattr(FileLock, "acquire", refused)
    monkeypatch.setattr(time, "sleep", waits)
    notes = list[str]()
    Study(plan_of(project(tmp_path), tmp_path / "s"), note=notes.append)
    assert "cannot be locked" in notes[0]


def test_a_trial_that_a_network_drive_does_not_list_yet_is_left_to_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(project(tmp_path), tmp_path / "s", trials=3)
    one, two = Study(plan), Study(plan)
    monkeypatch.setattr(two, "_numbers", list)
    with one.claimed() as first, two.claimed() as second:
        assert first is not None
        assert second is not None
        assert (first.number, second.number) == (1, 2)
