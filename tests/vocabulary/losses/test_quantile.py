"""The loss of quantiles: values and gradients by hand, what it learns, targets of all sources, what does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import graphspec
from golden_run import run

import graphspec as gs
from graphspec.base.errors import SpecError
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.vocabulary.losses import LOSSES, reduce

RANDOM = np.random.default_rng(0)


def expected(true: Any, answers: Any, quantiles: Any) -> Any:
    """The pinball loss as scikit-learn writes it, and its gradient in the answers, of each row."""
    error = true[..., None] - answers
    q = np.asarray(quantiles)
    losses = q * np.maximum(error, 0) + (1 - q) * np.maximum(-error, 0)
    return losses.mean(-1), np.where(error > 0, -q, 1 - q) / len(q)


@pytest.mark.parametrize("quantiles", [None, [0.25], [0.02, 0.1, 0.5, 0.98]])
@pytest.mark.parametrize("shape", [(6,), (2, 5)])
def test_values_and_gradients(quantiles: list[float] | None, shape: tuple[int, ...]) -> None:
    loss = LOSSES.parse({"type": "pinball"} if quantiles is None else {"type": "Quantile", "quantiles": quantiles})
    q = [0.1, 0.5, 0.9] if quantiles is None else quantiles
    arrays = {"x": RANDOM.standard_normal((*shape, len(q))), "y": RANDOM.standard_normal(shape)}
    graph = Graph("q")
    for name, array in arrays.items():
        graph.inputs[name] = Value(name, Type("float32", ("N", *array.shape[1:])), "input")
    assert loss.check(graph.inputs["x"]) == []
    g = Builder(graph, "loss")
    with g:
        values = loss.lower(g, graph.inputs["y"], graph.inputs["x"])
    with g:
        scalar = reduce(g, values, weight=None, mask=None)
    fetches = {"values": values, "loss": scalar}
    found, _, gradients = run(graph, Parameters(graph, np.float64), arrays, fetches, loss=scalar, input_grads=["x"])
    each, slope = expected(arrays["y"], arrays["x"], q)
    np.testing.assert_allclose(found["values"], each, rtol=1e-6)
    np.testing.assert_allclose(found["loss"], each.mean(), rtol=1e-6)
    np.testing.assert_allclose(gradients["x"], slope / each.size, rtol=1e-6)


def network(**head: Any) -> dict[str, Any]:
    return {
        "graphspec": 1,
        "name": "waiting",
        "inputs": {"x": {"shape": [1]}},
        "layers": [{"name": "minutes", "type": "Dense", "units": 3}],
        "outputs": {"minutes": {"loss": "quantile", **head}},
        "training": {"optimizer": {"type": "Adam", "learning_rate": 0.05}, "epochs": 30, "batch_size": 50},
    }


X = np.zeros((500, 1), np.float32)
Y = (200 + 50 * RANDOM.exponential(size=500)).astype(np.float32)


def test_it_learns_quantiles_of_unscaled_numbers_also_as_a_column(tmp_path: Path) -> None:
    model = gs.compile(network(scale="standard"))
    model.fit(X, Y, verbose=0)
    answer = model.predict(X[:1])[0]
    np.testing.assert_allclose((Y[:, None] < answer).mean(0), [0.1, 0.5, 0.9], atol=0.03)
    each, _ = expected(Y, np.repeat(answer[None], 500, axis=0), [0.1, 0.5, 0.9])
    assert model.evaluate(X, Y)["loss"] == pytest.approx(model.evaluate(X, Y[:, None])["loss"])
    assert each.mean() < expected(Y, np.full((500, 3), np.median(Y)), [0.1, 0.5, 0.9])[0].mean()
    model.export(tmp_path / "quantiles.onnx")


def test_a_run_from_a_table_has_a_report_about_the_median(tmp_path: Path) -> None:
    rows = "\n".join(f"{k % 7},{y:.1f}" for k, y in enumerate(Y[:60]))
    (tmp_path / "rows.csv").write_text(f"x,minutes\n{rows}\n")
    data = {"train": {"file": "rows.csv"}, "validation": {"split": 0.3}}
    (tmp_path / "spec.json").write_text(json.dumps({**network(), "data": data}))
    run = graphspec("train", tmp_path / "spec.json", "--out", tmp_path / "runs" / "waiting")
    assert run.exit_code == 0, run.output
    assert "minutes" in (tmp_path / "runs" / "waiting" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("head", "says"),
    [
        ({"loss": {"type": "quantile", "quantiles": [0.5]}}, "needs a unit for each of its 1 quantiles"),
        ({"loss": {"type": "quantile", "quantiles": [0.5, 1, 0.1]}}, "must be < 1, not 1"),
        ({"metrics": ["mae"]}, "one value for all units"),
    ],
)
def test_what_does_not_fit(head: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError) as error:
        gs.compile(network(**head))
    assert says in str(error.value)
