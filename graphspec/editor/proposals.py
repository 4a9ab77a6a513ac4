"""Edits that the hint of a diagnostic may mean. Not each of them solves it: ``fixes.py`` tries them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic
from graphspec.editor import edits, grammar
from graphspec.editor.analysis import Analysis
from graphspec.editor.nodes import Entry, Node
from graphspec.editor.places import Edit
from graphspec.editor.problems import place_of
from graphspec.editor.shapes import layer_entries
from graphspec.editor.syntax_proposals import syntax_edits
from graphspec.editor.value_proposals import Proposal, Target, changed_by, proposal, value_edits
from graphspec.language.schema_values import Schema, shown
from graphspec.language.tree import child_path

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
            renamed = edits.rename_key(analysis, entry, word)
            yield proposal(title, renamed, entry.path, path, written=path)
        elif entry.node.kind == "scalar" and (variable := re.search(r"in '(\$\{[^']*\})'$", message)):
            text = entry.node.text.replace(variable[1], f"${{{word}}}")
            yield proposal(f"replace it by '${{{word}}}'", edits.replace_word(analysis, entry.node, text), entry.path)
        elif entry.node.kind == "scalar":
            output = re.search(r":\d+$", entry.node.text)
            if output and ":" not in word:
                with_output = edits.replace_word(analysis, entry.node, word + output[0])
                yield proposal(title, with_output, *changed_by(entry))
            yield proposal(title, edits.replace_word(analysis, entry.node, word), *changed_by(entry))


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
                found += edits.set_key(analysis, node, match[1], match[2])
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
            edits.set_key(analysis, target.mapping, key, value),
            edits.set_below(analysis, below, key, value) if below is not None else [],
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
                yield proposal(f"write `{code}`", edits.replace_value(analysis, entry, value), entry.path)
            if entry is not None and target.is_key and entry.key == key:
                yield proposal(f"write `{code}`", edits.replace_value(analysis, entry, value), entry.path)
            if entry is not None and target.is_key and entry.node.kind == "scalar" and entry.key != key:
                both = [*edits.rename_key(analysis, entry, key), *edits.replace_value(analysis, entry, value)]
                if "write" in before or "use" in before:
                    path = child_path(entry.parent.path, key)
                    yield proposal(f"write `{code}`", both, entry.path, path, written=path)
            for holder in _mappings(analysis, target, diagnostic):
                if isinstance(holder, Entry):
                    found = edits.set_below(analysis, holder, key, value)
                    yield proposal(f"set `{code}`", found, holder.path)
                else:
                    yield proposal(
                        f"set `{code}`", edits.set_key(analysis, holder, key, value), child_path(holder.path, key)
                    )
            if key in grammar.document():
                yield proposal(f"add `{code}`", edits.set_key(analysis, analysis.root, key, value), key)
        elif entry is not None and not target.is_key and _is_value(entry, code, before):
            end = _end_of_torn(entry)
            found = edits.replace_value(analysis, entry, code) if end is None else [Edit(entry.node.start, end, code)]
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
        joined = [Edit(first.node.start, rest.end, edits.value_text(analysis, value))]
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
    return proposal(f"remove {name}", edits.remove(analysis, entry), *paths, written="\0")


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
        found = edits.insert_before(analysis, node.entry, item)
    elif inputs.node.kind == "scalar":
        item = f"{{name: {name}, type: Reshape, target_shape: {match[1]}, inputs: {inputs.node.text}}}"
        found = [*edits.insert_before(analysis, node.entry, item), *edits.replace_word(analysis, inputs.node, name)]
    else:
        return
    yield proposal(f"insert a Reshape to {match[1]}", found, node.entry.parent.path)


def _at_line(analysis: Analysis, diagnostic: Diagnostic) -> Node | None:
    """Return the entry of ``layers`` around the place of a diagnostic."""
    at = place_of(analysis, diagnostic).start
    return next((entry.node for entry in layer_entries(analysis) if entry.start <= at <= entry.end), None)
