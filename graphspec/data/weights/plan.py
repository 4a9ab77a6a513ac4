"""Which weights start from which arrays of which files; nothing but the descriptions of arrays is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.arrays.array_files import ArrayFile, converted
from graphspec.base.arrays.layout import Array
from graphspec.base.errors import Diagnostic, ProblemError, SpecError, UsageError
from graphspec.data.weights.files import Contents, open_weights
from graphspec.data.weights.names import Way, Weight, ways
from graphspec.data.weights.patterns import matches
from graphspec.data.weights.problems import missing, nothing_taken, other_kind, other_shape, too_many, unmatched
from graphspec.data.weights.recipes import Recipe
from graphspec.data.weights.torch_layout import IGNORED

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Graph
    from graphspec.language.declarations import NodeDecl, Spec, WeightFile


@dataclass(frozen=True, slots=True)
class Taken:
    """A weight that starts from arrays of a file."""

    weight: Weight
    recipe: Recipe
    arrays: tuple[tuple[str, ArrayFile], ...]

    def values(self) -> Array:
        """Return the weight's values, which are read now.

        Raises:
            ProblemError: they cannot be read, or are not finite.
        """
        made = self.recipe.convert([converted(array.read(), "float32") for _, array in self.arrays])
        return np.ascontiguousarray(made).reshape(self.weight.shape)


@dataclass(slots=True)
class FilePlan:
    """What one file gives.

    Attributes:
        new: the weights that it does not give, and why, in a few words.
        left_over: the arrays that no weight needs.
        size: how many weights it is for.
    """

    file: WeightFile
    contents: Contents
    size: int
    taken: list[Taken] = field(default_factory=list)
    new: dict[str, str] = field(default_factory=dict)
    left_over: list[str] = field(default_factory=list)

    def values(self) -> Iterator[tuple[str, Array]]:
        """Yield the weights that the file gives, one after the other.

        Raises:
            SpecError: an array has values that are no weights.
            UsageError: the file has changed since it was opened.
        """
        if not self.contents.unchanged():
            raise UsageError(f"{self.contents.path} has changed while it was used; start again")
        for taken in self.taken:
            try:
                yield taken.weight.name, taken.values()
            except ProblemError as error:
                tree = self.file.tree
                names = " and ".join(f"'{name}'" for name, _ in taken.arrays)
                subject = f"{names} of '{self.file.file}'"
                assert tree is not None
                raise SpecError([Diagnostic.of(subject, error.problem, tree.mark, path=tree.path)]) from None


def plan_weights(spec: Spec, graph: Graph, *, complete: bool) -> tuple[list[FilePlan], list[Diagnostic]]:
    """Return what each file of initial weights gives, and the problems of the files.

    Args:
        complete: whether all nodes were lowered; otherwise weights may be absent, and nothing is said of patterns.
    """
    files = spec.weight_files
    groups = _grouped(files, _weights(spec.nodes, graph))
    plans: list[FilePlan] = []
    found: list[Diagnostic] = []
    for file, weights in zip(files, groups, strict=True):
        tree = file.tree
        assert tree is not None
        try:
            contents = open_weights((spec.base or Path()) / file.file)
        except ProblemError as error:
            at = tree.get("file") or tree
            found.append(Diagnostic.of(f"the file '{file.file}'", error.problem, at.mark, path=at.path))
            continue
        plan = FilePlan(file, contents, len(weights))
        found += _filled(plan, weights)
        if complete:
            found += unmatched(file, [w.name for w in weights]) if weights else []
            if not plan.taken and not any(d.is_error for d in found):
                found += nothing_taken(file, weights)
        used = {name for taken in plan.taken for name, _ in taken.arrays}
        plan.left_over = [name for name in contents.arrays if name not in used and not name.endswith(IGNORED)]
        plans.append(plan)
    return plans, list(dict.fromkeys(found))


def _weights(nodes: Sequence[NodeDecl], graph: Graph) -> list[Weight]:
    """Return the weights of the graph with their nodes."""
    owners = {node.name: node for node in nodes if node.share is None}
    found = []
    for param in graph.params.values():
        name = param.name
        while name and name not in owners:
            name = name.rpartition("/")[0]
        if name:
            found.append(Weight(owners[name], param.name[len(name) + 1 :], param.shape))
    return found


def _grouped(files: Sequence[WeightFile], weights: Sequence[Weight]) -> list[list[Weight]]:
    """Return, for each file, the weights that start from it: of those around a weight, the innermost counts."""
    by_node: dict[str, int] = {file.node: k for k, file in enumerate(files)}
    groups: list[list[Weight]] = [[] for _ in files]
    for weight in weights:
        name = weight.node.name
        while name and name not in by_node:
            name = name.rpartition("/")[0]
        if name in by_node:
            groups[by_node[name]].append(weight)
    return groups


def _filled(plan: FilePlan, weights: Sequence[Weight]) -> list[Diagnostic]:
    """Decide where each weight comes from; return the problems."""
    file, arrays = plan.file, plan.contents.arrays
    absent: list[tuple[Weight, list[str]]] = []
    wrong: dict[str, Diagnostic] = {}  # one for each node, whose weights misfit together
    for weight in weights:
        may_start_new = any(matches(p, form) for p in file.allow_missing for form in _forms(file, weight))
        possible = ways(file, weight)
        way = next((w for w in possible if _chosen(w, arrays) is not None), None)
        if way is None:
            if may_start_new:
                plan.new[weight.name] = "not in the file"
            else:
                absent.append((weight, _wanted(possible)))
            continue
        names = _chosen(way, arrays) or []
        described = [(name, array) for name in names if isinstance(array := arrays[name], ArrayFile)]
        misfit = next(
            (
                (source, name, array)
                for source, (name, array) in zip(way.recipe.sources, described, strict=False)
                if not source.fits(array.shape)
            ),
            None,
        )
        unusable = next((name for name in names if not _is_float(arrays[name])), None)
        if unusable is not None:
            wrong.setdefault(weight.name, other_kind(file, weight, unusable, arrays[unusable]))
        elif misfit is None:
            plan.taken.append(Taken(weight, way.recipe, tuple(described)))
        elif may_start_new:
            plan.new[weight.name] = "another shape in the file"
        else:
            wrong.setdefault(weight.node.name, other_shape(file, weight, *misfit))
    used = {name for taken in plan.taken for name, _ in taken.arrays}
    free = [name for name in arrays if name not in used]
    return [*(missing(file, absent, len(weights), free) if absent else []), *too_many([*wrong.values()])]


def _forms(file: WeightFile, weight: Weight) -> list[str]:
    """Return the names of a weight that patterns may mean: its own, and the one relative to the file's node."""
    own = weight.name
    return [own, own[len(file.node) + 1 :]] if file.node else [own]


def _chosen(way: Way, arrays: Mapping[str, ArrayFile | str]) -> list[str] | None:
    """Return the name of each source in the file; None if one is not there."""
    names = [next((name for name in alternatives if name in arrays), None) for alternatives in way.names]
    return None if None in names else [name for name in names if name is not None]


def _wanted(possible: Sequence[Way]) -> list[str]:
    """Return the likeliest names of a weight in the file, which were looked up in vain."""
    return list(dict.fromkeys(alternatives[0] for way in possible[:1] for alternatives in way.names))


def _is_float(array: ArrayFile | str) -> bool:
    return isinstance(array, ArrayFile) and (array.halves or array.dtype.kind == "f")
