"""Write the golden values of losses and an optimizer that Keras lacks, from libraries of PyTorch and lifelines, in float64.

``pip install torch==2.13.0 pytorch-metric-learning==2.9.0 pytorch-crf==0.7.2 lifelines==0.30.3 safetensors``, then
``python tests/golden/make_torch_losses.py``. Names are ``<case>/<array>``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lifelines.fitters.coxph_fitter import SemiParametricPHFitter
from lifelines.utils import concordance_index
from pytorch_metric_learning.losses import ArcFaceLoss, SupConLoss
from safetensors.numpy import save_file
from torchcrf import CRF

HERE = Path(__file__).parent
RADAM: dict[str, dict[str, Any]] = {  # id, arguments
    "defaults": {"lr": 0.05, "eps": 1e-7},
    "betas": {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3},
    "decay": {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True, "eps": 1e-7},
}


def tensor(array: Any) -> torch.Tensor:
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


def main() -> None:
    torch.set_default_dtype(torch.float64)
    rng, arrays = np.random.default_rng(3), dict[str, Any]()

    def add(case: str, **found: Any) -> None:
        for name, value in found.items():
            value = value.detach() if isinstance(value, torch.Tensor) else value
            arrays[f"{case}/{name}"] = np.ascontiguousarray(np.asarray(value))

    x, y = tensor(rng.normal(size=(9, 4))), np.array([0, 1, 2, 0, 1, 3, 0, 1, 1])
    loss = SupConLoss(temperature=0.1)(x, torch.tensor(y))
    loss.backward()
    add("supcon", x=x, y=y, loss=loss, gradient=x.grad)

    x, kernel = tensor(rng.normal(size=(9, 4))), tensor(rng.normal(size=(4, 5)))
    arc = ArcFaceLoss(num_classes=5, embedding_size=4, margin=np.degrees(0.5), scale=64)
    arc.W.data = kernel.data.clone()
    labels = torch.tensor(rng.integers(0, 5, 9))
    loss = arc(x, labels)
    loss.backward()
    add("arcface", x=x, y=labels, kernel=kernel, loss=loss, gradient=x.grad, kernel_gradient=arc.W.grad)
    add("arcface", logits=arc.get_logits(x))

    crf, x, tags = CRF(4, batch_first=True), tensor(rng.normal(size=(5, 7, 4)) * 2), rng.integers(0, 4, (5, 7))
    mask = np.arange(7) < np.array([7, 3, 1, 7, 5])[:, None]
    for name, weight in crf.named_parameters():
        weight.data = torch.tensor(rng.normal(size=weight.shape))
        add("crf", **{name: weight})
    values = -crf(x, torch.tensor(tags), torch.tensor(mask), reduction="none")
    values.sum().backward()
    best = np.zeros((5, 7), np.int64)
    for row, path in zip(best, crf.decode(x, torch.tensor(mask)), strict=True):
        row[: len(path)] = path
    add("crf", x=x, tags=tags, mask=mask, values=values, gradient=x.grad, best=best)
    add("crf", **{f"{name}_gradient": weight.grad for name, weight in crf.named_parameters()})

    log_mean, r, counts = tensor(rng.normal(size=9)), tensor(rng.uniform(0.3, 5, 9)), rng.integers(0, 9, 9)
    chances = torch.distributions.NegativeBinomial(r, logits=log_mean - r.log())
    values = -chances.log_prob(torch.tensor(counts))
    mean = log_mean.exp()
    slopes = torch.autograd.grad(values.sum(), [log_mean, r])
    add("negative_binomial", x=torch.stack([mean, r], 1), y=counts, values=values)
    add("negative_binomial", gradient=torch.stack([slopes[0] / mean, slopes[1]], 1))

    h, time, event = rng.normal(size=20), rng.integers(1, 9, 20).astype(float), rng.random(20) < 0.6
    order = np.lexsort((~event, time))
    h, time, event = h[order], time[order], event[order]
    ones = np.ones(20)
    fit = SemiParametricPHFitter()._get_efron_values_single
    frame = pd.DataFrame(h)
    _, _, log_likelihood = fit(frame, pd.Series(time), pd.Series(event), pd.Series(ones), None, np.ones(1))
    add("cox", h=h, time=time, event=event, loss=-log_likelihood / event.sum())
    add("cox", concordance=concordance_index(time, -h, event))

    for case, arguments in RADAM.items():
        weight, gradients = torch.nn.Parameter(tensor(rng.normal(size=6)).detach()), rng.normal(size=(14, 6))
        optimizer, steps = torch.optim.RAdam([weight], **arguments), [weight.detach().numpy().copy()]
        for gradient in gradients:
            weight.grad = torch.tensor(gradient)
            optimizer.step()
            steps.append(weight.detach().numpy().copy())
        add(f"radam_{case}", gradients=gradients, weights=np.stack(steps))
    save_file(arrays, HERE / "torch_losses.safetensors", {"torch": torch.__version__})


if __name__ == "__main__":
    main()
