"""Tests of workers that get the signals to stop together with rank 0: they go on until rank 0 ends them."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any

import numpy as np
import pytest
from watching import Recorder, watched

from graphspec.engine.parallel import processes
from graphspec.engine.parallel.launch import STOPS
from graphspec.engine.runtime.running_metrics import RunningMetrics
from specs import dense_spec

pytestmark = [
    pytest.mark.usefixtures("two_cores"),
    pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="signals of POSIX"),
]


class _Signals(Recorder):
    """Sends every signal to stop to the workers after each step."""

    def step(self, epoch: int, step: int, running: RunningMetrics) -> None:
        super().step(epoch, step, running)
        for process in self.processes:
            for number in (signal.SIGINT, *STOPS):
                os.kill(process.pid, number)


@pytest.mark.slow
def test_workers_survive_signals_to_the_whole_job(new_processes: None) -> None:
    signalled, left_alone = _Signals(), Recorder()
    runs = [watched(dense_spec(), watcher) for watcher in (signalled, left_alone)]
    for run in runs:
        run.run()
    assert [process.poll() for process in signalled.processes] == [0]
    one, other = (run.model.weights for run in runs)
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])


@pytest.mark.slow
def test_workers_survive_signals_while_they_start(new_processes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(*arguments, **options)
        for number in (signal.SIGINT, *STOPS):
            os.kill(process.pid, number)
        started.append(process)
        return process

    class Module:
        Popen, PIPE, TimeoutExpired = staticmethod(start), subprocess.PIPE, subprocess.TimeoutExpired

    monkeypatch.setattr(processes, "subprocess", Module)
    watched(dense_spec(), Recorder()).run()
    assert [process.poll() for process in started] == [0]


def test_this_process_gets_its_signals_afterwards() -> None:
    got = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: got.append(number))
    try:
        with processes.held_back():
            signal.raise_signal(signal.SIGUSR1)
            assert not got
        assert got == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)
