"""Write the golden values of the schedules that Keras does not have, from PyTorch's schedulers.

``pip install torch==2.13.0``, then ``python tests/golden/make_torch_schedules.py``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    SequentialLR,
)

HERE = Path(__file__).parent
STEPS = 40
_COSINE = {"type": "CosineDecay", "initial_learning_rate": 0.1, "decay_steps": 30}
_RISE = {"type": "PolynomialDecay", "initial_learning_rate": 0.02, "end_learning_rate": 0.1, "decay_steps": 5}


def one_cycle(**arguments: Any) -> tuple[dict[str, Any], Any]:
    """OneCycle, and PyTorch's, which cannot step beyond its end."""
    ours = {"type": "OneCycle", "max_learning_rate": 0.1, "total_steps": STEPS, **arguments}
    return ours, lambda o: OneCycleLR(o, max_lr=0.1, total_steps=STEPS, **arguments)


def noam(d: int, warmup: int) -> tuple[dict[str, Any], Any]:
    """Noam with PyTorch's LambdaLR, for a base rate of 0.1."""
    ours = {"type": "Noam", "d_model": d, "warmup_steps": warmup}
    return ours, lambda o: LambdaLR(o, lambda s: 10 * d**-0.5 * min((s + 1) ** -0.5, (s + 1) * warmup**-1.5))


def joined(o: torch.optim.Optimizer) -> LRScheduler:
    """A rise, a constant rate, a cosine."""
    parts = [LinearLR(o, 0.2, 1.0, 5), LambdaLR(o, lambda s: 1.0), CosineAnnealingLR(o, 30)]
    return SequentialLR(o, parts, [5, 8])


CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "OneCycle": one_cycle(),
    "OneCycle-linear": one_cycle(anneal_strategy="linear", pct_start=0.5, div_factor=10.0, final_div_factor=100.0),
    "OneCycle-three": one_cycle(three_phase=True, pct_start=0.2),
    "Noam": noam(64, 10),
    "Noam-short": noam(512, 3),
    "LinearWarmup-cosine": (
        {"type": "LinearWarmup", "learning_rate": _COSINE, "warmup_steps": 5, "initial_learning_rate": 0.01},
        lambda o: SequentialLR(o, [LinearLR(o, 0.1, 1.0, 5), CosineAnnealingLR(o, 30)], [5]),
    ),
    "LinearWarmup-number": (
        {"type": "LinearWarmup", "learning_rate": 0.1, "warmup_steps": 4},
        lambda o: LambdaLR(o, lambda s: min(s / 4, 1.0)),
    ),
    "Sequential": ({"type": "Sequential", "schedules": [_RISE, 0.1, _COSINE], "boundaries": [5, 8]}, joined),
    "Sequential-exponential": (
        {
            "type": "Sequential",
            "schedules": [
                {"type": "ExponentialDecay", "initial_learning_rate": 0.1, "decay_steps": 1, "decay_rate": 0.9},
                {"type": "ExponentialDecay", "initial_learning_rate": 0.1, "decay_steps": 1, "decay_rate": 0.5},
            ],
            "boundaries": [20],
        },
        lambda o: SequentialLR(o, [ExponentialLR(o, 0.9), ExponentialLR(o, 0.5)], [20]),
    ),
}


def main() -> None:
    """Per case: the schedule, and the rate at each step."""
    found = {}
    for case, (ours, scheduler_of) in CASES.items():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        scheduler, rates = scheduler_of(optimizer), []
        for _ in range(31 if "osine" in str(ours) else STEPS):  # PyTorch's cosine rises again after its end
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if len(rates) < STEPS:
                scheduler.step()
        found[case] = {"schedule": ours, "rates": rates}
    (HERE / "torch_schedules.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


main()
