"""What ingredients of a picture's recipe add, in a PyTorch model of what `init` writes, of half its width.

``python picture_ingredients.py FILE.npz [NAME …]``: arrays `image` and `kind`; 5,000 pictures to train on for 8 epochs,
5,000 others to compare. It needs PyTorch, not graphspec.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

EPOCHS, BATCH, SEEDS = 8, 64, (1, 2)
INGREDIENTS = ("none", "alternating flips", "dirac", "mixup", "running mean of weights")


def network(dirac: bool) -> nn.Sequential:
    parts: list[nn.Module] = []
    before = 1
    for filters in (16, 32, 64):
        for k in range(2):
            convolution = nn.Conv2d(before, filters, 3, padding=1, bias=False)
            if dirac:
                nn.init.dirac_(convolution.weight[: convolution.weight.shape[1]])
            parts += [convolution, *([nn.MaxPool2d(2)] if k == 0 else []), nn.BatchNorm2d(filters), nn.ReLU()]
            before = filters
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10))


def moved(x: torch.Tensor, flips: torch.Tensor) -> torch.Tensor:
    """Mirror some pictures, and shift all by at most a pixel."""
    x = torch.where(flips[:, None, None, None], x.flip(3), x)
    padded = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    at = torch.randint(3, (len(x), 2))
    return torch.stack(
        [p[:, i : i + x.shape[2], j : j + x.shape[3]] for p, (i, j) in zip(padded, at.tolist(), strict=True)]
    )


def trained(name: str, seed: int, x: torch.Tensor, y: torch.Tensor, test: Any) -> tuple[float, float]:
    torch.manual_seed(seed)
    model, steps = network(name == "dirac"), EPOCHS * (len(x) // BATCH)
    optimizer = torch.optim.Adam(model.parameters(), 0.005)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.005, total_steps=steps)
    mean = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.98), use_buffers=True
    )
    first = torch.rand(len(x)) < 0.5
    for epoch in range(EPOCHS):
        order = torch.randperm(len(x))
        for rows in order[: len(x) // BATCH * BATCH].split(BATCH):
            flips = first[rows] ^ bool(epoch % 2) if name == "alternating flips" else torch.rand(len(rows)) < 0.5
            given, target = moved(x[rows], flips), functional.one_hot(y[rows], 10).float()
            if name == "mixup":
                share, other = float(torch.distributions.Beta(0.2, 0.2).sample()), torch.randperm(len(rows))
                given, target = share * given + (1 - share) * given[other], share * target + (1 - share) * target[other]
            loss = functional.cross_entropy(model(given), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            mean.update_parameters(model)
    used = mean if name == "running mean of weights" else model
    used.eval()
    with torch.no_grad():
        scores = torch.cat([(used(part) + used(part.flip(3))) / 2 for part in test[0].split(500)])
    return float((scores.argmax(1) == test[1]).float().mean()), float(functional.cross_entropy(scores, test[1]))


def main() -> None:
    data = np.load(sys.argv[1])
    order = np.random.default_rng(0).permutation(len(data["kind"]))[:10_000]
    x = torch.tensor(data["image"][order], dtype=torch.float32).reshape(10_000, 1, 28, 28)
    x = (x - x[:5000].mean()) / x[:5000].std()
    y = torch.tensor(data["kind"][order], dtype=torch.int64)
    for name in sys.argv[2:] or INGREDIENTS:
        found = np.array([trained(name, seed, x[:5000], y[:5000], (x[5000:], y[5000:])) for seed in SEEDS])
        print(f"{name}: accuracy {found[:, 0].mean():.4f}, log-loss {found[:, 1].mean():.3f}", flush=True)


if __name__ == "__main__":
    main()
