"""Attention forward and backward beside PyTorch's `scaled_dot_product_attention`, each in a process of its own, in turn.

    python -m benchmarks.attention --python PYTHON [--rounds 3] [--threads 1]

PYTHON has PyTorch. Shown is the least processor time of all rounds, which other work on the machine changes little, and
what graphspec's program allocates; `whole scores` is graphspec without blocks of queries (`GRAPHSPEC_KERNELS=reference`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from typing import Any

CASES = {
    "causal 16 × 4 × 128 × 32": (16, 4, 128, 32, True, 0.0, 1.0),
    "causal 8 × 4 × 256 × 32": (8, 4, 256, 32, True, 0.0, 1.0),
    "causal 8 × 4 × 1024 × 32": (8, 4, 1024, 32, True, 0.0, 1.0),
    "causal 4 × 4 × 1024 × 64": (4, 4, 1024, 64, True, 0.0, 1.0),
    "causal 1 × 4 × 4096 × 32": (1, 4, 4096, 32, True, 0.0, 1.0),
    "8 × 4 × 1024 × 32": (8, 4, 1024, 32, False, 0.0, 1.0),
    "padded 8 × 4 × 1024 × 32": (8, 4, 1024, 32, False, 0.0, 0.6),
    "causal, dropout 8 × 4 × 1024 × 32": (8, 4, 1024, 32, True, 0.1, 1.0),
}
"""Samples, heads, steps, size of a head; causal; the rate of dropout; the part of the keys that padding leaves."""
TUNED = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 31)}


def least(step: Callable[[], object], clock: Callable[[], float], turns: int = 5) -> float:
    """Return the milliseconds of the quickest of some turns."""
    times = []
    for _ in range(turns):
        start = clock()
        step()
        times.append(clock() - start)
    return 1e3 * min(times)


def kept_keys(samples: int, steps: int, filled: float) -> Any:
    """Return the keys that padding leaves, (samples, 1, 1, steps): lengths from 2 · filled - 1 to 1 in equal steps."""
    import numpy as np

    lengths = np.linspace((2 * filled - 1) * steps, steps, samples)
    return np.arange(steps) < lengths[:, None, None, None]


def of_graphspec(case: tuple[Any, ...]) -> tuple[float, float]:
    """Return milliseconds, and megabytes of the program."""
    import numpy as np

    from graphspec.base.arrays.calls import settings
    from graphspec.engine.runtime.bind import build_program
    from graphspec.engine.runtime.parameters import Parameters
    from graphspec.graph.builder import Builder, Target
    from graphspec.graph.ir.graph import Graph, Type, Value

    N, heads, T, size, causal, rate, filled = case
    graph, shape = Graph("attention"), (N, T, heads * size)
    graph.inputs = {n: Value(n, Type("float32", shape), "input") for n in ("q", "k", "v")}
    if filled < 1:
        graph.inputs["mask"] = Value("mask", Type("bool", (N, 1, 1, T)), "input")
    attrs: dict[str, Any] = {"q_num_heads": heads, "kv_num_heads": heads, "is_causal": int(causal)}
    with Builder(graph, "node") as g:
        emitted = g.emit("DropoutAttention", tuple(graph.inputs.values()), attrs | {"ratio": rate}) if rate else None
        Y = emitted or g.Attention(*graph.inputs.values(), **attrs)
        loss = g.ReduceSum(g.Mul(Y, Y), keepdims=0)
    trained = graph.with_outputs({"y": Y}, loss)
    shapes = {name: value.shape for name, value in graph.inputs.items()}
    target = Target(shapes, input_grads=["q", "k", "v"])
    program = build_program(trained, Parameters(graph), target, training=True)
    for name, feed in program.feeds.items():
        feed[...] = kept_keys(N, T, filled) if name == "mask" else np.random.default_rng(1).standard_normal(shape)
    own = [call for _, node, a, b in program.spans if "Attention" in node for call in program.calls[a:b]]

    def step() -> None:
        for f, *operands in own:
            f(*operands)

    program.run()
    with settings():
        return least(step, time.process_time), program.nbytes / 1e6


def of_torch(case: tuple[Any, ...]) -> tuple[float, float]:
    """Return milliseconds; PyTorch's memory is not asked for."""
    import torch
    from torch.nn import functional

    N, heads, T, size, causal, rate, filled = case
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.set_flush_denormal(True)
    mask = torch.from_numpy(kept_keys(N, T, filled)) if filled < 1 else None
    x, d = torch.randn(N, T, 3 * heads * size, requires_grad=True), torch.randn(N, T, heads * size)

    def step() -> None:
        x.grad = None
        q, k, v = (a.view(N, T, heads, size).transpose(1, 2) for a in x.split(heads * size, -1))
        y = functional.scaled_dot_product_attention(q, k, v, mask, is_causal=causal, dropout_p=rate)
        y.transpose(1, 2).reshape(N, T, heads * size).backward(d)

    step()
    return least(step, time.process_time), 0.0


def measured(python: str, who: str, threads: int, **environment: str) -> dict[str, tuple[float, float]]:
    """Run all cases in a process."""
    env = os.environ | {"OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)} | environment
    command = [python, "-m", "benchmarks.attention", "--child", who]
    done = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout))


def main() -> None:
    """Print a table, or as a child what one contender takes."""
    parser = ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--python", help="an interpreter with PyTorch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--child", choices=["graphspec", "torch"])
    options = parser.parse_args()
    if options.child:
        of = of_torch if options.child == "torch" else of_graphspec
        print(json.dumps({name: of(case) for name, case in CASES.items()}))
        return
    own = partial(measured, sys.executable, "graphspec", options.threads)
    contenders = {"whole scores": partial(own, GRAPHSPEC_KERNELS="reference"), "graphspec": own}
    if options.python:
        contenders["PyTorch"] = partial(measured, options.python, "torch", options.threads, **TUNED)
    best: dict[str, dict[str, tuple[float, float]]] = {name: {} for name in contenders}
    for _ in range(options.rounds):
        for name, run in contenders.items():
            for case, (ms, mb) in run().items():
                best[name][case] = min(best[name].get(case, (ms, mb)), (ms, mb))
    print(
        "| samples × heads × steps × size | " + " | ".join(f"{name}, ms" for name in contenders) + " | MB, whole | MB |"
    )
    print("| --- |" + " --- |" * (len(contenders) + 2))
    for case in CASES:
        memory = (f"{best[name][case][1]:.0f}" for name in ("whole scores", "graphspec"))
        print(" | ".join([f"| {case}", *(f"{best[name][case][0]:.1f}" for name in contenders), *memory]) + " |")


if __name__ == "__main__":
    main()
