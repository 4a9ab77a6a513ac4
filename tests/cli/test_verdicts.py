"""The verdict on the terminal, marked where the network is not better."""

from __future__ import annotations

from dataclasses import replace

import pytest
from judged import dense, judge, network, numbers

from graphspec.cli.results import print_verdicts


def test_a_network_that_is_not_better_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    found, _, _ = judge(network(dense(1), {"loss": "mse", "metrics": ["mae"]}), 9 * numbers(60, 5), numbers(60, 1))
    print_verdicts(found)
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.startswith("warning: ")
    assert "The network is not better." in " ".join(shown.out.split())


def test_a_field_that_gives_away_the_target_is_named_again(capsys: pytest.CaptureFixture[str]) -> None:
    """After many epochs the warning at the start is out of sight, and the verdict alone would flatter."""
    found, _, _ = judge(network(dense(1), {"loss": "mse", "metrics": ["mae"]}), 9 * numbers(60, 5), numbers(60, 1))
    print_verdicts(replace(found, given={"x1": "gives away the target by its gaps"}))
    assert "'x1' gives away the target, as said at the start" in " ".join(capsys.readouterr().out.split())
