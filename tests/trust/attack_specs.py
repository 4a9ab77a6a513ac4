"""Mutated specs, as text and as dicts: each gets an answer, with a code and a place that is there, twice the same.

Texts are changed in bytes, characters, tokens and lines; documents in their types, numbers, names, keys and sections.
What comes through unharmed is drawn and summed up too.
"""

from __future__ import annotations

import copy
import json
import random
import re
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from graphspec.base.errors import Diagnostic, SpecError, UsageError, render, render_json
from graphspec.base.text import count_breaks, line_of
from graphspec.engine.compiler.check import Checked, check
from graphspec.engine.compiler.lowered_network import cost
from graphspec.language.read import read
from graphspec.language.schema import schema
from graphspec.show.drawing.outline import outline
from graphspec.show.drawing.svg import mermaid, svg
from graphspec.vocabulary.callbacks import CALLBACKS

ROOT = Path(__file__).parents[2]
CASES = 50
counts: Counter[str] = Counter()

NASTY = (
    *("\t", "\r", "\r\n", "\n\n", "\x00", "\x07", "\x1b[31m", "\x85", "\u2028", "\ufeff", "\ufffe"),
    *(
        "ü",
        "日本",
        "😀",
        "e\u0301",
        "'",
        '"',
        "\\",
        "''",
        '"\\ud800"',
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        ": ",
        "- ",
        "-",
        "? ",
    ),
    *("# ", " #", "&a ", "*a", "*b", "!!int ", "!x ", "|", ">", "|2-\n", "%YAML 1.1\n", "---\n", "...\n", "${", "${x}"),
    *("$${", "${units}${units}", "<<: *a", "null", "~", "true", ".nan", "-.inf", "1e999", "-1", "0", "0x" + "f" * 700),
    *("9" * 700, "1_000", "2147483648", "N", "repeat: 100001", "repeat: 3", "share: hidden", "block: b", "inputs: []"),
    *("type: Dense", "units: 1", "name: x", "x/y", "x:1"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3, 7, 10**9, 2**31, 2**63, -(2**63) - 1, 10**30, 10**5000, 0.0, -0.5, 1e-320),
    *(1e308, float("nan"), float("inf"), "", " ", "x", "N", "None", "relu", "${x}", "${", "a" * 300, "a" * 70_000),
    *("\ud800", "\x00", "../x", "/dev/zero", "a/b", "a:1", "a:999999", [], {}, [[]], [None], [1, 2], [3, 3, 3], ["x"]),
    *({"x": 1}, {"type": "Dense"}, {"type": None}, {"type": "L2", "l2": "x"}, [{}], [[1], [2]], b"x", {1, 2}, (1, 2)),
    *(np.float32(1), np.arange(3), Path("x"), {1: 2}, {None: 1}, [1] * 40, {"k" * 1500: 1}, object(), 1j, [0] * 9),
    *(-1.5, "same", "valid", "causal", "auto"),
)
HASHABLE = VALUES[:31]


@cache
def texts() -> list[str]:
    paths = [*ROOT.glob("specs/*.yaml"), *ROOT.glob("specs/architectures/*.yaml")]
    paths += [*ROOT.glob("tests/diagnostics/*.yaml"), *ROOT.glob("tests/diagnostics/*.json")]
    found = (path.read_bytes().decode("utf-8", "replace") for path in sorted(paths))
    return [text for text in found if 0 < len(text) < 6000]


@cache
def documents() -> list[dict[str, Any]]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "spec.yaml")
        for text in texts():
            path.write_text(text, encoding="utf-8")
            try:
                found.append(read(path).plain())
            except SpecError:
                continue
    return found


@cache
def vocabulary() -> str:
    return json.dumps([schema(), CALLBACKS.names()])  # the schema lacks the callbacks that are refused


# Texts


