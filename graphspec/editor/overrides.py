"""Write overrides, ``key.path=VALUE``, into the text of a spec: all else, such as its comments, stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from graphspec.base.errors import GivenText, UsageError, did_you_mean
from graphspec.editor.document import Edit, Node, Text, applied, parse
from graphspec.language.override import override
from graphspec.language.read import read, read_value
from graphspec.language.tree import Tree, format_names
from graphspec.language.write import flow


def overridden(text: str, sets: Sequence[str], file: str) -> str:
    """Return the text of a spec with ``sets``, in their order; ``file`` is its name in messages.

    Raises UsageError: an override is malformed or leads nowhere. SpecError: the text is no spec.
    """
    for each in sets:
        old = read(GivenText(file, text))
        new, known = override(old, each, read_value), old.mapping("vars")
        for name in new.mapping("vars").keys() - known.keys():  # no other part of the text would read it
            hint = did_you_mean(name, known) or f"there are {format_names(known) or 'none'}"
            raise UsageError(f"--set vars.{name}: there is no variable '{name}'; {hint}")
        text = applied(text, _edits(text, parse(Text(text)), old, new))
    return text


def _edits(text: str, node: Node, old: Tree, new: Tree) -> Iterator[Edit]:
    """Yield what turns ``node``, the place of ``old`` in the text, into ``new``: as little as possible."""
    if new is old:  # an override shares what it does not change
        return
    before, after = _parts(old.value), _parts(new.value)
    same = before.keys() <= after.keys() if isinstance(new.value, dict) else before.keys() == after.keys()
    if type(old.value) is type(new.value) in (dict, list) and same:
        for key, entry in zip(before, node.entries, strict=True):
            yield from _edits(text, entry.node, before[key], after[key])
        added = {key: value.plain() for key, value in after.items() if key not in before}
        if added and node.flow:
            yield Edit(node.end - 1, node.end - 1, ", " * bool(before) + flow(added)[1:-1])
        elif added:
            end = text.find("\n", node.end)
            lines = (f"\n{' ' * node.column}{flow({key: value})[1:-1]}" for key, value in added.items())
            yield Edit(end, end, "".join(lines)) if end >= 0 else Edit(node.end, node.end, "".join(lines))
    else:
        space = " " * (node.kind == "empty" and text[node.start - 1 : node.start] == ":")
        yield Edit(node.start, node.end, space + flow(new.plain()))


def _parts(value: Any) -> dict[Any, Tree]:
    return value if isinstance(value, dict) else dict(enumerate(value)) if isinstance(value, list) else {}
