"""Texts that people read as numbers."""

from __future__ import annotations

import pytest

from graphspec.data.text_files import forms_of


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("3,5", {"decimal comma"}),
        ("-1.234,50", {"decimal comma"}),
        ("1,234", {"decimal comma", "thousands"}),
        ("1,234,567.5", {"thousands"}),
        ("1 234 567", {"thousands"}),
        ("1'234.50", {"thousands"}),
        ("12 %", {"percent"}),
        ("$ 1,200.50", {"currency"}),
        ("9,99 €", {"currency"}),
        ("2024-12-31", {"date"}),
        ("male", set()),
        ("1,2,3", set()),
        ("42.9", {"number"}),
        ("-1e3", {"number"}),
        ("1.", {"number"}),
        (".", set()),
        ("3" * 50 + ",5", set()),
    ],
)
def test_forms(text: str, forms: set[str]) -> None:
    assert forms_of(text) == forms
