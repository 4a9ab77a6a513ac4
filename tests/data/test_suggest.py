"""The kind of task, names, and sizes of a new spec."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from graphspec.data.files import open_table
from graphspec.data.profile import Profile, profile
from graphspec.data.suggest import CannotSuggest, free_name, suggest, task_of

N = 120


def table(folder: Path, **columns: Any) -> Profile:
    path = folder / "t.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([list(columns), *zip(*columns.values(), strict=True)])
    return profile(open_table(path))


def cycled(*values: Any) -> list[Any]:
    return [values[k % len(values)] for k in range(N)]


@pytest.mark.parametrize(
    ("values", "task", "units"),
    [
        (cycled("no", "yes"), "binary", 1),
        (cycled(0, 1), "binary", 1),
        (cycled("true", "false"), "binary", 1),
        (cycled("a", "b", "c"), "multiclass", 3),
        (cycled(0, 1, 2), "multiclass", 3),
        (cycled(3, 5, 8), "multiclass", 3),
        (cycled(1, 2), "binary", 1),
        (cycled(-1, 1), "binary", 1),
        (list(range(N)), "regression", 1),
        (cycled(0.5, 1.5), "regression", 1),
    ],
)
def test_tasks(tmp_path: Path, values: list[Any], task: str, units: int) -> None:
    found = table(tmp_path, x=cycled(1.5, 2.5, 4.5), y=values)
    assert task_of(found, "y") == task
    target = suggest(found, "y", task_of(found, "y"), {}).target
    assert (target.task, target.units, target.missing) == (task, units, 0)
    classes = sorted({v for v in values if isinstance(v, int)}) if task != "regression" else []
    assert [str(v) for v in target.labels] == [str(v) for v in classes]
    assert target.probability == (str(max(values)) if task == "binary" else "")


@pytest.mark.parametrize(
    ("rows", "task"),
    [
        ([80, 25, 8, 4, 1, 0, 1, 1], "regression"),  # visits to a doctor
        ([40, 30, 20, 10, 8, 7, 5], "multiclass"),  # the larger half is not rare
        ([30, 30, 20, 20, 10, 10], "multiclass"),  # each can be learnt
        ([100, 15, 5], "multiclass"),
        ([0, 80, 25, 8, 4, 1, 1, 1], "multiclass"),  # not from 0 on
    ],
)
@pytest.mark.parametrize("written", [int, float])
def test_counts_are_amounts(tmp_path: Path, rows: list[int], task: str, written: type) -> None:
    values = [written(value) for value, n in enumerate(rows) for _ in range(n)]
    found = table(tmp_path, x=(cycled(1.5, 2.5) * 2)[: len(values)], y=values)
    assert task_of(found, "y") == task
    notes = suggest(found, "y", task_of(found, "y"), {}).target.notes
    assert notes[0].startswith(f"{found.columns['y'].distinct} whole numbers")
    assert ("counts" in notes[0]) == (task == "regression")


def test_a_given_task(tmp_path: Path) -> None:
    found = table(tmp_path, x=cycled(1.5, 2.5), y=cycled(3, 5, 8), z=cycled("a", "b", "c"))
    assert task_of(found, "y", "regression") == "regression"
    for target, task, text in (
        ("y", "binary", "has 3 different values in column 'y', not two"),
        ("z", "regression", "has texts in column 'z', not numbers: choose --kind multiclass"),
    ):
        with pytest.raises(CannotSuggest, match=text):
            task_of(found, target, task)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["k"] * N, "has one value in column 'y': nothing to learn"),
        ([""] * N, "has no value in column 'y': nothing to learn"),
        ([f"k{k}" for k in range(N)], "has 120 different values in column 'y', too many for classes"),
        ([f"2024-01-{k % 28 + 1:02}" for k in range(N)], "of kind date: a target is a number or a class"),
    ],
)
def test_targets_that_do_not_fit(tmp_path: Path, values: list[Any], text: str) -> None:
    with pytest.raises(CannotSuggest, match=text):
        task_of(table(tmp_path, x=cycled(1.5, 2.5), y=values), "y")


def test_numbers_that_are_no_classes(tmp_path: Path) -> None:
    with pytest.raises(
        CannotSuggest, match=r"classes such as 0\.5 and 1\.5 in column 'y': write them as texts, or as whole"
    ):
        task_of(table(tmp_path, x=cycled(1.5, 2.5, 4.5), y=cycled(0.5, 1.5)), "y", "binary")


def test_a_target_that_does_not_exist(tmp_path: Path) -> None:
    found = table(tmp_path, amount=cycled(1.5, 2.5), y=cycled("a", "b"))
    with pytest.raises(CannotSuggest, match=r"has no column 'amuont': did you mean 'amount'\?"):
        task_of(found, "amuont")
    with pytest.raises(CannotSuggest, match="has no column 'kkkkk': it has amount, y"):
        task_of(found, "kkkkk")


def test_no_column_is_left(tmp_path: Path) -> None:
    with pytest.raises(CannotSuggest, match="no column from which the target can be learnt"):
        suggest(table(tmp_path, x=["k"] * N, y=cycled("a", "b")), "y", "binary", {})


@pytest.mark.slow
def test_a_table_is_too_wide_before_its_leaks_are_sought(tmp_path: Path) -> None:
    """Before, `init` compared every column of 20,000 with the target for minutes, and refused then."""
    with pytest.raises(CannotSuggest, match="has 2,001 columns, more than the 2,000 that a spec should name"):
        task_of(table(tmp_path, y=[0, 1], **{f"c{k}": [k, 1] for k in range(2000)}), "y")


def test_missing_targets(tmp_path: Path) -> None:
    found = table(tmp_path, x=cycled(1.5, 2.5), y=cycled(1.5, 2.5, "NA", 4.25), z=cycled("a", "b", "NA"))
    assert suggest(found, "y", "regression", {}).target.missing
    assert not suggest(found, "z", "multiclass", {}).target.missing


def test_names(tmp_path: Path) -> None:
    columns = {"Marital Status": 0, "marital/status": 1, "row": 2, "größe": 3, "%": 4, "a-b.c": 5}
    found = table(
        tmp_path, **{name: cycled(k + 0.5, k + 1.5) for name, k in columns.items()}, **{"the y": cycled("a", "b")}
    )
    answer = suggest(found, "the y", "binary", {})
    keys = [c.key for c in answer.columns]
    assert keys == ["Marital_Status", "marital_status", "row", "größe", "column", "a-b.c"]
    assert (answer.record, answer.target.key) == ("row_2", "the_y")


def test_free_names() -> None:
    taken: set[str] = set()
    assert [free_name(t, taken, "x") for t in ("a b", "a_b", "a/b", "…", "", "k" * 400)] == [
        *("a_b", "a_b_2", "a_b_3", "x", "x_2", "k" * 200)
    ]


def test_leaks_are_warnings(tmp_path: Path) -> None:
    found = table(tmp_path, x=cycled(1.5, 2.5, 3.5), z=cycled("a", "b"), y=cycled("k", "l"))
    answer = suggest(found, "y", "binary", {"z": "is the target in other words"})
    assert answer.warnings == ("column 'z' is the target in other words; it is left out",)
    assert [c.name for c in answer.columns if c.left_out] == ["z"]


def test_ids_of_several_rows_keep_them_together(tmp_path: Path) -> None:
    """The ids with the most rows each; not those of every row, of few places, or of a table in the order of time."""
    ids = {"visit_id": range(N), "person_id": [f"p{k % 59}" for k in range(N)], "shop_id": cycled(1, 2)}
    found = table(tmp_path, **ids, house_id=[k % 55 for k in range(N)], x=cycled(1.5, 2.5, 4.5), y=cycled(0, 1))
    assert suggest(found, "y", "binary", {}).group == "house_id"
    assert suggest(found, "y", "binary", {"house_id": "gives it away"}).group == "person_id"
    assert suggest(found, "y", "binary", {}, "day").group is None
    for name in ("person_id", "house_id"):
        del found.columns[name]  # type: ignore[attr-defined]
    assert suggest(found, "y", "binary", {}).group is None


def test_sizes_grow_with_the_rows(tmp_path: Path) -> None:
    from dataclasses import replace

    found = table(tmp_path, x=cycled(1.5, 2.5, 3.5), y=cycled("k", "l"))
    networks = []
    for factor in (1, 30, 1000, 100_000):
        columns = {n: replace(c, rows=c.rows * factor) for n, c in found.columns.items()}
        networks.append(suggest(Profile(found.rows * factor, columns, typed=False), "y", "binary", {}).network)
    assert [n.epochs for n in networks] == sorted((n.epochs for n in networks), reverse=True)
    assert [n.batch_size for n in networks] == sorted(n.batch_size for n in networks)
    assert [n.folds for n in networks] == sorted((n.folds for n in networks), reverse=True)
    assert networks[0] != networks[-1]
    assert all(n.epochs >= n.patience >= 3 for n in networks)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_hidden_layers_are_penalized_whatever_the_number_of_rows(tmp_path: Path, task: Any) -> None:
    """Else hidden layers learn noise by heart, and lose to a linear model where the answer is a sum of the columns."""
    from dataclasses import replace

    found = table(tmp_path, x=cycled(1.5, 2.5, 3.5), y=cycled(0, 1))
    penalties = []
    for factor in (1, 30, 100, 1000):
        columns = {n: replace(c, rows=c.rows * factor) for n, c in found.columns.items()}
        network = suggest(Profile(found.rows * factor, columns, typed=False), "y", task, {}).network
        penalties.append(network.penalty)
        assert 0 < network.steps <= network.epochs * found.rows * factor / network.batch_size + network.epochs
    assert penalties == sorted(penalties, reverse=True)
    assert all(penalties)


SAID = ["a", "fine", "film", "about", "a", "dog", "that", "sings"]


@pytest.mark.parametrize(
    ("texts", "characters"),
    [
        ([f"name{k}" for k in range(N)], True),  # all different: an id, beside other columns
        ([f"name{k // 2}" for k in range(N)], True),
        ([" ".join(SAID[k % 5 :]) + f" {k}" for k in range(N)], True),
        ([" ".join([*SAID, str(k)] * 20) for k in range(N)], False),
    ],
)
def test_a_text_alone_is_read_by_words_and_characters(tmp_path: Path, texts: list[str], characters: bool) -> None:
    found = suggest(table(tmp_path, x=texts, y=cycled("a", "b")), "y", "binary", {})
    [column] = found.columns
    assert (column.type, column.left_out, column.arguments["ngrams"]) == ("text", False, 2)
    assert ("characters" in column.arguments) == characters
    assert (found.network.hidden, found.network.held_out) == (0, 0.1)


def test_a_few_categories_alone_stay_categories(tmp_path: Path) -> None:
    [column] = suggest(table(tmp_path, x=cycled("red", "green"), y=cycled("a", "b", "b")), "y", "binary", {}).columns
    assert column.type == "category"


def test_names_beside_an_id_are_named_with_the_way(tmp_path: Path) -> None:
    found = table(tmp_path, id=list(range(N)), who=[f"name{k}" for k in range(N)], y=cycled("a", "b"))
    text = (
        "no column from which the target can be learnt: if 'who' is a text that says something, keep it and the target"
    )
    with pytest.raises(CannotSuggest, match=text):
        suggest(found, "y", "binary", {})


@pytest.mark.parametrize(("columns", "kind"), [(11, "number"), (10, "category")])
def test_many_columns_on_a_scale_are_no_codes(tmp_path: Path, columns: int, kind: str) -> None:
    pixels = {f"p{k}": [(row * 7 + k * 5 + row // 12) % 12 for row in range(600)] for k in range(columns)}
    found = table(tmp_path, **pixels, y=[("a", "b")[row % 2] for row in range(600)])
    assert {column.type for column in suggest(found, "y", "binary", {}).columns} == {kind}


@pytest.mark.parametrize(("longest", "characters"), [(9, True), (5000, False)])
def test_a_text_beside_other_columns_has_runs_of_characters_if_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longest: int, characters: bool
) -> None:
    """All rows are padded to the longest text, and many units read them."""
    monkeypatch.setattr("graphspec.data.suggest._ROOM", 1 << 25)
    texts = [f"a word {k} of {k * k}" for k in range(N)]
    rows = table(tmp_path, x=cycled(1.5, 2.25, 3.0), note=[*texts[:-1], "word " * longest], y=cycled("a", "b"))
    column = suggest(rows, "y", "binary", {}).columns[1]
    assert column.type == "text"
    assert ("characters" in column.arguments) == characters
    assert ("output_mode" in column.arguments) != characters
