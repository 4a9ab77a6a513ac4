"""The command line for tests: a small project on disk, and a run of one command."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import typer.testing
from typer.testing import CliRunner, Result

from graphspec.cli.app import app

typer.testing._get_command = cache(typer.testing._get_command)  # made anew for each command, in a tenth of a second

SPEC = """\
graphspec: 1
name: tiny
description: Whether two numbers of four add up to more than nothing.
inputs:
  features: {shape: [4]}
layers:
  - {name: hidden, type: Dense, units: 8, activation: relu}
  - {name: dropped, type: Dropout, rate: 0.2}
  - {name: answer, type: Dense, units: 1, activation: sigmoid}
outputs:
  answer: {loss: binary_crossentropy, metrics: [accuracy], labels: ["no", "yes"]}
training:
  optimizer: adam
  epochs: 3
  batch_size: 16
  seed: 5
  callbacks: [{type: EarlyStopping, monitor: val_loss, patience: 50, restore_best_weights: true}]
data:
  train: {file: train.npz}
  validation: {split: 0.25}
  test: {file: test.npz}
"""


def project(folder: Path, spec: str = SPEC) -> Path:
    """A spec with its data in ``folder``; the spec's path."""
    rows = np.random.default_rng(3)
    for name, count in (("train", 80), ("test", 20)):
        x = rows.normal(size=(count, 4)).astype(np.float32)
        np.savez(folder / f"{name}.npz", features=x, answer=(x[:, 0] + x[:, 1] > 0).astype(np.int64))
    path = folder / "tiny.yaml"
    path.write_text(spec, encoding="utf-8")
    return path


def graphspec(*arguments: object, stdin: str | bytes | None = None) -> Result:
    """One command; ``exit_code``, ``stdout`` and ``stderr`` of the result."""
    return CliRunner().invoke(app, [str(a) for a in arguments], input=stdin)
