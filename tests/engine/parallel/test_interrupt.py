"""Tests of the signals that stop a training: which of them, how often, and what belongs to the program that trains."""

from __future__ import annotations

import signal
from collections.abc import Mapping

import numpy as np
import pytest
from resuming import assert_same_weights
from watching import Recorder, watched

from graphspec.engine.parallel.launch import STOPS, Interrupt, handled, interruptible, raised
from graphspec.engine.runtime.running_metrics import RunningMetrics
from specs import blobs, dense_spec

POSIX = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="signals of POSIX")


def test_the_first_signal_is_a_request() -> None:
    state = Interrupt()
    assert not state.requested
    state.handle(signal.SIGTERM, None)
    assert (state.requested, state.signum) == (True, signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt) as raised_by:
        state.stop()
    assert raised_by.value.args == (signal.SIGTERM,)


def test_a_second_signal_interrupts_at_once() -> None:
    now = 10.0
    state = Interrupt(lambda: now)
    state.handle(signal.SIGTERM, None)
    now += 5
    with pytest.raises(KeyboardInterrupt):
        state.handle(signal.SIGTERM, None)
    state = Interrupt(lambda: now)
    state.handle(signal.SIGINT, None)
    with pytest.raises(KeyboardInterrupt):  # pressed twice
        state.handle(signal.SIGINT, None)


def test_programs_that_signal_twice_ask_once() -> None:
    """`timeout` signals its child, and then the child's group."""
    now = 10.0
    state = Interrupt(lambda: now)
    for _ in range(3):
        state.handle(signal.SIGTERM, None)
        now += 0.4
    assert state.signum == signal.SIGTERM
    with pytest.raises(KeyboardInterrupt):
        state.handle(signal.SIGINT, None)


@POSIX
def test_a_library_does_not_take_the_signals_of_its_program() -> None:
    got: list[int] = []
    with handled(STOPS, lambda number, _: got.append(number)):
        with interruptible() as state:
            for number in STOPS:
                signal.raise_signal(number)
            assert not state.requested
            signal.raise_signal(signal.SIGINT)
            assert state.signum == signal.SIGINT
        assert got == list(STOPS)


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, *STOPS])
def test_the_command_line_stops_by_all(number: int) -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, *STOPS)]
    with raised():
        with pytest.raises(KeyboardInterrupt) as stop:
            signal.raise_signal(number)
        assert stop.value.args == (number,)
        with interruptible() as state:
            signal.raise_signal(number)
            assert state.signum == number
    assert [signal.getsignal(n) for n in (signal.SIGINT, *STOPS)] == before


@POSIX
def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with raised(), interruptible() as state:
            signal.raise_signal(signal.SIGINT)
            assert not state.requested
    finally:
        signal.signal(signal.SIGINT, before)


class _InLastEpoch(Recorder):
    """Presses Ctrl-C after the last step of the last epoch."""

    def epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        if epoch == 1:
            signal.raise_signal(signal.SIGINT)

    def step(self, epoch: int, step: int, running: RunningMetrics) -> None:
        return None


def test_ctrl_c_after_the_last_step_is_not_forgotten() -> None:
    spec = dense_spec()
    spec["training"]["epochs"] = 2
    run, whole = watched(spec, _InLastEpoch(), 1), watched(spec, Recorder(), 1)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    whole.run()
    assert run.epoch == 2
    assert_same_weights(run, whole)
    np.testing.assert_array_equal(run.model.predict(blobs()[0][:3]), whole.model.predict(blobs()[0][:3]))
