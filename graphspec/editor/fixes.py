"""Quick fixes: the hints of diagnostics as edits.

A hint is a sentence for people. :class:`_Repair` reads edits out of it, and a few of them do not fit. An
edit is offered only if the text after it has been checked, and the diagnostic is gone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from graphspec.base.errors import Code, Diagnostic
from graphspec.editor import completion as grammar
from graphspec.editor.analysis import Analysis, place_of
from graphspec.editor.document import Edit, Entry, Node, Text, applied, parse
from graphspec.editor.hover import layer_entries
from graphspec.language.read import read_value
from graphspec.language.schema import Schema, shown
from graphspec.language.tree import child_path

_TRIED = 12  # the most edits that are checked for one diagnostic
_TRIED_IF_LARGE = 3
_LARGE = 60_000  # characters of a text from which a check takes long: fewer edits are tried
_OFFERED = 3
_NEW_MISTAKES = (Code.UNREADABLE_DOCUMENT, Code.UNKNOWN_KEY, Code.WRONG_TYPE, Code.DUPLICATE_KEY, Code.MISSING_KEY)


class Fix(NamedTuple):
    """Edits that may solve a diagnostic."""

    title: str  # what they do, as the editor's menu shows it
    edits: tuple[Edit, ...]
    paths: tuple[str, ...]  # the values that they change, with all below them
    written: str  # the value in which new mistakes would be the edits' own


def fixes(analysis: Analysis, diagnostic: Diagnostic) -> list[Fix]:
    """Return the edits after which a diagnostic of the spec is gone, the best ones first."""
    return analysis.memo(f"fixes {diagnostic!r}", lambda: _fixes(analysis, diagnostic))


def _fixes(analysis: Analysis, diagnostic: Diagnostic) -> list[Fix]:
    if diagnostic.file != analysis.name or diagnostic not in analysis.diagnostics:
        return []
    most = _TRIED_IF_LARGE if len(analysis.text.text) > _LARGE else _TRIED
    tried: dict[tuple[Edit, ...], Fix] = {}
    for fix in _Repair(analysis, diagnostic).all():
        if fix.edits and len(tried) < most:
            tried.setdefault(fix.edits, fix)
    return [*islice((fix for fix in tried.values() if _solves(analysis, diagnostic, fix)), _OFFERED)]


def _solves(analysis: Analysis, diagnostic: Diagnostic, fix: Fix) -> bool:
    """Return whether the diagnostic is gone after an edit, and nothing that it wrote is wrong."""
    text = applied(analysis.text.text, fix.edits)
    after = Analysis(text, analysis.name)
    if text == analysis.text.text or (after.checked.spec is None and analysis.checked.spec is not None):
        return False
    if after.checked.spec is None and diagnostic.code == Code.UNREADABLE_DOCUMENT:
        return False
    said = attrgetter("code", "message")
    for of in (said, attrgetter("code", "path")):
        count, left = ([of(d) for d in one.diagnostics].count(of(diagnostic)) for one in (analysis, after))
        if left >= count:
            return False
    before = {said(d) for d in analysis.diagnostics}
    new = [d.path for d in after.diagnostics if d.code in _NEW_MISTAKES and said(d) not in before]
    return not any(path == fix.written or path.startswith(f"{fix.written}.") for path in new)


def _fix(title: str, edits: list[Edit], *paths: str, written: str | None = None) -> Fix:
    """Return a fix. Without ``written`` it is the first of the ``paths``."""
    return Fix(title, tuple(edits), paths, paths[0] if written is None else written)


class _Writer:
    """Edits of a document that keep the form of the text around them; none where there is no place for them."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis, self.root, self.text, self.source = analysis, analysis.root, analysis.text, analysis.text.text

    def value(self, text: str) -> str:
        """Return a value in YAML's flow style as this document writes it: as JSON in a JSON file."""
        if not self.analysis.is_json:
            return text
        return json.dumps(read_value(text, "").plain(), ensure_ascii=False)

    def key(self, key: str) -> str:
        return json.dumps(key) if self.analysis.is_json else key

    def set_key(self, mapping: Node, key: str, value: str) -> list[Edit]:
        if mapping.kind != "mapping":
            return []
        if (entry := mapping.find(key)) is not None:
            return self.set_value(entry, value)
        pair = f"{self.key(key)}: {self.value(value)}"
        if not mapping.entries:
            return [Edit(mapping.start + 1, mapping.start + 1, pair)] if mapping.flow else []
        last, line_of = mapping.entries[-1], self.text.line_of
        if not mapping.flow:
            end = self.text.ends[line_of(last.end)]
            return [Edit(end, end, f"\n{' ' * mapping.column}{pair}")]
        in_lines = line_of(mapping.start) != line_of(mapping.end) and len(mapping.entries) > 1
        space = f"\n{' ' * self.text.column_of(last.start)}" if in_lines and self._begins_line(last.start) else " "
        return [Edit(last.end, last.end, f",{space}{pair}")]

    def set_below(self, entry: Entry, key: str, value: str) -> list[Edit]:
        """Return the edits after which the value of an entry is a mapping with ``key: value``.

        A value that is missing becomes this mapping. A word becomes the ``type`` of it: ``{type: word, key: value}``.
        """
        node = entry.node
        if node.kind == "mapping":
            return self.set_key(node, key, value)
        pair = f"{self.key(key)}: {self.value(value)}"
        if node.kind == "empty" or (node.kind == "scalar" and node.text in ("null", "~") and not node.quote):
            return _written(entry, f"{{{pair}}}")
        if node.kind != "scalar" or node.quote == "|":
            return []
        return _written(entry, f"{{{self.key('type')}: {self.source[node.start : node.end]}, {pair}}}")

    def set_value(self, entry: Entry, value: str) -> list[Edit]:
        """Return the edits after which an entry has another value, in YAML's flow style."""
        in_lines = entry.node.kind in ("mapping", "list") and not entry.node.flow
        return [] if in_lines else _written(entry, self.value(value))

    def rename(self, entry: Entry, key: str) -> list[Edit]:
        """Return the edits after which an entry has another key, in the same quotes."""
        quoted = entry.key is not None and self.source[entry.start] in "\"'"
        return [] if entry.key is None else [Edit(entry.start + quoted, entry.key_end - quoted, key)]

    def remove(self, entry: Entry) -> list[Edit]:
        entries, position, text = entry.parent.entries, entry.index, self.text
        following = entries[position + 1] if position + 1 < len(entries) else None
        if entry.parent.flow:
            if following is not None:
                return [Edit(entry.start, following.start, "")]
            return [Edit(entries[position - 1].end if position else entry.start, entry.end, "")]
        if len(entries) == 1:
            return []
        if not self._begins_line(entry.start):  # it stands after a dash
            return [] if following is None else [Edit(entry.start, following.start, "")]
        first, last = text.line_of(entry.start), text.line_of(entry.end)
        if last + 1 < len(text.starts):
            return [Edit(text.starts[first], text.starts[last + 1], "")]
        return [Edit(text.ends[first - 1] if first else 0, text.ends[last], "")]

    def insert_before(self, entry: Entry, item: str) -> list[Edit]:
        if entry.parent.flow:
            return [Edit(entry.start, entry.start, f"{self.value(item)}, ")]
        start = self.text.starts[self.text.line_of(entry.start)]
        return [Edit(start, start, f"{' ' * self.text.column_of(entry.start)}- {item}\n")]

    def _begins_line(self, offset: int) -> bool:
        """Return whether only space precedes an offset in its line."""
        return not self.source[self.text.starts[self.text.line_of(offset)] : offset].strip()


