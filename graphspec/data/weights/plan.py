"""Which weights start from which arrays of which files, what is wrong with that, and what is reported of it.

Nothing but the descriptions of arrays is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from graphspec.base.arrays.array_files import ArrayFile, arrays_in, converted
from graphspec.base.arrays.layout import Array
from graphspec.base.errors import Code, Diagnostic, ProblemError, SpecError, UsageError, did_you_mean
from graphspec.base.text import count, shell
from graphspec.data.weights.ways import IGNORED, Recipe, Source, Way, Weight, forms, matches, names_in, ways
from graphspec.graph.ir.dims import show
from graphspec.graph.ir.graph import Graph
from graphspec.language.declarations import Spec, WeightFile

# Open a file of weights: what it holds, and why others are refused.
WEIGHTS = "weights.safetensors"  # the file of a run that has its weights
_ANY = "name a file .safetensors or .npz, or a run directory"
_TORCH = (
    'import torch, safetensors.torch as s; d = torch.load({old}, map_location="cpu", weights_only=True); '
    's.save_file({{k: v.clone().contiguous() for k, v in d.get("state_dict", d).items()}}, {new})'
)
_KERAS = (
    "import keras, safetensors.numpy as s; m = keras.saving.load_model({old}); "
    "s.save_file({{w.path: keras.ops.convert_to_numpy(w) for w in m.weights}}, {new})"
)
_SAVED = "s.save_file({{k: np.ascontiguousarray(v) for k, v in d.items()}}, {new})"
_PICKLE = 'import pickle, numpy as np, safetensors.numpy as s; d = pickle.load(open({old}, "rb")); ' + _SAVED
_OBJECTS = "import numpy as np, safetensors.numpy as s; d = np.load({old}, allow_pickle=True).item(); " + _SAVED
_CONVERTED = {  # by suffix, what a file is, and the line of Python that converts it
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".bin"), ("a file of PyTorch, which is a pickle", _TORCH)),
    **dict.fromkeys((".pkl", ".pickle"), ("a pickle", _PICKLE)),
    ".npy": ("one array without a name, or a pickle", _OBJECTS),
    **dict.fromkeys((".keras", ".h5", ".hdf5"), ("a file of Keras", _KERAS)),
}


@dataclass(frozen=True)
class Contents:
    """The arrays of a file."""

    path: Path  # the file, of a run the one with its weights
    arrays: Mapping[str, ArrayFile | str]  # their descriptions by name; of an array with an unknown dtype, the dtype
    state: tuple[int, int]

    def unchanged(self) -> bool:
        try:
            return _state(self.path) == self.state
        except OSError:
            return False

    def sha256(self) -> str:
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def open_weights(path: Path) -> Contents:
    """Return what a file, or the weights of a run, holds; only descriptions are read.

    Raises ProblemError: GS501, it cannot be read, or has another format; GS504, it contains Python objects.
    """
    try:
        if "\0" in str(path):
            raise _unreadable("is not a name of a file")
        if path.is_dir():
            weights = path / WEIGHTS
            if not weights.is_file():
                begun = (path / "spec.json").is_file()
                what = "has not written its weights yet" if begun else "is not a run directory"
                raise _unreadable(f"{what}: it has no {WEIGHTS}")
            return _contents(weights, _state(weights))
        if (known := _CONVERTED.get(path.suffix.lower())) is not None:
            raise _unreadable(f"is {known[0]}", _conversion(path, known[1]))
        if not path.is_file():
            exists = path.exists()
            hint = _ANY if exists else f"{_ANY}; names are relative to the spec"
            raise _unreadable("is not a file" if exists else "does not exist", hint)
        if not path.name.lower().endswith((".safetensors", ".npz")):
            raise _unreadable("is no file of weights")
        return _contents(path, _state(path))
    except OSError as error:
        raise _unreadable(f"cannot be read: {(error.strerror or type(error).__name__).lower()}") from None


def _unreadable(what: str, hint: str = _ANY) -> ProblemError:
    return ProblemError(Code.UNREADABLE_FILE, what, hint=hint)


def _conversion(path: Path, line: str) -> str:
    """Return the hint with the command that writes a file of safetensors beside the other one."""
    old, new = (json.dumps(p.as_posix()) for p in (path, path.with_suffix(".safetensors")))
    command = line.format(old=old, new=new)
    convert = f"convert it once, if you trust it: {shell('python', '-c', command)}"
    if line != _KERAS:
        return convert
    imported = shell("graphspec", "import", str(path), "-o", str(path.with_suffix(".yaml")))
    return f"`{imported}` takes its network and its weights; or {convert}"


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=16)
def _contents(path: Path, state: tuple[int, int]) -> Contents:
    return Contents(path, arrays_in(path), state)


# What is wrong with a file of initial weights.
_NAMED = 4  # weights that a message names
_MOST = 10  # problems of a file that are reported one by one
_OF_TORCH = (".weight", ".running_mean", ".in_proj_weight", ".weight_ih_l0")


def _problem(file: WeightFile, text: str, hint: str, *keys: str | int, code: Code = Code.WEIGHTS_MISSING) -> Diagnostic:
    """Return a problem at the value at ``keys`` of a file's mapping; at the whole value if it is not there."""
    assert file.tree is not None
    at = file.tree.find(keys)[0] or file.tree
    return Diagnostic.at(at.mark, code, text, path=at.path, hint=hint)


