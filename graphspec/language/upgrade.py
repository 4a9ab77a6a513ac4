"""Names of older versions in a spec: the document with the names of today, and its text, which keeps its form.

What reports an unknown name says if it is one of older versions (``Problems.renamed``). ``language/parse.py`` then parses
the document with the names of today, and warns; ``graphspec upgrade`` writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from graphspec.base.errors import SET, Renaming
from graphspec.language.read import plain_value
from graphspec.language.tree import Tree
from graphspec.language.write import flow

_BREAK = re.compile("\r\n|\r|\n")


def renamed(tree: Tree, names: Iterable[Renaming]) -> tuple[Tree, list[Renaming]]:
    """Return a document with the names of today, and the renamings that were made.

    A name stays if it is not written in the document as it is (a variable is part of it), or a key if that of today is
    there, too. Of these, one that ``--set`` gives replaces the other.
    """
    made = _Renamed({name.place: name for name in names})
    return made.of(tree), made.done


class _Renamed:
    def __init__(self, names: dict[object, Renaming]) -> None:
        self.names, self.done = names, list[Renaming]()
        self.known: dict[int, Tree] = {}  # by the id of a tree: an alias is the tree of its anchor

    def of(self, tree: Tree) -> Tree:
        if id(tree) not in self.known:
            self.known[id(tree)] = self._of(tree)
        return self.known[id(tree)]

    def _of(self, tree: Tree) -> Tree:
        if isinstance(tree.value, list):
            items = [self.of(item) for item in tree.value]
            return Tree(items, tree.mark, path=tree.path) if _differ(items, tree.value) else tree
        if isinstance(tree.value, dict):
            return self._mapping(tree)
        name = self.names.get((tree.path if tree.mark.line is None else tree.mark, False))
        if name is None or name.name != tree.value:
            return tree
        self.done.append(name)
        return Tree(plain_value(name.old.use), tree.mark, path=tree.path)

    def _mapping(self, tree: Tree) -> Tree:
        children: dict[str, Tree] = {}
        marks = dict(tree.key_marks)
        for key, child in tree.value.items():
            mark, new = tree.key_marks.get(key, tree.mark), self.of(child)
            name = self.names.get((tree.child_path(key) if mark.line is None else mark, True))
            today = key if name is None or name.name != key else name.old.use
            other = tree.get(today)
            if name is None or today == key or (other is not None and SET not in (mark.file, other.mark.file)):
                children.setdefault(key, new)
                continue
            self.done.append(name)
            if other is None or mark.file == SET:
                children[today], marks[today] = new, mark
        same = [*children] == [*tree.value] and not _differ(children.values(), tree.value.values())
        return tree if same else Tree(children, tree.mark, marks, tree.path)


def _differ(one: Iterable[Tree], other: Iterable[Tree]) -> bool:
    return any(a is not b for a, b in zip(one, other, strict=True))


def rewritten(text: str, names: Iterable[Renaming]) -> tuple[str, list[Renaming]]:
    """Return a text with the names of today, in the quotes of the old ones, and the renamings that were made.

    A name stays if the text has it in another form, such as with escapes.
    """
    starts = [0, *(found.end() for found in _BREAK.finditer(text))]
    edits: dict[tuple[int, int], tuple[str, Renaming]] = {}
    for name in names:
        mark = name.mark
        if mark.line is None or mark.column is None:
            continue
        start = starts[mark.line - 1] + mark.column - 1
        form = re.fullmatch(
            rf"""((?:[&!]\S*[ \t]+)*)(["']?){re.escape(name.name)}\2""", text[start : start + mark.length]
        )
        if form is not None:
            word = isinstance(plain_value(name.old.use), str)
            new = f"{form[2]}{name.old.use}{form[2]}" if word and form[2] else flow(plain_value(name.old.use))
            edits[start + form.end(1), start + form.end()] = new, name
    for (start, end), (new, _) in sorted(edits.items(), reverse=True):
        text = text[:start] + new + text[end:]
    return text, [name for _, (_, name) in sorted(edits.items())]


def joined(before: Iterable[Renaming], after: Iterable[Renaming]) -> list[Renaming]:
    """Return renamings one after the other, such as of a name that was changed twice, as one for each place."""
    found = {name.place: name for name in before}
    for name in after:
        found[name.place] = replace(found.get(name.place, name), old=name.old)
    return list(found.values())
