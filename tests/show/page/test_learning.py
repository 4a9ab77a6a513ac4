"""A page that learns: what a head reads, the steps in Chromium against the runtime's, and weights that a spec takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from consumers.apps import FIXTURES
from show.page.test_in_browser import PACKAGE, SETTLED, browser
from show.report.test_build import AUDIT, OVERFLOW

import graphspec as gs
from graphspec.base.errors import UsageError
from graphspec.graph.onnx_session import session
from graphspec.show.page.build import MOST, page_of, step_of, with_features
from tools.browser import Page

__all__ = ["browser"]  # a fixture
_SPEC: dict[str, Any] = {
    "graphspec": 1,
    "name": "plants",
    "inputs": {"plant": {"columns": {"height": "number", "width": "number", "leaf": "category"}}},
    "layers": [
        {"name": "hidden", "type": "Dense", "units": 12, "activation": "relu", "inputs": "plant"},
        {"name": "kind", "type": "Dense", "units": 2, "activation": "softmax"},
    ],
    "outputs": {"kind": {"loss": "sparse_categorical_crossentropy"}},
    "training": {"epochs": 2, "batch_size": 16, "seed": 1},
}
_ROWS = 60


def plants() -> tuple[dict[str, Any], Any]:
    random = np.random.default_rng(3)
    x = {
        "height": random.gamma(2.0, 20.0, (_ROWS, 1)).astype(np.float32),
        "width": random.normal(5, 2, (_ROWS, 1)).astype(np.float32),
        "leaf": random.choice(np.array(["round", "long", "Nadel"], object), (_ROWS, 1)),
    }
    return x, (x["height"][:, 0] > 40).astype(np.int64)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run, with its file beside."""
    folder = tmp_path_factory.mktemp("plants")
    model, (x, y) = gs.compile(_SPEC), plants()
    model.fit(x, {"kind": y}, verbose=0)
    model.save(folder / "run")
    model.export(folder / "plants.onnx", rows=x)
    return folder / "run"


def test_features_are_what_the_last_weights_read(run: Path) -> None:
    content, names, size = with_features(run.parent / "plants.onnx", ["kind"])
    model, (x, _) = gs.load(run), plants()
    found = session(content).run([*names, "kind"], x)
    assert found[0].shape == (_ROWS, size) == (_ROWS, 12)
    weights = model.weights
    logits = found[0].astype(np.float64) @ weights["kind/kernel"] + weights["kind/bias"]
    powers = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(found[1], powers / powers.sum(1, keepdims=True), rtol=2e-5, atol=1e-6)


def test_several_networks_give_the_features_of_each(tmp_path: Path) -> None:
    spec = {**_SPEC, "training": {**_SPEC["training"], "seeds": 2}}
    model, (x, y) = gs.compile(spec), plants()
    model.fit(x, {"kind": y}, verbose=0)
    model.export(tmp_path / "two.onnx", rows=x)
    assert with_features(tmp_path / "two.onnx", ["kind"])[2] == 24


def test_what_cannot_be_taught_is_refused() -> None:
    file = FIXTURES / "tokens" / "model.onnx"
    heads = [head.name for head in session(file).get_outputs()]
    with pytest.raises(
        UsageError, match="cannot be taught on a page: the last weights before its heads do not read a row"
    ):
        with_features(file, heads)


def test_the_step_has_no_weights() -> None:
    content, record = step_of(2000)
    assert len(content) < 20_000
    assert [weight["shape"] for weight in record["weights"]] == [[2000, MOST], [MOST]]


CSV = "height,width,leaf,category\n" + "".join(
    f"{height},{width},{leaf},{name}\n"
    for k in range(8)
    for height, width, leaf, name in (
        (60 + 3 * k, 4, "round", "tree"),
        (8 + k, 9 - k / 4, "long", "Büsche <b>"),
        (2 + k / 4, 1, "Nadel", "moss"),
    )
)


