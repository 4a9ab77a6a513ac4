"""Write ``records.json`` and ``records.safetensors``: what records become, by scikit-learn and by the documented formulas.

It needs scikit-learn, which the tests do not: ``python tests/golden/make_records.py``. With ``--check 300`` it writes
nothing, and holds graphspec against as many drawn records: rows that are arrays or come from CSV, Parquet or JSON Lines, and
the exported files. Where graphspec has Keras's ways and not scikit-learn's (tiny deviations, bins with equal edges, weights
of words), the formula is the one that the layer documents, written here once more in NumPy.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from drawn_records import Column, Rows, draw
from safetensors.numpy import save_file
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.preprocessing import KBinsDiscretizer, MinMaxScaler, OneHotEncoder, StandardScaler

HERE = Path(__file__).parent
CASES = 40
Array = np.ndarray[Any, Any]
Both = tuple[Array, Array]
"""Training rows and new rows."""


def expected(case: dict[str, Any]) -> list[tuple[str, Array, Array]]:
    """The parts of the record in order: the column or cross, and its numbers for training rows and for new rows.

    An embedded category has one number, its id.
    """
    found = []
    for name, column in case["columns"].items():
        train, new = case["train"][name], case["new"][name]
        found.append((name, *ENCODERS[column["type"]](column, train, new)))
    for names in case["crosses"]:
        found.append(("_x_".join(names), *(_crossed(case, names, rows) for rows in (case["train"], case["new"]))))
    return found


# Numbers


def _float32(both: Both) -> Both:
    return both[0].astype(np.float32), both[1].astype(np.float32)


def filled(train: Array, new: Array, missing: Any, indicator: bool) -> tuple[Both, Both]:
    """Numbers without gaps, and the indicators; gaps of a column of NaN in training have no strategy."""
    strategy = {"median": "median", "mean": "mean", "zero": "constant"}.get(missing, "constant")
    value = {"zero": 0.0}.get(missing, missing) if strategy == "constant" else None
    imputer = SimpleImputer(strategy=strategy, fill_value=value).fit(train)
    numbers = _float32((imputer.transform(train), imputer.transform(new)))
    marks = (train[:, :0], new[:, :0])
    if indicator:
        marker = MissingIndicator(features="all", error_on_new=False).fit(train)
        marks = marker.transform(train), marker.transform(new)
    return numbers, _float32(marks)


def standardized(train: Array, new: Array) -> Both:
    """By StandardScaler, but the deviation is at least 1e-7, as in Keras; that of equal numbers is 1."""
    scaler = StandardScaler().fit(train.astype(np.float64))
    assert scaler.mean_ is not None
    assert scaler.var_ is not None
    mean, deviation = np.float32(scaler.mean_), np.float32(np.maximum(np.sqrt(scaler.var_), 1e-7))
    constant = (train == train[:1]).all(0)
    mean, deviation = np.where(constant, train[0], mean), np.where(constant, np.float32(1), deviation)
    return (train - mean) / deviation, (new - mean) / deviation


def number(column: Column, train: list[Any], new: list[Any]) -> Both:
    """A column of numbers."""
    rows: Both = tuple(np.array([np.nan if x is None else x for x in part])[:, None] for part in (train, new))  # type: ignore[assignment]
    marks: Both = (rows[0][:, :0], rows[1][:, :0])
    if column["missing"] != "error":
        rows, marks = filled(*rows, column["missing"], column.get("indicator", False))
    rows, scale = _float32(rows), column["scale"]
    if isinstance(scale, dict):
        rows = binned(*rows, scale["bins"])
    elif scale == "minmax":
        scaler = MinMaxScaler().fit(rows[0].astype(np.float64))
        rows = scaler.transform(rows[0].astype(np.float64)), scaler.transform(rows[1].astype(np.float64))
    elif scale in ("standard", "log1p"):
        if scale == "log1p":
            one = np.float32(1)
            rows = np.sign(rows[0]) * np.log(one + abs(rows[0])), np.sign(rows[1]) * np.log(one + abs(rows[1]))
        rows = standardized(*rows)
    return np.hstack([rows[0], marks[0]]), np.hstack([rows[1], marks[1]])


def binned(train: Array, new: Array, bins: int) -> Both:
    """One-hot bins between quantiles; those of KBinsDiscretizer if no two edges are equal, which it would merge."""
    edges = np.quantile(train[:, 0].astype(np.float64), np.arange(1, bins) / bins).astype(np.float32)
    found = [np.eye(bins)[np.searchsorted(edges, part[:, 0], side="right")] for part in (train, new)]
    if len(np.unique([train.min(), *edges, train.max()])) == bins + 1:
        theirs = KBinsDiscretizer(bins, encode="onehot-dense", strategy="quantile", quantile_method="linear")
        theirs.fit(train.astype(np.float64))
        away = [~np.isclose(part, edges, rtol=1e-5).any(1) for part in (train, new)]  # float32 against float64
        for part, ours, rows in zip((train, new), found, away, strict=True):
            np.testing.assert_array_equal(theirs.transform(part.astype(np.float64))[rows], ours[rows])
    return found[0], found[1]


# Categories


def ids(column: Column, train: list[Any], values: list[Any]) -> list[int]:
    """The id of each value: 0 is missing, 1 unseen, then the most frequent first, of equal ones the larger first."""
    missing = {None, "", *column.get("missing_values", ())}
    counts = Counter(value for value in train if value not in missing)
    known = [v for v, n in counts.items() if n >= column.get("min_count", 2)]
    known = sorted(sorted(known, reverse=True), key=lambda v: -counts[v])
    known = list(column.get("vocabulary", known[: (column.get("max_tokens") or 10**9) - 2]))
    return [0 if value in missing else known.index(value) + 2 if value in known else 1 for value in values]


def category(column: Column, train: list[Any], new: list[Any]) -> Both:
    """A column of categories; its one-hot vectors are those of OneHotEncoder, in the order of ids."""
    found = [np.array(ids(column, train, values)) for values in (train, new)]
    if "embed" in column:
        return found[0][:, None], found[1][:, None]
    known = sorted(set(found[0]) - {0, 1})
    depth = 2 + (len(column["vocabulary"]) if "vocabulary" in column else len(known))
    if "vocabulary" not in column:
        _as_sklearn(column, train, new, found)
    return np.eye(depth)[found[0]], np.eye(depth)[found[1]]


def _as_sklearn(column: Column, train: list[Any], new: list[Any], found: list[Array]) -> None:
    """Assert that OneHotEncoder distinguishes the same values, in the rows that are not missing."""
    there = [np.flatnonzero(part != 0) for part in found]
    rows = [
        np.array([values[k] for k in part], object)[:, None] for part, values in zip(there, (train, new), strict=True)
    ]
    rows = [part.astype(np.int64 if column.get("dtype") == "int64" else str) for part in rows]
    encoder = OneHotEncoder(
        min_frequency=column["min_count"], handle_unknown="infrequent_if_exist", sparse_output=False
    ).fit(rows[0])
    limited = column.get("max_tokens") is not None
    for part, own in zip(rows, (found[k][there[k]] for k in (0, 1)), strict=True):
        if not len(part):
            continue
        theirs = encoder.transform(part)
        infrequent = encoder.infrequent_categories_[0]
        frequent = theirs[:, :-1] if infrequent is not None else theirs
        for one, id_ in zip(frequent, own, strict=True):
            assert limited or one.any() == (id_ > 1)
        for id_ in set(own[own > 1].tolist()):
            same = frequent[own == id_]
            assert (same == same[0]).all()
            assert (frequent == same[0]).all(1).sum() == len(same)


def _crossed(case: dict[str, Any], names: list[str], rows: Rows) -> Array:
    import mmh3

    def hashed(name: str, value: Any) -> int:
        if case["columns"][name].get("dtype") == "int64":
            value = -(2**63) if value is None else value
            return int(mmh3.hash(str(value), 0, signed=False))
        return int(mmh3.hash(value or "", 0, signed=False))

    bins = []
    for k in range(len(rows[names[0]])):
        mixed = hashed(names[0], rows[names[0]][k])
        for name in names[1:]:
            mixed = (1_000_003 * mixed + hashed(name, rows[name][k])) % 2**32
        bins.append(mixed % 1000)
    return np.eye(1000)[bins]


# Texts

_SPACE, _PUNCTUATION = " \t\n\v\f\r", "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'"


def tokens(column: Column, text: str | None) -> list[str]:
    """The words or characters of a text, and the runs of them."""
    way = column.get("standardize", "lower_and_strip_punctuation") or ""
    text = text or ""
    if "lower" in way:
        text = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    if column.get("split") == "character":
        return [c for c in text if not ("strip" in way and c in _PUNCTUATION)]
    words = [word for word in re.split(f"[{_SPACE}]+", text) if word]
    if "strip" in way:
        words = [word for word in (word.strip(_PUNCTUATION) for word in words) if word]
    widths = column.get("ngrams", 1)
    widths = widths if isinstance(widths, list) else range(1, widths + 1)
    return [" ".join(words[k : k + n]) for n in widths for k in range(len(words) - n + 1)]


def text(column: Column, train: list[Any], new: list[Any]) -> Both:
    """A column of texts: CountVectorizer's counts, in the order of the vocabulary, after the count of unseen ones."""
    every = Counter(token for row in train for token in tokens(column, row))
    every.pop("[UNK]", None)
    known = sorted(sorted(every, reverse=True), key=lambda token: -every[token])
    known = list(column.get("vocabulary", known[: (column["max_tokens"] or 10**9) - 1]))
    vectorizer = CountVectorizer(analyzer=lambda row: tokens(column, row), vocabulary=known)
    counts = [np.asarray(vectorizer.transform([row or "" for row in part]).todense()) for part in (train, new)]
    unseen = [np.array([[len(tokens(column, row))] for row in part]) for part in (train, new)]
    found = [np.hstack([n - part.sum(1, keepdims=True), part]) for n, part in zip(unseen, counts, strict=True)]
    if column["output_mode"] == "multi_hot":
        return (found[0] > 0).astype(float), (found[1] > 0).astype(float)
    if column["output_mode"] == "tf_idf":
        weights = np.log(1 + len(train) / (1 + (counts[0] > 0).sum(0)))
        weights = np.concatenate([[weights.mean()], weights])
        return found[0] * weights, found[1] * weights
    return found[0], found[1]


