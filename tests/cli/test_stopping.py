"""Jobs that are stopped: signals at every stage of `train`, exit statuses, and `--resume auto`."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import SPEC, graphspec, project
from paths import ROOT

from graphspec.cli import progress
from graphspec.cli.stopping import signal_of, stopped_by
from graphspec.data.batches import BatchLoader
from graphspec.engine.parallel.launch import STOPS
from graphspec.engine.runtime.running_metrics import RunningMetrics
from graphspec.engine.training.reporting import Lines

POSIX = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="signals of POSIX")
AVERAGED = SPEC.replace("optimizer: adam", "optimizer: {type: Adam, use_ema: true}").replace(
    "callbacks: [", "callbacks: [{type: SwapEMAWeights, swap_on_epoch: true}, "
)
"""A run whose validation changes the weights for its duration."""


@pytest.fixture(autouse=True)
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return project(tmp_path).relative_to(tmp_path)


def same(one: str, other: str) -> None:
    for name in ("weights.safetensors", "history.csv", "checkpoint.safetensors"):
        assert (Path(one) / name).read_bytes() == (Path(other) / name).read_bytes(), name


def leftovers() -> list[Path]:
    return list(Path().rglob("*.tmp"))


# Between two steps.


class _Signalled(Lines):
    """Gets a signal in a step, and so do its workers."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def step(self, epoch: int, step: int, running: RunningMetrics) -> None:
        if (epoch, step) == (1, 2):
            signal.raise_signal(self.number)


