"""Training with callbacks against Keras."""

from __future__ import annotations

import numpy as np
import pytest
from golden_cases import Case, load

import graphspec as gs

KERAS = load("callbacks")


SHARED = KERAS[0]


@pytest.mark.parametrize("case", KERAS[1:], ids=[case.id for case in KERAS[1:]])
def test_training_with_callbacks_is_that_of_keras(case: Case) -> None:
    training = {"optimizer": case.args["optimizer"], "callbacks": case.args["callbacks"], "shuffle": False}
    spec = {
        "graphspec": 1,
        "name": "golden",
        "inputs": {"x": {"shape": [3]}},
        "layers": [{"name": "y", "type": "Dense", "units": 2, "activation": "tanh"}],
        "outputs": {"y": {"loss": "mean_squared_error"}},
        "training": training | {"epochs": SHARED.args["epochs"], "batch_size": SHARED.args["batch"]},
    }
    model, (x, y) = gs.compile(spec), (SHARED["rows"]["x"], SHARED["rows"]["y"])
    model.set_weights(SHARED["weights"])
    history = model.fit(x[:12], y[:12], validation_data=(x[12:], y[12:]), verbose=0).history
    assert history.keys() == case.args["history"].keys()
    for key, values in case.args["history"].items():
        assert history[key] == pytest.approx(values, rel=1e-4, abs=1e-6), key
    for name, expected in case["after"].items():
        np.testing.assert_allclose(model.weights[name], expected, rtol=1e-4, atol=1e-5, err_msg=name)
