"""The time of a step on several machines, against cases computed by hand."""

from __future__ import annotations

import pytest

from graphspec.compiler.rank_costs import LATENCY, Network, RankCosts, estimated_seconds


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
    """2 ranks: 2 messages of 50 µs; 4 MB in two halves, twice, at 1.25 GB/s = 3.2 ms. 8 ranks: 14 and 5.6."""
    costs = RankCosts(1_000_000, 64, 0.040, Network.parse("10Gb,0.05ms"))
    assert costs.step(1).total == 0.040
    assert costs.step(1).communication == 0
    assert costs.step(2).communication == pytest.approx(0.1e-3 + 3.2e-3)
    assert costs.step(2).total == pytest.approx(20e-3 + 3.3e-3)
    assert costs.step(8).communication == pytest.approx(14 * 50e-6 + 5.6e-3)
    assert costs.step(8).total == pytest.approx(11.3e-3)


def test_the_rows_of_the_table() -> None:
    costs = RankCosts(10, 64, 1.0, Network(1e9))
    assert [step.ranks for step in costs.table(8)] == [1, 2, 4, 8]
    assert [step.ranks for step in costs.table(6)] == [1, 2, 4, 6]
    assert [step.ranks for step in costs.table(1)] == [1]


@pytest.mark.parametrize("parameters", [100, 50_000, 3_000_000])
@pytest.mark.parametrize("compute", [1e-4, 0.003, 0.04, 2.0])
@pytest.mark.parametrize("network", ["10Gb", "1Gb,1ms", "100Gb,2us", "1Gb,0s"])
def test_the_fastest_number_of_ranks(parameters: int, compute: float, network: str) -> None:
    """Against trying every number; between equal times, the smaller number."""
    costs = RankCosts(parameters, 300, compute, Network.parse(network))
    assert costs.fastest() == min(range(1, 301), key=lambda ranks: costs.step(ranks).total)


def test_where_more_ranks_gain_nothing() -> None:
    """A step of 1 ms, 2 messages of 0.25 ms: two ranks take 1 ms, too. With a step of 1.1 ms they take 1.05 ms."""
    network = Network(1e15, 0.25e-3)
    assert RankCosts(0, 64, 1e-3, network).fastest() == 1
    assert RankCosts(0, 64, 1.1e-3, network).fastest() == 2


def test_the_estimate_of_a_step() -> None:
    """A product and its two gradients, 2 operations each: 6 x 50 million at 10 GFLOP/s are 30 ms."""
    assert estimated_seconds(50_000_000, 10) == pytest.approx(0.03)
