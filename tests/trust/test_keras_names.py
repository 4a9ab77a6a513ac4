"""Every name of Keras is there or refused with a reason, and what Keras writes about an object is taken as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import graphspec as gs
from graphspec.base.config import Config, Registry
from graphspec.language.explain import REGISTRIES
from graphspec.vocabulary.layers import CELLS, Layer

pytestmark = pytest.mark.slow

FOUND: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "golden" / "keras_config_keys.json").read_text(encoding="utf-8")
)
NEWER = ["layer/TernaryDense"]
"""What the next Keras has, by its source."""


def registry(kind: str, name: str) -> Registry[Any]:
    """Where a name is looked up; cells are layers in Keras."""
    return CELLS if kind == "layer" and CELLS.get(name) is not None else REGISTRIES[kind]


def document(kind: str, mapping: dict[str, Any]) -> dict[str, Any]:
    """A spec that has an object of this kind at the place for it."""
    layers: list[dict[str, Any]] = [{"name": "y", "type": "Dense", "units": 3}]
    head: dict[str, Any] = {"loss": "mse"}
    training: dict[str, Any] = {}
    if kind == "layer":
        layers = [{"name": "y", **mapping}]
    elif kind == "cell":
        layers = [{"name": "y", "type": "RNN", "cell": mapping}]
    elif kind == "activation":
        layers[0]["activation"] = mapping
    elif kind in ("initializer", "regularizer", "constraint"):
        layers[0][f"kernel_{kind}"] = mapping
    elif kind == "loss":
        head["loss"] = mapping
    elif kind == "metric":
        head["metrics"] = [mapping]
    elif kind == "optimizer":
        training["optimizer"] = mapping
    elif kind == "schedule":
        training["optimizer"] = {"type": "SGD", "learning_rate": mapping}
    else:
        training = {"callbacks": [mapping], "optimizer": {"type": "Adam", "use_ema": True}}
    inputs = {"x": {"shape": [4, 3]}}
    return {
        "graphspec": 1,
        "name": "t",
        "inputs": inputs,
        "layers": layers,
        "outputs": {"y": head},
        "training": training,
    }


def told(kind: str, mapping: dict[str, Any]) -> list[gs.Diagnostic]:
    """What is wrong with the object itself: its names, keys and values."""
    return [d for d in gs.validate(document(kind, mapping)) if d.code.startswith("GS1")]


def built(key: str) -> bool:
    kind, name = key.split("/")
    return registry(kind, name).get(name) is not None


@pytest.mark.parametrize("key", [*FOUND, *NEWER])
def test_every_name_is_there_or_refused_with_a_reason(key: str) -> None:
    kind, name = key.split("/")
    if built(key):
        assert name not in registry(kind, name).refused
        return
    (problem,) = told(kind, {"type": name})
    assert problem.code == "GS105", problem
    assert f"{name}" in problem.message
    assert "is refused: " in problem.message
    assert problem.hint
    assert not any(word in problem.hint for word in REGISTRIES[kind].refused if word[0].isupper()), (
        "what to use is there"
    )


def same(ours: Any, keras: Any) -> bool:
    """Whether a value of Keras's configuration is our default, or settles what our default leaves open."""
    if ours is None or isinstance(ours, Config):
        return True
    if isinstance(keras, tuple | list) and not isinstance(ours, tuple | list):
        keras = keras[0]
    if isinstance(ours, float) and not isinstance(keras, bool):
        return bool(keras == pytest.approx(ours, rel=1e-6))
    return bool(ours == keras)


WRITTEN = [key for key, entry in FOUND.items() if entry["config"] is not None and built(key)]
REFUSED_ALWAYS = ("callback/LambdaCallback", "callback/RemoteMonitor")


@pytest.mark.parametrize("key", [key for key in WRITTEN if key not in REFUSED_ALWAYS])
def test_what_keras_writes_is_taken_and_has_our_defaults(key: str) -> None:
    kind, name = key.split("/")
    found = FOUND[key]
    config = dict(found["config"])
    where = "cell" if registry(kind, name) is CELLS else kind
    assert told(where, {"type": name, **config}) == []
    if where == "layer":
        assert config.pop("trainable", True) is True  # the node's own keys
        config.pop("name")
    taken = registry(kind, name).parse({"type": name, **config})
    plain = registry(kind, name).parse({"type": name, **found["arguments"]})
    wrong = {
        field: (getattr(plain, field), getattr(taken, field))
        for field in type(plain).model_fields
        if field != "name" and not same(getattr(plain, field), getattr(taken, field))
    }
    assert not wrong


