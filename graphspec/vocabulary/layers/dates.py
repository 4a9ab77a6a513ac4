"""Dates and times in texts: DateParts, and which texts are dates."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from math import pi
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator

from graphspec.base.config import FROM_LIST, invalid, setting
from graphspec.graph.ir.graph import Range, show
from graphspec.vocabulary import Builder, Value, wrong_dtype, wrong_size
from graphspec.vocabulary.layers.indexed import mapped
from graphspec.vocabulary.layers.layer import Layer, cast_to

Part = Literal["year", "month", "day", "weekday", "hour", "minute", "yearday", "days"]

_ISO = "%Y-%m-%d"
_ISO_TIME = r"[T ]%H:%M(?::%S(?:[.,][0-9]+)?)?(?:Z|[+-]%H(?::?%M)?)?"
_NAMES = {"%Y": "year", "%y": "year", "%m": "month", "%d": "day", "%H": "hour", "%M": "minute", "%S": "second"}
# The fields of a text that a part is computed from, if it is not the field of its own name.
_NEEDED: Mapping[str, tuple[str, ...]] = dict.fromkeys(("weekday", "yearday", "days"), ("year", "month", "day"))
_CYCLES = {"month": (1, 12), "day": (1, 31), "weekday": (0, 7), "hour": (0, 24), "minute": (0, 60), "yearday": (1, 366)}
"""The first value and the number of values of the parts that start again."""
_VALUES: Mapping[str, str] = {
    "%Y": "[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9]",
    "%y": "[0-9]{2}",
    "%H": "0?[0-9]|1[0-9]|2[0-3]",
    "%M": "0?[0-9]|[1-5][0-9]",
    "%S": "0?[0-9]|[1-5][0-9]",
    "%f": "[0-9]{1,6}",
}
_EPOCH = {"%Y": "1970", "%y": "70", "%m": "01", "%d": "01", "%H": "00", "%M": "00", "%S": "00", "%f": "0"}
"""The fields of the first moment of 1970."""
_FEBRUARY_29 = {
    "%Y": "[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00",
    "%y": "[02468][048]|[13579][26]",
    "%m": "0?2",
    "%d": "29",
}
_CALENDAR: tuple[Mapping[str, str], ...] = (  # months and days that occur together
    {"%m": "0?[13578]|1[02]", "%d": "0?[1-9]|[12][0-9]|3[01]"},
    {"%m": "0?[469]|11", "%d": "0?[1-9]|[12][0-9]|30"},
    {"%m": "0?2", "%d": "0?[1-9]|1[0-9]|2[0-8]"},
    _FEBRUARY_29,
)


def is_date(text: str, form: str | None = None) -> bool:
    """Return whether :class:`DateParts` reads the whole ``text`` in the format ``form``; ValueError if it lacks that."""
    return _compiled(form).fullmatch(text) is not None


def moment(text: str, form: str | None = None) -> datetime | None:
    """Return the local time that a date says, None if it is no date of ``form``; a time zone does not move it."""
    if not is_date(text, form):
        return None
    if form is None:
        return datetime.fromisoformat(text.replace(",", ".")).replace(tzinfo=None)
    return datetime.strptime(text, form)


def moments(texts: Iterable[str], form: str | None = None) -> Counter[datetime | None]:
    """Return how often each local time occurs in texts; None counts those that are no dates of ``form``."""
    found: Counter[datetime | None] = Counter()
    for text, times in Counter(texts).items():
        found[moment(text, form)] += times
    return found


# Parts by which dates are compared, with the days after which each of their values has occurred.
COMPARED: Mapping[Part, int] = {"month": 365, "weekday": 7, "hour": 1}


def part_counts(found: Mapping[datetime, int], part: Part) -> list[int]:
    """Return how many of the dates have each value of a part of ``COMPARED``, from January, Monday or 0 o'clock on."""
    counts = [0] * _CYCLES[part][1]
    for at, times in found.items():
        counts[{"month": at.month - 1, "weekday": at.weekday(), "hour": at.hour}[part]] += times
    return counts


@cache
def _compiled(form: str | None) -> re.Pattern[str]:
    return re.compile(pattern_of(check_format(form)))


def pattern_of(form: str | None) -> str:
    """Return the regular expression of all dates of a format, without others: RE2 and Python read it in the same way."""
    template = _ISO if form is None else "".join(_escaped(piece) for piece in _pieces(form))
    padded = form is None or _is_packed(form)
    if {"%m", "%d"} <= set(re.findall("%.", template)):
        dates = "|".join(_filled(template, {**_VALUES, **values}, padded) for values in _CALENDAR)
    else:
        dates = _filled(template, {**_VALUES, "%m": "0?[1-9]|1[0-2]", "%d": "0?[1-9]|[12][0-9]|3[01]"}, padded)
    return f"(?:{dates})(?:{_filled(_ISO_TIME, _VALUES, True)})?" if form is None else f"(?:{dates})"


