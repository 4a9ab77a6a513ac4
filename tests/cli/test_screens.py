"""What every command prints, at 60, 80 and 120 columns: golden screens, and no line that is renamed than the terminal.

``UPDATE_SCREENS=1 pytest tests/cli/test_screens.py`` writes the screens again; look at every difference. Times, measured
values, versions and the free memory are masked.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from paths import ROOT, TESTS

from graphspec.base.text import display_width
from graphspec.cli import console
from graphspec.cli.app import COMMANDS, app
from graphspec.cli.console import prepare_streams

HERE = TESTS / "cli" / "screens"
WIDTHS = (60, 80, 120)
BROKEN = """\
graphspec: 1
name: penguins
inputs:
  measurements: {shape: [4]}
  picture: {shape: [28, 28, 1], dtype: uint8}
layers:
  - {name: b1, type: Conv2D, filters: 64, kernel_size: 3, padding: same, inputs: picture}
  - {name: b2, type: Conv2D, filters: 64, kernel_size: 3, activation: relu, kernel_initializer: he_normal, inputs: picture}
  - {name: mix, type: Concatenate, inputs: [b1, b2]}
  - {name: flat, type: Flaten}
  - {name: hidden, type: Dense, units: 16, kernel_regularizer: {type: L2, l2: 0.01}, use_bais: true, inputs: measurements}
  - {name: species, type: Dense, units: three, activation: softmax}
outputs:
  species: {loss: sparse_categorical_crossentropy, metrics: [acuracy], labels: [Adelie, Chinstrap, Gentoo]}
training: {optimizer: {type: Adam, learning_rate: fast}, epochs: 20}
"""
TRAIN = (
    *("train", "penguins.yaml", "--overwrite", "--set", "training.epochs=3"),
    *("--set", "outputs.species.metrics=[accuracy, confusion_matrix]"),
)
LONG = (*TRAIN[:3], "--set", "training.epochs=60", "--out", "runs/long")
SCREENS: dict[str, tuple[str, ...]] = {
    "validate_ok": ("validate", "penguins.yaml", "--data"),
    "validate_broken": ("validate", "broken.yaml"),
    "explain": ("explain", "GS302"),
    "explain_data": ("explain", "gs505", "gs601"),
    "explain_list": ("explain",),
    "explain_unknown": ("explain", "GS312"),
    "summary": ("summary", "penguins.yaml"),
    "summary_expand": ("summary", "penguins.yaml", "--expand"),
    "summary_blocks": ("summary", "inception.yaml"),
    "plot": ("plot", "penguins.yaml", "-o", "penguins.svg"),
    "data": ("data", "penguins.yaml"),
    "data_table": ("data", "few.csv"),
    "data_problems": (
        "data",
        "penguins.yaml",
        "--set",
        "data.test.file=data/none.csv",
        "--set",
        "data.train.file=few.csv",
    ),
    "train": (*TRAIN, "--export", "penguins.onnx"),
    "train_long": LONG,
    "train_exists": ("train", "penguins.yaml"),
    "train_broken": ("train", "broken.yaml"),
    "evaluate": ("evaluate", "runs/penguins"),
    "predict": ("predict", "runs/penguins", "data/penguins_test.csv", "-o", "answers.csv"),
    "export": ("export", "runs/penguins", "-o", "again.onnx"),
    "inspect": ("inspect", "image.onnx"),
    "inspect_damaged": ("inspect", "damaged.onnx"),
    "diff_specs": ("diff", "penguins.yaml", "renamed.yaml"),
    "diff_files": ("diff", "image.onnx", "integers.onnx"),
    "init": ("init", "new.yaml", "--from", "data/penguins_train.csv", "--target", "species"),
    "usage": ("train", "penguins.yaml", "--epochs", "3"),
}
"""The commands, in an order in which each finds what it reads."""


class Screen(io.TextIOWrapper):
    """A stream for stdout and stderr, as a pipe or as a terminal."""

    def __init__(self, encoding: str, *, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="", write_through=True)
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal

    def text(self) -> str:
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode(self.encoding)


Run = Callable[..., str]
EXPLAINED = r"`graphspec explain [GS0-9 ]+`\s+explains [\w\s]+,\s+with\s+examples\n\Z"
"""The line about explanations, which only a terminal shows."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with specs and data."""
    path = tmp_path_factory.mktemp("screens")
    (path / "data").mkdir()
    for name in ("penguins_train.csv", "penguins_test.csv"):
        shutil.copy(ROOT / "specs" / "data" / name, path / "data" / name)
    shutil.copy(ROOT / "specs" / "penguins.yaml", path / "penguins.yaml")
    shutil.copy(ROOT / "specs" / "fashion_inception.yaml", path / "inception.yaml")
    shutil.copytree(ROOT / "schemas", path / "schemas")
    (path / "broken.yaml").write_text(BROKEN, encoding="utf-8")
    table = (path / "data" / "penguins_train.csv").read_text(encoding="utf-8").splitlines()
    few = [line.replace("bill_length_mm", "bill_length") for line in table[:40]]
    renamed = (ROOT / "specs" / "penguins.yaml").read_text(encoding="utf-8").replace("name: hidden,", "name: wide,")
    renamed = (
        renamed.replace("rate: 0.2}", "rate: 0.3}")
        .replace("units: 3,", "units: 4,")
        .replace("epochs: 40", "epochs: 50")
    )
    (path / "renamed.yaml").write_text(renamed, encoding="utf-8")
    for name in ("image", "integers"):
        shutil.copy(TESTS / "consumers" / "fixtures" / name / "model.onnx", path / f"{name}.onnx")
    (path / "damaged.onnx").write_bytes((path / "image.onnx").read_bytes()[:3000])
    (path / "few.csv").write_text("\n".join(few) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in ``folder`` and return what it prints to both streams, masked."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")

    def one(arguments: tuple[str, ...], width: int, encoding: str = "utf-8", *, is_terminal: bool = False) -> str:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(console, "SLOW", 3600)  # no word on work that is slow on this machine
        screen = Screen(encoding, is_terminal=is_terminal)
        monkeypatch.setattr(sys, "stdout", screen)
        monkeypatch.setattr(sys, "stderr", screen)
        try:
            prepare_streams()
            with pytest.raises(SystemExit):
                app(list(arguments), prog_name="graphspec")
            return screen.text()
        finally:
            monkeypatch.undo()
            monkeypatch.chdir(folder)
            monkeypatch.delenv("NO_COLOR", raising=False)
            monkeypatch.setenv("TERM", "xterm")
            for name in ("new.yaml",):
                (folder / name).unlink(missing_ok=True)

    return one


