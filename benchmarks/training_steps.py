"""Milliseconds of a training step as an ONNX file by onnxruntime, beside the runtime's own, both on one thread.

The weights go out and in again as NumPy arrays in every step, as an app does it. Both are timed in turns; the quickest of
each counts.
"""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.networks import OLD, ROWS, spec
from benchmarks.steps import next_batch, trainer_of
from benchmarks.tables import add_page, milliseconds, publish, table, where
from graphspec.api.model import compile as compile_spec
from graphspec.base.arrays.calls import settings
from graphspec.export.training_step import KEY
from graphspec.graph.onnx_session import session


class Learner:
    """What an app does with the file: a step returns the weights, which the next one gets."""

    def __init__(self, path: Path, x: Any, y: Any) -> None:
        self.session, self.step = session(path, threads=1), 0
        start = session(path.with_suffix(".start.onnx"))
        self.state: Any = dict(zip((o.name for o in start.get_outputs()), start.run(None, {}), strict=True))
        record = json.loads(self.session.get_modelmeta().custom_metadata_map[KEY])
        (target,), self.seeded = record["targets"], record["seed"] is not None
        arrays = x if isinstance(x, dict) else {record["inputs"][0]["name"]: x}
        self.batch = {i["name"]: np.asarray(arrays[i["name"]], i["dtype"]) for i in record["inputs"]}
        sizes = [len(y), *(d for d in target["shape"][1:])]
        self.batch[target["name"]] = np.asarray(y, target["dtype"]).reshape(sizes if len(sizes) == 1 else (len(y), -1))
        self.names = [o.name for o in self.session.get_outputs()]

    def run(self) -> None:
        more = {"step": np.array(self.step)} | ({"seed": np.array(1)} if self.seeded else {})
        found = dict(zip(self.names, self.session.run(self.names, self.batch | more | self.state), strict=True))
        self.state = {name.removesuffix("/next"): a for name, a in found.items() if name.endswith("/next")}
        self.step += 1


def measure(name: str, lasting: float) -> list[str]:
    """The line of a network: both times of a step, their ratio, and the size of the file."""
    model = compile_spec(spec(name))
    size = model.spec.training.batch_size
    x, y = ROWS[name](size)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "step.onnx"
        model.export_training_step(path)
        learner, megabytes = Learner(path, x, y), path.stat().st_size / 1e6
    trainer, own, others = trainer_of(model, (x, y)), list[float](), list[float]()
    end = time.perf_counter() + lasting
    while time.perf_counter() < end or len(own) < 5:
        next_batch(trainer)
        for run, times in ((trainer.step, own), (learner.run, others)):
            begin = time.perf_counter()
            run()
            times.append(time.perf_counter() - begin)
    ratio = f"{min(others) / min(own):.1f}"
    return [name, str(size), milliseconds(min(own)), milliseconds(min(others)), ratio, f"{megabytes:.1f}"]


def main() -> None:
    parser = ArgumentParser(prog="python -m benchmarks.training_steps", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="W", help=f"of {', '.join(ROWS)}; W1 to W9 by default")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each network")
    add_page(parser)
    options = parser.parse_args()
    with settings():
        lines = [measure(name, options.seconds) for name in options.workloads or OLD]
    head = ["", "rows", "ms, the runtime", "ms, onnxruntime", "ratio", "MB"]
    publish("training steps", f"{where()}\n\n{table(head, lines)}", options.markdown)


if __name__ == "__main__":
    main()