def _written(entry: Entry, text: str) -> list[Edit]:
    node = entry.node
    if node.kind != "empty":
        return [Edit(node.start, node.end, text)]
    return [] if entry.colon is None else [Edit(entry.colon, max(entry.colon, node.end), f" {text}")]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _replaced(node: Node, word: str) -> list[Edit]:
    """Return the edits after which a scalar is another text, in the same quotes."""
    return [Edit(*node.inner, word)] if node.kind == "scalar" and node.quote != "|" else []


def _changed_by(entry: Entry) -> tuple[str, ...]:
    """Return the paths that a new value of an entry changes: a new ``name`` of an item changes that of the item."""
    if entry.key == "name" and entry.parent.entry is not None and entry.parent.entry.key is None:
        return entry.path, entry.parent.entry.parent.path
    return (entry.path,)


_MEANT = re.compile(r"did you mean ['`*]([^'`?]+)['`*]\?|for example '([^']+)'$|^write `([^`]+)`; `graphspec upgrade`")
_CODE = re.compile(r"`([^`]+)`")
_PAIR = re.compile(r"""["']?(\w+)["']?: (\S.*)""")
_ELSEWHERE = re.compile(r"; the value is set (at line \d+|elsewhere|by --set)$")
_BARE_VARIABLE = re.compile(r"""(?<!["'$\w])\$\{[^}\r\n]*\}""")
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
_LOSSES = {"softmax": "sparse_categorical_crossentropy", "sigmoid": "binary_crossentropy"}  # by activation


