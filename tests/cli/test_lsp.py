"""``graphspec lsp`` without the package that it needs. ``tests/editor/test_server.py`` tests the server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import graphspec
from paths import ROOT

from graphspec.base.libraries import missing_library


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["pygls", "lsprotocol", "cattrs"])
def test_without_pygls_it_says_what_to_install(missing: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{missing!r}] = None\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    command = [sys.executable, "-m", "graphspec", "lsp"]
    done = subprocess.run(
        command, input="", capture_output=True, encoding="utf-8", env=environment, check=False, timeout=60
    )
    assert done.returncode == 2
    assert missing_library("pygls") in done.stderr
    assert done.stdout == ""


def test_the_command_is_listed() -> None:
    assert "lsp" in graphspec("--help").stdout
    assert "--data" in graphspec("lsp", "--help").stdout


@pytest.mark.slow
def test_other_commands_do_not_import_pygls() -> None:
    code = "import sys, graphspec.cli.app\nassert not {'pygls', 'lsprotocol', 'graphspec.editor'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
