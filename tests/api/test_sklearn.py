"""``graphspec.sklearn``: scikit-learn's own checks, and what it takes that scikit-learn's estimators do not."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from specs import dense_spec

pytest.importorskip("sklearn")
from graphspec.sklearn import GraphspecClassifier, GraphspecRegressor
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

pytestmark = pytest.mark.slow  # scikit-learn takes each process that collects a second to import

CANCER = load_breast_cancer(return_X_y=True)
QUICK = {"training.folds": 2, "training.forms": None}
"""Overrides for what is not about copies and forms."""
ALONE = {"training.folds": None, "training.forms": None}
"""For hundreds of fits: one network each."""
NO_TWIN = {"check_sample_weight_equivalence_on_dense_data": "batches, dropout and layers that learn know no weights"}
"""A weight of 2 is not the same as the row twice, as of scikit-learn's own SGDClassifier and HistGradientBoosting."""


@parametrize_with_checks(
    [kind(epochs=20, overrides=ALONE, validation_split=0.2) for kind in (GraphspecClassifier, GraphspecRegressor)],
    expected_failed_checks=lambda _: NO_TWIN,
)
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def table(n: int = 300) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    """Columns of many kinds, and a class that follows from a number and a text."""
    rng = np.random.default_rng(0)
    columns = {
        "number": rng.normal(size=n),
        "kind": rng.choice(np.array(["x", "y", "z"], object), n),
        "day": np.datetime64("2021-01-01", "us") + np.arange(n) * np.timedelta64(1, "D"),
        "code": np.array([str(code) for code in rng.integers(3, 6, n)], object),
        "same": np.ones(n),
        "id": np.arange(n),
    }
    return columns, np.where((columns["number"] > 0) ^ (columns["kind"] == "x"), "yes", "no")


def gaps(columns: dict[str, Any]) -> dict[str, Any]:
    found = {name: column.copy() for name, column in columns.items()}
    found["number"][::7], found["kind"][::5], found["day"][::11] = np.nan, None, np.datetime64("NaT", "us")
    return found


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_needs_no_encoder_and_no_imputer(library: str, tmp_path: Path) -> None:
    frames = pytest.importorskip(library)
    columns, classes = table()
    frame, answer = frames.DataFrame(columns), frames.DataFrame({"answer": classes})["answer"]
    model = GraphspecClassifier(epochs=40, overrides=QUICK).fit(frame, answer)
    assert model.score(frame, answer) > 0.9
    assert model.left_out_.keys() == {"same", "id"}
    assert list(model.feature_names_in_) == list(columns)
    assert model.model_.labels == {"answer": ["no", "yes"]}
    record = model.model_.document()["inputs"]["row"]["columns"]
    assert record.pop("day")["type"] == "date"
    assert record == {"number": {"type": "number", "missing": "median"}, "kind": "category", "code": "category"}
    lacking = frames.DataFrame({n: c.tolist() if c.dtype == object else c for n, c in gaps(columns).items()})
    assert model.predict_proba(lacking).shape == (300, 2)
    assert GraphspecClassifier(epochs=2, overrides=QUICK).fit(lacking, answer).predict_proba(frame).shape == (300, 2)
    model.export(tmp_path / "answer.onnx")
    assert (tmp_path / "answer.onnx").exists()


def test_a_matrix_of_objects_is_read_as_a_frame_is() -> None:
    columns, classes = table()
    whole = np.array([list(column) for column in columns.values()], object).T
    model = GraphspecClassifier(epochs=2, overrides=QUICK).fit(whole, classes)
    assert model.left_out_.keys() == {"x4"}  # a matrix has no ids
    record = model.model_.document()["inputs"]["row"]["columns"]
    assert (record["x1"], record["x3"], record["x2"]["type"]) == ("category", "category", "date")
    lacking = np.array([list(column) for column in gaps(columns).values()], object).T
    assert model.predict_proba(lacking).shape == (300, 2)


def test_it_stands_where_an_estimator_stands() -> None:
    x, y = load_iris(return_X_y=True)
    model = GraphspecClassifier(epochs=8, batch_size=16, random_state=0, overrides=QUICK)
    assert cross_val_score(model, x, y, cv=2).min() > 0.8
    rates = [{**QUICK, "training.optimizer.learning_rate": rate} for rate in (1e-6, 0.01)]
    search = GridSearchCV(model, {"overrides": rates}, cv=2).fit(x, y)
    assert search.best_params_ == {"overrides": rates[1]}
    assert CalibratedClassifierCV(model, cv=2).fit(x, y).score(x, y) > 0.9
    columns, classes = table()
    whole = np.array([columns["number"], columns["kind"]], object).T
    numbers, texts = make_pipeline(SimpleImputer(), StandardScaler()), OneHotEncoder(sparse_output=False)
    in_front = ColumnTransformer([("n", numbers, [0]), ("t", texts, [1])])
    assert make_pipeline(in_front, clone(model).set_params(epochs=40)).fit(whole, classes).score(whole, classes) > 0.8


