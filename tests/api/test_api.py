"""The Python API: fit, evaluate, predict, weights, save and load."""

from __future__ import annotations

import copy
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.vocabulary.callbacks import Callback, CallbackState
from specs import blobs, dense_spec, pairs, two_heads_spec


def test_fit_learns_and_reports_kerass_keys() -> None:
    x, y = blobs()
    model = gs.compile(dense_spec())
    history = model.fit({"x": x}, {"kind": y}, epochs=12, validation_data=(x, y), verbose=0).history
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert all(len(v) == 12 for v in history.values())
    assert history["val_accuracy"][-1] > 0.8
    assert model.evaluate(x, y) == pytest.approx(
        {"loss": history["val_loss"][-1], "accuracy": history["val_accuracy"][-1]}
    )


def test_several_heads_are_named_and_averaged() -> None:
    x, y = pairs()
    model = gs.compile(two_heads_spec())
    figures = model.evaluate(x, y)
    assert set(figures) == {"loss", "same_loss", "gap_loss", "same_accuracy", "gap_mae"}
    assert figures["loss"] == pytest.approx((figures["same_loss"] + 0.5 * figures["gap_loss"]) / 1.5, rel=1e-6)
    summed = two_heads_spec()
    summed["training"]["combine"] = "sum"
    total = gs.compile(summed).evaluate(x, y)["loss"]
    assert total == pytest.approx(figures["same_loss"] + 0.5 * figures["gap_loss"], rel=1e-6)


def test_the_same_seed_gives_the_same_bits() -> None:
    x, y = blobs()
    runs = []
    for seed in (3, 3, 4):
        spec = dense_spec()
        spec["training"]["seed"] = seed
        model = gs.compile(spec)
        model.fit(x, y, verbose=0)
        runs.append(model.weights)
    assert all(np.array_equal(runs[0][n], runs[1][n]) for n in runs[0])
    assert not np.array_equal(runs[0]["hidden/kernel"], runs[2]["hidden/kernel"])


def test_a_second_fit_goes_on() -> None:
    x, y = blobs()
    once, twice = gs.compile(dense_spec()), gs.compile(dense_spec())
    once.fit(x, y, epochs=4, verbose=0)
    twice.fit(x, y, epochs=1, verbose=0)
    twice.fit(x, y, epochs=3, verbose=0)
    assert all(np.array_equal(once.weights[n], twice.weights[n]) for n in once.weights)


def test_save_and_load_go_on_with_the_same_bits(tmp_path: Path) -> None:
    x, y = blobs()
    whole, first = gs.compile(dense_spec()), gs.compile(dense_spec())
    whole.fit(x, y, epochs=4, verbose=0)
    first.fit(x, y, epochs=2, verbose=0)
    first.save(tmp_path / "run")
    second = gs.load(tmp_path / "run")
    assert np.array_equal(second.predict(x), first.predict(x))
    second.fit(x, y, epochs=2, verbose=0)
    assert all(np.array_equal(whole.weights[n], second.weights[n]) for n in whole.weights)


def test_predict_in_batches_and_one_by_one() -> None:
    x, _ = blobs(50)
    model = gs.compile(dense_spec())
    whole = model.predict(x, batch_size=50)
    np.testing.assert_allclose(model.predict(x, batch_size=7), whole, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(whole.sum(1), 1.0, rtol=1e-6)
    both = gs.compile(two_heads_spec()).predict(pairs(9)[0])
    assert {k: v.shape for k, v in both.items()} == {"same": (9, 1), "gap": (9, 1)}


def test_weights_are_copies_in_kerass_layout() -> None:
    model = gs.compile(dense_spec())
    weights = model.weights
    assert {n: w.shape for n, w in weights.items()} == {
        "hidden/kernel": (4, 8),
        "hidden/bias": (8,),
        "kind/kernel": (8, 3),
        "kind/bias": (3,),
    }
    weights["hidden/kernel"][:] = 7
    assert not (model.weights["hidden/kernel"] == 7).any()
    model.set_weights({"hidden/kernel": weights["hidden/kernel"]})
    assert (model.weights["hidden/kernel"] == 7).all()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"hiden/kernel": np.zeros((4, 8))}, "did you mean 'hidden/kernel'"),
        ({"hidden/kernel": np.zeros((8, 4))}, "(8, 4)"),
    ],
)
def test_wrong_weights_change_nothing(given: dict[str, Any], says: str) -> None:
    model = gs.compile(dense_spec())
    before = model.weights
    with pytest.raises(gs.UsageError) as caught:
        model.set_weights(given)
    assert says in str(caught.value)
    assert all(np.array_equal(before[n], w) for n, w in model.weights.items())


