"""Parse the section ``search``: which settings a search changes, in which ranges, and what it optimizes."""

from __future__ import annotations

from collections.abc import Iterator
from math import floor, isfinite
from typing import Any, Literal

from pydantic import Field

from graphspec.base.codes import Code
from graphspec.base.config import Config, PositiveInt
from graphspec.base.errors import Problems, did_you_mean
from graphspec.language.explain import salvage, validate
from graphspec.language.search_space import EXACT, Choice, Item, Range, Search, Setting, Space, endless
from graphspec.language.sections import mapping
from graphspec.language.tree import Tree, describe, format_value, type_hint

KINDS = ("float", "int", "choice")
MAX_SPACES = 200
"""The most spaces of one search."""
_KEYS = {"float": ("float", "log", "step"), "int": ("int", "log", "step"), "choice": ("choice",)}
_FORMS = "write `{float: [low, high]}`, `{int: [low, high]}` or `{choice: [values]}`"


class ObjectiveKeys(Config):
    """What a search optimizes."""

    metric: str = Field("val_loss", description="A column of `history.csv`.")
    goal: Literal["max", "min"] | None = Field(
        None, description="`max` or `min`; by default as the metric says: a loss is minimized, an accuracy maximized."
    )


class SearchKeys(Config):
    """A search for good settings: `graphspec search` trains one run for each trial. `train` ignores it."""

    space: dict[str, Any] = Field(description="By path, as in `--set`: the values that trials may take.")
    trials: PositiveInt | None = Field(
        None, description="The number of trials: 20 by default, and the whole grid for `sampler: grid`."
    )
    objective: dict[str, Any] | None = Field(None, description="What is optimized: `val_loss` by default.")
    sampler: Literal["tpe", "random", "grid"] = Field(
        "tpe", description="How values are chosen: `tpe` learns from earlier trials and needs the extra `search`."
    )
    prune: Literal["none", "median", "hyperband"] = Field(
        "none", description="Which trials end early: those that are worse than others were at the same epoch."
    )


class _Optional(SearchKeys):
    space: dict[str, Any] = {}  # noqa: RUF012 (pydantic copies defaults)


def parse_search(tree: Tree, problems: Problems) -> Search | None:
    """Return the section ``search``; None if it is wrong, which is reported."""
    before = len(problems.found)
    hint = "for example `search: {space: {training.optimizer.learning_rate: {float: [0.0001, 0.1], log: true}}}`"
    if not mapping(tree, "`search`", problems, hint):
        return None
    keys = validate(SearchKeys, tree, "`search`", problems) or salvage(_Optional, tree)
    given = tree.get("objective")
    objective: ObjectiveKeys | None = ObjectiveKeys.model_validate({})
    if given is not None and isinstance(given.value, dict):
        objective = validate(ObjectiveKeys, given, "`objective`", problems)
    space = tree.get("space")
    settings = _settings(space, problems) if space is not None and isinstance(space.value, dict) else []
    if objective is None or len(problems.found) > before or tree.unknown:
        return None
    found = Search(tuple(settings), keys.trials, objective.metric, objective.goal, keys.sampler, keys.prune, tree)
    if len([*found.spaces()]) > MAX_SPACES:
        assert space is not None
        text = f"`space` contains more than {MAX_SPACES} spaces"
        problems.value(space, Code.VALUE_NOT_ALLOWED, text, hint="search fewer settings at a time")
    for wrong, message, hint in endless(found) if keys.sampler == "grid" else ():
        problems.value(wrong, Code.VALUE_NOT_ALLOWED, message, hint=hint)
    return None if len(problems.found) > before else found