def mutated_text(draw: random.Random, text: str) -> bytes:
    for _ in range(draw.choice((1, 1, 2, 3, 8))):
        text = draw.choice((insert, drop, swap_lines, indent, tokens, cut, graft))(draw, text)
    data = text.encode("utf-16" if draw.random() < 0.02 else "utf-8", "replace")
    for _ in range(draw.choice((0, 0, 0, 1, 2)) if data else 0):
        at = draw.randrange(len(data))
        data = data[:at] + bytes([draw.randrange(256)]) + data[at + draw.randrange(2) :]
    return data


def insert(draw: random.Random, text: str) -> str:
    at = draw.randrange(len(text) + 1)
    return text[:at] + draw.choice(NASTY) * draw.choice((1, 1, 1, 2, 30)) + text[at:]


def drop(draw: random.Random, text: str) -> str:
    at = draw.randrange(len(text) + 1)
    return text[:at] + text[at + draw.choice((1, 1, 2, 5, 40)) :]


def cut(draw: random.Random, text: str) -> str:
    return text[: draw.randrange(len(text) + 1)] if draw.random() < 0.2 else text


def swap_lines(draw: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True) or [""]
    a, b = draw.randrange(len(lines)), draw.randrange(len(lines))
    match draw.randrange(3):
        case 0:
            lines[a], lines[b] = lines[b], lines[a]
        case 1:
            lines.insert(a, lines[b])
        case _:
            del lines[a]
    return "".join(lines)


def indent(draw: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True) or [""]
    at = draw.randrange(len(lines))
    lines[at] = draw.choice((" ", "  ", "\t", "    ")) + lines[at] if draw.random() < 0.6 else lines[at].lstrip()
    return "".join(lines)


def tokens(draw: random.Random, text: str) -> str:
    """One word becomes another one of the text, of another spec, or nothing that is known."""
    words = list(re.finditer(r"[\w.${}-]+", text))
    if not words:
        return text
    match = draw.choice(words)
    others = re.findall(r"[\w.${}-]+", draw.choice(texts())) or ["x"]
    new = draw.choice((draw.choice(words)[0], draw.choice(others), draw.choice(NASTY), match[0][:-1], match[0] * 2))
    return text[: match.start()] + new + text[match.end() :]


def graft(draw: random.Random, text: str) -> str:
    """Some lines of another spec."""
    lines, other = text.splitlines(keepends=True), draw.choice(texts()).splitlines(keepends=True)
    start = draw.randrange(len(other))
    at = draw.randrange(len(lines) + 1)
    return "".join([*lines[:at], *other[start : start + draw.randrange(1, 6)], *lines[at:]])


# Documents


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """All collections within, each with one of its keys."""
    for key, child in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(child, dict | list):
            yield from places(child)


def mutated_document(draw: random.Random, document: dict[str, Any]) -> dict[str, Any]:
    document = copy.deepcopy(document)
    for _ in range(draw.choice((1, 1, 2, 3, 6))):
        found = list(places(document))
        if not found:
            break
        around, key = draw.choice(found)
        other, other_key = draw.choice(found)
        strange = draw.choice(list(places(draw.choice(documents()))))
        match draw.randrange(9):
            case 0 | 1:
                around[key] = draw.choice(VALUES)
            case 2:
                del around[key]
            case 3:
                around[key], other[other_key] = other[other_key], around[key]
            case 4:
                around[key] = strange[0][strange[1]]
            case 5 if isinstance(around, dict):
                around[draw.choice((key, strange[1], draw.choice(NASTY), draw.choice(HASHABLE)))] = around.pop(key)
            case 6 if isinstance(around[key], int | float):
                around[key] = draw.choice(
                    (around[key] * 2**40, -around[key], around[key] + 0.5, str(around[key]), 2**31 - 1)
                )
            case 7 if isinstance(around, list):
                around.insert(key, around[key])
            case _ if isinstance(around[key], str):
                around[key] = draw.choice((around[key][1:], around[key] + draw.choice(NASTY), around[key].swapcase()))
        document = copy.deepcopy(document)  # parts that were put in twice, or into themselves, are their own again
    return document


