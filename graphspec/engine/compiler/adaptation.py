"""What a network has learnt from its training rows before the first step: vocabularies, statistics, labels, ranges."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from graphspec.language.declarations import HeadDecl, NodeDecl, Spec

FORMAT = 1


@dataclass(frozen=True)
class Adapted:
    """The learnt arguments; of ``heads``: ``labels``, or ``mean``, ``deviation``, ``min`` and ``max`` of a scaled target."""

    layers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # the arguments of each layer, by node
    heads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rows: int = 0  # the number of rows that they were learnt from
    form: str | None = None  # the form of the spec whose layers they are, if it has forms
    inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # what training rows usually were

    def to_json(self) -> dict[str, Any]:
        layers = {name: dict(state) for name, state in self.layers.items()}
        heads = {name: dict(state) for name, state in self.heads.items()}
        own: dict[str, Any] = {} if self.form is None else {"form": self.form}
        own |= {"inputs": dict(self.inputs)} if self.inputs else {}
        return {"format": FORMAT, "rows": self.rows, "layers": layers, "heads": heads} | own

    @classmethod
    def of_json(cls, record: Any) -> Adapted:
        """Return the record of plain values, such as those of a file. Raises ValueError: it has another form."""
        if not isinstance(record, Mapping) or record.get("format") != FORMAT:
            raise ValueError("it is not a record of this version of what a network has learnt")
        parts: tuple[Any, Any, Any] = record.get("layers"), record.get("heads"), record.get("inputs", {})
        for part in parts:
            if not isinstance(part, Mapping) or not all(isinstance(state, Mapping) for state in part.values()):
                raise ValueError("'layers', 'heads' and 'inputs' must be mappings of mappings")
        if type(rows := record.get("rows")) is not int or rows < 0:
            raise ValueError("'rows' must be a number of rows")
        if not isinstance(form := record.get("form"), str | None):
            raise ValueError("'form' must be a text")
        return cls(*parts[:2], rows, form, parts[2])

    def of_files(self) -> Adapted:
        """Return the arrays of constants and the hashes of ONNX files alone, which came from files and give sizes."""
        return Adapted({name: state for name, state in self.layers.items() if state.keys() & {"array", "onnx"}})

    @property
    def sha256(self) -> str:
        """The hash of the record, independent of the order of keys."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()


def learning_nodes(spec: Spec) -> list[NodeDecl]:
    """Return the nodes whose layers must still learn from the training rows; nodes that share weights are omitted."""
    return [node for node in spec.nodes if node.share is None and node.layer is not None and node.layer.learns]


def standardizes(head: HeadDecl) -> bool:
    """Return whether the mean and the deviation of a head's target, or its range, must still be learnt."""
    return head.scale == "standard" and (head.statistics is None or (head.clip is True and head.bounds is None))


def fill_in(spec: Spec, adapted: Adapted) -> Spec:
    """Return the spec with the learnt arguments filled in. Raises ValueError: the record does not fit the spec."""
    nodes = {node.name: node for node in spec.nodes}
    for name, state in adapted.layers.items():
        node = nodes.get(name)
        if node is None or node.layer is None:
            raise ValueError(f"it has arguments of '{name}', which is not a layer of the spec")
        try:
            nodes[name] = replace(node, layer=node.layer.with_learnt(state))
        except ValueError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            why = lines[-1] if lines else type(error).__name__
            raise ValueError(f"the arguments of '{name}' do not fit: {why}") from None
    heads = dict(spec.heads)
    for name, state in adapted.heads.items():
        if name not in heads:
            raise ValueError(f"it has labels or statistics of '{name}', which is not a head of the spec")
        heads[name] = _head(heads[name], state)
    return replace(spec, nodes=list(nodes.values()), heads=heads)


def _head(head: HeadDecl, state: Mapping[str, Any]) -> HeadDecl:
    labels, mean, deviation = state.get("labels"), state.get("mean"), state.get("deviation")
    if labels is not None:
        if not isinstance(labels, list) or not all(isinstance(text, str) for text in labels):
            raise ValueError(f"the labels of '{head.name}' must be a list of texts")
        head = replace(head, labels=list(labels))
    if mean is not None or deviation is not None:
        numbers = [v for v in (mean, deviation) if isinstance(v, int | float) and math.isfinite(v)]
        if len(numbers) != 2 or numbers[1] <= 0:
            raise ValueError(f"the statistics of '{head.name}' must be a mean and a positive deviation")
        head = replace(head, statistics=(float(numbers[0]), float(numbers[1])))
    bounds = [v for v in (state.get("min"), state.get("max")) if isinstance(v, int | float) and math.isfinite(v)]
    if head.clip is True and head.statistics is not None:
        if len(bounds) != 2 or bounds[0] > bounds[1]:
            raise ValueError(f"the range of '{head.name}', which `clip` needs, must be a 'min' and a 'max'")
        head = replace(head, bounds=(float(bounds[0]), float(bounds[1])))
    return head
