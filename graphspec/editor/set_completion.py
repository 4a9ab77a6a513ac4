"""What ``--set`` may name in a spec: the paths of keys, also of those that the spec lacks, and their values."""

from __future__ import annotations

from collections.abc import Iterator

from graphspec.editor.analysis import Analysis, Cursor
from graphspec.editor.completion import KINDS, child, fields, kind_of, schema_at, values
from graphspec.editor.document import Entry, Node, Span
from graphspec.engine.compiler.check import Checked
from graphspec.language.override import created, item_names, object_of
from graphspec.language.schema import Schema, first_sentence


def complete_set(text: str, name: str, written: str) -> list[tuple[str, str]]:
    """Return how ``--set`` may go on after ``written`` in a spec: whole words with their meanings.

    A word ends with ``.`` before more keys, with ``=`` before a value, or it is complete. ``text`` may be a broken spec, and
    ``name`` is the path of its file.
    """
    analysis = Analysis(text, name)
    analysis.known = Checked(None, None)  # shapes are not shown: the network is not compiled
    path, equals, _ = written.partition("=")
    node, rest = analysis.root, path
    while (key := max((k for k in _keys(node) if rest.startswith(f"{k}.")), key=len, default=None)) is not None:
        node, rest = _below(node, key), rest[len(key) + 1 :]
    start = f"{path}=" if equals else path[: len(path) - len(rest)]
    found = _values(analysis, node, rest) if equals else _words(node, rest)
    return [(f"{start}{word}", first_sentence(about)) for word, about in found if f"{start}{word}".startswith(written)]


def _keys(node: Node) -> dict[str, tuple[Schema, Entry | None]]:
    """Return what a path may name in a mapping or a list, with schema, and entry if it is written."""
    entries = {e.key: e for e in node.entries if e.key is not None}
    if node.kind == "list":
        items = [entry.node for entry in node.entries]
        types = [item.value if isinstance(item.value, str) else item.scalar("type") for item in items]
        places = item_names([(kind, item.scalar("name")) for kind, item in zip(types, items, strict=True)])
        entries = {
            key: node.entries[k] for k, key in {k: key for key, k in places.items()}.items()
        }  # no index if named
    schema = schema_at(node)
    known = {key: field.schema for key, field in fields(schema, node).items() if not field.schema.get("doNotSuggest")}
    return {k: (s, None) for k, s in known.items()} | {k: (child(schema, e) or {}, e) for k, e in entries.items()}


def _object(node: Node, key: str) -> str | None:
    """Return the type of the object that a longer path makes of a short form, or of a key that is not written.

    An empty text is a mapping without a type; None: a longer path leads nowhere.
    """
    schema, entry = _keys(node)[key]
    if entry is not None and entry.node.kind == "scalar":
        kind = kind_of(schema) if key != "type" else None
        return entry.node.text if kind is not None and entry.node.text in KINDS[kind].names() else None
    made = created(object_of(node.scalar("type") or ""), [step.key or "" for step in node.steps()], key, ())
    return None if made is None else made.text("type") or ""


def _below(node: Node, key: str) -> Node:
    """Return the mapping or list of a key; of a short form, or of a key that is not written, the one that is made."""
    _, entry = _keys(node)[key]
    if entry is not None and entry.node.kind in ("mapping", "list"):
        return entry.node
    made, inner = _object(node, key), Node("mapping", 0, 0)
    (entry or Entry(node, key, 0, 0)).put(inner)
    if made:
        Entry(inner, "type", 0, 0).put(Node("scalar", 0, 0, text=made))
    return inner


def _words(node: Node, rest: str) -> Iterator[tuple[str, str]]:
    for key, (schema, entry) in _keys(node).items():
        if key.startswith(rest):
            has_keys = entry is not None and entry.node.kind in ("mapping", "list")
            made = "" if has_keys else _object(node, key)
            about = str(schema.get("description") or (entry and entry.node.scalar("type")) or "")
            yield from [(f"{key}.", about)] * (made is not None)
            yield from [(f"{key}=", about)] * (made != "" or kind_of(schema) is not None)


def _values(analysis: Analysis, node: Node, key: str) -> Iterator[tuple[str, str]]:
    entry = _keys(node).get(key, ({}, None))[1] or Entry(node, key, 0, 0)
    items = {i.label: i.text or i.detail for i in values(analysis, Cursor("value", node, entry, Span(0, 0)))}
    now = {entry.node.text: "as it is"} if entry.node.kind == "scalar" and entry.node.text else {}
    yield from (now | items).items()
