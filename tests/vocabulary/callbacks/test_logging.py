"""CSVLogger and TerminateOnNaN, also in resumed runs."""

from __future__ import annotations

from pathlib import Path

from callback_runs import Run

from graphspec.vocabulary.callbacks import CALLBACKS


def test_csv_logger_continues_where_a_killed_run_ended(tmp_path: Path) -> None:
    run, config = Run(tmp_path), CALLBACKS.parse({"type": "CSVLogger", "filename": "log.csv", "separator": ";"})
    (tmp_path / "log.csv").write_text("epoch;loss;val_loss\n" + "0;1;2\n" * 9)  # from an older run
    state = config.start(run)
    state.on_epoch_end(0, {"loss": 0.5, "accuracy": 0.25})
    saved = state.state_dict()
    state.on_epoch_end(1, {"loss": 9.0, "accuracy": 9.0})  # after the checkpoint: the resumed run repeats it
    again = config.start(run := Run(tmp_path))
    again.load_state_dict(saved, {})
    again.on_epoch_end(1, {"loss": 0.25, "accuracy": 0.5})
    expected = ["epoch;accuracy;loss;val_accuracy;val_loss", "0;0.25;0.5;NA;NA", "1;0.5;0.25;NA;NA"]
    assert (tmp_path / "log.csv").read_text().splitlines() == expected
    more = CALLBACKS.parse({"type": "CSVLogger", "filename": "log.csv", "separator": ";", "append": True})
    more = more.start(Run(tmp_path))
    more.on_epoch_end(2, {"loss": 0.125, "accuracy": 0.75})
    assert (tmp_path / "log.csv").read_text().splitlines() == [*expected, "2;0.75;0.125;NA;NA"]


def test_terminate_on_nan() -> None:
    run = Run()
    state = CALLBACKS.parse("TerminateOnNaN").start(run)
    state.on_batch_end(0, 1.0)
    assert run.stopped is None
    state.on_batch_end(1, float("inf"))
    assert run.stopped == "the loss is inf"
    loud = Run()
    CALLBACKS.parse({"type": "TerminateOnNaN", "raise_error": True}).start(loud).on_batch_end(1, float("nan"))
    assert loud.stopped is None
