"""The ways to make a weight of ours from arrays of a file: under which names, in whose layout.

In patterns of names, ``*`` is any text, also with ``/`` and ``.``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import itemgetter

import numpy as np

from graphspec.base.arrays.layout import Array
from graphspec.graph.ir.dims import LearntSize
from graphspec.language.declarations import NodeDecl, WeightFile
from graphspec.vocabulary.layers.cells import Cell
from graphspec.vocabulary.layers.layer import Layer
from graphspec.vocabulary.layers.recurrent import Recurrent


@lru_cache(maxsize=4096)
def parts(pattern: str) -> tuple[str, ...]:
    """Return the texts around the stars of a pattern; several stars in a row are one."""
    return tuple(re.split(r"\*+", pattern))


def matches(pattern: str, name: str) -> bool:
    """Return whether a name matches."""
    return stars(pattern, name) is not None


def stars(pattern: str, name: str) -> tuple[str, ...] | None:
    """Return the text that each ``*`` stands for, the first ones as short as possible; None if the name does not match.

    The time is linear in the length of the name: after the shortest text, all others still match if any does.
    """
    first, *others = parts(pattern)
    if not others:
        return () if name == first else None
    *inner, last = others
    end = len(name) - len(last)
    if end < len(first) or not (name.startswith(first) and name.endswith(last)):
        return None
    found, at = [], len(first)
    for text in inner:
        begin = name.find(text, at, end)
        if begin < 0:
            return None
        found.append(name[at:begin])
        at = begin + len(text)
    return (*found, name[at:end])


def filled(replacement: str, texts: Sequence[str]) -> str:
    """Return a replacement with a text for each ``*``; with fewer of them, the last texts: ``x_*/*`` → ``y.*``."""
    first, *others = parts(replacement)
    used = texts[len(texts) - len(others) :]
    return first + "".join(text + part for text, part in zip(used, others, strict=True))


# How a weight of ours is made from arrays of a file.
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """An array of a file."""

    names: tuple[str, ...]  # its names, the likeliest first; of a module's array, what follows the module's name
    shape: Shape  # the shape that it must have
    loose: bool = False  # axes of size 1 do not count

    def fits(self, shape: Shape) -> bool:
        """Return whether an array of this shape fits; sizes that are still to be learnt fit any."""
        ours = self.shape
        if self.loose:
            ours, shape = _without_ones(ours), _without_ones(shape)
        sizes = zip(shape, ours, strict=False)
        return len(shape) == len(ours) and all(n == d or isinstance(d, LearntSize) for n, d in sizes)


def _without_ones(shape: Shape) -> Shape:
    return tuple(n for n in shape if n != 1)


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to make a weight."""

    sources: tuple[Source, ...]  # the arrays that are needed, all of them
    convert: Callable[[Sequence[Array]], Array] = itemgetter(0)  # makes the weight from their values, up to a reshape
    part: str = ""  # the beginning of the role that is a module of its own in the file: ``query`` of ``query/kernel``


def permuted(shape: Shape, perm: Sequence[int], names: tuple[str, ...]) -> Recipe:
    """Return the recipe of a weight of this shape whose axes are those of an array in the order ``perm``."""
    theirs = tuple(shape[perm.index(axis)] for axis in range(len(perm)))
    return Recipe((Source(names, theirs),), lambda arrays: arrays[0].transpose(perm))


def as_it_is(shape: Shape, *names: str, part: str = "", loose: bool = False) -> Recipe:
    """Return the recipe of a weight that is an array of the file."""
    return Recipe((Source(names, shape, loose),), part=part)


# PyTorch's names and layouts of the weights of our layers. A module ``fc`` of PyTorch has arrays such as ``fc.weight``. Each
# function returns, for a weight of a layer, the ways to make it from a module's arrays; none if PyTorch has no such weight.
IGNORED = "num_batches_tracked"  # the counter of BatchNorm, which says nothing here
_NORM = {
    "gamma": ("weight", "gamma", "scale"),
    "beta": ("bias", "beta"),
    "scale": ("weight", "scale"),
    "moving_mean": ("running_mean",),
    "moving_variance": ("running_var",),
}
# For each of Keras's gates, PyTorch's: i f g o in both, and z r h of r z n.
_GATES = {"LSTMCell": (0, 1, 2, 3), "GRUCell": (1, 0, 2), "SimpleRNNCell": (0,)}


def recipes(layer: Layer, role: str, shape: Shape, stack: int = 0) -> list[Recipe]:
    """Return the ways to make a layer's weight (in layer ``stack`` of a recurrent module), the likeliest first."""
    from graphspec.vocabulary.layers.attention import MultiHeadAttention, ProjectedAttention
    from graphspec.vocabulary.layers.core import Dense, Embedding
    from graphspec.vocabulary.layers.recurrent import Bidirectional, Recurrent

    inner = getattr(layer, "layer", None)
    if isinstance(layer, Bidirectional):
        side, _, rest = role.partition("/")
        backward = side == "backward"
        chosen = layer.backward_layer if backward and layer.backward_layer is not None else layer.layer
        return _recurrent(chosen, rest, shape, stack, "_reverse" * backward) if isinstance(chosen, Recurrent) else []
    if inner is not None:  # the weights of a wrapped layer have its roles
        return recipes(inner, role, shape, stack)
    if isinstance(layer, Recurrent):
        return _recurrent(layer, role, shape, stack, "")
    if isinstance(layer, Dense):
        return [permuted(shape, (1, 0), ("weight",)) if role == "kernel" else as_it_is(shape, "bias")]
    if isinstance(layer, Embedding):
        return [as_it_is(shape, "weight")]
    if isinstance(layer, ProjectedAttention):
        whole = isinstance(layer, MultiHeadAttention)
        return [_projection(role, shape), *(_packed(role, shape) if whole else [])]
    if found := _of_filters(layer, role, shape):
        return found
    # a normalization, or a weight that is not of a module: a Parameter, or the only weight of one
    return [as_it_is(shape, *_NORM.get(role, (role, "", "weight")), loose=True)]


def _of_filters(layer: Layer, role: str, shape: Shape) -> list[Recipe]:
    """Convolutions. The kernel of PyTorch has its channels first; a depthwise one is a convolution in groups."""
    from graphspec.vocabulary.layers.convolution import DepthwiseConv, FilterBank

    if role in ("kernel", "pointwise_kernel", "depthwise_kernel") and len(shape) > 2:
        spatial = range(2, len(shape))
        names = ("weight" if role == "kernel" else role.replace("_kernel", ".weight"),)
        if role == "depthwise_kernel" or (role == "kernel" and isinstance(layer, DepthwiseConv)):
            *window, channels, multiplier = shape
            theirs, split = (channels * multiplier, 1, *window), (channels, multiplier, *window)
            turned = (*spatial, 0, 1)
            return [Recipe((Source(names, theirs),), lambda arrays: arrays[0].reshape(split).transpose(turned))]
        if isinstance(layer, FilterBank) or role == "pointwise_kernel":
            return [permuted(shape, (*spatial, 1, 0), names)]
    return [as_it_is(shape, "bias", "pointwise.bias")] if role == "bias" and len(shape) == 1 else []


# Recurrent layers


def _recurrent(layer: Recurrent, role: str, shape: Shape, stack: int, direction: str) -> list[Recipe]:
    """A recurrent layer: each cell is a layer of PyTorch's module, ``weight_ih_l0``; the bias is the sum of two."""
    for k, (name, cell) in enumerate(layer.parts()):
        rest = role.removeprefix(f"{name}/") if name else role
        if "/" not in rest and (rest != role or not name):
            return _cell(cell, rest, shape, f"_l{stack + k}{direction}")
    return []


def _cell(cell: Cell, role: str, shape: Shape, end: str) -> list[Recipe]:
    order = next((_GATES[kind.__name__] for kind in type(cell).__mro__ if kind.__name__ in _GATES), None)
    if order is None:
        return []

    def source(of: str, shape: Shape) -> Source:
        return Source((f"{of}{end}", of), shape)

    def in_order(array: Array) -> Array:
        """Return an array whose last axis has a block for each gate, with the blocks in our order."""
        blocks = np.split(array, len(order), axis=-1)
        return array if order == tuple(range(len(order))) else np.concatenate([blocks[k] for k in order], axis=-1)

    if role in ("kernel", "recurrent_kernel"):
        of = "weight_ih" if role == "kernel" else "weight_hh"
        return [Recipe((source(of, shape[::-1]),), lambda arrays: in_order(arrays[0].T))]
    if len(order) != 3:
        both = (source("bias_ih", shape), source("bias_hh", shape))
        # the sum is rounded once to float32
        return [Recipe(both, lambda arrays: in_order((arrays[0].astype(np.float64) + arrays[1]).astype(np.float32)))]
    if len(shape) != 2:  # without `reset_after`, the reset gate acts before the product
        return []
    both = (source("bias_ih", shape[1:]), source("bias_hh", shape[1:]))
    return [Recipe(both, lambda arrays: in_order(np.stack(arrays)))]


# Attention


def _projection(role: str, shape: Shape) -> Recipe:
    """A projection that is a Linear of its own: ``query.weight`` of (heads · size, features)."""
    part, _, kind = role.partition("/")
    if kind == "bias":
        return as_it_is((math.prod(shape),), "bias", part=part)
    if kind != "kernel" or len(shape) != 3:
        return as_it_is(shape, role.replace("/", "."))
    return Recipe((Source(("weight",), _flat(part, shape)),), _turned, part)


def _flat(part: str, shape: Shape) -> Shape:
    """Return the shape of a Linear's weight: (outputs, inputs)."""
    if part == "attention_output":  # (heads, size, features)
        return shape[2], math.prod(shape[:2])
    return math.prod(shape[1:]), shape[0]


def _turned(arrays: Sequence[Array]) -> Array:
    return arrays[0].T


def _packed(role: str, shape: Shape) -> list[Recipe]:
    """PyTorch's MultiheadAttention: query, key and value are thirds of ``in_proj_weight``, or have names of their own."""
    part, _, kind = role.partition("/")
    if part == "attention_output":
        if kind == "bias":
            return [as_it_is(shape, "out_proj.bias")]
        return [Recipe((Source(("out_proj.weight",), _flat(part, shape)),), _turned)]
    thirds = ("query", "key", "value")
    if part not in thirds or kind not in ("kernel", "bias") or len(shape) != (3 if kind == "kernel" else 2):
        return []
    third: Callable[[Sequence[Array]], Array] = partial(_third, k=thirds.index(part))
    if kind == "bias":
        return [Recipe((Source(("in_proj_bias",), (3 * math.prod(shape),)),), third)]
    outputs, inputs = _flat(part, shape)
    return [
        Recipe((Source(("in_proj_weight",), (3 * outputs, inputs)),), third),
        Recipe((Source((f"{part[0]}_proj_weight",), (outputs, inputs)),), _turned),
    ]


def _third(arrays: Sequence[Array], k: int) -> Array:
    size = len(arrays[0]) // 3
    return arrays[0][k * size : (k + 1) * size].T


# The names in a file under which a weight of ours is looked up.
@dataclass(frozen=True, slots=True)
class Weight:
    """A weight of ours, ``<node>/<role>``, and its shape."""

    node: NodeDecl
    role: str
    shape: Shape

    @property
    def name(self) -> str:
        return f"{self.node.name}/{self.role}"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to make a weight: a recipe, with the names in the file for each of its sources."""

    recipe: Recipe
    names: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Named:
    """A name in the file."""

    whole: str  # the name as ``map`` writes it, still with our role at its end if ``ours`` is not empty
    ours: str  # the part at its end that is of our name
    pattern: str | None = None  # the pattern that it comes from; None without one


def ways(file: WeightFile, weight: Weight) -> list[Way]:
    """Return the ways to make a weight from a file, the likeliest first."""
    named = names_in(file, weight.name)
    if file.layout == "torch":
        return list(_of_torch(named, weight))
    return [Way(Recipe((Source((), weight.shape),)), (tuple(form.whole for form in named),))]


def forms(file: WeightFile, name: str) -> list[str]:
    """Return the names of a weight that patterns may mean: its own, and the one relative to the file's node."""
    return [name, name[len(file.node) + 1 :]] if file.node else [name]


def names_in(file: WeightFile, name: str) -> list[Named]:
    """Return the names of a weight in a file: by the first pattern that matches the weight, its node or a block around it.

    Without one they are the name itself, and the name relative to the node that names the file.
    """
    possible = forms(file, name)
    plain, starred = _by_kind(file.map)
    starts = ["/".join(parts[:k]) for form in possible for parts in [form.split("/")] for k in range(1, len(parts) + 1)]
    first = min((plain[start] for start in starts if start in plain), default=len(file.map))
    before = [pair for k, pair in starred if k < first]
    for ours, theirs in [*before, *file.map[first : first + 1]]:
        for form in possible:
            if (found := _mapped(ours, theirs, form)) is not None:
                return [found]
    return [Named(form, form) for form in possible]


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
        rest, open_end = "/".join(parts[k:]), theirs.endswith("*")
        if ours.endswith("/*") and not open_end and theirs.count("*") < len(texts):  # `hidden/*: fc` is `hidden: fc`
            texts, rest = texts[:-1], _path(texts[-1], rest)
        kept = texts[-1] if texts and ours.endswith("*") and open_end else ""
        return Named(_path(filled(theirs, texts), rest), _path(kept, rest), ours)
    return None


def _path(*names: str) -> str:
    return "/".join(name for name in names if name)


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