def _settings(tree: Tree, problems: Problems) -> list[Setting]:
    settings: list[Setting] = []
    if not tree.value:
        problems.value(tree, Code.VALUE_NOT_ALLOWED, "`space` is empty: there is nothing to search", hint=_FORMS)
    for path, child in tree.value.items():
        mark = tree.key_marks.get(path, child.mark)
        later = next((s.path for s in settings if s.path.startswith(f"{path}.")), None)
        if later is not None:
            text = f"'{path}' replaces '{later}' above it"
            problems.key(tree, path, Code.VALUE_NOT_ALLOWED, text, hint=f"write '{path}' first, or only one of them")
        if path.partition(".")[0] == "search":
            text = f"'{path}' is not a setting of a network or its training"
            problems.key(tree, path, Code.VALUE_NOT_ALLOWED, text, hint="remove it")
        elif path == "training.workers":
            text = "'training.workers' cannot be searched: a trial runs in one process"
            problems.key(
                tree, path, Code.VALUE_NOT_ALLOWED, text, hint="remove it; `graphspec search -j 2` runs two trials"
            )
        elif not is_space(child):
            if not child.unknown:
                text = f"'{path}' must be a space of values, not {describe(child)}"
                near = _meant(child)
                problems.value(child, Code.WRONG_TYPE, text, hint=near or _FORMS)
        elif (space := _space(child, path, problems)) is not None:
            settings.append(Setting(path, mark, space))
    return settings


def _meant(tree: Tree) -> str | None:
    """Return a hint for a mapping or a list that is nearly a space."""
    if isinstance(tree.value, list) and tree.value:
        return f"write `{{choice: {format_value(tree.plain())}}}`"
    if isinstance(tree.value, dict):
        return next((hint for key in tree.value if (hint := did_you_mean(key, KINDS)) is not None), None)
    return None


def is_space(tree: Tree) -> bool:
    """Return whether a mapping declares a space: it has a key ``float``, ``int`` or ``choice``, and no ``type``."""
    return isinstance(tree.value, dict) and any(kind in tree.value for kind in KINDS) and "type" not in tree.value


def _space(tree: Tree, name: str, problems: Problems) -> Space | None:
    kind = next(kind for kind in KINDS if kind in tree.value)
    wrong = [key for key in tree.value if key not in _KEYS[kind]]
    for key in wrong:
        hint = did_you_mean(key, _KEYS[kind]) or f"the keys of {_articled(kind)} space are {', '.join(_KEYS[kind])}"
        problems.key(tree, key, Code.UNKNOWN_KEY, f"unknown key '{key}' of the space '{name}'", hint=hint)
    if kind == "choice":
        return _choice(tree, name, problems)
    return _range(tree, name, problems, integer=kind == "int")


def _articled(kind: str) -> str:
    return f"an {kind}" if kind == "int" else f"a {kind}"


def _choice(tree: Tree, name: str, problems: Problems) -> Choice | None:
    given = tree.value["choice"]
    if not isinstance(given.value, list) or not given.value:
        if not given.unknown:
            text = f"`choice` of '{name}' must be a list of values, not {describe(given)}"
            problems.value(given, Code.WRONG_TYPE, text, hint="for example `{choice: [relu, gelu]}`")
        return None
    labels = [_label(item) for item in given.value]
    unique = [t if labels.count(t) == 1 else f"{t} {k + 1}" for k, t in enumerate(labels)]
    items = []
    for k, (label, item) in enumerate(zip(unique, given.value, strict=True)):
        if any(item.plain() == other.plain() and type(item.value) is type(other.value) for other in given.value[:k]):
            text = f"`choice` of '{name}' contains {describe(item)} twice"
            problems.value(item, Code.VALUE_NOT_ALLOWED, text, hint="remove one of them")
        inner = [
            (loc, space)
            for loc, found in _inside(item, ())
            if (space := _space(found, ".".join((f"{name}[{label}]", *map(str, loc))), problems)) is not None
        ]
        items.append(Item(label, item, tuple(inner)))
    return Choice(name, tuple(items), tree)


