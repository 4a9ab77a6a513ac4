"""Texts that people read as numbers or dates, and tables do not: ``3,5``, ``1,234.50``, ``12 %``, ``$ 9.99``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from graphspec.vocabulary.layers.dates import is_date

FORMS = ("date", "percent", "currency", "thousands", "decimal comma", "number")
"""What texts can be, the most telling first."""
WORDS = {
    "date": "contains dates",
    "percent": "contains percentages",
    "currency": "contains amounts with a currency",
    "thousands": "contains numbers with thousands separators",
    "decimal comma": "contains numbers with decimal commas",
    "number": "contains numbers as text",
}
_DIGITS = r"\d[\d.,'\u00a0\u202f ]*"
_CURRENCY = r"(?:[$€£¥₹]|USD|EUR|GBP|CHF|JPY)"
_PATTERNS = {
    "percent": re.compile(rf"[+-]?{_DIGITS}%"),
    "currency": re.compile(rf"[+-]?{_CURRENCY}\s*[+-]?{_DIGITS}|[+-]?{_DIGITS}{_CURRENCY}"),
    "thousands": re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?|[+-]?\d{1,3}(?:['\u00a0\u202f ]\d{3})+(?:[.,]\d+)?"),
    "decimal comma": re.compile(r"[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+),\d+"),
    "number": re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"),
}
GROUPED = {",": ",", ".": r"\.", " ": r"[ \x{a0}\x{202f}]", "'": r"['\x{2019}]"}
"""The regular expression of a mark of thousands, as SQL writes it."""
_UNITS = rf"(?:%|{_CURRENCY})"
_AMOUNT = re.compile(rf"[+-]?\s*({_UNITS})?\s*([+-]?[\d.,'’\u00a0\u202f ]*\d(?:[eE][+-]?\d+)?)\s*({_UNITS})?")
_MARKS = ((".", None), (".", ","), (",", None), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"))
MOSTLY = 0.9
"""A column of texts with at least this part of numbers is one of numbers with words among them."""
_LONGEST = 40  # characters of such a text


def forms_of(text: str) -> set[str]:
    """Return what a text can be: those of ``FORMS`` that it fits. ``1,234`` has thousands separators or a decimal comma."""
    text = text.strip()
    if len(text) > _LONGEST:
        return set()
    found = {form for form, pattern in _PATTERNS.items() if pattern.fullmatch(text)}
    return found | {"date"} if "-" in text and is_date(text, None) else found


def number_pattern(decimal: str, thousands: str | None) -> str:
    """Return the regular expression of a number. Without ``thousands``, points group the digits before a decimal comma.

    Groups begin with another digit than 0: ``0,125`` has a decimal comma.
    """
    end = r"([eE][+-]?\d+)?\s*"
    if thousands is None and decimal == ",":
        return rf"\s*[+-]?(\d*|\d{{1,3}}(\.\d{{3}})+),\d+{end}"
    groups = "" if thousands is None else rf"|[1-9]\d{{0,2}}({GROUPED[thousands]}\d{{3}})+"
    mark = re.escape(decimal)
    return rf"\s*[+-]?((\d+{groups})({mark}\d*)?|{mark}\d+){end}"


def marks_of(cells: Sequence[str], share: float) -> tuple[tuple[str, str | None], set[str]] | None:
    """Return the decimal mark and the mark of thousands of cells that are numbers, and what stands beside them.

    Args:
        share: the part of the cells that must be numbers.

    Returns:
        None if they are not numbers. Plain numbers have the marks ``.`` and None.
    """
    found = [match for cell in cells if len(cell) <= _LONGEST and (match := _AMOUNT.fullmatch(cell.strip()))]
    if not cells or len(found) < share * len(cells):
        return None
    units = {unit for match in found for unit in (match[1], match[3]) if unit}
    for decimal, thousands in _MARKS:
        pattern = re.sub(r"\\x\{(\w+)\}", lambda code: chr(int(code[1], 16)), number_pattern(decimal, thousands))
        fits = re.compile(pattern if (decimal, thousands) != (",", None) else rf"{pattern}|[+-]?\d+")
        if sum(bool(fits.fullmatch(match[2])) for match in found) >= share * len(cells):
            return (decimal, thousands), units
    return None
