"""Write the golden values of groups of weights, from PyTorch's parameter groups in float64.

``pip install torch==2.13.0 numpy``, then ``python tests/golden/make_torch_groups.py``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).parent
STEPS = 5
NAMES = ["a/kernel", "a/bias", "y/kernel", "y/bias"]

# The optimizer of a spec, PyTorch's class and its arguments, and by weight the rate and the decay.
CASES: dict[str, tuple[dict[str, Any], Any, dict[str, Any], dict[str, dict[str, float]]]] = {
    "SGD": (
        {
            "type": "SGD",
            "learning_rate": 0.1,
            "momentum": 0.9,
            "groups": [{"weights": "a/*", "learning_rate": 0.02}, {"weights": "*/bias", "learning_rate_scale": 3.0}],
        },
        torch.optim.SGD,
        {"lr": 0.1, "momentum": 0.9},
        {"a/kernel": {"lr": 0.02}, "a/bias": {"lr": 0.3}, "y/bias": {"lr": 0.3}},
    ),
    "AdamW": (
        {
            "type": "AdamW",
            "learning_rate": 0.05,
            "weight_decay": 0.2,
            "epsilon": 1e-14,
            "groups": [{"weights": "a/*", "learning_rate": 0.01}, {"weights": ["*/bias"], "weight_decay": 0.0}],
        },
        torch.optim.AdamW,
        {"lr": 0.05, "weight_decay": 0.2, "eps": 1e-14},
        {"a/kernel": {"lr": 0.01}, "a/bias": {"lr": 0.01, "weight_decay": 0.0}, "y/bias": {"weight_decay": 0.0}},
    ),
}


def main() -> None:
    """The rows, the weights before, and by case the weights after some steps on all rows."""
    rng = np.random.default_rng(5)
    shapes = {"a/kernel": (3, 4), "a/bias": (4,), "y/kernel": (4, 1), "y/bias": (1,)}
    start = {name: rng.normal(size=shape).round(3) for name, shape in shapes.items()}
    x, y = rng.normal(size=(8, 3)).round(3), rng.normal(size=(8, 1)).round(3)
    found: dict[str, Any] = {"x": x.tolist(), "y": y.tolist(), "start": {n: w.tolist() for n, w in start.items()}}
    found |= {"steps": STEPS, "cases": {}}
    for case, (ours, optimizer, arguments, own) in CASES.items():
        p = {name: torch.nn.Parameter(torch.tensor(value)) for name, value in start.items()}
        update = optimizer([{"params": [p[name]], **own.get(name, {})} for name in NAMES], **arguments)
        for _ in range(STEPS):
            update.zero_grad()
            hidden = torch.tanh(torch.tensor(x) @ p["a/kernel"] + p["a/bias"])
            ((hidden @ p["y/kernel"] + p["y/bias"] - torch.tensor(y)) ** 2).mean().backward()
            update.step()
        found["cases"][case] = {"optimizer": ours, "end": {n: w.detach().numpy().tolist() for n, w in p.items()}}
    (HERE / "torch_groups.json").write_text(json.dumps(found) + "\n", encoding="utf-8")


main()
