"""Quick fixes: the hints of diagnostics as edits.

A hint is a sentence for people. :func:`proposals` reads edits out of it, and a few of them do not fit. An
edit is offered only if the text after it has been checked, and the diagnostic is gone.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic
from graphspec.editor import completion as grammar
from graphspec.editor.analysis import Analysis, place_of
from graphspec.editor.document import Edit, Entry, Node, applied
from graphspec.editor.hover import layer_entries
from graphspec.language.schema import Schema, shown
from graphspec.language.tree import child_path


# Edits of a spec that keep the form of the text around them: keys that are set, renamed or removed, values, new nodes.
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


# Edits that may repair the syntax of a text at the place where reading stopped.
_BARE_VARIABLE = re.compile(r"""(?<!["'$\w])\$\{[^}\r\n]*\}""")


def syntax_edits(analysis: Analysis, diagnostic: Diagnostic) -> Iterator[tuple[str, list[Edit]]]:
    """Yield edits with their titles."""
    hint, text = diagnostic.hint or "", analysis.text
    at = place_of(analysis, diagnostic).start
    line = text.line_of(at)
    start, content = text.starts[line], text.line_text(line)
    if "variable inside braces" in hint:
        found = [Edit(start + m.start(), start + m.end(), f'"{m[0]}"') for m in _BARE_VARIABLE.finditer(content)]
        yield "put quotes around the variable", found
    if "insert a comma" in hint:
        end = len(text.text[:at].rstrip())
        yield "insert a comma", [Edit(end, end, ",")]
        if match := re.search(r"close the '(.)' of line", hint):
            closing = {"{": "}", "[": "]"}.get(match[1], "")
            yield f"close the bracket with '{closing}'", [Edit(end, end, closing)]
    if "spaces, not with tabs" in hint:
        for size in (2, 4):
            found = []
            for begin, end in zip(text.starts, text.ends, strict=True):
                indent = re.match(r"[ \t]*", text.text[begin:end])
                if indent is not None and "\t" in indent[0]:
                    found.append(Edit(begin, begin + len(indent[0]), indent[0].replace("\t", " " * size)))
            yield "indent with spaces", found
    if "begins with this character" in hint or "begins with" in hint:
        rest = re.compile(r"[^,\]}\r\n#]*").match(text.text, at)
        word = "" if rest is None else rest[0].rstrip()
        yield "put quotes around it", [Edit(at, at + len(word), f'"{word}"')] if word else []
    if "contains ': '" in hint and (match := re.match(r"(\s*(?:- )?[\w.-]+:\s+)(\S.*?)\s*$", content)):
        begin = start + len(match[1])
        yield "put quotes around the text", [Edit(begin, begin + len(match[2]), f'"{match[2]}"')]
    if match := re.search(r"did you mean \*([^*?]+)\*\?", hint):
        alias = re.compile(r"\*[^\s,\[\]{}]+").match(text.text, at)
        yield f"replace it by '*{match[1]}'", [Edit(*alias.span(), f"*{match[1]}")] if alias else []


# Edits of a wrong value that a message or a hint names: another word or number, quotes, brackets, a name that is free.
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
    """Edits with a title."""

    title: str
    edits: tuple[Edit, ...]
    paths: tuple[str, ...]  # the values that they change
    written: str  # the value in which new mistakes would be the edits' own


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
            yield proposal(f"replace it by '{word}'", replace_word(analysis, kind.node, word), kind.path)
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
            yield proposal(f"write `{word}`", replace_value(analysis, entry, word), *changed_by(entry))
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
        yield proposal(f"rename it to '{free}'", rename_key(analysis, entry, free), entry.path, path)
    elif entry.node.kind == "scalar":
        yield proposal(f"rename it to '{free}'", replace_word(analysis, entry.node, free), *changed_by(entry))


# Edits that the hint of a diagnostic may mean. Not each of them solves it: ``fixes.py`` tries them.
_CODE = re.compile(r"`([^`]+)`")
_PAIR = re.compile(r"""["']?(\w+)["']?: (\S.*)""")
_ELSEWHERE = re.compile(r"; the value is set (at line \d+|elsewhere|by --set)$")


def proposals(analysis: Analysis, diagnostic: Diagnostic) -> Iterator[Proposal]:
    """Yield what the hint of a diagnostic may mean, the likely edits first."""
    hint = diagnostic.hint or ""
    if diagnostic.code == Code.UNREADABLE_DOCUMENT and "tag" not in hint:
        for title, found in syntax_edits(analysis, diagnostic):
            yield Proposal(title, tuple(found), ("",), "")
        return
    if _ELSEWHERE.search(hint):
        return
    target = _target(analysis, diagnostic)
    yield from _meant(analysis, target, diagnostic.message, hint)
    yield from _on_nodes(analysis, hint)
    yield from _missing(analysis, target, diagnostic)
    yield from _reshaped(analysis, diagnostic, hint)
    yield from _written(analysis, target, diagnostic, hint)
    yield from value_edits(analysis, target, diagnostic)
    yield from _removed(analysis, target, diagnostic, hint)


def _target(analysis: Analysis, diagnostic: Diagnostic) -> Target:
    """Return the entry at the place of a diagnostic."""
    start, root = place_of(analysis, diagnostic).start, analysis.root
    found: list[tuple[Entry, bool]] = []
    node = root
    while node.entries:
        entry = next((e for e in reversed(node.entries) if e.start <= start), None)
        if entry is None:
            break
        if entry.start == start:
            found.append((entry, True))
        if start in (entry.node.start, entry.anchor):
            found.append((entry, False))
        node = entry.node
    exact = [(entry, is_key) for entry, is_key in found if entry.path == diagnostic.path]
    if exact:
        entry, is_key = exact[-1]
        is_key = is_key and entry.key is not None
        return Target(entry, is_key, entry.node if entry.node.kind == "mapping" else entry.parent)
    for entry, _ in found:  # the first key of a mapping stands for all of it
        if entry.parent.path == diagnostic.path:
            return Target(entry.parent.entry, False, entry.parent)
    if found:
        entry, is_key = found[-1]
        return Target(entry, is_key and entry.key is not None, entry.parent)
    return Target(None, False, root)


# Other names


def _meant(analysis: Analysis, target: Target, message: str, hint: str) -> Iterator[Proposal]:
    """Yield the names that a wrong one probably stands for."""
    entry = target.entry
    if entry is None:
        return
    for match in re.finditer(r"did you mean ['`*]([^'`?]+)['`*]\?|for example '([^']+)'$", hint):
        word = match[1] or match[2]
        title = f"replace it by '{word}'"
        if target.is_key:
            path = child_path(entry.parent.path, word)
            renamed = rename_key(analysis, entry, word)
            yield proposal(title, renamed, entry.path, path, written=path)
        elif entry.node.kind == "scalar" and (variable := re.search(r"in '(\$\{[^']*\})'$", message)):
            text = entry.node.text.replace(variable[1], f"${{{word}}}")
            yield proposal(f"replace it by '${{{word}}}'", replace_word(analysis, entry.node, text), entry.path)
        elif entry.node.kind == "scalar":
            output = re.search(r":\d+$", entry.node.text)
            if output and ":" not in word:
                with_output = replace_word(analysis, entry.node, word + output[0])
                yield proposal(title, with_output, *changed_by(entry))
            yield proposal(title, replace_word(analysis, entry.node, word), *changed_by(entry))


# Keys


def _on_nodes(analysis: Analysis, hint: str) -> Iterator[Proposal]:
    """Yield ``set `key: value` on 'a' (line 7) and 'b' (line 9)``."""
    for match in re.finditer(r"set `(\w+): ([^`]+)` on ('[^']+'.*)", hint):
        nodes = list(re.finditer(r"'([^']+)'(?: \(line (\d+)\))?", match[3]))
        found: list[Edit] = []
        paths: list[str] = []
        for name, line in ((node[1], node[2]) for node in nodes):
            node = _layer(analysis, name, int(line) if line else None)
            if node is not None and not any(path.startswith(f"{node.path}.") for path in paths):
                found += set_key(analysis, node, match[1], match[2])
                paths.append(child_path(node.path, match[1]))
        if found:
            names = " and ".join(f"'{node[1]}'" for node in nodes)
            yield proposal(f"set `{match[1]}: {match[2]}` on {names}", found, *paths)


def _layer(analysis: Analysis, name: str, line: int | None) -> Node | None:
    """Return the entry of ``layers`` of a name, or the one at a line."""
    last = name.rpartition("/")[2].partition(":")[0]
    for entry in layer_entries(analysis):
        at = analysis.text.line_of(entry.node.start) + 1
        own = entry.node.scalar("name")
        if at == line or (line is None and own is not None and own in (last, re.sub(r"_\d+$", "", last))):
            return entry.node
    return None


def _missing(analysis: Analysis, target: Target, diagnostic: Diagnostic) -> Iterator[Proposal]:
    """Yield a key that is missing, with its default, an example, or the smallest value."""
    match = re.search(r"needs `(\w+)`", diagnostic.message)
    if diagnostic.code != Code.MISSING_KEY or match is None:
        return
    key, hint = match[1], diagnostic.hint or ""
    values = [pair[2] for code in _CODE.findall(hint) if (pair := _PAIR.fullmatch(code)) and pair[1] == key]
    if key == "name" and target.mapping is analysis.root:
        values.append(re.sub(r"[^\w.-]+", "_", Path(analysis.name).stem) or "network")
    schema = grammar.schema_at(target.mapping)
    if (field := grammar.fields(schema, target.mapping).get(key)) is not None:
        values += _examples(field.schema, key, analysis)
    for value in values:
        path = child_path(target.mapping.path, key)
        below = target.entry if target.entry is not None and target.entry.node.kind != "mapping" else None
        for found in (
            set_key(analysis, target.mapping, key, value),
            set_below(analysis, below, key, value) if below is not None else [],
        ):
            at = path if below is None or found[:1] == [] else child_path(below.path, key)
            yield proposal(f"add `{key}: {value}`", found, at, *([below.path] if below is not None else []))


def _examples(schema: Schema, key: str, analysis: Analysis) -> Iterator[str]:
    """Yield values that a schema accepts."""
    if "default" in schema:
        yield shown(schema["default"])
    if (kind := grammar.kind_of(schema)) is not None:
        yield grammar.KINDS[kind].example
    yield from (word for word in grammar.choices(schema) if word != "null")
    for member in grammar.members(schema):
        types = member.get("type", ())
        types = [types] if isinstance(types, str) else types
        if "integer" in types:
            yield str(max(member.get("minimum", 1), 1))
        if "number" in types:
            yield "0.5"
        if "array" in types:
            yield f"[{', '.join(['1'] * max(member.get('minItems', 1), 1))}]"
    names = [entry.node.scalar("name") for entry in layer_entries(analysis)]
    if key in ("inputs", "outputs", "layer"):
        yield from (name for name in reversed(names) if name)


def _mappings(analysis: Analysis, target: Target, diagnostic: Diagnostic) -> Iterator[Node | Entry]:
    """Yield the mappings, and the entries that may become mappings, in which a hint's key may belong."""
    entry = target.entry
    if entry is not None and entry.node.kind == "mapping":
        yield entry.node
        if entry.key == "outputs":
            yield from entry.node.entries[:1]
    elif entry is not None and not target.is_key:
        yield target.mapping
        yield entry
    elif entry is not None:
        yield entry
    yield target.mapping
    for node in diagnostic.nodes:
        layer = _layer(analysis, node.name, node.line)
        if layer is not None:
            yield layer
    above = target.mapping.parent
    while above is not None:
        if above.kind == "mapping" and above.entry is not None:
            yield above
            for key in ("loss", "optimizer"):
                if (sibling := above.find(key)) is not None:
                    yield sibling
        above = above.parent
    for key in ("loss", "optimizer"):
        if target.mapping.kind == "mapping" and (sibling := target.mapping.find(key)) is not None:
            yield sibling


def _written(analysis: Analysis, target: Target, diagnostic: Diagnostic, hint: str) -> Iterator[Proposal]:
    """Yield the code in backticks: ``key: value`` as a key of a mapping around the place, others as the value."""
    entry = target.entry
    for match in _CODE.finditer(hint):
        code, before = match[1], hint[: match.start()]
        if "…" in code or re.search(r"it is now $|instead of $|with $", before):
            continue
        if (pair := _PAIR.fullmatch(code)) is not None and code[0] not in "{[":
            key, value = pair[1], pair[2]
            if re.search(r"remove $", before) or (value[0] not in "{[" and re.search(r", \w+: ", value)):
                continue
            if "a comma ends the value" in before and entry is not None:
                yield from _joined(analysis, entry, key, value)
                continue
            if diagnostic.code == Code.NOTHING_TO_TRAIN and target.entry is not None:
                value = _loss_of(analysis, target.entry.node)
            if entry is not None and entry.key == key and not target.is_key:
                yield proposal(f"write `{code}`", replace_value(analysis, entry, value), entry.path)
            if entry is not None and target.is_key and entry.key == key:
                yield proposal(f"write `{code}`", replace_value(analysis, entry, value), entry.path)
            if entry is not None and target.is_key and entry.node.kind == "scalar" and entry.key != key:
                both = [*rename_key(analysis, entry, key), *replace_value(analysis, entry, value)]
                if "write" in before or "use" in before:
                    path = child_path(entry.parent.path, key)
                    yield proposal(f"write `{code}`", both, entry.path, path, written=path)
            for holder in _mappings(analysis, target, diagnostic):
                if isinstance(holder, Entry):
                    found = set_below(analysis, holder, key, value)
                    yield proposal(f"set `{code}`", found, holder.path)
                else:
                    yield proposal(f"set `{code}`", set_key(analysis, holder, key, value), child_path(holder.path, key))
            if key in grammar.document():
                yield proposal(f"add `{code}`", set_key(analysis, analysis.root, key, value), key)
        elif entry is not None and not target.is_key and _is_value(entry, code, before):
            end = _end_of_torn(entry)
            found = replace_value(analysis, entry, code) if end is None else [Edit(entry.node.start, end, code)]
            paths = [*changed_by(entry), entry.parent.path if entry.key is None or end is not None else entry.path]
            own = entry.path if entry.key == "type" else entry.parent.path
            yield proposal(f"write `{code}`", found, *paths, written=own)


def _end_of_torn(entry: Entry) -> int | None:
    """Return the end of ``(3, 3)`` in a mapping, which reads it as a value ``(3`` and a key ``3)``; None for others."""
    if entry.node.text[:1] != "(" or ")" in entry.node.text:
        return None
    following = entry.parent.entries[entry.index + 1 :]
    last = next((other for other in following if other.colon is not None or ")" in str(other.key)), None)
    return None if last is None or last.colon is not None else last.key_end


def _joined(analysis: Analysis, rest: Entry, key: str, value: str) -> Iterator[Proposal]:
    """Yield the number that a comma has divided, such as ``0,5``, into a value and a key."""
    first = rest.parent.find(key)
    if first is not None and first.node.kind == "scalar":
        joined = [Edit(first.node.start, rest.end, value_text(analysis, value))]
        yield proposal(f"write `{key}: {value}`", joined, first.path, rest.path)


def _is_value(entry: Entry, code: str, before: str) -> bool:
    """Return whether a hint means that the value of an entry is to be replaced by ``code``."""
    if not re.search(r"(write|use|such as|for example|brackets:|or|and|,|did you mean) $", before):
        return False
    known = grammar.fields(grammar.schema_at(entry.parent), entry.parent)
    if code in known:
        return False
    kind = entry.node.kind
    return kind in ("scalar", "empty") or (kind == "list" and code[0] == "[") or (kind == "mapping" and code[0] == "{")


# Entries


def _removed(analysis: Analysis, target: Target, diagnostic: Diagnostic, hint: str) -> Iterator[Proposal]:
    """Yield what a hint says to leave out, and keys that do not exist."""
    entry = target.entry
    for match in re.finditer(r"(?:remove|leave|drop) `(\w+)(?:: [^`]*)?`", hint):
        for holder in _mappings(analysis, target, diagnostic):
            found = holder.find(match[1]) if isinstance(holder, Node) else holder.node.find(match[1])
            if found is not None:
                yield _removal(analysis, found)
    for match in re.finditer(r"remove '([^']+)'", hint):
        layer = _layer(analysis, match[1], diagnostic.line)
        inputs = analysis.root.get("inputs")
        unused = layer.entry if layer is not None else inputs.find(match[1]) if inputs is not None else None
        if unused is not None:
            yield _removal(analysis, unused)
    if entry is None:
        return
    if "remove the tag" in hint and entry.anchor is not None:
        yield proposal("remove the tag", [Edit(entry.anchor, entry.node.start, "")], entry.path)
        return
    gone = re.search(r"leave it out|remove (it(?! from)|one of them)|beside `share`, only|write null, or leave", hint)
    if gone or diagnostic.code in (Code.UNKNOWN_KEY, Code.DUPLICATE_KEY) or _is_neutral(analysis, target):
        yield _removal(analysis, entry)


def _is_neutral(analysis: Analysis, target: Target) -> bool:
    """Return whether a key is no argument, only one that some values of are accepted for."""
    entry = target.entry
    if entry is None or entry.key is None or entry.parent.kind != "mapping":
        return False
    found = grammar.fields(grammar.schema_at(entry.parent), entry.parent)
    return bool(found) and (entry.key not in found or bool(found[entry.key].schema.get("doNotSuggest")))


def _removal(analysis: Analysis, entry: Entry) -> Proposal:
    name = f"`{entry.key}`" if entry.key is not None else f"'{entry.node.scalar('name') or entry.node.text or 'it'}'"
    paths = (entry.path,) if entry.key is not None else (entry.parent.path,)
    return proposal(f"remove {name}", remove(analysis, entry), *paths, written="\0")


def _loss_of(analysis: Analysis, outputs: Node) -> str:
    """Return a loss for the first head, by the activation of its node."""
    head = outputs.entries[0] if outputs.entries else None
    name = None if head is None else head.node.scalar("layer") or head.key
    node = None if name is None else _layer(analysis, name, None)
    activation = None if node is None else node.scalar("activation")
    losses = {"softmax": "sparse_categorical_crossentropy", "sigmoid": "binary_crossentropy"}
    return losses.get(activation or "", "mean_squared_error")


def _reshaped(analysis: Analysis, diagnostic: Diagnostic, hint: str) -> Iterator[Proposal]:
    """Yield a Reshape in front of a node: ``add a channel axis: a Reshape with `target_shape: [28, 28, 1]```."""
    match = re.search(r"a Reshape with `target_shape: (\[[^`…]+\])`", hint)
    node = None if match is None else _at_line(analysis, diagnostic)
    if match is None or node is None or node.entry is None:
        return
    inputs = node.find("inputs")
    used = {found.text for found in analysis.root.walk() if found.kind == "scalar"}
    name = next(
        f"{base}reshaped{k}" for base in ("",) for k in chain([""], range(2, 1000)) if f"reshaped{k}" not in used
    )
    if inputs is None:
        item = f"{{type: Reshape, target_shape: {match[1]}}}"
        found = insert_before(analysis, node.entry, item)
    elif inputs.node.kind == "scalar":
        item = f"{{name: {name}, type: Reshape, target_shape: {match[1]}, inputs: {inputs.node.text}}}"
        found = [*insert_before(analysis, node.entry, item), *replace_word(analysis, inputs.node, name)]
    else:
        return
    yield proposal(f"insert a Reshape to {match[1]}", found, node.entry.parent.path)


def _at_line(analysis: Analysis, diagnostic: Diagnostic) -> Node | None:
    """Return the entry of ``layers`` around the place of a diagnostic."""
    at = place_of(analysis, diagnostic).start
    return next((entry.node for entry in layer_entries(analysis) if entry.start <= at <= entry.end), None)


_TRIED = 12  # the most edits that are checked for one diagnostic
_TRIED_IF_LARGE = 3
_LARGE = 60_000  # characters of a text from which a check takes long: fewer edits are tried
_OFFERED = 3
_NEW_MISTAKES = (Code.UNREADABLE_DOCUMENT, Code.UNKNOWN_KEY, Code.WRONG_TYPE, Code.DUPLICATE_KEY, Code.MISSING_KEY)


@dataclass(frozen=True)
class Fix:
    """An edit after which a diagnostic is gone."""

    title: str  # what it does, as the editor's menu shows it
    edits: tuple[Edit, ...]
    paths: tuple[str, ...]  # the values that it changes, with all below them
    diagnostic: Diagnostic


def fixes(analysis: Analysis, diagnostic: Diagnostic) -> list[Fix]:
    """Return the fixes of a diagnostic of the spec, the best one first."""
    found: list[Fix] = analysis.memo(f"fixes {diagnostic!r}", lambda: _fixes(analysis, diagnostic))
    return found


def _fixes(analysis: Analysis, diagnostic: Diagnostic) -> list[Fix]:
    if diagnostic.file != analysis.name or diagnostic not in analysis.diagnostics:
        return []
    most = _TRIED_IF_LARGE if len(analysis.text.text) > _LARGE else _TRIED
    found: list[Fix] = []
    for proposal in _different(proposals(analysis, diagnostic), most):
        if _solves(analysis, diagnostic, proposal):
            found.append(Fix(proposal.title, proposal.edits, proposal.paths, diagnostic))
        if len(found) == _OFFERED:
            break
    return found


def _different(proposed: Iterable[Proposal], most: int) -> list[Proposal]:
    """Return the first proposals, each edit once."""
    found: dict[tuple[Edit, ...], Proposal] = {}
    for proposal in proposed:
        if proposal.edits and len(found) < most:
            found.setdefault(proposal.edits, proposal)
    return [*found.values()]


def _solves(analysis: Analysis, diagnostic: Diagnostic, proposal: Proposal) -> bool:
    """Return whether the diagnostic is gone after an edit, and nothing that it wrote is wrong."""
    text = applied(analysis.text.text, proposal.edits)
    after = Analysis(text, analysis.name)
    if text == analysis.text.text or (after.checked.spec is None and analysis.checked.spec is not None):
        return False
    if after.checked.spec is None and diagnostic.code == Code.UNREADABLE_DOCUMENT:
        return False
    same = [(found.code, found.message) for found in analysis.diagnostics]
    still = [(found.code, found.message) for found in after.diagnostics]
    if Counter(still)[diagnostic.code, diagnostic.message] >= Counter(same)[diagnostic.code, diagnostic.message]:
        return False
    here = [d for d in analysis.diagnostics if (d.code, d.path) == (diagnostic.code, diagnostic.path)]
    left = [d for d in after.diagnostics if (d.code, d.path) == (diagnostic.code, diagnostic.path)]
    if len(left) >= len(here):
        return False
    return not any(
        d.code in _NEW_MISTAKES and (d.code, d.message) not in same and _below(d.path, proposal.written)
        for d in after.diagnostics
    )


def _below(path: str, above: str) -> bool:
    return path == above or path.startswith(f"{above}.")