def test_the_list_is_long_enough() -> None:
    """That the two tests above look at something."""
    assert len(WRITTEN) > 250
    assert sum(not built(key) for key in FOUND) > 40


def neutral_keys() -> Iterator[tuple[str, str, str]]:
    for kind, one in REGISTRIES.items():
        for cls in one:
            name = next(name for name in one.names() if one.get(name) is cls)
            for key, neutral in cls.neutral.items():
                of_node = kind == "layer" and key in ("name", "trainable")
                if key not in cls.model_fields and not of_node and neutral.values:
                    yield kind, name, key


def test_a_value_that_would_have_an_effect_is_refused_with_the_reason() -> None:
    """Each key of each class; nothing but what is neutral passes."""
    checked = 0
    for kind, name, key in neutral_keys():
        said = f"`{key}` of "
        problems = [d for d in told(kind, {"type": name, key: {"some": "thing"}}) if said in d.message]
        assert "cannot be {some: 'thing'}: " in problems[0].message, (kind, name, key)
        assert [d.code for d in problems] == ["GS105"], (kind, name, key)
        assert problems[0].hint, (kind, name, key)
        checked += 1
    assert checked > 500


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ({"type": "LSTM", "units": 2, "stateful": True}, "a stateful layer depends on earlier batches"),
        ({"type": "ConvLSTM1D", "filters": 2, "kernel_size": 1, "stateful": True}, "depends on earlier batches"),
        ({"type": "BatchNormalization", "renorm": True}, "batch renormalization is not available"),
        ({"type": "CategoryEncoding", "num_tokens": 3, "sparse": True}, "sparse tensors are not available"),
        ({"type": "Discretization", "bin_boundaries": [0.0], "sparse": True}, "sparse tensors are not available"),
        (
            {"type": "Embedding", "input_dim": 3, "output_dim": 2, "weights": [[0.0]]},
            "cannot be arrays: it names a file",
        ),
        (
            {"type": "Bidirectional", "layer": {"type": "GRU", "units": 2}, "weights": [[0.0]]},
            "cannot be arrays: it names a file",
        ),
        (
            {"type": "Bidirectional", "layer": {"type": "GRU", "units": 2, "stateful": True}},
            "depends on earlier batches",
        ),
        ({"type": "Bidirectional", "layer": {"type": "GRU", "units": 2, "trainable": False}}, "is frozen with it"),
        ({"type": "GRU", "units": 2, "time_major": True}, "time is the axis after the batch"),
        ({"type": "LayerNormalization", "rms_scaling": True}, "normalization without the mean is another layer"),
        (
            {"type": "Embedding", "input_dim": 3, "output_dim": 2, "activity_regularizer": "l2"},
            "no penalty on its output",
        ),
        ({"type": "Dense", "units": 2, "lora_rank": 4}, "low-rank adaptation is not available"),
        ({"type": "Dense", "units": 2, "quantization_config": {"mode": "int8"}}, "weights are not quantized"),
    ],
)
def test_arguments_with_an_effect_that_is_not_to_be_had(node: dict[str, Any], reason: str) -> None:
    (problem,) = told("layer", node)
    assert (problem.code, reason in problem.message) == ("GS105", True), problem
    assert problem.hint


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("sparse", False, None),
        ("sparse", True, "GS105"),
        ("ragged", True, "GS105"),
        ("optional", True, "GS105"),
        ("optional", False, None),
        ("tensor", None, None),
        ("name", "x", None),
        ("batch_size", 8, "GS102"),
        ("batch_shape", [None, 4], "GS102"),
    ],
)
def test_arguments_of_inputs(key: str, value: Any, code: str | None) -> None:
    made = document("loss", {"type": "mse"})
    made["inputs"]["x"][key] = value
    found = [d for d in gs.validate(made) if d.code.startswith("GS1")]
    assert [d.code for d in found] == ([] if code is None else [code])
    assert all(d.hint for d in found)


def test_neutral_keys_are_not_arguments() -> None:
    """They leave nothing behind: a layer with them is the layer without."""
    plain = REGISTRIES["layer"].parse({"type": "Dense", "units": 3})
    assert isinstance(plain, Layer)
    assert (
        REGISTRIES["layer"].parse(
            {"type": "Dense", "units": 3, "dtype": "float32", "quantization_config": None, "autocast": True}
        )
        == plain
    )
