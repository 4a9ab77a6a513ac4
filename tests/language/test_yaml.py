"""What the package writes as YAML is read back as it was: by its own readers, and by others, also those of YAML 1.1."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from ruamel.yaml import YAML

from graphspec.editor.document import Text, parse, plain
from graphspec.language.read import read_value
from graphspec.language.write import flow, write_yaml

pyyaml = pytest.importorskip("yaml")

WORDS = (
    "yes",
    "no",
    "on",
    "off",
    "y",
    "n",
    "true",
    "false",
    "null",
    "None",
    "nan",
    "inf",
    "True",
    "NO",
    "Off",
    "_",
    "é",
)
NUMBERS = (
    "0x1F",
    "0o17",
    "017",
    "0b1",
    "1_000",
    "1,000",
    "1e-05",
    "1.0e-5",
    "1e5",
    ".5",
    "5.",
    "-1",
    "+1",
    ".inf",
    ".nan",
)
DATES = ("2024-01-01", "2024-01-01T10:00:00Z", "12:30", "1:30:00")
SIGNS = (
    "",
    " ",
    "~",
    "=",
    "<<",
    "-",
    "--",
    "---",
    "...",
    "?",
    ":",
    "#",
    "&a",
    "*a",
    "!a",
    "|",
    ">",
    "%",
    "@",
    "`",
    "a: b",
)
OTHER = (
    "a #b",
    "a,b",
    "[a]",
    "{a}",
    "'a'",
    '"a"',
    "a\nb",
    "a\tb",
    "a\\b",
    "\x85",
    "\u2028",
    "\ufeff",
    "\x07",
    "🎉",
    "a ",
    "x" * 99,
    "a:",
)
TEXTS = (*WORDS, *NUMBERS, *DATES, *SIGNS, *OTHER)
FLOATS = (1e-05, 1e22, 5e-324, 0.1, 2.0, -0.0, 1.5e300, math.inf, -math.inf)
VALUES: tuple[Any, ...] = (*TEXTS, *FLOATS, 0, -7, 10**18, True, False, None, [], {})


def by_ruamel(text: str, version: tuple[int, int]) -> Any:
    reader = YAML(typ="safe", pure=True)
    reader.version = version
    return reader.load(text)


READERS: dict[str, Callable[[str], Any]] = {
    "read": lambda text: read_value(text, "").plain(),
    "editor": lambda text: plain(parse(Text(text))),
    "ruamel 1.2": lambda text: by_ruamel(text, (1, 2)),
    "ruamel 1.1": lambda text: by_ruamel(text, (1, 1)),
    "PyYAML": pyyaml.safe_load,
}


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_reads_what_is_written(reader: str) -> None:
    misread = []
    for value in VALUES:
        for whole in ({"a": value}, {"a": [value, value]}, *([{"a": {value: 1}}] if isinstance(value, str) else [])):
            text = flow(whole)
            if repr(READERS[reader](text)) != repr(whole):
                misread.append(text)
    assert misread == []


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_reads_a_whole_text(reader: str) -> None:
    whole = {"description": "yes", "name": "no", "vars": {text: text for text in TEXTS}, "training": {"a": [*FLOATS]}}
    assert repr(READERS[reader](write_yaml(whole))) == repr(whole)


WHOLE = {
    "block": "a: |\n  b\n\n    c\n\nd: |-\n  e\n  \nf: |+\n  g\n\nh: |2\n    i\n",
    "blank lines before a block": "a: |\n \n   b\nc: >\n \n\n   d\n  \n   e\n",
    "a block at the first column": "--- |\na: 1\n...\n",
    "byte order mark": "\ufeffa: 1\n",
    "folded": "a: >\n  b\n  c\n\n  d\n   e\n  f\ng: >-\n  h\n  i\n",
    "plain over lines": "a: b\n  c\n\n  d # e\nf: g\n",
    "quoted over lines": "a: 'b\n  c\n\n  d'\ne: \"f\n  g \\\n  h\"\n",
    "escapes": 'a: "\\x41\\e\\u00e9\\U0001f600\\0\\N\\_\\L\\P\\/"\nb: "\\ud83d\\ude00"\n',
    "keys": "a b: 1\n'c''d': 2\n\"\\x41\": 3\n12: 4\n~ x: 5\n",
    "explicit keys": "? a\n: b\n? c\n",
    "tags": "a: !!str 1\nb: !!float 2\nc: ! 3\nd: !!map {e: !!seq [4]}\n",
    "aliases": "a: &x [1, &y 2]\nb: *x\nc: {d: *y }\ne: &z\n  f: 1\ng: *z\n",
    "flow": 'a: [1, {b: 2, "c":3}, [], {}, d: 4, "e" : 5, {f: , g: }]\nh: {i: [\n  1,\n  2 # j\n  ], k: l\n  m}\n',
    "lists": "a:\n- 1\n-\n  - 2\n- - 3\n  - b: 4\n    c: 5\n- ~\nd: e\n",
    "lists at the column of keys": "a:\n  b:\n  - 1\n  - c:\n    - 2\nd: 3\n",
    "marker": "%YAML 1.2\n---\na: 1\n...\n",
    "returns": "a: 1\r\nb:\r\n  - 2\rc: 3\r",
    "empty": "a:\nb: ~\nc: ''\nd: \"\"\ne: [ ]\nf: { }\n",
}


@pytest.mark.parametrize("name", WHOLE)
def test_the_editor_has_the_values_of_the_reader(name: str) -> None:
    text = WHOLE[name]
    assert repr(plain(parse(Text(text)))) == repr(read_value(text, "").plain())


def test_blank_lines_may_be_indented_less_than_the_block_below() -> None:
    text = WHOLE["blank lines before a block"]
    assert read_value(text, "").plain() == pyyaml.safe_load(text) == {"a": "\nb\n", "c": "\n\nd\ne\n"}
