"""Every kind of head has a section that says something sensible, whatever its rows are, and agrees with ``evaluate``."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judged import SEQUENCES, dense, judge, network, numbers, per_step, plain, rows, sequences, values

import graphspec as gs
from graphspec.show.report import kinds as scored
from graphspec.show.report.findings import Findings
from graphspec.show.report.heads import heads

X, S = numbers(60, 5), sequences()
RNG = np.random.default_rng(0)
IDS = RNG.integers(0, 4, 60)
YES = RNG.integers(0, 2, (60, 1)).astype("f4")
SPARSE, LOGITS = "sparse_categorical_crossentropy", {"type": "sparse_categorical_crossentropy", "from_logits": True}
BINARY_LOGITS = {"type": "binary_crossentropy", "from_logits": True}
UNIT = [*dense(8), {"name": "u", "type": "UnitNormalization"}]
HUGE = np.full((60, 5), 3e38, "f4")
PIXELS = RNG.random((9, 12, 12, 1)).astype("f4")
PICTURE = {"x": {"shape": [12, 12, 1]}}


def conv(filters: int, activation: str) -> list[dict[str, Any]]:
    kernel = {"filters": filters, "kernel_size": 3, "padding": "same", "activation": activation}
    return [{"name": "h", "type": "Conv2D", **kernel}]


def softmax(units: int) -> dict[str, Any]:
    return network(dense(units, "softmax"), {"loss": SPARSE})


def logits(units: int) -> dict[str, Any]:
    return network(dense(units), {"loss": LOGITS})


def sigmoid(units: int) -> dict[str, Any]:
    return network(dense(units, "sigmoid"), {"loss": "binary_crossentropy"})


def linear(units: int) -> dict[str, Any]:
    return network(dense(units), {"loss": "mse"})


def steps(units: int, loss: str, activation: str | None = None) -> dict[str, Any]:
    return network(per_step(units, activation), {"loss": loss}, SEQUENCES)


GROUPS = network(UNIT, {"loss": "circle"})
AUTOENCODER = network(conv(1, "sigmoid"), {"loss": "binary_crossentropy"}, PICTURE)
SEGMENTS = network(conv(3, "softmax"), {"loss": SPARSE}, PICTURE)
EQUAL = np.full((60, 1), 3, "f4")
CASES: dict[str, tuple[dict[str, Any], Any, Any, str]] = {
    "classes": (softmax(4), X, IDS, "Confusion matrix"),
    "logits": (logits(46), X, RNG.integers(0, 46, 60), "pairs that are confused most"),
    "a thousand classes": (logits(1000), X, RNG.integers(0, 1000, 60), "150 most frequent of 1,000"),
    "a class that never occurs": (softmax(4), X, IDS % 2, "2 classes do not occur"),
    "one class": (softmax(4), X, IDS * 0, "Macro ROC AUC not defined"),
    "one row": (softmax(4), X[:1], IDS[:1], "From 1 test row."),
    "not a number": (softmax(4), HUGE, IDS, "No row is left to be judged"),
    "yes or no": (sigmoid(1), X, YES, "Another threshold"),
    "logits of yes": (network(dense(1), {"loss": BINARY_LOGITS}), X, YES, "its probability is above 0.5"),
    "always yes": (sigmoid(1), X, YES * 0 + 1, "ROC AUC not defined"),
    "one no": (sigmoid(1), X[:1], YES[:1] * 0, "Only '0' occurs"),
    "hinge": (network(dense(1), {"loss": "hinge"}), X, YES * 2 - 1, "its score is above 0,"),
    "labels": (sigmoid(4), X, np.eye(4, dtype="f4")[IDS], "Rows entirely right"),
    "numbers": (linear(1), X, numbers(60), "Predicted against true"),
    "equal numbers": (linear(1), X, EQUAL, "Always 3.000, the mean of these rows"),
    "one number": (linear(1), X[:1], numbers(1, 1), "Errors of 1 value"),
    "a hundred numbers": (linear(100), X, numbers(60, 100), "50 values with the lowest R², of 100"),
    "huge numbers": (linear(2), HUGE, numbers(60, 2), "The median of these rows"),
    "groups": (GROUPS, X, IDS, "Nearest row is of the group"),
    "groups of one": (GROUPS, X[:5], np.arange(5), "5 rows are the only ones of their groups"),
    "one of a group": (GROUPS, X[:1], IDS[:1], "too few rows"),
    "steps": (steps(3, SPARSE, "softmax"), S, RNG.integers(0, 3, S.shape), "time steps hidden"),
    "masked": (steps(3, SPARSE, "softmax"), S * 0, S * 0, "No time step is left to be judged"),
    "numbers by step": (steps(2, "mse"), S, numbers(*S.shape, 2), "2 numbers per time step"),
    "readings": (steps(5, "ctc"), S, RNG.integers(1, 5, (40, 2)), "worst readings"),
    "one reading": (steps(5, "ctc"), S[:1], np.array([[1, 2]]), "Edits per label"),
    "nothing to read": (steps(5, "ctc"), S, np.zeros((40, 2), int), "Edits per label not defined"),
    "pictures": (AUTOENCODER, PIXELS, PIXELS, "Some rows, from the smallest"),
    "segments": (SEGMENTS, PIXELS, RNG.integers(0, 3, (9, 12, 12)), "Colours of the classes"),
}


class Tags(HTMLParser):
    """Fails unless every element that is opened is closed in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [str(value) for name, value in attrs if name == "id"]
        if tag not in ("img", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("error")
def test_every_kind_of_head_has_a_section(case: str) -> None:
    spec, x, y, said = CASES[case]
    _, _, html = judge(spec, x, y)
    assert said in plain(html)
    assert not re.search(r"\bnan\b", plain(html).lower())
    assert len(html) < 60_000
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    assert len(set(tags.ids)) == len(tags.ids)
    for chart in re.findall(r"<svg class=.chart.*?>", html):
        assert re.search(r'aria-label="[^"]*\d', chart), chart
    assert not re.search(r'(?:cx|cy|x|y|width|height|points|d)="[^"]*(?:nan|inf)', html)


def test_a_head_without_loss_shows_its_values() -> None:
    layers = [*dense(3), {"name": "g", "type": "Dense", "units": 1}]
    spec = network(layers, {"loss": "mse"}) | {"outputs": {"h": {}, "g": {"loss": "mse"}}}
    _, judged, html = judge(spec, X, {"g": numbers(60)})
    assert [row[0] for row in rows(html, "The head has no loss")] == ["0", "1", "2"]
    assert float(rows(html, "The head has no loss")[1][1]) == pytest.approx(
        judged.heads["h"].answers[:, 1].mean(), rel=1e-3
    )
    assert html.count("<h3") == 2


def test_text_of_specs_is_escaped() -> None:
    head = {"loss": SPARSE, "labels": ["<script>x</script>", "&amp;", "'\"", "</table>"]}
    _, _, html = judge(network(dense(4, "softmax"), head), X, IDS)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert html.count("</table>") == html.count("<table")


def test_a_part_of_the_rows_is_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scored, "MAX_ROWS", 20)
    spec = network(dense(4, "softmax"), {"loss": SPARSE})
    _, _, html = judge(spec, X, IDS)
    assert "From 20 of 60 test rows, spread evenly." in plain(html)
    assert sum(int(row[1]) for row in rows(html, "Each class")) == 20


