"""What a network does, in a plain sentence: what it reads and what its heads answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from graphspec.base.text import count, shorten_end

if TYPE_CHECKING:
    from graphspec.engine.runtime.session import Session
    from graphspec.language.declarations import HeadDecl, InputDecl, Spec

_LISTED = 5  # names that a sentence lists
_NAME = 40  # characters of a name


def sentence(model: Session) -> str:
    """Return what the network reads and answers, as plain text."""
    spec = model.spec
    answers = "; ".join(_answer(model, head) for head in list(spec.heads.values())[:_LISTED])
    more = len(spec.heads) - _LISTED
    return f"Reads {_inputs(spec)}. Answers {answers}" + (f"; and {count(more, 'further head')}." if more > 0 else ".")


def listed(names: Sequence[str]) -> str:
    """Return names as people list them: ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def kind(model: Session) -> str:
    """Return the kind of the task, such as ``Classification``, ``Regression`` or ``Forecast``."""
    kinds = dict.fromkeys(kind_of(model, head) for head in model.spec.heads.values())
    if any(source.windows is not None for source in model.spec.data.values()) and [*kinds] == ["regression"]:
        return "Forecast"
    named = [k for k in kinds if k]
    return listed(named).capitalize() if named else "Network"


def kind_of(model: Session, head: HeadDecl) -> str:
    """Return the kind of a head's task; nothing if it has no loss."""
    loss = head.loss
    if loss is None:
        return ""
    units = model.graph.outputs[head.name].shape[-1]
    if loss.targets == "labels":
        return "sequence recognition"
    if loss.targets == "groups":
        return "embedding"
    if loss.targets in ("ids", "one_hot"):
        return "classification"
    if loss.fits == "classes" or loss.binary:
        return "classification" if units == 1 else "multi-label classification"
    return "regression"


def _inputs(spec: Spec) -> str:
    declared: Any = spec.document.get("inputs")
    declared = declared if isinstance(declared, dict) else {}
    parts, inside = [], set[str]()
    for name, keys in declared.items():
        columns = keys.get("columns") if isinstance(keys, dict) else None
        if columns:
            names = [str(column) for column in columns]
            inside.update(names)
            parts.append(f"a record of {count(len(names), 'column')} ({_some(names)})")
        elif name in spec.inputs:
            parts.append(_input(spec.inputs[name]))
    if not parts:
        parts = [_input(decl) for decl in spec.inputs.values()]
    more = len(parts) - _LISTED
    listed = parts[:_LISTED] + ([count(more, "further input")] if more > 0 else [])
    return _and(listed)


def _input(decl: InputDecl) -> str:
    name, sizes = _short(decl.name), [str(n) if isinstance(n, int) else "any" for n in decl.shape]
    shape = " × ".join(sizes)
    if decl.dtype == "string":
        return f"a text, {name}" if not sizes or sizes == ["1"] else f"{shape} texts, {name}"
    if len(sizes) == 3 and decl.shape[2] in (1, 3, 4):
        return f"a picture of {' × '.join(sizes[:2])} pixels, {name}"
    return f"{shape or 'a'} number{'' if shape in ('', '1') else 's'}, {name}"


def _answer(model: Session, head: HeadDecl) -> str:
    value, what = model.graph.outputs[head.name], kind_of(model, head)
    units = value.shape[-1] if value.rank > 1 else 1
    name, steps = _short(head.name), " at each step" if value.rank > 2 else ""
    labels = head.labels or []
    if what == "classification":
        if units == 1:
            choice = " or ".join(map(_short, labels)) if len(labels) == 2 else "yes or no"
            return f"{name}: {choice}{steps}"
        listed = f" ({_some(labels)})" if labels else ""
        return f"{name}: one of {units} classes{listed}{steps}"
    if what == "multi-label classification":
        return f"{name}: which of {units} classes apply{steps}"
    if what == "sequence recognition":
        return f"{name}: a sequence of labels"
    if what == "regression":
        return f"{name}: {'a number' if units == 1 else f'{units} numbers'}{steps}"
    return f"{name}: {units} numbers"


def _some(names: Sequence[str]) -> str:
    shown = [_short(name) for name in names[:_LISTED]]
    return ", ".join(shown) + (", …" if len(names) > _LISTED else "")


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{'; '.join(parts[:-1])}; and {parts[-1]}"


def _short(name: str) -> str:
    return shorten_end(" ".join(name.split()), _NAME)
