"""Texts and dates that the fixtures' records have, and every consumer must read as graphspec does."""

from __future__ import annotations

NASTY = (
    "",
    " ",
    "\t\n\r\v\f ",
    "plain words, and Some CAPITALS. Don't split 3.5!",
    "Élan ÉLAN élan",
    "E\u0301lan e\u0301lan E\u0301LAN",  # the same with combining accents
    "ΣΊΣΥΦΟΣ Σίσυφος σίσυφος Σ ς",
    "İSTANBUL İstanbul istanbul ISTANBUL ışık IŞIK",
    "MASSE MAẞE Maße MASSE straße STRASSE",
    "ЁЛКА Ёлка ёлка Россия РОССИЯ",
    "ǅ Ǆ ǆ \u212a K k Å \u212b å Ω \u2126 ﬁ ﬃ",  # letters of two cases, and signs that are letters
    "北京 東京都 서울 ひらがな カタカナ ｶﾀｶﾅ 𠮷野家",
    "👍 👍🏽 👩\u200d👩\u200d👧\u200d👦 🏳️\u200d🌈 🇫🇷 e\u20e3",
    "السَّلامُ عَلَيْكُم مرحبا",
    "שָׁלוֹם עוֹלָם שלום",
    "\u202eright to left\u202c left\u200f",
    "नमस्ते दुनिया ภาษาไทย",
    "\u0301 \u0300\u0301\u0302 ◌\u0323",  # combining marks alone
    "bell\x07 escape\x1b[31m delete\x7f unit\x1f next\x85line",
    "a\x00b c",
    "no\u00a0break zero\u200bwidth line\u2028paragraph\u2029ideographic\u3000space \ufeffmark",
    "''\"\\`${x}<b>&amp;%s /*-+ _under_ @at #hash",
    "!!! ... ?!",
    "\ufffd \U0010ffff \ue000 \ufdd0",
    "tab\there\nnew line\r\nand return",
    "word " * 2000,
    "x" * 10_000,
    "é" * 2_000,
)
"""Texts of every kind: capitals and accents in both forms, other alphabets, pictures, controls, marks alone, none, long."""
DATES = (
    *("2024-02-29", "2023-02-29", "1999-12-31T23:59:58", "2001-07-04 06:05", "0001-01-01", "9999-12-31"),
    *("", " 2024-01-01", "2024-1-1", "٢٠٢٤-٠١-٠١", "2024-02-29T12:00:00.123+01:00", "2024-13-01", "yesterday"),
)
"""Dates, and texts that are none."""

TOWNS = (
    *(
        "Нижний Новгород",
        "НИЖНИЙ НОВГОРОД",
        "Санкт-Петербург",
        "санкт-петербург",
        "İzmir",
        "İZMİR",
        "izmir",
        "Diyarbakır",
    ),
    *("São Tomé", "SÃO TOMÉ", "Ελλάδα", "ΕΛΛΆΔΑ", "San Francisco", "SAN FRANCISCO", "", " ", "東京", "o\u212a", "Ok"),
)
"""Names of one or several words, as they are written."""