def listed(names: Sequence[str], most: int = _NAMED) -> str:
    """Return names, at most ``most`` of them."""
    more = f", … ({len(names) - most} more)" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def missing(
    file: WeightFile, absent: Sequence[tuple[Weight, list[str]]], size: int, free: Sequence[str]
) -> list[Diagnostic]:
    """Return the problem of weights that a file lacks, which is for ``size`` weights; ``free``: arrays that none needs."""
    names = [weight.name for weight, _ in absent]
    some = f"{len(absent)} of " if len(absent) < size else "all " if size > 1 else ""
    text = f"'{file.file}' lacks {some}{count(size, 'weight')}: {listed(names)}"
    wanted = next((w for _, w in absent if w), [])
    if wanted and wanted[0] != names[0]:
        text += f" (looked for '{wanted[0]}')"
    return [_problem(file, text, _way_out(file, absent, free), "file")]


def _way_out(file: WeightFile, absent: Sequence[tuple[Weight, list[str]]], free: Sequence[str]) -> str:
    """Return how to find weights in the file, or to do without them."""
    if file.layout == "keras" and any(name.endswith(_OF_TORCH) for name in free):
        return "its names are PyTorch's: write `layout: torch`"
    weight, wanted = absent[0]
    if not wanted and file.layout == "torch" and weight.node.type == "GRU":
        return "PyTorch's GRU is `reset_after: true` here"
    nodes = list(dict.fromkeys(weight.node.name for weight, _ in absent))
    patterns = ", ".join(f"{node}/*" for node in nodes) if len(nodes) <= 2 else "'*'"
    start = f"`allow_missing: [{patterns}]`"
    if not wanted:
        return f"PyTorch has no such weight: start it new, {start}"
    if (similar := _similar(wanted[0], free)) is not None:
        return f"the file has '{similar}': say so in `map`, or start new with {start}"
    if not free:
        return f"start new with {start}"
    names = listed([f"'{name}'" for name in free], 3)
    return f"the file has {names}: give their names in `map`, or start new with {start}"


def _similar(wanted: str, names: Collection[str]) -> str | None:
    """Return the name in a file that is most like the one that was looked for."""
    ends = [name for name in names if name.endswith((f".{wanted}", f"/{wanted}"))]
    close = did_you_mean(wanted, names)
    return ends[0] if ends else None if close is None else close.split("'")[1]