# Dates

_ISO = r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?"
_PERIODS = {"month": (1, 12), "day": (1, 31), "weekday": (0, 7), "hour": (0, 24), "minute": (0, 60)}


def moment(form: str | None, text: str | None) -> datetime.datetime | None:
    """The date of a text; None if there is none."""
    try:
        if form is None:
            return datetime.datetime.fromisoformat(text) if text and re.fullmatch(_ISO, text) else None
        return datetime.datetime.strptime(text or "", form)
    except ValueError:
        return None


def parts_of(column: Column, text: str | None) -> list[float]:
    """The numbers of a date; NaN if there is none."""
    found = moment(column.get("format"), text)
    numbers: list[float] = []
    for part in column["parts"]:
        if found is None:
            value = np.nan
        elif part == "days":
            value = (found.date() - datetime.date(1970, 1, 1)).days
        else:
            value = found.weekday() if part == "weekday" else getattr(found, part)
        if column["cyclic"] and part in _PERIODS:
            first, period = _PERIODS[part]
            angle = 2 * np.pi * (value - first) / period
            numbers += [np.sin(angle), np.cos(angle)]
        else:
            numbers.append(value)
    return numbers


def date(column: Column, train: list[Any], new: list[Any]) -> Both:
    """A column of dates."""
    rows = [np.array([parts_of(column, value) for value in part]).astype(np.float32) for part in (train, new)]
    numbers, marks = filled(rows[0].astype(float), rows[1].astype(float), column["missing"], column["indicator"])
    numbers = standardized(*numbers)
    return np.hstack([numbers[0], marks[0]]), np.hstack([numbers[1], marks[1]])


