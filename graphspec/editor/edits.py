"""Edits of a spec that keep the form of the text around them: keys that are set, renamed or removed, values, new nodes."""

from __future__ import annotations

import json

from graphspec.editor.analysis import Analysis
from graphspec.editor.nodes import Entry, Node
from graphspec.editor.places import Edit


def value_text(analysis: Analysis, text: str) -> str:
    """Return a value in YAML's flow style as this document writes it: as JSON in a JSON file."""
    if not analysis.is_json:
        return text
    from graphspec.language.read import read_value

    return json.dumps(read_value(text, "").plain(), ensure_ascii=False)


def key_text(analysis: Analysis, key: str) -> str:
    """Return a key as this document writes it."""
    return json.dumps(key) if analysis.is_json else key


def set_key(analysis: Analysis, mapping: Node, key: str, value: str) -> list[Edit]:
    """Return the edits after which a mapping has ``key: value``; an empty list if there is no place for it."""
    found = mapping.find(key)
    if mapping.kind != "mapping":
        return []
    if found is not None:
        return replace_value(analysis, found, value)
    pair = f"{key_text(analysis, key)}: {value_text(analysis, value)}"
    if mapping.flow:
        if not mapping.entries:
            return [Edit(mapping.start + 1, mapping.start + 1, pair)]
        last = mapping.entries[-1]
        lines = analysis.text.line_of(mapping.start) != analysis.text.line_of(mapping.end)
        if lines and len(mapping.entries) > 1 and _begins_line(analysis, last.start):
            column = analysis.text.column_of(last.start)
            return [Edit(last.end, last.end, f",\n{' ' * column}{pair}")]
        return [Edit(last.end, last.end, f", {pair}")]
    if not mapping.entries:
        return []
    end = analysis.text.ends[analysis.text.line_of(mapping.entries[-1].end)]
    return [Edit(end, end, f"\n{' ' * mapping.column}{pair}")]


def set_below(analysis: Analysis, entry: Entry, key: str, value: str) -> list[Edit]:
    """Return the edits after which the value of an entry is a mapping with ``key: value``.

    A value that is missing becomes this mapping. A word becomes the ``type`` of it: ``{type: word, key: value}``.
    """
    node = entry.node
    if node.kind == "mapping":
        return set_key(analysis, node, key, value)
    pair = f"{key_text(analysis, key)}: {value_text(analysis, value)}"
    if node.kind == "empty" or (node.kind == "scalar" and node.text in ("null", "~") and not node.quote):
        return _write(entry, f"{{{pair}}}")
    if node.kind != "scalar" or node.quote == "|":
        return []
    word = analysis.text.text[node.start : node.end]
    return _write(entry, f"{{{key_text(analysis, 'type')}: {word}, {pair}}}")


def replace_value(analysis: Analysis, entry: Entry, value: str) -> list[Edit]:
    """Return the edits after which an entry has another value, in YAML's flow style."""
    node = entry.node
    if node.kind in ("mapping", "list") and not node.flow:
        return []
    return _write(entry, value_text(analysis, value))


def _write(entry: Entry, text: str) -> list[Edit]:
    node = entry.node
    if node.kind != "empty":
        return [Edit(node.start, node.end, text)]
    if entry.colon is None:
        return []
    return [Edit(entry.colon, max(entry.colon, node.end), f" {text}")]


def replace_word(analysis: Analysis, node: Node, word: str) -> list[Edit]:
    """Return the edits after which a scalar is another text, in the same quotes."""
    if node.kind != "scalar" or node.quote == "|":
        return []
    return [Edit(*node.inner, word)]


def rename_key(analysis: Analysis, entry: Entry, key: str) -> list[Edit]:
    """Return the edits after which an entry has another key, in the same quotes."""
    if entry.key is None:
        return []
    quoted = analysis.text.text[entry.start] in "\"'"
    return [Edit(entry.start + quoted, entry.key_end - quoted, key)]


def remove(analysis: Analysis, entry: Entry) -> list[Edit]:
    """Return the edits that remove an entry with its comma or its lines."""
    parent, text = entry.parent, analysis.text
    entries = parent.entries
    position = next(k for k, other in enumerate(entries) if other is entry)
    following = entries[position + 1] if position + 1 < len(entries) else None
    if parent.flow:
        if following is not None:
            return [Edit(entry.start, following.start, "")]
        start = entries[position - 1].end if position else entry.start
        return [Edit(start, entry.end, "")]
    if len(entries) == 1:
        return []
    first, last = text.line_of(entry.start), text.line_of(entry.end)
    if not _begins_line(analysis, entry.start):  # it stands after a dash
        return [] if following is None else [Edit(entry.start, following.start, "")]
    if last + 1 < len(text.starts):
        return [Edit(text.starts[first], text.starts[last + 1], "")]
    return [Edit(text.ends[first - 1] if first else 0, text.ends[last], "")]


def insert_before(analysis: Analysis, entry: Entry, item: str) -> list[Edit]:
    """Return the edits that put an item in front of an item of a list."""
    if entry.parent.flow:
        return [Edit(entry.start, entry.start, f"{value_text(analysis, item)}, ")]
    column = analysis.text.column_of(entry.start)
    start = analysis.text.starts[analysis.text.line_of(entry.start)]
    return [Edit(start, start, f"{' ' * column}- {item}\n")]


def _begins_line(analysis: Analysis, offset: int) -> bool:
    """Return whether only space precedes an offset in its line."""
    start = analysis.text.starts[analysis.text.line_of(offset)]
    return not analysis.text.text[start:offset].strip()
