"""A linear model beside a network: fitted to the same training rows, within fixed counts, it answers the judged rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from graphspec.data.batches import Dataset
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.prepared_rows import has_networks
from graphspec.engine.runtime.session import Session
from graphspec.graph.cuts import by_row, part_of
from graphspec.graph.ir.dims import has_rows
from graphspec.graph.ir.graph import Array, Value
from graphspec.graph.ops import OPS
from graphspec.graph.target import Target
from graphspec.show.report.baselines import Baseline, in_form_of
from graphspec.show.report.kinds import flatten, softmax
from graphspec.show.report.rows import evenly, prepared_in_memory, taken
from graphspec.show.report.scored import Scored

LINEAR = "a linear model"
_ROWS, _WIDTH, _VALUES, _PRODUCTS = 20_000, 1_000, 1 << 22, 1 << 24  # at most; products: values times classes
_ONE_HOT, _NUMBERS = 50, ("float32", "bool")  # values of an id, of which one with more is left out; the other dtypes
_STEPS, _EXACT = 200, 1e-5  # at most, and the gradient for each row that ends them


def linear(model: Session, judged: Scored, train: Dataset | None, folds: int = 0) -> dict[str, list[Baseline]]:
    """Return the answers of a linear model by head: of one class, yes or no, or numbers for each row.

    Numbers have scikit-learn's ``Ridge()``, classes its ``LogisticRegression()``, without weights of rows. There is none for
    pictures, sequences and windows, for wide rows, and for judged training rows, which it would know. With ``folds``, the
    judged rows are those of ``train`` by number, and row i is answered by a model without the rows j ≡ i modulo folds; of
    groups, i and j are the numbers.
    """
    heads = {name: head for name, head in judged.heads.items() if head.mask is None and head.answers.ndim <= 2}
    read, found = _read(model), dict[str, list[Baseline]]()
    width = sum(_ONE_HOT if v.dtype not in _NUMBERS else int(v.shape[-1]) if v.rank > 1 else 1 for v in read.values())
    apart = judged.raw.times is None and (judged.part != "train" or folds > 0)
    if train is None or not apart or not heads or not 0 < width <= _WIDTH:
        return {}
    products = width * max(head.answers[:1].size for head in heads.values())
    rows = evenly(len(train), min(_ROWS, _VALUES // width, _PRODUCTS // max(products, 1)))
    known = prepared_in_memory(model, taken(train, rows))
    x, z = _columns(model, read, known, prepared_in_memory(model, replace(taken(judged.raw, judged.rows), targets={})))
    for name, head in heads.items() if x.size else ():
        nothing = np.broadcast_to(np.float32(0), (len(rows), *head.answers.shape[1:]))
        like = replace(head, answers=nothing, targets=known.targets.get(name), losses=None, lengths={})
        own, flat = flatten(head), flatten(like)
        y, solve = flat.true, {"numbers": _ridge, "classes": _logistic, "binary": _logistic}.get(own.kind)
        if solve is None or own.kind != flat.kind or len(y) != len(rows):  # some have no target, or a class apart
            continue
        if solve is _logistic:
            y = (y[:, None] == np.arange(len(own.labels))).astype(np.float64)
        values = np.zeros((len(z), y.shape[1]))
        groups = train.of_groups() if folds else None
        known_of, asked_of = (r if groups is None else groups[r] for r in (rows, judged.rows))
        for k in range(of := folds or 1):
            fit, asked = (known_of % of != k) | (not folds), asked_of % of == k
            values[asked] = solve(x[fit], y[fit], z[asked])
        found[name] = [Baseline(LINEAR, in_form_of(head, own, values[:, 1] if own.kind == "binary" else values))]
    return found


def _read(model: Session) -> dict[str, Value]:
    """Return what is computed before anything trained or random, such as a record's vector; nothing if one is no vector."""
    if any(v.rank > 2 for v in model.whole.inputs.values()) or (model.prelude and has_networks(model.prelude)):
        return {}
    nodes = model.graph.needed(model.graph.outputs.values())
    fixed = by_row(nodes)
    sources = [_vector(v) for node in nodes if node.name not in fixed for v in node.sources if has_rows(v.shape)]
    read = {v.name: v for v in sources if v.kind == "input" or (v.node is not None and v.node.name in fixed)}
    wide = [v for v in read.values() if v.shape[1:] not in ((), (1,))]
    return read if all(v.rank == 2 and isinstance(v.shape[1], int) and v.dtype in _NUMBERS for v in wide) else {}


