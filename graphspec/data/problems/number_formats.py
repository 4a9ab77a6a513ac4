"""Texts that people read as numbers or dates, and tables do not: ``3,5``, ``1,234.50``, ``12 %``, ``$ 9.99``."""

from __future__ import annotations

import re

from graphspec.layers.dates import is_date

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
_LONGEST = 40  # characters of such a text


def forms_of(text: str) -> set[str]:
    """Return what a text can be: those of ``FORMS`` that it fits. ``1,234`` has thousands separators or a decimal comma."""
    text = text.strip()
    if len(text) > _LONGEST:
        return set()
    found = {form for form, pattern in _PATTERNS.items() if pattern.fullmatch(text)}
    return found | {"date"} if "-" in text and is_date(text, None) else found