def _filled(template: str, values: Mapping[str, str], padded: bool) -> str:
    """Return a template with expressions in place of its fields; with ``padded`` numbers need their leading zeros."""

    def expression(match: re.Match[str]) -> str:
        found = values.get(match[0])
        return match[0] if found is None else f"(?:{found.replace('0?', '0') if padded else found})"

    return re.sub("%[A-Za-z]", expression, template)


def _pieces(form: str) -> Iterator[str]:
    """Yield the fields of a format (``%Y``) and the characters between them; ``%%`` is the character ``%``."""
    yield from re.findall("%.|.|%", form, re.DOTALL)


def _escaped(piece: str) -> str:
    if re.fullmatch("%[A-Za-z]", piece):
        return piece
    return f"\\{piece[-1]}" if piece[-1] in r"\]^[" else f"[{piece[-1]}]"


def _fields(form: str | None) -> list[str]:
    pieces = _pieces(f"{_ISO} %H:%M:%S" if form is None else form)
    return [piece for piece in pieces if re.fullmatch("%[A-Za-z]", piece)]


def _is_packed(form: str) -> bool:
    """Return whether two fields have nothing between them (``%Y%m%d``): then every number has all its digits."""
    return re.search("%[A-Za-z]%[A-Za-z]", form.replace("%%", "-")) is not None


def check_format(form: str | None) -> str | None:
    """Return a format; raise ValueError if the layer cannot read it."""
    if form is None:
        return None
    fields = _fields(form)
    names = [_NAMES.get(field, field) for field in fields]
    if unknown := next((field for field in fields if field not in _VALUES and field not in _NAMES), None):
        raise invalid(f"has {unknown}, which is not available", f"it can have {', '.join([*_NAMES, '%f'])}")
    if not fields:
        raise invalid("must have a field", "such as `%d/%m/%Y`", show_value=True)
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise invalid(f"has the {repeated} twice", "leave one out")
    if "%f" in fields[:-1] or ("%f" in fields and _is_packed(form)):
        raise invalid("must have %f at the end, after another character", "such as `%H:%M:%S.%f`", show_value=True)
    for piece in _pieces(form):
        if piece.isdigit() or piece == "\0" or (piece[0] == "%" and not re.fullmatch("%[A-Za-z%]", piece)):
            text = "must have fields of a letter, such as %d, and between them no digits"
            raise invalid(text, "`%d` reads `1` and `01`; `%%` is a percent sign", show_value=True)
    return form