def other_shape(file: WeightFile, weight: Weight, source: Source, name: str, array: ArrayFile) -> Diagnostic:
    """Return the problem of an array with another shape, at the node that needs it."""
    node = weight.node
    in_file = f", {show(source.shape)} in the file" if source.shape != weight.shape else ""
    text = f"{node.type} '{node.name}' needs `{weight.role}` of shape {show(weight.shape)}{in_file}"
    text += f", but '{name}' of '{file.file}' has shape {show(array.shape)}"
    if file.layout == "keras" and len(array.shape) == 2 and array.shape[::-1] == weight.shape:
        hint = "the file has PyTorch's layout: write `layout: torch`"
    else:
        hint = f"{_sizes(weight, source, array)}, or start it new: `allow_missing: [{node.name}/*]`"
    tree = node.tree.get("units") or node.tree.get("filters")
    mark, path = (node.mark, node.tree.path) if tree is None else (tree.mark, tree.path)
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


def other_kind(file: WeightFile, weight: Weight, name: str, array: ArrayFile | str) -> Diagnostic:
    """Return the problem of an array whose values are no floats."""
    kind = array.dtype if isinstance(array, ArrayFile) else array
    text = f"'{name}' of '{file.file}' has values of dtype {kind}, but '{weight.name}' is float"
    hint = "save it as float32; files with quantized weights must be converted first"
    return _problem(file, text, hint, "file", code=Code.LOSSY_CONVERSION)


