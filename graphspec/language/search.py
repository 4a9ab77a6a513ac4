"""Parse the section ``search``: which settings a search changes, in which ranges, and what it optimizes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import floor, isfinite
from typing import Any, Literal

from graphspec.base.config import Config, PositiveInt, setting, with_article
from graphspec.base.errors import Code, Problems, did_you_mean, shorten
from graphspec.language.explain import salvage, validate
from graphspec.language.search_space import EXACT, Choice, Item, Range, Search, Setting, Space, endless
from graphspec.language.sections import mapping
from graphspec.language.tree import Tree, describe, format_value, is_flag, not_allowed, wrong_type

KINDS = ("float", "int", "choice")
MAX_SPACES = 200  # the most spaces of one search
_KEYS = {"float": ("float", "log", "step"), "int": ("int", "log", "step"), "choice": ("choice",)}
_FORMS = "write `{float: [low, high]}`, `{int: [low, high]}` or `{choice: [values]}`"


class ObjectiveKeys(Config):
    """What a search optimizes."""

    metric: str = setting("val_loss", "A column of `history.csv`.")
    goal: Literal["min", "max"] | None = setting(
        None, "`max` or `min`; by default as the metric says: a loss is minimized, an accuracy maximized."
    )


class SearchKeys(Config):
    """A search for good settings: `graphspec search` trains one run for each trial. `train` ignores it."""

    space: dict[str, Any] = setting(..., "By path, as in `--set`: the values that trials may take.")
    trials: PositiveInt | None = setting(
        None, "The number of trials: 20 by default, and the whole grid for `sampler: grid`."
    )
    objective: dict[str, Any] | None = setting(None, "What is optimized, `{metric: val_loss}` by default.")
    sampler: Literal["tpe", "random", "grid"] = setting(
        "tpe", "How values are chosen: `tpe` learns from earlier trials and needs the extra `search`."
    )
    prune: Literal["none", "median", "hyperband"] = setting(
        "none", "Which trials end early: those that are worse than others were at the same epoch."
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
        not_allowed(space, text, problems, "search fewer settings at a time")
    for wrong, message, hint in endless(found) if keys.sampler == "grid" else ():
        not_allowed(wrong, message, problems, hint)
    return None if len(problems.found) > before else found


def _settings(tree: Tree, problems: Problems) -> list[Setting]:
    settings: list[Setting] = []
    if not tree.value:
        not_allowed(tree, "`space` is empty: there is nothing to search", problems, _FORMS)
    for path, child in tree.value.items():
        report = partial(problems.key, tree, path, Code.VALUE_NOT_ALLOWED)
        later = next((s.path for s in settings if s.path.startswith(f"{path}.")), None)
        if later is not None:
            report(f"'{path}' replaces '{later}' above it", hint=f"write '{path}' first, or only one of them")
        if path.partition(".")[0] == "search":
            report(f"'{path}' is not a setting of a network or its training", hint="remove it")
        elif path == "training.workers":
            hint = "remove it; `graphspec search -j 2` runs two trials"
            report("'training.workers' cannot be searched: a trial runs in one process", hint=hint)
        elif not is_space(child):
            if not child.unknown:
                hint = _FORMS
                if isinstance(child.value, dict):
                    hint = next(filter(None, (did_you_mean(key, KINDS) for key in child.value)), _FORMS)
                elif isinstance(child.value, list) and child.value:
                    hint = f"write `{{choice: {format_value(child.plain())}}}`"
                wrong_type(child, f"'{path}' must be a space of values", problems, hint)
        elif (space := _space(child, path, problems)) is not None:
            settings.append(Setting(path, tree.key_marks.get(path, child.mark), space))
    return settings


def is_space(tree: Tree) -> bool:
    """Return whether a mapping declares a space: it has a key ``float``, ``int`` or ``choice``, and no ``type``."""
    return isinstance(tree.value, dict) and any(kind in tree.value for kind in KINDS) and "type" not in tree.value


def _space(tree: Tree, name: str, problems: Problems) -> Space | None:
    kind = next(kind for kind in KINDS if kind in tree.value)
    for key in (key for key in tree.value if key not in _KEYS[kind]):
        every = f"the keys of {with_article(kind)} space are {', '.join(_KEYS[kind])}"
        message = f"unknown key '{key}' of the space '{name}'"
        problems.key(tree, key, Code.UNKNOWN_KEY, message, hint=did_you_mean(key, _KEYS[kind]) or every)
    return _choice(tree, name, problems) if kind == "choice" else _range(tree, name, problems, integer=kind == "int")


def _choice(tree: Tree, name: str, problems: Problems) -> Choice | None:
    values = tree.value["choice"]
    if not isinstance(values.value, list) or not values.value:
        if not values.unknown:
            hint = "for example `{choice: [relu, gelu]}`"
            wrong_type(values, f"`choice` of '{name}' must be a list of values", problems, hint)
        return None
    labels = [_label(item) for item in values.value]
    unique = [t if labels.count(t) == 1 else f"{t} {k + 1}" for k, t in enumerate(labels)]
    items = []
    for k, (label, item) in enumerate(zip(unique, values.value, strict=True)):
        if any(item.plain() == other.plain() and type(item.value) is type(other.value) for other in values.value[:k]):
            not_allowed(item, f"`choice` of '{name}' contains {describe(item)} twice", problems, "remove one of them")
        inner = [
            (loc, space)
            for loc, found in _inside(item, ())
            if (space := _space(found, ".".join((f"{name}[{label}]", *map(str, loc))), problems)) is not None
        ]
        items.append(Item(label, item, tuple(inner)))
    return Choice(name, tuple(items), tree)


def _label(tree: Tree) -> str:
    kind = tree.text("type")
    return shorten(tree.value if isinstance(tree.value, str) else format_value(tree), 24) if kind is None else kind


def _inside(tree: Tree, loc: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Tree]]:
    """Yield the outermost spaces in a value, with their places."""
    if is_space(tree):
        yield loc, tree
        return
    steps = tree.value if isinstance(tree.value, dict) else range(len([*tree.children()]))
    for step, child in zip(steps, tree.children(), strict=True):
        yield from _inside(child, (*loc, step))


def _range(tree: Tree, name: str, problems: Problems, *, integer: bool) -> Range | None:
    kind, before = "int" if integer else "float", len(problems.found)
    bounds, log, step = tree.value[kind], tree.get("log"), tree.get("step")
    if not isinstance(bounds.value, list) or len(bounds.value) != 2:
        if not bounds.unknown:
            hint = f"write `{kind}: [low, high]`; both bounds are included"
            wrong_type(bounds, f"`{kind}` of '{name}' must be a list of two bounds", problems, hint)
        return None
    noun = "an integer" if integer else "a number"
    for bound in (*bounds.value, *([] if step is None else [step])):
        if not _is_number(bound.value, integer) and not bound.unknown:
            what = "`step`" if bound is step else "a bound"
            wrong_type(bound, f"{what} of '{name}' must be {noun}", problems, f"write {noun}", noun)
    is_flag(log, f"`log` of '{name}'", problems, "write true or false")
    if len(problems.found) > before or tree.unknown:
        return None
    low, high = (bound.value if integer else float(bound.value) for bound in bounds.value)
    by = None if step is None else step.value if integer else float(step.value)
    found = Range(name, low, high, integer, log is not None and log.value is True, by, tree)
    if (wrong := _contradiction(found)) is not None:
        at, text, hint = wrong
        not_allowed(tree.get(at) or bounds, text, problems, hint)
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