def test_without_judged_rows_there_is_no_section() -> None:
    model = gs.compile(network(dense(1), {"loss": "mse"}))
    assert heads(Findings(model, Path(), {})) is None


ACCURACY = {"metrics": ["accuracy", "confusion_matrix"]}
BY_HEAD = ["precision", "recall", "accuracy", "confusion_matrix"]


def shown(value: float) -> str:
    return f"{value:.4f}"


def test_classes_agree_with_evaluate() -> None:
    metrics = ["accuracy", {"type": "SparseTopKCategoricalAccuracy", "k": 3}, "confusion_matrix"]
    spec = network(dense(12, "softmax"), {"loss": SPARSE, "metrics": metrics})
    _, judged, html = judge(spec, X, RNG.integers(0, 12, 60))
    found = values(html)
    assert found["Accuracy"] == shown(judged.results["accuracy"])
    assert found["Top-3 accuracy"] == shown(judged.results["sparse_top_k_categorical_accuracy"])
    table = [[int(n) for n in row[1:]] for row in rows(html, "Confusion matrix")]
    assert table == judged.tables[0].counts.tolist()


def test_masked_steps_agree_with_evaluate() -> None:
    spec = network(per_step(3, "softmax"), {"loss": SPARSE, **ACCURACY}, SEQUENCES)
    _, judged, html = judge(spec, S, RNG.integers(0, 3, S.shape))
    assert values(html)["Accuracy"] == shown(judged.results["accuracy"])
    assert [[int(n) for n in row[1:]] for row in rows(html, "Confusion matrix")] == judged.tables[0].counts.tolist()


