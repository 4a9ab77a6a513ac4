"""scikit-learn's multilayer perceptrons: ``partial_fit``, a batch a call.

They have Adam and SGD only: Adam stands for RMSprop.
"""

# mypy: ignore-errors, because scikit-learn need not be installed

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier, MLPRegressor

from benchmarks.contenders.base import Stepper

if TYPE_CHECKING:
    from benchmarks.workload import Workload


class Loop(Stepper):
    version = sklearn.__version__

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self.x = workload.x.astype(np.float32)
        self.y = workload.y.ravel()
        hidden = [node.arguments["units"] for node in workload.nodes[:-1]]
        self.regression = workload.loss == "squared"
        kind = MLPRegressor if self.regression else MLPClassifier
        lr = workload.optimizer["learning_rate"]
        self.model = kind(
            hidden_layer_sizes=hidden, solver="adam", alpha=0.0, batch_size=workload.batch, learning_rate_init=lr
        )
        self.more = {} if self.regression else {"classes": np.unique(self.y)}
        self.step(0)
        self.restore()

    def restore(self) -> None:
        for k, node in enumerate(self.workload.nodes):
            weights = self.workload.of(node)
            self.model.coefs_[k][...] = weights["kernel"]
            self.model.intercepts_[k][...] = weights["bias"]

    def evaluated(self) -> float:
        raise NotImplementedError("it has no dropout")

    def step(self, k: int) -> float:
        rows = self.workload.rows(k)
        self.model.partial_fit(self.x[rows], self.y[rows], **self.more)
        return float(self.model.loss_) * (2 if self.regression else 1)  # it takes half of the square


def start(workload: Workload) -> Loop | None:
    return Loop(workload) if {node.type for node in workload.nodes} == {"Dense"} else None
