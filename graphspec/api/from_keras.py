"""What Keras users write in Python, and what to write here: answers to keywords and attributes that there are not.

The words are in `from_keras.json`. A key there is one name, or several with the same answer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

_WORDS: Final = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
NO_ESTIMATOR: Final[str] = _WORDS["estimator"]


def _answers(section: str) -> dict[str, str]:
    rows = _WORDS[section].items()
    return {name: text.replace("<estimator>", NO_ESTIMATOR) for names, text in rows for name in names.split()}


FIT: Final = _answers("fit")
EVALUATE: Final = _answers("evaluate")
PREDICT: Final = _answers("predict")
EXPLAIN: Final = _answers("explain")
COMPILE: Final = _answers("compile")
LOAD: Final = _answers("load")
ATTRIBUTES: Final = _answers("attributes")
_RUN_OR_ONNX = "`save('runs/name')` writes a run, which `gs.load` reads, and `save('name.onnx')` a file for apps"
SAVED: Final = {suffix: f"they are {what}; {_RUN_OR_ONNX}" for suffix, what in _answers("suffixes").items()}
"""Suffixes of files that `save` does not write, and what to write instead."""
