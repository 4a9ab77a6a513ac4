"""The common namespace of inputs, nodes and heads."""

from __future__ import annotations

from graphspec.base.codes import Code
from graphspec.base.errors import Mark, shorten
from graphspec.language.declarations import HeadRefs, Ref
from graphspec.language.head_arrays import LABEL, LENGTH, STEPS, WEIGHT
from graphspec.language.names import InputRef, Item, Scope, bad_name, is_name, locate, resolve, suggest
from graphspec.language.tree import Problems, Tree, describe, item_name
from graphspec.vocabulary.losses import LOSSES

Position = tuple[Mark, str]
"""A mark and a path."""


def claim(scope: Scope, name: str, item: Item | InputRef, mark: Mark, path: str, kind: str, problems: Problems) -> None:
    """Let ``name`` stand for ``item`` in ``scope``. Report a clash at the later of both positions (GS107)."""
    if kind == "input" and not is_name(name):
        message, hint = bad_name("input name", name)
        problems.at(mark, Code.VALUE_NOT_ALLOWED, message, path=path, hint=hint)
    other = scope.positions.get(name)
    if other is None:
        scope.names[name], scope.positions[name] = item, (mark, path)
        return
    _clash(name, (mark, path), kind, other, _kind(scope.names[name]), problems)
    if isinstance(item, Item) and scope.names[name] is not item:
        scope.clashes += 1
        item.full += f"#{scope.clashes + 1}"  # a unique concrete name: checking continues


def _kind(item: Item | InputRef) -> str:
    """Return the kind of an item in messages."""
    if isinstance(item, InputRef):
        return "block input"
    if item.label:
        return item.label
    if item.kind != "input" and item.name != (written := item_name(item.tree)) and item.tree.get("repeat") is not None:
        return f"copy of '{shorten(written or '')}'"
    return "input" if item.kind == "input" else "node"


def _clash(name: str, new: Position, new_kind: str, old: Position, old_kind: str, problems: Problems) -> None:
    """Report a name that is used twice at the later position."""
    if _order(new) < _order(old):
        new, new_kind, old, old_kind = old, old_kind, new, new_kind
    line = old[0].line
    where = f" at line {line}" if line is not None else ""
    article = "an" if old_kind == "input" else "a"
    message = f"{new_kind} '{name}' has the name of {article} {old_kind}{where}"
    hint = "rename one of them: inputs, nodes and heads share one namespace"
    if new_kind == old_kind == "cross":
        hint = "remove one of them"
    elif "column" in (new_kind, old_kind):
        hint = f"write the column under another key: `{name}_2: {{column: {name}, type: …}}`"
        if "head" in (new_kind, old_kind):
            hint = f"remove it from `columns` if it is the target, or {hint}"
    problems.at(new[0], Code.DUPLICATE_NAME, message, path=new[1], hint=hint, subject=name)


def _order(position: Position) -> tuple[bool, int, int]:
    """Return the sort key of a position: line and column. Positions in a dict or an override come after a file."""
    mark = position[0]
    return (mark.line is None, mark.line or 0, mark.column or 0)


def resolve_heads(top: Scope, outputs: Tree | None, problems: Problems) -> dict[str, HeadRefs]:
    """Return the nodes of each head. Check the heads' names and the names that are generated from them."""
    if outputs is None or not isinstance(outputs.value, dict):
        return {}
    heads: dict[str, HeadRefs] = {}
    positions = dict(top.positions)
    for name, head in outputs.value.items():
        mark = outputs.key_marks.get(name, head.mark)
        path = outputs.child_path(name)
        if not is_name(name):
            message, hint = bad_name("head name", name)
            problems.at(mark, Code.VALUE_NOT_ALLOWED, message, path=path, hint=hint)
        layers = _resolve_layers(top, name, head, mark, path, problems)
        heads[name] = HeadRefs(layers, _resolve_target(top, name, head, problems))
        positions.setdefault(name, (mark, path))
    for name, head in outputs.value.items():
        for suffix, purpose in _generated(head):
            generated = f"{name}{suffix}"
            if generated in positions:
                own = (outputs.key_marks.get(name, head.mark), outputs.child_path(name))
                later = max((positions[generated], own), key=_order)
                line = positions[generated][0].line
                where = f" at line {line}" if line is not None else ""
                kind = _kind(top.names[generated]) if generated in top.names else "head"
                message = f"{kind} '{generated}'{where} has the name of {purpose} of head '{name}'"
                problems.at(
                    later[0], Code.DUPLICATE_NAME, message, path=later[1], subject=generated, hint="rename one of them"
                )
    return heads


