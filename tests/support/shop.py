"""A small table of texts, numbers with gaps, dates and labels, and a spec that learns from it."""

from __future__ import annotations

import random
from pathlib import Path

SPEC = """\
graphspec: 1
name: shop
inputs:
  visit:
    columns:
      town: category
      spent: {type: number, indicator: true}
      day: date
      remark: {type: text, max_tokens: 8}
layers:
  - {name: hidden, type: Dense, units: 4, activation: relu}
  - {name: dropped, type: Dropout, rate: 0.2}
  - {name: mood, type: Dense, units: 3, activation: softmax}
outputs:
  mood: {loss: sparse_categorical_crossentropy, metrics: [accuracy]}
training:
  optimizer: adam
  epochs: 3
  batch_size: 8
  seed: 5
data:
  train: {file: shop.csv}
  validation: {split: 0.25, stratify: mood}
"""
TOWNS = ("Rome", "Oslo", "", "Łódź")
WORDS = ("good", "bad", "Good!", "café", "slow")


def rows(count: int, seed: int = 1) -> list[str]:
    """Lines of the table, without the head."""
    r = random.Random(seed)
    found = []
    for k in range(count):
        spent = "" if r.random() < 0.2 else f"{r.uniform(1, 90):.2f}"
        remark = " ".join(r.choices(WORDS, k=r.randrange(4)))
        mood = ("happy", "sad", "none of them")[k % 3]
        found.append(
            f"{r.choice(TOWNS)},{spent},20{r.randrange(10, 30)}-0{r.randrange(1, 10)}-1{k % 10},{remark},{mood}"
        )
    return found


def project(folder: Path, count: int = 48) -> Path:
    """The spec's path, beside its table."""
    (folder / "shop.csv").write_text("\n".join(["town,spent,day,remark,mood", *rows(count)]) + "\n", encoding="utf-8")
    path = folder / "shop.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return path
