"""Fine-tuning pretrained ONNX files: graphspec beside PyTorch's loops over what onnx2torch makes of the same files.

    python -m benchmarks.fine_tuning [CASE …] [--rounds N] [--python PATH]

First ``python fetch.py`` and ``python prepare.py`` in ``examples/fine-tuning``. Each training is a process of its own with
one thread; the contenders of a case take turns, in several rounds with other seeds. Times are seconds of that core's work,
and the least of all rounds, because what else the machine does must not count.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.fine_tuning.cases import CASES, Case
from benchmarks.tables import add_page, publish, table, where

ROOT = Path(__file__).resolve().parents[2]
FEW = 2
"""Epochs of the loop that computes frozen features in each of them; the others give its accuracy."""


def loops(case: Case) -> list[tuple[str, str | None, int]]:
    """The contenders: a name, PyTorch's loop (None for graphspec), and epochs."""
    ours: tuple[str, str | None, int] = ("graphspec", None, case.epochs)
    if case.trains:
        return [ours, ("PyTorch", "all", case.epochs)]
    return [
        ours,
        ("PyTorch, features in each epoch", "frozen", FEW),
        ("PyTorch, features kept", "kept", case.epochs),
    ]


def run(case: Case, loop: str | None, seed: int, epochs: int, python: str) -> dict[str, Any]:
    """One training."""
    if loop is None:
        words = [sys.executable, "-m", "benchmarks.fine_tuning.ours", case.name, str(seed), str(epochs)]
    else:
        words = [python, "-m", "benchmarks.fine_tuning.torch_loops", case.name, loop, str(seed), str(epochs)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}:\n{done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def compare(case: Case, rounds: int, python: str) -> list[list[str]]:
    """The rows of the table for a case."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for seed in range(1, rounds + 1):
        for name, loop, epochs in loops(case):
            found[name].append(run(case, loop, seed, epochs, python))
            print(f"{case.name} {seed} {name}: {json.dumps(found[name][-1])}", file=sys.stderr, flush=True)
    lines = []
    for name, _, epochs in loops(case):
        answers = found[name]
        first = min(answer["seconds"][0] for answer in answers)
        later = min(second for answer in answers for second in answer["seconds"][1:])
        accuracies = [answer["accuracy"] for answer in answers]
        accuracy = f"{mean(accuracies):.3f} ({min(accuracies):.3f}–{max(accuracies):.3f})"
        shown = accuracy if epochs == case.epochs else "as with kept features"
        total = f"{first + later * (case.epochs - 1):.1f}"
        lines.append(
            [
                case.name,
                name,
                f"{answers[0]['weights']:,}",
                f"{first:.2f}",
                f"{later:.3f}",
                total,
                str(case.epochs),
                shown,
            ]
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="Fine-tune pretrained ONNX files, beside PyTorch.")
    parser.add_argument("cases", nargs="*", default=[*CASES], metavar="CASE", help=f"of {', '.join(CASES)}")
    parser.add_argument("--rounds", type=int, default=2, metavar="N", help="default: 2")
    parser.add_argument(
        "--python", default=sys.executable, metavar="PATH", help="an interpreter with torch, onnx2torch"
    )
    add_page(parser)
    options = parser.parse_args()
    if unknown := set(options.cases) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    head = [
        "case",
        "who",
        "weights that train",
        "first epoch, s",
        "later epoch, s",
        "all, s",
        "epochs",
        "accuracy, held out",
    ]
    lines = [line for name in options.cases for line in compare(CASES[name], options.rounds, options.python)]
    publish("fine-tuning", f"{where()}\n\n{table(head, lines)}", options.markdown)


if __name__ == "__main__":
    main()