def test_the_same_random_state_gives_the_same_bits() -> None:
    x, y = load_iris(return_X_y=True)

    def quick(state: Any = None) -> GraphspecClassifier:
        return GraphspecClassifier(epochs=2, random_state=state, overrides=QUICK).fit(x, y)

    first = quick(4)
    answers = first.predict_proba(x)
    assert np.array_equal(clone(first).fit(x, y).predict_proba(x), answers)
    assert np.array_equal(pickle.loads(pickle.dumps(first)).predict_proba(x), answers)
    assert np.array_equal(quick(np.random.RandomState(4)).predict_proba(x), answers)
    assert not np.array_equal(quick(5).predict_proba(x), answers)
    assert np.array_equal(*[quick().predict_proba(x) for _ in range(2)])


def test_a_regressor_is_as_good_as_a_ridge() -> None:
    x, y = load_diabetes(return_X_y=True)
    model = GraphspecRegressor().fit(x[:300], y[:300])
    assert model.score(x[300:], y[300:]) > 0.45
    assert 10 < model.n_iter_ <= 100
    assert model.model_.spec.form in {"stiff", "mild", "free"}


def test_a_matrix_has_no_ids() -> None:
    in_order = GraphspecRegressor(epochs=3, overrides=QUICK).fit(np.arange(100)[:, None], np.arange(100))
    assert in_order.left_out_ == {}


def test_validation_rows_are_those_of_the_spec_or_of_the_argument() -> None:
    x, y = load_iris(return_X_y=True)
    alone = GraphspecClassifier(epochs=1, validation_split=0).fit(x, y).model_
    assert (alone.spec.training.copies, alone.spec.form) == (1, None)
    assert "val_loss" not in (alone.history or {})
    split = GraphspecClassifier(epochs=1, validation_split=0.2).fit(x, y).model_
    assert split.spec.training.copies == 1  # a form is chosen by the rows of the split
    assert split.spec.form is not None
    assert "val_loss" in (split.history or {})
    folds = GraphspecClassifier(epochs=1, overrides={"training.forms": None}).fit(x, y).model_
    assert folds.spec.training.folds == 5
    assert "val_loss" in (folds.history or {})
    amounts = GraphspecRegressor(epochs=1, validation_split=0).fit(x, x[:, 0])
    assert amounts.predict(x).shape == (150,)
    spec = dense_spec() | {"data": {"train": {"file": "no.csv"}, "validation": {"split": 0.5}}}
    wine, kinds = load_wine(return_X_y=True)
    [name] = spec["inputs"]
    spec["inputs"] = {name: {"shape": [13]}}
    history = GraphspecClassifier(spec, epochs=1, overrides={"layers.kind.units": 3}).fit(wine, kinds).model_.history
    assert history is not None
    assert "val_loss" in history


@pytest.mark.parametrize("classes", [[-1, 1], [1, 2], [0, 2, 5], [True, False], ["b", "NA", "Na"], [0, 1], [10, 2]])
def test_classes_of_all_kinds_come_back(classes: list[Any]) -> None:
    x, y = load_iris(return_X_y=True)
    x, y = x[y < len(classes)], np.array(classes)[y[y < len(classes)]]
    model = GraphspecClassifier(epochs=10, overrides=QUICK).fit(x, y)
    assert model.classes_.tolist() == sorted(classes)
    assert model.score(x, y) > 0.9
    assert model.predict(x).dtype == y.dtype


def digits(loss: Any, **head: Any) -> dict[str, Any]:
    layers = [{"type": "Rescaling", "scale": 0.0625}, {"type": "Flatten"}, {"name": "d", "type": "Dense", "units": 10}]
    if isinstance(loss, str):
        layers[-1]["activation"] = "softmax"
    names = [{"name": f"n{k}", **layer} for k, layer in enumerate(layers)]
    outputs = {"d": {"loss": loss, **head}}
    training = {"optimizer": {"type": "Adam", "learning_rate": 0.01}, "epochs": 4}
    shape = {"x": {"shape": [8, 8, 1]}}
    return {"graphspec": 1, "name": "n", "inputs": shape, "layers": names, "outputs": outputs, "training": training}


LOSSES = [
    "sparse_categorical_crossentropy",
    "categorical_crossentropy",
    {"type": "sparse_categorical_crossentropy", "from_logits": True},
]


@pytest.mark.parametrize("loss", LOSSES, ids=["ids", "one_hot", "logits"])
@pytest.mark.parametrize("factor", [1, 3])
def test_a_spec_has_one_array_and_its_own_loss(loss: Any, factor: int) -> None:
    x, y = load_digits(return_X_y=True)
    model = GraphspecClassifier(digits(loss), random_state=0).fit(x, y * factor)
    assert model.score(x, y * factor) > 0.85
    np.testing.assert_allclose(model.predict_proba(x).sum(1), 1, rtol=1e-5)


