"""What ``train`` says before and after the epochs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from commands import SPEC, graphspec, project

from graphspec.base.text import display_width
from graphspec.cli.training_report import describe
from graphspec.engine.training.advice import ClassShares, LabelSequences, Numbers

NO_STOPPING = SPEC.replace(
    "  callbacks: [{type: EarlyStopping, monitor: val_loss, patience: 50, restore_best_weights: true}]\n", ""
)
FAST = ("--set", "training.optimizer={type: Adam, learning_rate: 0.5}")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    project(tmp_path)
    return tmp_path


def train(spec: str, *more: str) -> list[str]:
    Path("tiny.yaml").write_text(spec, encoding="utf-8")
    result = graphspec("train", "tiny.yaml", "--overwrite", *more)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def best(lines: list[str]) -> str:
    (line,) = [line for line in lines if line.startswith("best: ")]
    return line


def test_classes_are_listed_by_frequency() -> None:
    shares = ClassShares(["a", "b", "c"], np.array([1, 6, 3]), True)
    assert describe(shares, 80) == "3 classes: b 60 %, c 30 %, a 10 %"
    assert describe(ClassShares(["a", "b"], np.array([1, 3]), False, positions=12), 80) == (
        "2 classes at each of 12 positions, about: b 75 %, a 25 %"
    )


@pytest.mark.parametrize("room", [50, 70, 110])
def test_a_long_list_of_classes_is_cut(room: int) -> None:
    shares = ClassShares([f"topic {k}" for k in range(46)], np.arange(46) + 1, True)
    text = describe(shares, room)
    assert display_width(text) <= room
    assert text.startswith("46 classes: topic 45 (4 %), ")
    assert text.endswith(", … down to 0.093 %")


def test_several_classes_may_apply() -> None:
    shares = ClassShares(["a", "b"], np.array([3, 1]), True, several=True, rows=4)
    assert describe(shares, 80) == "2 classes, of which several may apply: a 75 %, b 25 %"


def test_numbers_and_sequences() -> None:
    assert describe(Numbers(22.24, 8.84, 5, 50, True), 80) == "5 to 50, mean 22.24 ± 8.84"
    assert describe(Numbers(250000.0, 1e5, 1e4, 1e6, False, 24), 80) == (
        "24 numbers per row, about 10,000 to 1,000,000, mean 250,000 ± 100,000"
    )
    assert describe(LabelSequences(14, 26), 80) == "sequences of at most 14 of 26 labels"


def test_the_best_epoch_and_the_weights_that_were_restored() -> None:
    line = best(train(SPEC))
    found = re.fullmatch(r"best: epoch (\d) of 3, val_loss \S+; the weights are those of epoch (\d)", line)
    assert found is not None, line
    assert found[1] == found[2]


def test_the_best_epoch_and_the_weights_of_the_last() -> None:
    lines = train(NO_STOPPING, "--set", "training.epochs=30", *FAST)
    history = Path("runs/tiny/history.csv").read_text().splitlines()
    losses = [float(line.split(",")[3]) for line in history[1:]]
    assert best(lines).startswith(f"best: epoch {int(np.argmin(losses)) + 1} of 30, val_loss ")
    assert "; the weights are those of the last epoch, val_loss " in best(lines)


def test_a_monitored_accuracy() -> None:
    monitor = NO_STOPPING.replace(
        "  seed: 5\n", "  seed: 5\n  callbacks: [{type: EarlyStopping, monitor: val_accuracy, patience: 9}]\n"
    )
    assert re.match(r"best: epoch \d of 3, val_accuracy \S+", best(train(monitor)))


def test_without_validation_no_epoch_is_best() -> None:
    lines = train(NO_STOPPING.replace("  validation: {split: 0.25}\n", ""))
    assert not any(line.startswith("best: ") for line in lines)
    assert lines[1] == "test: 20 rows"


def test_why_it_stopped() -> None:
    lines = train(SPEC.replace("patience: 50", "patience: 1"), "--set", "training.epochs=200", *FAST)
    assert any(
        re.match(r"trained \d+ epochs in .* per epoch; stopped: val_loss has not improved", line) for line in lines
    )


@pytest.mark.slow
def test_a_resumed_run_counts_its_own_epochs() -> None:
    train(SPEC)
    result = graphspec("train", "tiny.yaml", "--resume", "--set", "training.epochs=5")
    assert "trained 2 epochs in " in result.stdout
    assert re.search(r"best: epoch \d of 5, ", result.stdout)
    assert not result.stdout.startswith("train: ")
    again = graphspec("train", "tiny.yaml", "--resume", "--set", "training.epochs=5").stdout
    assert again.startswith("the run in ")
    assert "trained" not in again


def test_time_is_not_in_the_files() -> None:
    train(SPEC)
    before = Path("runs/tiny/history.csv").read_bytes()
    train(SPEC)
    assert Path("runs/tiny/history.csv").read_bytes() == before


@pytest.mark.slow
def test_a_loss_that_is_not_finite_names_inputs_that_are_not_scaled() -> None:
    values = np.load("train.npz")
    np.savez("train.npz", features=values["features"] * 1e30, answer=values["answer"])
    mse = NO_STOPPING.replace("binary_crossentropy, metrics: [accuracy]", "mse").replace(', labels: ["no", "yes"]', "")
    Path("tiny.yaml").write_text(mse.replace("activation: sigmoid", "activation: linear"), encoding="utf-8")
    result = graphspec("train", "tiny.yaml", "--set", "training.optimizer={type: SGD, learning_rate: 1e3}")
    assert result.exit_code == 3
    assert "help: scale the inputs, with a Normalization layer: 'features' has mean " in result.stderr


@pytest.mark.slow
def test_the_hint_about_overfitting() -> None:
    values = ("training.epochs=60", "layers.dropped.rate=0.0", "layers.hidden.units=64")
    rate = "training.optimizer={type: Adam, learning_rate: 0.1}"
    lines = train(NO_STOPPING, *(word for value in (*values, rate) for word in ("--set", value)))
    history = [line.split(",") for line in Path("runs/tiny/history.csv").read_text().splitlines()[1:]]
    losses = [float(row[3]) for row in history]
    assert min(losses) * 1.1 < losses[-1], "the example no longer overfits"
    assert any(line.startswith("hint: overfitting since epoch ") for line in lines)


@pytest.mark.parametrize(
    ("weight", "combine", "line"),
    [
        (1, "mean", "loss: the mean of the heads' losses"),
        (0.2, "mean", "loss: the weighted mean of the heads' losses, a 1, b 0.2"),
        (0.2, "sum", "loss: the weighted sum of the heads' losses, a 1, b 0.2"),
    ],
)
def test_how_losses_of_several_heads_become_one(weight: float, combine: str, line: str) -> None:
    np.savez("two.npz", x=np.zeros((8, 2)), a=np.zeros((8, 1)), b=np.ones((8, 1)))
    nodes = "[{name: a, type: Dense, units: 1, inputs: x}, {name: b, type: Dense, units: 1, inputs: x}]"
    heads = f"{{a: {{loss: mse}}, b: {{loss: mse, weight: {weight}}}}}"
    spec = f"graphspec: 1\nname: tiny\ninputs: {{x: {{shape: [2]}}}}\nlayers: {nodes}\noutputs: {heads}\n"
    lines = train(f"{spec}training: {{combine: {combine}}}\ndata: {{train: {{file: two.npz}}}}\n")
    assert line in lines
    assert not any(text.startswith("loss: ") for text in train(NO_STOPPING))
