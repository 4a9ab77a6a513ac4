"""Processes of a training that die: the run ends with GS604, and goes on with the same bits."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import graphspec, project

from graphspec.data.batches import BatchLoader
from graphspec.engine.parallel.processes import Leader
from graphspec.engine.training import choose_workers, trainer

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")]

FILES = ("weights.safetensors", "history.csv", "checkpoint.safetensors")
MOMENTS: dict[str, tuple[Any, str]] = {
    "a step begins": (Leader, "launch_step"),
    "a step ends": (Leader, "finish_step"),
    "validation": (BatchLoader, "copy"),
    "a checkpoint": (trainer, "save_checkpoint"),
}


@pytest.fixture(autouse=True)
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(choose_workers, "usable_cores", lambda: 3)
    return project(tmp_path).relative_to(tmp_path)


@pytest.mark.parametrize("moment", list(MOMENTS))
@pytest.mark.parametrize("workers", [2, 3])
def test_a_dead_worker_ends_the_run(spec: Path, monkeypatch: pytest.MonkeyPatch, moment: str, workers: int) -> None:
    """At some moments drawn by chance: 12 steps, 6 batches of validation and 3 checkpoints are all that a run has."""
    options = ["--set", f"training.workers={workers}"]
    assert graphspec("train", spec, "--out", "whole", *options).exit_code == 0
    draw, last = random.Random(f"{moment} {workers}"), {"validation": 4, "a checkpoint": 2}.get(moment, 12)
    for left in draw.sample(range(1, last + 1), 2):
        with monkeypatch.context() as patch:
            patch_to_kill(patch, moment, left, draw.randrange(workers - 1))
            result = graphspec("train", spec, "--resume", "auto", "--out", f"run-{left}", *options)
        if (moment, left) == ("a step ends", 12) and result.exit_code == 0:
            continue  # the worker had done its last step
        assert result.exit_code == 3, result.output
        assert f"of {workers} died: killed by SIGKILL" in " ".join(result.stderr.split())
        assert ("`--resume` continues" in result.stderr) == Path(f"run-{left}/checkpoint.safetensors").exists()
        again = graphspec("train", spec, "--resume", "auto", "--out", f"run-{left}", *options)
        assert again.exit_code == 0, again.stderr
        for name in FILES:
            assert Path(f"run-{left}", name).read_bytes() == Path("whole", name).read_bytes(), name


def patch_to_kill(patch: pytest.MonkeyPatch, moment: str, left: int, worker: int) -> None:
    """Kill a worker when a function is called for the n-th time."""
    owner, name = MOMENTS[moment]
    leaders: list[Leader] = []
    began: Callable[..., None] = Leader.__init__
    real: Callable[..., Any] = getattr(owner, name)

    def begin(self: Leader, *arguments: Any) -> None:
        began(self, *arguments)
        leaders.append(self)

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            leaders[-1].processes.started[worker].kill()
        return real(*arguments, **options)

    patch.setattr(Leader, "__init__", begin)
    patch.setattr(owner, name, counted)


RANK_0 = """
import os, sys
from graphspec.engine.parallel.processes import Leader
from graphspec.engine.training import choose_workers
choose_workers.usable_cores = lambda: 2
left, real = int(sys.argv.pop(1)), Leader.launch_step
def launch(self, *arguments):
    global left
    left -= 1
    real(self, *arguments)
    if left == 0:
        print(*(process.pid for process in self.processes.started), flush=True)
        os.kill(os.getpid(), 9)
Leader.launch_step = launch
from graphspec.__main__ import main
main()
"""


@pytest.mark.parametrize("left", [2, 7, 12])
def test_a_killed_rank_0(spec: Path, left: int) -> None:
    """Its workers end, since their standard input is closed, and its lock is free."""
    options = ["--set", "training.workers=2"]
    assert graphspec("train", spec, "--out", "whole", *options).exit_code == 0
    command = [sys.executable, "-c", RANK_0, str(left), "train", str(spec), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        *_, last = process.stdout.read().decode().splitlines()
    assert process.returncode == -signal.SIGKILL
    again = graphspec("train", spec, "--resume", "auto", *options)
    assert again.exit_code == 0, again.stderr
    for name in FILES:
        assert Path("runs/tiny", name).read_bytes() == Path("whole", name).read_bytes(), name
    assert not any(runs(int(pid)) for pid in last.split())


def runs(pid: int) -> bool:
    """Whether a worker of that number runs; another process may have got the number."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" and "graphspec" in Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