# What must hold


def attack(draw: random.Random) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        if draw.random() < 0.6:
            path = Path(folder, "spec.yaml")
            data = mutated_text(draw, draw.choice(texts()))
            path.write_bytes(data)
            shown = ascii(data)
            source: Any = str(path)
            text = path.read_bytes().decode(
                "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace"
            )
        else:
            try:
                source = mutated_document(draw, draw.choice(documents()))
            except (RecursionError, MemoryError):
                return []
            text = shown = told(source)
        sets = [f"{draw.choice(NASTY)}={draw.choice(NASTY)}"] if draw.random() < 0.1 else []
        if draw.random() < 0.1:
            sets.append(f"training.epochs={draw.choice(NASTY)}")
        try:
            problems = tried(source, sets, text, draw)
        except Exception as error:
            problems = [f"{type(error).__name__}: {error}"]
        return [f"{problem} in {shown} {sets}" for problem in problems]


def told(value: Any) -> str:
    """A document, written out but for numbers that Python does not write."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{told(key)}: {told(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(told, value)) + "]"
    return "a huge number" if isinstance(value, int) and abs(value) > 10**4000 else ascii(value)


def tried(source: Any, sets: list[str], text: str, draw: random.Random) -> list[str]:
    began = time.process_time()
    try:
        checked = check(source, sets)
    except UsageError as error:
        counts["usage"] += 1
        return [] if len(str(error)) < 3000 else ["a message of many lines"]
    counts["slow"] += time.process_time() - began > 1
    counts["wrong" if checked.errors else "right"] += 1
    problems = [problem for found in checked.diagnostics for problem in wrong(found, source, text)]
    again = check(source, sets).diagnostics
    if again != checked.diagnostics:
        problems.append(f"two answers: {checked.diagnostics} and {again}")
    render(checked.diagnostics).encode()
    json.loads(render_json(checked.diagnostics).encode())
    if not checked.errors and draw.random() < 0.5:
        problems += drawn(checked)
    return problems


def wrong(found: Diagnostic, source: Any, text: str) -> list[str]:
    """What is wrong with a diagnostic."""
    problems = []
    if not re.fullmatch(r"GS[1-8]\d\d", found.code) or not found.message or not found.hint:
        problems.append("no code, message or fix")
    anywhere = found.code in ("GS101", "GS103", "GS110", "GS602") or found.message.startswith(
        (
            "a key must be a string, not",
            "key '' is given twice",
            "unknown key ''",
            "a number of",
            "a text of",
            "text holds",
        )
    )
    if not found.path and not anywhere:
        problems.append("no path")
    if isinstance(source, str) and found.file == source and found.line is not None:
        line = line_of(text, found.line)
        if line is None or found.column is None or not 1 <= found.column <= len(line) + 1:
            problems.append(f"no such place among {count_breaks(text) + 1} lines")
    for name in re.findall(r"did you mean '(.*?)'\?", found.hint or ""):
        everything = f"{text} {vocabulary()} val".lower().replace("_", "")
        words = [word for word in re.split(r"[\W_\d]+", name.lower()) if word.isascii()]
        if not all(word in everything for word in words):
            problems.append(f"'{name}' is meant, which is nowhere")
    return [f"{problem}: {found}" for problem in problems]


def drawn(checked: Checked) -> list[str]:
    counts["drawn"] += 1
    declared, lowered = checked.require()
    panels = outline(declared, lowered, cost(declared, lowered, 1), expand=len(declared.nodes) % 2 == 0)
    ElementTree.fromstring(svg(panels).encode())
    labels = re.findall(r'"[^"\n]*"', text := mermaid(panels))
    return [] if text.count('"') == 2 * len(labels) else ["a label of Mermaid text that is not closed"]
