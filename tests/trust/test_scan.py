"""The faster scanner against ruamel.yaml's own: the same events at the same places, the same errors.

But U+0085, U+2028 and U+2029, which ruamel.yaml breaks lines at, are letters: YAML 1.2 and JSON have them so. And
ruamel.yaml refuses a block scalar whose text is indented more than a blank line above it, which YAML allows.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from counting import assert_linear
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from graphspec.language.scan import events

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
SEEDS = (
    "a: |\n  text\n\n   more\n  end\n\nb: >-\n  folded\n  text\n\n  - x\nc: |2+\n   x\n\n",
    "a: 'it''s'\nb: \"tab\\t\\u00e4\\x41\\U0001f600 \\\n   joined\"\nc: plain text # comment\n  over lines\n\n  and more\n",
    "? {a: b}\n: [c, 'd', {e: f, \"g\":h}]\n? - x\n: *y\n--- !!str\n...\n",
    "%YAML 1.2\n%TAG !e! tag:x,2000:\n---\na: !e!foo &anchor [1, 2,3, ]\nb: *anchor\n",
    '{"a": [1, 2.5e3, null, true, "x\\ny"], "b": {"c": "d"}}\n',
    "a:\r\n  - b: 1\r    c: 2\r\n  -\r\n\r\n# comment\r\n  - - - 3\r\nd: \u2028e\x85f\n",
    "a b: c d\nx: http://y:8/#z ?q\nk: [a:b, c#d, #e\n ?f, :g]\nl: - m\n",
)
PIECES = (
    *("\n", "\r", "\r\n", " ", "  ", "\t", "\x85", "\u2028", "\u2029", "\ufeff", "\0", "ü", "😀", "a", "0", "'", '"'),
    *(
        "\\",
        "\\x4",
        "\\u12",
        "\\U00110000",
        "\\ud800",
        "''",
        "#",
        " #",
        "# ",
        "-",
        "- ",
        "--- ",
        "...\n",
        ":",
        ": ",
        ",",
    ),
    *(
        "[",
        "]",
        "{",
        "}",
        "?",
        "? ",
        "&",
        "*",
        "!",
        "!!",
        "!<x>",
        "|",
        ">",
        "|-\n",
        ">2\n",
        "|+ # x\n",
        "%",
        "@",
        "`",
        "~",
    ),
    *(" " * 9, "word " * 5, "x y" * 400, "\n" * 5),
)


def told(parse: Callable[[str], Iterator[Any]], text: str) -> list[Any]:
    """The events of a text, and the error that ends them."""
    found: list[Any] = []
    try:
        for event in parse(text):
            keys = ("anchor", "tag", "value", "style", "flow_style", "implicit", "explicit", "version", "tags")
            about = [str(getattr(event, key, None)) for key in keys]
            found.append((type(event).__name__, *map(place, (event.start_mark, event.end_mark)), *about))
    except MarkedYAMLError as error:
        marks = (place(mark) for mark in (error.context_mark, error.problem_mark) if hasattr(mark, "line"))
        found.append((type(error).__name__, error.context, error.problem, *marks))
    except Exception as error:
        found.append((type(error).__name__, str(error)))
    return found


def place(mark: Any) -> tuple[int, int, int]:
    return (mark.line, mark.column, mark.index)


def original(text: str) -> Iterator[Any]:
    """ruamel.yaml's events, where the line breaks of YAML 1.1 alone are other letters."""
    letters = [c for c in "\x85\u2028\u2029" if c in text]
    others = {ord(c): 0xE000 + k for k, c in enumerate(letters)}
    for event in YAML(typ="safe", pure=True).parse(text.translate(others)):
        if hasattr(event, "value"):
            event.value = event.value.translate({other: c for c, other in others.items()})
        yield event


def mutated(draw: random.Random, text: str) -> str:
    """A part of a text with some pieces put in, taken out or repeated."""
    start = draw.randrange(len(text))
    text = text[start : start + draw.randrange(20, 600)] if draw.random() < 0.5 else text
    for _ in range(draw.randrange(1, 6)):
        at = draw.randrange(len(text) + 1)
        end = min(len(text), at + draw.randrange(8))
        piece = draw.choice((draw.choice(PIECES), draw.choice(PIECES), "", text[at:end] * 2))
        text = text[:at] + piece + text[draw.choice((at, end)) :]
    return text


def sources() -> list[str]:
    paths = [*ROOT.glob("specs/*.yaml"), *ROOT.glob("tests/diagnostics/*.yaml"), *ROOT.glob("tests/diagnostics/*.json")]
    return [*SEEDS, *filter(None, (path.read_bytes().decode("utf-8", "replace") for path in sorted(paths)))]


REFUSED = "more indented follow up line than first in a block scalar"


def test_what_is_shipped_is_scanned_as_ruamel_does() -> None:
    for text in sources():
        assert told(events, text) == told(original, text)


def test_mutated_texts_are_scanned_as_ruamel_does() -> None:
    draw, texts = random.Random(1), sources()
    for _ in range(300):
        text = mutated(draw, draw.choice(texts))
        expected = told(original, text)
        assert REFUSED in str(expected[-1:]) or told(events, text) == expected, text


@pytest.mark.parametrize(
    "unit",
    ["word ", " ", "\t", "\n", "# x\n", "a\n", "'x' ", '"x\\u0041" ', "a: |\n  b\n", "- x\n", "\\x41", "%X\n", "- "],
)
@pytest.mark.parametrize("head", ["", "a: ", 'a: "', "a: '", "a: |\n ", "a: >\n ", "[", "%A ", "# "])
def test_scanning_is_linear(head: str, unit: str) -> None:
    assert_linear(lambda n: lambda: told(events, head + unit * n), 300, 3000)
