"""Constraints against Keras's golden values, and applied after every step of training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_cases import Case, load
from pydantic_core import PydanticCustomError

import graphspec as gs
from graphspec.base.errors import ShapeError
from graphspec.graph.constraints import CONSTRAINTS
from graphspec.graph.initializers import Zeros
from graphspec.graph.ir.graph import Layout, Param, Segment
from graphspec.graph.optimizers.optimizer import constrain

CASES = load("constraints")
VALUES = [case for case in CASES if "constraint" in case.args]
TRAINING = [case for case in CASES if "spec" in case.args]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("case", VALUES, ids=[case.id for case in VALUES])
def test_constraints_match_keras(case: Case, packed: bool, dtype: Any) -> None:
    weight = case["weight"].astype(dtype)
    layout = Layout()
    if packed:
        perm = tuple(reversed(range(weight.ndim)))
        layout = Layout((1, 0), perm, (1, *(weight.shape[axis] for axis in perm)))
    param = Param("w", weight.shape, Zeros(), layout, constraint=CONSTRAINTS.parse(case.args["constraint"]))
    vector = np.concatenate([np.ones(16, dtype), layout.pack(weight).reshape(-1), np.ones(3, dtype)])
    for f, *a in constrain(vector, [Segment(param, 16, 16 + weight.size)]):
        f(*a)
    inside = vector[16 : 16 + weight.size].reshape(param.stored_shape)
    np.testing.assert_allclose(layout.unpack(inside, weight.shape), case["after"], rtol=1e-6, atol=1e-7)
    assert vector.sum() - inside.sum() == pytest.approx(19)


@pytest.mark.parametrize("case", TRAINING, ids=[case.id for case in TRAINING])
def test_training_with_constraints_matches_keras(case: Case) -> None:
    spec = dict(case.spec)
    training = {"optimizer": spec.pop("optimizer"), "batch_size": 5, "shuffle": False, "epochs": case.args["steps"]}
    model = gs.compile({"graphspec": 1, "name": "golden", **spec, "training": training})
    model.set_weights(case["weights"])
    inputs = {
        name: a.astype(np.int64) if name == "x" and a.dtype.kind == "i" else a for name, a in case["inputs"].items()
    }
    average = training["optimizer"].get("use_ema")
    if not average:
        model.fit(inputs, case["targets"], verbose=0)
        found = model.weights
    else:
        from graphspec.engine.training.prepare import FitData, prepare_fit
        from graphspec.engine.training.reporting import Silent

        trainer = prepare_fit(model, FitData(inputs, case["targets"]), observer=Silent())
        trainer.loader.start(0)
        for _ in range(case.args["steps"]):  # the averages are not in the weights, as in Keras before the end of `fit`
            trainer.batch = 0
            trainer.step()
        found = model.weights
    for name, expected in case["after"].items():
        np.testing.assert_allclose(found[name], expected, rtol=2e-4, atol=2e-5, err_msg=name)


@pytest.mark.parametrize(
    ("constraint", "shape", "code"),
    [
        ({"type": "MaxNorm", "axis": 2}, (3, 4), "GS301"),
        ({"type": "UnitNorm", "axis": -2}, (4,), "GS301"),
        ({"type": "MinMaxNorm", "axis": [0, 1, 2]}, (3, 4), "GS301"),
        ({"type": "MaxNorm", "axis": [0, -2]}, (3, 4), "GS105"),
    ],
)
def test_axes_out_of_range_are_refused(constraint: dict[str, Any], shape: tuple[int, ...], code: str) -> None:
    with pytest.raises(ShapeError) as caught:
        CONSTRAINTS.parse(constraint).check(shape)
    assert caught.value.code == code
    assert caught.value.problem.hint is not None


def test_bounds_must_be_in_order() -> None:
    with pytest.raises(PydanticCustomError):
        CONSTRAINTS.parse({"type": "MinMaxNorm", "min_value": 2.0, "max_value": 1.0})
