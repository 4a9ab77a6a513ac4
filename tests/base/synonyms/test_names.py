"""Every name that a table leads to exists, and no name of the vocabulary is a synonym of another."""

from __future__ import annotations

import re

import pytest

from graphspec.base.config import Config, Registry
from graphspec.base.synonyms.keys import fold, synonym, tables_of
from graphspec.graph.optimizers import OPTIMIZERS
from graphspec.language.explain import REGISTRIES
from graphspec.vocabulary.activations import ACTIVATIONS
from graphspec.vocabulary.layers import LAYERS
from graphspec.vocabulary.losses import LOSSES
from graphspec.vocabulary.metrics import METRICS

NAMES = {kind: table for kind, table in tables_of("names").items() if kind != "otherwise"}
ALL = sorted({name for registry in REGISTRIES.values() for name in registry.names()})
OTHER_WORDS = {"NAME", "PyTorch", "NaN", "PR"}


@pytest.mark.parametrize("kind", NAMES)
def test_every_target_exists(kind: str) -> None:
    registry = REGISTRIES[kind]
    for name, text in NAMES[kind].items():
        if text.isidentifier():
            assert registry.get(text) is not None, f"{name} leads to {text}"
            continue
        named = set(re.findall(r"\b[A-Z]+[a-z]+[A-Z]\w*|\b[a-z0-9]+_[a-z_]+(?=[,. ])", text)) - OTHER_WORDS
        named |= set(re.findall(r"type: (\w+)", text))
        arguments = {field for r in REGISTRIES.values() for cls in r for field in cls.model_fields}
        missing = {word for word in named if word not in ALL and word not in arguments and f"{word}/" not in text}
        assert not missing - {"set_weights", "one_hot", "transformer_encoder"}, f"{name}: {text}"


@pytest.mark.parametrize("kind", NAMES)
def test_a_name_of_the_vocabulary_is_no_synonym(kind: str) -> None:
    names = {fold(name) for name in REGISTRIES[kind].names() if "." not in name}
    assert not names & set(NAMES[kind])
    assert all(name == fold(name) for name in NAMES[kind])


def written(text: str) -> list[str]:
    """The mappings with ``type`` that a hint says to write, without placeholders."""
    return [found for found in re.findall(r"`(\{type: [^`]*\})`", text) if "…" not in found]


@pytest.mark.parametrize("kind", NAMES)
def test_what_hints_say_to_write_is_valid(kind: str) -> None:
    from graphspec.language.read import read_value

    for text in NAMES[kind].values():
        for mapping in written(text):
            value = read_value(mapping, "hint").plain()
            value.pop("inputs", None)
            registries = [REGISTRIES[k] for k in (kind, *REGISTRIES) if REGISTRIES[k].get(value["type"]) is not None]
            if value == {"type": "CategoryEncoding", "output_mode": "one_hot"}:
                continue
            assert isinstance(registries[0].parse(value), Config), mapping


@pytest.mark.parametrize(
    ("registry", "name", "hint"),
    [
        (LAYERS, "Linear", "did you mean 'Dense'?"),
        (LAYERS, "torch.nn.Linear", "did you mean 'Dense'?"),
        (LAYERS, "keras.layers.Dense", "write `Dense`"),
        (LAYERS, "Dense(units=64)", "write arguments as a mapping: `{type: Dense, …}`"),
        (LAYERS, "nn.Flatten()", "write `Flatten`"),
        (LAYERS, "BatchNorm2d", "did you mean 'BatchNormalization'?"),
        (LAYERS, "MaxPool2d", "did you mean 'MaxPool2D'?"),
        (LAYERS, "concat", "did you mean 'Concatenate'?"),
        (LAYERS, "ConvTranspose2d", "did you mean 'Conv2DTranspose'?"),
        (LAYERS, "input", "declare it under `inputs`: `inputs: {x: {shape: [4]}}`"),
        (LAYERS, "nn.Sequential", "write its layers as nodes, or as a block if it is repeated"),
        (LOSSES, "L1Loss", "did you mean 'mean_absolute_error'?"),
        (LOSSES, "SmoothL1Loss", "did you mean 'huber'?"),
        (METRICS, "roc_auc", "did you mean 'auc'?"),
        (METRICS, "R2", "did you mean 'r2_score'?"),
        (METRICS, "f1", "did you mean 'f1_score'?"),
        (ACTIVATIONS, "LeakyReLU", "did you mean 'leaky_relu'?"),
        (ACTIVATIONS, "lrelu", "did you mean 'leaky_relu'?"),
        (ACTIVATIONS, "Sigmoid", "did you mean 'sigmoid'?"),
        (ACTIVATIONS, "None", "write `null` for no activation, or leave it out"),
        (OPTIMIZERS, "momentum", "write `{type: SGD, momentum: 0.9}`"),
    ],
)
def test_suggestions(registry: Registry[Config], name: str, hint: str) -> None:
    assert registry.suggest(name) == hint


def test_positions_are_not_just_an_embedding() -> None:
    for name in ("PositionalEmbedding", "PositionalEncoding"):
        hint = LAYERS.suggest(name)
        assert hint is not None
        assert "PositionEmbedding" in hint
        assert "Add the two" in hint


def test_an_ordinary_word_is_no_synonym() -> None:
    assert synonym("layer", "Flaten") is None
    assert synonym("constraint", "Linear") is None
