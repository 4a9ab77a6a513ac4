"""``graphspec train``: run directories, refusals, interruption, and resuming to the same bits."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import SPEC, graphspec, project

from graphspec.base.errors import UsageError
from graphspec.cli import progress
from graphspec.engine.runtime.running_metrics import RunningMetrics
from graphspec.engine.training.checkpoint import load_arrays
from graphspec.engine.training.reporting import Lines

FILES = {"spec.json", "run.json", "weights.safetensors", "checkpoint.safetensors", "checkpoint.json", "history.csv"} | {
    "timing.json",
    "report.html",
}


@pytest.fixture(autouse=True)
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return project(tmp_path).relative_to(tmp_path)


def test_train(spec: Path) -> None:
    result = graphspec("train", spec, "--export", "tiny.onnx")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "train: 60 rows of train.npz"
    assert lines[1] == "validation: 20 rows (25 % of it); test: 20 rows"
    assert re.fullmatch(r"answer: 2 classes: \w+ \d\d %, \w+ \d\d %", lines[2])
    assert lines[3] == "49 parameters, Adam with learning rate 0.001, batch size 16, one process"
    assert [line.split()[:2] for line in lines[4:7]] == [["epoch", f"{k}/3"] for k in (1, 2, 3)]
    assert re.fullmatch(r"trained 3 epochs in .* m?s, .* m?s per epoch", lines[7])
    assert re.fullmatch(r"speed: [\d,]+ rows/s(; memory: at most \d+\.\d [MG]iB)?", lines[8])
    assert re.fullmatch(r"best: epoch \d of 3, val_loss \S+; the weights are those of epoch \d", lines[9])
    assert lines[10] == "test data:"
    assert [line.split()[0] for line in lines[11:13]] == ["loss", "accuracy"]
    assert lines[13] == f"run: {Path('runs/tiny')}"
    assert lines[14].startswith("tiny.onnx: equal to the runtime at batch sizes 1, 2, 5")
    assert {p.name for p in Path("runs/tiny").iterdir()} == FILES
    assert lines[-1] == f"report: {Path('runs/tiny/report.html')}"
    assert Path("tiny.onnx").is_file()
    history = Path("runs/tiny/history.csv").read_text().splitlines()
    assert history[0] == "epoch,loss,accuracy,val_loss,val_accuracy"
    assert len(history) == 4


def test_set_and_out(spec: Path) -> None:
    result = graphspec("train", spec, "--out", "here/it/is", "--set", "training.epochs=1")
    assert result.exit_code == 0
    assert "epoch 1/1 " in result.stdout
    assert json.loads(Path("here/it/is/spec.json").read_text())["training"]["epochs"] == 1


def test_a_missing_monitored_value_is_reported_once(spec: Path) -> None:
    callback = "{type: EarlyStopping, monitor: val_nothing, mode: min}"
    result = graphspec("train", spec, "--set", f"training.callbacks=[{callback}]")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("monitors 'val_nothing'") == 1
    assert "val_nothing" not in result.stdout


# Requirements on a run directory


@pytest.mark.slow
def test_a_run_that_exists(spec: Path) -> None:
    assert graphspec("train", spec).exit_code == 0
    before = Path("runs/tiny/weights.safetensors").read_bytes()
    result = graphspec("train", spec, "--set", "training.seed=8")
    assert result.exit_code == 2
    assert "--resume" in result.stderr
    assert "--overwrite" in result.stderr
    assert Path("runs/tiny/weights.safetensors").read_bytes() == before
    Path("runs/tiny/left over").touch()
    result = graphspec("train", spec, "--set", "training.seed=8", "--overwrite")
    assert result.exit_code == 0
    assert result.stderr == "note: runs/tiny keeps files that no run wrote: left over\n"
    assert Path("runs/tiny/weights.safetensors").read_bytes() != before
    assert {p.name for p in Path("runs/tiny").iterdir()} == FILES | {"left over"}


def test_overwrite_removes_nothing_but_runs(spec: Path) -> None:
    Path("papers").mkdir()
    Path("papers/thesis.txt").touch()
    Path("papers/spec.json").touch()
    for flags in ([], ["--overwrite"], ["--resume"]):
        assert graphspec("train", spec, "--out", "papers", *flags).exit_code == 2
    Path("papers/run.json").touch()
    Path("papers/tiny.yaml").write_text(SPEC)
    for name in ("train.npz", "test.npz"):
        Path(name).rename(Path("papers") / name)
    result = graphspec("train", "papers/tiny.yaml", "--out", "papers", "--overwrite")
    assert result.exit_code == 2
    assert "is in it" in result.stderr
    assert Path("papers/thesis.txt").exists()


def test_overwrite_does_not_follow_links(spec: Path) -> None:
    assert graphspec("train", spec, "--out", "real").exit_code == 0
    Path("link").symlink_to("real", target_is_directory=True)
    assert graphspec("train", spec, "--out", "link", "--overwrite").exit_code == 2
    assert {p.name for p in Path("real").iterdir()} == FILES


def test_overwrite_keeps_the_old_run_where_the_new_one_cannot_start(spec: Path) -> None:
    assert graphspec("train", spec).exit_code == 0
    Path("test.npz").unlink()
    assert graphspec("train", spec, "--overwrite").exit_code == 1
    assert {p.name for p in Path("runs/tiny").iterdir()} == FILES


@pytest.mark.slow
def test_a_run_is_continued_by_its_spec(spec: Path) -> None:
    assert graphspec("train", spec, "--out", "my run").exit_code == 0
    result = graphspec("train", "my run")
    command = "graphspec train 'my run' --resume"
    assert (result.exit_code, f"`{command}` continues it" in result.stderr) == (2, True)
    assert graphspec(*shlex.split(command)[1:], "--set", "training.epochs=5").exit_code == 0
    by_spec = ("train", "my run/spec.json", "--out", "my run", "--resume", "--set", "training.epochs=5")
    assert "already finished" in graphspec(*by_spec).stdout
    Path("elsewhere").mkdir()
    Path("my run").rename("elsewhere/moved")
    moved = graphspec("train", "elsewhere/moved", "--resume", "--set", "training.epochs=6", "--data", ".")
    assert (moved.exit_code, "resuming after epoch 5 of 6" in moved.stdout) == (0, True), moved.stderr


def test_usage(spec: Path) -> None:
    Path("file").touch()
    for words in (["--resume"], ["--resume", "--overwrite"], ["--out", "file"], ["--export", "no/a.onnx"]):
        result = graphspec("train", spec, *words)
        assert result.exit_code == 2, words
        assert not Path("runs").exists()


# Refusals: nothing is written


def test_a_wrong_spec(spec: Path) -> None:
    spec.write_text(SPEC.replace("units: 8", "units: eight"))
    result = graphspec("train", spec)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "tiny.yaml:7:40: error[GS104]" in result.stderr
    assert not Path("runs").exists()


def test_all_wrong_data_at_once(spec: Path) -> None:
    np.savez("train.npz", features=np.full((10, 4), np.nan, np.float32), answer=np.full(10, 3))
    np.savez("test.npz", features=np.zeros((10, 5), np.float32), answer=np.zeros(9, np.int64))
    result = graphspec("train", spec)
    assert result.exit_code == 1
    assert result.stderr.count("error[GS5") == 3
    assert not Path("runs").exists()


def test_no_training_data(spec: Path) -> None:
    spec.write_text(SPEC[: SPEC.index("data:")])
    result = graphspec("train", spec)
    assert result.exit_code == 1
    assert "error[GS103]" in result.stderr


def test_nothing_to_train(spec: Path) -> None:
    spec.write_text(SPEC.replace("loss: binary_crossentropy, metrics: [accuracy], ", ""))
    result = graphspec("train", spec)
    assert result.exit_code == 1
    assert "error[GS404]" in result.stderr
    assert not Path("runs").exists()


def test_too_little_memory(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.engine.compiler.training_checks.available", lambda: 1000)
    assert "warning[GS602]" in graphspec("validate", spec).stdout
    result = graphspec("train", spec)
    assert result.exit_code == 3
    assert "error[GS602]" in result.stderr
    assert "Traceback" not in result.stderr
    assert not Path("runs").exists()


def test_a_loss_that_is_not_finite(spec: Path) -> None:
    text = SPEC.replace("optimizer: adam", "optimizer: {type: SGD, learning_rate: 1.0e+30}")
    spec.write_text(text.replace('binary_crossentropy, metrics: [accuracy], labels: ["no", "yes"]', "mse"))
    result = graphspec("train", spec, "--set", "layers.answer.activation=linear")
    assert result.exit_code == 3
    assert "error[GS601]: the loss of head 'answer' is" in result.stderr
    assert "  = help: lower `learning_rate`" in result.stderr


# The progress bar


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals")
def test_a_bar_on_a_terminal(spec: Path) -> None:
    ours, theirs = os.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm", "COLUMNS": "120"}
    command = [sys.executable, "-m", "graphspec", "train", str(spec)]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
    os.close(ours)
    text = shown.decode()
    assert process.returncode == 0, text
    assert "\r\x1b[2K" in text  # a line that is drawn again
    assert "━" in text
    assert "epoch 3/3 " in text
    assert "val_accuracy" in text
    assert text.rstrip().endswith("report: runs/tiny/report.html")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # Linux's way of saying that the other end is closed
        return b""


# Resuming


def test_resume_a_finished_run(spec: Path) -> None:
    graphspec("train", spec)
    before = Path("runs/tiny/weights.safetensors").read_bytes()
    result = graphspec("train", spec, "--resume")
    assert result.exit_code == 0
    assert "already finished after epoch 3" in result.stdout
    assert Path("runs/tiny/weights.safetensors").read_bytes() == before


@pytest.mark.slow
def test_resume_for_more_epochs(spec: Path) -> None:
    graphspec("train", spec, "--set", "training.epochs=5", "--out", "whole")
    graphspec("train", spec)
    result = graphspec("train", spec, "--resume", "--set", "training.epochs=5")
    assert result.exit_code == 0
    assert result.stdout.startswith("resuming after epoch 3 of 5\nepoch 4/5 ")
    _assert_equal(Path("runs/tiny"), Path("whole"))


@pytest.mark.slow
def test_resume_refuses_another_spec(spec: Path) -> None:
    graphspec("train", spec)
    for change in ("training.epochs=2", "training.batch_size=8"):
        result = graphspec("train", spec, "--resume", "--set", change)
        assert result.exit_code == 2
    assert "training.batch_size" in result.stderr


def test_resume_refuses_a_damaged_checkpoint(spec: Path) -> None:
    graphspec("train", spec)
    path = Path("runs/tiny/checkpoint.safetensors")
    path.write_bytes(path.read_bytes()[:-7])
    result = graphspec("train", spec, "--resume")
    assert result.exit_code == 3
    assert "error[GS603]" in result.stderr
    path.unlink()
    assert graphspec("train", spec, "--resume").exit_code == 3


class _CtrlC(Lines):
    """Presses Ctrl-C in a step."""

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__()
        self._when = (epoch, step)

    def step(self, epoch: int, step: int, running: RunningMetrics) -> None:
        if (epoch, step) == self._when:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("when", "text"),
    [((1, 2), "runs/tiny has a checkpoint of epoch 2, step 2"), ((0, 4), "checkpoint of epoch 1, step 4")],
    ids=["within", "last step"],
)
@pytest.mark.slow
def test_ctrl_c(spec: Path, monkeypatch: pytest.MonkeyPatch, when: tuple[int, int], text: str) -> None:
    options = ["--set", "training.batch_size=15"]
    assert graphspec("train", spec, "--out", "whole", *options).exit_code == 0
    with monkeypatch.context() as patch:
        patch.setattr(progress, "observer_for_stdout", lambda *_: _CtrlC(*when))
        result = graphspec("train", spec, *options)
    assert result.exit_code == 130
    assert text in result.stderr
    command = shlex.split(result.stderr.splitlines()[-1])
    assert command == ["graphspec", "train", "tiny.yaml", "--resume", *options]
    assert graphspec(*command[1:]).exit_code == 0
    _assert_equal(Path("runs/tiny"), Path("whole"))


_KILLED = """
import os, signal, sys
from graphspec.engine.runtime import running_metrics

