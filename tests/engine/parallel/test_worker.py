"""Tests of worker processes: their imports, their memory, and how they end."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
import weakref
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from resuming import Stop
from watching import Recorder, watched

import graphspec as gs
from graphspec.engine.parallel import processes
from graphspec.engine.runtime.program import ProgramCache, no_rows
from graphspec.engine.runtime.running_metrics import RunningMetrics
from specs import blobs, dense_spec

pytestmark = pytest.mark.usefixtures("two_cores")


@pytest.mark.slow
def test_a_worker_imports_nothing_that_it_does_not_need() -> None:
    """Every process would have its own copy of each module in memory."""
    heavy = ["onnx", "onnxruntime", "duckdb", "networkx", "rich", "safetensors", "tensorboardX"]
    ours = (
        "cli",
        "data.check",
        "data.files",
        "engine.parallel.processes",
        "engine.training.trainer",
        "engine.runtime.session",
    )
    assert all(find_spec(f"graphspec.{name}") for name in ours)
    heavy += [f"graphspec.{name}" for name in ours]
    code = "import sys; from graphspec.engine.parallel.worker import serve\ntry: serve({})\n"
    code += f"except KeyError: print(*(m for m in {heavy} if m in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "\n"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_memory_goes_with_the_run(workers: int) -> None:
    """Memory is freed even if a callback refers to the run and no garbage is collected.

    Programs bound for one process stay in the model's cache.
    """
    kept: list[weakref.ref[Any]] = []

    class Watch(Recorder):
        def step(self, epoch: int, step: int, running: RunningMetrics) -> None:
            assert self.trainer is not None
            kept.extend(map(weakref.ref, self.trainer.steps.programs.values()))
            if self.trainer.steps.leader is not None:
                kept.extend(map(weakref.ref, self.trainer.steps.leader.member.arrays.values()))

    run = watched(dense_spec(), Watch(), workers)
    gc.disable()
    try:
        run.run()
        assert len(kept) >= workers
        if workers == 1:
            assert all(ref().load is no_rows for ref in kept if ref() is not None)
            run.model.programs = ProgramCache()
        assert [ref() for ref in kept if ref() is not None] == []
    finally:
        gc.enable()


@pytest.mark.slow
def test_a_killed_worker_ends_the_run(new_processes: None) -> None:
    watcher = Recorder(kill_after=5)
    run = watched(dense_spec(), watcher)
    with pytest.raises(gs.RunError, match=r"GS604: worker 1 of 2 died: killed by SIGKILL"):
        run.run()
    assert run.optimizer_state.clock.step == 5
    assert [process.poll() for process in watcher.processes] == [-signal.SIGKILL]
    run.model.predict(blobs()[0][:3])


@pytest.mark.slow
def test_the_last_words_of_a_worker_are_shown(new_processes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "can_fork", lambda: False)
    message = processes.Team._started
    monkeypatch.setattr(processes.Team, "_started", lambda *a: message(*a) | {"document": {"graphspec": 1}})
    with pytest.raises(
        gs.RunError, match=r"(?s)GS604: worker 1 of 2 died: exit status 1\n.*error\[GS103\]: the document needs `name`"
    ):
        watched(dense_spec(), Recorder()).run()


@pytest.mark.slow
def test_a_run_that_fails_leaves_no_process() -> None:
    watcher = Recorder()
    spec = dense_spec()
    spec["training"]["optimizer"] = {"type": "SGD", "learning_rate": 1e30}
    spec["layers"][0]["activation"] = "linear"
    run = watched(spec, watcher)
    with pytest.raises(gs.RunError, match="GS601"):
        run.run()
    assert watcher.processes
    assert all(process.poll() is not None for process in watcher.processes)


SCRIPT = """
import os, sys
import numpy as np
import graphspec as gs
from graphspec.engine.training import choose_workers as choose
choose.usable_cores = lambda: 2
random = np.random.default_rng(0)
x, y = random.standard_normal((40, 3)).astype("float32"), random.standard_normal((40, 1))
model = gs.compile({
    "graphspec": 1, "name": "s", "inputs": {"x": {"shape": [3]}},
    "layers": [{"name": "y", "type": "Dense", "units": 1}], "outputs": {"y": {"loss": "mse"}},
    "training": {"workers": 2, "epochs": 3, "callbacks": CALLBACKS},
})
model.fit(x, y, verbose=0)
print(model.workers, os.environ.get("OPENBLAS_NUM_THREADS"))
"""


def script(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "script.py").write_text(text.replace("CALLBACKS", "[]"))
    (tmp_path / "numbers.py").write_text("raise SystemExit('a file of the folder hides a module')")
    return [sys.executable, "-P", "script.py"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="descriptors of POSIX")
def test_standard_input_may_be_closed(tmp_path: Path) -> None:
    """Else the shared memory has its descriptor, which the child's pipe replaces."""
    text = SCRIPT.replace("model.fit(", "os.close(0); model.fit(")
    done = subprocess.run(
        script(tmp_path, text), cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 ")


@pytest.mark.slow
def test_a_script_without_a_guard(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        script(tmp_path, SCRIPT), cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=120
    )
    assert (done.stdout, done.stderr, done.returncode) == ("2 None\n", "", 0)


@pytest.mark.slow
def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    kill = """
from graphspec.engine.training.trainer import Trainer
step = Trainer.step
def killing(self):
    step(self)
    print(self.steps.leader.processes.started[0].pid, flush=True)
    os.kill(os.getpid(), 9)
Trainer.step = killing
model.fit(x, y, verbose=0)
"""
    text = SCRIPT.replace("model.fit(x, y, verbose=0)\n", kill)
    done = subprocess.run(script(tmp_path, text), cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    worker = int(done.stdout)
    for _ in range(200):
        if not alive(worker):
            return
        time.sleep(0.05)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker outlives its parent")


def alive(pid: int) -> bool:
    """Return whether a process is running; a zombie is not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.slow
def test_ctrl_c_ends_all(tmp_path: Path) -> None:
    class Watch(Stop, Recorder):
        def __init__(self) -> None:
            Recorder.__init__(self)
            self.left = 2

        def step(self, epoch: int, step: int, running: RunningMetrics) -> None:
            assert self.trainer is not None
            assert self.trainer.steps.leader is not None
            self.processes = self.trainer.steps.leader.processes.started
            Stop.step(self, epoch, step, running)

    watcher = Watch()
    run = watched(dense_spec(), watcher)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert run.optimizer_state.clock.step == 2
    assert all(process.poll() is not None for process in watcher.processes)
