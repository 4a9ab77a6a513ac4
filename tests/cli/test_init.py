"""Specs that ``graphspec init`` writes train on the data that their comments describe, and export."""

from __future__ import annotations

import csv
import datetime
import json
import re
import shlex
import threading
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser_steps import check_in_browser, recorded_feeds
from commands import graphspec

import graphspec as gs
from graphspec.base.text import shell
from graphspec.cli.console import saying
from graphspec.cli.init import Kind
from graphspec.data.architectures import architectures
from graphspec.engine.training.run_directory import history_of

Write = Callable[[Path, np.random.Generator, int], None]


def _csv(**columns: Callable[[np.random.Generator, int], Any]) -> Write:
    """A writer of a table whose columns are made one after the other."""

    def write(folder: Path, r: np.random.Generator, n: int) -> None:
        made = {name: list(make(r, n)) for name, make in columns.items()}
        with (folder / "train.csv").open("w", newline="") as file:
            csv.writer(file).writerows([list(made), *zip(*made.values(), strict=True)])

    return write


def _numbers(scale: float) -> Callable[[np.random.Generator, int], Any]:
    return lambda r, n: (scale * (2 + r.random(n))).tolist()


def _words(*values: str) -> Callable[[np.random.Generator, int], Any]:
    return lambda _, n: [values[k % len(values)] for k in range(n)]


def _with_gaps(r: np.random.Generator, n: int) -> Any:
    return ["" if k % 9 == 4 else f"{x:.1f}" for k, x in enumerate(r.normal(size=n))]


def _texts(_: np.random.Generator, n: int) -> Any:
    return [("What a fine film!", "Dull, and far too long.")[k % 2] + f" Take {k % 5}." for k in range(n)]


def _hours(_: np.random.Generator, n: int) -> Any:
    return [f"{datetime.datetime(2024, 1, 1) + datetime.timedelta(hours=k):%Y-%m-%dT%H:%M}" for k in range(n)]


def _series(r: np.random.Generator, n: int) -> Any:
    return (100 + 20 * np.sin(np.arange(n) / 24 * 2 * np.pi) + r.normal(size=n)).tolist()


def _sentences(folder: Path, r: np.random.Generator, n: int) -> None:
    """Sentences with ten tags, each of which its word tells."""
    with (folder / "train.jsonl").open("w") as file:
        for k in range(n):
            tags = [*(str(t) for t in r.integers(0, 10, 3 + k % 9)), str(k % 10)]
            file.write(json.dumps({"tokens": [f"word{tag}s" for tag in tags], "tags": tags}) + "\n")


