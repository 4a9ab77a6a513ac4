"""The command line: help, validate, summary, init, and errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from commands import SPEC, graphspec, project
from paths import ROOT

from graphspec import Diagnostic, RunError, SpecError, UsageError, __version__
from graphspec.base.arrays.cores import ONE_THREAD
from graphspec.cli import console
from graphspec.cli.app import COMMANDS
from graphspec.cli.init import Kind

WRONG = SPEC.replace("units: 8", "units: eight").replace("activation: sigmoid", "activation: sigmod")


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_version() -> None:
    result = graphspec("--version")
    assert (result.exit_code, result.stdout) == (0, f"graphspec {__version__}\n")


def test_help_names_every_verb() -> None:
    result = graphspec("--help")
    assert result.exit_code == 0
    assert all(verb.__name__ in result.stdout for verb in COMMANDS)


@pytest.mark.parametrize("verb", [v.__name__ for v in COMMANDS])
def test_help_of(verb: str) -> None:
    result = graphspec(verb, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


@pytest.mark.parametrize("verb", ["summary", "predict", "export"])
def test_help_says_what_an_option_is_by_default(verb: str) -> None:
    assert "by default" in " ".join(graphspec(verb, "--help").stdout.split())


@pytest.mark.parametrize("words", [["nonsense"], ["train"], ["train", "a.yaml", "--bogus"], ["validate"]], ids=" ".join)
def test_wrong_usage(words: list[str]) -> None:
    result = graphspec(*words)
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr


# validate


def test_validate_ok(tmp_path: Path) -> None:
    result = graphspec("validate", project(tmp_path))
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'tiny.yaml'}: ok (49 parameters, 3 layers)\n"


def test_validate_counts_problems_and_takes_the_worst_status() -> None:
    Path("good.yaml").write_text(SPEC)
    Path("bad.yaml").write_text(WRONG)
    result = graphspec("validate", "bad.yaml", "good.yaml")
    assert result.exit_code == 1
    assert "bad.yaml:7:40: error[GS104]" in result.stdout
    assert "did you mean 'sigmoid'?" in result.stdout
    assert "bad.yaml: 2 errors\n" in result.stdout
    assert result.stdout.endswith("good.yaml: ok (49 parameters, 3 layers)\n")


def test_validate_says_warnings() -> None:
    Path("a.yaml").write_text(SPEC.replace("loss: binary_crossentropy, metrics: [accuracy], ", ""))
    result = graphspec("validate", "a.yaml")
    assert result.exit_code == 0
    assert "warning[GS404]" in result.stdout
    assert "a.yaml: ok, 1 warning (49 parameters, 3 layers)" in result.stdout
    assert graphspec("validate", "a.yaml", "--strict").exit_code == 1
    Path("good.yaml").write_text(SPEC)
    assert graphspec("validate", "good.yaml", "--strict").exit_code == 0


def test_validate_json_and_nothing_else() -> None:
    Path("good.yaml").write_text(SPEC)
    Path("bad.yaml").write_text(WRONG)
    result = graphspec("validate", "good.yaml", "bad.yaml", "--format", "json")
    assert (result.exit_code, result.stderr) == (1, "")
    found = json.loads(result.stdout)
    assert [(d["code"], d["line"]) for d in found] == [("GS104", 7), ("GS111", 9)]
    keys = ["code", "severity", "message", "file", "line", "column", "end_line", "end_column", "path", "hint", "nodes"]
    assert all(list(d) == keys for d in found)


def test_validate_json_of_a_good_spec(tmp_path: Path) -> None:
    result = graphspec("validate", project(tmp_path), "--format", "json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])


def test_validate_data(tmp_path: Path) -> None:
    spec = project(tmp_path)
    assert graphspec("validate", spec, "--data").exit_code == 0
    Path("test.npz").unlink()
    assert graphspec("validate", spec).exit_code == 0
    result = graphspec("validate", spec, "--data")
    assert result.exit_code == 1
    assert "error[GS501]" in result.stdout


def test_validate_set(tmp_path: Path) -> None:
    spec = project(tmp_path)
    result = graphspec("validate", spec, "--set", "layers.hidden.units=16", "--set", "training.epochs=9")
    assert "ok (97 parameters" in result.stdout
    result = graphspec("validate", spec, "--set", "layers.hiden.units=16")
    assert result.exit_code == 2
    assert "did you mean 'hidden'?" in result.stderr


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_validate_what_is_no_file(name: str) -> None:
    result = graphspec("validate", name)
    assert result.exit_code == 1
    assert "error[GS101]" in result.stdout


# summary


def test_summary(tmp_path: Path) -> None:
    result = graphspec("summary", project(tmp_path), "--batch-size", "100")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["hidden", "Dense", "(N,", "8)", "40", "6.2", "KiB", "32", "features"] in lines
    assert "49 parameters: 49 trainable, 0 not trained" in result.stdout
    assert "40 multiply-adds per row" in result.stdout
    assert "memory at batch size 100" in result.stdout


def test_summary_of_a_wrong_spec() -> None:
    Path("bad.yaml").write_text(WRONG)
    result = graphspec("summary", "bad.yaml")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("error[") == 2


# init


def test_every_kind_has_a_template() -> None:
    names = {Path(f.name).stem for f in files("graphspec.cli").joinpath("templates").iterdir() if f.is_file()}
    assert names == {kind.value for kind in Kind}


@pytest.mark.parametrize("kind", [k.value for k in Kind])
def test_init_writes_a_spec_that_validates(kind: str) -> None:
    result = graphspec("init", "my net.yaml", "--kind", kind)
    assert result.exit_code == 0, result.stderr
    text = Path("my net.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=./graphspec.schema.json\n")
    assert "\nname: my_net\n" in text
    assert json.loads(Path("graphspec.schema.json").read_text(encoding="utf-8"))["title"] == "graphspec"
    checked = graphspec("validate", "my net.yaml")
    assert "my net.yaml: ok (" in checked.stdout, checked.stdout


def test_init_finds_the_schema_of_the_project() -> None:
    for folder in ("schemas", "specs/more"):
        Path(folder).mkdir(parents=True)
    Path("schemas/graphspec.schema.json").write_text("{}")
    graphspec("init", "specs/more/a.yaml")
    assert "$schema=../../schemas/graphspec.schema.json" in Path("specs/more/a.yaml").read_text()
    assert not Path("specs/more/graphspec.schema.json").exists()


@pytest.mark.parametrize("name", ["1.yaml", "null.yaml", "…….yaml"])
def test_init_names(name: str) -> None:
    graphspec("init", name)
    assert graphspec("validate", name).exit_code == 0


def test_init_refuses() -> None:
    Path("a.yaml").write_text("mine")
    assert graphspec("init", "a.yaml").exit_code == 2
    assert Path("a.yaml").read_text() == "mine"
    assert graphspec("init", "a.txt").exit_code == 2
    assert graphspec("init", "nowhere/a.yaml").exit_code == 2
    assert graphspec("init", "b.yaml", "--kind", "bogus").exit_code == 2


# Errors


def _raise(error: BaseException) -> Callable[[], int]:
    def action() -> int:
        raise error

    return action


LESS = "  = help: use a smaller `batch_size` or smaller layers, or allow the process more memory\n"


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (SpecError([Diagnostic("GS101", "bad", "x.yaml", 1, 1)]), 1, "x.yaml:1:1: error[GS101]: bad\n\n"),
        (UsageError("no"), 2, "error: no\n"),
        (RunError("GS601", "the loss is nan", "scale"), 3, "error[GS601]: the loss is nan\n  = help: scale\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (FileNotFoundError(2, "No such file", "a.bin"), 2, "error: a.bin: No such file\n"),
        (OSError(28, "No space left on device"), 3, "error: No space left on device\n"),
        (MemoryError(), 3, f"error[GS602]: out of memory\n{LESS}"),
        (MemoryError("Unable to allocate 8 GiB"), 3, f"error[GS602]: out of memory: Unable to allocate 8 GiB\n{LESS}"),
        (
            ImportError("a.so: failed to map segment"),
            3,
            f"error[GS602]: out of memory: a.so: failed to map segment\n{LESS}",
        ),
        (
            ModuleNotFoundError("No module", name="graphspec.show"),
            2,
            "error: this installation has no `graphspec.show`, which this needs\n  = help: install graphspec as a whole\n",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_errors(error: BaseException, status: int, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert console.attempt(_raise(error)) == status
    assert capsys.readouterr() == ("", text)


def test_an_unexpected_error_shows_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GRAPHSPEC_DEBUG", raising=False)
    assert console.attempt(_raise(IndexError("oops"))) == 70
    text = capsys.readouterr().err
    assert text.startswith("internal error, please report: IndexError: oops\n")
    assert "Traceback" not in text
    monkeypatch.setenv("GRAPHSPEC_DEBUG", "1")
    assert console.attempt(_raise(IndexError("oops"))) == 70
    assert "Traceback" in capsys.readouterr().err


def _python(*arguments: object, **more: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "graphspec", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, **more)


@pytest.mark.slow
@pytest.mark.parametrize(("value", "why"), [("quick", "got 'quick'"), ("plain", "`plain` is now called `reference`")])
def test_unknown_choice_of_kernels(tmp_path: Path, value: str, why: str) -> None:
    result = _python("validate", project(tmp_path), env={**os.environ, "GRAPHSPEC_KERNELS": value})
    assert result.returncode == 2
    said = f"error: GRAPHSPEC_KERNELS must be reference, fast or compiled, or not be set: {why}"
    assert " ".join(result.stderr.decode().split()) == said


@pytest.mark.slow
@pytest.mark.parametrize(("variables", "number"), [({}, "1"), ({"OMP_NUM_THREADS": "2"}, "2")])
def test_a_command_has_one_blas_thread_unless_the_user_sets_a_number(variables: dict[str, str], number: str) -> None:
    code = "import atexit, os, sys; from graphspec.__main__ import main; sys.argv = ['graphspec', '--version']\n"
    code += "atexit.register(lambda: print(os.environ['OMP_NUM_THREADS'], 'numpy' in sys.modules)); main()"
    environment = {k: v for k, v in os.environ.items() if k not in ONE_THREAD} | variables
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment, text=True)
    assert result.stdout.splitlines()[-1] == f"{number} False"  # the variable is there before NumPy reads it


@pytest.mark.slow
def test_forced_kernels_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "graphspec_kernels.py").write_text("raise ImportError('not for this processor')\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    forced = {**os.environ, "GRAPHSPEC_KERNELS": "compiled", "PYTHONPATH": path}
    result = _python("train", project(tmp_path), env=forced)
    assert result.returncode == 2
    said = "error: GRAPHSPEC_KERNELS=compiled: graphspec-onnx-kernels cannot be loaded (not for this processor); "
    assert " ".join(result.stderr.decode().split()).startswith(said)


@pytest.mark.slow
def test_a_console_without_unicode() -> None:
    Path("bad.yaml").write_text(WRONG)
    result = _python("validate", "bad.yaml", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert result.returncode == 1
    assert b"\n  |\n7 |   - {name: hidden" in result.stdout


@pytest.mark.slow
def test_a_reader_that_leaves(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "graphspec", "schema"]
    result = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (result.returncode, result.stderr) == (141, b"")


@pytest.mark.slow
def test_starting_imports_nothing_heavy() -> None:
    """``validate`` must be quick: it does not import modules that only other commands need."""
    code = "import sys, graphspec.cli.app; print(*(m for m in %r if m in sys.modules))"
    heavy = ["numpy", "onnx", "onnxruntime", "duckdb", "networkx", "rich.progress"]
    result = subprocess.run([sys.executable, "-c", code % heavy], capture_output=True, text=True, check=True)
    assert result.stdout == "\n"


@pytest.mark.slow
def test_checking_imports_nothing_that_it_does_not_need() -> None:
    code = "import sys, graphspec; graphspec.validate(%r); print(*(m for m in %r if m in sys.modules))"
    heavy = ["onnx", "onnxruntime", "duckdb", "networkx", "rich", "safetensors", "tensorboardX"]
    heavy += [
        "graphspec.vocabulary.layers.recurrent",
        "graphspec.vocabulary.layers.cells",
        "graphspec.vocabulary.layers.convolution",
        "graphspec.vocabulary.layers.attention",
    ]
    heavy += [
        "graphspec.vocabulary.metrics.classes",
        "graphspec.vocabulary.losses.classes",
        "graphspec.graph.optimizers.by_weight",
        "graphspec.vocabulary.callbacks.logging",
    ]
    heavy += ["graphspec.graph.ops.convolution", "graphspec.graph.ops.recurrent", "graphspec.graph.kernels.recurrence"]
    spec = str(ROOT / "specs" / "newswires.yaml")
    command = [sys.executable, "-c", code % (spec, heavy)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == "\n"


@pytest.mark.slow
def test_ending_searches_nothing() -> None:
    """All objects are frozen before the interpreter would scan them for garbage."""
    code = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 1000));"
    code += "from graphspec.__main__ import main; main()"
    result = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[1:] == ["True"]
