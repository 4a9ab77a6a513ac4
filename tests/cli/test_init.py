"""Specs that ``graphspec init`` writes train on the data that their comments describe, and export."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import graphspec

Write = Callable[[Path, np.random.Generator, int], None]


def _npz(arrays: Callable[[np.random.Generator, int], dict[str, np.ndarray]]) -> Write:
    return lambda stem, r, n: np.savez(stem.with_suffix(".npz"), **arrays(r, n))


def _csv(header: list[str], texts: list[str] | None) -> Write:
    def write(stem: Path, r: np.random.Generator, n: int) -> None:
        last = [texts[k % len(texts)] for k in range(n)] if texts else r.normal(size=n).tolist()
        rows = [[*x, y] for x, y in zip(r.normal(size=(n, len(header) - 1)).tolist(), last, strict=True)]
        with stem.with_suffix(".csv").open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows])

    return write


def _letters(r: np.random.Generator, n: int) -> np.ndarray:
    return np.where(np.arange(4) < r.integers(1, 5, (n, 1)), r.integers(1, 27, (n, 4)), 0)


DATA: dict[str, Write] = {
    "binary": _npz(lambda r, n: {"features": r.normal(size=(n, 20)), "answer": np.arange(n) % 2}),
    "multiclass": _csv(["length", "width", "height", "weight", "species"], ["a", "b", "c"]),
    "regression": _csv(["rooms", "area", "age", "price"], None),
    "images": _npz(lambda r, n: {"image": r.integers(0, 256, (n, 28, 28, 1), np.uint8), "kind": np.arange(n) % 10}),
    "text": _npz(lambda r, n: {"words": r.integers(0, 10000, (n, 7)), "opinion": np.arange(n) % 2}),
    "sequence": _npz(lambda r, n: {"frames": r.normal(size=(n, 12, 16)), "letters": _letters(r, n)}),
    "two-heads": _npz(
        lambda r, n: {
            "left": r.normal(size=(n, 16)),
            "right": r.normal(size=(n, 16)),
            "same": np.arange(n) % 2,
            "distance": r.normal(size=n),
        }
    ),
}


@pytest.mark.parametrize("kind", DATA)
def test_a_new_spec_trains(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    r = np.random.default_rng(1)
    DATA[kind](Path("data/train"), r, 40)
    DATA[kind](Path("data/test"), r, 20)
    graphspec("init", "net.yaml", "--kind", kind)
    result = graphspec("train", "net.yaml", "--set", "training.epochs=1", "--export", "net.onnx")
    assert (result.exit_code, result.stderr) == (0, ""), result.stderr
    assert "net.onnx: equal to the runtime" in result.stdout
    suffix = "csv" if Path("data/test.csv").exists() else "npz"
    assert graphspec("predict", "net.onnx", f"data/test.{suffix}", "-o", "answers.csv").exit_code == 0
