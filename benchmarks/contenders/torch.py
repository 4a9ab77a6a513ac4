"""PyTorch, eager or compiled."""

# mypy: ignore-errors, because PyTorch need not be installed

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from benchmarks.contenders.base import Stepper
from benchmarks.contenders.torch_network import Builder, loss_of
from benchmarks.contenders.torch_parts import tensor

if TYPE_CHECKING:
    from benchmarks.workload import Workload


def optimizer(about: dict[str, Any], parameters: list[nn.Parameter], fused: bool) -> torch.optim.Optimizer:
    lr = about["learning_rate"]
    match about["type"]:
        case "RMSprop":  # which has no fused form
            return torch.optim.RMSprop(parameters, lr, about["rho"], about["epsilon"], foreach=fused)
        case "Adam":
            betas = about["beta_1"], about["beta_2"]
            return torch.optim.Adam(parameters, lr, betas, about["epsilon"], fused=fused)
        case _:
            return torch.optim.SGD(parameters, lr, about["momentum"], fused=fused)


class Both:
    """SparseAdam for the embeddings, Adam for the rest."""

    def __init__(self, about: dict[str, Any], model: nn.Module) -> None:
        found = {id(m.weight): m.weight for m in model.modules() if isinstance(m, nn.Embedding)}
        rest = [p for p in model.parameters() if id(p) not in found]
        betas = about["beta_1"], about["beta_2"]
        rows = torch.optim.SparseAdam(list(found.values()), about["learning_rate"], betas, about["epsilon"])
        self.each = rows, optimizer(about, rest, fused=True)

    def zero_grad(self) -> None:
        for one in self.each:
            one.zero_grad()

    def step(self) -> None:
        for one in self.each:
            one.step()


class Loop(Stepper):
    """The usual loop over batches that are tensors already."""

    version = torch.__version__

    def __init__(self, workload: Workload, fused: bool, compiled: bool, sparse: bool) -> None:
        self.workload = workload
        self.format = torch.channels_last if fused or compiled else torch.contiguous_format
        self.batches = [self._batch(workload.rows(k)) for k in range(workload.batches)]
        self.model = Builder(workload, sparse).network()
        kinds = {node.type for node in workload.nodes}
        if "Conv3D" in kinds and self.format is torch.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last_3d)
        elif any("2D" in kind for kind in kinds):
            self.model = self.model.to(memory_format=self.format)
        self.first = {name: t.clone() for name, t in self.model.state_dict().items()}
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        about = workload.optimizer
        self.optimizer = Both(about, self.model) if sparse else optimizer(about, parameters, fused or compiled)
        self.update = self.optimizer.step
        loss, model = loss_of(workload.loss), self.model
        self.forward = self.plain = lambda xs, y: loss(model(*xs), y)
        if compiled:
            self.forward = torch.compile(self.forward)
            if about["type"] == "RMSprop":
                self.update = torch.compile(self.optimizer.step)

    def _batch(self, rows: slice) -> tuple[tuple[Any, ...], torch.Tensor]:
        w = self.workload
        y = self._images(w.y[rows])
        if w.loss == "binary":
            y = y.float() if y.ndim > 1 else y.float()[:, None]
        if w.nodes[0].type == "CategoryEncoding":
            texts = [np.unique(row) for row in w.x[rows]]
            offsets = np.cumsum([0, *map(len, texts)])[:-1]
            return ((tensor(np.concatenate(texts)), tensor(offsets)),), y
        return tuple(self._images(a[rows]) for a in w.inputs.values()), y

    def _images(self, rows: Any) -> torch.Tensor:
        """Rows, with the channels first if they are images."""
        t = tensor(rows.astype(np.float32) if rows.dtype == bool else rows)
        if t.ndim == 5:
            last = self.format is torch.channels_last
            wanted = torch.channels_last_3d if last else torch.contiguous_format
            return t.permute(0, 4, 1, 2, 3).contiguous(memory_format=wanted)
        return t.permute(0, 3, 1, 2).contiguous(memory_format=self.format) if t.ndim == 4 else t

    def step(self, k: int) -> float:
        xs, y = self.batches[k % len(self.batches)]
        self.optimizer.zero_grad()
        loss = self.forward(xs, y)
        loss.backward()
        self.update()
        return loss.item()

    def evaluated(self) -> float:
        self.model.eval()
        with torch.no_grad():
            loss = self.plain(*self.batches[0]).item()
        self.model.train()
        return loss

    def restore(self) -> None:
        self.model.load_state_dict(self.first)


def start(workload: Workload, *, fused: bool = False, compiled: bool = False, sparse: bool = False) -> Loop | None:
    if sparse and len(workload.inputs) == 1:
        return None  # only the recommender's tables are large
    return Loop(workload, fused, compiled, sparse)
