"""Files that Keras has written, and what Keras computes: `tests/golden/make_keras_files.py` says what they hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from golden_run import fitting, store_of
from paths import TESTS
from safetensors import safe_open

from graphspec.engine.compiler.objective import add_losses
from graphspec.engine.runtime.bind import build_program
from graphspec.graph.builder import Target
from graphspec.graph.ir.graph import Graph
from graphspec.language.declarations import Spec

FOLDER = TESTS / "golden" / "keras_files"
FAMILIES = (
    *("convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_b0", "inception_resnet_v2", "inception_v3"),
    *("mobilenet", "mobilenet_v2", "mobilenet_v3_small", "nasnet_mobile", "resnet50", "resnet50_v2", "vgg16"),
    "xception",
)
"""Networks of `keras.applications`; all other files are examples."""
Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Golden:
    """What is stored of a model: arrays and texts by kind and key, its loss, and its weights by their fingerprints."""

    parts: dict[str, dict[str, Any]]
    loss: float | None
    weights: list[str] | dict[str, str]


def golden(name: str) -> Golden:
    with safe_open(FOLDER / f"{name}.safetensors", framework="numpy") as file:
        meta = json.loads(file.metadata()["keras"])
        parts: dict[str, dict[str, Any]] = {}
        for key in file.keys():  # noqa: SIM118 (it is no mapping)
            kind, _, rest = key.partition("/")
            parts.setdefault(kind, {})[rest] = file.get_tensor(key)
    for kind in ("inputs", "targets"):
        for key, texts in meta.get(kind, {}).items():
            parts.setdefault(kind, {})[key] = np.array(texts, dtype=np.str_)
    return Golden(parts, meta.get("loss"), meta["weights"])


def fingerprint(array: np.ndarray[Any, Any]) -> str:
    """A hash of the values in ascending order, as the script computes it."""
    return hashlib.sha256(np.sort(np.asarray(array, np.float32), axis=None).tobytes()).hexdigest()[:12]


def by_name(values: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Arrays that Keras names, or numbers, by the spec's names in their order."""
    if values.keys() == {*names}:
        return {name: values[name] for name in names}
    assert values.keys() == {str(k) for k in range(len(names))}, (values.keys(), names)
    return {name: values[str(k)] for k, name in enumerate(names)}


def assert_near(found: Any, expected: Any, share: float, what: str) -> None:
    """The same shape; differences are at most a share of the largest value."""
    assert found.shape == expected.shape, f"{what}: {found.shape}, Keras has {expected.shape}"
    largest = np.max(np.abs(expected), initial=1e-30)
    np.testing.assert_allclose(found / largest, expected / largest, rtol=0, atol=share, err_msg=what)


def outputs(graph: Graph, weights: Arrays, inputs: Arrays) -> Arrays:
    """The heads at inference, in float64."""
    parameters = store_of(graph, weights)
    program = build_program(graph.with_outputs(graph.outputs), parameters, Target(shapes(inputs)))
    for name, feed in program.feeds.items():
        feed[...] = inputs[name]
    program.run()
    return {name: array.copy() for name, array in program.fetches.items()}


def step(spec: Spec, graph: Graph, weights: Arrays, inputs: Arrays, targets: Arrays) -> tuple[float, Arrays, Arrays]:
    """The loss of a batch in training, its gradients, and the changes of moving statistics, in float64."""
    objective = add_losses(graph, spec)
    assert objective.total is not None
    kinds = {head: objective.graph.targets[head].type for head in targets}
    fed = inputs | {head: fitting(array, kinds[head]) for head, array in targets.items()}
    parameters = store_of(objective.graph, weights)
    before = parameters.get(group="state")
    gradient = np.zeros_like(parameters.vectors["trainable"])
    graph = objective.graph.with_outputs({"loss": objective.total}, objective.total)
    program = build_program(graph, parameters, Target(shapes(fed)), gradient=gradient, training=True)
    for name, feed in program.feeds.items():
        feed[...] = fed[name]
    program.run()
    state = {name: array - before[name] for name, array in parameters.get(group="state").items()}
    return float(program.fetches["loss"]), parameters.get(gradient, "trainable"), state


def shapes(arrays: Arrays) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}
