"""Streams that are closed, full or left by their reader; Ctrl-C at any moment; strangers' text on a terminal."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import SPEC, graphspec, project
from devices import full_device

from graphspec.base.text import printable
from graphspec.cli import console

POSIX = pytest.mark.skipif(os.name == "nt", reason="streams and signals of POSIX")
COMMAND = [sys.executable, "-m", "graphspec"]
NASTY = "\x1b]0;x\x07\x1b[31m"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spec with its data, a run of it, and the run's ONNX file."""
    made = tmp_path_factory.mktemp("streams")
    spec = project(made)
    assert graphspec("train", spec, "--out", made / "run", "--export", made / "a.onnx").exit_code == 0
    return made


# Streams.

WORDS = [
    ["--help"],
    ["--version"],
    ["train", "--bogus"],
    [],
    ["validate", "missing.yaml"],
    ["validate", "tiny.yaml", "--format", "json"],
    ["predict", "run", "test.npz"],
    ["train", "tiny.yaml", "--out", "other", "--overwrite"],
]
RUNNER = """
import os, sys
import duckdb, numpy, onnxruntime, rich.console, safetensors.numpy  # once for all
import graphspec.cli.app, graphspec.engine.compiler.check, graphspec.export.prove
import graphspec.engine.training.prepare, graphspec.language.schema
from graphspec.__main__ import main
for words in {words!r}:
    child = os.fork()
    if child == 0:
        sys.argv = ["graphspec", *words]
        main()
    with open("statuses", "a") as file:
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=file)
"""


