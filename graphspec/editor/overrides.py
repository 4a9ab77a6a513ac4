"""What ``--set`` may name in a spec: the paths of keys, also of those that the spec lacks, and their values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from graphspec.editor.analysis import Analysis, Cursor
from graphspec.editor.completion import KINDS, child, fields, kind_of, schema_at, values
from graphspec.editor.document import Entry, Node, Span
from graphspec.engine.compiler.check import Checked
from graphspec.language.override import created, item_names, object_of
from graphspec.language.schema import Schema, first_sentence

_HERE = Span(0, 0)
_PLAIN = re.compile(r"[\w./:=+-]+")  # what every shell takes as it is


class _Key(NamedTuple):
    """What a path may name in a mapping or a list."""

    schema: Schema
    entry: Entry | None  # None if it is not written


def overrides(text: str, name: str, written: str) -> list[tuple[str, str]]:
    """Return how ``--set`` may go on after ``written`` in a spec: whole words with their meanings.

    A word ends with ``.`` before more keys, with ``=`` before a value, or it is complete. ``text`` may be a broken spec, and
    ``name`` is the path of its file. Words that a shell would not take as they are, such as names with spaces, are left out.
    """
    analysis = Analysis(text, name)
    analysis.known = Checked(None, None)  # shapes are not shown: the network is not compiled
    path, equals, _ = written.partition("=")
    node, rest = analysis.root, path
    while (key := max((k for k in _keys(node) if rest.startswith(f"{k}.")), key=len, default=None)) is not None:
        node, rest = _below(node, key), rest[len(key) + 1 :]
    start = f"{path}=" if equals else path[: len(path) - len(rest)]
    found = _values(analysis, node, rest) if equals else _words(node, rest)
    words = {f"{start}{word}": about for word, about in found}
    return [(w, first_sentence(words[w])) for w in words if w.startswith(written) and _PLAIN.fullmatch(w)]


def _keys(node: Node) -> dict[str, _Key]:
    known = fields(schema_at(node), node)
    keys = {key: _Key(field.schema, None) for key, field in known.items() if not field.schema.get("doNotSuggest")}
    if node.kind != "list":
        return keys | {e.key: _Key(child(schema_at(node), e) or {}, e) for e in node.entries if e.key is not None}
    items = [entry.node for entry in node.entries]
    types = [item.value if isinstance(item.value, str) else item.scalar("type") for item in items]
    places = item_names([(kind, item.scalar("name")) for kind, item in zip(types, items, strict=True)])
    named = {k: key for key, k in places.items()}  # a name or a type instead of the index
    return {named[k]: _Key(child(schema_at(node), entry) or {}, entry) for k, entry in enumerate(node.entries)}


def _object(node: Node, key: str) -> str | None:
    """Return the type of the object that a longer path makes of a short form, or of a key that is not written.

    An empty text is a mapping without a type; None: a longer path leads nowhere.
    """
    schema, entry = _keys(node)[key]
    path, kind = [step.key or "" for step in node.steps()], kind_of(schema)
    if entry is not None and entry.node.kind == "scalar":
        is_name = kind is not None and key != "type" and entry.node.text in KINDS[kind].names()
        return entry.node.text if is_name else None
    made = created(object_of(node.scalar("type") or ""), path, key, ())
    return None if made is None else made.text("type") or ""


def _below(node: Node, key: str) -> Node:
    """Return the mapping or list of a key; of a short form, or of a key that is not written, the one that is made."""
    entry = _keys(node)[key].entry
    if entry is not None and entry.node.kind in ("mapping", "list"):
        return entry.node
    made, inner = _object(node, key), Node("mapping", 0, 0)
    (entry or Entry(node, key, 0, 0)).put(inner)
    if made:
        Entry(inner, "type", 0, 0).put(Node("scalar", 0, 0, text=made))
    return inner


def _words(node: Node, rest: str) -> Iterator[tuple[str, str]]:
    for key, (schema, entry) in _keys(node).items():
        if not key.startswith(rest):
            continue
        has_keys = entry is not None and entry.node.kind in ("mapping", "list")
        made = "" if has_keys else _object(node, key)
        about = str(schema.get("description") or (entry and entry.node.scalar("type")) or "")
        if made is not None:
            yield f"{key}.", about
        if made or made is None or kind_of(schema) is not None:
            yield f"{key}=", about


def _values(analysis: Analysis, node: Node, key: str) -> Iterator[tuple[str, str]]:
    known = _keys(node).get(key)
    entry = known.entry if known is not None and known.entry is not None else Entry(node, key, 0, 0)
    if entry.node.kind == "scalar" and entry.node.text:
        yield entry.node.text, "as it is"
    yield from (
        (item.label, item.text or item.detail) for item in values(analysis, Cursor("value", node, entry, _HERE))
    )
