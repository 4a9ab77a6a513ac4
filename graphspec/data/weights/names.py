"""The names in a file under which a weight of ours is looked up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from graphspec.data.weights.patterns import filled, stars
from graphspec.data.weights.recipes import Recipe, Shape, Source
from graphspec.data.weights.torch_layout import recipes

if TYPE_CHECKING:
    from graphspec.language.declarations import NodeDecl, WeightFile


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight of ours, ``<node>/<role>``, and its shape."""

    node: NodeDecl
    role: str
    shape: Shape

    @property
    def name(self) -> str:
        """The whole name."""
        return f"{self.node.name}/{self.role}"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to make a weight: a recipe, with the names in the file for each of its sources."""

    recipe: Recipe
    names: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Named:
    """A name in the file.

    Attributes:
        whole: the name as ``map`` writes it, still with our role at its end if ``ours`` is not empty.
        ours: the part at its end that is of our name.
        pattern: the pattern that it comes from; None without one.
    """

    whole: str
    ours: str
    pattern: str | None = None


def ways(file: WeightFile, weight: Weight) -> list[Way]:
    """Return the ways to make a weight from a file, the likeliest first."""
    named = names_in(file, weight.name)
    if file.layout == "torch":
        return list(_of_torch(named, weight))
    plain = Recipe((Source((), weight.shape),))
    return [Way(plain, (tuple(form.whole for form in named),))]


def names_in(file: WeightFile, name: str) -> list[Named]:
    """Return the names of a weight in a file: by the first pattern that matches the weight, its node or a block around it.

    Without one they are the name itself, and the name relative to the node that names the file.
    """
    forms = [name]
    if file.node and name.startswith(f"{file.node}/"):
        forms.append(name[len(file.node) + 1 :])
    plain, starred = _by_kind(file.map)
    starts = ["/".join(parts[:k]) for form in forms for parts in [form.split("/")] for k in range(1, len(parts) + 1)]
    first = min((plain[start] for start in starts if start in plain), default=len(file.map))
    before = [pair for k, pair in starred if k < first]
    for ours, theirs in [*before, *file.map[first : first + 1]]:
        for form in forms:
            if (found := _mapped(ours, theirs, form)) is not None:
                return [found]
    return [Named(form, form) for form in forms]


Pairs = tuple[tuple[str, str], ...]


@lru_cache(maxsize=64)
def _by_kind(pairs: Pairs) -> tuple[dict[str, int], list[tuple[int, tuple[str, str]]]]:
    """Return the places of patterns without stars, by name, and the other patterns with their places."""
    plain = {ours: k for k, (ours, _) in reversed([*enumerate(pairs)]) if "*" not in ours}
    return plain, [(k, pair) for k, pair in enumerate(pairs) if "*" in pair[0]]


def _mapped(ours: str, theirs: str, name: str) -> Named | None:
    """Return the name that a pattern leads to. It may stand for the name's beginning, up to a ``/``."""
    parts = name.split("/")
    for k in range(len(parts), 0, -1):
        texts = stars(ours, "/".join(parts[:k]))
        if texts is None:
            continue
        rest = "/".join(parts[k:])
        if (
            ours.endswith("/*") and not theirs.endswith("*") and theirs.count("*") < len(texts)
        ):  # `hidden/*: fc` is `hidden: fc`
            texts, rest = texts[:-1], "/".join(text for text in (texts[-1], rest) if text)
        kept = texts[-1] if texts and ours.endswith("*") and theirs.endswith("*") else ""
        kept = "/".join(text for text in (kept, rest) if text)
        return Named("/".join(text for text in (filled(theirs, texts), rest) if text), kept, ours)
    return None


# PyTorch


def _of_torch(named: list[Named], weight: Weight) -> Iterator[Way]:
    assert weight.node.layer is not None
    for recipe in recipes(weight.node.layer, weight.role, weight.shape):
        rest = weight.role[len(recipe.part) + 1 :] if recipe.part else weight.role
        for form in named:
            if not form.ours:  # the name of one array
                if len(recipe.sources) == 1:
                    yield Way(recipe, ((form.whole.replace("/", "."),),))
            elif f"/{form.ours}".endswith(f"/{rest}"):
                name, stack = _stack_of(form.whole[: -len(rest)].rstrip("/.").replace("/", "."))
                chosen = recipe
                if stack:  # the recipes of the other layers of a module differ in names alone
                    again = recipes(weight.node.layer, weight.role, weight.shape, stack)
                    chosen = next((r for r in again if r.part == recipe.part), recipe)
                yield Way(chosen, tuple(_joined(name, source) for source in chosen.sources))


def _stack_of(module: str) -> tuple[str, int]:
    """Return the module and the layer that a name such as ``rnn:1`` means."""
    name, colon, number = module.rpartition(":")
    return (name, int(number)) if colon and number.isascii() and number.isdigit() and len(number) < 4 else (module, 0)


def _joined(module: str, source: Source) -> tuple[str, ...]:
    return tuple(f"{module}.{name}" if module and name else module or name for name in source.names)
