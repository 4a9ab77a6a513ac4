"""The benchmark of answers: scores are scikit-learn's, answers are read as graphspec names them, pages rank and compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.quality import page, pictures, series
from benchmarks.quality.__main__ import Job
from benchmarks.quality.ours import probabilities
from benchmarks.quality.scores import auc, classes, numbers
from benchmarks.quality.tables import TABLES, WHEELS


def test_scores_are_those_of_scikit_learn() -> None:
    """``accuracy_score``, ``log_loss``, ``recall_score``, ``roc_auc_score``, ``r2_score``, … of scikit-learn 1.9.1."""
    y = np.array([0, 2, 1, 1, 0, 2])
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.5, 0.4, 0.1], [0.2, 0.7, 0.1], [0.3, 0.3, 0.4], [0, 0.1, 0.9]])
    found = classes(y, p, rarest=1)
    assert found == pytest.approx(found | {"accuracy": 4 / 6, "log_loss": 0.5749665939168954, "recall": 0.5}, rel=1e-6)
    assert "auc" not in found
    positive, score = np.array([0, 1, 1, 0, 1, 0, 1]) == 1, np.array([0.1, 0.4, 0.35, 0.4, 0.8, 0.35, 0.9])
    assert auc(positive, score) == pytest.approx(5 / 6)
    assert classes(positive.astype(int), np.stack([1 - score, score], 1), 0)["auc"] == pytest.approx(5 / 6)
    found = numbers(np.array([3, -0.5, 2, 7.0]), np.array([2.5, 0, 2, 8.0]))
    assert found == pytest.approx({"r2": 0.9486081370449679, "rmse": 0.6123724356957945, "mae": 0.5})


def test_calibration_is_the_gap_of_bins() -> None:
    """Ten answers of 0.9, of which six are right, and ten of 0.6, of which six are: half of the rows are 0.3 off."""
    p = np.repeat([[0.9, 0.1], [0.6, 0.4]], 10, axis=0)
    y = np.tile([0] * 6 + [1] * 4, 2)
    assert classes(y, p, 1)["ece"] == pytest.approx(0.15)


def test_answers_are_in_the_order_of_the_labels() -> None:
    three = {"class_b": ["0.2"], "class_a": ["0.7"], "class_c": ["0.1"], "class_label": ["a"]}
    assert probabilities(three, "class", ["a", "b", "c"]).tolist() == [[0.7, 0.2, 0.1]]
    named = {"y": ["0.9", "0.2"], "y_label": ["yes", "no"]}
    assert probabilities(named, "y", ["no", "yes"]) == pytest.approx(np.array([[0.1, 0.9], [0.8, 0.2]]))
    assert probabilities(named, "y", ["yes", "zero"]) == pytest.approx(np.array([[0.9, 0.1], [0.2, 0.8]]))
    assert probabilities({"y": ["0.9"]}, "y", ["0", "1"]) == pytest.approx(np.array([[0.1, 0.9]]))
    with pytest.raises(ValueError, match="no probabilities of a, b, c in the columns class"):
        probabilities({"class": ["0.2"]}, "class", ["a", "b", "c"])


def run(*values: float, score: str = "r2", **others: float) -> dict[str, Any]:
    scores = [{score: value} | others for value in values]
    return {
        "version": "1",
        "repeats": {
            str(k): {"digest": "d", "scores": s, "seconds": 2.0, "cpu": 1.0, "size": 2048}
            for k, s in enumerate(scores, 1)
        },
    }


def one(task: str, rows: int, **contenders: dict[str, Any]) -> dict[str, Any]:
    return {"task": task, "rows": rows, "columns": 3, "contenders": contenders}


@pytest.fixture
def content() -> dict[str, Any]:
    label: dict[str, Any] = {"score": "accuracy", "log_loss": 0.5, "ece": 0.1, "recall": 0.5}
    tables = {
        "auto": one("numbers", 392, graphspec=run(0.9, 0.7), linear=run(0.8, 0.6), tabm=run(0.95)),
        "wage": one("numbers", 3000, graphspec=run(0.3, 0.3), linear=run(0.4, 0.4), tabm=run(0.2)),
        "oj": one("classes", 1070, graphspec=run(0.8, 0.8, **label), linear=run(0.8, 0.8, **label | {"log_loss": 0.4})),
    }
    return {"format": page.FORMAT, "machine": "a machine", "tables": tables, "failed": {"tabm on oj, repeat 1": "boom"}}


def cells(text: str, begin: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {begin}"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_ranks_count_tables_that_all_have(content: dict[str, Any]) -> None:
    text = page.text(content)
    assert cells(text, "auto") == ["392 × 3", "0.800", "0.700", "**0.950**¹"]
    assert cells(text, "all (3)") == ["1.50 (2)", "1.50 (2)", ""]
    assert cells(text, "all (2)") == ["2.00 (0)", "2.00 (1)", "2.00 (1)"]  # in the repeat that tabm has
    assert cells(text, "classes, by log-loss") == ["2.00 (0)", "1.00 (1)", ""]
    assert cells(text, "fewer than 2,000 rows (2)") == ["1.25 (2)", "1.75 (1)", ""]
    assert "- tabm on oj, repeat 1: boom" in text


def test_ranks_with_contenders_that_ran_on_fewer_and_fewer_tables(content: dict[str, Any]) -> None:
    content["tables"]["ames"] = one("numbers", 2930, graphspec=run(0.9), linear=run(0.8), tabm=run(0.7))
    for name, score in (("wage", 0.5), ("ames", 0.9)):
        content["tables"][name]["contenders"]["realmlp"] = run(score)
    content["tables"]["wage"]["contenders"]["forest"] = run(0.1)
    text = page.text(content)
    assert cells(text, "all (4)") == ["1.38 (3)", "1.62 (2)", "", "", ""]
    assert cells(text, "all (3)") == ["1.67 (1)", "2.00 (1)", "2.33 (1)", "", ""]  # auto, wage and ames have tabm
    assert cells(text, "all (2)") == ["2.25 (1)", "2.50 (0)", "4.00 (0)", "1.25 (2)", ""]
    assert "all (1)" not in text  # forest's only table tells nothing about ranks


def test_a_table_that_became_worse_is_named(content: dict[str, Any]) -> None:
    before = json.loads(json.dumps(content))
    repeats = content["tables"]["auto"]["contenders"]["graphspec"]["repeats"]
    repeats["1"]["scores"]["r2"] = 0.85
    assert "no table is more than 0.01 worse" in page.text(content, content)
    text = page.text(content, before)
    assert "on 3 tables: more than 0.01 worse: auto" in text
    assert "0.800 → 0.775 | **-0.025**" in text
    repeats["1"]["digest"] = "another split"
    assert "no table is more than 0.01 worse" in page.text(content, before)


def test_results_are_kept_until_the_rows_change(tmp_path: Path) -> None:
    job = Job("linear", "1.9", "auto", 1, tmp_path / "data", tmp_path / "results")
    job.folder.mkdir(parents=True)
    job.out.parent.mkdir(parents=True)
    (job.folder / "meta.json").write_text('{"digest": "a"}', encoding="utf-8")
    assert job.result() is None
    job.out.write_text('{"digest": "a", "scores": {}}', encoding="utf-8")
    assert job.result() == {"digest": "a", "scores": {}}
    (job.folder / "meta.json").write_text('{"digest": "b"}', encoding="utf-8")
    assert job.result() is None


def test_tables_come_from_pinned_wheels() -> None:
    packages = {table.source.partition(":")[0] for table in TABLES.values()}
    others = {data.source.partition(":")[0] for data in series.TABLES.values()}
    assert packages | others == WHEELS.keys() | {"sklearn"}
    assert sum(table.classes for table in TABLES.values()) * 2 == len(TABLES)
    assert all(table.target not in table.drop for table in TABLES.values())


def test_forecasts_are_scored_by_hand() -> None:
    """MASE: the error in units of the seasonal naive error of the training rows; sMAPE: of |y| + |answer|; in NumPy."""
    data = series.Data("here", "y", season=2, horizon=2)
    values = np.array([1.0, 2, 3, 5, 4, 6, 8])
    rows = series.Rows(data, "d", {"a": {"y": values, "time": np.arange(7)}}, [("a", 4), ("a", 5)])
    found = rows.score(np.array([[5.0, 6.0], [6.0, 4.0]]), np.array([[4.0, 7], [5, 5]]), np.array([[6.0, 9], [7, 7]]))
    scale = (abs(3 - 1) + abs(5 - 2)) / 2
    assert found["mase"] == pytest.approx((1 + 0 + 0 + 4) / 4 / scale)
    assert found["smape"] == pytest.approx(200 * (1 / 9 + 4 / 12) / 4)
    assert (found["coverage"], found["width"]) == pytest.approx((0.5, 2 / scale))
    seasonal = series.PEERS["seasonal"][1](rows)[0]
    assert seasonal.tolist() == [[3, 5], [5, 4]]


def test_origins_leave_room_for_the_horizon() -> None:
    data = series.Data("here", "y", season=12, horizon=12, stride=6, test=0.25)
    assert series.origins(data, 120, None, 1) == [90, 96, 102, 108]
    assert series.origins(data, 120, 108, 1) == [108]


def test_cuts_follow_one_another_backwards() -> None:
    data = series.Data("here", "y", season=12, horizon=12, apart=12, stride=6, test=0.25)
    cuts = [series.origins(data, 120, None, repeat) for repeat in (2, 3, 4)]
    assert cuts == [[78, 84], [66, 72], []]  # 54 steps are fewer than five horizons
    assert series.origins(data, 120, 108, 2) == [96, 102]


def test_the_page_of_series_has_the_last_part_alone_and_then_all_cuts() -> None:
    def said(*mase: float) -> dict[str, Any]:
        scores = [{"mase": m, "smape": 1.0, "coverage": m, "width": 1.0} for m in mase]
        repeats = {str(k): {"scores": one, "seconds": 2.0, "cpu": 1.0} for k, one in enumerate(scores, 1)}
        return {"version": "1", "repeats": repeats}

    one = {"task": "series", "rows": 144, "columns": 1, "contenders": {"graphspec": said(0.8, 1.0), "ets": said(0.9)}}
    text = series.text({"machine": "here", "tables": {"airline": one}, "failed": {}})
    assert "| airline | 144 × 1       | **0.800** | 0.900 |" in text
    assert "| airline | 2    | **0.900** |     | 0.900 ± 0.100         |" in text


def test_the_page_of_pictures_has_a_row_for_each_set() -> None:
    def said(accuracy: float) -> dict[str, Any]:
        scores = {"accuracy": accuracy, "log_loss": 1 - accuracy, "ece": 0.1, "recall": 0.9}
        return {"version": "1", "repeats": {"1": {"scores": scores, "seconds": 2.0, "cpu": 1.0}}}

    one = {"task": "classes", "rows": 1797, "columns": 64, "contenders": {"graphspec": said(0.99), "cnn": said(0.96)}}
    text = pictures.text({"machine": "here", "tables": {"digits": one}, "failed": {}})
    assert "| digits | 1,797 × 64        | **0.990** | 0.960 |" in text
    assert "| digits | 1,797 × 64        | **0.010** | 0.040 |" in text