def test_sample_weights_and_class_weights_agree() -> None:
    x, y = blobs()
    by_class, by_row = gs.compile(dense_spec()), gs.compile(dense_spec())
    by_class.fit(x, y, class_weight={0: 3.0, 2: 0.5}, verbose=0)
    by_row.fit(x, y, sample_weight=np.array([3.0, 1.0, 0.5])[y], verbose=0)
    assert all(np.array_equal(by_class.weights[n], by_row.weights[n]) for n in by_row.weights)
    plain = gs.compile(dense_spec())
    plain.fit(x, y, verbose=0)
    assert not np.array_equal(plain.weights["hidden/kernel"], by_row.weights["hidden/kernel"])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"class_weight": {0: 1.0}}, "with several heads, `class_weight` must be {head: {class: weight}}"),
        ({"class_weight": {"sam": {0: 1.0}}}, "`class_weight` has an unknown head 'sam'; did you mean 'same'?"),
        ({"class_weight": {"zebra": "balanced"}}, "unknown head 'zebra'; give those of same and gap"),
        ({"class_weight": {"gap": {0: 1.0}}}, "head 'gap' cannot have class weights"),
        ({"class_weight": {"same": "balancd"}}, "with several heads, `class_weight` must be"),
        ({"callbacks": [gs.callbacks.EarlyStopping]}, "contains the class EarlyStopping; create the object"),
    ],
)
def test_wrong_arguments_of_fit(given: dict[str, Any], says: str) -> None:
    with pytest.raises((gs.UsageError, gs.SpecError), match=re.escape(says)):
        gs.compile(two_heads_spec()).fit(*pairs(), epochs=1, verbose=0, **given)
    with pytest.raises(gs.UsageError, match=r"`sample_weight` requires `x` and `y`; in data files use `<head>_sample"):
        gs.compile(two_heads_spec()).fit(sample_weight=np.ones(30))


def test_class_weights_of_a_head_multiply_its_sample_weights() -> None:
    x, y = pairs()
    by_class, by_row = gs.compile(two_heads_spec()), gs.compile(two_heads_spec())
    given = np.linspace(0, 1, len(y["same"]), dtype=np.float32)
    by_class.fit(x, y, class_weight={"same": {0: 3.0}}, sample_weight={"same": given}, verbose=0)
    by_row.fit(x, y, sample_weight={"same": given * np.where(np.ravel(y["same"]) == 0, 3, 1)}, verbose=0)
    assert all(np.array_equal(by_class.weights[n], by_row.weights[n]) for n in by_row.weights)


def test_a_frozen_layer_stays() -> None:
    spec = dense_spec()
    spec["layers"][0]["trainable"] = False
    model = gs.compile(spec)
    before = model.weights
    model.fit(*blobs(), verbose=0)
    assert np.array_equal(before["hidden/kernel"], model.weights["hidden/kernel"])
    assert not np.array_equal(before["kind/kernel"], model.weights["kind/kernel"])


def test_a_loss_that_is_not_finite_stops_the_run() -> None:
    x, y = blobs()
    spec = dense_spec()
    spec["training"]["optimizer"] = {"type": "SGD", "learning_rate": 1e30}
    model = gs.compile(spec)
    with pytest.raises(gs.RunError) as caught, np.errstate(all="ignore"):
        model.fit(x, y, epochs=5, verbose=0)
    assert caught.value.code == "GS601"
    assert "head 'kind'" in str(caught.value)
    assert "epoch 1, step 2" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda x, y: (x[:, :3], y), "GS503"),
        (lambda x, y: (x, y + 1), "GS506"),
        (lambda x, y: (x, y[:-1]), "GS507"),
        (lambda x, y: (x[:0], y[:0]), "GS508"),
        (lambda x, y: (np.where(x > 3, np.nan, x), y), "GS505"),
        (lambda x, y: ({"X": x}, y), "GS502"),
    ],
)
def test_wrong_arrays(change: Any, code: str) -> None:
    x, y = blobs()
    model = gs.compile(dense_spec())
    before = model.weights
    with pytest.raises(gs.SpecError) as caught:
        model.fit(*change(x, y), verbose=0)
    assert code in {d.code for d in caught.value.diagnostics}
    assert all(np.array_equal(before[n], w) for n, w in model.weights.items())


