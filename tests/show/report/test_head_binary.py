"""A head of yes or no: thresholds as data, and the control that moves them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from browsing import OPTIONS, chromium
from judged import dense, judge, network, numbers, plain

from graphspec.base.document import Element, Section
from graphspec.show.html import Opening, page
from graphspec.show.report.class_heads import thresholds

YES = (numbers(80, 1, seed=5) > 0).astype("f4")
X = numbers(80, 5) + YES


def data_of(html: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = json.loads(
        re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html)[0]
    )
    return found


@pytest.mark.parametrize("scores", [np.linspace(0, 1, 999), np.full(5, 0.001), np.geomspace(1e-6, 0.02, 500)])
def test_thresholds_of_probabilities(scores: np.ndarray) -> None:
    found = thresholds(scores, 0.5, probabilities=True)
    assert len(found) <= 200
    assert (np.diff(found) > 0).all()
    assert set(np.arange(101) / 100) <= set(found.tolist())


def test_rare_positives_have_thresholds_where_their_scores_are() -> None:
    found = thresholds(np.geomspace(1e-6, 0.02, 500), 0.5, probabilities=True)
    assert (found < 0.01).sum() > 50


@pytest.mark.parametrize("scores", [np.linspace(-3, 900, 70), np.array([0.25]), np.array([-1e-9, 1e-9])])
def test_thresholds_of_scores(scores: np.ndarray) -> None:
    found = thresholds(scores, 0.0, probabilities=False)
    assert 1 <= len(found) <= 200
    assert 0.0 in found


def test_counts_at_every_threshold_are_those_of_the_scores() -> None:
    _, judged, html = judge(network(dense(1, "sigmoid"), {"loss": "binary_crossentropy"}), X, YES)
    data, scores = data_of(html), judged.heads["h"].answers[:, 0].astype(float)
    for t, tp, fp in zip(data["t"], data["tp"], data["fp"], strict=True):
        assert (tp, fp) == (((scores > t) & (YES[:, 0] == 1)).sum(), ((scores > t) & (YES[:, 0] == 0)).sum())


def test_a_metric_with_another_threshold_is_said_to_differ() -> None:
    head = {"loss": {"type": "binary_crossentropy", "from_logits": True}}
    other = {"type": "BinaryAccuracy", "threshold": 0.5}
    same = {"type": "BinaryAccuracy", "threshold": 0.0}
    _, _, html = judge(network(dense(1), head | {"metrics": [other]}), X, YES)
    assert "'binary_accuracy' of the spec compares the head's values with 0.5" in plain(html)
    _, _, html = judge(network(dense(1), head | {"metrics": [same]}), X, YES)
    assert "compares" not in plain(html)


@pytest.mark.slow
def test_the_control_moves_the_values(tmp_path: Path) -> None:
    if chromium() is None:
        pytest.skip("no Chromium")
    _, _, html = judge(network(dense(1, "sigmoid"), {"loss": "binary_crossentropy"}), X, YES)
    data = data_of(html)
    k = data["t"].index(0.55)
    tp, fp = int(data["tp"][k]), int(data["fp"][k])
    fn, tn = int((YES == 1).sum()) - tp, int((YES == 0).sum()) - fp
    assert min(tp, fp, fn, tn) > 0
    document = re.sub(
        "<meta http-equiv.*?>", "", page(Opening("t"), [Section("heads", "Predictions", [Element(html)])])
    )
    move = f'const r = document.getElementById("head-0-range"); r.value = {k}; r.dispatchEvent(new Event("input"));'
    press = 'document.querySelector("[data-shares]").click();'
    path = tmp_path / "page.html"
    path.write_text(document + f"<script>{move}{press}</script>", encoding="utf-8")
    command = [str(chromium()), *OPTIONS, f"--user-data-dir={tmp_path / 'home'}", "--dump-dom", path.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=90, encoding="utf-8").stdout
    control = shown[shown.index("data-threshold") :]
    assert re.search(r"<output[^>]*>0.55</output>", control)
    values = re.findall(r"<dd>(.*?)</dd>", control)[:8]
    shares = (tp / (tp + fp), tp / (tp + fn), 2 * tp / (2 * tp + fp + fn), (tp + tn) / 80)
    assert values == [*(f"{share:.3f}" for share in shares), *map(str, (tp, fp, fn, tn))]
    matrix = shown[shown.index('class="matrix"') : shown.index("data-threshold")]
    assert re.findall(r"<td[^>]*>([^<]*)</td>", matrix)[0].endswith(" %")
