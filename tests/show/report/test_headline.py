"""The facts of a training, and on which rows it is judged."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.base.document import plain
from graphspec.base.text import significant
from graphspec.data.signature import user_arrays
from graphspec.engine.training.reporting import EpochTime, Fitted, Start, Times
from graphspec.show.html import html_of
from graphspec.show.report.about import about, exported, facts_of, headline, moment, opening
from graphspec.show.report.findings import Findings, judge, of_model
from graphspec.show.report.verdicts import lines

TIMES = Times(
    rows=600,
    validation_rows=60,
    starts=[
        Start(at="2026-02-03T04:05:06+00:00", epoch=0, batch=0),
        Start(at="2026-02-03T05:05:06+00:00", epoch=1, batch=3),
    ],
    epochs=[EpochTime(seconds=2.0, steps=1.5, learning_rate=0.1), EpochTime(seconds=2.0, steps=1.5, learning_rate=0.1)],
    restored_epoch=1,
)


def found(times: Times | None = TIMES, rows: int = 30, part: str = "test", **outputs: Any) -> Findings:
    """What is known of a net with two epochs, judged on random rows."""
    output = outputs or {"loss": "mse", "metrics": ["mae"]}
    spec = {
        "graphspec": 1,
        "name": "net",
        "inputs": {"x": {"shape": [2]}},
        "layers": [{"name": "y", "type": "Dense", "units": 1}],
        "outputs": {"y": output},
        "training": {"epochs": 5, "batch_size": 20, "seed": 8},
    }
    model, rng = gs.compile(spec), np.random.default_rng(0)
    x, y = rng.normal(size=(rows, 2)).astype("f4"), rng.normal(size=(rows, 1)).astype("f4")
    history = {"loss": [2.0, 1.0], "val_loss": [3.0, 2.5], "mae": [1.0, 0.5]}
    known = of_model(model, Fitted(history, times, "it was enough"))
    return judge(known, user_arrays(model.needed, {"x": x}, {"y": y}, None), part)


def shown(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_facts() -> None:
    facts = dict(facts_of(found()))
    assert facts["Trained"] == "3 February 2026, 04:05 UTC; resumed once"
    assert facts["Training time"] == "4.0 s, 2.0 s per epoch, 400 rows per second"
    assert facts["Epochs"] == "2 of 5; stopped: it was enough"
    assert facts["Weights"] == "of epoch 1, restored"
    assert facts["Network"] == "1 layer, 3 parameters; 12 B of weights"
    assert facts["Optimizer"] == "RMSprop, batches of 20, seed 8"
    assert facts["Exported"] == "not with the training"
    assert about(found()) == "Regression · trained on 3 February 2026"


def test_a_killed_run_took_at_least_the_known_time() -> None:
    times = TIMES.model_copy(update={"epochs": [EpochTime(), *TIMES.epochs[1:]]})
    assert dict(facts_of(found(times)))["Training time"] == "at least 2.0 s, 400 rows per second"


def test_without_times() -> None:
    facts = dict(facts_of(found(None)))
    assert "Trained" not in facts
    assert "Training time" not in facts
    assert facts["Weights"] == "of the last epoch, 2"
    assert about(found(None)) == "Regression"


def test_values_are_those_of_the_evaluation() -> None:
    known = found()
    section = headline(known)
    assert section is not None
    assert known.judged is not None
    text = shown(html_of(section.blocks))
    for key, value in known.judged.results.items():
        low, high = known.intervals[key]
        assert low < value < high
        assert f"{key} {significant(value)} " in text
        assert f'data-value="{value:.6g}"' in html_of(section.blocks), "what a table is sorted by"
    assert "training validation" in text
    assert "mae" in text


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("test", "30 test rows, which the training has not seen"),
        ("validation", "as the spec has no test data"),
        ("train", "the 30 training rows themselves"),
        ("given", "30 rows that were given to the report"),
    ],
)
def test_the_rows_are_named(part: str, words: str) -> None:
    section = headline(found(part=part))
    assert section is not None
    assert words in html_of(section.blocks)
    assert len(re.findall(r"<th scope=col[^>]*>validation<", html_of(section.blocks))) == 1, (
        "a column of the rows or of the last epoch"
    )


def test_verdicts_and_doubts_are_said_first() -> None:
    known = replace(found(), given={"v": "is always the target"})
    first, doubt = opening(known).said
    (line,) = lines(known.verdicts)
    assert plain(first.content) == line.text
    assert isinstance(first.content, tuple)
    assert plain(first.content[0]) == line.text.partition(". ")[0] + ". "
    assert (doubt.kind, plain(doubt.content).startswith("'v' is always")) == ("warning", True)
    section = headline(known)
    assert section is not None
    assert line.text not in shown(html_of(section.blocks)), "a fact stands once"
    words = {True: "better", False: "not better", None: "perhaps better"}
    assert section.finding == f"{words[line.better]} than simple rules"
    assert section.alarm == (line.better is False)


def test_few_rows_have_no_intervals() -> None:
    section = headline(found(rows=5))
    assert section is not None
    assert "no intervals for fewer than 10 rows" in html_of(section.blocks)
    assert "bootstrap" not in html_of(section.blocks)


def test_without_rows() -> None:
    section = headline(replace(found(), judged=None, missing="The rows <b>left</b>."))
    assert section is not None
    assert "The rows &lt;b&gt;left&lt;/b&gt;." in html_of(section.blocks)


def test_many_values_are_folded() -> None:
    wide = {"loss": "mse", "metrics": ["mae"]}
    known = found(**wide)
    assert known.judged is not None
    many = {f"f1_score_{k}": k / 100 for k in range(40)}
    meanings = {key: f"class <{key}>" for key in many}
    section = headline(
        replace(known, judged=replace(known.judged, results=known.judged.results | many, meanings=meanings))
    )
    assert section is not None
    assert "<summary>All 42 values</summary>" in html_of(section.blocks)
    assert "class &lt;f1_score_0&gt;" in html_of(section.blocks)
    assert html_of(section.blocks).count("<div class=tile>") == 2


def test_exports() -> None:
    known = {"file": "a.onnx", "bytes": 2048, "proof": "equal\non rows"}
    assert exported({"exported": known}) == "a.onnx, 2.0 KiB: equal; on rows"
    for damaged in ({}, {"exported": 1}, {"exported": {"file": "a"}}):
        assert exported(damaged) == "not with the training"


def test_moments() -> None:
    assert moment("2026-11-27T06:03:33+00:00") == "27 November 2026, 06:03 UTC"
    assert moment("yesterday") == "yesterday"


def test_the_source_of_rows(tmp_path: Path) -> None:
    data = {"train": {"file": str(tmp_path / "a.csv")}, "validation": {"split": 0.25}, "test": {"query": "SELECT 1"}}
    model = gs.compile(found().model.document() | {"data": data})
    facts = dict(facts_of(replace(found(), model=model, judged=None)))
    assert facts["Training rows"] == "600 of a.csv"
    assert facts["Validation rows"] == "60 of the training data, 25 % of it"
    assert facts["Test rows"] == "a query"
