"""What is wrong with a file of initial weights."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from graphspec.base.arrays.array_files import ArrayFile
from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, did_you_mean
from graphspec.base.text import count
from graphspec.data.weights.names import names_in
from graphspec.data.weights.patterns import stars
from graphspec.graph.ir.dims import show

if TYPE_CHECKING:
    from graphspec.base.errors import Mark
    from graphspec.data.weights.names import Weight
    from graphspec.data.weights.recipes import Source
    from graphspec.language.declarations import WeightFile
    from graphspec.language.tree import Tree

_NAMED = 4  # weights that a message names
_MOST = 10  # problems of a file that are reported one by one
_OF_TORCH = (".weight", ".running_mean", ".in_proj_weight", ".weight_ih_l0")


def _at(file: WeightFile, *keys: str) -> Tree:
    """Return the value at ``keys`` of a file's mapping; the whole value if it is not there."""
    assert file.tree is not None
    return file.tree.find(keys)[0] or file.tree


def listed(names: Sequence[str], most: int = _NAMED) -> str:
    """Return names, at most ``most`` of them."""
    more = f", … ({len(names) - most} more)" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def missing(
    file: WeightFile, absent: Sequence[tuple[Weight, list[str]]], size: int, free: Sequence[str]
) -> list[Diagnostic]:
    """Return the problem of weights that a file lacks.

    Args:
        size: how many weights the file is for.
        free: its arrays that no other weight needs.
    """
    names = [weight.name for weight, _ in absent]
    every = len(absent) == size
    text = f"'{file.file}' lacks {'all' if every and size > 1 else ''} {count(size, 'weight')}".replace("  ", " ")
    if not every:
        text = f"'{file.file}' lacks {len(absent)} of {count(size, 'weight')}"
    text += f": {listed(names)}"
    wanted = next((w for _, w in absent if w), [])
    if wanted and wanted[0] != names[0]:
        text += f" (looked for '{wanted[0]}')"
    at = _at(file, "file")
    return [Diagnostic.at(at.mark, Code.WEIGHTS_MISSING, text, path=at.path, hint=_way_out(file, absent, free))]


def _way_out(file: WeightFile, absent: Sequence[tuple[Weight, list[str]]], free: Sequence[str]) -> str:
    """Return how to find weights in the file, or to do without them."""
    if file.layout == "keras" and any(name.endswith(_OF_TORCH) for name in free):
        return "its names are PyTorch's: write `layout: torch`"
    weight, wanted = absent[0]
    if not wanted:
        if file.layout == "torch" and weight.node.type == "GRU":
            return "PyTorch's GRU is `reset_after: true` here"
        return f"PyTorch has no such weight: start it new, `allow_missing: [{_pattern(absent)}]`"
    similar = _similar(wanted[0], free)
    if similar is not None:
        return f"the file has '{similar}': say so in `map`, or start new with `allow_missing: [{_pattern(absent)}]`"
    new = f"start new with `allow_missing: [{_pattern(absent)}]`"
    quoted = [f"'{name}'" for name in free]
    return f"the file has {listed(quoted, 3)}: give their names in `map`, or {new}" if free else new


def _similar(wanted: str, names: Collection[str]) -> str | None:
    """Return the name in a file that is most like the one that was looked for."""
    ends = [name for name in names if name.endswith((f".{wanted}", f"/{wanted}"))]
    close = did_you_mean(wanted, names)
    return ends[0] if ends else None if close is None else close.split("'")[1]


def _pattern(absent: Sequence[tuple[Weight, list[str]]]) -> str:
    """Return patterns of all weights that are absent, as a spec lists them."""
    nodes = list(dict.fromkeys(weight.node.name for weight, _ in absent))
    return ", ".join(f"{node}/*" for node in nodes) if len(nodes) <= 2 else "'*'"


def other_shape(file: WeightFile, weight: Weight, source: Source, name: str, array: ArrayFile) -> Diagnostic:
    """Return the problem of an array with another shape, at the node that needs it."""
    node = weight.node
    text = f"{node.type} '{node.name}' needs `{weight.role}` of shape {show(weight.shape)}"
    text += f", {show(source.shape)} in the file" if source.shape != weight.shape else ""
    text += f", but '{name}' of '{file.file}' has shape {show(array.shape)}"
    turned = file.layout == "keras" and len(array.shape) == 2 and array.shape[::-1] == weight.shape
    hint = "the file has PyTorch's layout: write `layout: torch`" if turned else _sizes(weight, source, array)
    hint += f", or start it new: `allow_missing: [{node.name}/*]`" if not turned else ""
    mark, path = _mark_of(weight)
    return Diagnostic.at(mark, Code.WEIGHT_SHAPE, text, path=path, hint=hint)


