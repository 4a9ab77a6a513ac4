"""Let layers and heads learn from the training rows before the first step: vocabularies, statistics, labels.

A layer learns from the values of the graph's own nodes, which onnxruntime computes over all rows: no second tokenizer can
differ from the one in the file. Layers that read what others have learnt come after them, in a further round.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from graphspec.base.arrays.pictures import in_chunks
from graphspec.base.arrays.strings import Strings
from graphspec.base.errors import Code, Diagnostic, ShapeError, SpecError
from graphspec.data.batches import Dataset
from graphspec.data.targets import learn_alphabet, learn_labels, with_class_ids
from graphspec.engine.compiler.adaptation import Adapted, learning_nodes, standardizes
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.lower import link, reads
from graphspec.engine.compiler.lowered_network import Lowered
from graphspec.engine.compiler.spec_files import given_by_files
from graphspec.engine.runtime.prepared_rows import Prelude, Progress
from graphspec.engine.runtime.session import Session
from graphspec.graph.builder import Builder
from graphspec.graph.cuts import not_computable, part_of, repeatable
from graphspec.graph.ir.graph import MISSING_INTEGER, Array, Graph, Value
from graphspec.language.declarations import NodeDecl, Spec
from graphspec.vocabulary.layers.dates import COMPARED, DateParts, moments, part_counts
from graphspec.vocabulary.layers.vocabularies import Categories
from graphspec.vocabulary.metrics import targets_of

CHUNK_ROWS = 4096  # rows that are computed at a time; results do not depend on it
_NUMBER_ROWS = 65536  # the same for data without texts, at most
_NUMBERS = 1 << 22  # numbers that are computed at a time, unless CHUNK_ROWS have more
_USUAL_ROWS = 1 << 14  # rows that show what is usual
_WIDEST = 1 << 10  # numbers of a row of an input of which a typical one is kept
_BINS = 10  # with equally many rows, by which later rows are compared with these
_VALUES = 50  # categories, the most frequent ones, for the same
_LARGEST = 60 << 20  # bytes of JSON; files of a run with more than 64 MiB are not read


def adapt(spec: Spec, data: Dataset, progress: Progress = lambda rows, total: None) -> Adapted:
    """Return what layers and heads learn from the training rows; ``progress`` gets the rows done in a pass, and all.

    Raises SpecError: a layer has nothing to learn from, or the spec does not fit it. RunError: GS605, a row fails.
    """
    heads, usual = _learn_heads(spec, data), _usual(spec, data)
    adapted = Adapted(given_by_files(spec.nodes), heads, len(data), spec.form, usual)
    while True:
        resolved, lowered = check(spec, allow_outside=True, adapted=adapted, draws=False).require()
        nodes = _next_round(resolved)
        if nodes:
            adapted = replace(adapted, layers={**adapted.layers, **_learn(nodes, lowered, data, progress)})
        if len(nodes) == len(learning_nodes(resolved)):  # no node waits for another one
            _refuse_too_large(resolved, adapted)
            return adapted


def has_to_learn(spec: Spec, graph: Graph, train: Dataset) -> bool:
    """Return whether layers or heads have something to learn from the training rows."""
    labelled = {name for name, head in spec.heads.items() if head.labels is not None}
    texts = {name for name, target in train.targets.items() if isinstance(target, Strings)}
    return bool(graph.learnt) or bool(texts - labelled)


def learn(model: Session, raw: Dataset) -> None:
    """Let layers and heads learn from the training rows, unless they have."""
    if not has_to_learn(model.spec, model.whole, raw):
        return
    model.install(adapt(model.single[0], raw, partial(model.on_rows, "learning from rows")))
    for part, rows in model.parts.items():  # a class without training rows is reported before the training
        with_class_ids(rows, model.labels, model.needed.targets, model.needed.ctc, model.spec.data[part])


def _refuse_too_large(spec: Spec, adapted: Adapted) -> None:
    """Raise GS105 if the files of a run cannot store what was learnt: its longest vocabulary is too long."""
    lists = [(len(v), name) for name, state in adapted.layers.items() for v in state.values() if isinstance(v, list)]
    record = adapted.to_json()
    in_files = json.dumps(record, indent=1), json.dumps(json.dumps(record))  # adapted.json, and a checkpoint's header
    if not lists or max(map(len, in_files)) <= _LARGEST:
        return
    count, name = max(lists)
    text = f"has learnt {count} entries, and a run stores at most {_LARGEST >> 20} MiB of what was learnt"
    error = ShapeError(Code.VALUE_NOT_ALLOWED, text, hint="set `max_tokens`, or use Hashing")
    raise SpecError([_at(node, error) for node in spec.nodes if node.name == name])


def _next_round(spec: Spec) -> list[NodeDecl]:
    """Return the nodes that learn now: those that depend on no other node that has not learnt yet."""
    waiting = {node.name for node in learning_nodes(spec)}
    uncertain = set[str]()
    found = []
    for node in link(spec)[0]:
        late = any(r.name in uncertain for r in reads(node))
        if not late and node.name in waiting:
            found.append(node)
        if late or node.name in waiting or node.share in waiting:
            uncertain.add(node.name)
    return found


def _learn(nodes: Sequence[NodeDecl], lowered: Lowered, data: Dataset, progress: Progress) -> dict[str, dict[str, Any]]:
    graph = lowered.graph.copy()
    sources: dict[str, Value] = {}
    for node in nodes:
        assert node.layer is not None
        g = Builder(graph, node.name)
        with g, g.part("learning"):
            inputs = [v for r in node.inputs if (v := lowered.value(r)) is not None]
            sources[node.name] = node.layer.learning_input(g, *inputs)
    graph = graph.with_outputs(sources)
    fixed = repeatable(graph.needed(graph.trained_roots()), at_inference=True)
    wrong = [n for n in nodes if any(k.name not in fixed for k in graph.needed([graph.outputs[n.name]]))]
    if wrong or not_computable(graph):
        text = "must learn from its input before training, but the input depends on weights"
        hint = "feed it from inputs, or from layers without weights"
        raise SpecError([_at(n, ShapeError(Code.NO_TRAINING_KERNEL, text, hint=hint)) for n in wrong])
    learners = {n.name: n.layer.learner(sources[n.name]) for n in nodes if n.layer is not None}
    states: dict[str, dict[str, Any]] = {}
    by_name = {n.name: n for n in nodes}
    while learners:
        done = 0
        for batch in _values({name: sources[name] for name in learners}, graph, data):
            for name, learner in learners.items():
                learner.add(batch[name])
            done += len(next(iter(batch.values())))
            progress(done, len(data))
        for name, learner in list(learners.items()):
            if learner.end_pass():
                try:
                    states[name] = learner.state()
                except ShapeError as error:
                    raise SpecError([_at(by_name[name], error)]) from None
                del learners[name]
    return states


def _at(node: NodeDecl, error: ShapeError) -> Diagnostic:
    return Diagnostic.of(f"{node.type} '{node.name}'", error.problem, node.mark, path=node.tree.path)


def _values(sources: Mapping[str, Value], graph: Graph, data: Dataset) -> Iterator[dict[str, Array]]:
    direct = {name: v.name for name, v in sources.items() if v.kind == "input"}
    computed = {name: v for name, v in sources.items() if v.kind != "input"}
    prelude = Prelude(part_of(graph, computed, ())) if computed else None
    for rows in _chunks(data):
        values = {name: data.inputs[column][rows] for name, column in direct.items()}
        if prelude is not None:
            values |= prelude.run({name: data.inputs[name][rows] for name in prelude.graph.inputs})
        yield values


def _chunks(data: Dataset) -> Iterator[Array | slice]:
    """Yield the rows in chunks: their indices, or slices of all rows, which copy nothing."""
    size = CHUNK_ROWS
    if not any(isinstance(a, Strings) for a in data.inputs.values()):
        # Many where rows are short, so that NumPy's calls cost little beside their work.
        width: int = sum(math.prod(a.shape[1:]) for a in data.inputs.values())
        size = min(max(_NUMBERS // max(width, 1), CHUNK_ROWS), _NUMBER_ROWS)
    return in_chunks(data.inputs.values(), len(data) if data.chosen is None else data.chosen, size)


def _usual(spec: Spec, data: Dataset) -> dict[str, dict[str, Any]]:
    """Return what the rows usually are: of 16,384 at most, spread evenly.

    Of each input of numbers that no vocabulary reads: the ends of the middle 95 % of its values and its median, all of them
    values of rows; of a list of numbers, the median of each element. Of one number or category: its ``distribution``; of
    one date: its ``dates``.
    """
    readers = {ref.name: node.layer for node in spec.nodes for ref in node.inputs if ref is not None}
    found: dict[str, dict[str, Any]] = {}
    for name, decl in spec.inputs.items():
        array: Any = data.inputs.get(name)
        width, read_by = math.prod(getattr(array, "shape", ())[1:]), readers.get(name)
        if array is None or not 0 < width <= _WIDEST or decl.dtype == "uint8" or not len(array):
            continue
        rows = np.arange(len(array)) if data.chosen is None else data.chosen
        step = max(1, -(-len(rows) // min(_USUAL_ROWS, _NUMBERS // width)))
        given = array[rows[::step]]
        if width == 1 and isinstance(read_by, Categories):
            found[name] = {"distribution": _of_categories(given.reshape(-1).tolist(), missing_marks(read_by))}
        if width == 1 and isinstance(read_by, DateParts):  # with the last row: it often has the latest date
            texts = array[np.append(rows[::step], rows[-1:] if (len(rows) - 1) % step else rows[:0])]
            found[name] = {"dates": _of_dates(texts.reshape(-1).tolist(), read_by)}
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf" or hasattr(read_by, "vocabulary"):
            continue
        values = given.astype(np.float64)
        values[~np.isfinite(values) | (given == MISSING_INTEGER)] = np.nan
        ordered, every = np.sort(values, axis=0), np.sort(values, axis=None)
        if not (count := int(np.isfinite(every).sum())):
            continue
        middles = np.take_along_axis(ordered, (np.isfinite(ordered).sum(0, keepdims=True) - 1) // 2, 0)[0]
        ends = every[[round(0.025 * (count - 1)), round(0.975 * (count - 1))]]
        exact = np.float32 if decl.dtype.startswith("float") else np.int64
        low, high = ends.astype(exact).tolist()
        found[name] = {"low": low, "typical": np.nan_to_num(middles).astype(exact).tolist(), "high": high}
        if width == 1:
            found[name]["distribution"] = _of_numbers(every[:count], len(every), exact)
    return found


def _of_numbers(values: Array, rows: int, exact: type) -> dict[str, Any]:
    """Return how sorted numbers are spread: the borders of bins, which contain their lower one, and the rows of each."""
    borders: Array = np.unique(values[np.arange(1, _BINS) * len(values) // _BINS].astype(exact))
    counts = np.bincount(np.searchsorted(borders, values, side="right"), minlength=len(borders) + 1)
    ends = values[[0, -1]].astype(exact).tolist()
    return {
        "rows": rows,
        "missing": rows - len(values),
        "ends": ends,
        "borders": borders.tolist(),
        "counts": counts.tolist(),
    }


def missing_marks(layer: object) -> set[Any]:
    """Return what stands for a missing value in an input that a layer reads."""
    return {"", MISSING_INTEGER, *getattr(layer, "missing_tokens", ())}


def _of_categories(values: list[Any], marks: set[Any]) -> dict[str, Any]:
    """Return how often the most frequent categories occur; one that a single row has is not written down."""
    counted = Counter(values)
    missing = sum(counted.pop(mark, 0) for mark in marks)
    most = [(value, times) for value, times in counted.most_common(_VALUES) if times > 1]
    kept = {"values": [value for value, _ in most], "counts": [times for _, times in most]}
    return {"rows": len(values), "missing": missing, **kept}


def _of_dates(texts: list[str], layer: DateParts) -> dict[str, Any]:
    """Return the first and the last of some dates, and how often each value of the parts that the layer reads occurs."""
    found = moments(texts, layer.format)
    missing = found.pop(None, 0)
    dates = {at: times for at, times in found.items() if at is not None}
    ends = [at.isoformat() for at in (min(dates), max(dates))] if dates else []
    parts = {part: part_counts(dates, part) for part in COMPARED if part in layer.parts}
    return {"rows": len(texts), "missing": missing, "ends": ends, "parts": parts}


def _learn_heads(spec: Spec, data: Dataset) -> dict[str, dict[str, Any]]:
    """Return the labels of heads whose targets are texts, and the statistics of standardized targets."""
    found: dict[str, dict[str, Any]] = {}
    for head in spec.heads.values():
        target: Any = data.targets.get(head.name)
        if isinstance(target, Strings) and head.labels is None:
            sequences = head.loss is not None and targets_of(head.loss) == "labels"
            learn = learn_alphabet if sequences else learn_labels
            rows = None if target.ndim == 2 else data.chosen  # rows held out have tags that others lack
            found[head.name] = {"labels": learn(target, rows)}
        elif target is not None and standardizes(head):
            found[head.name] = _statistics(target, data, clip=head.clip is True)
    return found


def _statistics(target: Array, data: Dataset, *, clip: bool) -> dict[str, float]:
    """Return the mean and the deviation of a target, 1 if all values are equal; with ``clip`` its range, too."""
    count, mean, squares, low, high = 0, 0.0, 0.0, np.inf, -np.inf
    for rows in _chunks(data):
        values = target[rows].astype(np.float64)
        low, high = min(low, float(values.min())), max(high, float(values.max()))
        size, own = values.size, float(values.mean())
        squares += float(((values - own) ** 2).sum()) + (own - mean) ** 2 * count * size / (count + size)
        mean += (own - mean) * size / (count + size)
        count += size
    deviation = float(np.sqrt(squares / count))
    range_ = {"min": float(np.float32(low)), "max": float(np.float32(high))} if clip else {}
    return {"mean": float(np.float32(mean)), "deviation": float(np.float32(deviation)) or 1.0, **range_}
