"""Write ``texts.json``: what Keras 3 makes of texts and integers, and what it learns from them.

Run in an environment of its own, since these layers of Keras need TensorFlow: ``pip install keras==3.15.1
tensorflow-cpu==2.21.0``, then ``KERAS_BACKEND=tensorflow python tests/golden/make_texts.py``.

A case is a layer with its arguments, the name of the data that it learns from or null, its input, its output, and its
vocabulary without special tokens. Where Keras strips punctuation inside of words or ignores capitals beyond ASCII,
graphspec differs on purpose: there are no such texts here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

LONG = "a b " * 2_500
WORDS = [
    "The cat sat on the mat.",
    "  the Dog, the CAT and the \t mouse!\nran ",
    "",
    "... -- !?",
    "caf\u00e9 na\u00efve \u65e5\u672c\u8a9e \U0001f600 mat \u0645\u0631\u062d\u0628\u0627",
    "control \x01\x02 characters\x7f here cat",
    "end\u00a0less \u3000wide x\u000by",
    LONG,
]
NEW = ["the cat and a zebra", "", "MAT mat (mat)", "\u65e5\u672c\u8a9e caf\u00e9", "a b a", "\x01\x02 \U0001f600", "?"]
TOWNS = [
    ["Rome"],
    ["Paris"],
    ["Rome"],
    [""],
    ["Oslo"],
    ["Paris"],
    ["Rome"],
    ["NA"],
    ["rome"],
    ["\u6771\u4eac"],
    ["Oslo"],
]
NEW_TOWNS = [["Oslo"], ["Bonn"], [""], ["Rome"], ["\u6771\u4eac"], ["rome"], ["Rome "]]
PAIRS = [["a", "b"], ["b", "b"], ["c", ""], ["a", "a"], ["d", "b"]]
YEARS = [[1990], [2001], [1990], [-5], [0], [2001], [1990], [7]]
PAIR_YEARS = [[1, 2], [2, 2], [3, 1], [1, -4]]

LEARNT = {id(globals()[name]): name for name in ("WORDS", "TOWNS", "PAIRS", "YEARS", "PAIR_YEARS")}
MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")


def cases() -> list[tuple[str, dict[str, Any], Any, Any]]:
    """The layer, its arguments, the data to learn from or None, and the input."""
    found: list[tuple[str, dict[str, Any], Any, Any]] = []
    for mode in MODES:
        found.append(("StringLookup", {"output_mode": mode}, TOWNS, NEW_TOWNS))
        found.append(("StringLookup", {"output_mode": mode, "mask_token": "", "max_tokens": 5}, TOWNS, NEW_TOWNS))
        found.append(("IntegerLookup", {"output_mode": mode}, YEARS, [[7], [8], [1990], [-5], [0]]))
        found.append(("IntegerLookup", {"output_mode": mode, "mask_token": 0}, YEARS, [[7], [8], [1990], [-5], [0]]))
        if mode != "one_hot":
            found.append(("StringLookup", {"output_mode": mode, "mask_token": ""}, PAIRS, [["a", "q"], ["b", ""]]))
            found.append(("IntegerLookup", {"output_mode": mode, "num_oov_indices": 3}, PAIR_YEARS, [[1, 9], [-1, -2]]))
            padded = {"max_tokens": 20, "pad_to_max_tokens": True}
            found.append(("StringLookup", {"output_mode": mode, **padded}, PAIRS, [["a", "q"], ["b", ""]]))
    found.append(("StringLookup", {"vocabulary": ["", "[UNK]", "b", "a"], "mask_token": ""}, None, PAIRS))
    given = {"vocabulary": ["b", "a", "c"], "idf_weights": [0.25, 0.5, 1.5], "output_mode": "tf_idf"}
    found.append(("StringLookup", given, None, PAIRS))
    given = {"vocabulary": ["[UNK]", "b", "a"], "idf_weights": [0.25, 0.5, 1.5], "output_mode": "tf_idf"}
    found.append(("StringLookup", given, None, PAIRS))
    found.append(("StringLookup", {**given, "pad_to_max_tokens": True, "max_tokens": 6}, None, PAIRS))
    found.append(("IntegerLookup", {"vocabulary": [3, 1, -7], "mask_token": 0}, None, PAIR_YEARS))
    ways: list[dict[str, Any]] = [{}, {"max_tokens": 6}, {"split": "character"}, {"ngrams": 2}, {"ngrams": [1, 3]}]
    ways += [{"ngrams": [2]}, {"standardize": "lower"}, {"standardize": "strip_punctuation"}, {"standardize": None}]
    ways += [{"standardize": "lower", "split": "character"}, {"standardize": "lower", "split": None}]
    ways += [{"split": "character", "ngrams": 2}, {"max_tokens": 500, "pad_to_max_tokens": True}]
    for way in ways:
        for mode in ("int", "multi_hot", "count", "tf_idf"):
            column = way.get("split", "") is None  # Keras takes a vector of tokens for one row
            found.append(
                ("TextVectorization", {**way, "output_mode": mode}, WORDS, [[t] for t in NEW] if column else NEW)
            )
    for length in (1, 3, 8):
        found.append(("TextVectorization", {"output_sequence_length": length}, WORDS, NEW))
        found.append(("TextVectorization", {"output_sequence_length": length, "ngrams": 2}, WORDS, NEW))
        found.append(("TextVectorization", {"output_sequence_length": length}, WORDS, ["", "!"]))
    found.append(
        ("TextVectorization", {"vocabulary": ["cat", "the", "a cat"], "ngrams": 2}, None, ["The cat", "a cat"])
    )
    found.append(("TextVectorization", {}, WORDS, ["", "!?"]))
    return found


def make(name: str, arguments: dict[str, Any], learnt: Any, given: Any) -> dict[str, Any]:
    """One case."""
    called = {k: tuple(v) if k == "ngrams" and isinstance(v, list) else v for k, v in arguments.items()}
    layer = getattr(keras.layers, name)(**called)
    dtype = np.int64 if name == "IntegerLookup" else object
    if learnt is not None:
        layer.adapt(np.array(learnt, dtype))
    output = np.asarray(layer(np.array(given, dtype)))
    vocabulary = [v if isinstance(v, str) else int(v) for v in layer.get_vocabulary(include_special_tokens=False)]
    case = {"layer": name, "arguments": arguments, "learnt": learnt, "given": given, "vocabulary": vocabulary}
    return case | {"shape": list(output.shape), "output": [round(v, 6) for v in output.reshape(-1).tolist()]}


if __name__ == "__main__":
    lines = [json.dumps(make(*case) | {"learnt": LEARNT.get(id(case[2]))}) for case in cases()]
    data = json.dumps({name: globals()[name] for name in LEARNT.values()})
    path = Path(__file__).with_name("texts.json")
    path.write_text(f'{{"data": {data},\n"cases": [\n' + ",\n".join(lines) + "\n]}\n", encoding="utf-8")
