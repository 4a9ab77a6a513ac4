"""A training step as a file: it trains as ``fit`` does, says what it is, and refuses what cannot be written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import graphspec as gs
from graphspec.base.errors import SpecError, UsageError
from graphspec.export import training_step
from graphspec.graph.derivatives.walk import RULES
from graphspec.graph.onnx_session import session
from specs import blobs, dense_spec

Array = np.ndarray[Any, Any]
NEXT = "/next"


def spec_of(optimizer: Any, hidden: dict[str, Any] | None = None, **training: Any) -> dict[str, Any]:
    """Dense layers without dropout: a training has no random numbers of its own."""
    layers = [
        {"name": "hidden", "type": "Dense", "units": 8, "activation": "tanh", **(hidden or {})},
        {"name": "kind", "type": "Dense", "units": 3, "activation": "softmax"},
    ]
    common = {"optimizer": optimizer, "epochs": 2, "batch_size": 16, "shuffle": False, "seed": 3}
    return dense_spec(layers=layers, training=common | training)


def record_of(path: Path) -> dict[str, Any]:
    texts = {p.key: p.value for p in onnx.load(path).metadata_props}
    found: dict[str, Any] = json.loads(texts[training_step.KEY])
    return found


def started(path: Path) -> dict[str, Array]:
    """Return what the first step reads."""
    run = session(path.with_suffix(".start.onnx"))
    return dict(zip((o.name for o in run.get_outputs()), run.run(None, {}), strict=True))


def trained(
    path: Path, batches: list[dict[str, Array]], **more: Any
) -> tuple[dict[str, Array], list[dict[str, Array]]]:
    """What an app does: feed a batch and what came out before. Return the last weights and slots, and all outputs."""
    run, state, outputs = session(path), started(path), []
    names = [o.name for o in run.get_outputs()]
    for k, batch in enumerate(batches):
        found = dict(zip(names, run.run(names, batch | {"step": np.array(k)} | more | state), strict=True))
        state = {name.removesuffix(NEXT): a for name, a in found.items() if name.endswith(NEXT)}
        outputs.append(found)
    return state, outputs


def batches_of(x: Array, y: Array, size: int, epochs: int) -> list[dict[str, Array]]:
    parts = [slice(k, k + size) for k in range(0, len(x), size)]
    return [{"x": x[part], "kind": y[part]} for _ in range(epochs) for part in parts]


OPTIMIZERS: list[Any] = [
    {"type": "SGD", "learning_rate": 0.1},
    {"type": "SGD", "momentum": 0.9},
    {"type": "SGD", "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    {"type": "Adam", "learning_rate": 0.02},
    {"type": "Adam", "amsgrad": True, "clipnorm": 0.1},
    {"type": "AdamW", "global_clipnorm": 0.2, "groups": [{"weights": "*/bias", "weight_decay": 0.0}]},
    {"type": "AdamW", "learning_rate": {"type": "CosineDecay", "initial_learning_rate": 0.01, "decay_steps": 12}},
    {"type": "RMSprop", "clipvalue": 0.01},
    {"type": "RMSprop", "centered": True, "momentum": 0.5},
    {"type": "Adagrad"},
    {"type": "Adadelta", "learning_rate": 1.0},
    {"type": "Adamax"},
    {"type": "Nadam"},
    {"type": "RAdam", "beta_2": 0.6},
    {"type": "Lookahead", "optimizer": {"type": "SGD", "learning_rate": 0.1}, "k": 3, "gradient_accumulation_steps": 2},
    {"type": "Ftrl", "learning_rate": 0.1, "l1_regularization_strength": 0.01},
    {"type": "Lion", "learning_rate": 0.001},
    {
        "type": "Adam",
        "learning_rate": {
            "type": "ExponentialDecay",
            "initial_learning_rate": 0.02,
            "decay_steps": 5,
            "decay_rate": 0.5,
        },
    },
    {"type": "Adam", "use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 3},
    {"type": "Adam", "gradient_accumulation_steps": 2, "groups": [{"weights": "kind/*", "learning_rate_scale": 0.1}]},
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: "-".join(map(str, o))[:40] + o["type"])
def test_a_file_trains_as_fit_does(optimizer: Any, tmp_path: Path) -> None:
    x, y = blobs(40)
    model = gs.compile(spec_of(optimizer))
    model.export_training_step(tmp_path / "step.onnx")
    state, outputs = trained(tmp_path / "step.onnx", batches_of(x, y, 16, 2))
    history = model.fit(x, y, verbose=0)
    for name, array in model.weights.items():
        if optimizer.get("use_ema"):
            name += "/average"  # they become the weights at the end
        np.testing.assert_allclose(state[name], array, rtol=1e-4, atol=2e-5, err_msg=name)
    sizes = [16, 16, 8]
    for epoch in (0, 1):
        of_epoch = outputs[3 * epoch : 3 * epoch + 3]
        loss = sum(float(o["loss"]) * n for o, n in zip(of_epoch, sizes, strict=True)) / 40
        np.testing.assert_allclose(loss, history.history["loss"][epoch], rtol=1e-5)
        hits, seen = (sum(float(o[f"accuracy/{what}"]) for o in of_epoch) for what in ("hits", "all"))
        np.testing.assert_allclose(hits / seen, history.history["accuracy"][epoch], rtol=1e-6)


@pytest.mark.parametrize(
    "hidden",
    [
        {"kernel_regularizer": {"type": "L2", "l2": 0.01}, "activity_regularizer": {"type": "L1", "l1": 0.01}},
        {"kernel_constraint": {"type": "MaxNorm", "max_value": 0.5}, "bias_constraint": "NonNeg"},
        {"kernel_constraint": {"type": "MinMaxNorm", "min_value": 0.5, "max_value": 0.7, "rate": 0.5}},
    ],
    ids=["penalties", "max-norm", "min-max-norm"],
)
def test_penalties_and_constraints(hidden: dict[str, Any], tmp_path: Path) -> None:
    x, y = blobs(40)
    model = gs.compile(spec_of("Adam", hidden))
    model.export_training_step(tmp_path / "step.onnx")
    state, _ = trained(tmp_path / "step.onnx", batches_of(x, y, 16, 2))
    model.fit(x, y, verbose=0)
    for name, array in model.weights.items():
        np.testing.assert_allclose(state[name], array, rtol=1e-4, atol=2e-5, err_msg=name)


def test_a_file_goes_on_from_the_weights_of_a_run_and_says_what_it_is(tmp_path: Path) -> None:
    x, y = blobs(40)
    model = gs.compile(dense_spec())
    model.fit(x, y, verbose=0)
    proof = model.export_training_step(tmp_path / "step.onnx")
    assert "10 steps on rows of the last fit, with drawn targets equal the runtime's" in str(proof)
    record, proto = record_of(tmp_path / "step.onnx"), onnx.load(tmp_path / "step.onnx")
    assert [i["name"] for i in record["inputs"]] == ["x"]
    assert record["targets"] == [{"name": "kind", "dtype": "int64", "shape": ["N"]}]
    assert (record["step"], record["seed"], record["prelude"], record["losses"]) == ("step", "seed", None, ["loss"])
    assert [w["name"] for w in record["weights"]] == ["hidden/kernel", "hidden/bias", "kind/kernel", "kind/bias"]
    assert record["weights"][0]["slots"] == ["hidden/kernel/momentum", "hidden/kernel/velocity"]
    assert record["metrics"] == [{"name": "accuracy", "hits": "accuracy/hits", "all": "accuracy/all"}]
    state = started(tmp_path / "step.onnx")
    assert record["start"] == "step.start.onnx"
    assert {*state} == {v["name"] for key in ("weights", "slots", "statistics") for v in record[key]}
    assert not {*state} & {t.name for t in proto.graph.initializer}
    for name, array in model.weights.items():
        np.testing.assert_array_equal(state[name], array)
        assert not state[f"{name}/velocity"].any()
    assert {i.domain for i in proto.opset_import} <= {"", "ai.onnx.ml"}
    # Another seed drops other units; the same one does not.
    run = session(tmp_path / "step.onnx")
    feeds = {"x": x, "kind": y, "step": np.array(0)} | state
    first, again, other = (run.run(["loss"], feeds | {"seed": np.array(seed)})[0] for seed in (1, 1, 2))
    assert first == again != other


def test_of_several_networks_the_first_one_trains(tmp_path: Path) -> None:
    model = gs.compile(spec_of("Adam", seeds=2))
    model.fit(*blobs(40), verbose=0)
    model.export_training_step(tmp_path / "step.onnx")
    first = next(name for name in model.weights if name.endswith("hidden/kernel"))
    np.testing.assert_array_equal(started(tmp_path / "step.onnx")["hidden/kernel"], model.weights[first])


def test_only_some_weights_train(tmp_path: Path) -> None:
    x, y = blobs(40)
    model = gs.compile(dense_spec())
    proof = model.export_training_step(tmp_path / "step.onnx", trainable="kind/*")
    assert proof.weights == 2
    record = record_of(tmp_path / "step.onnx")
    (read,) = record["inputs"]
    prepared = session(tmp_path / "step.prelude.onnx").run([read["name"]], {"x": x})[0]  # what the frozen layer answers
    assert prepared.shape == (40, 8)
    batches = [{read["name"]: prepared, "kind": y}] * 60
    state, outputs = trained(tmp_path / "step.onnx", batches)
    assert sorted(state) == sorted(
        f"kind/{role}{slot}" for role in ("kernel", "bias") for slot in ("", "/momentum", "/velocity")
    )
    assert record["seed"] is None  # the dropout before it is left out
    assert outputs[-1]["loss"] < 0.7 * outputs[0]["loss"]
    frozen = gs.compile(dense_spec())
    frozen.set_weights({name: a for name, a in state.items() if name in frozen.weights})
    assert frozen.evaluate(x, y)["loss"] == pytest.approx(float(outputs[-1]["loss"]), rel=0.05)


def test_statistics_of_a_shared_layer_move_once_for_each_use(tmp_path: Path) -> None:
    layers = [
        {"name": "first", "type": "BatchNormalization", "inputs": "x"},
        {"name": "again", "share": "first", "inputs": "first"},
        {"name": "kind", "type": "Dense", "units": 3, "activation": "softmax"},
    ]
    x, y = blobs(32)
    model = gs.compile(spec_of("Adam") | {"layers": layers})
    model.export_training_step(tmp_path / "step.onnx")
    state, _ = trained(tmp_path / "step.onnx", batches_of(x, y, 16, 2))
    model.fit(x, y, verbose=0)
    for name, array in model.weights.items():
        np.testing.assert_allclose(state[name], array, rtol=1e-4, atol=2e-5, err_msg=name)


def test_rows_that_are_prepared_need_a_second_file(tmp_path: Path) -> None:
    model = gs.compile("specs/penguins.yaml")
    model.fit(epochs=1, verbose=0)
    proof = model.export_training_step(tmp_path / "step.onnx")
    assert proof.prelude == tmp_path / "step.prelude.onnx"
    record = record_of(tmp_path / "step.onnx")
    assert record["prelude"] == "step.prelude.onnx"
    assert record["targets"][0]["labels"] == ["Adelie", "Chinstrap", "Gentoo"]
    prelude = session(tmp_path / "step.prelude.onnx")
    assert {i["name"] for i in record["inputs"]} == {o.name for o in prelude.get_outputs()}


ONE_HOT = {"loss": "categorical_crossentropy"}
COUNTS = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy", "confusion_matrix"]}


@pytest.mark.parametrize(
    ("head", "given", "starts", "ends"),
    [
        (ONE_HOT, None, "10 steps on random rows, with drawn targets equal the runtime's: the loss", "of their way"),
        (ONE_HOT, {"x": np.ones((4, 4), np.float32)}, "10 steps on the rows given, with drawn targets", "of their way"),
        (COUNTS, None, "10 steps on random rows", "; not counted there: confusion_matrix"),
    ],
)
def test_what_the_proof_says(head: dict[str, Any], given: Any, starts: str, ends: str, tmp_path: Path) -> None:
    proof = gs.compile(dense_spec(outputs={"kind": head})).export_training_step(tmp_path / "step.onnx", rows=given)
    assert (str(proof).startswith(starts), str(proof).endswith(ends)) == (True, True), str(proof)


def test_what_cannot_be_written_is_refused_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "step.onnx"
    with pytest.raises(SpecError) as caught:
        gs.compile(spec_of("Lamb")).export_training_step(path)
    (found,) = caught.value.diagnostics
    assert (found.code, found.path) == ("GS702", "training")
    assert "the optimizer Lamb" in found.message
    embedded = dense_spec(
        inputs={"x": {"shape": [4], "dtype": "int64"}},
        layers=[
            {"name": "words", "type": "Embedding", "input_dim": 9, "output_dim": 4, "sparse": True},
            {"name": "flat", "type": "Flatten"},
            {"name": "kind", "type": "Dense", "units": 3, "activation": "softmax"},
        ],
    )
    with pytest.raises(SpecError, match="updates only some rows of 'words/embeddings'"):
        gs.compile(embedded).export_training_step(path)
    monkeypatch.delitem(RULES, "Tanh")
    with pytest.raises(SpecError) as caught:
        gs.compile(spec_of("Adam")).export_training_step(path)
    (found,) = caught.value.diagnostics
    assert (found.code, found.path) == ("GS702", "layers.hidden.type")
    assert found.message == "'hidden' needs the gradient of Tanh, which cannot be written as nodes"
    with pytest.raises(UsageError, match=r"no trainable weight is called 'kinds/\*'; did you mean"):
        gs.compile(dense_spec()).export_training_step(path, trainable=["kinds/*"])
    with pytest.raises(UsageError, match=r"opset 99 cannot be proved: onnxruntime .* supports at most"):
        gs.compile(dense_spec()).export_training_step(path, opset=99)
    assert not path.exists()


def test_a_wrong_step_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        training_step._Step, "defaults", lambda self: {n: a * np.float32(1.01) for n, a in right_defaults(self).items()}
    )
    with pytest.raises(SpecError, match="step 1 of a training differs"):
        gs.compile(spec_of("Adam")).export_training_step(tmp_path / "step.onnx")
    monkeypatch.undo()
    counts, head = training_step._Runtime.__call__, {"loss": COUNTS["loss"], "metrics": ["accuracy"]}
    monkeypatch.setattr(
        training_step._Runtime,
        "__call__",
        lambda self, feeds: {n: a + ("accuracy" in n) for n, a in counts(self, feeds).items()},
    )
    with pytest.raises(SpecError, match=r"'.*accuracy.*' is \d+, the runtime's \d+"):
        gs.compile(dense_spec(outputs={"kind": head})).export_training_step(tmp_path / "step.onnx")
    assert not list(tmp_path.iterdir())


right_defaults = training_step._Step.defaults