@pytest.mark.slow
@POSIX
@pytest.mark.parametrize("case", ["all closed", "out full", "unbuffered", "err full", "both full", "left"])
def test_streams_that_take_nothing(case: str, folder: Path, tmp_path: Path) -> None:
    """A stream that is closed is as the null device; what stdout cannot take makes the status 3, or 141; stderr none."""
    full = full_device(tmp_path)
    read, pipe = os.pipe()
    os.close(read)
    statuses, said = folder / "statuses", tmp_path / "said"
    statuses.unlink(missing_ok=True)
    ends = {
        "out closed": f">&- 2>{said}",
        "err closed": f"2>&- >{said}",
        "all closed": "<&- >&- 2>&-",
        "out full": f">{full} 2>{said}",
        "err full": f"2>{full} >{said}",
        "both full": f">{full} 2>&1",
        "left": f"2>{said}",
        "unbuffered": f">{full} 2>{said}",
    }
    code = tmp_path / "runner.py"
    code.write_text(RUNNER.format(words=WORDS))
    command = [
        "sh",
        "-c",
        f"exec {sys.executable} {'-u' if case == 'unbuffered' else '-W error::ResourceWarning'} {code} {ends[case]}",
    ]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    subprocess.run(command, cwd=folder, env=env, stdout=pipe, check=True)
    os.close(pipe)
    found = [int(line) for line in statuses.read_text().split()]
    expected = []
    for words in WORDS:
        plain = 2 if words in ([], ["train", "--bogus"]) else 1 if "missing.yaml" in words else 0
        lost = 3 if case in ("out full", "both full", "unbuffered") else 141 if case == "left" else plain
        expected.append(plain if words == ["train", "--bogus"] else lost)
    assert found == expected
    text = said.read_text() if said.exists() else ""
    assert not re.search("Traceback|Exception ignored|internal error", text)
    if case in ("out full", "unbuffered"):
        assert text.count("error: standard output: No space left on device") == found.count(3)


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (errno.ENOSPC, 3),
        (errno.EDQUOT, 3),
        (errno.EFBIG, 3),
        (errno.EIO, 3),
        (errno.ENOMEM, 3),
        (errno.EROFS, 2),
        (errno.EACCES, 2),
        (errno.ENAMETOOLONG, 2),
        (errno.ENOENT, 2),
        (errno.EPIPE, 141),
    ],
)
def test_statuses(number: int, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise OSError(number, os.strerror(number), "a.csv")

    assert console.attempt(fail) == status
    assert capsys.readouterr().err == ("" if status == 141 else f"error: a.csv: {os.strerror(number)}\n")


@pytest.mark.slow
@POSIX
@pytest.mark.parametrize(
    "words",
    [
        ["schema", "-o", "s.json"],
        ["export", "run", "-o", "c.onnx"],
        ["predict", "run", "test.npz", "-o", "c.csv"],
        ["train", "tiny.yaml", "--out", "limited"],
    ],
    ids=lambda words: words[0],
)
def test_a_limit_of_file_size(words: list[str], folder: Path) -> None:
    """EFBIG, as on FAT: the status is that of a full disk, and nothing is left."""
    code = "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); "
    code += "runpy.run_module('graphspec', run_name='__main__')"
    # Not what coverage.py writes, and no bytecode: Python leaves it cut off at the limit, and reads it next time.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    result = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert result.returncode == 3
    assert "File too large" in result.stderr
    assert "Traceback" not in result.stderr
    assert not [p for p in folder.rglob("*") if p.name.endswith(".tmp") or (p.name == words[-1] and p.is_file())]


# Ctrl-C.

READY = """
import os, sys
from graphspec import __main__ as entry
from graphspec.base import files
before = files.open_closed_streams
files.open_closed_streams = lambda: (before(), os.write(1, b'ready\\n'))
entry.main()
"""


def interrupted(words: list[str], folder: Path, delay: float) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", READY, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    return process


@POSIX
@pytest.mark.parametrize(
    "words", [["validate", "tiny.yaml"], ["train", "tiny.yaml"], ["predict", "a.onnx", "test.npz"]]
)
def test_ctrl_c_while_starting(words: list[str], folder: Path) -> None:
    draw = random.Random(words[0])
    for k in range(3):
        more = ["--out", f"at-{k}"] if words[0] == "train" else []
        process = interrupted([*words, *more], folder, draw.uniform(0, 0.6))
        _, said = process.communicate(timeout=60)
        assert process.returncode in (0, 130)
        assert said.startswith(b"interrupted") if process.returncode else said == b""
    assert not list(folder.rglob("*.tmp"))


@pytest.mark.slow
@POSIX
def test_ctrl_c_that_modules_turn_into_errors(tmp_path: Path, folder: Path) -> None:
    """As an extension module does that is interrupted while it is being imported."""
    (tmp_path / "onnxruntime.py").write_text(
        "import os, signal\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\n    for _ in range(9): pass\n"
        "except BaseException:\n    raise ImportError('initialization failed') from None\n"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    command = [*COMMAND, "predict", "a.onnx", "test.npz"]
    result = subprocess.run(command, cwd=folder, env=env, capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (130, b"interrupted\n")


@pytest.mark.slow
@POSIX
def test_ctrl_c_in_the_middle_of_a_file(tmp_path: Path) -> None:
    """Nothing is left of a file that was being written."""
    code = "import os, signal; real = os.fsync\n"
    code += "def fsync(descriptor): os.kill(os.getpid(), signal.SIGINT); real(descriptor)\n"
    code += "os.fsync = fsync\nfrom graphspec.__main__ import main; main()"
    command = [sys.executable, "-c", code, "schema", "-o", "s.json"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (130, b"interrupted\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@POSIX
def test_an_interrupt_that_is_ignored_stays_ignored(folder: Path) -> None:
    code = "import os, signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
    code += READY.replace("os.write(1, b'ready\\n')", "os.kill(os.getpid(), signal.SIGINT)")
    assert "os.kill" in code
    command = [sys.executable, "-c", code, "validate", "tiny.yaml"]
    result = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (0, b"")


# Terminals.


def on_terminal(words: list[str], folder: Path) -> tuple[int, str]:
    """Run a command whose streams are a terminal; its status and all that it wrote."""
    import pty

    ours, theirs = pty.openpty()
    env = os.environ | {"TERM": "xterm", "COLUMNS": "300"}
    process = subprocess.Popen([*COMMAND, *words], cwd=folder, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    found = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            more = os.read(ours, 65536)
        except OSError:
            break
        if not more:
            break
        found += more
    os.close(ours)
    return process.wait(), found.decode()


OURS = re.compile(r"\x1b\[(\?25[lh]|[0-9;]*[mAK])")
"""What colours and the progress bar need."""


def hostile(folder: Path) -> Path:
    """A project whose description and labels steer terminals."""
    quoted = json.dumps(f"{NASTY}ha[red]ck[/red]\u202e")
    text = re.sub(r"description: .*", lambda _: f"description: {quoted}", SPEC)
    folder.mkdir(exist_ok=True)
    return project(folder, text.replace('["no", "yes"]', f"[{quoted}, '=HYPERLINK(1)']"))


@pytest.mark.slow
@POSIX
@pytest.mark.parametrize(
    "words",
    [
        ["summary", "tiny.yaml"],
        ["train", "tiny.yaml", "--out", f"o{NASTY}", "--overwrite"],
        ["predict", "run", "test.npz"],
        ["predict", "run", f"no{NASTY}"],
        ["train", f"--b{NASTY}"],
        [f"verb{NASTY}"],
        ["export", "run", "-o", "a.onnx", "--target", f"t{NASTY}[red]"],
        ["validate", f"no{NASTY}.yaml"],
        ["validate", "tiny.yaml", "--set", f"a{NASTY}.b=1"],
        ["init", f"no{NASTY}"],
    ],
    ids=lambda words: " ".join(words).replace(NASTY, "")[:30],
)
def test_nothing_steers_a_terminal(words: list[str], tmp_path: Path, hostile_run: Path) -> None:
    status, text = on_terminal(words, hostile_run)
    assert status in (0, 1, 2, 3), text
    assert "internal error" not in text
    rest = OURS.sub("", text.replace("\x1b[31mo", "")) if words[0] == "train" else OURS.sub("", text)
    assert not set(rest) & {"\x07", "\x1b", "\x9b", "\u202e"}, text
    assert "\x1b[31m" not in text or words[0] in ("train",), text


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    result = graphspec("train", hostile(folder), "--out", folder / "run")
    assert result.exit_code == 0, result.stderr
    return folder


@pytest.mark.slow
@POSIX
def test_files_get_every_byte(hostile_run: Path) -> None:
    command = [*COMMAND, "predict", "run", "test.npz"]
    env = os.environ | {"PYTHONIOENCODING": "ascii"}
    piped = subprocess.run(command, cwd=hostile_run, env=env, capture_output=True, check=True).stdout
    assert (
        graphspec("predict", hostile_run / "run", hostile_run / "test.npz", "-o", hostile_run / "o.csv").exit_code == 0
    )
    assert piped == (hostile_run / "o.csv").read_bytes()
    assert NASTY.encode() in piped
    assert b"=HYPERLINK(1)" in piped


def test_what_is_printable() -> None:
    assert printable("plain\tä 史\n") == "plain\tä 史\n"
    for wrong in "\x00\x07\x08\r\x0b\x1b\x7f\x80\x9b\u200e\u202e\u2066\ud800\ufeff":
        assert printable(f"a{wrong}b") == "a�b"
    for fine in ("👩\u200d🔬", "می\u200cخواهم", "1\u00a0000"):
        assert printable(fine) == fine


def test_weights_with_nasty_names_in_errors(hostile_run: Path, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    for name in ("spec.json", "run.json"):
        (tmp_path / name).write_bytes((hostile_run / "run" / name).read_bytes())
    save_file({f"w{NASTY}": np.zeros(1, np.float32)}, tmp_path / "weights.safetensors")
    result = graphspec("evaluate", tmp_path)
    assert result.exit_code == 3
    assert "\x1b" not in result.output


def test_markup_is_no_markup(tmp_path: Path) -> None:
    result: Any = graphspec("train", "[bold]no[/bold].yaml", "--out", "[link=http://x]y[/link]")
    assert "[bold]no[/bold].yaml" in result.output
    assert "[red]" in graphspec("[red]verb").output