def _label(tree: Tree) -> str:
    kind = tree.get("type")
    if kind is not None and isinstance(kind.value, str):
        return kind.value
    text = tree.value if isinstance(tree.value, str) else format_value(tree)
    return text if len(text) <= 24 else f"{text[:23]}…"


def _inside(tree: Tree, loc: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Tree]]:
    """Yield the outermost spaces in a value, with their places."""
    if is_space(tree):
        yield loc, tree
    elif isinstance(tree.value, dict):
        for key, child in tree.value.items():
            yield from _inside(child, (*loc, key))
    elif isinstance(tree.value, list):
        for k, child in enumerate(tree.value):
            yield from _inside(child, (*loc, k))


def _range(tree: Tree, name: str, problems: Problems, *, integer: bool) -> Range | None:
    kind, before = "int" if integer else "float", len(problems.found)
    given, log, step = tree.value[kind], tree.get("log"), tree.get("step")
    if not isinstance(given.value, list) or len(given.value) != 2:
        if not given.unknown:
            text = f"`{kind}` of '{name}' must be a list of two bounds, not {describe(given)}"
            problems.value(given, Code.WRONG_TYPE, text, hint=f"write `{kind}: [low, high]`; both bounds are included")
        return None
    noun = "an integer" if integer else "a number"
    for bound in (*given.value, *([] if step is None else [step])):
        if not _is_number(bound.value, integer) and not bound.unknown:
            what = "`step`" if bound is step else "a bound"
            text = f"{what} of '{name}' must be {noun}, not {describe(bound)}"
            problems.value(bound, Code.WRONG_TYPE, text, hint=type_hint(bound, noun) or f"write {noun}")
    if log is not None and not isinstance(log.value, bool) and not log.unknown:
        text = f"`log` of '{name}' must be true or false, not {describe(log)}"
        problems.value(log, Code.WRONG_TYPE, text, hint=type_hint(log, "true or false") or "write true or false")
    if len(problems.found) > before or tree.unknown:
        return None
    low, high = (bound.value if integer else float(bound.value) for bound in given.value)
    by = None if step is None else step.value if integer else float(step.value)
    found = Range(name, low, high, integer, log is not None and log.value is True, by, tree)
    if (wrong := _contradiction(found)) is not None:
        at, text, hint = wrong
        problems.value(tree.get(at) or given, Code.VALUE_NOT_ALLOWED, text, hint=hint)
        return None
    return found


def _is_number(value: Any, integer: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if integer else (int, float)):
        return False
    return abs(value) < 2**53 if isinstance(value, int) else isfinite(value)


def _contradiction(space: Range) -> tuple[str, str, str] | None:
    """Return why a range is not possible: the key to blame, a message and a hint."""
    low, high, step = space.low, space.high, space.step
    kind = "int" if space.integer else "float"
    if low >= high:
        order = f"write `{kind}: [{high!r}, {low!r}]`" if low > high else f"write the value {low!r} into the spec"
        return kind, f"the bounds of '{space.name}' are not in order: {low!r} is not less than {high!r}", order
    if space.log and low <= 0:
        hint = "raise the lower bound, or leave out `log`"
        return kind, f"`log` of '{space.name}' needs positive bounds, not {low!r}", hint
    if space.log and step is not None:
        return "step", f"'{space.name}' has both `log` and `step`", "remove one of them, or write a `choice` of values"
    if step is None:
        return None
    if step <= 0:
        return "step", f"`step` of '{space.name}' must be positive, not {step!r}", "write a positive step"
    ratio = (high - low) / step
    if abs(ratio - round(ratio)) > EXACT * max(1, ratio) or round(ratio) < 1:
        last = low + floor(ratio + EXACT) * step
        near = last if last > low else low + step
        shown = f"{int(near)}" if space.integer else f"{near:.12g}"
        text = f"steps of {step!r} from {low!r} do not reach {high!r}, the upper bound of '{space.name}'"
        return "step", text, f"bounds are included: write {shown} as the upper bound, or another step"
    return None
