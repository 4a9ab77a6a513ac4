"""Tables and columns of records, drawn at random: rows to learn from, and new rows with unseen and missing values."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

Column = dict[str, Any]
Rows = dict[str, list[Any]]
Generator = np.random.Generator

TOWNS = ["Rome", "Oslo", "rome", "São Paulo", "東京", "New York", "Łódź", "a,b", 'say "x"', "7", "Rome ", "None", "n/a"]
WORDS = [
    "good",
    "Good",
    "bad",
    "don't",
    "3.5",
    "café",
    "CAFÉ",
    "naïve",
    "(well)",
    "...",
    "x",
    "Über",
    "the",
    "日本",
    "-",
    "end.",
]
NEW_WORDS = ["zebra", "ÜBER", "GOOD!", "\u00a0", "😀", "'bad'"]
SPACES = [" ", "  ", "\t", "\n", " - "]
FORMATS = [None, None, "%d/%m/%Y", "%Y%m%d", "%m-%d-%y", "%d.%m.%Y %H:%M"]
PARTS = ["year", "month", "day", "weekday", "hour", "minute", "days"]


def choice(r: Generator, values: list[Any]) -> Any:
    """One of the values."""
    return values[int(r.integers(len(values)))]


def draw(seed: int) -> dict[str, Any]:
    """A case: its columns, and rows for training and new ones."""
    r = np.random.default_rng([seed, 20])
    count, new = int(r.integers(3, 60)), int(r.integers(1, 12))
    columns: dict[str, Column] = {}
    train: Rows = {}
    other: Rows = {}
    for k in range(int(r.integers(1, 7))):
        kind = choice(r, ["number", "number", "category", "category", "integers", "text", "date"])
        name = f"{kind[0]}{k}"
        columns[name], train[name], other[name] = DRAWN[kind](r, count, new)
    return {"columns": columns, "crosses": _crosses(r, columns), "train": train, "new": other}


def _crosses(r: Generator, columns: dict[str, Column]) -> list[list[str]]:
    categories = [name for name, column in columns.items() if column["type"] == "category"]
    return [categories[:3]] if len(categories) > 1 and r.random() < 0.5 else []


def _with_gaps(r: Generator, values: list[Any], fraction: float) -> list[Any]:
    return [None if r.random() < fraction else value for value in values]


def _number(r: Generator, count: int, new: int) -> tuple[Column, list[Any], list[Any]]:
    scale = choice(r, ["standard", "standard", "minmax", "log1p", "none", {"bins": int(r.integers(2, 9))}])
    column: Column = {"type": "number", "scale": scale}
    column["missing"] = choice(r, ["median", "mean", "zero", "error", -1.5, 1e4])
    if column["missing"] != "error":
        column["indicator"] = bool(r.random() < 0.4)
    size = 10.0 ** int(r.integers(-4, 12))
    kinds = ["normal", "few", "lognormal", "constant", "offset"]
    kind = choice(r, kinds[:4] if scale == "log1p" else kinds)  # float32 has few digits for logarithms that hardly vary
    draws = {
        "normal": lambda n: r.normal(0, size, n),
        "constant": lambda n: np.full(n, size),
        "few": lambda n: r.integers(-3, 4, n) * size,
        "lognormal": lambda n: size * np.exp(r.normal(0, 2, n)),
        "offset": lambda n: 100 * size + r.normal(0, size, n),
    }
    numbers = [[float(np.float32(x)) for x in draws[kind](n)] for n in (count, new)]
    if kind == "constant" and r.random() < 0.5:
        numbers[1] = [x * 1.5 for x in numbers[1]]
    gaps = 0.0 if column["missing"] == "error" else choice(r, [0.0, 0.2, 0.7])
    train = _with_gaps(r, numbers[0], gaps)
    train[0] = numbers[0][0]  # a number to learn from
    return column, train, _with_gaps(r, numbers[1], gaps and 0.4)


def _embedded(r: Generator, column: Column) -> None:
    if r.random() < 0.25:
        column["embed"] = int(r.integers(1, 5))


def _category(r: Generator, count: int, new: int) -> tuple[Column, list[Any], list[Any]]:
    column: Column = {"type": "category", "min_count": int(r.integers(1, 4))}
    known = [TOWNS[k] for k in r.permutation(len(TOWNS))[: int(r.integers(1, 9))]]
    train = [known[min(int(r.geometric(0.4)) - 1, len(known) - 1)] for _ in range(count)]
    train[:3] = [known[0]] * 3
    column |= choice(r, [{}, {}, {"max_tokens": int(r.integers(3, 7))}])
    if r.random() < 0.3:
        column["missing_values"] = ["n/a", "NA"]
        train[3:] = ["NA" if r.random() < 0.2 else town for town in train[3:]]
    if r.random() < 0.2:
        column["vocabulary"] = known
        column.pop("min_count")
        column.pop("max_tokens", None)
    _embedded(r, column)
    others = _with_gaps(r, [choice(r, [*TOWNS, "NA", "unseen", "ROME"]) for _ in range(new)], 0.2)
    return column, [*train[:3], *_with_gaps(r, train[3:], choice(r, [0.0, 0.3]))], others


def _integers(r: Generator, count: int, new: int) -> tuple[Column, list[Any], list[Any]]:
    column: Column = {"type": "category", "dtype": "int64", "min_count": int(r.integers(1, 4))}
    known = [int(v) for v in r.permutation([-5, 0, 1, 2, 7, 1990, 2**40, -(2**62), 99])[: int(r.integers(1, 7))]]
    train = [choice(r, known) for _ in range(count)]
    train[:3] = [known[0]] * 3
    column |= choice(r, [{}, {}, {"max_tokens": int(r.integers(3, 7))}])
    if r.random() < 0.3:
        column["missing_values"] = [99, -1]
        train[3:] = [-1 if r.random() < 0.2 else v for v in train[3:]]
        train[:3] = [12] * 3
    _embedded(r, column)
    others = _with_gaps(r, [choice(r, [*known, 3, 99, -1, 2**63 - 1]) for _ in range(new)], 0.2)
    return column, [*train[:3], *_with_gaps(r, train[3:], choice(r, [0.0, 0.3]))], others


def _text(r: Generator, count: int, new: int) -> tuple[Column, list[Any], list[Any]]:
    column: Column = {"type": "text", "output_mode": choice(r, ["tf_idf", "multi_hot", "count"])}
    column["max_tokens"] = choice(r, [None, 5, 12, 5000])
    column |= choice(r, [{}, {}, {"ngrams": 2}, {"ngrams": [1, 3]}, {"ngrams": [2]}])
    column |= choice(r, [{}, {}, {"standardize": "lower"}, {"standardize": "strip_punctuation"}, {"standardize": None}])
    if "ngrams" not in column:
        column |= choice(r, [{}, {}, {}, {"split": "character"}])

    def text(words: list[str]) -> str:
        chosen = [choice(r, words) for _ in range(int(r.integers(0, 7)))]
        return "".join(word + choice(r, SPACES) for word in chosen)

    train = [text(WORDS) for _ in range(count)]
    train[0] = "the good café the good x"
    if (
        column["output_mode"] != "tf_idf"
        and column.get("split") is None
        and "ngrams" not in column
        and r.random() < 0.3
    ):
        column["vocabulary"] = ["good", "the", "café", "zebra"]
        column["max_tokens"] = None
    others = [text(WORDS + NEW_WORDS) for _ in range(new)]
    return column, [train[0], *_with_gaps(r, train[1:], 0.1)], _with_gaps(r, others, 0.2)


def _date(r: Generator, count: int, new: int) -> tuple[Column, list[Any], list[Any]]:
    form = choice(r, FORMATS)
    clock = form is None or "%H" in form
    possible = [part for part in PARTS if clock or part not in ("hour", "minute")]
    parts = [possible[k] for k in r.permutation(len(possible))[: int(r.integers(1, len(possible) + 1))]]
    column: Column = {"type": "date", "parts": parts, "cyclic": bool(r.random() < 0.7)}
    if form is not None:
        column["format"] = form
    column["missing"] = choice(r, ["median", "mean", "zero", 3.0])
    column["indicator"] = bool(r.random() < 0.3)
    low, high = (1970, 2068) if form and "%y" in form else (1700, 2300)
    iso = choice(r, ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S"])

    def moments(n: int) -> list[str]:
        first = datetime.datetime(low, 1, 1)
        days = (datetime.datetime(high, 12, 31) - first).days
        found = [first + datetime.timedelta(int(r.integers(days)), int(r.integers(86_400))) for _ in range(n)]
        return [moment.strftime(form or iso) for moment in found]

    bad = ["", "2023-02-29", "tomorrow", "31/04/2020", "20230230", "9"]
    train = [choice(r, bad) if r.random() < 0.15 else text for text in moments(count)]
    train[0] = moments(1)[0]
    others = [choice(r, bad) if r.random() < 0.3 else text for text in moments(new)]
    return column, [train[0], *_with_gaps(r, train[1:], 0.1)], _with_gaps(r, others, 0.2)


DRAWN = {"number": _number, "category": _category, "integers": _integers, "text": _text, "date": _date}