@pytest.mark.parametrize("by_step", [False, True])
def test_yes_or_no_agrees_with_evaluate(by_step: bool) -> None:
    head = {"loss": "binary_crossentropy", "metrics": [*BY_HEAD, "auc"]}
    if by_step:
        spec, x = network(per_step(1, "sigmoid"), head, SEQUENCES), S
        y = RNG.integers(0, 2, (*S.shape, 1)).astype("f4")
    else:
        spec, x, y = network(dense(1, "sigmoid"), head), X, YES
    _, judged, html = judge(spec, x, y)
    found = values(html)
    for name in ("precision", "recall", "accuracy"):
        assert found[name.capitalize()] == shown(judged.results[name])
    assert [[int(n) for n in row[1:]] for row in rows(html, "Confusion matrix")] == judged.tables[0].counts.tolist()
    if not by_step:  # their scores lie between two of the metric's thresholds
        assert float(found["ROC AUC"]) == pytest.approx(judged.results["auc"], abs=0.02)
    assert "The areas are exact; the metric AUC of the spec" in plain(html).replace("`", "")
    data = json.loads(re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html)[0])
    k = data["t"].index(0.5)
    assert [data["tp"][k], data["fp"][k]] == [int(judged.tables[0].counts[1, 1]), int(judged.tables[0].counts[0, 1])]


def test_labels_agree_with_evaluate() -> None:
    metrics = ["accuracy", {"type": "F1Score", "threshold": 0.5, "average": "macro"}]
    spec = network(dense(4, "sigmoid"), {"loss": "binary_crossentropy", "metrics": metrics})
    _, judged, html = judge(spec, X, RNG.integers(0, 2, (60, 4)).astype("f4"))
    found = values(html)
    assert found["Accuracy of all values"] == shown(judged.results["accuracy"])
    assert found["Macro F1"] == shown(judged.results["f1_score"])


def test_numbers_agree_with_evaluate() -> None:
    metrics = ["mae", "root_mean_squared_error", "r2_score"]
    spec = network(dense(3), {"loss": "mse", "metrics": metrics})
    _, judged, html = judge(spec, X, numbers(60, 3, seed=3))
    first = [float(cell.replace("−", "-")) for cell in rows(html, "Errors of 180 values")[0][1:]]
    wanted = [judged.results[name] for name in metrics]
    assert [first[0], first[1], first[4]] == pytest.approx(wanted, rel=1e-3)


def test_readings_agree_with_evaluate() -> None:
    head = {"loss": "ctc", "metrics": ["edit_distance"], "labels": ["", "a", "b", "c", "d"]}
    _, judged, html = judge(network(per_step(5), head, SEQUENCES), S, RNG.integers(1, 5, (40, 2)))
    assert float(values(html)["Edits per label"]) == pytest.approx(judged.results["edit_distance"], rel=1e-3)
