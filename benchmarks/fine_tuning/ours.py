"""graphspec's ordinary training of a spec.

``python -m benchmarks.fine_tuning.ours CASE SEED EPOCHS`` prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping

from benchmarks.fine_tuning.cases import CASES, Case
from graphspec.api.model import compile as compile_spec
from graphspec.engine.training.prepare import FitSettings, prepare_fit
from graphspec.engine.training.reporting import Silent


class Clock(Silent):
    """Seconds of one core until the end of each epoch; the first one has all that comes before it."""

    def __init__(self) -> None:
        self.at = [time.process_time()]
        self.losses: list[float] = []

    def epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        self.at.append(time.process_time())
        self.losses.append(logs["loss"])


def train(case: Case, seed: int, epochs: int) -> dict[str, object]:
    """Seconds and the mean loss of each epoch, and the accuracy on the test rows."""
    model = compile_spec(case.spec, [f"training.seed={seed}", "training.workers=1"])
    if model.prelude is not None:
        model.prelude.threads = 1  # onnxruntime's, as PyTorch's: idle ones would spin, and count
    clock = Clock()
    prepare_fit(model, None, FitSettings(epochs=epochs), observer=clock).run()
    return {
        "seconds": [b - a for a, b in zip(clock.at, clock.at[1:], strict=False)],
        "losses": clock.losses,
        "accuracy": model.evaluate()["accuracy"],
        "weights": sum(param.size for param in model.graph.params.values() if param.trainable),
    }


if __name__ == "__main__":
    name, seed, epochs = sys.argv[1:]
    print(json.dumps(train(CASES[name], int(seed), int(epochs))))
