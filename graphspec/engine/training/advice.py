"""Why a validation value is far from the training value: one hint, where the history and the network show a cause."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from graphspec.base.arrays.strings import Strings
from graphspec.base.text import number, percent
from graphspec.data.batches import Dataset
from graphspec.graph.ir.graph import Array, Value
from graphspec.language.declarations import HeadDecl, NodeDecl, Spec

_VAL = "val_"
_LAG = 0.05  # of the initial values in moving averages is too much
_FAR = 1.3  # times the training loss is far
_TOO_FAR = 5.0  # times the validation loss is not Dropout alone
_HARDLY = 0.95  # of the first loss is hardly less
_RISE = 1.1  # times the lowest validation loss is a rise
_EPOCHS_OF_RISE = 3
_EPOCHS_OF_ONE_CLASS = 3
_LARGE = 50.0  # standard deviations or offsets of inputs beyond this are not scaled
_ROWS = 1024  # rows whose inputs are looked at
# Layers that hand on the scale of their inputs, and those whose weights are trained well on inputs of about size 1 only.
_PASSES = ("Concatenate", "Flatten", "Reshape", "Permute", "Dropout", "Masking", "Identity", "Impute")
_WEIGHTED = (
    *("Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D", "SeparableConv1D", "SeparableConv2D"),
    *("SimpleRNN", "LSTM", "GRU", "RNN", "Bidirectional"),
)
_ONLY_IN_TRAINING = ("Dropout", "SpatialDropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "Random")


@dataclass(frozen=True)
class Evidence:
    """What a training has shown.

    For a spec with one head of classes, ``largest_share`` is the share of the most frequent class in the validation rows,
    and its label, and ``guessing`` the cross-entropy of always answering the shares of the classes.
    """

    history: Mapping[str, Sequence[float]]  # the values of every epoch, by key
    updates: int = 0  # the number of steps of all epochs
    momenta: Mapping[str, float] = field(default_factory=dict)  # of each BatchNormalization that is trained, by node
    only_in_training: Sequence[str] = ()  # nodes that change values in training only, such as Dropout
    unseen: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by head, classes of validation rows alone
    split: Literal["random", "last"] | None = "random"  # which rows are the validation rows; None: those of a file
    largest_share: tuple[float, str] | None = None
    targets: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # mean and deviation of unscaled numbers
    restored: bool = False  # whether the weights of the best epoch have been restored
    unscaled: Sequence[str] = ()  # descriptions of inputs with large values, as from :func:`unscaled_inputs`
    guessing: float | None = None


def advice(evidence: Evidence) -> str | None:
    """Return the first cause that the evidence supports, with what to do; None if there is none."""
    return next(_causes(evidence), None)


def _causes(evidence: Evidence) -> Iterator[str]:
    """Yield causes; direct evidence comes first."""
    losses, validation = evidence.history.get("loss", ()), evidence.history.get("val_loss", ())
    if not losses or not validation or not all(map(math.isfinite, [*losses, *validation])):
        return
    for head, labels in evidence.unseen.items():
        few = ", ".join(f"'{label}'" for label in labels[:5]) + (", …" if len(labels) > 5 else "")
        fix = f"set `stratify: {head}` for the split, or " if evidence.split == "random" else ""
        if evidence.split == "last":
            fix = f"if the order of the rows does not matter, split at random, with `stratify: {head}`; else "
        yield (
            f"validation rows have classes of '{head}' that no training row has ({few}), which cannot be learnt: "
            f"{fix}add training rows"
        )
    yield from _unscaled(evidence, losses)
    yield from _one_class(evidence)
    yield from _unscaled_target(evidence)
    history = evidence.history
    keys = [key for key in history if (key == "loss" or key.endswith("_loss")) and f"{_VAL}{key}" in history]
    if any(history[f"{_VAL}{key}"][-1] > _FAR * history[key][-1] > 0 for key in keys):
        yield from _lag(evidence)
    yield from _overfitting(evidence, losses, validation)
    before = max(validation[-2:])  # the loss is a mean over an epoch in which the weights improve
    if len(validation) > 1 and _TOO_FAR * before > losses[-1] > _FAR * before > 0 and evidence.only_in_training:
        names = " and ".join(f"'{name}'" for name in evidence.only_in_training[:2])
        changes = "changes" if len(evidence.only_in_training) == 1 else "change"
        yield f"the loss is above val_loss since {names} {changes} values in training only: this is normal"


def _unscaled(evidence: Evidence, losses: Sequence[float]) -> Iterator[str]:
    guessing = evidence.guessing
    if not evidence.unscaled or not guessing or len(losses) < _EPOCHS_OF_RISE or losses[-1] < _HARDLY * guessing:
        return
    named = " and ".join(evidence.unscaled[:2]) + (", …" if len(evidence.unscaled) > 2 else "")
    yield (
        f"after {len(losses)} epochs, loss is {number(losses[-1])}, and guessing has {number(guessing)}; inputs are not "
        f"scaled: {named}; read them through Normalization, or set `scale: standard` for columns"
    )


def _unscaled_target(evidence: Evidence) -> Iterator[str]:
    for head, (mean, deviation) in evidence.targets.items():
        key = f"{head}_loss" if f"{head}_loss" in evidence.history else "loss"
        losses = evidence.history[key]
        if len(losses) >= _EPOCHS_OF_RISE and losses[-1] > _HARDLY * losses[0] and max(abs(mean), deviation) > _LARGE:
            yield (
                f"{key} hardly falls, and the target of '{head}' has mean {number(mean)}, deviation {number(deviation)}: "
                f"set `scale: standard` of head '{head}'"
            )


def _lag(evidence: Evidence) -> Iterator[str]:
    slow = {name: m**evidence.updates for name, m in evidence.momenta.items() if m**evidence.updates > _LAG}
    if slow:
        name = max(slow, key=lambda name: slow[name])
        momentum = next((m for m in (0.9, 0.8, 0.5) if m < evidence.momenta[name] and m**evidence.updates <= _LAG), 0.5)
        yield (
            f"the validation uses the moving averages of BatchNormalization '{name}', which after {evidence.updates:,} "
            f"steps still contain {percent(slow[name])} of their initial values: set `momentum: {momentum}`, train for "
            "more epochs, or scale inputs with Normalization"
        )


def _one_class(evidence: Evidence) -> Iterator[str]:
    accuracies = evidence.history.get("val_accuracy", ())[-_EPOCHS_OF_ONE_CLASS:]
    if evidence.largest_share is None or len(accuracies) < _EPOCHS_OF_ONE_CLASS:
        return
    share, label = evidence.largest_share
    trained = evidence.history.get("accuracy", ())
    if trained and trained[-1] > (1 + share) / 2:  # which one answer does not reach: it is a coincidence of a few rows
        return
    if share < 1 and all(abs(accuracy - share) < 1e-6 for accuracy in accuracies):
        yield (
            f"val_accuracy is the share of the class '{label}' in the validation rows ({percent(share)}): the network "
            "seems to answer it for every row; change `learning_rate`, scale the inputs, or set `class_weight: balanced`"
        )


def _overfitting(evidence: Evidence, losses: Sequence[float], validation: Sequence[float]) -> Iterator[str]:
    best = int(np.argmin(validation))
    rises = len(validation) - 1 - best >= _EPOCHS_OF_RISE and validation[-1] > _RISE * validation[best]
    if rises and validation[best] > 0 and losses[-1] < losses[best] and not evidence.restored:
        yield (
            f"overfitting since epoch {best + 1}: val_loss has risen from {number(validation[best])} to "
            f"{number(validation[-1])}, while loss still falls; use the callback "
            "`{type: EarlyStopping, patience: 5, restore_best_weights: true}`, Dropout, or more rows"
        )


def evidence_of(spec: Spec) -> tuple[dict[str, float], list[str]]:
    """Return the momentum of each trained BatchNormalization, and the nodes that act in training only."""
    momenta, only_in_training = {}, []
    for node in spec.nodes:
        kind = node.type or type(node.layer).__name__
        if kind == "BatchNormalization" and node.trainable and isinstance(getattr(node.layer, "momentum", None), float):
            momenta[node.name] = node.layer.momentum  # type: ignore[union-attr]
        elif kind.startswith(_ONLY_IN_TRAINING):
            only_in_training.append(node.name)
    return momenta, only_in_training


def unscaled_inputs(spec: Spec, data: Dataset) -> list[str]:
    """Describe large inputs, as the trained graph reads them, that go unscaled into trained layers; the largest first."""
    found = []
    for name, rows in data.sample(_ROWS).items():
        if not np.issubdtype(rows.dtype, np.number) or not rows.size or name not in spec.inputs:
            continue
        values = rows.astype(np.float64)
        values = values[np.isfinite(values)]
        size = max(float(values.std()), abs(float(values.mean()))) if values.size else 0.0
        if size > _LARGE and _reaches_weights(spec.nodes, name):
            found.append((size, f"'{name}' has mean {number(float(values.mean()))}, deviation {number(values.std())}"))
    return [text for _, text in sorted(found, key=lambda item: -item[0])]


def _reaches_weights(nodes: Sequence[NodeDecl], source: str) -> bool:
    """Return whether a layer with weights reads ``source``, directly or behind layers that keep its scale."""
    reached = {source}
    for node in nodes:
        if any(ref is not None and ref.name in reached for ref in node.inputs):
            if node.type in _WEIGHTED:
                return True
            if node.type in _PASSES:
                reached.add(node.name)
    return False


# What the targets of some rows are: how often each class occurs, or the mean and the range of numbers.
_VALUES = 1 << 20  # values of a target that are read; of larger ones, blocks of rows spread over all
_BLOCKS = 64


@dataclass(frozen=True)
class ClassShares:
    """How often each class occurs."""

    labels: Sequence[str]  # the names of the classes, or their ids
    counts: Array  # by class, ``(classes,)``
    exact: bool  # False if only some of the rows were read
    positions: int = 1  # the classes of a row, such as one per time step
    several: bool = False  # whether several classes may apply to a row; ``counts`` are then of ``rows`` rows
    rows: int = 0  # the rows, or positions, that were read

    def share(self, k: int) -> float:
        return float(self.counts[k] / max(self.rows if self.several else self.counts.sum(), 1))

    def missing_in(self, other: ClassShares) -> list[str]:
        """Return the labels of classes that occur in ``other`` but not here."""
        if len(self.counts) != len(other.counts) or not (self.exact and other.exact):
            return []
        return [self.labels[int(k)] for k in np.flatnonzero((other.counts > 0) & (self.counts == 0))]


@dataclass(frozen=True)
class Numbers:
    """The mean, the deviation and the range of a target; ``values`` is their number per row."""

    mean: float
    deviation: float
    low: float
    high: float
    exact: bool
    values: int = 1


@dataclass(frozen=True)
class LabelSequences:
    """Sequences of at most ``longest`` labels out of ``classes``."""

    longest: int
    classes: int


Summary = ClassShares | Numbers | LabelSequences


def summarize(head: HeadDecl, value: Value, data: Dataset) -> Summary | None:
    """Summarize the targets (at most about a million) of a head with these values; None if they are of no such kind."""
    target: Any = data.targets.get(head.name)
    if target is None or head.loss is None or isinstance(target, Strings) or not len(data):
        return None
    form, units = head.loss.targets, value.shape[-1] if value.rank > 1 else 1
    if not isinstance(units, int) or form in ("groups", "times"):
        return None
    if form == "labels":
        return LabelSequences(int(np.prod(target.shape[1:], dtype=np.int64)), units - 1)
    if form == "ids" and (sizes := data.sizes.get(head.name)) is not None:  # padding counts as no class
        target = np.where(np.arange(target.shape[1]) < sizes[:, None], target.astype(np.int32), -1)
    rows, exact = _some(target, data)
    if form == "ids":
        positions = 1 if head.name in data.sizes else rows[0].size
        return _shares(head, rows.reshape(-1).astype(np.int64), units, exact, positions)
    if form == "one_hot" and rows.ndim > 1 and rows.shape[-1] == units > 1:
        chosen = rows.argmax(-1)
        return _shares(head, chosen.reshape(-1), units, exact, chosen[0].size)
    if head.loss.fits != "numbers":
        shares = _binary(head, rows, units, exact)
        if shares is not None or head.loss.fits == "classes":
            return shares
    numbers = rows.reshape(-1).astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not numbers.size:
        return None
    low, high = float(numbers.min()), float(numbers.max())
    return Numbers(float(numbers.mean()), float(numbers.std()), low, high, exact, rows[0].size)


def _some(target: Array, data: Dataset) -> tuple[Array, bool]:
    """Return the targets of all rows, or of blocks of rows, and whether they are all."""
    limit, blocks = max(_VALUES // max(target[:1].size, 1), _BLOCKS), [slice(None)]
    if not (every := len(data) <= limit):
        size = limit // _BLOCKS
        starts = np.linspace(0, len(data) - size, _BLOCKS).astype(np.int64).tolist()
        blocks = [slice(start, start + size) for start in starts]
    parts = [np.asarray(target[rows] if data.chosen is None else target[data.chosen[rows]]) for rows in blocks]
    return parts[0] if every else np.concatenate(parts), every


def _labels(head: HeadDecl, classes: int) -> list[str]:
    return head.labels if head.labels is not None and len(head.labels) == classes else list(map(str, range(classes)))


def _shares(head: HeadDecl, ids: Array, classes: int, exact: bool, positions: int) -> ClassShares:
    classes = max(classes, 2)
    inside = ids[(ids >= 0) & (ids < classes)]
    counts = np.bincount(inside, minlength=classes)
    return ClassShares(_labels(head, classes), counts, exact, positions, rows=len(inside))


def _binary(head: HeadDecl, rows: Array, units: int, exact: bool) -> ClassShares | None:
    """Return the shares of targets 0 and 1 (or -1 and 1); None if there are values between."""
    values = np.unique(rows)
    if not len(values) or len(values) > 2 or values[-1] != 1 or values[0] not in (-1, 0, 1):
        return None
    ones = rows == 1
    if units == 1:
        return _shares(head, ones.reshape(-1).astype(np.int64), 2, exact, ones[0].size)
    counts, size = ones.reshape(-1, units).sum(0), ones.size // units
    return ClassShares(_labels(head, units), counts, exact, ones[0].size // units, several=True, rows=size)
