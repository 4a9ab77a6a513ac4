"""The command line with odd streams, encodings, options and paths, and signals at any moment.

A problem is a traceback, status 70, a status that no page names, what Python says of ignored exceptions, an escape
sequence where no terminal is, a temporary file or a process that is left behind.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commands import graphspec, project

from graphspec.base.files import is_leftover

CASES = 5
TIMEOUT = 150.0
LONGEST = 60.0  # seconds that a command may take here
counts: Counter[str] = Counter()

POSIX = os.name == "posix"
COMMANDS = ("init", "validate", "summary", "plot", "train", "evaluate", "predict", "export", "schema", "", "nonsense")
OUTPUTS = ("pipe", "pipe", "file", "null", *(("closed", "full", "broken", "terminal") if POSIX else ()))
STATUSES = (0, 1, 2, 3, 130, 141)
ENDED = (-signal.SIGTERM, 128 + signal.SIGTERM)
ODD = (
    "a\nb",
    "a'b\"c",
    "\x1b[31mred\x1b[0m",
    "ü\u202e",
    "a b",
    "-",
    "--",
    "~",
    "%s{0}${x}",
    "\x7f",
    "x" * 255,
    "=",
    "\\",
    "*",
)
if POSIX:
    ODD += (os.fsdecode(b"\xff\xfe"), "\udc80.yaml")
ENVIRONMENTS: tuple[dict[str, str], ...] = (
    {},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
    {"PYTHONIOENCODING": "utf-16"},
    {"PYTHONIOENCODING": "ascii:strict"},
    {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "nonsense"},
    {"TERM": "dumb"},
    {"TERM": ""},
    {"COLUMNS": "20"},
    {"COLUMNS": "0", "LINES": "-3"},
    {"COLUMNS": "wide"},
    {"NO_COLOR": "1"},
    {"PYTHONUNBUFFERED": "1"},
    {"PYTHONWARNINGS": "error"},
    {"HOME": "/nonexistent"},
)

_made: list[Path] = []


def made() -> Path:
    """A folder with a spec, data, a run and an ONNX file, made once a process."""
    if not _made or not _made[0].is_dir():
        folder = Path(tempfile.mkdtemp(prefix="streams-"))
        spec = project(folder)
        with contextlib.chdir(folder):
            result = graphspec("train", spec, "--out", folder / "run", "--export", folder / "tiny.onnx")
        assert result.exit_code == 0, result.stderr
        _made[:] = [folder]
    return _made[0]


def attack(random: random.Random) -> list[str]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = Path(place) / "case"
        shutil.copytree(made(), folder)
        command = _drawn(random, folder)
        return command.problems()


@dataclass
class Command:
    """One command, how its streams are, and when it gets a signal."""

    arguments: list[str]
    folder: Path
    environment: dict[str, str]
    out: str
    err: str
    stdin: str
    signal: int | None = None
    after: float = 0.0
    said: dict[str, bytes] = field(default_factory=dict)

    def __str__(self) -> str:
        shown = " ".join(a if len(a) < 60 else a[:57] + "..." for a in self.arguments[:12])
        parts = [
            f"stdout {self.out}, stderr {self.err}, stdin {self.stdin}",
            *(f"{k}={v}" for k, v in self.environment.items()),
        ]
        if self.signal is not None:
            parts.append(f"{signal.Signals(self.signal).name} after {self.after:.2f} s")
        return f"graphspec {shown} ({'; '.join(parts)})"

    def problems(self) -> list[str]:
        status = self.run()
        if status is None:
            return [f"{self}: still runs after {LONGEST:.0f} s"]
        if self.signal is not None and self._starting(status):
            counts["ended while Python started"] += 1
            return []
        text = b"\n".join(self.said.values()).decode("utf-16" if self._wide() else "utf-8", "replace")
        found = []
        allowed = (*STATUSES, *(ENDED if self.signal == signal.SIGTERM else ()))
        if self.signal is None and status == 130:
            found.append("status 130 without a signal")
        if status not in allowed:
            found.append(f"status {status}")
        for word in ("Traceback", "Exception ignored", "internal error", "object at 0x"):
            if word in text:
                found.append(f"says {word!r}")
        if "\x1b" in text and "terminal" not in (self.out, self.err):
            found.append("an escape sequence, and no terminal")
        left = [p.name for p in self.folder.rglob(".*") if is_leftover(p) or p.name.endswith(".tmp")]
        if left:
            found.append(f"left {', '.join(left)}")
        if status != 0 and not text.strip() and self.signal is None and self.said.keys() >= {"stdout", "stderr"}:
            found.append(f"status {status} without a word")
        tail = " | ".join(line for line in text.strip().splitlines()[-3:]) if found else ""
        counts[f"status {status}"] += 1
        return [f"{self}: {'; '.join(found)}. It said: {tail}"] if found else []

    def _starting(self, status: int) -> bool:
        """Whether the signal came before graphspec ran: Python itself ends so then, with a traceback or without."""
        text = b"".join(self.said.values())
        ours = b"graphspec" in text or b"interrupted" in text
        return status == -self.signal and self.after < 0.5 and not ours if self.signal is not None else False

    def _wide(self) -> bool:
        return self.environment.get("PYTHONIOENCODING") == "utf-16"

    def run(self) -> int | None:
        """The exit status; None where it has to be killed."""
        argv = [sys.executable, "-m", "graphspec", *self.arguments]
        closed = [f"{n}>&-" for n, how in ((1, self.out), (2, self.err)) if how == "closed"]
        closed += ["<&-"] if self.stdin == "closed" else []
        if closed:
            argv = ["sh", "-c", f'exec "$0" "$@" {" ".join(closed)}', *argv]
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": path, **self.environment}
        with contextlib.ExitStack() as stack:
            streams = {"stdout": stack.enter_context(self._stream("stdout", self.out))}
            streams["stderr"] = stack.enter_context(self._stream("stderr", self.err))
            process = subprocess.Popen(
                argv,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=streams["stdout"],
                stderr=streams["stderr"],
                start_new_session=POSIX,
            )
            for stream in streams.values():
                if isinstance(stream, int) and stream > 2:
                    os.close(stream)  # only the command has it now
            try:
                if self.signal is not None:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(self.after)
                    process.send_signal(self.signal)
                return process.wait(LONGEST)
            except subprocess.TimeoutExpired:
                return None
            finally:
                self._end(process)

    def _end(self, process: subprocess.Popen[Any]) -> None:
        """Kill what is left of the command's processes; that there is something is a problem."""
        if not POSIX:
            if process.poll() is None:
                process.kill()
            return
        hung = process.poll() is None
        for _ in range(40):  # a worker sees that its leader has gone within a moment
            try:
                os.killpg(process.pid, 0)
            except (ProcessLookupError, PermissionError):
                return
            if hung:
                break
            time.sleep(0.1)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if not hung:
            self.said["left"] = b"Exception ignored: a process of the command was left"

    @contextlib.contextmanager
    def _stream(self, name: str, how: str) -> Iterator[Any]:
        if how in ("null", "closed"):
            yield subprocess.DEVNULL
        elif how == "full":
            with Path("/dev/full").open("wb") as full:
                yield full
        elif how == "broken":
            read, write = os.pipe()
            os.close(read)
            yield write
        elif how == "file":
            with tempfile.TemporaryFile() as file:
                yield file
                file.seek(0)
                self.said[name] = file.read()
        else:
            read, write = _terminal(20) if how == "terminal" else os.pipe()
            chunks: list[bytes] = []

            def drain() -> None:
                with contextlib.suppress(OSError):  # a terminal that nobody holds any more
                    while chunk := os.read(read, 1 << 16):
                        chunks.append(chunk)

            reader = threading.Thread(target=drain, daemon=True)
            reader.start()
            yield write
            reader.join(5)
            os.close(read)
            self.said[name] = b"".join(chunks)