def test_nothing_to_train() -> None:
    spec = dense_spec(outputs={"kind": {}})
    assert [(d.code, d.severity) for d in gs.validate(spec)] == [("GS404", "warning")]
    model = gs.compile(spec)
    assert model.predict(blobs(3)[0]).shape == (3, 3)
    with pytest.raises(gs.SpecError, match="GS404"):
        model.fit(*blobs(), verbose=0)


def test_a_network_too_large_is_refused_before_it_is_made() -> None:
    spec = dense_spec()
    spec["layers"][0]["units"] = 2_000_000_000
    spec["layers"].insert(1, {"type": "Dense", "units": 2_000_000_000})
    assert [d.code for d in gs.validate(spec)] == ["GS602"]
    with pytest.raises(gs.RunError, match="GS602"):
        gs.compile(spec)


def test_arguments_that_do_not_go_together() -> None:
    x, y = blobs()
    model = gs.compile(dense_spec())
    with pytest.raises(gs.UsageError, match="epochs"):
        model.fit(x, y, epochs=0)
    with pytest.raises(gs.UsageError, match="validation_split"):
        model.fit(x, y, validation_split=1.5)
    with pytest.raises(gs.UsageError, match="train data"):
        model.fit()
    with pytest.raises(gs.UsageError, match="left, right"):
        gs.compile(two_heads_spec()).predict(x)


def test_ctrl_c_keeps_the_weights_and_the_history() -> None:
    x, y = blobs()
    model = gs.compile(dense_spec())

    class Stopping(CallbackState):
        def on_batch_end(self, step: int, loss: float) -> None:
            if model.epochs_done == 2 and step == 1:
                signal.raise_signal(signal.SIGINT)

    class Stop(Callback):
        def start(self, run: Any) -> CallbackState:
            return Stopping()

    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, epochs=5, verbose=0, callbacks=[Stop()])
    assert model.history is not None
    assert (model.history.epochs, model.epochs_done) == (2, 2)
    uninterrupted = gs.compile(dense_spec())
    assert model.history["loss"] == uninterrupted.fit(x, y, epochs=2, verbose=0)["loss"]
    assert not np.array_equal(model.weights["kind/kernel"], uninterrupted.weights["kind/kernel"])  # a step more
    again = model.fit(x, y, epochs=1, verbose=0)
    assert model.history is again
    assert model.epochs_done == 3
    assert copy.copy(model).history == again


def test_targets_and_the_batch_axis_are_asked_for() -> None:
    x, y = blobs()
    model = gs.compile(dense_spec())
    for call in (model.fit, model.evaluate):
        with pytest.raises(gs.UsageError, match="got `x` without `y`: pass the targets of head 'kind'"):
            call(x)
        with pytest.raises(gs.UsageError, match="got `y` without `x`"):
            call(y=y)
    with pytest.raises(gs.UsageError, match="`predict` needs `x`"):
        model.predict(None)
    for one in (x[0], {"x": x[0]}):
        with pytest.raises(gs.SpecError, match=r"give a batch, `x\[None\]` or a slice such as `x\[:1\]`"):
            model.predict(one)
    with pytest.raises(gs.SpecError, match=r"give a batch, `x\[None\]`"):
        model.run({"x": x[0]})
    with pytest.raises(gs.SpecError, match="for one-hot targets use categorical_crossentropy"):
        model.fit(x, np.eye(3)[y], verbose=0)


def test_tracebacks_are_short() -> None:
    with pytest.raises(gs.SpecError) as caught:
        gs.compile({})
    files = [frame.path for frame in caught.traceback]
    assert not any(str(path).endswith("contextlib.py") for path in files)
    assert len(files) <= 5


