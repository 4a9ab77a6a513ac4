"""Everything of the vocabulary has golden values from Keras: at least two configurations of what has arguments.

Callbacks are tested by what they do in a run, initializers by golden moments of what they draw.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from golden_cases import NOT_KERAS, load, load_layers, load_texts, mentions
from paths import TESTS

from graphspec.base.config import Registry
from graphspec.language.explain import REGISTRIES
from graphspec.vocabulary.layers import CELLS


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


def of_texts() -> list[dict[str, Any]]:
    """Layers of texts."""
    return [{"type": case["layer"], **case["arguments"]} for case in load_texts()["cases"]]


def lacking(kind: str, registry: Registry[Any], found: dict[str, set[str]]) -> list[str]:
    """The classes of a kind that have less than two configurations, though Keras has them."""
    return [
        name
        for cls in registry
        if len(found[name := cls.__name__]) < 2 and not (name in NOT_KERAS[kind] or name.startswith("onnx."))
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "registry"), [("layer", REGISTRIES["layer"]), ("cell", CELLS)], ids=["layer", "cell"])
def test_every_layer_has_two_configurations(kind: str, registry: Registry[Any]) -> None:
    found = configurations(registry, *(case.spec for case in load_layers()), *augmented(), *of_texts())
    assert lacking(kind, registry, found) == []


@pytest.mark.parametrize("kind", ["loss", "metric", "optimizer", "schedule", "regularizer", "constraint"])
def test_everything_else_has_two_configurations(kind: str) -> None:
    cases = load({"loss": "losses", "metric": "metrics"}.get(kind, f"{kind}s"))
    found = configurations(REGISTRIES[kind], *({"inputs": case.id, **case.args} for case in cases))
    assert lacking(kind, REGISTRIES[kind], found) == []


def test_every_activation_has_two_configurations() -> None:
    found = configurations(REGISTRIES["activation"], *(case.spec for case in load_layers()))
    assert lacking("activation", REGISTRIES["activation"], found) == []


def test_a_layer_that_keras_does_not_have_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = defaultdict(set, {cls.__name__: {"one", "two"} for cls in REGISTRIES["layer"]}) | {"Dense": {"one"}}
    assert lacking("layer", REGISTRIES["layer"], found) == ["Dense"]
    monkeypatch.setitem(NOT_KERAS["layer"], "Dense", "vocabulary/layers/test_layers.py")
    assert lacking("layer", REGISTRIES["layer"], found) == []


def test_what_keras_does_not_have_is_tested_in_the_file_that_is_named() -> None:
    for kind, names in NOT_KERAS.items():
        registry = CELLS if kind == "cell" else REGISTRIES[kind]
        aliases = {cls.__name__: [a for a in registry.names() if registry.get(a) is cls] for cls in registry}
        for name, file in names.items():
            text = (TESTS / file).read_text(encoding="utf-8")
            assert any(f'"{alias}"' in text for alias in aliases[name]), f"{file} has no {name}"
