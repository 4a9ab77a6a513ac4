"""graphspec as a user would: ``init``, ``train``, ``export``, ``predict``, nothing touched in between.

``python -m benchmarks.quality.tables ours PYTHON SOURCE REPEAT FOLDER OUT``: its interpreter, the folder in which it lies.
OUT gets the scores and its neighbours the answers (``.npy``) and the spec (``.yaml``).
"""

from __future__ import annotations

import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality import scores


def cells(path: Path) -> dict[str, list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    return {name: [row[k] for row in rows] for k, name in enumerate(head)}


def probabilities(answers: dict[str, list[str]], target: str, labels: list[str]) -> NDArray[np.float64]:
    """(N, K) in the order of ``labels``: a column for each class, or one column for one of two classes.

    Raises:
        ValueError: the columns have no such names.
    """
    if all(f"{target}_{label}" in answers for label in labels):
        return np.array([answers[f"{target}_{label}"] for label in labels], np.float64).T
    if len(labels) != 2 or target not in answers:
        raise ValueError(f"no probabilities of {', '.join(labels)} in the columns {', '.join(answers)}")
    p = np.array(answers[target], np.float64)
    # Whose chance it is, says the label of the surest rows; without labels the target is 0 or 1.
    names = answers.get(f"{target}_label", [])
    sure = Counter(name for name, chance in zip(names, p, strict=False) if chance > 0.5).most_common(1)
    other = Counter(name for name, chance in zip(names, p, strict=False) if chance < 0.5).most_common(1)
    second = sure[0][0] == labels[1] if sure else not other or other[0][0] == labels[0]
    return np.stack([1 - p, p] if second else [p, 1 - p], 1)


@dataclass
class Graphspec:
    """The commands of graphspec in a folder, with the seconds that each took."""

    python: str
    source: str
    place: Path
    spent: dict[str, float] = field(default_factory=dict)

    def __call__(self, *words: str) -> None:
        begin = time.perf_counter()
        done = subprocess.run(
            [self.python, "-m", "graphspec", *words],
            cwd=self.place,
            env=os.environ | {"PYTHONPATH": self.source},
            capture_output=True,
            text=True,
        )
        self.spent[words[0]] = time.perf_counter() - begin
        if done.returncode:
            sys.exit(f"graphspec {' '.join(words)}: exit code {done.returncode}\n{(done.stderr + done.stdout)[-2000:]}")

    def answers(self, out: Path, *init: str, table: str) -> tuple[dict[str, list[str]], dict[str, Any]]:
        """The answers of what ``init`` writes for ``train.csv``, trained and exported, for a table; what it took."""
        took = self.answered(out, *init, table=table, train="train.csv", to="answers.csv")
        return cells(self.place / "answers.csv"), took

    def answered(self, out: Path, *init: str, table: str, train: str, to: str) -> dict[str, Any]:
        """Write the answers of what ``init`` writes for a table ``to`` a file; return what it took.

        The spec and the history of its training become neighbours of ``out``.
        """
        self("init", "spec.yaml", "--from", train, *init)
        self("train", "spec.yaml", "--out", "run", "--no-report")
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        self("export", "run", "-o", "model.onnx")
        self("predict", "model.onnx", table, "-o", to)
        shutil.copy(self.place / "spec.yaml", out.with_suffix(".yaml"))
        shutil.copy(self.place / "run/history.csv", out.with_suffix(".history.csv"))
        said: dict[str, Any] = {
            "seconds": self.spent["init"] + self.spent["train"],
            "cpu": used.ru_utime + used.ru_stime,
        }
        said |= {"predict": self.spent["predict"], "parts": self.spent}
        return said | {"size": (self.place / "model.onnx").stat().st_size}


def run(python: str, source: str, folder: Path, out: Path) -> None:
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    target = meta["target"]
    with TemporaryDirectory() as name:
        for part in ("train.csv", "test.csv"):
            (Path(name) / part).symlink_to((folder / part).resolve())
        answers, took = Graphspec(python, source, Path(name)).answers(out, "--target", target, table="test.csv")
    truth, seen = cells(folder / "test.csv")[target], cells(folder / "train.csv")[target]
    if meta["task"] == "classes":
        truth, seen = ([label.removesuffix(".0") for label in column] for column in (truth, seen))  # 1.0 is called 1
        labels = sorted(set(seen), key=lambda label: (float(label), "") if label.isdigit() else (0.0, label))
        answer = probabilities(answers, target, labels)
        rarest = min(labels, key=Counter(seen).__getitem__)
        found = scores.classes(np.array([labels.index(y) for y in truth]), answer, labels.index(rarest))
        said_labels = answers.get(f"{target}_label", [])
        right = [said == rarest for said, y in zip(said_labels, truth, strict=False) if y == rarest]
        found |= {"labelled_recall": sum(right) / len(right)} if right else {}
    else:
        answer = np.array(answers[target], np.float64)
        found = scores.numbers(np.array(truth, np.float64), answer)
        if f"{target}_low" in answers:
            ends = (np.array(answers[f"{target}_{end}"], np.float64) for end in ("low", "high"))
            found |= scores.interval(np.array(truth, np.float64), *ends)
    np.save(out.with_suffix(".npy"), answer.astype(np.float32))
    out.write_text(json.dumps({"digest": meta["digest"], "scores": found} | took), encoding="utf-8")
