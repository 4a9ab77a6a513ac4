"""Hashes of what is computed: run it on two commits, and compare what it prints.

For every workload the weights after some steps; for every shipped spec the weights after some steps on made-up rows, and the
exported file without its metadata. One BLAS thread; equal numbers need an equal processor.
"""

from __future__ import annotations

import hashlib
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import graphspec as gs
from benchmarks.networks import ROWS, first, spec
from benchmarks.prepare import rows_of
from graphspec.base.arrays.blas import one_thread

SPECS = Path(__file__).parent.parent / "specs"
LENGTH = 12
"""Steps of an axis that varies."""


def digest(arrays: dict[str, Any]) -> str:
    total = hashlib.sha256()
    for name in sorted(arrays):
        total.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return total.hexdigest()[:16]


def exported(model: gs.Model) -> str:
    """The file without its metadata, which name versions."""
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        try:
            model.export(path)
        except gs.SpecError as error:
            return error.diagnostics[0].code
        proto = onnx.load(path)
    del proto.metadata_props[:]
    return hashlib.sha256(proto.SerializeToString(deterministic=True)).hexdigest()[:16]


def made_up(model: gs.Model, count: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Rows that fit a spec: few ids, bits, normal floats; targets of any class, or the labels 1 and 2."""
    random = np.random.default_rng(0)

    def array(kind: Any, high: int = 2) -> Any:
        shape = [count, *(d if isinstance(d, int) else LENGTH for d in kind.shape[1:])]
        if kind.is_float:
            return random.random(shape).astype(np.float32)
        return random.integers(0, high, shape).astype(kind.dtype)

    x = {name: array(value.type) for name, value in model.graph.inputs.items()}
    y = {}
    for head in model.spec.heads.values():
        if head.loss is not None:
            value = model.graph.outputs[head.name]
            y[head.name] = array(head.loss.target(value))
            if any(not isinstance(d, int) for d in value.type.shape[1:]) and y[head.name].dtype.kind == "f":
                with suppress(gs.UsageError):  # a network that has yet to learn from rows
                    y[head.name] = np.resize(y[head.name], np.shape(answers(model, x)[head.name]))
            if head.loss.targets == "labels":
                y[head.name] = np.tile([1, 2], (count, 1))  # no repeat, which would need a time step more
    return x, y


def answers(model: gs.Model, x: dict[str, Any]) -> dict[str, Any]:
    """What the network answers, by head, which says how large its targets are."""
    found = model.predict(x)
    return found if isinstance(found, dict) else dict.fromkeys(model.spec.heads, found)


def trained(model: gs.Model, count: int) -> str:
    """The weights after two epochs on made-up rows, or the code of what the rows lack."""
    try:
        model.fit(*made_up(model, count), epochs=2, batch_size=4, validation_split=None, callbacks=[], verbose=0)
    except gs.SpecError as error:
        return error.diagnostics[0].code
    return digest(model.weights)


def lines(steps: int, chosen: list[str]) -> Iterator[str]:
    for name in ROWS:
        if not chosen or name in chosen:
            model = gs.compile(spec(name))
            x, y = rows_of(name, model.spec.training.batch_size)
            batch = model.spec.training.batch_size
            rows = batch * min(steps, 16)
            model.fit(first(x, rows), y[:rows], epochs=max(steps // 16, 1), verbose=0)
            yield f"{name} {digest(model.weights)}"
    for file in sorted([*SPECS.glob("*.yaml"), *SPECS.glob("architectures/*.yaml")]):
        if not chosen or file.stem in chosen:
            model = gs.compile(file, ["training.workers=1"])
            try:
                model.require_adapted()
            except gs.UsageError:  # its layers learn from rows: those of its own data
                model.fit(epochs=1, callbacks=[], verbose=0)
                yield f"{file.stem} {exported(model)} {digest(model.weights)}"
            else:
                yield f"{file.stem} {exported(model)} {trained(model, 8 if file.parent == SPECS else 2)}"


def main() -> None:
    parser = ArgumentParser(prog="python -m benchmarks.bits", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="workloads and specs; all by default")
    parser.add_argument("--steps", type=int, default=48, help="of the workloads (48)")
    options = parser.parse_args()
    with one_thread():
        for line in lines(options.steps, options.names):
            print(line, flush=True)


if __name__ == "__main__":
    main()
