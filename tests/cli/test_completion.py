"""Completion in shells: by the variables with which their scripts ask, and in real shells that are there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import SPEC, graphspec
from paths import ROOT
from typer.testing import CliRunner

from graphspec.cli.app import app
from graphspec.export.targets import TARGETS

Ask = Callable[..., list[str]]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """What bash is told about words, of which the last one is at the cursor."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(f"{SPEC}vars: {{wide: 8, $(x) y: 1}}\n", encoding="utf-8")
    (tmp_path / "broken.yaml").write_text(f"{SPEC}search: [", encoding="utf-8")
    (tmp_path / "rows.csv").write_text("a\n1\n", encoding="utf-8")
    (tmp_path / "runs" / "net").mkdir(parents=True)
    (tmp_path / "runs" / "net" / "spec.json").write_text("{}", encoding="utf-8")
    (tmp_path / "net.onnx").touch()
    (tmp_path / ".hidden.yaml").touch()
    (tmp_path / "odd" / "a run").mkdir(parents=True)

    def asked(*words: str, shell: str = "bash", **more: str) -> list[str]:
        given = {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)}
        given = given if shell == "bash" else {"_TYPER_COMPLETE_ARGS": " ".join(words)}
        for name, value in ({"_GRAPHSPEC_COMPLETE": f"complete_{shell}"} | given | more).items():
            monkeypatch.setenv(name, value)
        done = graphspec()
        assert (done.exit_code, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return asked


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("tr", ["train"]),
        ("train --s", ["--signature", "--set"]),
        ("train ne", ["net.yaml"]),
        ("validate ne", ["net.onnx", "net.yaml"]),
        ("evaluate runs/", ["runs/net"]),
        ("export r", ["runs/"]),
        ("export odd/", []),  # a name that the shell quotes
        ("inspect ", []),  # any file: the shell completes it
        ("train net.yaml --out ", []),
        ("init new.yaml --kind t", ["text", "tags", "two-heads"]),
        ("init new.yaml --like resnet", ["resnet50"]),
        ("train .h", [".hidden.yaml"]),  # hidden files only for who begins with a dot
        ("train ", ["broken.yaml", "net.yaml", "odd/", "runs/"]),
        ("explain GS302 GS61", ["GS610", "GS611"]),
        ("export runs/net --target on", ["onnx"]),
        ("train net.yaml --set tr", ["training."]),
        ("train --set layers.hidden.un net.yaml", ["layers.hidden.units="]),
        ("validate net.yaml --set training.epochs=3 --set training.ba", ["training.batch_size="]),
        ("train net.yaml --set training.combine = m", ["mean"]),  # bash separates words at =
        ("train net.yaml --set = training.combine =", ["mean", "sum"]),
        ("train net.yaml --set vars.", ["vars.wide="]),  # not what a shell would have to quote
        ("train broken.yaml --set layers.dr", ["layers.dropped."]),
        ("train nowhere.yaml --set tr", []),
        ("train --set tr", []),
        ("", None),
    ],
)
def test_bash(ask: Ask, line: str, found: list[str] | None) -> None:
    words = line.split(" ")
    at = words.index("net.yaml") - 1 if words[-1] == "net.yaml" else len(words) - 1
    told = ask("graphspec", *words, COMP_CWORD=str(at + 1))
    if found is None:
        assert {"init", "train", "doctor"} <= {*told}
    elif line.startswith("explain"):
        assert {*found} <= {*told} or all(code.startswith("GS61") for code in told)
    else:
        assert told == found


def test_values_of_a_path_and_of_all_targets(ask: Ask) -> None:
    assert ask("graphspec", "train", "net.yaml", "--set", "training.optimizer", "=", "adamw") == ["adamw"]
    assert ask("graphspec", "train", "net.yaml", "--set", "training.optimizer=adamw") == ["training.optimizer=adamw"]
    assert ask("graphspec", "export", "runs/net", "--target", "") == [*TARGETS]


def test_zsh_gets_a_list_with_a_space_and_one_without(ask: Ask) -> None:
    told = ask("graphspec", "train", "net.yaml", "--set", "training.epo", shell="zsh")
    assert told[1] == "local -a open; open=('training.epochs=:Passes over the training rows.');"
    assert "whole=('train:Train a spec on its data" in ask("graphspec", "tra", shell="zsh")[0]
    assert ask("graphspec", "inspect", "x", shell="zsh")[-1] == "_files"


