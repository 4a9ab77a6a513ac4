"""Write YAML as people do: a node a line, at most 120 columns, quotes only where a reader of YAML needs them.

Every reader has the same values, also those of YAML 1.1, for which `no` is false and `1e-5` is text.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

WIDTH = 120
_PLAIN = re.compile(r"(?:\.{0,2}/)*[A-Za-z_][A-Za-z0-9_./-]*")
_SENTENCE = re.compile(r"[A-Za-z](?:[^:#\n]|:(?=\S)|(?<=\S)#)*")
_WORDS_OF_YAML = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n"))
_ONE_LINE = frozenset(("vars", "training"))  # sections that are one line if short; others have an entry a line
_BLANK_BEFORE = frozenset(("vars", "inputs", "blocks", "layers", "outputs", "training", "data", "search"))
_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def write_yaml(data: Mapping[str, Any], *, schema: str | None = None, notes: Sequence[str] = ()) -> str:
    """Return the text of a spec, whose reading gives ``data`` again; ``notes`` become comments at the top.

    ``schema`` is the path of the JSON Schema, for editors.
    """
    lines = [] if schema is None else [f"# yaml-language-server: $schema={schema}"]
    for note in notes:
        text = "".join(c if c.isprintable() else " " for c in note)
        lines += textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)
    for key, value in data.items():
        if key in _BLANK_BEFORE and lines:
            lines.append("")
        lines += _section(key, value)
    return "\n".join(lines) + "\n"


def literal(value: Any) -> str:
    """Return a value in YAML's flow style. Its texts have no variables: ``${`` is written as ``$${``."""
    return flow(_without_variables(value))


def _without_variables(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_without_variables(key): _without_variables(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_without_variables(child) for child in value]
    return value.replace("${", "$${") if isinstance(value, str) else value


def flow(value: Any) -> str:
    """Return a value in YAML's flow style, on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(str(k))}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, float):
        return number(value)
    if not isinstance(value, str):
        return str(value)
    return value if _PLAIN.fullmatch(value) and value.lower() not in _WORDS_OF_YAML else quoted(value)


def number(value: float) -> str:
    """Return a float as specs write it: ``1.0e-5``, which every YAML reads as a float."""
    if not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    digits, e, exponent = repr(value).partition("e")
    if not e:
        return digits
    digits += "" if "." in digits else ".0"
    return f"{digits}e{int(exponent):+d}"


def quoted(text: str) -> str:
    """Return text in double quotes. Characters that do not print are escaped."""
    escapes = ((c, f"\\u{ord(c):04x}" if ord(c) < 1 << 16 else f"\\U{ord(c):08x}") for c in text)
    return '"' + "".join(_ESCAPES.get(c) or (c if c.isprintable() else escape) for c, escape in escapes) + '"'


def text_lines(key: str, text: str, indent: str = "") -> list[str]:
    """Return the lines of a key with a text: plain, quoted, or folded if it is a long sentence."""
    plain = _SENTENCE.fullmatch(text) and text.isprintable() and text == text.strip()
    plain = plain and text.lower() not in _WORDS_OF_YAML
    line = f"{indent}{key}: {text if plain else flow(text)}"
    words = text.split(" ")
    if len(line) <= WIDTH or not text.isprintable() or not all(words) or max(map(len, words)) > WIDTH // 2:
        return [line]
    folded = textwrap.wrap(text, WIDTH - len(indent) - 2, break_on_hyphens=False, break_long_words=False)
    return [f"{indent}{key}: >-", *(f"{indent}  {one}" for one in folded)]


def _section(key: str, value: Any) -> Iterator[str]:
    if key == "blocks" and isinstance(value, Mapping) and value:
        yield "blocks:"
        for name, block in value.items():
            if not isinstance(block, Mapping) or not block:
                yield from _entry(f"  {flow(name)}:", block)
                continue
            yield f"  {flow(name)}:"
            for part, content in block.items():
                write = _long if part == "layers" and content and isinstance(content, list) else _entry
                yield from write(f"    {flow(part)}:", content)
    elif key not in _ONE_LINE and isinstance(value, Mapping | list) and value:
        yield from _long(f"{flow(key)}:", value)
    else:
        yield from _entry(f"{flow(key)}:", value)


def _entry(start: str, value: Any, indent: int | None = None) -> Iterator[str]:
    """Yield the lines of a value behind ``start``: one line if it fits. ``indent`` is the key's column in ``- name:``."""
    line = f"{start} {flow(value)}"
    if isinstance(value, str):
        head = start[:-1]
        before = head[: len(head) - len(head.lstrip(" -"))]
        first, *rest = text_lines(head[len(before) :], value, " " * len(before))
        yield from (before + first[len(before) :], *rest)
    elif len(line) <= WIDTH or not isinstance(value, Mapping | list | tuple) or not value:
        yield line
    else:
        yield from _long(start, value, indent)


def _long(start: str, value: Mapping[str, Any] | Sequence[Any], indent: int | None = None) -> Iterator[str]:
    """Yield the lines of a mapping or a list, an item a line."""
    at = len(start) - len(start.lstrip(" ")) if indent is None else indent
    inner = " " * (at + 2)
    if isinstance(value, Mapping):
        yield start
        for key, item in value.items():
            yield from _entry(f"{inner}{flow(str(key))}:", item)
    elif all(not isinstance(item, Mapping | list | tuple) for item in value):
        yield start
        yield from wrapped(f"{inner}[", value, "]")
    else:
        yield start
        for item in value:
            yield from _item(inner, item)


def _item(indent: str, item: Any) -> Iterator[str]:
    line = f"{indent}- {flow(item)}"
    if len(line) <= WIDTH or not isinstance(item, Mapping | list | tuple) or not item:
        yield line
    elif isinstance(item, Mapping):
        for number_, (key, value) in enumerate(item.items()):
            dash = "- " if number_ == 0 else "  "
            yield from _entry(f"{indent}{dash}{flow(str(key))}:", value, len(indent) + 2)
    else:
        yield from wrapped(f"{indent}- [", item, "]")


def wrapped(start: str, values: Sequence[Any], end: str) -> Iterator[str]:
    """Yield the lines of a list's values between two texts. Later lines begin below the first value."""
    line, indent = start, " " * len(start)
    for k, value in enumerate(values):
        piece = flow(value) + (", " if k + 1 < len(values) else end)
        if len(line) + len(piece.rstrip()) > WIDTH and len(line) > len(start):
            yield line.rstrip()
            line = indent
        line += piece
    yield line
