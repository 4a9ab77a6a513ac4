"""SpectralScale: the largest singular value, one writer among workers, and its gradient."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
from graphs import Array, check_gradients, run
from layouts import normal
from workers import Threads

from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder, Target
from graphspec.graph.initializers import Constant
from graphspec.graph.ir.graph import Graph
from graphspec.graph.kernels.context import LocalGroup, Shard


@pytest.mark.parametrize(
    ("sizes", "shape", "columns"), [((3, 4), (3, 4), 1), ((4, 2, 3), (4, 2, 3), 0), ((2, 3, 2), (6, 2), 1)]
)
def test_spectral_scale(sizes: tuple[int, ...], shape: tuple[int, ...], columns: int) -> None:
    """After many iterations the largest singular value is divided by; the weight itself is."""
    graph = Graph("test")
    g = Builder(graph, "node")
    W, u = (
        g.param("kernel", shape, Constant(value=0.0)),
        g.param("vector_u", (1, sizes[columns]), Constant(value=1.0), state=True),
    )
    graph.outputs["y"] = g.SpectralScale(W, u, sizes=sizes, columns=columns, iterations=60)
    parameters = Parameters(graph, np.float64)
    parameters.initialize(0)
    program = build_program(graph, parameters, Target({}, shard=Shard(LocalGroup(), slice(0, 1), 1)), training=True)
    program.run()
    np.testing.assert_array_equal(program.fetches["y"], np.zeros(shape))  # a kernel of zeros stays
    np.testing.assert_array_equal(parameters.get()["node/vector_u"], np.ones((1, sizes[columns])))
    start = np.random.default_rng(1).standard_normal(shape)
    parameters.set({"node/kernel": start})
    program.run()
    matrix = np.moveaxis(start.reshape(sizes), columns, -1).reshape(-1, sizes[columns])
    sigma = np.linalg.svd(matrix, compute_uv=False)[0]
    np.testing.assert_allclose(program.fetches["y"], start / sigma, rtol=1e-6)
    np.testing.assert_array_equal(parameters.get()["node/kernel"], program.fetches["y"])


def test_spectral_scale_over_workers() -> None:
    """Every worker uses the kernel that rank 0 alone writes, once; none reads it half written."""
    graph = Graph("test")
    g = Builder(graph, "node")
    start = np.random.default_rng(1).standard_normal((6, 5)).astype(np.float32)
    W, u = g.param("kernel", (6, 5), Constant(value=0.0)), g.param("vector_u", (1, 5), Constant(value=1.0), state=True)
    graph.outputs["y"] = g.SpectralScale(W, u, sizes=(6, 5), columns=1)

    def work(parameters: Parameters, rank: int, size: int, barrier: threading.Barrier) -> Array:
        group = Threads(rank, size, barrier, [])
        shapes: dict[str, Any] = {}
        program = build_program(graph, parameters, Target(shapes, shard=Shard(group, slice(0, 1), 1)), training=True)
        for _ in range(20):
            program.run()
        return np.array(program.fetches["y"])

    found = []
    for size in (1, 3):
        parameters = Parameters(graph)
        parameters.initialize(0)
        parameters.set({"node/kernel": start})
        barrier = threading.Barrier(size)
        with ThreadPoolExecutor(size) as pool:
            found += list(pool.map(partial(work, parameters, size=size, barrier=barrier), range(size)))
        found.append(parameters.get()["node/kernel"])
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_spectral_scale_outside_training() -> None:
    W, u = normal(0, 3, 4), normal(1, 1, 4)
    attrs: dict[str, Any] = {"sizes": (3, 4), "columns": 1}
    np.testing.assert_array_equal(run("SpectralScale", [W, u], **attrs)[0], W)
    check_gradients("SpectralScale", [W, u], [0], **attrs)
