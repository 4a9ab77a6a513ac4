"""What ``fit``, ``evaluate`` and the command line share: arrays checked against the graph, and a trainer made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from graphspec.arguments import flag, mapping, refusal, whole
from graphspec.callbacks.outputs import Outputs
from graphspec.compiler.concrete import concrete
from graphspec.compiler.heads import refuse_class_weight
from graphspec.compiler.ir import Array, Graph
from graphspec.compiler.limits import id_ranges
from graphspec.errors import Diagnostic, RunError, SpecError, UsageError
from graphspec.metrics import targets_of
from graphspec.runtime.columns import same_numbers
from graphspec.runtime.data import Arrays, Feeder, Wanted, check_arrays, class_ids, load, refused, row_weights, split
from graphspec.runtime.ones import with_places
from graphspec.runtime.tables import DataError
from graphspec.runtime.train import Observer, Trainer

if TYPE_CHECKING:
    from graphspec.callbacks import Callback
    from graphspec.model import Data, Model
    from graphspec.spec.model import HeadDecl, Spec

SAMPLED = 5
"""Rows that are kept of a training's data: as many as the proof of an export takes at most."""


def wanted(spec: Spec, graph: Graph, *, targets: bool = True) -> Wanted:
    """What data must look like: the inputs' types, the targets of heads with a loss, and what ids may be."""
    trained = [h for h in spec.heads.values() if h.loss is not None] if targets else []
    values = {h.name: graph.outputs[h.name] for h in trained}
    kinds = {h.name: targets_of(h.loss) for h in trained if h.loss is not None}
    ctc = frozenset(name for name, kind in kinds.items() if kind == "labels")
    axes = {h.name: h.loss.class_axis(values[h.name]) for h in trained if h.loss is not None}
    classes = {
        n: values[n].shape[axis] for n, axis in axes.items() if axis is not None and kinds[n] in ("ids", "labels")
    }
    ignored = {h.name: getattr(h.loss, "ignore_class", None) for h in trained}
    return Wanted(
        inputs={n: v.type for n, v in graph.inputs.items()},
        targets={h.name: h.loss.target(values[h.name]) for h in trained if h.loss is not None},
        classes={n: k for n, k in classes.items() if isinstance(k, int)},
        ignored={n: k for n, k in ignored.items() if k is not None},
        probabilities=frozenset(h.name for h in trained if h.loss is not None and h.loss.shares),
        limits=id_ranges(graph),
        labels={h.name: h.labels for h in trained if h.labels is not None},
        ctc=ctc,
        steps=lambda shapes: _steps(graph, ctc, shapes),
    )


