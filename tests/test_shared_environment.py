"""One environment for many people: its folder and their homes cannot be written to, and all commands work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from paths import ROOT
from test_distribution import BACKEND, RUN, build

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="modes of folders are POSIX's"),
]

SMALL = ["--set", "training.folds=2", "--set", "training.forms=null", "--set", "training.epochs=2"]
COMMANDS = [
    ["init", "penguins.yaml", "--from", "penguins.csv", "--target", "species"],
    ["validate", "penguins.yaml", "--data"],
    ["summary", "penguins.yaml"],
    ["plot", "penguins.yaml", "-o", "penguins.svg"],
    ["train", "penguins.yaml", "--export", "penguins.onnx", *SMALL],
    ["predict", "penguins.onnx", "penguins.csv", "-o", "answers.csv"],
    ["page", "penguins.onnx"],
]


def unprivileged() -> list[str]:
    """What starts a program that may write only where modes of files let it: root may write everywhere."""
    if os.geteuid() != 0:
        return []
    if (setpriv := shutil.which("setpriv")) is None:
        pytest.skip("root may write everywhere, and setpriv is not installed")
    return [setpriv, "--bounding-set=-dac_override", "--inh-caps=-dac_override", "--"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package as its wheel installs it, in a folder that nobody can write to."""
    pytest.importorskip(BACKEND.partition(".")[0])
    folder = tmp_path_factory.mktemp("environment")
    with zipfile.ZipFile(build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))) as archive:
        archive.extractall(folder)
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(path.stat().st_mode & ~0o222)
    yield folder
    for path in paths:
        path.chmod(path.stat().st_mode | 0o200)


def test_an_environment_that_nobody_can_write_to_serves_two_people_at_once(environment: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    before = {path: path.stat().st_mtime_ns for path in [environment, *environment.rglob("*")]}
    places = {"PYTHONPATH": os.pathsep.join([str(environment), *filter(None, [os.environ.get("PYTHONPATH")])])}
    places |= {"HOME": str(home), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    started = []
    for name in ("ada", "bob"):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(ROOT / "specs" / "data" / "penguins.csv", folder)
        command = [*unprivileged(), sys.executable, "-P", "-c", RUN, repr(COMMANDS)]
        started.append(
            subprocess.Popen(
                command,
                cwd=folder,
                env=os.environ | places,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    for process in started:
        said, _ = process.communicate(timeout=300)
        file, *statuses = said.splitlines()[-1].rsplit(" ", len(COMMANDS))
        assert Path(file).is_relative_to(environment), "another graphspec was imported"
        assert statuses == ["0"] * len(COMMANDS), said
    assert {path: path.stat().st_mtime_ns for path in [environment, *environment.rglob("*")]} == before
    assert list(home.iterdir()) == []
    assert (tmp_path / "ada" / "runs" / "penguins" / "weights.safetensors").is_file()


def test_the_modes_hold(environment: Path) -> None:
    code = f"open({str(environment / 'x')!r}, 'w')"
    done = subprocess.run([*unprivileged(), sys.executable, "-c", code], capture_output=True, text=True)
    assert "PermissionError" in done.stderr