class _Repair(_Writer):
    """Edits that the hint of a diagnostic may mean. Not each of them solves it: :func:`fixes` tries them."""

    def __init__(self, analysis: Analysis, diagnostic: Diagnostic) -> None:
        super().__init__(analysis)
        self.diagnostic, self.message, self.hint = diagnostic, diagnostic.message, diagnostic.hint or ""
        self.at = place_of(analysis, diagnostic).start
        self.entry, self.is_key, self.mapping = self._target()  # which part of the entry is wrong

    def all(self) -> Iterator[Fix]:
        """Yield what the hint may mean, the likely edits first."""
        if self.diagnostic.code == Code.UNREADABLE_DOCUMENT and "tag" not in self.hint:
            for title, edits in self._syntax():
                yield Fix(title, tuple(edits), ("",), "")
        elif not _ELSEWHERE.search(self.hint):
            yield from self._meant()
            yield from self._on_nodes()
            yield from self._missing()
            yield from self._reshaped()
            yield from self._of_code()
            yield from self._values()
            yield from self._removed()

    def _target(self) -> tuple[Entry | None, bool, Node]:
        """Return the entry at the place of the diagnostic, whether it is the key, and the mapping."""
        start, path = self.at, self.diagnostic.path
        found: list[tuple[Entry, bool]] = []
        node = self.root
        while node.entries:
            entry = next((e for e in reversed(node.entries) if e.start <= start), None)
            if entry is None:
                break
            if entry.start == start:
                found.append((entry, entry.key is not None))
            if start in (entry.node.start, entry.anchor):
                found.append((entry, False))
            node = entry.node
        exact = [(entry, is_key) for entry, is_key in found if entry.path == path]
        if exact:
            entry, is_key = exact[-1]
            return entry, is_key, entry.node if entry.node.kind == "mapping" else entry.parent
        for entry, _ in found:  # the first key of a mapping stands for all of it
            if entry.parent.path == path:
                return entry.parent.entry, False, entry.parent
        return (*found[-1], found[-1][0].parent) if found else (None, False, self.root)

    # The syntax, at the place where reading stopped.

    def _syntax(self) -> Iterator[tuple[str, list[Edit]]]:
        hint, text, at = self.hint, self.text, self.at
        line = text.line_of(at)
        start, content = text.starts[line], text.line_text(line)
        if "variable inside braces" in hint:
            found = [Edit(start + m.start(), start + m.end(), f'"{m[0]}"') for m in _BARE_VARIABLE.finditer(content)]
            yield "put quotes around the variable", found
        if "insert a comma" in hint:
            begins = re.fullmatch(r"\s*(-\s*|[\w.-]+)", self.source[start:at])  # the next item, or the next key
            end = len(self.source[: at if begins is None else start].rstrip())
            yield "insert a comma", [Edit(end, end, ",")]
            if match := re.search(r"close the '(.)' of line", hint):
                closing = {"{": "}", "[": "]"}.get(match[1], "")
                yield f"close the bracket with '{closing}'", [Edit(end, end, closing)]
        if "spaces, not with tabs" in hint:
            tabs = [*re.finditer(r"(?<![^\r\n]) *\t[ \t]*", self.source)]  # indents with a tab
            for size in (2, 4):
                found = [Edit(*m.span(), m[0].replace("\t", " " * size)) for m in tabs]
                yield "indent with spaces", found
        if "begins with" in hint:
            rest = re.compile(r"[^,\]}\r\n#]*").match(self.source, at)
            word = "" if rest is None else rest[0].rstrip()
            yield "put quotes around it", [Edit(at, at + len(word), _quoted(word))] if word else []
        if "contains ': '" in hint and (match := re.match(r"(\s*(?:- )?[\w.-]+:\s+)(\S.*?)(?:\s+#.*)?\s*$", content)):
            begin = start + len(match[1])
            yield "put quotes around the text", [Edit(begin, begin + len(match[2]), _quoted(match[2]))]
        if match := re.search(r"did you mean \*([^*?]+)\*\?", hint):
            alias = re.compile(r"\*[^\s,\[\]{}]+").match(self.source, at)
            yield f"replace it by '*{match[1]}'", [Edit(*alias.span(), f"*{match[1]}")] if alias else []

    # Other names and values

    def _meant(self) -> Iterator[Fix]:
        """Yield the names that a wrong one probably stands for."""
        if (entry := self.entry) is None:
            return
        for match in _MEANT.finditer(self.hint):
            word = match[1] or match[2] or match[3]
            title = f"replace it by '{word}'"
            if self.is_key:
                path = child_path(entry.parent.path, word)
                yield _fix(title, self.rename(entry, word), entry.path, path, written=path)
            elif entry.node.kind == "scalar" and (variable := re.search(r"in '(\$\{[^']*\})'$", self.message)):
                text = entry.node.text.replace(variable[1], f"${{{word}}}")
                yield _fix(f"replace it by '${{{word}}}'", _replaced(entry.node, text), entry.path)
            elif entry.node.kind == "scalar":
                output = re.search(r":\d+$", entry.node.text)
                if output and ":" not in word:
                    whole = word + output[0]
                    yield _fix(f"replace it by '{whole}'", _replaced(entry.node, whole), *_changed_by(entry))
                yield _fix(title, _replaced(entry.node, word), *_changed_by(entry))

    def _values(self) -> Iterator[Fix]:
        """Yield a value that the message or the hint names: another word or number, quotes, brackets, a free name."""
        if (entry := self.entry) is None:
            return
        node, hint = entry.node, self.hint
        if match := re.search(r"use the layer's (\d)D form", hint):
            kind = node.find("type") or self.mapping.find("type")
            if kind is not None:
                word = re.sub(r"\dD", f"{match[1]}D", kind.node.text)
                yield _fix(f"replace it by '{word}'", _replaced(kind.node, word), kind.path)
        if "without quotes" in hint and node.kind == "scalar" and node.quote:
            yield _fix("write it without quotes", [Edit(node.start, node.end, node.text)], entry.path)
        if "put quotes around it" in hint and (self.is_key or node.kind == "scalar"):
            start, end = (entry.start, entry.key_end) if self.is_key else (node.start, node.end)
            paths = (entry.path,) if self.is_key else _changed_by(entry)
            yield _fix("put quotes around it", [Edit(start, end, f'"{self.source[start:end]}"')], *paths)
        if "brackets" in hint and node.kind != "empty" and not self.is_key:
            brackets = [Edit(node.start, node.start, "["), Edit(node.end, node.end, "]")]
            yield _fix("put it into brackets", brackets, entry.path)
        if not self.is_key and node.kind in ("scalar", "list", "empty"):
            for word in dict.fromkeys(self._words(entry)):
                yield _fix(f"write `{word}`", self.set_value(entry, word), *_changed_by(entry))
        if "rename one of them" in hint or "another name" in hint:
            yield from self._numbered(entry)

    def _words(self, entry: Entry) -> Iterator[str]:
        """Yield words and numbers that the message or the hint names, and the default."""
        if match := re.search(rf"must be [<>]= ({_NUMBER})", self.message):
            yield match[1]
        if match := re.search(r"must be ((?:'[^']+'(?:, | or )?)+)", self.message):
            yield from _nearest(entry.node.text, re.findall(r"'([^']+)'", match[1]))
        if match := _LISTED.search(self.hint):
            yield from _nearest(entry.node.text, [word.strip(" '") for word in match[1].split(",")])
        for pattern in _WORDS:
            yield from (match[1] for match in pattern.finditer(self.hint))
        if "write null" in self.hint or ": null" in self.hint:
            yield "null"
        field = _fields(entry.parent).get(entry.key or "")
        if field is None:
            return
        wrong = self.diagnostic.code in (Code.WRONG_TYPE, Code.VALUE_NOT_ALLOWED) and "did you mean" not in self.hint
        if wrong and field.schema.get("default") is not None:
            yield shown(field.schema["default"])
        if "must be true or false" in self.message:
            yield from ("true", "false")

    def _numbered(self, entry: Entry) -> Iterator[Fix]:
        name = str(entry.key) if self.is_key else entry.node.text
        free = self._free(f"{name}_{k}" for k in range(2, 1000))
        title = f"rename it to '{free}'"
        if self.is_key:
            yield _fix(title, self.rename(entry, free), entry.path, child_path(entry.parent.path, free))
        elif entry.node.kind == "scalar":
            yield _fix(title, _replaced(entry.node, free), *_changed_by(entry))

    def _free(self, names: Iterator[str]) -> str:
        """Return the first of these names that is no scalar of the document."""
        used = {node.text for node in self.root.walk() if node.kind == "scalar"}
        return next(name for name in names if name not in used)

    # Keys

    def _on_nodes(self) -> Iterator[Fix]:
        """Yield ``set `key: value` on 'a' (line 7) and 'b' (line 9)``."""
        for match in re.finditer(r"set `(\w+): ([^`]+)` on ('[^']+'.*)", self.hint):
            nodes = re.findall(r"'([^']+)'(?: \(line (\d+)\))?", match[3])
            edits: list[Edit] = []
            paths: list[str] = []
            for name, line in nodes:
                node = self._layer(name, int(line) if line else None)
                if node is not None and not any(path.startswith(f"{node.path}.") for path in paths):
                    edits += self.set_key(node, match[1], match[2])
                    paths.append(child_path(node.path, match[1]))
            if edits:
                names = " and ".join(f"'{name}'" for name, _ in nodes)
                yield _fix(f"set `{match[1]}: {match[2]}` on {names}", edits, *paths)

    def _layer(self, name: str, line: int | None) -> Node | None:
        last = name.rpartition("/")[2].partition(":")[0]
        for entry in layer_entries(self.analysis):
            own = entry.node.scalar("name")
            named = line is None and own is not None and own in (last, re.sub(r"_\d+$", "", last))
            if named or self.text.line_of(entry.node.start) + 1 == line:
                return entry.node
        return None

    def _missing(self) -> Iterator[Fix]:
        """Yield a key that is missing, with its default, an example, or the smallest value."""
        match = re.search(r"needs `(\w+)`", self.message)
        if self.diagnostic.code != Code.MISSING_KEY or match is None:
            return
        key, mapping = match[1], self.mapping
        values = [pair[2] for code in _CODE.findall(self.hint) if (pair := _PAIR.fullmatch(code)) and pair[1] == key]
        if key == "name" and mapping is self.root:
            values.append(re.sub(r"[^\w.-]+", "_", Path(self.analysis.name).stem) or "network")
        below, schema = None, grammar.schema_at(mapping)
        if self.entry is not None and self.entry.node.kind != "mapping":  # a word that stands for `{type: word}`
            below, schema = self.entry, grammar.schema_at(self.entry.node)
            mapping = parse(Text(f"{{type: {below.node.text}}}"))
        if (field := grammar.fields(schema, mapping).get(key)) is not None:
            values += self._examples(field.schema, key)
        for value in values:
            title = f"add `{key}: {value}`"
            if below is None:
                yield _fix(title, self.set_key(mapping, key, value), child_path(mapping.path, key))
            else:
                yield _fix(title, self.set_below(below, key, value), below.path)

    def _examples(self, schema: Schema, key: str) -> Iterator[str]:
        if (kind := grammar.kind_of(schema)) is not None:
            yield grammar.KINDS[kind].example
        yield from (word for word in grammar.choices(schema) if word != "null")
        for member in grammar.members(schema):
            types = grammar.types_of(member)
            if "integer" in types:
                yield str(max(member.get("minimum", 1), 1))
            if "number" in types:
                yield "0.5"
            if "array" in types:
                yield f"[{', '.join(['1'] * max(member.get('minItems', 1), 1))}]"
        if key in ("inputs", "outputs", "layer"):
            names = [entry.node.scalar("name") for entry in layer_entries(self.analysis)]
            yield from (name for name in reversed(names) if name)

    def _holders(self) -> Iterator[Node | Entry]:
        """Yield the mappings, and the entries that may become mappings, in which a hint's key may belong."""
        entry, mapping = self.entry, self.mapping
        if entry is not None and entry.node.kind == "mapping":
            yield entry.node
            if entry.key == "outputs":
                yield from entry.node.entries[:1]
        elif entry is not None:
            if not self.is_key:
                yield mapping
            yield entry
        yield mapping
        for node in self.diagnostic.nodes:
            if (layer := self._layer(node.name, node.line)) is not None:
                yield layer
        above = mapping.parent
        while above is not None:
            if above.kind == "mapping" and above.entry is not None:
                yield above
                yield from _of_training(above)
            above = above.parent
        yield from _of_training(mapping)

    def _of_code(self) -> Iterator[Fix]:
        """Yield the code in backticks: ``key: value`` as a key of a mapping around the place, others as the value."""
        entry = self.entry
        for match in _CODE.finditer(self.hint):
            code, before = match[1], self.hint[: match.start()]
            if "…" in code or re.search(r"it is now $|instead of $|with $", before):
                continue
            if code[0] not in "{[" and (pair := _PAIR.fullmatch(code)) is not None:
                yield from self._of_pair(code, pair[1], pair[2], before)
            elif entry is not None and not self.is_key and _is_value(entry, code, before):
                end = _end_of_torn(entry)
                edits = self.set_value(entry, code) if end is None else [Edit(entry.node.start, end, code)]
                paths = [*_changed_by(entry), entry.parent.path if entry.key is None or end is not None else entry.path]
                own = entry.path if entry.key == "type" else entry.parent.path
                yield _fix(f"write `{code}`", edits, *paths, written=own)

    def _of_pair(self, code: str, key: str, value: str, before: str) -> Iterator[Fix]:
        """Yield the places for ``key: value``; ``before`` is the hint up to it."""
        entry = self.entry
        if re.search(r"remove $", before) or (value[0] not in "{[" and re.search(r", \w+: ", value)):
            return
        if "a comma ends the value" in before and entry is not None:  # `0,5` became a value and a key
            first = entry.parent.find(key)
            if first is not None and first.node.kind == "scalar":
                whole = [Edit(first.node.start, entry.end, self.value(value))]
                yield _fix(f"write `{key}: {value}`", whole, first.path, entry.path)
            return
        if entry is not None and self.diagnostic.code == Code.NOTHING_TO_TRAIN:
            value = self._loss_of(entry.node)
        if entry is not None and entry.key == key:
            yield _fix(f"write `{code}`", self.set_value(entry, value), entry.path)
        elif entry is not None and self.is_key and entry.node.kind == "scalar" and re.search("write|use", before):
            both, path = [*self.rename(entry, key), *self.set_value(entry, value)], child_path(entry.parent.path, key)
            yield _fix(f"write `{code}`", both, entry.path, path, written=path)
        for holder in self._holders():
            if isinstance(holder, Entry):
                yield _fix(f"set `{code}`", self.set_below(holder, key, value), holder.path)
            else:
                yield _fix(f"set `{code}`", self.set_key(holder, key, value), child_path(holder.path, key))
        if key in grammar.document():
            yield _fix(f"add `{code}`", self.set_key(self.root, key, value), key)

    def _loss_of(self, outputs: Node) -> str:
        """Return a loss for the first head, by the activation of its node."""
        head = outputs.entries[0] if outputs.entries else None
        name = None if head is None else head.node.scalar("layer") or head.key
        node = None if name is None else self._layer(name, None)
        activation = None if node is None else node.scalar("activation")
        return _LOSSES.get(activation or "", "mean_squared_error")

    # Entries

    def _reshaped(self) -> Iterator[Fix]:
        """Yield a Reshape in front of a node: ``add a channel axis: a Reshape with `target_shape: [28, 28, 1]```."""
        match = re.search(r"a Reshape with `target_shape: (\[[^`…]+\])`", self.hint)
        around = (entry for entry in layer_entries(self.analysis) if entry.start <= self.at <= entry.end)
        if match is None or (entry := next(around, None)) is None:
            return
        inputs, own = entry.node.find("inputs"), f"type: Reshape, target_shape: {match[1]}"
        if inputs is None:
            edits = self.insert_before(entry, f"{{{own}}}")
        else:
            one = inputs.node.entries[0].node if len(inputs.node.entries) == 1 else inputs.node
            name = self._free(f"reshaped{k}" for k in ("", *range(2, 1000)))
            item = f"{{name: {name}, {own}, inputs: {one.text}}}"
            edits = [*self.insert_before(entry, item), *renamed] if (renamed := _replaced(one, name)) else []
        yield _fix(f"insert a Reshape to {match[1]}", edits, entry.parent.path)

    def _removed(self) -> Iterator[Fix]:
        """Yield what the hint says to leave out, and keys that do not exist."""
        entry = self.entry
        for match in re.finditer(r"(?:remove|leave|drop) `(\w+)(?:: [^`]*)?`", self.hint):
            for holder in self._holders():
                found = (holder if isinstance(holder, Node) else holder.node).find(match[1])
                if found is not None:
                    yield self._removal(found)
        for match in re.finditer(r"remove '([^']+)'", self.hint):
            layer, inputs = self._layer(match[1], self.diagnostic.line), self.root.get("inputs")
            unused = layer.entry if layer is not None else inputs.find(match[1]) if inputs is not None else None
            if unused is not None:
                yield self._removal(unused)
        if entry is None:
            return
        if "remove the tag" in self.hint and entry.anchor is not None:
            yield _fix("remove the tag", [Edit(entry.anchor, entry.node.start, "")], entry.path)
            return
        gone = r"leave it out|remove (it(?! from)|one of them)|beside `share`, only|write null, or leave"
        wrong = self.diagnostic.code in (Code.UNKNOWN_KEY, Code.DUPLICATE_KEY)
        if wrong or re.search(gone, self.hint) or _is_neutral(entry):
            yield self._removal(entry)

    def _removal(self, entry: Entry) -> Fix:
        if entry.key is not None:
            return _fix(f"remove `{entry.key}`", self.remove(entry), entry.path, written="\0")
        name = entry.node.scalar("name") or entry.node.text or "it"
        return _fix(f"remove '{name}'", self.remove(entry), entry.parent.path, written="\0")


