"""Origins: the spec as YAML that reads back, commands that are quoted, hashes, and what was learnt, shortened."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from findings import ATTACK, DATA, check_html, findings_of

import graphspec as gs
from graphspec.engine.compiler.check import check
from graphspec.engine.runtime.records import read_json
from graphspec.language.write import write_yaml
from graphspec.show.html import html_of
from graphspec.show.report.about import origins
from graphspec.show.report.findings import Findings
from specs import blobs, dense_spec

RECORD: dict[str, Any] = {
    "graphspec": "0.2.0",
    "packages": {"numpy": "2.4.6"},
    "seed": 3,
    "workers": 2,
    "cores": 8,
    "blas_threads": {},
    "plan": {"kernels": "Haswell"},
    "spec_sha256": "ab" * 32,
    "data_sha256": {"train": "cd" * 32},
}


def _html(found: Findings) -> str:
    html = html_of(origins(found).blocks)
    check_html(html)
    return html


def test_commands_and_what_the_same_bits_need() -> None:
    model = gs.compile(dense_spec(data=DATA))
    html = _html(findings_of(model, *blobs(10), directory=Path("my runs/a"), record=RECORD))
    command = (
        "graphspec train &#x27;my runs/a/spec.json&#x27; --out &#x27;my runs/a-again&#x27; --set training.workers=2"
    )
    assert command in html or "--set training.workers=2" in html
    assert "graphspec 0.2.0 and NumPy 2.4.6" in html
    assert "Haswell" in html
    assert "graphspec evaluate " in html
    assert "cd" * 32 in html


def test_the_spec_reads_back_from_its_text(tmp_path: Path) -> None:
    spec = dense_spec(description=f"A text: {ATTACK} # 'quoted'", data=DATA)
    file = tmp_path / "spec.yaml"
    file.write_text(write_yaml(spec), encoding="utf-8")
    found = check(file)
    assert found.spec is not None
    assert found.spec.document == spec
    assert "layers:\n" in write_yaml(spec)
    assert "{name: hidden, type: Dense, units: 8, activation: relu}" in write_yaml(spec)


def test_a_run_has_the_hashes_of_its_files(tmp_path: Path) -> None:
    model = gs.compile(dense_spec())
    x, y = blobs(20)
    model.fit(x, y, epochs=1, verbose=0)
    model.save(tmp_path / "run")
    record = read_json(tmp_path / "run" / "run.json")
    html = _html(Findings(model, tmp_path / "run", {}, record))
    assert hashlib.sha256((tmp_path / "run" / "weights.safetensors").read_bytes()).hexdigest() in html
    assert record["spec_sha256"] in html


def test_what_was_learnt_is_shortened() -> None:
    spec = {
        "graphspec": 1,
        "name": "learnt",
        "inputs": {"r": {"columns": {"word": {"type": "category", "min_count": 1}, "size": "number"}}},
        "layers": [{"name": "y", "type": "Dense", "units": 1}],
        "outputs": {"y": {"loss": "mse"}},
    }
    words = np.array([[f"{ATTACK}{k}"] for k in range(500)], object)
    model = gs.compile(spec)
    numbers = np.arange(500, dtype=np.float32).reshape(-1, 1)
    model.fit({"word": words, "size": numbers}, numbers, epochs=1, verbose=0)
    html = _html(Findings(model, Path("runs/none"), {}))
    assert "Learnt from 500 training rows before the first step" in html
    assert "… 500 in all" in html
    assert "249.5" in html
    assert len(html) < 12_000


@pytest.mark.parametrize("record", [{}, {"packages": 3, "plan": [], "data_sha256": "x", "workers": "many"}])
def test_records_that_are_missing_or_strange(record: dict[str, Any]) -> None:
    html = _html(Findings(gs.compile(dense_spec()), Path("runs/none"), {}, record))
    assert "the same kind of processor" in html