class DateParts(Layer, takes_strings=True):
    """The parts of a date: the year, the month, the day of the week …, as numbers. NaN where there is no date.

    Without ``format`` texts are of ISO 8601: ``2024-12-31``, or with a time such as ``2024-12-31T23:59``,
    ``2024-12-31 23:59:59.5`` and ``2024-12-31T23:59:59+01:00``. A zone is ignored: parts are those of the date and the time
    as they are written. Hour and minute of a date without a time are 0.

    ``format`` has Python's fields ``%Y %y %m %d %H %M %S %f``, and other characters as they are in the text. A number may
    lack its leading zero (``1/2/2024``), unless two fields have nothing between them (``%Y%m%d``). ``%y`` is a year from
    1969 to 2068. Seconds and their fractions are read and have no part.

    A row is NaN in all parts if its text as a whole is not a date of the format that exists: ``""``, ``2023-02-29``,
    ``on 2024-12-31``. Impute may follow.

    With ``cyclic`` all parts but ``year`` and ``days`` are two numbers, the sine and the cosine of
    2π·(value − first)/period, so December is close to January; the period of ``day`` is 31, that of ``yearday`` 366.
    With ``one_hot`` they are a one for each value that they may have.

    Shapes: texts (batch, 1) → (batch, numbers), or of a series (batch, time) → (batch, time, numbers).
    """

    format: Annotated[str, AfterValidator(check_format)] | None = setting(
        None, "The fields of a text, such as `%d/%m/%Y`; null for dates and times of ISO 8601."
    )
    parts: Annotated[tuple[Part, ...], FROM_LIST] = setting(
        ("year", "month", "day", "weekday"),
        "The parts, in the order of the output; weekday 0 is Monday, `days` counts from 1970-01-01.",
    )
    cyclic: bool = setting(True, "Whether parts that start again are a sine and a cosine.")
    one_hot: bool = setting(False, "Whether they are ones and zeros instead.")

    def check_arguments(self) -> None:
        if not self.parts:
            raise invalid("must name at least one part", "such as `[year, month]`", key="parts", show_value=True)
        if repeated := next((part for part in self.parts if self.parts.count(part) > 1), None):
            raise invalid(f"must not have '{repeated}' twice", "leave one out", key="parts")
        known = {_NAMES.get(field) for field in _fields(self.format)}
        for part in self.parts:
            for name in _NEEDED.get(part, (part,)):
                if name not in known:
                    text = f"must not have '{part}', since `format` has no {name}"
                    raise invalid(text, f"leave it out, or add the {name} to `format`", key="parts")

    def lower(self, g: Builder, X: Value) -> Value:
        if not X.type.is_string:
            raise wrong_dtype(f"needs texts, got {X.type}", "set `dtype: string` for the input")
        if X.rank != 2:
            text = f"needs one text per row (batch, 1), or per time step (batch, time), got {show(X.shape)}"
            raise wrong_size(text, "give every column of dates a layer of its own")
        whole = rf"\A{pattern_of(self.format)}\z"
        matches = g.Tokenizer(X, mark=0, mincharnum=1, pad_value="", tokenexp=whole)
        whole_texts = mapped(g, matches, {"": 0}, 1)
        valid = g.Equal(g.ReduceSum(whole_texts, g.constant([2]), keepdims=0), g.constant(1))
        epoch = "".join(_EPOCH.get(piece, piece[-1]) for piece in _pieces(self.format or _ISO))
        fields = self._read(g, g.Where(valid, X, g.constant(epoch)))  # other texts may have numbers without end
        numbers = g.Concat(*(self._number(g, part, fields) for part in self.parts), axis=2)
        found = g.Where(g.Unsqueeze(valid, g.constant([2])), numbers, g.constant(np.nan))
        return g.Squeeze(found, g.constant([1])) if X.shape[1] == 1 else found

    def _read(self, g: Builder, X: Value) -> dict[str, Value]:
        """Return what is needed of dates, all of which can be read: int64 (batch, time) by name."""
        packed = self.format is None or _is_packed(self.format)
        tokens = g.Tokenizer(X, mark=0, mincharnum=1, pad_value="0", tokenexp="[0-9]{2}" if packed else "[0-9]{1,4}")
        numbers = g.Cast(tokens, to="int64")

        def token(k: int) -> Value:
            """Token k of each text; 0 if it has fewer."""
            one = g.Slice(numbers, g.constant([k]), g.constant([k + 1]), g.constant([2]))
            return g.ReduceSum(one, g.constant([2]), keepdims=0)

        needed = {name for part in self.parts for name in _NEEDED.get(part, (part,))}
        fields, k = {}, 0
        for field in _fields(self.format):
            first, k = k, k + (2 if packed and field == "%Y" else 1)
            name = _NAMES.get(field, "fraction")
            if name not in needed:
                continue
            fields[name] = number = token(first)
            if k - first == 2:
                fields[name] = number * 100 + token(first + 1)
            elif field == "%y":
                century = g.Where(number < 69, g.constant(2000), g.constant(1900))
                fields[name] = number + century
        if any(part in _NEEDED for part in self.parts):
            fields["days"] = _days(g, fields["year"], fields["month"], fields["day"])
            if "yearday" in self.parts:
                fields["yearday"] = fields["days"] - _days(g, fields["year"], g.constant(1), g.constant(1)) + 1
            if "weekday" in self.parts:
                fields["weekday"] = g.Mod(fields["days"] + 3, g.constant(7))
        for name, (low, count) in _CYCLES.items():
            if name in fields:
                fields[name].range = Range(low, low + count - 1)
        return fields

    def _number(self, g: Builder, part: Part, fields: Mapping[str, Value]) -> Value:
        """Return a part as float32, (batch, time, 1), with sine and cosine 2 numbers, one-hot one for each value."""
        if part not in _CYCLES or not (self.cyclic or self.one_hot):
            return cast_to(g, g.Unsqueeze(fields[part], g.constant([2])), "float32")
        first, period = _CYCLES[part]
        if self.one_hot:
            return g.OneHot(fields[part] - first, g.constant(period), g.constant([0.0, 1.0], "float32"), axis=-1)
        angles = 2 * pi / period * np.arange(period)
        table = np.stack([np.sin(angles), np.cos(angles)], -1)
        return g.Gather(g.constant(table), fields[part] - first, axis=0)  # the same numbers in every engine


def _days(g: Builder, year: Value, month: Value, day: Value) -> Value:
    """Return the days since 1970-01-01 of dates in the Gregorian calendar (Howard Hinnant's ``days_from_civil``)."""
    year = year - cast_to(g, month <= 2, "int64")  # years begin in March
    era = year / 400
    year_of_era = year - era * 400
    month = g.Mod(month + 9, g.constant(12))
    day_of_year = (month * 153 + 2) / 5 + (day - 1)
    leap_days = year_of_era / 4 - year_of_era / 100
    day_of_era = year_of_era * 365 + leap_days + day_of_year
    return era * 146_097 + day_of_era - 719_468
