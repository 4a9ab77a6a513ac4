"""Values without a batch axis, such as parameters, in the layers of whole specs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.data.batches import BatchLoader
from graphspec.data.signature import user_arrays
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.objective import objective_for
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Target
from graphspec.graph.cuts import cut
from graphspec.graph.ir.dims import show

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((10, 5, 4)).astype(np.float32)
Y = X.sum((1, 2))[:, None]

P = {"name": "p", "type": "Parameter", "shape": [5, 4]}
Q = {"name": "q", "type": "Parameter", "shape": [2, 4]}
END = [{"name": "flat", "type": "GlobalAveragePooling1D"}, {"name": "y", "type": "Dense", "units": 1}]


def spec(*layers: dict[str, Any], **more: Any) -> dict[str, Any]:
    document = {"graphspec": 1, "name": "s", "inputs": {"x": {"shape": [5, 4]}}, "layers": list(layers)}
    training = {"optimizer": "sgd", "epochs": 2, "batch_size": 4, "seed": 1} | more.pop("training", {})
    return document | {"outputs": {"y": {"loss": "mean_squared_error"}}, "training": training} | more


def shapes(*layers: dict[str, Any], **more: Any) -> dict[str, str]:
    """The shapes of all nodes, and the problems of the spec."""
    checked = check(spec(*layers, **more))
    problems = {"": "; ".join(f"{d.code} {d.message} | {d.hint}" for d in checked.diagnostics)}
    assert checked.lowered is not None
    found = {k: " ".join(show(v.shape) for v in values or ()) for k, values in checked.lowered.outputs.items()}
    return found | (problems if problems[""] else {})


NETWORKS: dict[str, list[dict[str, Any]]] = {
    "add": [P, {"name": "s", "type": "Add", "inputs": ["p", "x"]}],
    "multiply": [
        {"name": "c", "type": "Constant", "value": [0.5, 1, 2, 3]},
        {"name": "v", "type": "Parameter", "shape": [4]},
        {"name": "s", "type": "Multiply", "inputs": ["c", "x", "v"]},
    ],
    "concatenate": [Q, {"name": "s", "type": "Concatenate", "inputs": ["q", "x"], "axis": 1}],
    "two_layers": [
        P,
        {"name": "d", "type": "Dense", "units": 4, "activation": "tanh", "inputs": "p", "activity_regularizer": "l2"},
        {"name": "n", "type": "LayerNormalization"},
        {"name": "s", "type": "Add", "inputs": ["n", "x"]},
    ],
    "query": [Q, {"name": "s", "type": "MultiHeadAttention", "num_heads": 2, "key_dim": 3, "inputs": ["q", "x"]}],
    "state": [
        {"name": "h", "type": "Parameter", "shape": [3]},
        {"name": "s", "type": "GRU", "units": 3, "inputs": "x", "initial_state": "h", "return_sequences": True},
    ],
    "table": [
        {"name": "ids", "type": "Constant", "value": [2, 0, 1, 1, 0]},
        {"name": "e", "type": "Embedding", "input_dim": 3, "output_dim": 4, "inputs": "ids", "mask_zero": True},
        {"name": "s", "type": "Average", "inputs": ["x", "e"]},
    ],
    "noise": [
        P,
        {"name": "n", "type": "Dropout", "rate": 0.5, "inputs": "p"},
        {"name": "b", "type": "BatchNormalization"},
        {"name": "s", "type": "Add", "inputs": ["b", "x"]},
    ],
    "shared": [
        P,
        {"name": "d", "type": "Dense", "units": 4, "inputs": "p"},
        {"name": "e", "share": "d", "inputs": "x"},
        {"name": "again", "share": "p"},
        {"name": "s", "type": "Add", "inputs": ["d", "e", "again"]},
    ],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_parameters(name: str, tmp_path: Any) -> None:
    """Gradients are finite differences; rows do not depend on their batch; the file is proved; shards round alone."""
    document = spec(*NETWORKS[name], *END)
    model = gs.compile(document)
    assert [d for d in check(document).diagnostics if d.is_error] == []
    _check_gradient(model)
    model.fit(X, Y, verbose=0)
    whole = model.predict(X, batch_size=4)
    np.testing.assert_allclose(np.concatenate([model.predict(X[k : k + 1]) for k in range(10)]), whole, atol=2e-6)
    model.export(tmp_path / "net.onnx")
    shards = gs.compile(document | {"training": document["training"] | {"shards": 2}})
    shards.fit(X, Y, verbose=0)
    for weight, array in shards.weights.items():
        np.testing.assert_allclose(model.weights[weight], array, atol=2e-5, err_msg=weight)


@pytest.mark.slow
def test_workers_give_the_same_bits() -> None:
    layers = [P, Q, {"name": "d", "type": "Dense", "units": 4, "inputs": "p", "activity_regularizer": "l2"}]
    layers += [{"name": "n", "type": "Dropout", "rate": 0.5}, {"name": "b", "type": "BatchNormalization"}]
    layers += [
        {"name": "s", "type": "Add", "inputs": ["b", "x"]},
        {"name": "a", "type": "Attention", "inputs": ["q", "s"]},
    ]
    document = spec(*layers, *END, training={"shards": 2})
    one, two = gs.compile(document), gs.compile(document, ["training.workers=2"])
    for each in (one, two):
        each.fit(X, Y, verbose=0)
    for weight, array in one.weights.items():
        np.testing.assert_array_equal(two.weights[weight], array)


def _check_gradient(model: gs.Model) -> None:
    """The gradient of the whole loss against central differences, in float64, along three directions."""
    arrays = model.prepared(user_arrays(model.needed, X, Y))
    objective = objective_for(model, arrays)
    loader = BatchLoader(arrays, 10, shuffle=False, seed=0)
    loader.start(0)
    weights = Parameters(objective.graph, np.float64)
    weights.set(model.weights)
    start, slope = weights.vectors["trainable"].copy(), np.zeros_like(weights.vectors["trainable"])
    graph = objective.graph.with_outputs({"loss": objective.total}, objective.total)
    program = build_program(
        graph, weights, Target(loader.shapes(loader.rows(0))), gradient=slope, training=True, seed=1
    )

    def loss(at: Any) -> float:
        weights.vectors["trainable"][...] = at
        loader.copy(0, program.feeds)
        program.run()
        return float(program.fetches["loss"])

    loss(start)
    exact = slope.copy()
    for _ in range(3):
        direction = RANDOM.standard_normal(len(start))
        numeric = (loss(start + 1e-6 * direction) - loss(start - 1e-6 * direction)) / 2e-6
        assert float(exact @ direction) == pytest.approx(numeric, rel=1e-5, abs=1e-7)


def test_shapes_and_the_chain() -> None:
    """A Parameter is no part of the chain: the node below it reads the node above."""
    found = shapes(
        {"name": "a", "type": "Dense", "units": 4},
        P,
        {"name": "c", "type": "Constant", "value": 1},
        {"name": "b", "type": "Dense", "units": 4},
        {"name": "d", "type": "Dense", "units": 4, "inputs": "p"},
        {"name": "s", "type": "Add", "inputs": ["b", "d"]},
        *END,
    )
    wanted = {
        "a": "(N, 5, 4)",
        "p": "(5, 4)",
        "c": "()",
        "b": "(N, 5, 4)",
        "d": "(5, 4)",
        "s": "(N, 5, 4)",
        "y": "(N, 1)",
    }
    assert {k: found[k] for k in wanted} == wanted


def test_repeat_and_blocks() -> None:
    block = {
        "inputs": ["a"],
        "layers": [P | {"shape": "${shape}"}, {"name": "t", "type": "Add", "inputs": ["a", "p"]}],
        "params": {"shape": [5, 4]},
        "outputs": ["t"],
    }
    found = shapes(
        {"name": "m", "block": "plus", "repeat": 2},
        {"name": "n", "share": "m_1"},
        P | {"repeat": 3},
        {"name": "t", "type": "Add", "inputs": ["n", "p", "p_1", "p_2"]},
        *END,
        blocks={"plus": block},
    )
    assert {k: v for k, v in found.items() if v == "(5, 4)"}.keys() == {"m_1/p", "m_2/p", "n/p", "p_1", "p_2", "p_3"}
    assert "" not in found
    shared = [{"name": "m", "block": "plus", "repeat": 2}, {"name": "n", "share": "m_1"}]
    checked = check(spec(*shared, *END, blocks={"plus": block}))
    assert [n for n in checked.require()[1].graph.params if "/p/" in n] == ["m_1/p/value", "m_2/p/value"]


def test_a_penalty_counts_once_whatever_the_batch() -> None:
    """A layer of a parameter is one row: its penalty is not divided by the rows of the batch."""
    layers = [P, {"name": "a", "type": "ActivityRegularization", "l2": 0.5, "inputs": "p"}]
    model = gs.compile(spec(*layers, {"name": "s", "type": "Add", "inputs": ["x", "a"]}, *END))
    penalty, start = 0.5 * float((model.weights["p/value"] ** 2).sum()), model.weights
    for rows in (10, 3, 1):
        model.set_weights(start)
        error = float(((model.predict(X[:rows]) - Y[:rows]) ** 2).mean())
        assert model.evaluate(X[:rows], Y[:rows])["loss"] == pytest.approx(error, rel=1e-5)
        trained = model.fit(X[:rows], Y[:rows], batch_size=rows, verbose=0)
        assert trained["loss"][0] == pytest.approx(error + penalty, rel=1e-5)


def test_noise_on_a_parameter_is_the_same_for_all_workers() -> None:
    """Also for a worker with a single row: the same numbers are dropped as in one process."""
    document = spec(*NETWORKS["noise"], *END, training={"batch_size": 4, "epochs": 1})
    one, many = gs.compile(document), gs.compile(document, ["training.shards=4"])
    for each in (one, many):
        each.fit(X[:8], Y[:8], verbose=0)
    for name, array in one.weights.items():
        np.testing.assert_allclose(many.weights[name], array, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([P | {"name": "y"}], "GS301 head 'y' has no batch axis"),
        ([P, {"name": "y", "type": "Dense", "units": 1, "inputs": "p"}], "GS301 head 'y' has no batch axis"),
        ([P | {"inputs": ["x"]}, *END], "GS203 Parameter 'p' takes 0 inputs, got 1 | remove `inputs`"),
        ([P, {"name": "n", "type": "Normalization", "inputs": "p"}], "GS309 Normalization 'n' learns"),
        (
            [{"name": "t", "type": "TimeDistributed", "layer": {"type": "Parameter", "shape": [2]}}, *END],
            "cannot wrap Parameter, which takes no input",
        ),
        (
            [{"name": "t", "type": "SpectralNormalization", "layer": {"type": "Constant", "value": 1}}, *END],
            "cannot wrap Constant",
        ),
    ],
)
def test_what_is_refused(layers: list[dict[str, Any]], words: str) -> None:
    assert words in shapes(*layers)[""]


def test_constants_do_not_cross_into_the_trained_part() -> None:
    """What depends on constants alone has no rows: both parts of a graph compute what they read of it."""
    columns = {f"c{k}": {"shape": [1]} for k in range(9)}
    layers = [
        {"name": "both", "type": "Concatenate", "inputs": list(columns)},
        {"name": "c", "type": "Constant", "value": [[1.0, 2.0, 3.0]]},
        {"name": "r", "type": "Rescaling", "scale": 2.0, "inputs": "c"},
        {"name": "f", "type": "Flatten"},
        {"name": "t", "type": "Multiply", "inputs": ["both", "m"]},
        {"name": "k", "type": "Reshape", "target_shape": [3, 1], "inputs": "f"},
        {"name": "m", "type": "GlobalAveragePooling1D"},
        {"name": "d", "type": "Dense", "units": 3, "inputs": "t"},
        {"name": "u", "type": "Add", "inputs": ["d", "f"]},
        {"name": "y", "type": "Dense", "units": 1},
    ]
    document = spec(*layers, inputs=columns)
    lowered = check(document).require()[1]
    parts = cut(lowered.graph)
    assert parts is not None
    assert all(v.shape[0] == "N" for v in parts.rest.inputs.values())
    assert {n.owner for n in parts.rest.nodes} >= {"r", "f", "d", "u", "y"}
    model = gs.compile(document)
    rows = {name: RANDOM.standard_normal((7, 1)).astype(np.float32) for name in columns}
    whole = np.concatenate(list(rows.values()), 1) * 4
    weights = model.weights
    hidden = whole @ weights["d/kernel"] + weights["d/bias"] + np.array([2.0, 4, 6])
    expected = hidden @ weights["y/kernel"] + weights["y/bias"]
    np.testing.assert_allclose(model.predict(rows), expected, rtol=1e-5, atol=1e-5)
