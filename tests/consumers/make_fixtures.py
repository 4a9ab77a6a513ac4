"""Trains small networks and writes them, raw records and their answers: what every consumer of a file must get.

``python tests/consumers/make_fixtures.py [FOLDER]`` writes ``<name>/{model.onnx, records.jsonl, answers.json}``.
A record has one value per input of the file, without the axis of the batch; null is a missing value, and an integer beyond
2**53, which JSON's numbers do not hold everywhere, is a text. An answer has the elements of each output for all records.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before onnxruntime is imported
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the package of this repository, also if one is installed

import numpy as np
from nasty_texts import DATES, NASTY, TOWNS

import graphspec as gs
from graphspec.export.onnx import KEY

FIXTURES = Path(__file__).parent / "fixtures"
_SAFE = 2**53  # the first integer that may not be exact in JSON
_GAP = -(2**63)  # a missing integer
_ROWS = 48
_PARTS = ["weekday", "month", "yearday", "hour"]
KINDS = {"tensor(float)": "float32", "tensor(int64)": "int64", "tensor(string)": "string"}


def table() -> Fixture:
    """Every type of column, a cross, learnt labels, and a head in the unit of its target."""
    random = np.random.default_rng(1)
    spec = {
        "graphspec": 1,
        "name": "table",
        "inputs": {
            "person": {
                "columns": {
                    "age": {"type": "number", "missing": "median", "indicator": True},
                    "hours": {"type": "number", "missing": "zero", "scale": "log1p"},
                    "height": {"type": "number", "missing": "mean", "scale": "minmax"},
                    "steps": {"type": "number", "scale": {"bins": 4}},
                    "town": {"type": "category", "missing_values": ["?"]},
                    "trade": {"type": "category", "embed": 3},
                    "code": {"type": "category", "dtype": "int64"},
                    "joined": {"type": "date", "parts": ["year", "month", "weekday", "hour", "days"]},
                    "remark": {"type": "text", "max_tokens": 60, "ngrams": 2},
                },
                "crosses": [{"columns": ["town", "trade"], "num_bins": 16}],
            }
        },
        "layers": [
            {"name": "hidden", "type": "Dense", "units": 8, "activation": "relu", "inputs": "person"},
            {"name": "kind", "type": "Dense", "units": 3, "activation": "softmax"},
            {"name": "price", "type": "Dense", "units": 1, "inputs": "hidden"},
        ],
        "outputs": {
            "kind": {"loss": "sparse_categorical_crossentropy"},
            "price": {"loss": "mean_squared_error", "scale": "standard"},
        },
    }
    towns = np.array(["Zürich", "Köln", "", "?", "İzmir", "東京"], object)
    trades = np.array(["baker", "smith", "Baker", "", "cœur"], object)
    words = ["a fine day", "rain, Rain and RAIN", "naïve NAÏVE été", "Ёлка", "", "fine rain"]
    x: dict[str, Any] = {
        "age": random.integers(18, 90, _ROWS).astype(np.float32),
        "hours": random.gamma(2.0, 900.0, _ROWS).astype(np.float32),
        "height": random.normal(170, 10, _ROWS).astype(np.float32),
        "steps": random.integers(0, 20_000, _ROWS).astype(np.float32),
        "town": random.choice(towns, _ROWS),
        "trade": random.choice(trades, _ROWS),
        "code": random.choice(np.array([3, 17, 2**60 + 1, -5, _GAP]), _ROWS),
        "joined": random.choice(np.array(["2020-01-31", "2021-06-15T08:30", "1999-12-31", ""], object), _ROWS),
        "remark": random.choice(np.array(words, object), _ROWS),
    }
    for name in ("age", "hours", "height", "steps"):
        x[name][random.random(_ROWS) < 0.2] = np.nan
    y = {
        "kind": random.choice(np.array(["ångström", "b c", "中"], object), _ROWS),
        "price": random.normal(250_000, 40_000, (_ROWS, 1)).astype(np.float32),
    }
    records = rows_of({name: values[:12] for name, values in x.items()})
    for k, record in enumerate(records[6:]):  # what no training row has
        record |= {"remark": NASTY[4 + k], "town": NASTY[k], "trade": NASTY[6 + k], "joined": DATES[k]}
    records[0] |= dict.fromkeys(x)  # all missing
    records[1]["code"] = 999
    return spec, columns(x), y, records


def opinions() -> Fixture:
    """A text as ids of words, embedded and pooled."""
    spec = {
        "graphspec": 1,
        "name": "opinions",
        "inputs": {"opinion": {"dtype": "string"}},
        "layers": [
            {"name": "words", "type": "TextVectorization", "max_tokens": 80, "output_sequence_length": 12},
            {"name": "look", "type": "Embedding", "input_dim": None, "output_dim": 6, "mask_zero": True},
            {"name": "mean", "type": "GlobalAveragePooling1D"},
            {"name": "good", "type": "Dense", "units": 1, "activation": "sigmoid"},
        ],
        "outputs": {"good": {"loss": "binary_crossentropy", "labels": ["no", "yes"]}},
    }
    texts = ["good film", "bad film", "a GOOD one, truly", "très bon", "TRÈS mauvais", "плохо", "ХОРОШО"] * 4
    y = {"good": np.array([["yes"], ["no"], ["yes"], ["yes"], ["no"], ["no"], ["yes"]] * 4, object)}
    records = [{"opinion": text} for text in (*texts[:7], *NASTY)]
    return spec, {"opinion": objects(texts)}, y, records


def characters() -> Fixture:
    """A text as ids of characters, read by a recurrent layer."""
    spec = {
        "graphspec": 1,
        "name": "characters",
        "inputs": {"name": {"dtype": "string"}},
        "layers": [
            {
                "name": "letters",
                "type": "TextVectorization",
                "split": "character",
                "standardize": "lower",
                "output_sequence_length": 10,
            },
            {"name": "look", "type": "Embedding", "input_dim": None, "output_dim": 4},
            {"name": "read", "type": "GRU", "units": 5},
            {"name": "tongue", "type": "Dense", "units": 3, "activation": "softmax"},
        ],
        "outputs": {"tongue": {"loss": "sparse_categorical_crossentropy"}},
    }
    names = ["Anna", "Émile", "ÉMILE", "Łukasz", "Σοφία", "ΣΟΦΊΑ", "Иван", "李明"] * 4
    y = {"tongue": np.array(["west", "west", "west", "west", "Greek", "Greek", "east", "east"] * 4, object)}
    return spec, {"name": objects(names)}, y, [{"name": text} for text in (*names[:8], *NASTY)]


def image() -> Fixture:
    """Bytes of pictures, resized in the graph."""
    random = np.random.default_rng(4)
    spec = {
        "graphspec": 1,
        "name": "image",
        "inputs": {"sample": {"columns": {"photo": {"type": "image", "shape": [8, 8, 3]}}}},
        "layers": [
            {"name": "edges", "type": "Conv2D", "filters": 4, "kernel_size": 3, "inputs": "sample/photo"},
            {"name": "pooled", "type": "GlobalMaxPooling2D"},
            {"name": "animal", "type": "Dense", "units": 2, "activation": "softmax"},
        ],
        "outputs": {"animal": {"loss": "sparse_categorical_crossentropy"}},
    }
    photos = random.integers(0, 256, (12, 7, 9, 3)).astype(np.uint8)
    y = {"animal": np.array(["cat", "dog"] * 6, object)}
    return spec, {"photo": photos}, y, [{"photo": photo.tolist()} for photo in photos[:4]]


def integers() -> Fixture:
    """Integers looked up, hashed and crossed; several inputs in one array."""
    random = np.random.default_rng(5)
    spec = {
        "graphspec": 1,
        "name": "integers",
        "inputs": {
            "shop": {"shape": [1], "dtype": "int64"},
            "items": {"shape": [3], "dtype": "int64"},
            "level": {"shape": [1], "dtype": "int32"},
            "urgent": {"shape": [1], "dtype": "bool"},
        },
        "layers": [
            {"name": "known", "type": "IntegerLookup", "num_oov_indices": 3, "mask_token": 0, "inputs": "shop"},
            {"name": "bins", "type": "Hashing", "num_bins": 11, "inputs": "items"},
            {"name": "pair", "type": "HashedCrossing", "num_bins": 7, "inputs": ["shop", "level"]},
            {
                "name": "a",
                "type": "CategoryEncoding",
                "output_mode": "multi_hot",
                "num_tokens": None,
                "inputs": "known",
            },
            {"name": "b", "type": "CategoryEncoding", "output_mode": "count", "num_tokens": None, "inputs": "bins"},
            {"name": "c", "type": "CategoryEncoding", "output_mode": "one_hot", "num_tokens": None, "inputs": "pair"},
            {"name": "d", "type": "Rescaling", "scale": 0.5, "inputs": "urgent"},
            {"name": "all", "type": "Concatenate", "inputs": ["a", "b", "c", "d"]},
            {"name": "demand", "type": "Dense", "units": 1},
        ],
        "outputs": {
            "demand": {"loss": "mean_squared_error"},
            **{name: {} for name in ("known", "bins", "pair")},
        },
    }
    large = np.array([5, -7, 2**62 + 3, 2**53 + 1, 0, _GAP + 1, 12], np.int64)
    x = {
        "shop": random.choice(large[:5], (_ROWS, 1)),
        "items": random.choice(large, (_ROWS, 3)),
        "level": random.integers(-3, 3, (_ROWS, 1)).astype(np.int32),
        "urgent": random.random((_ROWS, 1)) < 0.5,
    }
    y = {"demand": random.normal(size=(_ROWS, 1)).astype(np.float32)}
    records = rows_of({name: values[:9] for name, values in x.items()})
    records += [
        {"shop": [n], "items": [n, n, 0], "level": [1], "urgent": [True]} for n in (8, -9, 2**63 - 1, 2**53 + 3)
    ]
    return spec, x, y, records


def tokens() -> Fixture:
    """Ids themselves, by every layer that reads texts."""
    vectors: dict[str, dict[str, Any]] = {
        "words": {"output_sequence_length": 9},
        "cased": {"standardize": None, "output_sequence_length": 9},
        "stripped": {"standardize": "strip_punctuation", "output_sequence_length": 9},
        "pairs": {"ngrams": [2, 3], "output_sequence_length": 12},
        "letters": {"split": "character", "output_sequence_length": 24},
        "signs": {"split": "character", "standardize": None, "output_sequence_length": 24},
        "whole": {"split": None, "standardize": "lower", "inputs": "town"},
        "counts": {"output_mode": "count", "max_tokens": 30},
    }
    lookups: list[dict[str, Any]] = [
        {"name": "known", "type": "StringLookup", "mask_token": ""},
        {"name": "hashed_unseen", "type": "StringLookup", "vocabulary": ["Élan", "北京"], "num_oov_indices": 1000},
        {"name": "hashed", "type": "Hashing", "num_bins": 100_003},
        {"name": "salted", "type": "Hashing", "num_bins": 100_003, "salt": [7, 11]},
    ]
    spec = {
        "graphspec": 1,
        "name": "tokens",
        "inputs": {name: {"dtype": "string"} for name in ("note", "place", "town", "day")},
        "layers": [
            *({"name": n, "type": "TextVectorization", "inputs": "note"} | more for n, more in vectors.items()),
            *({**layer, "inputs": "place"} for layer in lookups),
            {"name": "crossed", "type": "HashedCrossing", "num_bins": 100_003, "inputs": ["note", "place", "day"]},
            {
                "name": "parts",
                "type": "DateParts",
                "inputs": "day",
                "cyclic": False,
                "parts": ["year", "month", "day", "weekday", "hour", "minute", "days"],
            },
            {"name": "cycle", "type": "DateParts", "inputs": "day", "parts": ["month", "weekday"]},
            {"name": "written", "type": "DateParts", "inputs": "day", "format": "%d/%m/%y", "cyclic": False},
            {"name": "any", "type": "Dense", "units": 1, "inputs": "counts"},
        ],
        "outputs": {
            "any": {"loss": "mean_squared_error"},
            **{layer: {} for layer in (*vectors, *(found["name"] for found in lookups))},
            **{layer: {} for layer in ("crossed", "parts", "cycle", "written")},
        },
    }
    days = ("31/12/99", "1/2/03", "29/02/23", *DATES)
    records = [
        {
            "note": text,
            "place": NASTY[(k * 5) % len(NASTY)],
            "town": TOWNS[k % len(TOWNS)],
            "day": days[k % len(days)],
        }
        for k, text in enumerate(NASTY)
    ]
    short = [record for record in records if max(map(len, record.values())) < 100]
    x = {name: objects([record[name] for record in short]) for name in ("note", "place", "town", "day")}
    return spec, x, {"any": np.zeros((len(short), 1), np.float32)}, records


def bags() -> Fixture:
    """The bags of words and of runs of characters that `init` writes for texts, and their elements."""
    bag = {"ngrams": 2, "max_tokens": 150, "sublinear_tf": True, "norm": "l2"}
    runs = {"split": "word_characters", "ngrams": [2, 3, 4, 5]}
    layers: dict[str, dict[str, Any]] = {
        "runs": {**runs, "output_mode": "count", "max_tokens": 150},
        "cased": {**runs, "output_mode": "multi_hot", "max_tokens": 60, "standardize": None},
        "weights": {**bag, "output_mode": "tf_idf"},
        "weights_of_runs": {**bag, **runs, "output_mode": "tf_idf", "norm": None},
    }
    spec = {
        "graphspec": 1,
        "name": "bags",
        "inputs": {
            "row": {"columns": {"text": {"type": "text", **bag, "characters": [2, 3, 4, 5]}}},
            "note": {"dtype": "string"},
        },
        "layers": [
            *({"name": name, "type": "TextVectorization", "inputs": "note", **more} for name, more in layers.items()),
            {"name": "mood", "type": "Dense", "units": 3, "activation": "softmax", "inputs": "row"},
        ],
        "outputs": {"mood": {"loss": "sparse_categorical_crossentropy"}, **{name: {} for name in layers}},
    }
    short = [text for text in NASTY if len(text) < 100]
    records = [{"text": text, "note": text} for text in (*NASTY, *TOWNS)]
    texts = objects([*short, *TOWNS] * 2)
    moods = objects([("glad", "sad", "été")[k % 3] for k in range(len(texts))])
    return spec, {"text": texts, "note": texts}, {"mood": moods}, records


def strokes() -> Fixture:
    """Letters of a word, each at the step at which it begins: repeats, blanks, and masked steps at the end."""
    random = np.random.default_rng(7)
    spec = {
        "graphspec": 1,
        "name": "strokes",
        "inputs": {"line": {"shape": [None, 3]}},
        "layers": [
            {"name": "written", "type": "Masking"},
            {"name": "read", "type": "Bidirectional", "layer": {"type": "LSTM", "units": 4, "return_sequences": True}},
            {
                "name": "letters",
                "type": "Dense",
                "units": 5,
                "kernel_initializer": {"type": "RandomNormal", "stddev": 4},
            },
        ],
        "outputs": {"letters": {"loss": "ctc"}},
    }
    line = random.normal(size=(_ROWS, 9, 3)).astype(np.float32) * 3
    line[np.arange(9) >= random.integers(5, 10, _ROWS)[:, None]] = 0
    words = np.array([["aß", "ba", "東ab", "a"][k % 4] for k in range(_ROWS)], object)
    return spec, {"line": line}, {"letters": words}, rows_of_lists({"line": line[:16]})


def sentences() -> Fixture:
    """A tag for each token of a list, by its word and the characters at its ends; padding has none."""
    spec = {
        "graphspec": 1,
        "name": "sentences",
        "inputs": {"tokens": {"shape": [None], "dtype": "string"}},
        "layers": [
            {"name": "ids", "type": "StringLookup", "mask_token": "", "fold_case": True},
            {"name": "word", "type": "Embedding", "input_dim": None, "output_dim": 4},
            {
                "name": "ends",
                "type": "TextVectorization",
                "standardize": None,
                "split": "character",
                "output_sequence_length": 5,
                "last": 3,
                "inputs": "tokens",
            },
            {"name": "letters", "type": "Embedding", "input_dim": None, "output_dim": 3},
            {"name": "form", "type": "Reshape", "target_shape": [0, 15]},
            {"name": "both", "type": "Concatenate", "inputs": ["word", "form"]},
            {"name": "sentence", "type": "Masking", "inputs": ["both", "ids"]},
            {"name": "near", "type": "Conv1D", "filters": 6, "kernel_size": 3, "padding": "same"},
            {"name": "words", "type": "Masking", "inputs": ["near", "ids"]},
            {"name": "tags", "type": "Dense", "units": 3, "activation": "softmax"},
        ],
        "outputs": {"tags": {"loss": "sparse_categorical_crossentropy"}},
    }
    made = [["The", "cät", "läuft"], ["Das", "ist", "ein", "Naïve"], ["北京"], ["the", "ÉTÉ", "endet"]] * 6
    tags = [["D", "N", "V"], ["D", "V", "D", "N"], ["N"], ["D", "N", "V"]] * 6
    asked = [*made[:4], *(NASTY[k : k + 4] for k in range(0, len(NASTY) - 3, 4))]
    records = [{"tokens": [*(text for text in row if text), *[""] * 5][:5]} for row in asked]
    return spec, {"tokens": made}, {"tags": tags}, records


def demand() -> Fixture:
    """A series scaled by its window, its calendar, what is known ahead, and which shop; an interval, and quantiles."""
    random = np.random.default_rng(9)
    spec = {
        "graphspec": 1,
        "name": "demand",
        "inputs": {
            "past": {"shape": [7]},
            "ahead": {"shape": [3, 2]},
            "now": {"shape": [1], "dtype": "string"},
            "shop": {"shape": [1], "dtype": "string"},
        },
        "layers": [
            {"name": "scaled", "type": "WindowScaling", "inputs": "past"},
            {"name": "calendar", "type": "DateParts", "parts": _PARTS, "one_hot": True, "inputs": "now"},
            {"name": "days", "type": "Flatten", "inputs": "ahead"},
            {"name": "known_shop", "type": "StringLookup", "inputs": "shop"},
            {"name": "shop_vector", "type": "Embedding", "input_dim": None, "output_dim": 2},
            {"name": "which", "type": "Flatten"},
            {"name": "known", "type": "Concatenate", "inputs": ["scaled", "calendar", "days", "which"]},
            {"name": "units", "type": "Dense", "units": 3},
            {"name": "ranges", "type": "Dense", "units": 9, "inputs": "known"},
            {"name": "steps", "type": "Reshape", "target_shape": [3, 3]},
            {"name": "visits", "type": "QuantileSteps"},
        ],
        "outputs": {
            "units": {"loss": "mae", "scale": {"window": "scaled"}, "clip": {"min": 0}, "interval": 0.9},
            "visits": {"loss": {"type": "quantile", "quantiles": [0.05, 0.5, 0.95]}, "scale": "standard"},
        },
    }
    level = random.gamma(2.0, 40.0, (_ROWS, 1))
    first = np.datetime64("2024-02-27T06:00") + np.arange(_ROWS) * np.timedelta64(30, "h")
    x: dict[str, Any] = {
        "past": np.round(level + random.normal(0, 9, (_ROWS, 7))).astype(np.float32),
        "ahead": random.integers(0, 2, (_ROWS, 3, 2)).astype(np.float32),
        "now": objects([str(time) for time in first]),
        "shop": objects([("Köln", "東京", "İzmir")[k % 3] for k in range(_ROWS)]),
    }
    y = {
        "units": np.round(level + random.normal(0, 9, (_ROWS, 3))).astype(np.float32),
        "visits": random.gamma(3.0, 900.0, (_ROWS, 3)).astype(np.float32),
    }
    records = rows_of_lists({name: values[:16] for name, values in x.items()})
    for k, record in enumerate(records[8:]):  # times and shops that no training row has
        record |= {"now": [DATES[k % len(DATES)]], "shop": [NASTY[k]]}
    records[8]["past"] = [0.0] * 7  # a window without a spread
    records[9]["past"] = [1e6 + k for k in range(7)]
    return spec, x, y, records


def garments() -> Fixture:
    """A picture by the layers that `init` writes for them: whitened, and the mean with the mirrored picture."""
    random = np.random.default_rng(10)
    spec = {
        "graphspec": 1,
        "name": "garments",
        "inputs": {"image": {"shape": [None, None, 3], "dtype": "uint8"}},
        "layers": [
            {"name": "resized", "type": "Resizing", "height": 8, "width": 8},
            {"name": "scaled", "type": "Normalization"},
            {"name": "moved", "type": "RandomTranslation", "height_factor": 0.1, "width_factor": 0.1},
            {"name": "flipped", "type": "RandomFlip", "mode": "horizontal"},
            {"name": "stem", "type": "Whitening", "activation": "relu"},
            {"name": "shapes", "type": "Conv2D", "filters": 4, "kernel_size": 3, "use_bias": False},
            {"name": "norm", "type": "BatchNormalization"},
            {"name": "pooled", "type": "GlobalAveragePooling2D"},
            {"name": "both", "type": "FlipMean", "inputs": ["pooled", "scaled"]},
            {"name": "kind", "type": "Dense", "units": 2, "activation": "softmax"},
        ],
        "outputs": {"kind": {"loss": "sparse_categorical_crossentropy"}},
    }
    pictures = random.integers(0, 256, (24, 9, 7, 3)).astype(np.uint8)
    y = {"kind": np.array(["coat", "Schürze"] * 12, object)}
    return spec, {"image": pictures}, y, [{"image": picture.tolist()} for picture in pictures[:4]]


Fixture = tuple[dict[str, Any], dict[str, Any], dict[str, Any], list[dict[str, Any]]]
"""A spec, arrays to train on, targets, and records to ask about."""
MAKERS: tuple[Callable[[], Fixture], ...] = (
    table,
    opinions,
    characters,
    image,
    integers,
    tokens,
    bags,
    strokes,
    sentences,
    demand,
    garments,
)
QUANTIZED = ((image, "int8"), (table, "float16"))
"""Networks that are also written as a quantized file."""


def objects(texts: Sequence[str]) -> np.ndarray[Any, Any]:
    """Return texts as a column."""
    array = np.empty((len(texts), 1), object)
    array[:, 0] = texts
    return array


def columns(x: dict[str, Any]) -> dict[str, Any]:
    """Return arrays of one number or text per row as columns."""
    return {name: values.reshape(-1, 1) for name, values in x.items()}


def rows_of(x: dict[str, Any]) -> list[dict[str, Any]]:
    """Return rows as records, with None for a missing number."""
    listed = {name: values.tolist() for name, values in x.items()}
    names = list(x)
    return [
        {n: None if v != v or v == _GAP else v for n, v in zip(names, row, strict=True)}
        for row in zip(*listed.values(), strict=True)
    ]


def rows_of_lists(x: dict[str, Any]) -> list[dict[str, Any]]:
    """Return rows of several numbers as records."""
    return [dict(zip(x, row, strict=True)) for row in zip(*(values.tolist() for values in x.values()), strict=True)]


def exact(value: Any) -> Any:
    """Return a value of JSON: a float with float32's digits, null for NaN, a large integer as a text."""
    if isinstance(value, list):
        return [exact(element) for element in value]
    if isinstance(value, float):
        return None if value != value else float(str(np.float32(value)))
    return str(value) if isinstance(value, int) and abs(value) >= _SAFE else value