def _pictures(folder: Path, r: np.random.Generator, n: int) -> None:
    """Ten folders of pictures, each as bright as its class."""
    from PIL import Image

    for k in range(n):
        kind = folder / "train" / f"kind{k % 10}"
        kind.mkdir(parents=True, exist_ok=True)
        pixels = np.clip(25 * (k % 10) + r.normal(0, 5, (20, 24, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(kind / f"{k}.png")


DATA: dict[str, Write] = {
    "binary": _csv(
        age=_numbers(20),
        monthly_fee=_numbers(5000),
        months=_with_gaps,
        plan=_words("small", "large"),
        country=_words("it", "fr", "", "de", "es"),
        leaves=_words("yes", "no"),
    ),
    "multiclass": _csv(
        length=_numbers(20),
        width=_numbers(0.1),
        height=_numbers(3000),
        colour=_words("red", "blue", "white"),
        place=_words("hill", "lake", "NA", "wood", "hill"),
        species=_words("a", "b", "c"),
    ),
    "regression": _csv(
        rooms=_numbers(2),
        area=_numbers(2000),
        age=_with_gaps,
        district=_words("north", "south"),
        price=lambda _, n: [1000.0 * (k % 2) + k for k in range(n)],
    ),
    "two-heads": _csv(
        weight=_numbers(2),
        distance=_numbers(2000),
        product=_words("a", "b", "c"),
        carrier=_words("rail", "road", "ship"),
        days=lambda _, n: [10.0 * (k % 3) + k / n for k in range(n)],
    ),
    "text": _csv(text=_texts, opinion=_words("good", "bad")),
    "tags": _sentences,
    "images": _pictures,
    "sequence": _csv(time=_hours, load=_series, temperature=_series, wind=_numbers(3)),
}
ROWS = {"sequence": 600, "images": 120}
"""Rows of the made-up data; 120 by default."""


def _written(kind: str) -> None:
    """Write ``net.yaml`` of a kind, and the data that its comments describe."""
    Path("data").mkdir()
    DATA[kind](Path("data"), np.random.default_rng(1), ROWS.get(kind, 120))
    result = graphspec("init", "net.yaml", "--kind", kind)
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "metric", "least", "most"),
    [
        ("binary", "val_accuracy", 0.99, 1.0),
        ("multiclass", "val_accuracy", 0.99, 1.0),
        ("two-heads", "val_carrier_accuracy", 0.99, 1.0),
        ("text", "val_accuracy", 0.99, 1.0),
        ("tags", "val_accuracy", 0.99, 1.0),
        ("regression", "val_mae", 0.0, 150.0),
        ("sequence", "val_mae", 0.0, 5.0),
        ("images", "val_accuracy", 0.6, 1.0),
    ],
)
def test_a_new_spec_learns(
    kind: str, metric: str, least: float, most: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a change it validates, trains, exports with a proof, and the file answers raw rows.

    Raw columns of all magnitudes are scaled: a category, a text or a curve that gives the answer away is found.
    """
    monkeypatch.chdir(tmp_path)
    _written(kind)
    checked = graphspec("validate", "net.yaml", "--data")
    assert (checked.exit_code, checked.stderr) == (0, "")
    assert checked.stdout.startswith("net.yaml: ok ("), checked.stdout
    result = graphspec("train", "net.yaml", "--export", "net.onnx")
    assert result.exit_code == 0, result.stderr
    assert all("would you know it when you ask?" in line for line in result.stderr.splitlines()), result.stderr
    assert "net.onnx: equal to the runtime" in result.stdout
    history = history_of(Path("runs/net"))
    assert least <= history[metric][int(np.argmin(history["val_loss"]))] <= most
    if kind not in ("images", "sequence", "tags"):  # which are predicted from folders, windows and lists
        answers = graphspec("predict", "net.onnx", "data/train.csv", "-o", "answers.csv")
        assert answers.exit_code == 0, answers.stderr
        with Path("answers.csv").open(newline="") as file:
            assert len(list(csv.DictReader(file))) == 120
    again = gs.load("runs/net")
    assert set(again.spec.heads) == set(gs.compile("net.yaml").spec.heads)


def test_every_kind_has_data() -> None:
    assert set(DATA) == {kind.value for kind in Kind}


@pytest.mark.parametrize("kind", DATA)
def test_templates_scale_by_what_training_rows_show(kind: str) -> None:
    """None has BatchNormalization before its first weights, all stop early, and their lines fit an editor."""
    text = files("graphspec.cli").joinpath("templates", f"{kind}.yaml").read_text(encoding="utf-8")
    first = text.find("BatchNormalization")
    assert first == -1 or -1 < text.find("Conv2D") < first
    assert "restore_best_weights: true" in text
    assert max(map(len, text.splitlines())) <= 120


def test_the_kinds_are_listed() -> None:
    result = graphspec("init", "--list")
    assert (result.exit_code, result.stderr) == (0, "")
    kinds, networks = (part.splitlines() for part in result.stdout.split("\n\n"))
    assert [line.split()[0] for line in kinds] == [kind.value for kind in Kind]
    assert "text        one of several classes, from a text" in kinds
    assert max(map(len, kinds)) <= 60
    assert networks[0] == "networks for --like:"
    assert [line.split()[0] for line in networks[1:]] == [*architectures()]
    assert "vit_b16                      the class of a picture" in networks
    assert max(map(len, networks)) <= 80


# From a table


def _penguins(count: int = 120) -> None:
    """Write a table with numbers, categories, missing values, an id, and a column that says the target in other words."""
    r = np.random.default_rng(3)
    rows = []
    for k in range(count):
        kind = k % 3
        length, mass = r.normal(40 + 5 * kind, 2), r.normal(4000 + 500 * kind, 200)
        cells = [f"{length:.1f}", f"{mass:.0f}", ["male", "female", "NA"][k % 7 % 3], ["Biscoe", "Dream"][k % 2]]
        if k % 20 == 1:
            cells[0] = "NA"
        rows.append([k + 1, ["Adelie", "Chinstrap", "Gentoo"][kind], *cells, f"2024-0{k % 8 + 1}-11", f"code{kind}"])
    header = ["id", "species", "Bill Length", "mass", "sex", "island", "seen", "code"]
    Path("penguins.csv").write_text("\n".join(",".join(map(str, row)) for row in [header, *rows]) + "\n")


def test_a_spec_from_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _penguins()
    Path("specs").mkdir()
    result = graphspec("init", "specs/my net.yaml", "--from", "penguins.csv", "--target", "species")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == "warning: column 'code' is the target in other words; it is left out\n"
    assert result.stdout == (
        "specs/my net.yaml: a multiclass problem, species from 5 columns of 120 rows\nread its comments, then:\n"
        "  graphspec data 'specs/my net.yaml'\n  graphspec train 'specs/my net.yaml'\n"
    )
    text = Path("specs/my net.yaml").read_text()
    assert max(map(len, text.splitlines())) <= 120
    columns = text[text.index("    columns:") : text.index("layers:")].splitlines()[1:]
    assert [" ".join(line.split()) for line in columns if line] == [
        "# id: number # is different in every row, an id",
        "# missing in 6 rows",
        'Bill_Length: {type: number, column: "Bill Length", missing: median, indicator: true}',
        "mass: number",
        "sex: {type: category, missing_values: [NA]}",
        "island: category",
        "seen: {type: date, parts: [month, weekday]} # 2024-01-11 to 2024-08-11",
        "# code: category # is the target in other words",
    ]
    assert "    file: ../penguins.csv\n" in text
    assert "units: 3, activation: softmax}" in text
    assert not list(Path("specs").glob(".graphspec-*"))
    again = Path("specs/my net.yaml").read_bytes()
    Path("specs/my net.yaml").unlink()
    graphspec("init", "specs/my net.yaml", "--from", "penguins.csv", "--target", "species")
    assert Path("specs/my net.yaml").read_bytes() == again
    checked = graphspec("validate", "specs/my net.yaml", "--data")
    assert checked.stdout.startswith("specs/my net.yaml: ok ("), checked.stdout
    assert graphspec("data", "specs/my net.yaml").exit_code == 0


_NUMBER = "{loss: mse, scale: standard, clip: true, interval: 0.9, metrics: [r2_score, mae], members: mean}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "kind", "head"),
    [
        ("species", None, "species: {loss: sparse_categorical_crossentropy, metrics: [accuracy], members: mean}"),
        ("island", None, "island: {loss: binary_crossentropy, metrics: [accuracy, auc], members: mean, description"),
        ("mass", None, f"mass: {_NUMBER}"),
        (
            "Bill Length",
            "regression",
            f"Bill_Length: {_NUMBER}",
        ),
    ],
)
def test_a_spec_from_a_table_trains(
    target: str, kind: str | None, head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _penguins()
    options = [] if kind is None else ["--kind", kind]
    result = graphspec("init", "net.yaml", "--from", "penguins.csv", "--target", target, *options)
    assert result.exit_code == 0, result.stderr
    text = Path("net.yaml").read_text()
    assert head in text
    assert ("drop_missing_targets: true" in text) == (target == "Bill Length")
    fewer = ["training.epochs=40", "training.workers=1", *([] if target == "species" else ["training.forms=null"])]
    sets = [word for value in fewer for word in ("--set", value)]
    result = graphspec("train", "net.yaml", *sets, "--export", "net.onnx")
    assert result.exit_code == 0, result.stderr
    assert "net.onnx: equal to the runtime" in result.stdout
    answers = graphspec("predict", "net.onnx", "penguins.csv")
    assert answers.exit_code == 0, answers.stderr
    table = list(csv.DictReader(answers.stdout.splitlines()))
    rows = list(csv.DictReader(Path("penguins.csv").read_text().splitlines()))
    if target == "species":
        right = sum(a["species_label"] == row["species"] for a, row in zip(table, rows, strict=True))
        assert right > 90
    elif target == "mass":
        apart = [abs(float(a["mass"]) - float(row["mass"])) for a, row in zip(table, rows, strict=True)]
        assert np.mean(apart) < 300


@pytest.mark.slow
def test_the_form_with_the_best_held_out_answers_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    r = np.random.default_rng(0)
    X = r.normal(size=(150, 8))
    rows = np.column_stack([X, X.sum(1) + 3 * r.normal(size=150)]).round(4).tolist()
    with Path("sums.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[*"abcdefgh", "total"], *rows])
    assert graphspec("init", "net.yaml", "--from", "sums.csv", "--target", "total").exit_code == 0
    text = Path("net.yaml").read_text()
    assert text.count('kernel_regularizer: {type: L2, l2: "${l2}"}') == 2
    assert "stiff: {inputs.row.numbers: {}, vars.units: 32, vars.rate: 0.5, vars.l2: 0.03}" in text
    trained = graphspec("train", "net.yaml", "--set", "training.epochs=25", "--no-report")
    assert trained.exit_code == 0, trained.stderr
    scores = dict(re.findall(r"(?m)^form (\w+): val_r2_score ([\d.]+)", trained.stdout))
    assert list(scores) == ["stiff", "mild", "free"]
    assert f"kept: form {max(scores, key=lambda name: float(scores[name]))}" in trained.stdout


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--target", "species"], "--target names a column of a table: name the table with --from"),
        (["--from", "penguins.csv"], "name the column to predict with --target; penguins.csv has id, species, Bill"),
        (["--from", "penguins.csv", "--target", "specis"], "has no column 'specis': did you mean 'species'?"),
        (["--from", "penguins.csv", "--target", "species", "--kind", "images"], "not --kind images"),
        (["--from", "penguins.csv", "--target", "species", "--kind", "regression"], "has texts in column 'species'"),
        (["--from", "penguins.csv", "--target", "species", "--kind", "tags"], "'species' has no lists of tags"),
        (["--from", ".", "--kind", "binary"], "a spec from a folder is images or text, not --kind binary"),
        (["--from", "missing.csv", "--target", "x"], "missing.csv does not exist"),
        (["--from", "a.npz", "--target", "x"], "a.npz is no table: a spec is made from .csv, .tsv, .jsonl, .parquet"),
        (["--from", "empty.csv", "--target", "x"], "empty.csv is empty"),
    ],
)
def test_tables_from_which_no_spec_is_made(
    options: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _penguins(30)
    np.savez("a.npz", x=np.zeros(3))
    Path("empty.csv").touch()
    result = graphspec("init", "net.yaml", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert text in result.stderr
    assert not Path("net.yaml").exists()
    assert not list(Path().glob(".graphspec-*"))


@pytest.mark.slow
def test_names_of_columns_do_not_break_the_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["null", "${x}", "a: b", "#", "hidden_1", "both", "row", "été", "1", "a\tb", "x" * 300, "- {", 'q"']
    r = np.random.default_rng(0)
    with Path("odd, name.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[*names, "y: ${z}"], *r.normal(size=(40, len(names) + 1)).tolist()])
    result = graphspec("init", "net.yaml", "--from", "odd, name.csv", "--target", "y: ${z}")
    assert result.exit_code == 0, result.stderr
    text = Path("net.yaml").read_text(encoding="utf-8")
    assert max(len(line) for line in text.splitlines() if "x" * 50 not in line) <= 120
    checked = graphspec("validate", "net.yaml", "--data")
    assert checked.stdout.startswith("net.yaml: ok ("), checked.stdout
    assert "unused" not in graphspec("data", "net.yaml").stdout


def test_an_existing_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _penguins(30)
    Path("net.yaml").write_text("mine")
    assert graphspec("init", "net.yaml", "--from", "penguins.csv", "--target", "species").exit_code == 2
    assert Path("net.yaml").read_text() == "mine"


def test_printed_commands_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = map(str.strip, graphspec("init", "my net.yaml").stdout.partition("then:")[2].strip().splitlines())
    assert first == shell("graphspec", "validate", "my net.yaml", "--data")
    assert second == shell("graphspec", "train", "my net.yaml")
    assert graphspec(*shlex.split(first)[1:-1]).exit_code == 0


def test_decimal_commas_are_written_and_read(tmp_path: Path) -> None:
    rows = "".join(f"{k},5;{'ab'[k % 2]};{(k * 7) % 11},25\n" for k in range(40))
    (tmp_path / "homes.csv").write_text("size;town;price\n" + rows)
    result = graphspec("init", tmp_path / "s.yaml", "--from", tmp_path / "homes.csv", "--target", "price")
    assert result.exit_code == 0, result.stderr
    text = (tmp_path / "s.yaml").read_text()
    assert "    decimal: \",\"  # as in '0,5' of 'size'\n" in text
    assert "size: number" in text or "size: {type: number" in text
    assert graphspec("validate", tmp_path / "s.yaml", "--data").exit_code == 0


def test_slow_work_is_named_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    said = threading.Event()
    monkeypatch.setattr("graphspec.cli.console.err", lambda text: (print(text), said.set()))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr("graphspec.cli.console.SLOW", 0)
    with saying("reading rows.csv"):
        assert said.wait(60)
    assert capsys.readouterr().out == "reading rows.csv …\n"
    monkeypatch.setattr("graphspec.cli.console.SLOW", 3600)
    with saying("reading rows.csv"):
        pass
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_rows_in_the_order_of_time_are_validated_by_the_last_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    days = [(datetime.date(2024, 1, 1) + datetime.timedelta(days=k)).isoformat() for k in range(300)]
    rows = [[day, f"p{k % 60}", k % 7 + k / 10, k % 2] for k, day in enumerate(days)]
    for name, ordered in (("sorted", rows), ("mixed", rows[::-1])):
        with Path(f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["day", "patient_id", "a", "open"], *ordered])
        result = graphspec("init", f"{name}.yaml", "--from", f"{name}.csv", "--target", "open")
        assert result.exit_code == 0, result.stderr
    text, mixed = Path("sorted.yaml").read_text(), Path("mixed.yaml").read_text()
    assert "validation: {split: {last: 0.2}}  # the rows are in the order of 'day'" in text
    assert "seeds: 5" in text
    assert "folds:" not in text
    assert "folds: 5" in mixed
    assert "seeds:" not in mixed
    assert 'labels: ["0", "1"]' in mixed
    assert "the probability of 1" in mixed
    assert "# patient_id: {type: category" in mixed
    checked = graphspec("validate", "sorted.yaml", "--data")
    assert checked.stdout.startswith("sorted.yaml: ok ("), checked.stdout + checked.stderr


@pytest.mark.slow
@pytest.mark.parametrize("target", ["amount", "kind"])
@pytest.mark.parametrize("rows", [12, 24])
def test_a_spec_of_few_rows_trains(target: str, rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Path("few.csv").open("w", newline="") as file:
        few = [[f"{k * 37 % 23}.5", "yes" if k % 3 else "no", f"{k * 1.25}"] for k in range(rows)]
        csv.writer(file).writerows([["a", "kind", "amount"], *few])
    assert graphspec("init", "few.yaml", "--from", "few.csv", "--target", target).exit_code == 0
    trained = graphspec("train", "few.yaml", "--set", "training.epochs=1", "--no-report")
    assert trained.exit_code == 0, trained.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", DATA)
def test_every_template_has_a_training_step_and_trains_in_a_browser(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _written(kind)
    assert graphspec("train", "net.yaml", "--set", "training.epochs=1").exit_code == 0
    feeds = recorded_feeds(monkeypatch)
    result = graphspec("export", "runs/net", "--training-step", "step.onnx")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("step.onnx: 10 steps on rows of the training data equal the runtime's: the loss")
    assert "step.start.onnx: returns the weights and slots for its first step" in result.stdout
    assert "step.prelude.onnx: prepares rows for it" in result.stdout
    check_in_browser({kind: (Path("step.onnx"), feeds[0])}, Path())
