"""Override one value of a spec, before substitution: ``--set key.path=VALUE``, also where short forms become mappings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from graphspec.base.errors import SET, Code, Mark, Problems, SpecError, UsageError, did_you_mean, shorten
from graphspec.base.synonyms.keys import hint_in, tables, tables_of
from graphspec.base.text import shell
from graphspec.graph.optimizers import OPTIMIZERS
from graphspec.language.columns import COLUMNS
from graphspec.language.explain import REGISTRIES
from graphspec.language.sections import KEYS, HeadKeys, InputKeys, TrainingKeys
from graphspec.language.tree import MAX_DEPTH, MAX_KEY, MAX_VALUES, Tree, describe, format_names, format_value
from graphspec.vocabulary.layers import LAYERS

# Where ``--set`` leads: short forms and defaults that become mappings, and the full path of a key that is given alone.
_TEXTS = frozenset(("name", "type", "block", "share", "inputs", "layer", "monitor", "filepath", "filename", "column"))
"""Keys whose values are texts, never the short form of a mapping."""
_CREATED: dict[tuple[str, ...], tuple[str, ...]] = {  # by path, the keys that an override may create
    (): ("description", "vars", "blocks", "training", "data"),
    ("data",): ("train", "validation", "test"),
    **{("data", part): ("inputs", "targets", "windows") for part in ("train", "test")},
    ("data", "validation"): ("inputs", "targets", "split", "windows"),
}
_REMOVED = (("data", "*"), ("data", "*", "*"), ("training", "*"), ("outputs", "*", "metrics"))
"""The paths of keys that may be left out and cannot be null; ``*`` is any key."""
_MOST = 5  # paths that a message lists


def long_form(tree: Tree, path: Sequence[str]) -> Tree | None:
    """Return ``{type: NAME}`` for a value at ``path`` that is the short form ``NAME`` of an object, else None."""
    if not isinstance(tree.value, str) or path[-1] in _TEXTS:
        return None
    registries = [COLUMNS] if path[0] == "inputs" and "columns" in path else REGISTRIES.values()
    if not any(tree.value in registry.names() for registry in registries):
        return None
    return Tree({"type": tree}, tree.mark, {"type": tree.mark})


def is_removed(path: Sequence[str]) -> bool:
    """Return whether ``null`` at this path removes the key: one that the language does not require, and never null."""
    alike = (pattern for pattern in _REMOVED if len(pattern) == len(path))
    return any(all(p in ("*", key) for p, key in zip(pattern, path, strict=True)) for pattern in alike)


def created(parent: Tree, path: Sequence[str], key: str, following: Sequence[str]) -> Tree | None:
    """Return the mapping that an override creates for a ``key`` that ``parent`` lacks; None if the language has none.

    ``following`` are the keys of the override below ``key``.
    """
    if key in _CREATED.get(tuple(path), ()):
        return object_of()
    is_named = list(following) == ["type"]
    default = _default_name(parent, path, key)
    if default is not None:
        return object_of() if is_named else object_of(default)
    return object_of() if is_named and path[:1] == ["layers"] and _accepts(parent, key) else None


def _default_name(parent: Tree, path: Sequence[str], key: str) -> str | None:
    """Return the name of the object that ``key`` has if it is missing. An empty name: the key takes an object."""
    if tuple(path) == ("training",) and key == "optimizer":
        return "rmsprop"
    kind = parent.text("type")
    cls = LAYERS.get(kind) if path[:1] == ["layers"] and kind is not None else None
    field = None if cls is None else cls.model_fields.get(key)
    default = None if field is None else field.default
    is_name = isinstance(default, str) and any(default in registry.names() for registry in REGISTRIES.values())
    return default if is_name else None


def object_of(name: str = "") -> Tree:
    """Return ``{type: NAME}``, or an empty mapping."""
    mark = Mark(SET)
    return Tree({"type": Tree(name, mark)}, mark, {"type": mark}) if name else Tree({}, mark)


def corrected(tree: Tree, steps: Sequence[str], written: str) -> str | None:
    """Return the options that were meant by a path that does not begin at the document: ``hidden.units``; or None."""
    homes = list(dict.fromkeys(_homes(tree, steps)))
    if not homes:
        return None
    options = [f"--set {shell(f'{home}={written}')}" for home in homes[:_MOST]]
    if len(options) == 1:
        return f"write {options[0]}"
    return f"write one of {', '.join(options)}" + (", …" if len(homes) > _MOST else "")


def _homes(tree: Tree, steps: Sequence[str]) -> Iterator[str]:
    """Yield the paths that end like ``steps``."""
    first, rest = steps[0], ".".join(("", *steps[1:]))
    training, optimizer = [*TrainingKeys.model_fields], _optimizer(tree)
    if first in tree.mapping("vars"):
        yield f"vars.{first}{rest}"
    elif key := _known(first, tables()["TrainingKeys"], training):
        yield f"training.{key}{rest}"
    elif key := _known(first, tables_of("keys")["Optimizer"], optimizer):
        yield f"training.optimizer.{key}{rest}"
    elif first in ("train", "validation", "test"):
        yield f"data.{first}{rest}"
    elif nodes := [*_in_sections(tree, steps), *_in_layers(tree, steps)]:
        yield from nodes
    elif len(steps) == 1 and (key := _close(first, training)):
        yield f"training.{key}"
    elif len(steps) == 1 and (key := _close(first, optimizer)):
        yield f"training.optimizer.{key}"


def _in_sections(tree: Tree, steps: Sequence[str]) -> Iterator[str]:
    for section, fields in (("inputs", [*InputKeys.model_fields]), ("outputs", [*HeadKeys.model_fields])):
        names = tree.mapping(section)
        if len(steps) > 1 and steps[0] in names and steps[1] in fields:
            yield f"{section}.{'.'.join(steps)}"
        elif len(steps) == 1 and steps[0] in fields:
            yield from (f"{section}.{name}.{steps[0]}" for name in names)


def _in_layers(tree: Tree, steps: Sequence[str]) -> Iterator[str]:
    """Yield paths in ``layers``: of the nodes that have the key, or else of those whose layers accept it."""
    layers = tree.get("layers")
    entries = layers.value if layers is not None and isinstance(layers.value, list) else []
    named = {name: entry for entry in entries if (name := entry.text("name")) is not None}
    if len(steps) > 1:
        entry = named.get(steps[0])
        if entry is not None and (steps[1] in entry.value or _accepts(entry, steps[1])):
            yield f"layers.{'.'.join(steps)}"
        return
    having = [name for name, entry in named.items() if steps[0] in entry.value]
    yield from (f"layers.{name}.{steps[0]}" for name in having or named if having or _accepts(named[name], steps[0]))


def _accepts(entry: Tree, key: str) -> bool:
    cls = LAYERS.get(entry.text("type") or "")
    return cls is not None and key in cls.model_fields


def _known(key: str, table: Mapping[str, str], names: Sequence[str]) -> str | None:
    """Return the key of ``names`` that ``key`` is, or is called elsewhere."""
    return key if key in names else _named(hint_in(table, key, names))


def _close(key: str, names: Sequence[str]) -> str | None:
    return _named(did_you_mean(key, names)) if len(key) > 3 else None


def _named(hint: str | None) -> str | None:
    return hint.split("'")[1] if hint is not None and hint.startswith("did you mean '") else None


def _optimizer(tree: Tree) -> list[str]:
    section = tree.get("training")
    at = None if section is None else section.get("optimizer")
    name = None if at is None else at.text("type") or at.value
    cls = (OPTIMIZERS.get(name) if isinstance(name, str) else None) or OPTIMIZERS.get("rmsprop")
    return [] if cls is None else [*cls.model_fields]


def override(tree: Tree, text: str, read_value: Callable[[str, str], Tree]) -> Tree:
    """Return ``tree`` with one value replaced, added or removed; UsageError if the override is malformed or leads nowhere.

    Shared parts stay unchanged elsewhere. ``null`` removes what may be left out: a part of ``data``, a key of ``training``.
    """
    path, equals, written = text.partition("=")
    path = path.strip()
    if not equals or not path or "" in path.split("."):
        colon = re.fullmatch(r"([\w.]+) *[: ] *(.+)", text)
        meant = f": write --set {shell(f'{colon[1]}={colon[2]}')}" if colon and not equals else ""
        raise UsageError(f"--set takes key.path=VALUE, not {shorten(text)!r}{shorten(meant, 200)}")
    if len(path) > MAX_KEY:
        raise UsageError(f"--set {shorten(path)}: there is no key of {len(path):,} characters")
    try:
        value = read_value(written.strip(), SET)
    except SpecError as error:
        raise UsageError(f"--set {shorten(text)}: {error.diagnostics[0].message}") from None
    return replaced(tree, path, value, written.strip())


def replaced(tree: Tree, path: str, value: Tree, written: str) -> Tree:
    """Return ``tree`` with ``value`` at a dotted path, see :func:`override`; messages quote it as ``written``."""
    text = f"{path}={written}"
    steps = path.split(".")
    if len(steps) == 1 or (len(steps) == 2 and steps[0] == "training"):
        _refuse_short_path(tree, steps, written)
    try:
        changed = _replace(tree, steps, 0, value)
    except UsageError as error:
        meant = None if steps[0] in KEYS else corrected(tree, steps, written.strip())
        if meant is None:
            raise
        raise UsageError(f"--set {path}: there is no '{steps[0]}' in the spec; {meant}") from error
    if changed.depth > MAX_DEPTH or changed.size > MAX_VALUES:
        is_deep = changed.depth > MAX_DEPTH
        excess = f"deeper than {MAX_DEPTH} levels" if is_deep else f"larger than {MAX_VALUES:,} values"
        raise UsageError(f"--set {shorten(text)}: it makes the spec {excess}")
    return changed


def _refuse_short_path(tree: Tree, steps: Sequence[str], written: str) -> None:
    """Raise UsageError for a key that has another place, such as ``epochs`` or ``training.learning_rate``."""
    parent = tree if len(steps) == 1 else tree.get("training")
    known = KEYS if len(steps) == 1 else TrainingKeys.old_keys
    if steps[-1] in known or (parent is not None and parent.get(steps[-1]) is not None):
        return
    meant = corrected(tree, steps[-1:], written.strip())
    if meant is None or (len(steps) > 1 and "training.optimizer." not in meant.partition("=")[0]):
        return  # a key of this section: the check names a misspelt one
    inside = "the spec" if len(steps) == 1 else "'training'"
    raise UsageError(f"--set {'.'.join(steps)}: there is no '{steps[-1]}' in {inside}; {meant}")


def _replace(tree: Tree, steps: Sequence[str], at: int, value: Tree) -> Tree:
    """Return ``tree`` with ``value`` at the path ``steps[at:]`` below it."""
    where = ".".join(steps[:at]) or "the spec"
    if at:
        tree = long_form(tree, steps[:at]) or tree
    if tree.value is None and steps[:at] in (["training"], ["data"]):
        tree = Tree({}, tree.mark)  # the section is empty
    if not isinstance(tree.value, dict | list):
        raise UsageError(f"--set {'.'.join(steps)}: '{where}' is {describe(tree)}, which has no keys")
    keys = _steps(tree)
    # Names may contain dots: try the longest name first.
    for end in range(len(steps), at, -1):
        key = keys.get(".".join(steps[at:end]))
        if key is not None and end < len(steps):
            child: Tree = tree.find([key])[0] or value
            return _with(tree, key, _replace(child, steps, end, value))
        if key is not None:
            if value.value is None and isinstance(tree.value, dict) and is_removed([*steps[:at], str(key)]):
                return Tree({k: child for k, child in tree.value.items() if k != key}, tree.mark, tree.key_marks)
            return _with(tree, key, value)
    step = steps[at]
    if isinstance(tree.value, dict):
        if at == len(steps) - 1:
            # a key of the language that need not be there
            keys_here = TrainingKeys.model_fields if steps[0] == "training" else _CREATED.get(tuple(steps[:-1]), ())
            is_known = step in keys_here or steps[0] == "outputs"
            return tree if value.value is None and is_removed(steps) and is_known else _with(tree, step, value)
        new = created(tree, steps[:at], step, steps[at + 1 :])
        if new is not None:
            return _with(tree, step, _replace(new, steps, at + 1, value))
    hint = did_you_mean(step, keys) or did_you_mean(".".join(steps[at : at + 2]), keys)
    if hint is None and isinstance(tree.value, list):
        # the names of its parts, in its order
        names = sorted((name for name in keys if not name.isdecimal()), key=keys.__getitem__)
        hint = f"there are {format_names(names)}" if names else None
    if steps[: at + 1] == ["training", "callbacks"]:
        hint = "write --set 'training.callbacks=[{type: EarlyStopping, patience: 3}]'"
    inside = "" if at == 0 else f" in '{where}'"
    raise UsageError(f"--set {'.'.join(steps)}: there is no '{step}'{inside}" + (f"; {hint}" if hint else ""))


def _steps(tree: Tree) -> dict[str, str | int]:
    """Return the names of the parts of ``tree`` with their keys or indices."""
    if isinstance(tree.value, dict):
        return {key: key for key in tree.value}
    types = [item.value if isinstance(item.value, str) else item.text("type") for item in tree.value]
    return {**item_names([(kind, item.text("name")) for kind, item in zip(types, tree.value, strict=True)])}


def item_names(items: Sequence[tuple[str | None, str | None]]) -> dict[str, int]:
    """Return what names the items of a list, of each of which the type and the name are given: both, and the index."""
    keys, types = {str(index): index for index in range(len(items))}, [kind for kind, _ in items]
    for index, (kind, name) in enumerate(items):
        if kind is not None and types.count(kind) == 1 and name is None:  # a callback, a metric
            keys[kind] = index
    for index, (_, name) in reversed([*enumerate(items)]):
        if name:
            keys[name] = index
    return keys


def _with(tree: Tree, key: str | int, child: Tree) -> Tree:
    if isinstance(key, int):
        items = list(tree.value)
        items[key] = child
        return Tree(items, tree.mark)
    marks = tree.key_marks if key in tree.key_marks else {**tree.key_marks, key: child.mark}
    return Tree({**tree.value, key: child}, tree.mark, marks)


# The forms of a spec: each is the document with the overrides of one entry of ``training.forms``.
_NOT_OF_FORMS = ("graphspec", "name", "description", "data", "search")
_OF_ALL_FORMS = tuple(f"training.{key}" for key in ("forms", "choose", "folds", "seeds", "seed", "workers"))


def with_form(tree: Tree, name: str | None, problems: Problems) -> tuple[str | None, Tree]:
    """Return the name of a form, by default of the first, and the document as this form; None and ``tree`` without forms."""
    forms = tree.find(("training", "forms"))[0]
    found = forms.value if forms is not None and isinstance(forms.value, dict) else {}
    name = next(iter(found), None) if name is None else name
    if name is None or not isinstance(found[name].value, dict):
        return name, tree
    for path, value in found[name].value.items():
        if path == "training" or path.partition(".")[0] in _NOT_OF_FORMS or path.startswith(_OF_ALL_FORMS):
            text = f"form '{name}' cannot change '{path}': forms are trained on the same rows, and compared"
            problems.key(found[name], path, Code.VALUE_NOT_ALLOWED, text, hint="set it outside of the forms")
            continue
        try:
            known = tree.mapping("vars")
            if path.startswith("vars.") and not {path[5:], path[5:].partition(".")[0]} & known.keys():
                raise UsageError(f"there is no variable '{path[5:]}'; {did_you_mean(path[5:], known) or ''}")
            tree = replaced(tree, path, value, format_value(value))
        except UsageError as error:
            text, hint = leads_nowhere(path, str(error))
            problems.key(found[name], path, Code.UNKNOWN_KEY, text, hint=hint)
    return name, tree.set_paths()


def leads_nowhere(path: str, message: str) -> tuple[str, str]:
    """Return message and hint for a path of a document, from the error that ``--set`` raises for it."""
    text, _, hint = message.removeprefix(f"--set {path}: ").partition("; ")
    if meant := re.findall(r"--set '?([^\s'=]+)=", hint):
        hint = f"did you mean {' or '.join(repr(each) for each in meant)}?"
    return f"'{path}' leads nowhere: {text}", hint or "write a path as `--set` takes it"
