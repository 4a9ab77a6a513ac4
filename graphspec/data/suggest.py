"""Decide how a table becomes a spec: the type of every column, the kind of task, and a network of a fitting size."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from graphspec.base.errors import did_you_mean
from graphspec.base.text import count, few
from graphspec.data.profile import ISO, ColumnProfile, Profile
from graphspec.data.targets import small_classes

# Decide how the columns of a table become columns of a spec, each with the type that fits its values.
MIN_COUNT = 2  # categories in fewer rows count as unseen
_ID = re.compile(r"(^|[_\W])(id|ids|uuid|key|index|row|rowid|no|nr|number)$|Id$|ID$", re.ASCII)
_MANY = 50  # ids of a column are more; fewer are places or shops, of which an app asks again
_CODES = 32  # at most this many whole numbers without a gap between them may be codes
_ROWS_PER_CODE = 40  # codes need this many rows each
_SCALE = 10  # more columns of more whole numbers each are measured on a scale, such as pixels: seldom are so many codes
_ONE_HOT = 32  # more categories than these get trained vectors
_LARGEST_EMBEDDING = 32
_MOST_WORDS = 20_000
_MOST_RUNS = 30_000  # words and pairs of them, or runs of characters
_RUNS = [2, 3, 4, 5]  # characters of a run
_LONG = 120  # words on average: of longer texts, runs of characters are many and say no more
_ROOM = 1 << 27  # runs of all texts, each padded to the longest; beside other columns, many units read them
_HEAVY_TAIL = 4.0  # skewness from which on the logarithm is taken
_INDICATED = 0.01  # of the rows: if more numbers are missing, the network learns what that means
_PROSE = 3.0  # texts of this many words on average are read word by word
_TAIL = 0.05  # of the rows: no more have the larger half of counts
_LETTERS = 6  # of a word, with the blank behind it
_FEW_WORDS = 5  # among numbers may mean a missing one
_SHARE = 0.95  # of the values: from here on, "nearly all"
_AMBIGUOUS = ("none", "?")  # may be values of their own


@dataclass(frozen=True)
class Column:
    """A column of the spec."""

    name: str  # in the file
    key: str  # its name in the spec
    type: str | None  # None if no type fits
    arguments: Mapping[str, Any]  # those of the type that are not defaults
    notes: tuple[str, ...] = ()  # what a person should look at
    left_out: bool = False  # whether the network does not read it


def choose(column: ColumnProfile, key: str, profile: Profile, leak: str | None) -> Column:
    """Decide about one column."""
    why = leak or _useless(column, profile)
    found = _typed(column, key)
    return found if why is None else Column(column.name, key, found.type, found.arguments, (why,), left_out=True)


def _useless(column: ColumnProfile, profile: Profile) -> str | None:
    """Return why nothing can be learnt from a column, None if something may."""
    if column.kind == "list":
        return "has lists: give it an input of its own"
    if column.kind == "other":
        return "has nested values, or is of a type that columns do not read"
    if not column.distinct:
        return "is empty"
    if column.constant:
        return f"is the same in every row: {_shown(column.frequent[0][0])}" if column.frequent else "is constant"
    if column.infinite:
        return f"has {column.infinite:,} infinite values"
    if _is_marked(column):
        return None
    if column.kind in ("integer", "text", "bool") and column.unique and _is_id(column):
        return "is different in every row, an id"
    if _is_group(column):
        return f"is an id of several rows each, of which {column.distinct:,} would be learnt by heart"
    if profile.typed and column.is_number and column.stored == "text":
        return "has numbers stored as text: store numbers"
    if column.kind == "text" and not _is_prose(column) and _known_rows(column) < column.present / 4:
        return f"has {column.distinct:,} different values, nearly all of them rare"
    return None


def _is_group(column: ColumnProfile) -> bool:
    """Return whether a column may be the id of what several rows are of, such as a customer."""
    several = _MANY < column.distinct <= column.present / 2
    return several and column.kind in ("integer", "text") and _ID.search(column.name) is not None


def _is_marked(column: ColumnProfile) -> bool:
    """Return whether a column is of numbers, but for a few words that mean a missing one."""
    return 0 < len(column.others) <= _FEW_WORDS


def _is_id(column: ColumnProfile) -> bool:
    """Return whether a column that is different in every row has no other meaning."""
    if column.kind == "text":
        return not _is_prose(column)
    if _ID.search(column.name):
        return True
    numbers = column.numbers
    return column.present > 20 and numbers is not None and numbers.high - numbers.low < 2 * column.present


def _is_prose(column: ColumnProfile) -> bool:
    words = column.words
    return words is not None and words.mean >= _PROSE and column.distinct > min(100, column.present / 10)


def _known_rows(column: ColumnProfile) -> int:
    """Return the number of rows whose value occurs often enough to be learnt."""
    if not column.at_least or column.listed:
        return sum(rows for _, rows in column.frequent if rows >= MIN_COUNT)
    return column.present - (column.at_least[0] - column.at_least[1])


def _typed(column: ColumnProfile, key: str) -> Column:
    match column.kind:
        case "integer" if column.leading_zeros:
            return _category(column, key, ["has leading zeros: codes, not amounts"], {})
        case "integer" if (numbers := column.numbers) is not None and _is_code(column):
            span = f"{numbers.low:.0f} to {numbers.high:.0f}"
            note = f"{column.distinct} whole numbers, {span}: `number` if they are amounts"
            return _category(column, key, [note], {"dtype": "int64"})
        case "integer" | "float":
            return _number(column, key)
        case "bool" if column.stored == "bool" and not column.missing:
            return Column(column.name, key, "number", {})
        case "date":
            return _date(column, key)
        case "text" if _is_marked(column):
            return _number(column, key)
        case "text" if _form(column) is not None:
            return _date(column, key)
        case "text" if _is_prose(column):
            return _text(column, key)
        case "bool":  # a file has `True` where frames and JSON have true
            return _category(column, key, [], {"fold_case": True})
        case "text":
            return _category(column, key, _text_notes(column), {})
        case _:
            return Column(column.name, key, None, {})


def _is_code(column: ColumnProfile) -> bool:
    """Return whether whole numbers may be codes: few, each of them often, and none missing between them."""
    numbers = column.numbers
    if numbers is None or not 3 <= column.distinct <= min(_CODES, column.present // _ROWS_PER_CODE):
        return False
    return numbers.high - numbers.low + 1 == column.distinct and not is_year(column)


def is_year(column: ColumnProfile) -> bool:
    """Return whether all numbers of a column may be years."""
    numbers = column.numbers
    return numbers is not None and numbers.low >= 1800 and numbers.high <= 2200


def _category(column: ColumnProfile, key: str, notes: list[str], arguments: Mapping[str, Any]) -> Column:
    found = dict(arguments)
    if "dtype" not in found:  # texts, which may mean a missing value, or that one surely
        ambiguous = [text for text in column.missing_texts if text.lower() in _AMBIGUOUS]
        missing = [text for text in column.missing_texts if text not in ambiguous]
        if missing:
            found["missing_values"] = missing
        if ambiguous:
            means = f"{' and '.join(ambiguous)} {'means' if len(ambiguous) == 1 else 'mean'} missing"
            notes.append(f"`missing_values: [{', '.join(missing + ambiguous)}]` if {means}")
        if (pair := column.same_but_for_case) is not None:
            found["fold_case"] = True
            notes.append(f"'{pair[0]}' and '{pair[1]}' differ in case only")
    often = column.at_least[MIN_COUNT - 1] if column.at_least else column.distinct
    if often + 2 > _ONE_HOT:
        found["embed"] = min(_LARGEST_EMBEDDING, round(1.6 * often**0.56))
    rare = column.distinct - often
    if rare > often:
        notes.append(f"{rare:,} of {column.distinct:,} values occur once and count as unseen")
    return Column(column.name, key, "category", found, tuple(notes))


def words_of(texts: Mapping[str, int]) -> str:
    """Return texts with the number of their rows, the most frequent first."""
    ordered = sorted(texts.items(), key=lambda item: (-item[1], item[0]))
    return few([f"{_shown(text)} ({rows:,})" for text, rows in ordered], _FEW_WORDS)


def _text_notes(column: ColumnProfile) -> list[str]:
    if column.number_share >= _SHARE:
        return [f"{_percent(column.number_share)} of the values are numbers: `number` once the others are mended"]
    form, share = max(column.date_formats.items(), key=lambda item: item[1], default=("", 0.0))
    return [f"{_percent(share)} of the values are dates ({form})"] if share >= 0.5 else []


def _number(column: ColumnProfile, key: str) -> Column:
    arguments: dict[str, Any] = {}
    notes = []
    numbers = column.numbers
    assert numbers is not None
    absent = column.absent + sum(column.others.values())
    marked: list[Any] = list(column.others)
    if column.others:
        notes.append(f"{_percent(column.number_share)} are numbers; missing are {words_of(column.others)}")
    if column.marker is not None:
        marked.append(column.marker)
        notes.append(f"beside {column.marker:g}, all others are equal: a marker of a missing value?")
    if marked:
        arguments["missing_values"] = marked
    if absent:
        arguments["missing"] = "median"
        if absent >= _INDICATED * column.rows:
            arguments["indicator"] = True
        notes.append(f"missing in {count(absent, 'row')}")
    if column.marker is None and numbers.low >= 0 and numbers.skewness > _HEAVY_TAIL and column.distinct > 2:
        arguments["scale"] = "log1p"
        half, largest = _amount(numbers.median), _amount(numbers.high)
        notes.append(f"half are up to {half}, the largest is {largest}: their logarithm")
    if column.kind == "integer" and not is_year(column) and 3 <= column.distinct <= _CODES // 2:
        notes.append(f"{column.distinct} whole numbers: `{{type: category, dtype: int64}}` if they are codes")
    return Column(column.name, key, "number", arguments, tuple(notes))


def _text(column: ColumnProfile, key: str, *, alone: bool = False) -> Column:
    words = column.words
    assert words is not None
    in_runs = words.mean <= _LONG
    in_runs &= words.longest * column.rows * _LETTERS * len(_RUNS) <= (_ROOM if alone else _ROOM // 8)
    if not (in_runs or alone):  # pairs of words are learnt by heart by many units
        often = words.at_least[MIN_COUNT - 1] + 1 if words.at_least else 0  # and the unseen ones
        digits = 10 ** max(int(math.log10(max(often, 1))) - 1, 1)
        size = min(max(-(-often // digits) * digits, 100), _MOST_WORDS)
        notes = [f"{words.mean:.0f} words on average, {words.at_least[0]:,} different ones"] if words.at_least else []
        return Column(column.name, key, "text", {"max_tokens": size, "output_mode": "multi_hot"}, tuple(notes))
    note = f"{words.mean:.{int(words.mean < 10)}f} words on average: words, pairs of them"
    arguments = dict[str, Any](ngrams=2, max_tokens=_MOST_RUNS, sublinear_tf=True, norm="l2")
    if in_runs:
        arguments["characters"] = _RUNS
        note += ", runs of 2 to 5 characters"
    return Column(column.name, key, "text", arguments, (note,))


def _form(column: ColumnProfile) -> str | None:
    """Return the format of dates that nearly all values have."""
    form, share = max(column.date_formats.items(), key=lambda item: item[1], default=(None, 0.0))
    return form if share >= _SHARE else None


def _date(column: ColumnProfile, key: str) -> Column:
    form, shares = _form(column) or ISO, column.date_formats
    arguments: dict[str, Any] = {} if form == ISO else {"format": form}
    notes = []
    if (unreadable := 1 - shares.get(form, 1.0)) > 0:
        notes.append(f"{_percent(unreadable)} of the values are not dates, and count as missing")
    if others := [f for f, share in shares.items() if f not in (form, ISO) and share == shares[form]]:
        notes.append(f"may also be {others[0]}")
    first, last = column.dates or ("", "")
    differ = {"year": first[:4] != last[:4], "month": first[:7] != last[:7], "weekday": True, "hour": column.has_times}
    arguments["parts"] = [part for part, is_one in differ.items() if is_one]
    if column.absent >= max(_INDICATED * column.rows, 1):
        arguments["indicator"] = True
    notes.append(f"{first[:10]} to {last[:10]}")
    return Column(column.name, key, "date", arguments, tuple(notes))


def _shown(value: str) -> str:
    return f"'{value[:30]}…'" if len(value) > 30 else f"'{value}'"


def _amount(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.0f} %" if 1 <= percent <= 99 else f"{percent:.1f} %" if percent >= 0.1 else "fewer than 0.1 %"


Task = Literal["binary", "multiclass", "regression"]

_NUMBERS = 20  # a target with more different whole numbers is a number
_MOST_CLASSES = 1000
_MOST_COLUMNS = 2000
_RARE = 0.1  # of the rows: a rarer one of two classes gets a threshold of its own


class CannotSuggest(Exception):  # noqa: N818
    """No spec fits the table; the text says why."""


@dataclass(frozen=True)
class Target:
    """What is predicted."""

    name: str  # in the file
    key: str  # the head's name
    task: Task
    units: int  # of the last layer
    has_texts: bool  # whether its values are texts, from which labels are learnt
    missing: int  # the number of rows without a target, which are dropped
    notes: tuple[str, ...] = ()
    probability: str = ""  # of which class the answer is the probability, if it is one number
    rare: bool = False  # whether one of two classes is so rare that it would never be the answer at a threshold of 0.5
    labels: Sequence[str | int] = ()  # classes that are whole numbers; none for others


@dataclass(frozen=True)
class Sizes:
    """The sizes of a network and of its training."""

    units: int  # of each hidden layer
    hidden: int  # the number of hidden layers
    dropout: float  # the rate after each hidden layer
    learning_rate: float
    batch_size: int
    epochs: int
    patience: int
    penalty: float = 0.0  # the factor of the L2 penalty on the kernels of hidden layers; 0 for none
    members: int = 1  # networks in one that share their hidden layers
    pieces: int = 0  # slopes of each number
    steps: int = 0  # in which the learning rate falls to 0
    folds: int = 0  # copies, each trained without one part of the rows; 0: one network, validated by ``held_out``
    seeds: int = 0  # copies that differ in their seed
    held_out: float = 0.15  # the fraction of the rows that validate
    forms: Mapping[str, tuple[Mapping[str, Any], str]] = field(default_factory=dict)  # changes by name, and what for


@dataclass(frozen=True)
class Suggestion:
    """All decisions."""

    record: str  # the name of the record
    columns: tuple[Column, ...]
    target: Target
    network: Sizes
    rows: int
    warnings: tuple[str, ...] = ()  # what should be read before training
    form: Sequence[str] = ()  # lines of the spec that say how the table's text is read
    time: str | None = None  # the column of dates in whose order the rows are: the last ones validate
    group: str | None = None  # the column of ids whose rows stay together


def task_of(profile: Profile, target: str, task: Task | None = None) -> Task:
    """Return the kind of task that fits a target; ``task`` is checked.

    Raises CannotSuggest: there is no such column, no task fits its values, or there are more columns than a spec names.
    """
    names = list(profile.columns)
    if len(names) > _MOST_COLUMNS:
        raise CannotSuggest(
            f"has {len(names):,} columns, more than the {_MOST_COLUMNS:,} that a spec should name: write them as "
            f"one array to an .npz file, and declare an input with `shape: [{len(names) - 1}]`"
        )
    if target not in profile.columns:
        hint = did_you_mean(target, names) or f"it has {few(names, 20)}"
        raise CannotSuggest(f"has no column '{target}': {hint}")
    column, named = profile.columns[target], f"column '{target}'"
    if column.distinct < 2:
        raise CannotSuggest(f"has {'one value' if column.distinct else 'no value'} in {named}: nothing to learn")
    if column.kind not in ("integer", "float", "text", "bool"):
        raise CannotSuggest(f"has a {named} of kind {column.kind}: a target is a number or a class")
    classes = _classes(column)
    if task is None:
        is_amount = column.kind == "float" or (column.kind == "integer" and column.distinct > _NUMBERS)
        is_amount = is_amount or _is_count(column)
        task = "regression" if is_amount else "binary" if classes == 2 else "multiclass"
    if task == "regression":
        if not column.is_number:
            raise CannotSuggest(f"has texts in {named}, not numbers: choose --kind multiclass")
    elif task == "binary" and classes != 2:
        raise CannotSuggest(f"has {classes:,} different values in {named}, not two")
    elif classes > min(_MOST_CLASSES, max(column.present // 2, 2)):
        raise CannotSuggest(f"has {classes:,} different values in {named}, too many for classes")
    elif column.is_number and not _labels(column):
        some = " and ".join(sorted(value for value, _ in column.frequent[:2]))
        raise CannotSuggest(f"has classes such as {some} in {named}: write them as texts, or as whole numbers")
    return task


def _is_count(column: ColumnProfile) -> bool:
    """Return whether whole numbers from 0 on are counts: large ones are rare, and too rare to be classes."""
    if column.kind != "integer" or column.numbers is None or column.numbers.low != 0:
        return False
    if not column.listed or column.distinct < 6:
        return False
    half, rows = column.numbers.high / 2, {int(float(value)): rows for value, rows in column.frequent}
    return min(rows.values()) < 10 and sum(n for value, n in rows.items() if value > half) < _TAIL * column.present


def _classes(column: ColumnProfile) -> int:
    """Return the number of classes: among texts, one like ``NA`` is a class."""
    return column.distinct + (0 if column.is_number else len(column.missing_texts))


def _labels(column: ColumnProfile) -> tuple[str | int, ...]:
    """Return the labels of classes that are whole numbers, in their order: numbers if they are no ids; none for texts."""
    numbers = column.numbers
    if column.kind != "integer" or numbers is None:
        return ()
    if (numbers.low, numbers.high) == (0, column.distinct - 1):
        return tuple(map(str, range(column.distinct)))
    return tuple(sorted(int(float(value)) for value, _ in column.frequent)) if column.listed else ()


def suggest(profile: Profile, target: str, task: Task, leaks: Mapping[str, str], time: str | None = None) -> Suggestion:
    """Decide how a table becomes a spec.

    ``task``: from :func:`task_of`; ``leaks``: from :func:`graphspec.data.odd_values.leaks`; ``time``: the column of dates
    in whose order the rows are.

    Raises CannotSuggest: no column is left to learn from.
    """
    taken: set[str] = set()
    head = free_name(target, taken, "target")
    amounts = [n for n, c in profile.columns.items() if n != target and c.distinct > _SCALE and _is_code(c)]
    if len(amounts) > _SCALE:
        like = {name: replace(profile.columns[name], kind="float") for name in amounts}
        profile = replace(profile, columns={**profile.columns, **like})
    columns = tuple(
        choose(column, free_name(name, taken, "column"), profile, leaks.get(name))
        for name, column in profile.columns.items()
        if name != target
    )
    columns = _only_text(columns, profile)
    used = [column for column in columns if not column.left_out]
    if not used:
        refused = [c.name for c in columns if (of := profile.columns[c.name]).kind == "text" and of.distinct > 1]
        way = f": if '{refused[0]}' is a text that says something, keep it and the target alone" if refused else ""
        raise CannotSuggest(f"has no column from which the target can be learnt{way}")
    record, of = free_name("row", taken, "row"), profile.columns[target]
    found = _target(of, head, task)
    rows = of.present if found.missing else profile.rows
    network = _network(rows, used, record, in_order=time is not None)
    warnings = [f"column '{name}' {why}; it is left out" for name, why in leaks.items()]
    if task != "regression" and of.listed and (small := small_classes(dict(of.frequent))) is not None:
        warnings.append(f"column '{target}': {small}")
    groups = [c for c in profile.columns.values() if time is None and c.name not in {target, *leaks} and _is_group(c)]
    group = min(groups, key=lambda c: c.distinct).name if groups else None
    return Suggestion(record, columns, found, network, profile.rows, tuple(warnings), time=time, group=group)


def _only_text(columns: tuple[Column, ...], profile: Profile) -> tuple[Column, ...]:
    """Return the columns; a single one of texts, which may all be different, is read by its words and characters."""
    column = profile.columns[columns[0].name] if len(columns) == 1 else None
    if column is None or column.kind != "text" or column.words is None or columns[0].type not in ("text", "category"):
        return columns
    if not _is_prose(column) and column.distinct <= max(_MANY, column.present // 20):
        return columns
    return (_text(column, columns[0].key, alone=True),)


def free_name(text: str, taken: set[str], otherwise: str) -> str:
    """Return a valid name for ``text`` that is not in ``taken``, and add it there."""
    name = re.sub(r"[^\w.-]+", "_", text)
    name = name if name == text and re.search(r"\w", name) else name.strip("_.-")[:100] or otherwise
    name = name[:200]
    free, number = name, 2
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    taken.add(free)
    return free


# The target and the network


def _target(column: ColumnProfile, key: str, task: Task) -> Target:
    missing = column.absent if column.is_number else column.missing
    notes, units, rare = [], 1, False
    if task == "multiclass":
        units = _classes(column)
        if column.kind == "integer" and column.distinct <= _NUMBERS and not column.unique:
            notes.append(f"{column.distinct} whole numbers: classes; with --kind regression, an amount")
    elif task == "regression" and _is_count(column):
        notes.append(f"{column.distinct} whole numbers, few large ones: counts; with --kind multiclass, classes")
    if task != "regression" and column.missing_texts and not column.is_number:
        texts = ", ".join(f"'{text}'" for text in column.missing_texts)
        notes.append(f"{texts} is a class too: rows whose cell is empty have no target")
    if task != "regression" and column.frequent and column.listed:
        (most, rows), (rarest, few) = column.frequent[0], column.frequent[-1]
        if rare := task == "binary" and few < _RARE * (few + rows):
            share = f"'{rarest}' has {_percent(few / (few + rows))} of the rows"
            notes.append(f"{share}: it is the answer from a lower probability on, at which F1 is best")
        elif rows > 10 * few:
            notes.append(f"uneven: '{most}' {rows:,} rows, '{rarest}' {few:,}")
    labels = _labels(column) if task != "regression" else ()
    second = labels[1:2] or [max(value for value, _ in column.frequent)] if task == "binary" and column.listed else [""]
    has_texts = column.kind == "text"
    return Target(column.name, key, task, units, has_texts, missing, tuple(notes), str(second[0]), rare, labels)


def _network(rows: int, columns: Sequence[Column], record: str, *, in_order: bool) -> Sizes:
    """Return sizes that do well on a table with this many rows and columns, without being tuned to it.

    ``in_order``: the rows are in the order of time, and an app asks about later ones: the last of them validate.
    """
    batch = next((b for b, most in ((32, 2000), (64, 5000), (128, 10_000), (256, 200_000)) if rows < most), 512)
    if len(columns) == 1 and "norm" in columns[0].arguments:  # a line, as in logistic regression
        steps = 20 * -(-rows * 9 // (10 * batch))
        rate = float(f"{min(20 / steps, 0.03):.0e}")  # the same way in few large steps and in many small ones
        return Sizes(0, 0, 0, rate, batch, 20, 4, 1e-5, steps=steps, held_out=0.1)
    if any(column.type == "text" for column in columns):  # a bag of words, which many hidden units learn by heart
        return Sizes(32, 1, 0.5, 0.001, batch, 30, 3)
    epochs = next((e for e, most in ((100, 2000), (50, 20_000), (30, 50_000), (20, 100_000)) if rows < most), 10)
    folds = 0 if rows < 20 else 5 if rows < 5000 else 4 if rows < 20_000 else 3 if rows < 50_000 else 0
    folds, seeds = (0, folds) if in_order else (folds, 0)
    trained = rows - rows // (folds or (5 if in_order else 6))
    numbers = sum(column.type == "number" for column in columns)
    pieces = 0 if not 0 < numbers <= 128 else min(max(256 // numbers, 4), 16) // 2 * 2  # of all, a few hundred
    units, rate, l2 = (32, 0.5, 0.03) if rows < 1000 else (64, 0.5, 0.01) if rows < 5000 else (128, 0.2, 0.005)
    plain: dict[str, Any] = {f"inputs.{record}.numbers": {}} if pieces else {}
    fewer = {f"inputs.{record}.numbers.embed": {"pieces": pieces // 2}} if pieces else {}
    forms: dict[str, tuple[Mapping[str, Any], str]] = {
        "stiff": ({**plain, "vars.units": units, "vars.rate": rate, "vars.l2": l2}, "nearly a sum of the columns"),
        "mild": ({**fewer, "vars.rate": 0.3, "vars.l2": 0.001}, "few rows, or noisy ones"),
        "free": ({}, "as written: columns act together"),
    }
    forms = forms if rows < 200_000 else {}
    steps = epochs * -(-trained // batch)
    patience = max(epochs // 3, 4)
    return Sizes(128, 2, 0.1, 0.005, batch, epochs, patience, 0.0003, 4, pieces, steps, folds, seeds, forms=forms)