def make(maker: Callable[[], Fixture], folder: Path, kind: str | None = None) -> None:
    """Train, export, and write the fixture of one maker.

    Args:
        kind: that of a quantized file.
    """
    import onnxruntime
    from consume import feeds_of

    spec, x, y, records = maker()
    training = {"epochs": 3, "batch_size": 16, "seed": 1, "optimizer": {"type": "Adam", "learning_rate": 0.01}}
    model = gs.compile(spec | {"training": training})
    held = any("interval" in head for head in spec["outputs"].values())  # its widths are learnt from held-out rows
    model.fit(x, y, validation_split=0.25 if held else None, verbose=0)
    folder = folder / (maker.__name__ if kind is None else f"{maker.__name__}_{kind}")
    folder.mkdir(parents=True, exist_ok=True)
    if kind is None:
        model.export(folder / "model.onnx", rows=x)
    else:  # these networks know nothing that could be lost: the files must run, not be good
        model.export(folder / "model.onnx", rows=x, quantize=kind, max_loss=1.0, validation_data=(x, y))
    lines = [line_of(record) for record in records]
    (folder / "records.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    assert KEY in session.get_modelmeta().custom_metadata_map
    found = session.run(None, feeds_of(session, [json.loads(line) for line in lines]))
    answers = {
        value.name: {"dtype": KINDS[value.type], "dims": list(array.shape), "data": exact(array.reshape(-1).tolist())}
        for value, array in zip(session.get_outputs(), found, strict=True)
    }
    text = ",\n".join(f" {json.dumps(name)}: {json.dumps(answer)}" for name, answer in answers.items())
    (folder / "answers.json").write_text(f"{{\n{text}\n}}\n", encoding="utf-8", newline="\n")


def line_of(record: dict[str, Any]) -> str:
    """Return a record as a line, in ASCII, which no editor changes."""
    return json.dumps({name: exact(value) for name, value in record.items()})


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else FIXTURES
    for maker in MAKERS:
        make(maker, target)
    for maker, kind in QUANTIZED:
        make(maker, target, kind)
