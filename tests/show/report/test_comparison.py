"""Several runs on one page: names, what may be compared, and what is best."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from graphspec.engine.compiler.check import check
from graphspec.show.html import html_of
from graphspec.show.report.comparison import (
    Compared,
    best_of,
    comparison_html,
    differences,
    differing,
    flattened,
    names_of,
    notes,
    results,
)
from graphspec.show.report.verdicts import Interval

RUN = Compared(
    name="a",
    spec_name="net",
    kind="Classification",
    task="t",
    rows="r",
    part="test",
    total=50,
    missing="",
    results={"loss": 0.5, "accuracy": 0.8},
    intervals={"loss": Interval(0.4, 0.6), "accuracy": Interval(0.7, 0.9)},
    spec={"training.epochs": "1"},
    history={"loss": [1.0, 0.5]},
    times=None,
    stopped=None,
    record={"graphspec": "1", "packages": 3},
    epochs=2,
    parameters=10,
)


def with_values(name: str, loss: float, accuracy: float, half: float = 0.01) -> Compared:
    values = {"loss": loss, "accuracy": accuracy}
    return replace(
        RUN, name=name, results=values, intervals={k: Interval(v - half, v + half) for k, v in values.items()}
    )


def test_names_are_as_short_as_they_tell_runs_apart(tmp_path: Path) -> None:
    assert names_of([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]
    assert names_of([tmp_path / "x/a", tmp_path / "y/a"]) == ["x/a", "y/a"]
    assert names_of([tmp_path / "a", tmp_path / "a"]) == ["a (1)", "a (2)"]


def test_the_best_value_of_each_metric() -> None:
    runs = [with_values("a", 0.5, 0.8), with_values("b", 0.4, 0.7), with_values("c", 0.6, 0.8)]
    assert best_of(runs, "loss") == [1]
    assert best_of(runs, "accuracy") == [0, 2]
    assert best_of(runs[:1], "loss") is None
    assert best_of([runs[0], replace(runs[1], rows="others")], "loss") is None
    assert best_of([runs[0], replace(runs[1], task="other")], "loss") is None
    assert best_of([runs[0], with_values("n", float("nan"), 0.1)], "loss") is None


def test_a_value_within_the_intervals_of_the_best_is_said_to_be() -> None:
    near = html_of(results([with_values("a", 0.5, 0.8), with_values("b", 0.505, 0.5)]).blocks)
    assert near.count(">≈<") == 1
    assert near.count(">best<") == 2
    assert (
        "≈" not in html_of(results([with_values("a", 0.5, 0.8), with_values("b", 0.6, 0.5)]).blocks).split("<table")[1]
    )


def test_what_cannot_be_compared_is_said() -> None:
    runs = [RUN, replace(RUN, name="b", task="other", rows="others"), replace(RUN, name="c", part="", missing="Gone.")]
    said = " ".join(notes(runs, 2, False))
    assert "2 different tasks, whose values cannot be compared: a, c; b." in said
    assert "judged on different rows" in said
    assert "c: Gone." in said
    assert "2 further values are not shown" in said
    assert "best" not in "".join(notes([RUN, RUN], 0, False))


def test_twenty_runs_of_different_tasks() -> None:
    runs = [
        replace(RUN, name=f"<run {k}>", task=str(k), results={f"m{k}": 1.0}, history={f"m{k}": [1.0, 2.0]})
        for k in range(20)
    ]
    html = comparison_html(runs)
    assert "<run" not in html
    assert "20 runs compared" in html
    assert "8 further values are not shown" in html
    assert "12 further metrics are not drawn" in html
    assert len(html.encode()) < 400_000


def test_equal_specs_say_so() -> None:
    assert "the same in every key" in html_of(differing([RUN, RUN]).blocks)
    assert "<code>training.epochs</code>" in html_of(
        differing([RUN, replace(RUN, spec={"training.epochs": "<2>"})]).blocks
    )


TWO = [{"name": "a", "type": "Dense", "units": 2, "inputs": "x"}, {"name": "b", "share": "a", "inputs": "x"}]
SPEC = {"graphspec": 1, "name": "n", "inputs": {"x": {"shape": [3]}}, "layers": TWO, "outputs": {"a": {"loss": "mse"}}}
PAIR = {"layer": ["a", "b"], "loss": {"type": "info_nce", "temperature": 0.5}}


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"outputs": {"a": {"loss": "mse", "target": "b"}}}, {"outputs.a.target": [None, "b"]}),
        ({"outputs": {"a": {}}}, {"outputs.a.loss": ["MeanSquaredError", "none"]}),
        ({"outputs": {"a": {"loss": "mse"}, "p": PAIR}}, {"outputs.p.layer": [None, "a, b"]}),
        ({"layers": [TWO[0], TWO[0] | {"name": "b"}]}, {"layers.b.share": ["a", None]}),
        (
            {"data": {"train": {"file": "t.npz", "inputs": {"x": ["p", "q", "r"]}}}},
            {"data.train.inputs.x": [None, "[p, q, r]"]},
        ),
    ],
)
def test_what_differs_is_named_by_its_key(changed: dict[str, Any], found: dict[str, Any]) -> None:
    flat = [flattened(check(document).require()[0]) for document in (SPEC, SPEC | changed)]
    assert found.items() <= differences(flat).items()
    assert differences([flat[1], flat[1]]) == {}