def dying(function, n):
    calls = 0
    def wrapper(*arguments):
        nonlocal calls
        calls += 1
        if calls == n:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)
    return wrapper

moment, n = sys.argv.pop(1), int(sys.argv.pop(1))
if moment == "file":
    os.fsync = dying(os.fsync, n)
else:
    running_metrics.RunningMetrics.add = dying(running_metrics.RunningMetrics.add, n)
from graphspec.__main__ import main
main()
"""
"""Exits as after ``kill -9`` at the n-th file (written, not yet renamed) or the n-th batch."""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
@pytest.mark.parametrize(
    ("moment", "n"), [("file", 1), ("file", 2), ("file", 3), ("file", 5), ("file", 8), ("batch", 1), ("batch", 11)]
)
def test_killed_and_resumed(spec: Path, moment: str, n: int) -> None:
    text = spec.read_text()
    assert "workers" not in text
    spec.write_text(text.replace("training:", "training:\n  workers: 1"))  # whatever --workers says in this process
    assert graphspec("train", spec, "--out", "whole").exit_code == 0
    command = [sys.executable, "-c", _KILLED, moment, str(n), "train", str(spec)]
    killed = subprocess.run(command, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    result = graphspec("train", spec, "--resume")
    assert result.exit_code == 0, result.stderr
    _assert_equal(Path("runs/tiny"), Path("whole"))
    assert {p.name for p in Path("runs/tiny").iterdir()} == FILES


def _assert_equal(run: Path, whole: Path) -> None:
    """Assert that two runs have the same bits: weights, optimizer, callbacks, and the metrics of every epoch."""
    for name in ("weights.safetensors", "checkpoint.safetensors"):
        a, _ = load_arrays(run / name)
        b, _ = load_arrays(whole / name)
        assert a.keys() == b.keys()
        assert all(a[k].tobytes() == b[k].tobytes() for k in a), name
    assert (run / "history.csv").read_text() == (whole / "history.csv").read_text()
    assert json.loads((run / "checkpoint.json").read_text()) == json.loads((whole / "checkpoint.json").read_text())


@pytest.mark.slow
def test_every_nth_epoch(spec: Path) -> None:
    def shown(*options: str) -> list[str]:
        result = graphspec("train", spec, "--overwrite", "--set", "training.epochs=45", *options)
        assert result.exit_code == 0, result.stderr
        assert "\x1b" not in result.stdout
        assert "\r" not in result.stdout
        assert len(Path("runs/tiny/history.csv").read_text().splitlines()) == 46
        return re.findall(r"^epoch +(\d+)/45 ", result.stdout, re.M)

    few = shown()
    assert few == shown("--log-every", "auto")
    assert few == ["1", "2", *map(str, range(5, 46, 5))]
    assert len(shown("--log-every", "1")) == 45
    assert shown("--log-every", "20") == ["1", "20", "40", "45"]
    assert graphspec("train", spec, "--log-every", "0").exit_code == 2
    assert "write auto, or a number of epochs" in graphspec("train", spec, "--log-every", "some").stderr


def test_a_signature_of_the_exported_file(spec: Path) -> None:
    result = graphspec("train", spec, "--signature", "tiny.json")
    assert result.exit_code == 2
    assert "give --export FILE, too" in result.stderr
    assert graphspec("train", spec, "--export", "tiny.onnx", "--signature", "tiny.json").exit_code == 0
    assert [output["name"] for output in json.loads(Path("tiny.json").read_text())["outputs"]][:1] == ["answer"]
    again = graphspec("export", "runs/tiny", "-o", "again.onnx", "--signature", "again.json")
    assert again.exit_code == 0
    assert json.loads(Path("again.json").read_text()) == json.loads(Path("tiny.json").read_text())


class _CtrlCAtOnce(Lines):
    """Presses Ctrl-C before the first step."""

    def begin(self, epochs: int, first: int, steps: int) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("observer", "options", "says", "resumed"),
    [
        (_CtrlCAtOnce(), [], "interrupted before the first checkpoint; start again", "no checkpoint: starting again"),
        (
            _CtrlC(0, 1),
            ["--set", "training.seeds=2"],
            "runs/tiny has the checkpoints of its copies",
            "goes on from its",
        ),
    ],
)
def test_ctrl_c_before_there_is_a_checkpoint_of_the_run(
    spec: Path, monkeypatch: pytest.MonkeyPatch, observer: Lines, options: list[str], says: str, resumed: str
) -> None:
    options = [*options, "--no-report"]
    with monkeypatch.context() as patch:
        patch.setattr(progress, "observer_for_stdout", lambda *_: observer)
        result = graphspec("train", spec, *options)
    assert result.exit_code == 130
    assert says in result.stderr
    again = graphspec(*shlex.split(result.stderr.splitlines()[-1])[1:])
    assert again.exit_code == 0
    assert resumed in again.output


def test_a_page_that_cannot_be_made_does_not_undo_the_run(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(*_: object, **__: object) -> str:
        raise UsageError("the network is too large for a page")

    monkeypatch.setattr("graphspec.show.page.build.page_of", too_large)
    result = graphspec("train", spec, "--page", "--no-report")
    assert result.exit_code == 0
    assert result.stderr == "warning: the run is complete, but has no page: the network is too large for a page\n"


def test_the_command_that_continues_has_the_options(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--export", "a.onnx", "--signature", "a.json", "--log-every", "7", "--no-report"]
    with monkeypatch.context() as patch:
        patch.setattr(progress, "observer_for_stdout", lambda *_: _CtrlC(0, 1))
        result = graphspec("train", spec, *options)
    assert result.exit_code == 130
    assert f"graphspec train tiny.yaml --resume {' '.join(options)}" in result.stderr
    assert graphspec("train", spec, "--resume", *options).stdout.startswith("resuming after step 1 of epoch 1 of 3\n")