def _fields(mapping: Node) -> dict[str, grammar.Field]:
    return grammar.fields(grammar.schema_at(mapping), mapping)


def _nearest(word: str, names: list[str]) -> list[str]:
    return sorted(names, key=lambda name: -SequenceMatcher(None, word.lower(), name.lower()).ratio())[:3]


def _of_training(mapping: Node) -> Iterator[Entry]:
    return (entry for key in ("loss", "optimizer") if (entry := mapping.find(key)) is not None)


def _end_of_torn(entry: Entry) -> int | None:
    """Return the end of ``(3, 3)`` in a mapping, which reads it as a value ``(3`` and a key ``3)``; None for others."""
    if entry.node.text[:1] != "(" or ")" in entry.node.text:
        return None
    following = entry.parent.entries[entry.index + 1 :]
    last = next((other for other in following if other.colon is not None or ")" in str(other.key)), None)
    return None if last is None or last.colon is not None else last.key_end


def _is_value(entry: Entry, code: str, before: str) -> bool:
    """Return whether a hint means that the value of an entry is to be replaced by ``code``."""
    if not re.search(r"(write|use|such as|for example|brackets:|or|and|,|did you mean) $", before):
        return False
    if code in _fields(entry.parent):
        return False
    kind = entry.node.kind
    return kind in ("scalar", "empty") or (kind, code[0]) in (("list", "["), ("mapping", "{"))


def _is_neutral(entry: Entry) -> bool:
    """Return whether a key is no argument, only one that some values of are accepted for."""
    if entry.key is None or entry.parent.kind != "mapping":
        return False
    found = _fields(entry.parent)
    return bool(found) and (entry.key not in found or bool(found[entry.key].schema.get("doNotSuggest")))