ENCODERS = {"number": number, "category": category, "text": text, "date": date}


# The file


def usable(seed: int) -> dict[str, Any] | None:
    """A case, unless a layer would have nothing to learn from, which is an error of the data."""
    case = draw(seed)
    for name, column in case["columns"].items():
        rows = case["train"][name]
        if column["type"] == "text" and not any(tokens(column, row) for row in rows):
            return None
        if column["type"] == "category" and max(ids(column, rows, rows)) < 2:
            return None
    return case


def write() -> None:
    """Write the golden files."""
    arrays: dict[str, Array] = {}
    cases = []
    for seed in range(10**6):
        if len(cases) == CASES:
            break
        case = usable(seed)
        if case is None:
            continue
        for name, train, new in expected(case):
            for part, array in (("train", train), ("new", new)):
                with np.errstate(invalid="ignore"):
                    integers = np.array_equal(array, array.astype(np.int16))
                key = f"{len(cases)}/{part}/{name}"
                if array.shape[1] == 1000:  # a cross: the places of the ones
                    array, integers = array.argmax(1)[:, None], True
                arrays[key] = np.ascontiguousarray(array.astype(np.int16 if integers else np.float32))
        cases.append(case)
    text = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    (HERE / "records.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")
    save_file(arrays, HERE / "records.safetensors")
    print(f"{len(cases)} cases")


def check(count: int, first: int) -> None:
    """Hold graphspec against drawn records."""
    import sys

    sys.path.insert(0, str(HERE.parent / "support"))
    from recorded import compare

    done, wrong = 0, 0
    seed = first
    while done < count:
        case = usable(seed)
        seed += 1
        if case is None:
            continue
        done += 1
        source = ("arrays", "csv", "parquet", "jsonl")[done % 4]
        try:
            with tempfile.TemporaryDirectory() as folder:
                compare(case, expected(case), Path(folder), source)
        except Exception as error:
            wrong += 1
            print(f"seed {seed - 1}, {source}: {type(error).__name__}: {str(error)[:1500]}\n", flush=True)
    print(f"{done} records, {wrong} differ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", type=int, metavar="N", help="hold graphspec against N drawn records; write nothing")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first record")
    given = parser.parse_args()
    if given.check is None:
        write()
    else:
        check(given.check, given.first)


if __name__ == "__main__":
    main()
