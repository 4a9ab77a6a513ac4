"""Suffixes of the arrays that belong to a head: a head's name and a suffix are the name of the array."""

from __future__ import annotations

WEIGHT = "_sample_weight"
"""The weight of each row, or of each time step."""
LENGTH = "_length"
"""For CTC, the number of labels of each row."""
STEPS = "_input_length"
"""For CTC, the number of time steps of each row."""
SUFFIXES = (WEIGHT, LENGTH, STEPS)
"""The arrays that data may contain beside a head's targets."""
LABEL = "_label"
"""The labels of the predicted classes: an output of ONNX files and of ``graphspec predict``."""