def _steps(graph: Graph, heads: frozenset[str], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """The time steps of CTC heads for given input shapes."""
    nodes = graph.needed(graph.outputs[h] for h in heads)
    known = concrete(graph, nodes, shapes)
    return {h: int(known[graph.outputs[h].name].shape[1]) for h in heads if graph.outputs[h].name in known}


def load_all(spec: Spec, graph: Graph) -> tuple[dict[str, Arrays], list[Diagnostic]]:
    """The rows of every file that the spec names, and every problem of them."""
    found: list[Diagnostic] = []
    parts = {}
    for part, source in spec.data.items():
        if source.file is not None:
            arrays, more = load(source, wanted(spec, graph))
            found += more
            if arrays is not None:
                parts[part] = arrays
    return parts, found


def check_data(spec: Spec, graph: Graph) -> list[Diagnostic]:
    """Every problem of the files that the spec names."""
    return load_all(spec, graph)[1]


def load_part(model: Model, part: str) -> Arrays:
    """The rows of ``train``, ``validation`` or ``test`` of the spec.

    Raises:
        UsageError: the spec has no such part with a file.
        SpecError: GS5, every problem of the file.
        RunError: GS602, it does not fit into the memory that is free.
    """
    if part in model.parts:
        return model.parts[part]
    source = model.spec.data.get(part)
    if source is None or source.file is None:
        raise UsageError(f"the spec names no {part} data: give arrays, or `data.{part}: {{file: …}}`")
    arrays, found = load(source, wanted(model.spec, model.graph))
    if arrays is None:
        raise refused(found)
    return arrays


def by_name(data: Data, names: Sequence[str], what: str) -> dict[str, Array]:
    """Arrays by name, from a mapping, or from a bare array where there is one name."""
    if data is None:
        return {}
    if isinstance(data, Mapping):
        return dict(mapping(f"{what}s", data, "a dict of arrays"))
    if len(names) != 1:
        raise UsageError(f"a bare array is not enough: give a dict of arrays for the {what}s {', '.join(names)}")
    return {names[0]: data}


def user_arrays(model: Model, x: Data, y: Data, sample_weight: Data = None) -> Arrays:
    """Arrays given from Python, checked (SpecError with all GS5)."""
    heads = [h.name for h in model.spec.heads.values() if h.loss is not None]
    arrays, found = check_arrays(
        by_name(x, list(model.graph.inputs), "input"),
        by_name(y, heads, "head"),
        wanted(model.spec, model.graph),
        by_name(sample_weight, heads, "head"),
    )
    if arrays is None:
        raise SpecError(found)
    return arrays


def user_inputs(model: Model, x: Data) -> dict[str, Array]:
    """Inputs alone, checked."""
    given = by_name(x, list(model.graph.inputs), "input")
    needed = model.once("inputs", lambda: wanted(model.spec, model.graph, targets=False))
    arrays, found = check_arrays(given, None, needed)
    if arrays is None:
        raise SpecError(found)
    return arrays.inputs


def batch_inputs(model: Model, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """The inputs of one batch, checked for what would be changed or clipped in silence."""
    needed = model.once("inputs", lambda: wanted(model.spec, model.graph, targets=False))
    checked, found = {}, []
    for name in model.graph.inputs:
        try:
            if name not in feeds:
                raise DataError("GS502", f"there is no array for input '{name}'")
            checked[name] = same_numbers(feeds[name], needed.inputs[name], needed.limits.get(name))
        except DataError as error:
            text = error.message if error.code == "GS502" else f"input '{name}' {error.message}"
            found.append(Diagnostic(error.code, text, file="<arrays>", path=name, hint=error.hint))
    if found:
        raise SpecError(found)
    return checked


@dataclass
class _Parts:
    train: Arrays
    validation: Arrays | None


def prepare_fit(
    model: Model,
    x: Data = None,
    y: Data = None,
    *,
    observer: Observer,
    epochs: int | None = None,
    batch_size: int | None = None,
    shuffle: bool | None = None,
    validation_data: tuple[Any, ...] | None = None,
    validation_split: float | None = None,
    sample_weight: Data = None,
    class_weight: Mapping[Any, Any] | Literal["balanced"] | None = None,
    callbacks: Sequence[Callback] | None = None,
    directory: Path | None = None,
) -> Trainer:
    """Check everything that a run needs, and make it; nothing large is allocated before all checks have passed.

    Raises:
        SpecError: GS404 nothing to train, GS5 the data.
        RunError: GS602 not enough memory.
    """
    training = model.spec.training
    epochs, size = whole("epochs", epochs, training.epochs), whole("batch_size", batch_size, training.batch_size)
    shuffled = flag("shuffle", shuffle, training.shuffle)
    called = training.callbacks if callbacks is None else _callbacks(callbacks)
    _refuse_untrainable(model)
    parts = _parts(model, x, y, validation_data, validation_split, sample_weight)
    _refuse_memory(model, parts.train, min(size, len(parts.train)))
    _apply_class_weights(model, parts.train, class_weight)
    objective = model.objective(parts.train)
    validation = None if parts.validation is None else with_places(objective.graph, parts.validation)
    feeder = Feeder(with_places(objective.graph, parts.train), size, shuffle=shuffled, seed=model.seed)
    model.sample_rows = parts.train.sample(SAMPLED)
    first = 0 if directory is not None else model.epochs_done
    return Trainer(
        model,
        model.update,
        objective,
        feeder,
        validation,
        called,
        observer,
        first + epochs,
        directory,
        Outputs(directory, free=callbacks is not None, allow_outside=model.allow_outside, source=model.source),
    )


def _callbacks(given: Any) -> Sequence[Callback]:
    from graphspec.callbacks import Callback

    if not isinstance(given, list | tuple) or not all(isinstance(c, Callback) for c in given):
        raise refusal("callbacks", "a list of callbacks, such as `[EarlyStopping(patience=3)]`", given)
    return given


def _refuse_untrainable(model: Model) -> None:
    found = [d for d in model.warnings if d.code == "GS404"]
    if found:
        raise SpecError([replace(d, severity="error") for d in found])


def _refuse_memory(model: Model, arrays: Arrays, rows: int) -> None:
    from graphspec.runtime.memory import available, estimate, free, human

    shapes = {n: (rows, *a.shape[1:]) for n, a in arrays.inputs.items()}
    slots = len(model.spec.training.optimizer.slots())
    need = model.once(("memory", *shapes.items()), lambda: estimate(model.graph, shapes, slots))
    have = min(available(), free() + model.held())  # what it holds already, the estimate counts too
    if need > have:
        text = f"training needs about {human(need)} of memory, there is {human(have)}"
        raise RunError("GS602", text, f"use a smaller `batch_size` (now {rows}) or smaller layers")


def _parts(
    model: Model, x: Data, y: Data, validation_data: tuple[Any, ...] | None, fraction: float | None, weight: Data
) -> _Parts:
    validation = None
    if validation_data is not None:
        if not isinstance(validation_data, list | tuple) or len(validation_data) not in (2, 3):
            raise refusal("validation_data", "`(x, y)` or `(x, y, sample_weight)`", validation_data)
        validation = user_arrays(model, *validation_data)
    source = model.spec.data.get("validation")
    stratify = None
    if x is not None:
        train = user_arrays(model, x, y, weight)
    else:
        if weight is not None:
            raise UsageError("`sample_weight` goes with arrays; in data files use `<head>_sample_weight`")
        train = load_part(model, "train")
        if source is not None and validation is None and fraction is None:
            if source.file is not None:
                validation = load_part(model, "validation")
            else:
                fraction, stratify = source.split, source.stratify
    if fraction is not None and validation is None:
        if isinstance(fraction, bool) or not isinstance(fraction, Real) or not 0 < fraction < 1:
            raise refusal("validation_split", "a number between 0 and 1", fraction)
        classes = None if stratify is None else class_ids(train.targets[stratify])
        rows, held = split(len(train), fraction, model.seed, classes)
        train, validation = train.select(rows), train.select(held)
    return _Parts(replace(train, weights=dict(train.weights)), validation)  # class weights are multiplied in


def _apply_class_weights(model: Model, arrays: Arrays, given: Mapping[Any, Any] | Literal["balanced"] | None) -> None:
    """Class weights multiply the sample weights of the training rows."""
    heads = [h for h in model.spec.heads.values() if h.loss is not None]
    by_head: Mapping[str, Any] = {h.name: h.class_weight for h in heads if h.class_weight is not None}
    of_heads = isinstance(given, Mapping) and all(isinstance(v, Mapping | str) for v in given.values())
    if isinstance(given, Mapping) and of_heads and set(given) <= {h.name for h in heads}:
        by_head = given
    elif given is not None:
        if len(heads) != 1:
            raise UsageError("with several heads, give `class_weight` as {head: {class: weight}}")
        by_head = {heads[0].name: given}
    for name, weights in by_head.items():
        if not isinstance(weights, Mapping) and weights != "balanced":
            raise UsageError(f"`class_weight` must be a mapping or 'balanced', not {weights!r}")
        head = model.spec.heads[name]
        if refused := refuse_class_weight(head, model.graph.outputs[name]):
            raise SpecError([Diagnostic(p[1], f"head '{name}': {p[2]}", hint=p[3]) for p in refused])
        target, chosen = arrays.targets[name], arrays.chosen
        own = target if chosen is None else target[chosen]
        ignored = getattr(head.loss, "ignore_class", None)
        rows = row_weights(weights, own, _classes(model, head), head.labels, ignored)
        if chosen is not None:
            of_all = np.ones(len(target), np.float32)
            of_all[chosen] = rows
            rows = of_all
        before = arrays.weights.get(name)
        if before is None:
            arrays.weights[name] = rows
        else:
            arrays.weights[name] = (before * rows.reshape(-1, *(1,) * (before.ndim - 1))).astype(np.float32)


def _classes(model: Model, head: HeadDecl) -> int:
    last = model.graph.outputs[head.name].fixed(-1)
    return 2 if last == 1 else last