def _vector(value: Value) -> Value:
    """Return what a value is a view of, if that is a vector: members of a network read one with an axis more."""
    while value.rank > 2 and value.node is not None and OPS[value.node.op].is_view:
        value = value.node.sources[0]
    return value


def _columns(model: Session, read: dict[str, Value], *parts: Dataset) -> list[Array]:
    """Return the columns of training rows and of other rows, ``(n, width)``, scaled by what the training rows show.

    They are standardized; if more than half are 0, as in a one-hot vector, divided by the largest.
    """
    part, found, columns = part_of(model.graph, read, ()), [], [[np.zeros((len(rows), 0)) for rows in parts]]
    for rows in parts:
        target = Target({name: rows.inputs[name].shape for name in part.inputs})
        found.append(build_program(part, model.parameters, target, seed=model.seed).results(rows.inputs))
    for name, value in read.items():
        both = [arrays[name].reshape(len(arrays[name]), -1) for arrays in found]
        if value.dtype in _NUMBERS:
            columns.append(both)
        elif len(ids := np.unique(both[0])) <= _ONE_HOT:
            columns.append([array == ids for array in both])
    x, *others = (np.concatenate(each, 1, dtype=np.float64) for each in zip(*columns, strict=True))
    sparse = (x == 0).mean(0) > 0.5
    mean, size = np.where(sparse, 0, x.mean(0)), np.where(sparse, np.abs(x).max(0), x.std(0))
    size[size <= 1e-9 * np.abs(mean)] = 1  # a constant
    return [(array - mean) / size for array in (x, *others)]


def _ridge(x: Array, y: Array, asked: Array) -> Array:
    """Return ``(asked - mean(x)) w + mean(y)`` for the w of the least ``|x w - y|² + |w|²`` of centred x and y."""
    a = x - x.mean(0)
    w = np.linalg.solve(a.T @ a + np.eye(a.shape[1]), a.T @ (y - y.mean(0)))
    return np.asarray((asked - x.mean(0)) @ w + y.mean(0))


def _logistic(x: Array, y: Array, asked: Array) -> Array:
    """Return probabilities for one-hot ``y``, by the w of the least sum of cross-entropies + ``|w|² / 2``; biases are free.

    Two classes count ``|w|²``: then the difference of their vectors is the one vector of scikit-learn. Nesterov's method
    with restarts, by the bound ``xᵀx / 2`` of the Hessian matrix (Böhning 1992).
    """
    present, answers, k = np.flatnonzero(y.any(0)), np.zeros((len(asked), y.shape[1])), 0
    x, asked = (np.column_stack([a, np.ones(len(a))]) for a in (x, asked))
    penalty = np.append(np.full(x.shape[1] - 1, 2 if len(present) == 2 else 1), 0)
    inverse = np.linalg.inv(x.T @ x / 2 + np.diag(penalty))
    w = ahead = np.zeros((x.shape[1], len(present)))
    for _ in range(_STEPS):
        gradient = x.T @ (softmax(x @ ahead) - y[:, present]) + penalty[:, None] * ahead
        if np.abs(gradient).max() <= _EXACT * len(x):
            break
        before, w = w, ahead - inverse @ gradient
        k = 0 if (gradient * (w - before)).sum() > 0 else k + 1
        ahead = w + k / (k + 3) * (w - before)
    answers[:, present] = softmax(asked @ ahead)
    return answers