_NAME_HINT = "write a node's name, or `name:k` for its output k"


def _resolve_target(top: Scope, name: str, head: Tree, problems: Problems) -> Ref | None:
    """Return the input or node with which a head's loss compares; None if it compares with the data, or if it is wrong."""
    target = head.get("target")
    if target is None or target.unknown or target.value is None:
        return None
    if not isinstance(target.value, str):
        message = f"`target` of head '{name}' must be the name of an input or a node, not {describe(target)}"
        problems.value(target, Code.WRONG_TYPE, message, hint=_NAME_HINT)
        return None
    return resolve(InputRef.named(top, target), problems)


def _resolve_layers(
    top: Scope, name: str, head: Tree, mark: Mark, path: str, problems: Problems
) -> tuple[Ref | None, ...]:
    """Return the source of a head, or the sources of a loss over several nodes: a list in ``layer``."""
    layer = head.get("layer")
    if layer is None or not isinstance(layer.value, list) or layer.unknown:
        return (_resolve_head(top, name, head, mark, path, problems),)
    own = top.names.get(name)
    if own is not None:
        _clash(name, (mark, path), "head", top.positions[name], _kind(own), problems)
    if not layer.value:
        problems.value(layer, Code.WRONG_INPUT_COUNT, f"`layer` of head '{name}' is empty", hint=_NAME_HINT)
        return (None,)
    found: list[Ref | None] = []
    for item in layer.value:
        if isinstance(item.value, str):
            found.append(resolve(InputRef.named(top, item), problems))
            continue
        if not item.unknown:
            message = f"`layer` of head '{name}' must contain names, not {describe(item)}"
            problems.value(item, Code.WRONG_TYPE, message, hint=_NAME_HINT)
        found.append(None)
    return tuple(found)


def _resolve_head(top: Scope, name: str, head: Tree, mark: Mark, path: str, problems: Problems) -> Ref | None:
    """Return the source of a head: ``layer``, or the node of the same name."""
    layer = head.get("layer")
    own = top.names.get(name)
    if layer is None or layer.unknown:
        if isinstance(own, Item) and own.kind == "input":
            _clash(name, (mark, path), "head", top.positions[name], _kind(own), problems)
            return None
        if layer is None and not top.incomplete and locate(top, name) is None:
            message = f"head '{name}' has no `layer`, and no node is called '{name}'"
            hint = suggest(top, name) or "name its node: `layer: …`"
            problems.at(mark, Code.UNKNOWN_NODE, message, path=path, hint=hint)
            return None
        return None if layer is not None else resolve(InputRef.named(top, Tree(name, mark, path=path)), problems)
    if not isinstance(layer.value, str):
        message = f"`layer` of head '{name}' must be the name of a node, not {describe(layer)}"
        problems.value(layer, Code.WRONG_TYPE, message, hint=_NAME_HINT)
        return None
    ref = resolve(InputRef.named(top, layer), problems)
    named = locate(top, layer.value.partition(":")[0])
    if isinstance(named, Item) and named.kind == "input":
        message = f"`layer` of head '{name}' is the input '{named.name}', not a node"
        hint = f"put `{{type: Activation, activation: linear, inputs: {named.name}}}` between them"
        problems.value(layer, Code.UNKNOWN_NODE, message, hint=hint)
        return None
    if own is not None and own is not named:
        _clash(name, (mark, path), "head", top.positions[name], _kind(own), problems)
    return ref


def _generated(head: Tree) -> list[tuple[str, str]]:
    """Return the suffixes of the ONNX outputs and data arrays that a head adds, each with its purpose."""
    suffixes = []
    if head.get("labels") is not None:
        suffixes.append((LABEL, "the label output"))
    loss = head.get("loss")
    if loss is not None and loss.value is not None:
        suffixes.append((WEIGHT, "the sample weights"))
        kind = loss.get("type") or loss
        cls = LOSSES.get(kind.value) if isinstance(kind.value, str) else None
        if cls is not None and cls.targets == "labels":
            suffixes += [(LENGTH, "the label lengths"), (STEPS, "the numbers of time steps")]
    return suffixes
