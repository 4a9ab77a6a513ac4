"""``Model.report``: models in the memory, on given rows and on those of the spec."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import graphspec as gs
from graphspec.base.text import significant

SPEC = {
    "graphspec": 1,
    "name": "net",
    "inputs": {"x": {"shape": [2]}},
    "layers": [{"name": "y", "type": "Dense", "units": 1}],
    "outputs": {"y": {"loss": "mse", "metrics": ["mae"]}},
}


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(50, 2)).astype("f4"), rng.normal(size=(50, 1)).astype("f4")


def shown(path: Path) -> str:
    html = re.sub(r"<(script|style)\b.*?</\1>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_given_rows(tmp_path: Path, rows: tuple[np.ndarray, np.ndarray]) -> None:
    model = gs.compile(SPEC)
    model.fit(*rows, epochs=3, verbose=0)
    path = model.report(tmp_path / "net.html", *rows)
    assert path == tmp_path / "net.html"
    text = shown(path)
    assert "Judged on 50 rows that were given to the report" in text
    assert f"mae {significant(model.evaluate(*rows)['mae'])}" in text
    assert "3 epochs" in text or "epoch 3 of 3" in text or "last epoch" in text
    assert "Training time" in text
    again = pickle.loads(pickle.dumps(model)).report(tmp_path / "again.html", *rows)
    assert shown(again) == text


def test_without_rows_and_without_training(tmp_path: Path) -> None:
    text = shown(gs.compile(SPEC).report(tmp_path / "net.html"))
    assert "The spec names no data." in text
    assert "Curves" not in text


def test_rows_of_the_spec(tmp_path: Path, rows: tuple[np.ndarray, np.ndarray]) -> None:
    np.savez(tmp_path / "rows.npz", x=rows[0], y=rows[1])
    data = {"train": {"file": str(tmp_path / "rows.npz")}, "validation": {"split": 0.2}}
    model = gs.compile(SPEC | {"data": data})
    model.fit(verbose=0)
    assert "Judged on 10 validation rows" in shown(model.report(tmp_path / "net.html"))


def test_wrong_arguments(tmp_path: Path, rows: tuple[np.ndarray, np.ndarray]) -> None:
    model = gs.compile(SPEC)
    for wrong in ("page.pdf", "page"):
        with pytest.raises(gs.UsageError, match=r"must end in \.html"):
            model.report(tmp_path / wrong)
    with pytest.raises(gs.UsageError, match="without"):
        model.report(tmp_path / "a.html", rows[0])
    with pytest.raises(gs.SpecError):
        model.report(tmp_path / "a.html", rows[0][:, :1], rows[1])
