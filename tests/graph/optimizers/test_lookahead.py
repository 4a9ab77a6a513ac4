"""RAdam against PyTorch (``golden/make_torch_losses.py``); Lookahead against its definition; settings of the inner one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_cases import GOLDEN
from graph.optimizers.test_optimizer import Bound
from pydantic_core import PydanticCustomError
from safetensors.numpy import load_file

import graphspec as gs
from graphspec.graph.optimizers import OPTIMIZERS

FILE = load_file(GOLDEN / "torch_losses.safetensors")
RADAM: dict[str, dict[str, Any]] = {
    "defaults": {"learning_rate": 0.05},
    "betas": {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3},
    "decay": {"learning_rate": 0.1, "weight_decay": 0.1},
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", RADAM)
def test_steps_are_those_of_pytorch(case: str, dtype: Any) -> None:
    gradients, weights = FILE[f"radam_{case}/gradients"], FILE[f"radam_{case}/weights"]
    bound = Bound(OPTIMIZERS.parse({"type": "RAdam", **RADAM[case]}), {"w": weights[0]}, dtype)
    for gradient, expected in zip(gradients, weights[1:], strict=True):
        found = bound.step({"w": gradient})["w"]
        np.testing.assert_allclose(found, expected, rtol=1e-10 if dtype is np.float64 else 2e-5, atol=1e-6)


@pytest.mark.parametrize("every", [1, 2])
def test_slow_weights_follow_the_fast_ones(every: int) -> None:
    rng = np.random.default_rng(1)
    start, gradients = rng.normal(size=7), rng.normal(size=(20, 7))
    more: dict[str, Any] = {"gradient_accumulation_steps": every} if every > 1 else {}
    inner = {"type": "Adam", "learning_rate": 0.1, **more}
    bound = Bound(
        OPTIMIZERS.parse({"type": "Lookahead", "optimizer": inner, "k": 3, "alpha": 0.4}), {"w": start}, np.float64
    )
    alone, slow = Bound(OPTIMIZERS.parse(inner), {"w": start}, np.float64), start
    for step, gradient in enumerate(gradients):
        fast = alone.step({"w": gradient})["w"]
        if (step + 1) % (3 * every) == 0:
            slow = slow + 0.4 * (fast - slow)
            alone.write(alone.P, {"w": slow})
        np.testing.assert_allclose(bound.step({"w": gradient})["w"], alone.read(alone.P)["w"], rtol=1e-12)
    assert not bound.padding.any()


def test_settings_are_those_of_the_inner_one_unless_set() -> None:
    inner = {"type": "AdamW", "learning_rate": 0.2, "clipnorm": 1.0}
    optimizer = OPTIMIZERS.parse({"type": "Lookahead", "optimizer": inner})
    assert (optimizer.learning_rate, optimizer.weight_decay, optimizer.clipnorm) == (0.2, 0.004, 1.0)
    assert OPTIMIZERS.parse({"type": "Lookahead", "optimizer": inner, "learning_rate": 0.5}).learning_rate == 0.5


@pytest.mark.parametrize("inner", ["Muon", "Lamb", "Lookahead"])
def test_inner_optimizers_of_whole_weights_are_refused(inner: str) -> None:
    with pytest.raises(PydanticCustomError) as refused:
        OPTIMIZERS.parse({"type": "Lookahead", "optimizer": inner})
    assert f"cannot be {inner}" in str((refused.value.context or {})["errors"])


def test_a_spec_names_the_key_of_a_wrong_inner_optimizer() -> None:
    spec = {
        "graphspec": 1, "name": "m", "inputs": {"x": {"shape": [3]}}, "layers": [{"name": "y", "type": "Dense", "units": 1}],
        "outputs": {"y": {"loss": "mse"}},
        "training": {"optimizer": {"type": "Lookahead", "optimizer": {"type": "Adam", "beta": 1}}},
    }  # fmt: skip
    with pytest.raises(gs.SpecError, match="beta") as refused:
        gs.compile(spec)
    assert "training.optimizer.optimizer" in str(refused.value)