def test_labels_of_a_spec_have_their_own_order_and_may_be_more() -> None:
    x, y = load_digits(return_X_y=True)
    x, y = x[y < 8], y[y < 8]
    labels = [f"digit {9 - k}" for k in range(10)]
    spec = digits(LOSSES[0], labels=labels)
    texts = np.array([f"digit {k}" for k in y])
    model = GraphspecClassifier(spec).fit(x, texts)
    assert model.score(x, texts) > 0.85
    by_id = GraphspecClassifier(spec).fit(x, y)  # class 0 is the label `digit 9`
    assert by_id.score(x, y) > 0.85
    assert model.predict_proba(x).shape == by_id.predict_proba(x).shape == (len(x), 8)
    np.testing.assert_allclose(model.predict_proba(x).sum(1), 1, rtol=1e-5)


def test_columns_of_a_spec_are_found_by_name_or_by_order() -> None:
    frames = pytest.importorskip("pandas")
    x, y = load_iris(return_X_y=True)
    columns = {"wide": {"type": "number", "column": "petal width"}, "long": "number"}
    layer = {"name": "kind", "type": "Dense", "units": 3, "activation": "softmax"}
    outputs = {"kind": {"loss": "sparse_categorical_crossentropy"}}
    spec = {"graphspec": 1, "name": "n", "inputs": {"row": {"columns": columns}}, "layers": [layer], "outputs": outputs}
    model = GraphspecClassifier(spec, epochs=2)
    by_order = model.fit(x[:, [3, 0]], y).predict_proba(x[:, [3, 0]])
    frame = frames.DataFrame({"long": x[:, 0], "other": x[:, 1], "petal width": x[:, 3]})
    assert np.array_equal(model.fit(frame, y).predict_proba(frame), by_order)
    with pytest.raises(gs.SpecError, match="GS502"):
        model.fit(x, y)
    with pytest.raises(gs.SpecError, match="GS502"):
        model.fit(frame[["other", "long"]], y)


def test_weights_have_a_mean_of_1_and_0_leaves_a_row_out() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 3)), rng.integers(0, 2, 300)
    kept = np.arange(len(y)) % 3 > 0
    weights = np.where(kept, 1.0 + y, 0)
    one = GraphspecClassifier(epochs=9, overrides=QUICK).fit(x, y, weights)
    assert np.array_equal(one.predict_proba(x), clone(one).fit(x, y, 4 * weights).predict_proba(x))
    assert np.array_equal(one.predict_proba(x), clone(one).fit(x[kept], y[kept], weights[kept]).predict_proba(x))
    assert clone(one).fit(x, y, np.where(y == 1, 50, 1)).predict_proba(x)[:, 1].min() > 0.6


def test_what_cannot_be_learnt_is_said() -> None:
    x, y = CANCER
    with pytest.raises(ValueError, match="needs two classes, y has one class: 0"):
        GraphspecClassifier().fit(x, 0 * y)
    with pytest.raises(ValueError, match="X has no column from which the target can be learnt"):
        GraphspecRegressor().fit(np.ones((9, 2)), np.arange(9))
    with pytest.raises(ValueError, match=r"X has 2,002 columns, more than the 2,000"):
        GraphspecRegressor(epochs=1, overrides=QUICK).fit(np.random.default_rng(0).normal(size=(9, 2001)), np.arange(9))
    with pytest.raises(NotFittedError):
        GraphspecClassifier().export("no.onnx")
    for split in (20, "half"):
        with pytest.raises(gs.UsageError, match="`validation_split` must be a number from 0 to below 1, got"):
            GraphspecClassifier(validation_split=split).fit(x, y)  # type: ignore[arg-type]
    with pytest.raises(gs.SpecError, match="did you mean 'epochs'"):
        GraphspecClassifier(overrides={"training.epoch": 1}).fit(x, y)
    two = {"hidden": {"layer": "hidden", "loss": "mse"}, **dense_spec()["outputs"]}
    with pytest.raises(ValueError, match="trains a network with one head: the spec has 2"):
        GraphspecClassifier(dense_spec(outputs=two)).fit(x, y)
    with pytest.raises(ValueError, match="cannot reshape"):
        GraphspecClassifier(digits(LOSSES[0])).fit(x, y)


def test_without_scikit_learn_an_import_says_how_to_install_it() -> None:
    code = "import sys; sys.modules['sklearn'] = None; import graphspec as gs; gs.compile; import graphspec.sklearn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert '`graphspec.sklearn` needs scikit-learn: install it with `pip install "scikit-learn' in done.stderr
    assert getattr(gs, "sklearn").GraphspecClassifier is GraphspecClassifier  # noqa: B009 (no name for type checkers)