def test_fish_asks_twice(ask: Ask) -> None:
    action = {"shell": "fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert ask("graphspec", "explain", "GS302", **action)[0].startswith("GS302\t")
    assert ask("graphspec", "explain", "GS302", shell="fish", _TYPER_COMPLETE_FISH_ACTION="is-args") == []
    with pytest.raises(AssertionError, match="1"):
        ask("graphspec", "inspect", "x", shell="fish", _TYPER_COMPLETE_FISH_ACTION="is-args")


def test_powershell_is_answered_by_typer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ARGS": "graphspec tra", "WORD_TO_COMPLETE": "tra"}.items():
        monkeypatch.setenv(f"_TYPER_COMPLETE_{name}", value)
    monkeypatch.setenv("_GRAPHSPEC_COMPLETE", "complete_powershell")
    done = CliRunner().invoke(app, [], prog_name="graphspec")
    assert (done.exit_code, done.stdout.partition(":::")[0]) == (0, "train")


@pytest.mark.slow
def test_the_scripts_are_shown() -> None:
    done = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True, timeout=60)
    assert "compopt -o nospace;; esac\n    return 0" in done.stdout


SHOW = """
import shellingham
shellingham.detect_shell = lambda: ("bash", "/bin/bash")
from graphspec.cli.app import app
app(["--show-completion"], prog_name="graphspec")
"""
SETUP = {
    "bash": (["--norc", "--noprofile", "-i"], 'eval "$(graphspec --show-completion)"'),
    "zsh": (["-f", "-i"], 'autoload -Uz compinit; compinit -u; eval "$(graphspec --show-completion)"'),
    "fish": (["-N", "-i"], "graphspec --show-completion | source"),
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="it needs a pseudo-terminal")
@pytest.mark.parametrize("shell", SETUP)
def test_a_real_shell(shell: str, tmp_path: Path) -> None:
    """What is typed with tabs is the command that is then run, with spaces only after complete words."""
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    (tmp_path / "net.yaml").write_text(SPEC, encoding="utf-8")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "graphspec"
    shown = f'[ "$#" -gt 1 ] && exec printf "<%s>" "$@" > {tmp_path}/shown'
    run = f'[ "$#" = 1 ] && exec {sys.executable} -m graphspec "$@"'  # typer looks which shell is the parent
    ask = f"{sys.executable} -m graphspec; status=$?; echo >> {tmp_path}/asked; exit $status"
    program.write_text(f"#!/bin/sh\n{shown}\n{run}\n{ask}\n", encoding="utf-8")
    program.chmod(0o755)
    options, setup = SETUP[shell]
    environment = (
        os.environ
        | {
            "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }
        | {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "TERM": "dumb", "LC_ALL": "C.UTF-8"}
    )
    import pty

    mine, theirs = pty.openpty()
    started = subprocess.Popen(
        [sys.executable, "-c", CONTROL, shell, *options],
        **dict.fromkeys(("stdin", "stdout", "stderr"), theirs),
        cwd=tmp_path,
        env=environment,
        start_new_session=True,
    )
    typed = ["graphspec tra\t", "net.y\t", "--set training.op\t", "=adamw\t", "--set training.ep\t"]
    try:
        for text in [f"{setup}; echo >> {tmp_path}/asked\n", *typed]:
            before = lines_of(tmp_path / "asked")
            os.write(mine, text.encode())
            settled(mine, lambda n=before: lines_of(tmp_path / "asked") > n)
        os.write(mine, b"9\n")
        settled(mine, (tmp_path / "shown").exists)
    finally:
        started.kill()
        started.wait()
        os.close(mine)
        os.close(theirs)
    words = re.findall("<(.*?)>", (tmp_path / "shown").read_text(encoding="utf-8"))
    assert words == ["train", "net.yaml", "--set", "training.optimizer=adamw", "--set", "training.epochs=9"]


CONTROL = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"


def lines_of(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("\n") if path.exists() else 0


def settled(terminal: int, is_done: Callable[[], bool]) -> None:
    """Read what a shell writes until it is done and silent, and answer what a terminal is asked for."""
    import select

    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 0.5)[0]:
            if is_done():
                return
        elif b"\x1b[c" in os.read(terminal, 65536):
            os.write(terminal, b"\x1b[?6c")
