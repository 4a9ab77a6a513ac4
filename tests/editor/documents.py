"""Documents of an editor, for the tests."""

from __future__ import annotations

from editor.positions import CURSOR, spec_of

from graphspec.editor.analysis import Analysis

BRANCHES = """\
graphspec: 1
name: branches
inputs:
  image: {shape: [28, 28, 1]}
layers:
  - {name: b1, type: Conv2D, filters: 64, kernel_size: 3, padding: same, inputs: image}
  - {name: b2, type: Conv2D, filters: 64, kernel_size: 3, inputs: image}
  - {name: mix, type: Concatenate, inputs: [b1, b2]}
  - {name: flat, type: Flaten}
  - {name: digit, type: Dense, units: 10, activation: softmax}
outputs:
  digit: {loss: sparse_categorical_crossentropy}
"""
"""The broken spec of the README."""


def at_cursor(part: str, name: str = "spec.yaml", *, whole: bool = False) -> tuple[Analysis, int]:
    """A spec with a part of it, and the offset of the cursor; ``whole`` if the part is all of it."""
    text = part if whole else spec_of(part)
    return Analysis(text.replace(CURSOR, ""), name), text.index(CURSOR)
