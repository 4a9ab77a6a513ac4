"""Why a network answers as it does: attributions at the leaves of its graph, mapped to columns, words, pixels and steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.pictures import Pictures
from graphspec.base.errors import UsageError, did_you_mean
from graphspec.data.signature import user_inputs
from graphspec.engine.runtime.attributions import Integrator, Path, values_at
from graphspec.graph.cuts import Leaf, frontier, is_picture
from graphspec.vocabulary.layers.text import TextVectorization
from graphspec.vocabulary.metrics import targets_of

if TYPE_CHECKING:
    from graphspec.data.signature import Data
    from graphspec.engine.runtime.session import Session
    from graphspec.graph.cuts import Frontier
    from graphspec.graph.ir.graph import Array, Value
    from graphspec.language.declarations import HeadDecl
    from graphspec.vocabulary.layers.base import Layer

MAX_ROWS = 256
"""The largest number of rows of one explanation: the rows that ``predict`` computes at a time."""
_HALF = 0.5
_MEAN_ROWS = 1000  # rows whose mean is a baseline, at most
UNSEEN = "[unseen]"


@dataclass(frozen=True)
class Contribution:
    """What one raw value contributes to an answer.

    Attributes:
        input: the name of the input; ``a + b`` for values that several inputs determine together.
        place: the place in it, such as a feature, a step or a pixel; empty for a column.
        raw: the raw value: a number, a word, a category; None if there is none to show.
        value: the attribution.
    """

    input: str
    place: str
    raw: Any
    value: float

    @property
    def name(self) -> str:
        """The input and the place."""
        return f"{self.input}[{self.place}]" if self.place else self.input


@dataclass(frozen=True)
class Attributed:
    """The attributions of one input, or of several inputs that act together.

    Attributes:
        name: the name of the input; ``a + b`` for several.
        values: the attributions, float64 ``(rows, …)``: one per row, or one per word, feature, step or pixel.
        raw: the raw values, of the same shape; pictures have their channels as a last axis; None for several inputs.
        words: whether the raw values are words; those that pad a text or do not occur in it are None.
        bag: whether the words have no order: they are those of a vocabulary.
        picture: whether the raw values are pictures.
        names: names of the elements of the last axis, if they have any, such as the columns of a series.
    """

    name: str
    values: Array
    raw: Array | None
    words: bool = False
    bag: bool = False
    picture: bool = False
    names: tuple[str, ...] = ()

    def contributions(self, row: int) -> Iterator[Contribution]:
        """Yield what each raw value of a row contributes; words that pad are left out."""
        values = self.values[row]
        for index in np.ndindex(values.shape):
            raw = None if self.raw is None else self.raw[(row, *index)]
            if self.words and raw is None:
                continue
            yield Contribution(self.name, self._place(index), _plain(raw), float(values[index]))

    def _place(self, index: tuple[int, ...]) -> str:
        if self.bag:
            return ""
        named = bool(self.names) and bool(index)
        parts = [str(k) for k in (index[:-1] if named else index)]
        return ", ".join([*parts, self.names[index[-1]]] if named else parts)


def _plain(raw: Any) -> Any:
    if isinstance(raw, np.ndarray):
        return raw.tolist()
    if isinstance(raw, np.floating):
        return float(str(raw))  # the digits of float32
    return raw.item() if isinstance(raw, np.generic) else raw


@dataclass(frozen=True)
class Attributions:
    """The attributions of some rows.

    Attributes:
        head: the explained head.
        explained: for each row, what is explained: the label or number of a class, or empty for a value.
        values, baselines: f(x) and f(b) of each row.
        gaps: how far the sum of a row's attributions is from f(x) − f(b), as a part of it.
        steps: the number of gradients of each row.
        parts: the attributions by input.
    """

    head: str
    explained: list[str]
    values: Array
    baselines: Array
    gaps: Array
    steps: Array
    parts: list[Attributed]


def explain_inputs(
    session: Session, x: Data, *, head: str | None, label: str | None, baseline: Data, rows: int | None
) -> Attributions:
    """Check rows from a Python caller, and attribute the answers for them; see :func:`explain_rows`."""
    session.require_adapted()
    feeds = _arrays(user_inputs(session.needed_inputs, x), rows)
    mean_of = None if baseline is None else _arrays(user_inputs(session.needed_inputs, baseline), _MEAN_ROWS)
    return explain_rows(session, feeds, head=head, label=label, mean_of=mean_of)


def _arrays(columns: Mapping[str, Any], rows: int | None) -> dict[str, Array]:
    """Return columns, which may be those of a file, as arrays."""
    found = {name: column[: len(column) if rows is None else rows] for name, column in columns.items()}
    if any(isinstance(column, Pictures) for column in found.values()):
        raise UsageError("pictures of several sizes cannot be explained together: give one, or those of one size")
    return {name: np.asarray(column) for name, column in found.items()}


def explain_rows(
    session: Session,
    feeds: Mapping[str, Array],
    *,
    head: str | None,
    label: str | None,
    mean_of: Mapping[str, Array] | None,
) -> Attributions:
    """Attribute the answers for checked raw rows to their raw values.

    Args:
        head: the head; None if there is one.
        label: the label or number of the class to explain; None for the predicted one of each row.
        mean_of: rows whose mean is the baseline; None for the neutral one: the mean of standardized numbers, no category,
            padding, black.

    Raises:
        UsageError: there is no such head or class, the head has no single value, or there are too many rows.
    """
    session.require_adapted()
    chosen = _head(session, head)
    rows = len(next(iter(feeds.values())))
    if rows > MAX_ROWS:
        raise UsageError(f"{rows:,} rows are too many: at most {MAX_ROWS} are explained at a time; pass fewer")
    with session.access.reading():
        cut: Frontier = session.once(("frontier", chosen.name), lambda: frontier(session.whole, chosen.name))
        if not cut.leaves:
            raise UsageError(
                f"head '{chosen.name}' has no gradient by any input: nothing in it can be attributed; explain another head"
            )
        mapping = _Mapping(session, cut)
        arrays = values_at(session, feeds, [*(leaf.value for leaf in cut.leaves), *cut.sides, *mapping.texts.values()])
        texts = {name: arrays[value.name] for name, value in mapping.texts.items()}
        baselines = {leaf.value.name: mapping.baseline(leaf, arrays[leaf.value.name]) for leaf in cut.leaves}
        if mean_of is not None:
            baselines = _means(session, cut, mean_of, baselines)
        given = {name: array for name, array in arrays.items() if name in cut.rest.inputs}
        integrator = Integrator(session, cut, chosen.name, given, baselines)
        selectors, explained, offsets = _selectors(chosen, integrator.outputs(), label)
        paths = [integrator.path(row, selectors[row]) for row in range(rows)]
    return Attributions(
        chosen.name,
        explained,
        np.array([path.value for path in paths]) + offsets,
        np.array([path.baseline for path in paths]) + offsets,
        np.array([path.gap for path in paths]),
        np.array([path.steps for path in paths]),
        mapping.parts(feeds, arrays, texts, paths),
    )


def _head(session: Session, name: str | None) -> HeadDecl:
    heads = session.spec.heads
    if name is None and len(heads) > 1:
        listed = ", ".join(f"'{h}'" for h in heads)
        raise UsageError(f"the network has the heads {listed}: name the one to explain (`head=`, or --head)")
    if name is not None and name not in heads:
        hint = did_you_mean(name, list(heads))
        raise UsageError(f"there is no head '{name}'; " + (hint or f"the heads are {', '.join(heads)}"))
    found = heads[name] if name is not None else next(iter(heads.values()))
    if found.loss is not None and targets_of(found.loss) == "labels":
        raise UsageError(
            f"head '{found.name}' writes a text by CTC: its answer is the best path through all steps, no single value with "
            "a gradient; explain another head"
        )
    return found


def _selectors(head: HeadDecl, outputs: Array, label: str | None) -> tuple[Array, list[str], Array]:
    """Return the weights of a head's values in f, what each row explains, and a constant to add to f of each row.

    A head of one unit has the probability of its second class; that of the first class is 1 minus it.
    """
    rows, shape = len(outputs), outputs.shape[1:]
    weights, offsets = np.zeros((rows, *shape)), np.zeros(rows)
    units = shape[-1] if shape else 1
    labels = head.labels
    classes = labels is not None or (head.loss is not None and targets_of(head.loss) in ("ids", "one_hot"))
    if units == 1:
        binary = labels is not None and len(labels) == 2
        if label is not None and not binary:
            raise UsageError(f"head '{head.name}' has one value and no classes: leave the class out")
        if not binary:
            return np.ones_like(weights), [""] * rows, offsets
        assert labels is not None
        given = None if label is None else _class(head, label, 2)
        flat = outputs.reshape(rows, -1)
        first = (flat <= _HALF) if given is None else np.full(flat.shape, given == 0)
        weights = np.where(first, -1.0, 1.0).reshape(weights.shape)
        names = [_named(head, {int(not f) for f in row}) for row in first]
        return weights, names, first.sum(axis=1).astype(float)
    if label is None and not classes:
        return np.ones_like(weights), ["the sum of its values"] * rows, offsets
    if label is not None:
        weights[..., _class(head, label, units)] = 1
        return weights, [_named(head, {_class(head, label, units)})] * rows, offsets
    best = outputs.argmax(-1)
    np.put_along_axis(weights, best[..., None], 1, axis=-1)
    return weights, [_named(head, {int(k) for k in np.ravel(best[row])}) for row in range(rows)], offsets


def _named(head: HeadDecl, ids: set[int]) -> str:
    """Return the class of a row; of several positions with several classes, how many there are."""
    if len(ids) > 1:
        return "the predicted classes"
    (k,) = ids
    return head.labels[k] if head.labels is not None and k < len(head.labels) else str(k)


def _class(head: HeadDecl, label: str, units: int) -> int:
    if head.labels is not None and label in head.labels:
        return head.labels.index(label)
    if head.labels is None and label.isascii() and label.isdigit() and int(label) < units:
        return int(label)
    listed = f"0 to {units - 1}" if head.labels is None else ", ".join(head.labels[:10])
    hint = did_you_mean(label, head.labels or []) or f"the classes are {listed}"
    raise UsageError(f"head '{head.name}' has no class '{label}'; {hint}")


def _means(
    session: Session, cut: Frontier, rows: Mapping[str, Array], neutral: Mapping[str, Array]
) -> dict[str, Array]:
    """Return the means of the leaves over some rows; a leaf with another length than the explained rows stays neutral."""
    first = {name: array[:_MEAN_ROWS] for name, array in rows.items()}
    arrays = values_at(session, first, [leaf.value for leaf in cut.leaves])
    means = {name: array.mean(axis=0, dtype=np.float64) for name, array in arrays.items()}
    return {name: means[name] if means[name].shape == array.shape else array for name, array in neutral.items()}


class _Mapping:
    """How the leaves of a network belong to its raw inputs."""

    def __init__(self, session: Session, cut: Frontier) -> None:
        self.session, self.cut = session, cut
        self.layers = {n.name: n.layer for n in session.spec.nodes}
        self.layers |= {n.name: self.layers[n.share] for n in session.spec.nodes if n.share is not None}
        self.texts = {leaf.value.name: v for leaf in cut.leaves if (v := self._tokens(leaf)) is not None}

    def _layer(self, value: Value) -> Layer | None:
        return None if value.node is None else self.layers.get(value.node.owner)

    def _tokens(self, leaf: Leaf) -> Value | None:
        """Return the words of a text, the last ones that are computed before the leaf; None without words in order."""
        if len(leaf.sources) != 1 or self._vectorizer(leaf) is not None:
            return None
        nodes = self.session.whole.needed([leaf.value])
        layers = [self.layers.get(n.owner) for n in nodes]
        if any(isinstance(layer, TextVectorization) and layer.ngrams not in (None, 1) for layer in layers):
            return None
        found = [
            v for n in nodes for v in n.outputs if v.type.is_string and v.rank == 2 and isinstance(v.shape[1], str)
        ]
        return found[-1] if found else None

    def _vectorizer(self, leaf: Leaf) -> TextVectorization | None:
        """Return the layer that makes a text into a vector with one element per word."""
        layer = self._layer(leaf.value)
        if isinstance(layer, TextVectorization) and layer.output_mode != "int" and len(leaf.sources) == 1:
            return layer
        return None

    def baseline(self, leaf: Leaf, array: Array) -> Array:
        """Return the neutral value of a leaf: the vector of id 0 for an embedding without a mask, else 0."""
        shape, node = array.shape[1:], leaf.value.node
        if node is not None and node.op == "Gather":
            table, layer = node.inputs[0], self._layer(leaf.value)
            by_row = table is not None and table.param is not None and node.attrs.get("axis", 0) == 0
            if by_row and table is not None and not getattr(layer, "mask_zero", False):
                weights = self.session.parameters.view(table.name)
                return np.broadcast_to(np.asarray(weights[0], np.float64), shape).copy()
        return np.zeros(shape)

    def parts(
        self, feeds: Mapping[str, Array], arrays: Mapping[str, Array], texts: Mapping[str, Array], paths: Sequence[Path]
    ) -> list[Attributed]:
        """Return the attributions by raw input, in the order of the inputs; groups come last."""
        found: dict[str, Attributed] = {}
        for leaf in self.cut.leaves:
            name = leaf.value.name
            values = np.stack([np.asarray(path.leaves[name]) for path in paths])
            part = self._part(leaf, values, feeds, texts.get(name), arrays[name])
            if (known := found.get(part.name)) is not None:
                part = _joined(known, part)
            found[part.name] = part
        order = {name: k for k, name in enumerate(self.session.whole.inputs)}
        return sorted(found.values(), key=lambda part: order.get(part.name, len(order)))

    def _part(
        self, leaf: Leaf, values: Array, feeds: Mapping[str, Array], words: Array | None, at: Array
    ) -> Attributed:
        if len(leaf.sources) != 1:
            return Attributed(" + ".join(leaf.sources), _summed(values, 1), None)
        (name,) = leaf.sources
        raw = np.asarray(feeds[name])
        layer = self._vectorizer(leaf)
        if layer is not None and values.ndim == 2:
            tokens = [*(layer.tokens() or ())]
            names = [*[UNSEEN] * (values.shape[1] - len(tokens)), *tokens]
            raw_words = np.full(at.shape, None, object)
            raw_words[at != 0] = np.broadcast_to(np.array(names, object), at.shape)[at != 0]
            return Attributed(name, values, raw_words, words=True, bag=True)
        if words is not None and values.ndim >= 2 and not raw.ndim > 2:
            return Attributed(name, _summed(values, 2), _padded_words(words, values.shape[1]), words=True)
        if is_picture(self.session.whole.inputs[name]) and values.shape[:3] == raw.shape[:3]:
            return Attributed(name, _summed(values, 3), raw, picture=True)
        while raw.ndim > 1 and raw.shape[-1] == 1 and raw.ndim > 2:
            raw = raw[..., 0]
        if values.shape[: raw.ndim] == raw.shape and raw.size > len(raw):
            return Attributed(name, _summed(values, raw.ndim), raw, names=self._names(name, raw.shape[-1]))
        single = raw.reshape(len(raw)) if raw.size == len(raw) else None
        return Attributed(name, _summed(values, 1), single)

    def _names(self, name: str, size: int) -> tuple[str, ...]:
        """Return the columns of an array that is made from columns of a table."""
        for source in self.session.spec.data.values():
            columns = (source.inputs or {}).get(name)
            if isinstance(columns, list) and len(columns) == size and size > 1:
                return tuple(columns)
        return ()


def _summed(values: Array, axes: int) -> Array:
    """Return sums over all axes after the first ``axes``."""
    found: Array = values.reshape(*values.shape[:axes], -1).sum(axis=-1)
    return found


def _padded_words(words: Array, length: int) -> Array:
    """Return ``length`` words per row; those that pad are None."""
    found = np.full((len(words), length), None, object)
    kept = min(length, words.shape[1])
    texts = words[:, :kept].astype(object)
    found[:, :kept][texts != ""] = texts[texts != ""]
    return found


def _joined(one: Attributed, other: Attributed) -> Attributed:
    """Return the sum of two parts of one input: element by element if they have the same shape, else as a whole."""
    if one.values.shape == other.values.shape:
        return replace(one, values=one.values + other.values)
    return Attributed(one.name, _summed(one.values, 1) + _summed(other.values, 1), None)