@POSIX
@pytest.mark.parametrize("number", STOPS)
@pytest.mark.slow
def test_a_signal_within_an_epoch(spec: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    assert graphspec("train", spec, "--out", "whole").exit_code == 0
    with monkeypatch.context() as patch:
        patch.setattr(progress, "observer_for_stdout", lambda *_: _Signalled(number))
        result = graphspec("train", spec, "--resume", "auto")
    assert result.exit_code == 128 + number
    name = signal.Signals(number).name
    assert result.stderr.startswith(
        f"stopped by {name}: runs/tiny has a checkpoint of epoch 2, step 2; continue with\n"
    )
    assert shlex.split(result.stderr.splitlines()[-1]) == ["graphspec", "train", "tiny.yaml", "--resume"]
    assert graphspec("train", spec, "--resume", "auto").exit_code == 0
    same("runs/tiny", "whole")


@POSIX
@pytest.mark.parametrize("batch", [0, 1, 2, 5, 6, 8])
@pytest.mark.slow
def test_a_signal_during_validation(spec: Path, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    """It does not wait for the end, and the averaged weights go back to their place first."""
    spec.write_text(AVERAGED)
    options = ["--set", "training.batch_size=7", "--set", "training.workers=1"]
    assert graphspec("train", spec, "--out", "whole", *options).exit_code == 0
    copy, seen = BatchLoader.copy, 0

    def signalled(*arguments: object) -> None:  # only evaluations call it
        nonlocal seen
        if seen == batch:
            signal.raise_signal(signal.SIGTERM)
        seen += 1
        return copy(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(BatchLoader, "copy", signalled)
        result = graphspec("train", spec, *options)
    assert result.exit_code == 143
    assert seen == batch + 1
    assert "stopped by SIGTERM: runs/tiny has a checkpoint of " in result.stderr
    assert graphspec("train", spec, "--resume", *options).exit_code == 0
    same("runs/tiny", "whole")


# Before the first step, after the last one, and within files.

STAGES = {
    "reading": "graphspec.data.signature load_all",
    "preparing": "graphspec.cli.progress show_preparing",
    "starting": "graphspec.engine.training.run_directory start_run",
    "testing": "graphspec.cli.results print_part",
    "exporting": "graphspec.engine.training.run_directory record_export",
    "reporting": "graphspec.show.report.comparison write_found",
}
SIGNALLED = """
import os, signal, sys
from importlib import import_module
module, name, number = sys.argv.pop(1), sys.argv.pop(1), int(sys.argv.pop(1))
if module == "fsync":
    real, left = os.fsync, int(name)
    def fsync(descriptor):
        global left
        left -= 1
        if left == 0:
            signal.raise_signal(number)
        real(descriptor)
    os.fsync = fsync
else:
    module = import_module(module)
    def signalled(*arguments, **options):
        signal.raise_signal(number)
    setattr(module, name, signalled)
from graphspec.__main__ import main
main()
"""
"""Gets a signal when it calls a function, or in the n-th file, which is written and not yet renamed."""


def signalled(place: str, number: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SIGNALLED, *place.split(), str(int(number)), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
@POSIX
@pytest.mark.parametrize("stage", list(STAGES))
def test_a_signal_outside_of_the_epochs(spec: Path, stage: str) -> None:
    options = ["--export", "tiny.onnx", "--set", "training.workers=1", "--set", "training.epochs=1"]
    assert graphspec("train", spec, "--out", "whole", *options).exit_code == 0
    result = signalled(STAGES[stage], signal.SIGTERM, "train", spec, *options)
    assert (result.returncode, result.stderr) == (143, "stopped by SIGTERM\n")
    again = graphspec("train", spec, "--resume", "auto", *options)
    assert again.exit_code == 0, again.stderr
    same("runs/tiny", "whole")
    assert Path("runs/tiny/report.html").is_file()
    assert not leftovers()


@pytest.mark.slow
@POSIX
@pytest.mark.parametrize("file", [1, 2, 3, 5, 7, 9])
def test_a_signal_in_the_middle_of_a_file(spec: Path, file: int) -> None:
    options = ["--export", "tiny.onnx", "--set", "training.workers=1"]
    assert graphspec("train", spec, "--out", "whole", *options).exit_code == 0
    result = signalled(f"fsync {file}", signal.SIGUSR1, "train", spec, *options)
    assert result.returncode == 128 + signal.SIGUSR1
    assert result.stderr.startswith("stopped by SIGUSR1")
    assert not leftovers()
    again = graphspec("train", spec, "--resume", "auto", *options)
    assert again.exit_code == 0, again.stderr
    same("runs/tiny", "whole")


@pytest.mark.slow
@POSIX
def test_a_signal_while_ctrl_c_is_ignored(spec: Path) -> None:
    """As in a script that starts the command with `&`."""
    code = f"import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n{SIGNALLED}"
    command = [sys.executable, "-c", code, *STAGES["testing"].split(), "15", "train", str(spec)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 143


# Auto.


@pytest.mark.slow
def test_auto_starts_continues_and_ends(spec: Path) -> None:
    assert graphspec("train", spec, "--out", "whole").exit_code == 0
    Path("runs/tiny").mkdir(parents=True)  # an empty folder is no run
    first = graphspec("train", spec, "--resume", "auto")
    assert (first.exit_code, first.stderr) == (0, "")
    same("runs/tiny", "whole")
    done = graphspec("train", spec, "--resume=auto", "--export", "tiny.onnx")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("the run in runs/tiny is already finished after epoch 3\n")
    assert "test data:" in done.stdout
    assert Path("tiny.onnx").is_file()
    more = graphspec("train", "--resume", "auto", spec, "--set", "training.epochs=4")
    assert more.exit_code == 0
    assert "resuming after epoch 3 of 4" in more.stdout


def test_auto_takes_no_other_run(spec: Path) -> None:
    assert graphspec("train", spec).exit_code == 0
    other = graphspec("train", spec, "--resume", "auto", "--set", "training.seed=8")
    assert other.exit_code == 2
    assert "another spec" in other.stderr or "seed" in other.stderr
    Path("papers").mkdir()
    Path("papers/thesis.txt").touch()
    assert graphspec("train", spec, "--resume", "auto", "--out", "papers").exit_code == 2
    assert graphspec("train", spec, "--resume", "auto", "--overwrite").exit_code == 2


def test_resume_takes_only_auto(spec: Path) -> None:
    alone = graphspec("train", "--resume", spec)
    assert (alone.exit_code, alone.stderr) == (2, "error: there is no run in runs/tiny to resume\n")
    wrong = graphspec("train", spec, "--resume=always")
    assert wrong.exit_code == 2
    assert "`--resume` alone, or `--resume auto`, not 'always'" in wrong.stderr


# The page.


@pytest.mark.slow
@POSIX
def test_the_commands_of_the_page(spec: Path) -> None:
    """The signal comes twice, as from `timeout`, and after the first checkpoint instead of after 20 seconds."""
    page = (ROOT / "docs" / "stopping.md").read_text(encoding="utf-8")
    first, second = (shlex.split(line) for line in re.findall(r"^(?:timeout .*)?graphspec train .*$", page, re.M)[:2])
    assert first[:4] == ["timeout", "-s", "TERM", "20"]
    spec.rename("net.yaml")
    more = ["--set", "training.epochs=100000", "--set", "training.workers=1", "--out", "run"]
    command = [sys.executable, "-m", *first[4:], *more]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while not Path("run/checkpoint.safetensors").exists() and process.poll() is None:
            time.sleep(0.01)
        process.terminate()
        process.terminate()
        _, said = process.communicate(timeout=100)
    assert process.returncode == 143, said
    assert said.startswith("stopped by SIGTERM: run has a checkpoint of ")
    command = [sys.executable, "-m", *second, *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any(line.startswith("resuming after ") for line in lines)
        process.terminate()
        process.communicate(timeout=100)
    assert process.returncode == 143


# Words.


def test_what_is_said() -> None:
    assert stopped_by(signal.SIGINT) == "interrupted"
    assert stopped_by(signal.SIGTERM) == "stopped by SIGTERM"
    assert signal_of(KeyboardInterrupt()) == signal.SIGINT
    assert signal_of(KeyboardInterrupt(int(signal.SIGTERM))) == signal.SIGTERM