def _terminal(columns: int) -> tuple[int, int]:
    """Both ends of a terminal."""
    import fcntl
    import pty
    import struct
    import termios

    read, write = pty.openpty()
    fcntl.ioctl(write, termios.TIOCSWINSZ, struct.pack("HHHH", 10, columns, 0, 0))
    return read, write


def _drawn(r: random.Random, folder: Path) -> Command:
    verb = r.choice(COMMANDS)
    arguments = (
        [verb, *_arguments(r, verb, folder)] if verb else r.choice([[], ["--help"], ["--version"], ["--", "-x"]])
    )
    if r.random() < 0.1:
        arguments.append("--help")
    if r.random() < 0.15:
        arguments += r.choice(
            [["--format", "json"], ["--format", "\x1b[1m"], ["--workers", "2"], ["--opset", "9" * 400], ["-o"], [""]]
        )
    if verb in ("validate", "summary", "plot", "train") and r.random() < 0.3:
        arguments += _sets(r)
    command = Command(
        [a.replace("\0", "") for a in arguments],
        folder,
        dict(r.choice(ENVIRONMENTS)) if r.random() < 0.5 else {},
        r.choice(OUTPUTS),
        r.choice(OUTPUTS) if r.random() < 0.5 else "pipe",
        r.choice(("null", "closed")) if POSIX else "null",
    )
    if POSIX and r.random() < 0.25:
        command.signal = r.choice((signal.SIGINT, signal.SIGINT, signal.SIGTERM))
        command.after = r.uniform(0.02, 2.0)
    return command


