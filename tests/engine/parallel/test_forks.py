"""Workers that are forked: as those that start anew, with the rows of this process; and when they are not."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from watching import Recorder, watched

import graphspec as gs
from graphspec.engine.parallel import machine, processes
from graphspec.engine.training.prepare import FitData, prepare_fit
from graphspec.engine.training.trainer import Trainer
from specs import blobs, dense_spec

pytestmark = [
    pytest.mark.usefixtures("two_cores"),
    pytest.mark.skipif(sys.platform != "linux" or not machine.spins_safely(), reason="nothing is forked here"),
]


class Looking(Recorder):
    """Keeps the names of what is in shared memory."""

    shared: frozenset[str] = frozenset()

    def step(self, epoch: int, step: int, running: Any) -> None:
        super().step(epoch, step, running)
        assert self.trainer is not None
        assert self.trainer.steps.leader is not None
        self.shared = frozenset(self.trainer.steps.leader.member.arrays)


def trained(forks: bool, monkeypatch: pytest.MonkeyPatch) -> tuple[Trainer, Looking]:
    monkeypatch.setattr(processes, "can_fork", lambda: forks)
    spec, watcher = dense_spec(), Looking()
    spec["training"] |= {"batch_size": 4, "epochs": 3}
    model = gs.compile(spec, ["training.workers=2"])
    (x, y), rest = ([a[:48] for a in blobs()], [a[48:] for a in blobs()])
    watcher.trainer = prepare_fit(model, FitData(x, y, validation_data=(rest[0], rest[1])), observer=watcher)
    watcher.trainer.run()
    return watcher.trainer, watcher


@pytest.mark.slow
def test_bits_and_rows(new_processes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forked worker has the rows of training and validation without a copy."""
    (one, inherited), (other, copied) = (trained(forks, monkeypatch) for forks in (True, False))
    assert one.history == other.history
    for name, weight in one.model.weights.items():
        np.testing.assert_array_equal(weight, other.model.weights[name])
    assert type(inherited.processes[0]).__name__ == "Forked"
    assert not any("rows/" in name for name in inherited.shared)
    assert any(name.startswith("rows/") for name in copied.shared)
    assert all(process.poll() == 0 for process in inherited.processes)


def test_what_a_forked_worker_raises_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> None:
        raise ValueError("no such luck")

    monkeypatch.setattr(processes, "inherit", fail)
    monkeypatch.setattr(processes, "can_fork", lambda: True)  # whatever threads other tests have left
    with pytest.raises(gs.RunError, match=r"(?s)GS604: worker 1 of 2 died: exit status 1\n.*ValueError: no such luck"):
        watched(dense_spec(), Recorder()).run()


def test_a_killed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "can_fork", lambda: True)
    watcher = Recorder(kill_after=3)
    with pytest.raises(gs.RunError, match="killed by SIGKILL"):
        watched(dense_spec(), watcher).run()


THREADS = """
import threading
import graphspec
from graphspec.engine.parallel.launch import can_fork
found = [can_fork()]
stop = threading.Event()
thread = threading.Thread(target=stop.wait)
thread.start()
found.append(can_fork())
stop.set()
thread.join()
print(*found, can_fork())
"""


@pytest.mark.slow
def test_a_process_with_threads_is_not_forked() -> None:
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=True)
    assert done.stdout == "True False True\n"


def test_waiting_for_a_forked_process() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        forked = processes.Forked(process.pid, process.stdin)
        with pytest.raises(subprocess.TimeoutExpired):
            forked.wait(0.01)
        forked.kill()
        forked.wait()
        assert forked.poll() == -9
        assert processes.Forked(process.pid, process.stdin).poll() == 0  # another has waited for it