_SIZES = {"Dense": "units", "Embedding": "output_dim", "Conv1D": "filters", "Conv2D": "filters", "Conv3D": "filters"}


def _sizes(weight: Weight, source: Source, array: ArrayFile) -> str:
    """Return the argument of the layer that would make a weight of the file's shape."""
    needed, theirs, kind = source.shape, array.shape, str(weight.node.type)
    if kind == "Embedding" and len(theirs) == 2 and theirs[1] == needed[1]:
        return f"set `input_dim: {theirs[0]}`"
    if kind in _SIZES and needed and len(needed) == len(theirs):
        last = 0 if needed != weight.shape else len(needed) - 1  # PyTorch has the outputs first
        if needed[:last] + needed[last + 1 :] == theirs[:last] + theirs[last + 1 :]:
            return f"set `{_SIZES[kind]}: {theirs[last]}`"
    return "give the layer the sizes of the file"


def _mark_of(weight: Weight) -> tuple[Mark, str]:
    node = weight.node
    tree = node.tree.get("units") or node.tree.get("filters") or node.tree
    return (node.mark, node.tree.path) if tree is node.tree else (tree.mark, tree.path)


def other_kind(file: WeightFile, weight: Weight, name: str, array: ArrayFile | str) -> Diagnostic:
    """Return the problem of an array whose values are no floats."""
    kind = array.dtype if isinstance(array, ArrayFile) else array
    text = f"'{name}' of '{file.file}' has values of dtype {kind}, but '{weight.name}' is float"
    hint = "save it as float32; files with quantized weights must be converted first"
    at = _at(file, "file")
    return Diagnostic.at(at.mark, Code.LOSSY_CONVERSION, text, path=at.path, hint=hint)


def too_many(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Return the first problems; the last of them says how many more there are."""
    if len(found) <= _MOST:
        return list(found)
    last = found[_MOST - 1]
    return [*found[: _MOST - 1], replace(last, message=f"{last.message} (and {len(found) - _MOST} more like this)")]


def unmatched(file: WeightFile, names: Sequence[str]) -> list[Diagnostic]:
    """Return the problems of patterns that no weight matches."""
    found = []
    forms = [form for name in names for form in ([name, name[len(file.node) + 1 :]] if file.node else [name])]
    used = {form.pattern for name in names for form in names_in(file, name)}
    for ours, _ in file.map:
        if ours not in used and not _hidden(ours, forms):
            at = _at(file, "map", ours)
            text = f"`map` has the pattern '{ours}', which matches no weight"
            found.append(
                Diagnostic.at(at.mark, Code.WEIGHTS_MISSING, text, path=at.path, hint=_near(ours, names, True))
            )
    for k, pattern in enumerate(file.allow_missing):
        if not any(stars(pattern, form) is not None for form in forms):
            at = _at(file, "allow_missing")
            at = at.value[k] if isinstance(at.value, list) else at
            text = f"`allow_missing` has the pattern '{pattern}', which matches no weight"
            hint = _near(pattern, names, False)
            found.append(Diagnostic.at(at.mark, Code.WEIGHTS_MISSING, text, path=at.path, hint=hint))
    return found


def _hidden(pattern: str, names: Sequence[str]) -> bool:
    """Return whether an earlier pattern took all weights that a pattern matches: it is superfluous, not wrong."""
    parts = [name.split("/") for name in names]
    return any(stars(pattern, "/".join(p[:k])) is not None for p in parts for k in range(1, len(p) + 1))


def _near(pattern: str, names: Sequence[str], nodes: bool) -> str:
    """Return a hint for a pattern that matches nothing."""
    if not names:
        return "the network has no weights there"
    known = [name.rpartition("/")[0] for name in names] if nodes and "*" not in pattern else []
    known += names if "*" not in pattern else [f"{name.partition('/')[0]}/*" for name in names]
    known += [f"*/{name.rpartition('/')[2]}" for name in names]
    return did_you_mean(pattern, list(dict.fromkeys(known))) or f"weights are called such as '{names[0]}'"


def nothing_taken(file: WeightFile, weights: Sequence[Weight]) -> list[Diagnostic]:
    """Return the problem of a file that gives nothing."""
    at = _at(file, "file")
    if not weights:
        subject = f"'{file.node}'" if file.node else "the network"
        text = f"{subject} has no weights that '{file.file}' could give"
        hint = "remove it" if not file.node else "write it at a node with weights of its own"
    else:
        text = f"'{file.file}' gives none of {count(len(weights), 'weight')}: `allow_missing` covers all of them"
        hint = "give the names of the file in `map`"
    return [Diagnostic.at(at.mark, Code.WEIGHTS_MISSING, text, path=at.path, hint=hint)]
