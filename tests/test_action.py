"""The action of `.github/actions/validate`: its steps, run by bash as a runner of GitHub does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from paths import ROOT
from ruamel.yaml import YAML

ACTION = ROOT / ".github" / "actions" / "validate" / "action.yml"
GOOD = """graphspec: 1
name: good
inputs: {x: {shape: [2]}}
layers: [{name: y, type: Dense, units: 1}]
outputs: {y: {loss: mse}}
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix" or shutil.which("bash") is None, reason="runs bash"),
]


def steps() -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load(ACTION)["runs"]["steps"])


def validated(folder: Path, specs: str) -> tuple[int, str, dict[str, str]]:
    """The status, what the log says, and the files that a runner reads, after the step that validates."""
    [step] = [step for step in steps() if step.get("id") == "validate"]
    assert step["env"] == {"SPECS": "${{ inputs.specs }}"}  # never in the script itself, where it would be code
    programs = folder / "temp" / "graphspec" / "bin"
    programs.mkdir(parents=True)
    (programs / "graphspec").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m graphspec "$@"\n')
    (programs / "graphspec").chmod(0o755)
    files = {name: folder / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    environment = os.environ | {"RUNNER_TEMP": str(folder / "temp"), "SPECS": specs, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=folder,
        env=environment | {name: str(path) for name, path in files.items()},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, {name: p.read_text() if p.exists() else "" for name, p in files.items()}


def test_mistakes_are_at_their_lines(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(GOOD.replace("Dense", "Dens"))
    status, log, files = validated(tmp_path, "**/good.yaml\nb*.yaml nothing*.yaml")
    assert status == 1
    assert log.startswith("::error file=bad.yaml,line=4,endLine=4,col=26,")
    assert log.count("::") == 2
    assert files["GITHUB_OUTPUT"] == "checked=2\n"
    assert files["GITHUB_STEP_SUMMARY"].startswith("### graphspec: 2 specs, mistakes found\n```\na/good.yaml: ok (")
    assert "did you mean 'Dense'?" in files["GITHUB_STEP_SUMMARY"]


def test_good_specs_pass_and_no_spec_fails(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    status, log, files = validated(tmp_path, "*.yaml")
    assert (status, log) == (0, "")
    assert files["GITHUB_STEP_SUMMARY"].startswith("### graphspec: 1 spec, all right\n")
    shutil.rmtree(tmp_path / "temp")
    status, log, _ = validated(tmp_path, "specs/*.yaml")
    assert (status, log) == (1, "::error title=graphspec::no file matches: specs/*.yaml\n")


def test_graphspec_is_installed_from_the_folder_of_the_action() -> None:
    [step] = [step for step in steps() if step.get("name") == "install graphspec"]
    folder = step["run"].split('"$GITHUB_ACTION_PATH/', 1)[1].split('"')[0]
    assert (ACTION.parent / folder / "pyproject.toml").resolve() == ROOT / "pyproject.toml"
