"""The costs of ranks in ``graphspec summary --ranks``: what a step would take on several machines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from graphspec.base.errors import Diagnostic, UsageError
from graphspec.base.text import columns, count, percent, wrapped
from graphspec.cli.options import flag, option

if TYPE_CHECKING:
    from graphspec.engine.compiler.check import Checked
    from graphspec.engine.compiler.rank_costs import RankCosts

GFLOPS = 50.0
"""The rate of a rank where none is given: a core with 256-bit vectors that computes products of matrices."""

Ranks = Annotated[
    int | None,
    option("N", "Print what a training step would take on up to N machines, too; needs --network.", "--ranks", min=1),
]
NetworkText = Annotated[
    str | None,
    option(
        "RATE[,LATENCY]",
        "The network between them: 10Gb, or 10Gb,0.05ms; b is a bit, B a byte per second.",
        "--network",
    ),
]
Gflops = Annotated[
    float | None, option("N", "What one rank computes, for the time of a step: 50 GFLOP/s by default.", "--gflops")
]
StepMilliseconds = Annotated[float | None, option("MS", "The milliseconds of a step of one rank.", "--step-time")]
Measure = Annotated[bool, flag("--measure", "Measure the step on this machine, with the training rows of the spec.")]
AsJson = Annotated[bool, flag("--json", "With --ranks: print only its numbers, as JSON.")]


@dataclass(frozen=True)
class Asked:
    """The options about ranks.

    Raises:
        UsageError: they do not fit together.
    """

    ranks: int | None
    network: str | None
    gflops: float | None
    step_time: float | None
    measure: bool
    as_json: bool

    def __post_init__(self) -> None:
        given = {
            "--network": self.network is not None,
            "--gflops": self.gflops is not None,
            "--step-time": self.step_time is not None,
            "--measure": self.measure,
            "--json": self.as_json,
        }
        if self.ranks is None:
            if any(given.values()):
                raise UsageError(f"{next(o for o, g in given.items() if g)} needs --ranks N")
            return
        if self.network is None:
            raise UsageError("--ranks needs --network, such as `--network 10Gb` or `--network 10Gb,0.05ms`")
        sources = [option for option in ("--gflops", "--step-time", "--measure") if given[option]]
        if len(sources) > 1:
            raise UsageError(f"give only one of {' and '.join(sources)}: each says how long a step takes")
        for name, value in (("--gflops", self.gflops), ("--step-time", self.step_time)):
            if value is not None and not 0 < value < float("inf"):
                raise UsageError(f"{name} must be a positive number")


@dataclass(frozen=True)
class Report:
    """The costs, and where the time of a step comes from, in words."""

    costs: RankCosts
    source: str
    words: str


def rank_costs(checked: Checked, rows: int, asked: Asked) -> Report:
    """Return the costs of a spec on several ranks.

    Args:
        rows: the rows of a batch of all ranks together.

    Raises:
        UsageError: the network cannot be read, or nothing says how long a step takes.
        SpecError: the training rows are wrong (with ``--measure``).
    """
    from graphspec.engine.compiler.cost import cost
    from graphspec.engine.compiler.rank_costs import Network, RankCosts, estimated_seconds, sums_over_batch
    from graphspec.graph.ir.dims import LearntSize

    assert asked.network is not None
    try:
        network = Network.parse(asked.network)
    except ValueError as error:
        raise UsageError(f"--network: {error}") from None
    if asked.ranks is not None and asked.ranks > rows:
        raise UsageError(f"a batch has {count(rows, 'row')}: more ranks than that would have nothing to do")
    spec, lowered = checked.require()
    sums = sums_over_batch(lowered.graph)
    if asked.measure:
        seconds, parameters = _measured(checked, rows)
        words = "measured here on one core"
        return Report(RankCosts(parameters, rows, seconds, network, sums), "measured", words)
    total = cost(spec, lowered, rows).total()
    if isinstance(total.trainable, LearntSize):
        raise UsageError(
            "the number of parameters comes from the training rows: give --measure, or the run of a training"
        )
    if asked.step_time is not None:
        seconds = asked.step_time / 1000
        return Report(RankCosts(total.trainable, rows, seconds, network, sums), "given", "as --step-time says")
    if isinstance(total.multiply_adds, LearntSize) or not total.multiply_adds:
        raise UsageError("there are no products to estimate a step by: give --measure, or --step-time MS")
    rate = asked.gflops or GFLOPS
    seconds = estimated_seconds(total.multiply_adds, rate)
    products = f"3 x {total.multiply_adds:,} multiply-adds of 2 operations"
    words = f"estimated by {products} at {rate:g} GFLOP/s (--measure measures it)"
    return Report(RankCosts(total.trainable, rows, seconds, network, sums), "estimated", words)


def _measured(checked: Checked, rows: int) -> tuple[float, int]:
    """Return the seconds of a training step of one core, and the number of trainable parameters."""
    from graphspec.api import Model
    from graphspec.base.arrays.blas import one_thread
    from graphspec.base.codes import Code
    from graphspec.base.errors import SpecError
    from graphspec.data.check import refused
    from graphspec.data.signature import load_all
    from graphspec.engine.training.auto_workers import step_seconds
    from graphspec.engine.training.observers import Silent
    from graphspec.engine.training.prepare import FitSettings, prepare_fit

    spec, lowered = checked.require()
    if "train" not in spec.data:
        text = "the spec has no `data.train` whose rows a step could be measured with"
        hint = "give --step-time MS or --gflops N"
        raise SpecError([Diagnostic.at(spec.tree.mark, Code.MISSING_KEY, text, path="data.train", hint=hint)])
    model = Model(spec, lowered, checked.diagnostics)
    model.parts, found = load_all(spec, lowered.graph, None)
    if any(d.is_error for d in found):
        raise refused(found)
    trainer = prepare_fit(model, settings=FitSettings(batch_size=rows, callbacks=[]), observer=Silent())
    with one_thread():
        seconds = step_seconds(trainer.steps, 0)
    return seconds, sum(param.size for param in model.graph.params.values() if param.trainable)


def rank_lines(report: Report, ranks: int, width: int | None) -> Iterator[str]:
    """Yield the lines about ranks."""
    costs, network = report.costs, report.costs.network
    text = (
        f"a step of {count(costs.rows, 'row')} on several machines, each one rank: {_time(costs.compute)} of computing, "
        f"{report.words}"
    )
    yield from wrapped(text, width, indent=2)
    sent = f"{count(costs.parameters, 'trainable parameter')}, 4 bytes each, sent twice"
    rate = f"{network.bandwidth * 8 / 1e9:g} Gbit/s, {_time(network.latency)} per message"
    if costs.sums:
        sent += f"; {count(costs.sums, 'sum')} over the batch"
    yield from wrapped(f"network: {sent}; {rate}", width, indent=2)
    yield ""
    cells: list[tuple[str, ...]] = [("ranks", "step", "computing", "communication", "share", "speed-up")]
    for step in costs.table(ranks):
        share, speed = percent(step.communication / step.total), f"{costs.compute / step.total:.2f}"
        cells.append((f"{step.ranks:,}", *map(_time, (step.total, step.compute, step.communication)), share, speed))
    yield from columns(cells, right=range(6))
    yield ""
    yield from wrapped(_verdict(costs), width, indent=2)


def _verdict(costs: RankCosts) -> str:
    best = costs.fastest()
    if best == 1:
        return "one rank is fastest: with more, the network takes longer than the computing that it saves"
    if best == costs.rows:
        return f"more ranks are faster up to {costs.rows:,}, one for each row of a batch"
    step = costs.step(best)
    return (
        f"{best:,} ranks are fastest: {_time(step.total)} a step, {costs.compute / step.total:.2f} times as fast as one; "
        f"from {best + 1:,} ranks on, more ranks are slower"
    )


def rank_json(report: Report, ranks: int, spec: Path) -> str:
    """Return the costs as a JSON document; times are in seconds."""
    costs = report.costs
    best = costs.fastest()
    steps: Sequence[object] = [
        {
            "ranks": step.ranks,
            "step_seconds": step.total,
            "compute_seconds": step.compute,
            "communication_seconds": step.communication,
            "speed_up": costs.compute / step.total,
        }
        for step in costs.table(ranks)
    ]
    document = {
        "spec": str(spec),
        "trainable_parameters": costs.parameters,
        "batch_size": costs.rows,
        "compute_seconds": costs.compute,
        "compute_source": report.source,
        "bandwidth_bytes_per_second": costs.network.bandwidth,
        "latency_seconds": costs.network.latency,
        "sums_over_batch": costs.sums,
        "steps": steps,
        "fastest_ranks": best,
        "fastest_step_seconds": costs.step(best).total,
    }
    return json.dumps(document, indent=1)


def _time(seconds: float) -> str:
    """Format a time with three digits: ``12.3 µs``, ``4.56 ms``, ``1.23 s``."""
    for unit, size in (("µs", 1e-6), ("ms", 1e-3)):
        if seconds < 999.5 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:,.3g} s" if seconds < 999.5 else f"{seconds:,.0f} s"
