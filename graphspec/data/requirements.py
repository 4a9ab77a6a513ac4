"""The data that a graph requires: types, classes, ranges, and what may be missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from graphspec.base.errors import Mark
from graphspec.graph.ir.graph import Type
from graphspec.graph.ir.ranges import Range
from graphspec.language.declarations import LENGTH, STEPS, WEIGHT


@dataclass(frozen=True)
class DataSignature:
    """The data that a graph requires.

    Attributes:
        inputs, targets: types by input and by head.
        unread: inputs of the spec that only the losses read; arrays for them may be given to predictions, without effect.
        unlabelled: types of the heads with a loss that need no targets, but may have sample weights.
        class_inputs: inputs with which heads compare: their ids are classes.
        classes: the number of classes of each head whose targets are ids.
        ignored: the additional id that a head allows (``ignore_class``).
        probabilities: heads whose targets must be in 0 … 1 (cross-entropies).
        limits: for inputs that are ids, the range for which the Embedding has rows.
        labels: class names by head; their targets may be text.
        ctc: heads whose targets are label sequences, also if no targets are required.
        gaps: inputs in which numbers may be missing: NaN, or the smallest int64.
        any_size: inputs of pictures of which every row may have a size of its own.
        missing: texts of files that mean a missing number, by input.
        folded: inputs whose texts may differ in case.
        text_labels: heads whose targets may be texts, because their labels are learnt.
        columns: the default column of an input, if it has another name.
        records: inputs that are columns of a record, with the place of each in the spec and its path of keys.
        steps: the time steps of every CTC head, given the inputs' shapes.
    """

    inputs: Mapping[str, Type]
    targets: Mapping[str, Type] = field(default_factory=dict)
    classes: Mapping[str, int] = field(default_factory=dict)
    ignored: Mapping[str, int] = field(default_factory=dict)
    probabilities: frozenset[str] = frozenset()
    limits: Mapping[str, Range] = field(default_factory=dict)
    labels: Mapping[str, list[str]] = field(default_factory=dict)
    ctc: frozenset[str] = frozenset()
    gaps: frozenset[str] = frozenset()
    any_size: frozenset[str] = frozenset()
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    folded: frozenset[str] = frozenset()
    text_labels: frozenset[str] = frozenset()
    columns: Mapping[str, str] = field(default_factory=dict)
    records: Mapping[str, tuple[Mark, str]] = field(default_factory=dict)
    unlabelled: Mapping[str, Type] = field(default_factory=dict)
    class_inputs: frozenset[str] = frozenset()
    unread: frozenset[str] = frozenset()
    steps: Callable[[Mapping[str, tuple[int, ...]]], Mapping[str, int]] | None = None

    @property
    def weighted(self) -> Mapping[str, Type]:
        """The heads that may have sample weights, with the types of what they compare."""
        return {**self.targets, **self.unlabelled}

    def extras(self) -> list[str]:
        """Return the names of optional arrays: sample weights, and the lengths of label sequences."""
        heads = list(self.targets)
        return [h + WEIGHT for h in self.weighted] + [
            h + suffix for h in heads if h in self.ctc for suffix in (LENGTH, STEPS)
        ]
