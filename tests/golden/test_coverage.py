"""Everything of the vocabulary has golden values from Keras: at least two configurations of what has arguments."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from golden_cases import load, load_layers, mentions

from graphspec.config import Registry
from graphspec.language.explain import REGISTRIES
from graphspec.layers import CELLS

NOT_KERAS = {
    "CharacterErrorRate",
    "ConfusionMatrix",
    "CrossentropyOfLoss",
    "AccuracyOfLoss",
    "EditDistance",
    "WordErrorRate",
}
"""Metrics that Keras has not, or has by another name; `test_metrics.py` compares them with plain counting.

Callbacks are tested by what they do in a run, initializers by golden moments of what they draw.
"""


def configurations(registry: Registry[Any], *sources: Any) -> dict[str, set[str]]:
    """The configurations of every class that the golden cases hold, where inputs of another shape are one too."""
    found: dict[str, set[str]] = defaultdict(set)
    for source in sources:
        for name, configuration in mentions(source):
            if (cls := registry.get(name)) is not None:
                shape = repr(source.get("inputs")) if isinstance(source, dict) else ""
                found[cls.__name__].add(configuration + shape)
    return found


def augmented() -> list[dict[str, Any]]:
    """Layers whose golden values have the random numbers given."""
    return [{"inputs": case.id, **case.args} for case in load("augmentation")]


@pytest.mark.parametrize("registry", [REGISTRIES["layer"], CELLS], ids=["layer", "cell"])
def test_every_layer_has_two_configurations(registry: Registry[Any]) -> None:
    found = configurations(registry, *(case.spec for case in load_layers()), *augmented())
    assert not [cls.__name__ for cls in registry if len(found[cls.__name__]) < 2]


@pytest.mark.parametrize("kind", ["loss", "metric", "optimizer", "schedule", "regularizer", "constraint"])
def test_everything_else_has_two_configurations(kind: str) -> None:
    cases = load({"loss": "losses", "metric": "metrics"}.get(kind, f"{kind}s"))
    found = configurations(REGISTRIES[kind], *({"inputs": case.id, **case.args} for case in cases))
    names = {cls.__name__ for cls in REGISTRIES[kind]} - NOT_KERAS
    assert not {name for name in names if len(found[name]) < 2}


def test_every_activation_has_two_configurations() -> None:
    found = configurations(REGISTRIES["activation"], *(case.spec for case in load_layers()))
    assert not [cls.__name__ for cls in REGISTRIES["activation"] if len(found[cls.__name__]) < 2]
