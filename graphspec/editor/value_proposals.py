"""Edits of a wrong value that a message or a hint names: another word or number, quotes, brackets, a name that is free."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import NamedTuple

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic
from graphspec.editor import edits, grammar
from graphspec.editor.analysis import Analysis
from graphspec.editor.nodes import Entry, Node
from graphspec.editor.places import Edit
from graphspec.language.schema_values import shown
from graphspec.language.tree import child_path

_NUMBER = r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
_LIST = r"\[[^\]`…]*\]"
_LISTED = re.compile(r"(?:there are|the types are|use one of|the known names are|categories are) ([^;`]+)")
_WORDS = (
    re.compile(rf"\b({_NUMBER}) is the last"),
    re.compile(r"\b(?:use|write|or|and) (?:axis )?'?([A-Za-z_]\w+|-?\d+)'?(?=[,;:]| for| and|$)"),
    re.compile(rf"such as '?({_NUMBER}|{_LIST})'?"),
    re.compile(rf"(?:write|at most|below|to|first, or:?|values?:) ({_LIST})"),
    re.compile(rf"(?:at most|below|to|there are) ({_NUMBER})(?![\d.]*,)"),
    re.compile(r"or use ([A-Za-z_]\w+)"),
    re.compile(r"(?<=[ ,])'([\w,>.\[\]-]+)'(?= or|,|$)"),
)


class Proposal(NamedTuple):
    """Edits with a title.

    Attributes:
        paths: the values that they change.
        written: the value in which new mistakes would be the edits' own.
    """

    title: str
    edits: tuple[Edit, ...]
    paths: tuple[str, ...]
    written: str


class Target(NamedTuple):
    """The place of a diagnostic: an entry, and which part of it is wrong."""

    entry: Entry | None
    is_key: bool
    mapping: Node


def proposal(title: str, found: list[Edit], *paths: str, written: str | None = None) -> Proposal:
    """Return a proposal. Without ``written`` it is the first of the ``paths``."""
    return Proposal(title, tuple(found), paths, paths[0] if written is None else written)


def changed_by(entry: Entry) -> tuple[str, ...]:
    """Return the paths that a new value of an entry changes: a new ``name`` of an item changes that of the item."""
    if entry.key == "name" and entry.parent.entry is not None and entry.parent.entry.key is None:
        return entry.path, entry.parent.entry.parent.path
    return (entry.path,)


def value_edits(analysis: Analysis, target: Target, diagnostic: Diagnostic) -> Iterator[Proposal]:
    """Yield edits of the value at the place of a diagnostic."""
    entry, hint = target.entry, diagnostic.hint or ""
    if entry is None:
        return
    node, source = entry.node, analysis.text.text
    if match := re.search(r"use the layer's (\d)D form", hint):
        kind = entry.node.find("type") or target.mapping.find("type")
        if kind is not None:
            word = re.sub(r"\dD", f"{match[1]}D", kind.node.text)
            yield proposal(f"replace it by '{word}'", edits.replace_word(analysis, kind.node, word), kind.path)
    if "without quotes" in hint and node.kind == "scalar" and node.quote:
        yield proposal("write it without quotes", [Edit(node.start, node.end, node.text)], entry.path)
    if "put quotes around it" in hint:
        if target.is_key:
            quoted = [Edit(entry.start, entry.key_end, f'"{source[entry.start : entry.key_end]}"')]
            yield proposal("put quotes around it", quoted, entry.path)
        elif node.kind == "scalar":
            text = source[node.start : node.end]
            yield proposal("put quotes around it", [Edit(node.start, node.end, f'"{text}"')], *changed_by(entry))
    if "brackets" in hint and node.kind != "empty" and not target.is_key:
        brackets = [Edit(node.start, node.start, "["), Edit(node.end, node.end, "]")]
        yield proposal("put it into brackets", brackets, entry.path)
    if not target.is_key and node.kind in ("scalar", "list", "empty"):
        for word in dict.fromkeys(_words(target, diagnostic)):
            yield proposal(f"write `{word}`", edits.replace_value(analysis, entry, word), *changed_by(entry))
    if "rename one of them" in hint or "another name" in hint:
        yield from _numbered(analysis, target, entry)


def _words(target: Target, diagnostic: Diagnostic) -> Iterator[str]:
    """Yield words and numbers that a message or a hint names, and the default."""
    entry, hint, message = target.entry, diagnostic.hint or "", diagnostic.message
    assert entry is not None
    if match := re.search(rf"must be [<>]= ({_NUMBER})", message):
        yield match[1]
    if match := re.search(r"must be ((?:'[^']+'(?:, | or )?)+)", message):
        yield from _nearest(entry.node.text, re.findall(r"'([^']+)'", match[1]))
    if match := _LISTED.search(hint):
        yield from _nearest(entry.node.text, [word.strip(" '") for word in match[1].split(",")])
    for pattern in _WORDS:
        yield from (match[1] for match in pattern.finditer(hint))
    if "write null" in hint or ": null" in hint:
        yield "null"
    field = grammar.fields(grammar.schema_at(entry.parent), entry.parent).get(entry.key or "")
    wrong = diagnostic.code in (Code.WRONG_TYPE, Code.VALUE_NOT_ALLOWED) and "did you mean" not in hint
    if wrong and field is not None and field.schema.get("default") is not None:
        yield shown(field.schema["default"])
    if field is not None and "must be true or false" in message:
        yield "true"


def _nearest(word: str, known: list[str]) -> list[str]:
    """Return the names that are most like a word."""
    return sorted(known, key=lambda name: -SequenceMatcher(None, word.lower(), name.lower()).ratio())[:3]


def _numbered(analysis: Analysis, target: Target, entry: Entry) -> Iterator[Proposal]:
    """Yield a name with a number, which no other has."""
    name = str(entry.key) if target.is_key else entry.node.text
    used = {node.text for node in analysis.root.walk() if node.kind == "scalar"}
    free = next(f"{name}_{k}" for k in range(2, 1000) if f"{name}_{k}" not in used)
    if target.is_key:
        path = child_path(entry.parent.path, free)
        yield proposal(f"rename it to '{free}'", edits.rename_key(analysis, entry, free), entry.path, path)
    elif entry.node.kind == "scalar":
        yield proposal(f"rename it to '{free}'", edits.replace_word(analysis, entry.node, free), *changed_by(entry))