def test_weights_alone(tmp_path: Path) -> None:
    x, _ = blobs(8)
    model, other = gs.compile(dense_spec()), gs.compile(dense_spec(), ["training.seed=9"])
    assert model.save_weights(str(tmp_path / "w.safetensors")) == tmp_path / "w.safetensors"
    other.load_weights(str(tmp_path / "w.safetensors"))
    assert np.array_equal(other.predict(x), model.predict(x))
    assert model.save_weights(tmp_path / "new") == tmp_path / "new" / "weights.safetensors"
    other.load_weights(tmp_path / "new")
    with pytest.raises(gs.UsageError, match=r"safetensors file; write `w.weights.safetensors`"):
        model.save_weights("w.weights.h5")
    with pytest.raises(gs.RunError, match="GS603"):
        other.load_weights(tmp_path / "gone.safetensors")
    gs.compile(two_heads_spec()).save_weights(tmp_path / "two.safetensors")
    with pytest.raises(gs.RunError, match="GS603"):
        other.load_weights(tmp_path / "two.safetensors")
    assert np.array_equal(other.predict(x), model.predict(x))


def test_saving_by_suffix(tmp_path: Path) -> None:
    model = gs.compile(dense_spec())
    model.save(tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").read_bytes()[:1] == b"\x08"  # protobuf
    for suffix, said in ((".keras", "Keras's"), (".h5", "Keras's"), (".pt", "PyTorch's"), (".pkl", "pickles")):
        with pytest.raises(gs.UsageError, match=rf"writes no \{suffix} files: .*{said}.*`save\('name.onnx'\)`"):
            model.save(str(tmp_path / f"net{suffix}"))
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


class Frame:
    """A data frame of a library: named columns, and an export."""

    def __init__(self, **columns: Any) -> None:
        self.columns, self._arrays = list(columns), columns

    def __getitem__(self, names: Any) -> Any:
        return Frame(**{n: self._arrays[n] for n in names}) if isinstance(names, list) else self._arrays[names]

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        raise ImportError("pyarrow is missing")  # columns are then read as arrays


@pytest.mark.parametrize("make", [dict, Frame])
def test_a_frame_has_its_targets(make: Any) -> None:
    x, y = blobs(40)
    spec = dense_spec()
    spec["inputs"] = {"row": {"columns": {"a": "number", "b": "number"}}}
    spec["layers"] = [{"name": "hidden", "type": "Dense", "units": 4}, *spec["layers"][1:]]
    columns = {"a": x[:, 0], "b": x[:, 1]}
    one, two = gs.compile(spec), gs.compile(spec)
    one.fit(columns, y, epochs=2, validation_data=(columns, y), verbose=0)
    two.fit(make(**columns, kind=y), epochs=2, validation_data=make(**columns, kind=y), verbose=0)
    assert two.history["val_loss"] == one.history["val_loss"]
    with pytest.raises(gs.UsageError, match=r"add it, or pass the targets, `validation_data=\(x, y\)`"):
        two.fit(make(**columns, kind=y), validation_data=make(**columns), verbose=0)
    assert all(np.array_equal(one.weights[n], two.weights[n]) for n in one.weights)
    assert two.evaluate(make(**columns, kind=y)) == one.evaluate(columns, y)
    with pytest.raises(
        gs.UsageError, match=r"`evaluate` got `x` without `y`, and `x` has no column 'kind': add it, or"
    ):
        two.evaluate(make(**columns))
    with pytest.raises(gs.SpecError, match="GS502"):
        two.fit(make(a=x[:, 0], kind=y), verbose=0)


def test_the_column_of_a_target_is_known_from_the_data() -> None:
    x, y = blobs(20)
    spec = dense_spec() | {"data": {"train": {"file": "rows.csv", "targets": {"kind": "Art"}}}}
    [name] = spec["inputs"]
    model = gs.compile(spec)
    assert model.evaluate({name: x, "Art": y}) == model.evaluate({name: x}, {"kind": y})


def test_scikit_learn_is_told_what_to_do() -> None:
    model = gs.compile(dense_spec())
    for call in (model.__sklearn_clone__, model.__sklearn_tags__):
        with pytest.raises(gs.UsageError, match=r"no estimator of scikit-learn: `graphspec\.sklearn` has `Graph"):
            call()
    for name in ("get_params", "set_params", "classes_", "coef_", "transform", "feature_importances_"):
        with pytest.raises(AttributeError, match=rf"no attribute '{name}': .*`"):
            getattr(model, name)
