"""Replace labels by class ids in a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from graphspec.arrays.strings import Strings
from graphspec.data.check import encode_labels
from graphspec.data.convert import one_hot, reshape

if TYPE_CHECKING:
    from graphspec.data.batches import Dataset
    from graphspec.ir.graph import Type


def with_class_ids(data: Dataset, labels: Mapping[str, Sequence[str]], types: Mapping[str, Type]) -> Dataset:
    """Return the dataset with class ids in place of texts, for heads whose labels were learnt.

    Args:
        types: the type of each target: ids, or vectors with a 1 at the class.

    Raises:
        SpecError: GS511, a target is not among the labels.
    """
    texts = {name: target for name, target in data.targets.items() if isinstance(target, Strings)}
    if not texts:
        return data
    found = {}
    for name, target in texts.items():
        expected = types[name]
        ids = one_hot(encode_labels(target, labels[name]), expected, len(labels[name]))
        found[name] = reshape(ids, expected, {}, squeeze=not expected.is_float)
    return replace(data, targets={**data.targets, **found})
