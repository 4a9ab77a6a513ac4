"""The time of a step on several machines, against cases computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

import graphspec as gs
from graphspec.engine.compiler.rank_costs import LATENCY, Network, RankCosts, estimated_seconds, sums_over_batch
from graphspec.engine.training.observers import Silent
from graphspec.engine.training.prepare import FitData, prepare_fit
from graphspec.graph.kernels.context import LocalGroup


@pytest.mark.parametrize(
    ("text", "bandwidth", "latency"),
    [
        ("10Gb", 1.25e9, LATENCY),
        ("10Gb/s,0.05ms", 1.25e9, 50e-6),
        ("1Gbit, 1ms", 1.25e8, 1e-3),
        ("100Mbps,2us", 1.25e7, 2e-6),
        ("12.5GB,1.5µs", 1.25e10, 1.5e-6),
        ("1TB/s,0s", 1e12, 0),
        (" 56Gb,500ns ", 7e9, 5e-7),
    ],
)
def test_networks(text: str, bandwidth: float, latency: float) -> None:
    network = Network.parse(text)
    assert network.bandwidth == pytest.approx(bandwidth)
    assert network.latency == pytest.approx(latency)


@pytest.mark.parametrize(
    "text", ["", "10", "10G", "fast", "0Gb", "10Gb,1", "10Gb,1h", "-1Gb", "1e9Gb", "10gb", "nanGb"]
)
def test_no_networks(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"write a bandwidth, and a latency if you know it, such as 10Gb or 10Gb,0\.05ms"
    ):
        Network.parse(text)


def test_a_million_parameters_over_10_gigabits() -> None:
    """4 MB in two halves, twice, at 1.25 GB/s = 3.2 ms; of 8 ranks 5.6. Two exchanges, with 10 µs for each other rank."""
    costs = RankCosts(1_000_000, 64, 0.040, Network.parse("10Gb,0.05ms"))
    assert costs.step(1).total == 0.040
    assert costs.step(1).communication == 0
    assert costs.step(2).communication == pytest.approx(2 * 50e-6 + 20e-6 + 3.2e-3)
    assert costs.step(2).total == pytest.approx(20e-3 + 3.32e-3)
    assert costs.step(4).communication == pytest.approx(3 * 50e-6 + 60e-6 + 4.8e-3)
    assert costs.step(8).communication == pytest.approx(5 * 50e-6 + 140e-6 + 5.6e-3)  # three for the order
    assert costs.step(8).total == pytest.approx(10.99e-3)


@pytest.mark.parametrize("ranks", [2, 3, 4])
@pytest.mark.parametrize("sums", range(5))
def test_latencies_against_messages_that_are_waited_for(ranks: int, sums: int) -> None:
    """Every rank goes on when it has what all others sent in an exchange; each message takes one latency."""
    at = [0] * ranks
    for step in range(6):
        at = [at[0], *(max(at[0] + 1, other) for other in at[1:])]  # the order
        start = at[0]
        for _ in range(2 + sums):
            at = [max(at[k], *(at[j] + 1 for j in range(ranks) if j != k)) for k in range(ranks)]
        assert at[0] - start == RankCosts(1, 64, 1.0, Network(1e9), sums).latencies(ranks), step


def test_sums_over_the_batch_are_those_that_a_step_computes() -> None:
    """Two heads of BatchNormalization, of which one sees a mask."""
    layers = """
layers:
  - {name: ids, type: Embedding, input_dim: 7, output_dim: 3, mask_zero: true, inputs: words}
  - {name: first, type: BatchNormalization}
  - {name: mean, type: GlobalAveragePooling1D}
  - {name: hidden, type: Dense, units: 4}
  - {name: second, type: BatchNormalization}
  - {name: y, type: Dense, units: 1}
"""
    spec = yaml.safe_load(f"graphspec: 1\nname: n\ninputs: {{words: {{shape: [5], dtype: int64}}}}\n{layers}")
    model = gs.compile(spec | {"outputs": {"y": {"loss": "mse"}}, "training": {"optimizer": "SGD", "batch_size": 8}})
    rows = (np.ones((8, 5), np.int64), np.ones((8, 1), np.float32))
    steps = prepare_fit(model, FitData(*rows), observer=Silent()).steps
    group = _Counting()
    program = steps.common.bind(8, model.optimizer_state.gradient, group)
    sums = sum(call[0] == group.all_reduce for call in program.calls)
    assert sums == sums_over_batch(model.graph) == 7


class _Counting(LocalGroup):
    size = 2


def test_the_rows_of_the_table() -> None:
    costs = RankCosts(10, 64, 1.0, Network(1e9))
    assert [step.ranks for step in costs.table(8)] == [1, 2, 4, 8]
    assert [step.ranks for step in costs.table(6)] == [1, 2, 4, 6]
    assert [step.ranks for step in costs.table(1)] == [1]


@pytest.mark.parametrize("parameters", [100, 50_000, 3_000_000])
@pytest.mark.parametrize("compute", [1e-4, 0.003, 0.04, 2.0])
@pytest.mark.parametrize("network", ["10Gb", "1Gb,1ms", "100Gb,2us", "1Gb,0s"])
def test_the_fastest_number_of_ranks(parameters: int, compute: float, network: str) -> None:
    """No number up to the rows of a batch is faster."""
    costs = RankCosts(parameters, 300, compute, Network.parse(network))
    times = {ranks: costs.step(ranks).total for ranks in range(1, 301)}
    assert times[costs.fastest()] == min(times.values())


def test_where_more_ranks_gain_nothing() -> None:
    """A step of 1 ms, 2 latencies of 0.24 ms and 20 µs of messages: two ranks take 1 ms, too."""
    network = Network(1e15, 0.24e-3)
    assert RankCosts(0, 64, 0.999e-3, network).fastest() == 1
    assert RankCosts(0, 64, 1.1e-3, network).fastest() == 2


def test_the_estimate_of_a_step() -> None:
    """A product and its two gradients, 2 operations each: 6 x 50 million at 10 GFLOP/s are 30 ms."""
    assert estimated_seconds(50_000_000, 10) == pytest.approx(0.03)