def masked(text: str) -> str:
    """Replace what differs between runs and machines, by as many characters where lines are aligned."""
    text = text.replace("\\", "/")
    text = re.sub(r"\d+(\.\d+)? (GiB|MiB|TiB) available", "#.# GiB available", text)
    text = re.sub(r"[▁-█]", "▄", text)
    text = re.sub(r"^slow: no core .*? CPU\s+quota\n", "", text, flags=re.M | re.S)  # a machine with other work
    text = re.sub(r"( at |best: epoch |since epoch )\d+(?=$|:| of )", r"\1#", text, flags=re.M)
    text = re.sub(r"speed: .* rows/s(; memory: at most \S+ [MG]iB)?", "speed: # rows/s; memory: at most # MiB", text)
    text = re.sub(r"(largest difference:\s+\w+) \S+", r"\1 #", text)
    text = re.sub(
        r"trained (\S+ epochs?) in .*?; ?|trained (\S+ epochs?) in .* per epoch",
        r"trained \1\2 in # ms, # ms per epoch",
        text,
    )
    text = re.sub(r"(?<=[ (])\d\.\d+(e-?\d+)?(?= |$|\)|,|;)", lambda m: re.sub(r"\d", "#", m[0]), text, flags=re.M)
    return re.sub(r"onnxruntime \d+\.\d+(\.\d+)?", "onnxruntime #.#.#", text)


def check(name: str, text: str) -> None:
    """Compare a screen with its golden file."""
    golden = HERE / f"{name}.txt"
    if os.environ.get("UPDATE_SCREENS") == "1":
        HERE.mkdir(exist_ok=True)
        golden.write_text(text, encoding="utf-8", newline="\n")
    assert text == golden.read_text(encoding="utf-8")


def too_wide(text: str, width: int) -> list[str]:
    """Return the lines that do not fit."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return [line for line in plain.splitlines() if display_width(line) > width]


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_every_command(run: Run, folder: Path, width: int) -> None:
    shutil.rmtree(folder / "runs", ignore_errors=True)
    for name, arguments in SCREENS.items():
        text = run(arguments, width)
        assert too_wide(text, width) == [], name
        check(f"{name}_{width}", masked(text))


@pytest.mark.parametrize("width", [w if w == 80 else pytest.param(w, marks=pytest.mark.slow) for w in WIDTHS])
def test_help(run: Run, width: int) -> None:
    names = [(), *((command.__name__,) for command in COMMANDS)]
    texts = [run((*name, "--help"), width) for name in names]
    assert [text for text in texts if too_wide(text, width)] == []
    assert not any("[default:" in text and "\\" in text for text in texts)
    check(f"help_{width}", "\n".join(texts))


@pytest.mark.slow
def test_a_terminal_with_colours(run: Run, folder: Path) -> None:
    """Colours and the line about explanations change nothing else: at the width that wraps most.

    A training is not among them: on a terminal it has a bar, see ``test_progress``.
    """
    width = WIDTHS[0]
    shutil.rmtree(folder / "runs", ignore_errors=True)
    run(SCREENS["train"], width)
    found = []
    for name, arguments in SCREENS.items():
        if name in ("train", "train_long"):
            continue
        text = run(arguments, width, is_terminal=True)
        assert too_wide(text, width) == [], name
        plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
        assert masked(re.sub(EXPLAINED, "", plain)) == masked(run(arguments, width)), name
        if "\x1b" in text:
            found.append(masked(text).replace("\x1b", "^["))
    check(f"colour_{width}", "\n".join(found))


@pytest.mark.slow
def test_a_console_without_unicode(run: Run, folder: Path) -> None:
    width = WIDTHS[0]
    shutil.rmtree(folder / "runs", ignore_errors=True)
    found = []
    for name, arguments in SCREENS.items():
        text = run(arguments, width, "ascii")
        assert text.isascii()
        assert "\\u" not in text
        assert too_wide(text, width) == [], name
        found.append(f"$ graphspec {' '.join(arguments)}\n{masked(text)}")
    check(f"ascii_{width}", "\n".join(found))
