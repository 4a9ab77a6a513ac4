"""``%%graphspec``, with a shell that is none, and with IPython's where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.show.notebook.pages import CellError, register
from specs import blobs

CELL = """\
graphspec: 1
name: two-kinds
inputs: {features: {shape: [4]}}
layers:
  - {name: kind, type: Dense, units: 3, activation: softmax}
outputs: {kind: {loss: sparse_categorical_crossentropy}}
training: {epochs: 2}
data: {train: {file: rows.npz}}
"""


class Shell:
    """What a notebook has."""

    def __init__(self) -> None:
        self.user_ns: dict[str, Any] = {}
        self.magics: dict[str, Callable[[str, str], None]] = {}
        self.shown: list[Any] = []

    def register_magic_function(self, func: Callable[..., Any], magic_kind: str, magic_name: str) -> None:
        assert magic_kind == "cell"
        self.magics[magic_name] = func

    def run(self, line: str, cell: str = CELL) -> None:
        self.magics["graphspec"](line, cell)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.chdir(tmp_path)
    x, y = blobs(24)
    np.savez(tmp_path / "rows.npz", features=x, kind=y)
    shell = Shell()
    register(shell, gs.compile, shell.shown.append)
    return shell


def test_the_model_is_a_variable(shell: Shell) -> None:
    shell.run("model --set training.epochs=5")
    model = shell.user_ns["model"]
    assert isinstance(model, gs.Model)
    assert model.spec.training.epochs == 5
    assert shell.shown == [model]
    shell.run("")
    assert shell.user_ns["two_kinds"].spec.training.epochs == 2


def test_fit_shows_the_curves(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run("--fit")
    model = shell.user_ns["two_kinds"]
    assert model.epochs_done == 2
    assert shell.shown == [model, model.history]
    assert "epoch 2/2" in capsys.readouterr().out


def test_a_wrong_cell_shows_its_own_lines(shell: Shell) -> None:
    with pytest.raises(CellError) as caught:
        shell.run("model", CELL.replace("Dense", "Dens"))
    assert "model" not in shell.user_ns
    (found,) = shell.shown
    assert [(d.code, d.file, d.line) for d in found] == [("GS111", "cell", 6)], "the magic is line 1"
    page = found._repr_html_()
    assert "cell:6:" in page
    assert "{name: kind, type: Dens, units: 3" in page
    assert caught.value._render_traceback_() == [], "nothing is printed after the diagnostics"


def test_data_that_are_not_there(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "rows.npz").unlink()
    with pytest.raises(CellError):
        shell.run("--fit")
    assert [d.code for d in shell.shown[-1]] == ["GS501"]
    assert isinstance(shell.user_ns["two_kinds"], gs.Model)


def test_save_keeps_what_is_there(shell: Shell, tmp_path: Path) -> None:
    shell.run("--save net.yaml")
    assert (tmp_path / "net.yaml").read_text(encoding="utf-8") == CELL
    shell.run("--save net.yaml")
    other = CELL.replace("units: 3", "units: 5")
    with pytest.raises(CellError, match=r"net\.yaml has another content; add --overwrite") as caught:
        shell.run("--save net.yaml", other)
    assert caught.value._render_traceback_() == ["net.yaml has another content; add --overwrite to replace it"]
    assert (tmp_path / "net.yaml").read_text(encoding="utf-8") == CELL
    shell.run("--save net.yaml --overwrite", other)
    assert (tmp_path / "net.yaml").read_text(encoding="utf-8") == other
    assert gs.compile("net.yaml").spec.name == "two-kinds"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("2model", "'2model' is no name of a variable; write %%graphspec"),
        ("class", "'class' is no name of a variable"),
        ("--epochs=3", "unrecognized arguments: --epochs=3; write %%graphspec"),
        ("'model", "no closing quotation"),
        ("--set training.epoch=3", "epoch"),
    ],
)
def test_wrong_options(shell: Shell, line: str, says: str) -> None:
    with pytest.raises(CellError) as caught:
        shell.run(line)
    assert says in str(caught.value) + "".join(map(str, shell.shown))


def test_variables_of_python_are_not_put_in(shell: Shell) -> None:
    assert vars(shell.magics["graphspec"])["_ipython_magic_no_var_expand"]


def test_load_ext(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    shell = Shell()
    gs.load_ipython_extension(shell)
    assert "graphspec" in shell.magics


def test_in_ipython(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interactive = pytest.importorskip("IPython.core.interactiveshell")
    capture = pytest.importorskip("IPython.utils.capture")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))  # its history, which is else in the home folder
    shell = interactive.InteractiveShell.instance()
    with capture.capture_output() as captured:
        assert shell.run_cell("%load_ext graphspec").success
        assert shell.run_cell("%%graphspec model\n" + CELL).success
        assert not shell.run_cell("%%graphspec model\n" + CELL.replace("Dense", "Dens")).success
    assert "Traceback" not in captured.stdout
    pages = [output.data["text/html"] for output in captured.outputs]
    assert "two-kinds" in pages[0]
    assert "cell:6:" in pages[1]
