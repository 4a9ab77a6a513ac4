"""Names of the arrays that belong to a head: suffixes of its name."""

from __future__ import annotations

WEIGHT = "_sample_weight"
"""The weight of every row, or of every time step."""
LENGTH = "_length"
"""For CTC, the number of labels of every row."""
STEPS = "_input_length"
"""For CTC, the number of time steps of every row."""
SUFFIXES = (WEIGHT, LENGTH, STEPS)
"""What data may have beside a head's targets."""
LABEL = "_label"
"""The names of the classes that are answered: an output of ONNX files and of ``graphspec predict``."""
