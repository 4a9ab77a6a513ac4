"""Errors of the command line: one line that says what is wrong, and the option or command that was meant."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from commands import graphspec
from paths import ROOT

from graphspec.__main__ import ALONE, BESIDE, app_for
from graphspec.cli.app import COMMANDS
from graphspec.cli.usage import tables


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("train s.yaml --epochs 3", "error: train has no option --epochs\n  = help: write `--set training.epochs=3`\n"),
        ("train s.yaml --epochs=3", "error: train has no option --epochs\n  = help: write `--set training.epochs=3`\n"),
        ("train --batch-size 32 s.yaml", "= help: write `--set training.batch_size=32`\n"),
        ("train s.yaml --lr 0.1", "= help: write `--set training.optimizer.learning_rate=0.1`\n"),
        ("train s.yaml --learning_rate 0.1", "= help: write `--set training.optimizer.learning_rate=0.1`\n"),
        ("train s.yaml --workers auto", "= help: write `--set training.workers=auto`\n"),
        ("train s.yaml --seed", "= help: write `--set training.seed=VALUE`\n"),
        ("train s.yaml --weight-decay .1", "= help: write `--set training.optimizer.weight_decay=.1`\n"),
        ("train s.yaml -o dir", "error: train has no option -o\n  = help: write `--out dir`\n"),
        ("train s.yaml --force", "= help: write `--overwrite`\n"),
        ("train s.yaml --exprt a.onnx", "= help: did you mean '--export'?\n"),
        ("train s.yaml --quux", "= help: `graphspec train --help` lists the options\n"),
        ("train s.yaml --mpi=3", "error: --mpi takes no value\n  = help: write `--mpi` alone\n"),
        ("predict r t.npz --batch-size 3", "= help: the spec sets it: `training.batch_size`\n"),
        ("evaluate r -x", "= help: `graphspec evaluate --help` lists the options\n"),
        ("evaluate none.onnx", "error: none.onnx does not exist; name a run directory or an ONNX file\n"),
        ("validate s.yaml --json", "= help: write `--format json`\n"),
        ("fit s.yaml", "error: there is no command 'fit'\n  = help: did you mean 'train'?\n"),
        ("run s.yaml", "did you mean 'train'?"),
        ("test s.yaml", "did you mean 'evaluate'?"),
        ("check s.yaml", "did you mean 'validate'?"),
        ("compile s.yaml", "did you mean 'validate'?"),
        ("tran s.yaml", "error: there is no command 'tran'\n  = help: did you mean 'train'?\n"),
        ("quux", "= help: the commands are init, import, data, validate,"),
        ("train", "error: train needs SPEC: the spec, a YAML or JSON file\n"),
        ("export runs/r", "error: name what to write: a file with `-o`, or a folder with `--mlflow` or `--triton`\n"),
        ("train s.yaml b.yaml", "error: train does not take 'b.yaml'\n"),
        ("train s.yaml --out", "error: --out needs a value\n"),
        ("train s.yaml --resume=3", "error: --resume: write `--resume` alone, or `--resume auto`, not '3'\n"),
        ("export runs/r -o a.onnx --opset new", "error: --opset must be an integer\n"),
        ("init a.yaml --kind image", "not 'image'\n  = help: did you mean 'images'?\n"),
        ("init a.yaml --kind forecast", "not 'forecast'\n  = help: write `--kind sequence`\n"),
        ("init a.yaml --kind quux", "not 'quux'\n  = help: `graphspec init --list` explains them\n"),
        ("init a.yaml t.csv", "init does not take 't.csv'\n  = help: write `--from t.csv --target COLUMN`\n"),
        ("sweep a.yaml", "= help: `graphspec search` tries settings: docs/tutorials/settings.md"),
        ("serve", "error: serve needs FILE|RUN: an exported file, or a run, which is exported and proved first\n"),
        ("diagnose", "did you mean 'doctor'?"),
        ("completion bash", "= help: `graphspec --install-completion` makes"),
        ("compare runs/a runs/b", "= help: did you mean 'report'?\n"),
        ("report", "error: report needs RUN: run directories, as `train` writes them\n"),
        ("report", "report [OPTIONS] RUN...; `graphspec report --help` explains it\n"),
        ("report runs/none", "error: runs/none does not exist; name a run directory\n"),
        ("report none.onnx", "error: none.onnx does not exist; name a run directory\n"),
        ("diff a.yaml", "error: diff needs NEW: the spec, run or file to compare it with\n"),
        ("explain nothing", "error: there is no code 'nothing'; `graphspec explain` lists all codes; did you mean"),
        ("train t.csv", "t.csv is a data file, not a spec; `graphspec init net.yaml --from t.csv --target COLUMN`"),
        ("validate s.yaml --format jsn", "error: --format is one of text, json, "),
    ],
)
def test_answer(words: str, answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = graphspec(*words.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    assert answer in result.stderr
    assert result.stderr.startswith("error: ")
    assert "Value error" not in result.stderr


def test_every_command_that_is_meant_exists() -> None:
    names = {command.__name__ for command in COMMANDS}
    assert not {meant.split()[0] for meant in tables()["commands"].values() if not meant.startswith("--")} - names
    assert not names & set(tables()["commands"])


@pytest.mark.slow
def test_a_command_in_a_file_of_its_name_loads_no_other() -> None:
    assert {c.__name__ for c in COMMANDS if c.__module__ == f"graphspec.cli.{c.__name__}"} == {*ALONE} - BESIDE.keys()
    code = "import sys; from graphspec.__main__ import app_for; app_for(['validate', 'x']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "graphspec.cli.validate" in loaded
    assert not {"graphspec.cli.app", "graphspec.cli.train", "numpy"} & {*loaded}


@pytest.mark.slow
@pytest.mark.parametrize("words", ["penguins.yaml", "penguins.yaml none.yaml", "data -", "penguins.yaml --strict"])
def test_files_alone_are_validated_without_typer_and_alike(words: str) -> None:
    """``validate`` of files alone is called without typer, which any option loads."""
    given = [word if word[:1] == "-" else str(ROOT / "specs" / word) for word in words.split()]
    code = "import sys; from graphspec.__main__ import main; sys.argv[1:] = %r\ntry: main()\n"
    code += "finally: print('typer' in sys.modules, file=sys.stderr)"
    with_typer = graphspec("validate", *given)
    command = [sys.executable, "-c", code % ["validate", *given]]
    alone = subprocess.run(command, capture_output=True, text=True, check=False)
    loaded = "-" in words
    assert alone.stderr == f"{with_typer.stderr}{loaded}\n"
    assert (alone.returncode, alone.stdout) == (with_typer.exit_code, with_typer.stdout)


def test_each_command_that_is_loaded_alone_is_where_it_is_looked_for() -> None:
    for name in ALONE:
        assert [c.callback.__name__ for c in app_for([name]).registered_commands] == [name]