def too_many(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Return the first problems; the last of them says how many more there are."""
    if len(found) <= _MOST:
        return list(found)
    last = found[_MOST - 1]
    return [*found[: _MOST - 1], replace(last, message=f"{last.message} (and {len(found) - _MOST} more like this)")]


def unmatched(file: WeightFile, names: Sequence[str]) -> list[Diagnostic]:
    """Return the problems of patterns that no weight matches."""
    found = []
    possible = [form for name in names for form in forms(file, name)]
    used = {form.pattern for name in names for form in names_in(file, name)}
    # an earlier pattern may have taken all weights that a pattern matches: it is superfluous, not wrong
    begins = ["/".join(parts[: k + 1]) for form in possible for parts in [form.split("/")] for k in range(len(parts))]
    for ours, _ in file.map:
        if ours not in used and not any(matches(ours, begin) for begin in begins):
            text = f"`map` has the pattern '{ours}', which matches no weight"
            found.append(_problem(file, text, _near(ours, names, True), "map", ours))
    for k, pattern in enumerate(file.allow_missing):
        if not any(matches(pattern, form) for form in possible):
            text = f"`allow_missing` has the pattern '{pattern}', which matches no weight"
            place = ("allow_missing", k)
            is_item = file.tree is not None and file.tree.find(place)[0] is not None
            found.append(_problem(file, text, _near(pattern, names, False), *(place if is_item else place[:1])))
    return found


def _near(pattern: str, names: Sequence[str], nodes: bool) -> str:
    known = [name.rpartition("/")[0] for name in names] if nodes and "*" not in pattern else []
    known += names if "*" not in pattern else [f"{name.partition('/')[0]}/*" for name in names]
    known += [f"*/{name.rpartition('/')[2]}" for name in names]
    return did_you_mean(pattern, list(dict.fromkeys(known))) or f"weights are called such as '{names[0]}'"


def nothing_taken(file: WeightFile, weights: Sequence[Weight]) -> list[Diagnostic]:
    """Return the problem of a file that gives nothing."""
    if weights:
        text = f"'{file.file}' gives none of {count(len(weights), 'weight')}: `allow_missing` covers all of them"
        return [_problem(file, text, "give the names of the file in `map`", "file")]
    subject = f"'{file.node}'" if file.node else "the network"
    text = f"{subject} has no weights that '{file.file}' could give"
    return [_problem(file, text, "write it at a node with weights of its own" if file.node else "remove it", "file")]


@dataclass(frozen=True, slots=True)
class Taken:
    """A weight that starts from arrays of a file."""

    weight: Weight
    recipe: Recipe
    arrays: tuple[tuple[str, ArrayFile], ...]

    def values(self) -> Array:
        """Read the weight's values. Raises ProblemError: they cannot be read, or are not finite."""
        made = self.recipe.convert([converted(array.read(), "float32") for _, array in self.arrays])
        return np.ascontiguousarray(made).reshape(self.weight.shape)


@dataclass(slots=True)
class FilePlan:
    """What one file gives."""

    file: WeightFile
    contents: Contents
    size: int  # how many weights it is for
    taken: list[Taken] = field(default_factory=list)
    new: dict[str, str] = field(default_factory=dict)  # the weights that it does not give, and why, in a few words
    left_over: list[str] = field(default_factory=list)  # the arrays that no weight needs

    def free(self) -> list[str]:
        used = {name for taken in self.taken for name, _ in taken.arrays}
        return [name for name in self.contents.arrays if name not in used]

    def report(self, sha256: str = "") -> InitialWeights:
        """Return what the file gives; ``sha256`` is its hash if it was read."""
        taken = {t.weight.name: tuple(name for name, _ in t.arrays) for t in self.taken}
        return InitialWeights(self.file.file, self.file.node, taken, dict(self.new), list(self.left_over), sha256)

    def values(self) -> Iterator[tuple[str, Array]]:
        """Yield the weights that the file gives, one after the other.

        Raises SpecError: an array has values that are no weights. Raises UsageError: the file has changed since it was
        opened.
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

    ``complete``: whether all nodes were lowered; otherwise weights may be absent, and nothing is said of patterns.
    """
    files = spec.weight_files
    plans: list[FilePlan] = []
    found: list[Diagnostic] = []
    for file, weights in zip(files, _grouped(files, _weights(spec, graph)), strict=True):
        assert file.tree is not None
        try:
            contents = open_weights((spec.base or Path()) / file.file)
        except ProblemError as error:
            at = file.tree.get("file") or file.tree
            found.append(Diagnostic.of(f"the file '{file.file}'", error.problem, at.mark, path=at.path))
            continue
        plan = FilePlan(file, contents, len(weights))
        found += _filled(plan, weights)
        if complete:
            found += unmatched(file, [w.name for w in weights]) if weights else []
            if not plan.taken and not any(d.is_error for d in found):
                found += nothing_taken(file, weights)
        plan.left_over = [name for name in plan.free() if not name.endswith(IGNORED)]
        plans.append(plan)
    return plans, list(dict.fromkeys(found))


def _around(name: str, names: Collection[str]) -> str:
    """Return the longest beginning of a name, up to a slash, that is one of ``names``; empty if none is."""
    while name and name not in names:
        name = name.rpartition("/")[0]
    return name


def _weights(spec: Spec, graph: Graph) -> list[Weight]:
    owners = {node.name: node for node in spec.nodes if node.share is None or node.average is not None}
    later = spec.held_out_weights
    named = [(_around(param.name, owners), param) for param in graph.params.values() if param.name not in later]
    return [Weight(owners[name], param.name[len(name) + 1 :], param.shape) for name, param in named if name]


def _grouped(files: Sequence[WeightFile], weights: Sequence[Weight]) -> list[list[Weight]]:
    """Return, for each file, the weights that start from it: of those around a weight, the innermost counts."""
    by_node: dict[str, int] = {file.node: k for k, file in enumerate(files)}
    groups: list[list[Weight]] = [[] for _ in files]
    for weight in weights:
        if (name := _around(weight.node.name, by_node)) in by_node:
            groups[by_node[name]].append(weight)
    return groups


def _filled(plan: FilePlan, weights: Sequence[Weight]) -> list[Diagnostic]:
    """Decide where each weight comes from; return the problems."""
    file, arrays = plan.file, plan.contents.arrays
    absent: list[tuple[Weight, list[str]]] = []
    wrong: dict[str, Diagnostic] = {}  # one for each node, whose weights misfit together
    for weight in weights:
        may_start_new = weight.node.average is not None  # with what the file has for the weights that it follows
        may_start_new |= any(matches(p, form) for p in file.allow_missing for form in forms(file, weight.name))
        possible = ways(file, weight)
        chosen = ((way.recipe, names) for way in possible if (names := _chosen(way, arrays)) is not None)
        if (way := next(chosen, None)) is None:
            if may_start_new:
                plan.new[weight.name] = "not in the file"
            else:  # the likeliest names were looked up in vain
                absent.append((weight, list(dict.fromkeys(each[0] for way in possible[:1] for each in way.names))))
            continue
        recipe, names = way
        described = [(name, array) for name in names if isinstance(array := arrays[name], ArrayFile)]
        pairs = ((source, *one) for source, one in zip(recipe.sources, described, strict=False))
        misfit = next((each for each in pairs if not each[0].fits(each[2].shape)), None)
        floats = {name for name, array in described if array.halves or array.dtype.kind == "f"}
        unusable = next((name for name in names if name not in floats), None)
        if unusable is not None:
            wrong.setdefault(weight.name, other_kind(file, weight, unusable, arrays[unusable]))
        elif misfit is None:
            plan.taken.append(Taken(weight, recipe, tuple(described)))
        elif may_start_new:
            plan.new[weight.name] = "another shape in the file"
        else:
            wrong.setdefault(weight.node.name, other_shape(file, weight, *misfit))
    lacks = missing(file, absent, len(weights), plan.free()) if absent else []
    return [*lacks, *too_many([*wrong.values()])]


def _chosen(way: Way, arrays: Mapping[str, ArrayFile | str]) -> list[str] | None:
    """Return the name of each source in the file; None if one is not there."""
    names = [next((name for name in alternatives if name in arrays), None) for alternatives in way.names]
    return None if None in names else [name for name in names if name is not None]


# What a network started from: for messages, tables, and the record of a run.
_IN_A_LINE = 4  # weights or arrays that a line names


@dataclass(frozen=True)
class InitialWeights:
    """What a file of initial weights gives."""

    file: str  # the file or the run, as the spec writes it
    node: str  # the node or block instance whose weights they are; empty for the whole network
    taken: Mapping[str, tuple[str, ...]]  # by weight, the names of the arrays in the file that it starts from
    new: Mapping[str, str]  # the weights that start new, each with the reason
    left_over: Sequence[str]  # the arrays of the file that no weight needs
    sha256: str = ""  # the hash of the file that was read; empty before that

    def __str__(self) -> str:
        whose = f" of '{self.node}'" if self.node else ""
        text = f"initial weights{whose}: {len(self.taken)} of {len(self.taken) + len(self.new)} from {self.file}"
        new, left = list(self.new), self.left_over
        for names, what in ((new, "start new" if len(new) > 1 else "starts new"), (left, "left over")):
            more = ", …" if len(names) > _IN_A_LINE else ""
            text += f"; {len(names)} {what}: {', '.join(names[:_IN_A_LINE])}{more}" if names else ""
        return text

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield each weight with what it starts from, then what is left over."""
        for name, arrays in self.taken.items():
            yield name, " + ".join(arrays)
        for name, reason in self.new.items():
            yield name, f"starts new: {reason}"
        for name in self.left_over:
            yield "(left over)", name

    def to_json(self) -> dict[str, Any]:
        numbers = {"taken": len(self.taken), "new": list(self.new), "left_over": len(self.left_over)}
        return {"file": self.file, "node": self.node, "sha256": self.sha256, **numbers}


def in_record(known: Sequence[InitialWeights], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``run.json`` says of initial weights; without files that were read, what it said ``before``."""
    said = [each.to_json() for each in known] or before.get("initial_weights")
    return {"initial_weights": said} if said else {}