@pytest.mark.slow
def test_a_page_learns_as_the_runtime_does_and_a_spec_takes_its_weights(
    browser: Page, tmp_path: Path, run: Path
) -> None:
    path = tmp_path / "page.html"
    path.write_text(page_of(run.parent / "plants.onnx", PACKAGE / "onnxruntime-web", learns=True), encoding="utf-8")
    browser.open(path, 1200)
    browser.run(SETTLED)
    browser.run("categories.splice(0); at('learn-names').replaceChildren(); 0")
    browser.run(f"examplesOf({json.dumps(CSV)})")
    browser.run("train()")
    browser.run(SETTLED)
    assert browser.errors == []
    said = browser.run("at('learn-state').innerText")
    assert "Of 6 examples that were held back, 6 are named right" in said
    assert browser.run("at('answers').innerText").startswith("Your own names\n")
    for width in (320, 1200):
        browser.resize(width, 900)
        assert browser.run(OVERFLOW) == [], width
    if (axe := PACKAGE / "axe-core" / "axe.min.js").is_file():
        browser.run(axe.read_text(encoding="utf-8") + "; 0")
        assert browser.run(AUDIT) == []
    names = browser.run("own.names")
    assert names == ["tree", "Büsche <b>", "moss"]
    steps = int(said.split()[1].rstrip(":"))
    # the runtime on the same features, scaled likewise, with a head of three classes
    given = browser.run("categories.flatMap(({ examples }) => examples.map(({ features }) => [...features]))")
    features, labels = np.array(given, np.float32), np.repeat(np.arange(3), 8)
    learnt = np.arange(24) % 8 % 4 != 3
    mean, deviation = features[learnt].mean(0), features[learnt].std(0)
    scale = 1 / (np.sqrt(features.shape[1]) * np.where(deviation == 0, 1, deviation))
    head = {"name": "own", "type": "Dense", "units": 3, "activation": "softmax", "kernel_initializer": "zeros"}
    model = gs.compile(
        {
            "graphspec": 1,
            "name": "own",
            "inputs": {"features": {"shape": [features.shape[1]]}},
            "layers": [head],
            "outputs": {"own": {"loss": "sparse_categorical_crossentropy"}},
            "training": {"optimizer": {"type": "Adam", "learning_rate": 0.02}, "epochs": steps, "batch_size": 18},
        }
    )
    model.fit((features[learnt] - mean) * scale, {"own": labels[learnt]}, shuffle=False, verbose=0)
    wanted = model.predict((features - mean) * scale)
    answers = "categories.flatMap(({ examples }) => examples.map(({ features }) => sharesOf(features)))"
    np.testing.assert_allclose(browser.run(answers), wanted, atol=2e-4)
    # the weights go on in a spec, which has learnt its means and categories from the same rows as the run
    (tmp_path / "own.safetensors").write_bytes(bytes(browser.run("[...safetensors()]")))
    layers = [_SPEC["layers"][0], {**head, "weights": str(tmp_path / "own.safetensors")}]
    training = {"optimizer": {"type": "SGD", "learning_rate": 1e-9}, "epochs": 1, "batch_size": 16}
    training["initial_weights"] = str(run)
    outputs = {"own": {**_SPEC["outputs"]["kind"], "labels": names}}
    again, (x, _) = gs.compile({**_SPEC, "layers": layers, "outputs": outputs, "training": training}), plants()
    again.fit(x, {"own": np.zeros(_ROWS, np.int64)}, verbose=0)
    records = browser.run("categories.flatMap(({ examples }) => examples.map(({ record }) => record))")
    rows = {name: np.array([[record[name]] for record in records]) for name in ("height", "width", "leaf")}
    rows = {name: a.astype(object if name == "leaf" else np.float32) for name, a in rows.items()}
    np.testing.assert_allclose(again.predict(rows), browser.run(answers), atol=1e-5)