def _arguments(r: random.Random, verb: str, folder: Path) -> list[str]:
    odd = r.choice(ODD)
    spec = "tiny.yaml"
    if r.random() < 0.25:
        with contextlib.suppress(OSError, UnicodeError):
            shutil.copy(folder / spec, folder / odd)
        spec = odd if r.random() < 0.5 else str(folder / odd)
    if r.random() < 0.1:
        spec = r.choice(["missing.yaml", ".", "", "train.npz", "tiny.onnx", "run/spec.json", "/dev/null"])
    if r.random() < 0.1:
        text = (folder / "tiny.yaml").read_text(encoding="utf-8")
        text = text.replace(
            r.choice(["tiny", "Whether", "answer", "relu", "4"]),
            r.choice(["\U0001f600", "ü", "\\u001b[31m", "x" * 5000, "'"]),
        )
        (folder / "tiny.yaml").write_text(text, encoding="utf-8")
    output = r.choice(
        [
            odd,
            str(folder / odd),
            "net.svg",
            "out.csv",
            "out.jsonl",
            "out.npz",
            "m.onnx",
            "net.mmd",
            "/dev/full",
            "/dev/null",
        ]
    )
    run = r.choice(["run", "run", "run", "tiny.onnx", ".", odd])
    data = r.choice(["test.npz", "test.npz", "tiny.yaml", odd])
    long = ["--set", "training.epochs=60"] if r.random() < 0.5 else []
    return {
        "init": [odd, *r.choice([[], ["--kind", "binary"], ["--kind", odd]])],
        "validate": [spec, *r.choice([[], ["--data"], ["--opset", "17"], ["--target", odd], [spec] * 3])],
        "summary": [spec],
        "plot": [spec, *r.choice([[], ["-o", output], ["-o", "net.svg"], ["--expand"]])],
        "train": [
            spec,
            "--out",
            r.choice(["new", "run", odd]),
            *long,
            *r.choice([[], ["--overwrite"], ["--resume"], ["--export", output]]),
        ],
        "evaluate": [run, *r.choice([[], ["--data", data]])],
        "predict": [r.choice([run, "tiny.onnx"]), data, *r.choice([[], ["-o", output], ["-o", "out.csv"]])],
        "export": [run, "-o", output],
        "schema": r.choice([[], ["-o", output]]),
        "nonsense": [odd],
    }[verb]


def _sets(r: random.Random) -> list[str]:
    keys = [
        "training.epochs",
        "layers.hidden.units",
        "layers.0",
        "",
        ".",
        "..",
        "a" * 300,
        "inputs.features.shape",
        "vars.x",
        "name",
    ]
    keys += [
        "layers.99999999999999999999.units",
        "training.optimizer.learning_rate",
        "outputs.answer.loss",
        "\x1b[31m",
        "graphspec",
    ]
    values = [
        "3",
        "-1",
        "{",
        "[" * 500,
        "!!python/object:os.system",
        "&a [*a]",
        "1e400",
        "0x" + "f" * 5000,
        "",
        "'",
        "\n",
        "${x}",
        "null",
    ]
    values += [
        "\x1b[0m",
        "{a: {b: {c: 1}}}",
        "2026-01-01",
        "~",
        ".inf",
        "*x",
        "x: y: z",
        "%TAG",
        "ü" * 100,
        "1_000",
        "NaN",
        "|",
        "- a",
    ]
    count = r.choice([1, 2, 5, 500])
    made = [f"{r.choice(keys)}{r.choice(['=', '=', '=', '', '=='])}{r.choice(values)}" for _ in range(count)]
    return [word for item in made for word in ("--set", item)]
