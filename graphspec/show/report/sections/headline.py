"""What was trained, on what, and how well it answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from graphspec.base.arrays.system_memory import human
from graphspec.base.document import Block, Column, Facts, Folded, Group, Heading, Section, Span, Table, Text
from graphspec.base.text import count, duration, number
from graphspec.graph.ir.learnt_size import LearntSize
from graphspec.show.report.rows import file_name
from graphspec.show.report.task import kind
from graphspec.show.report.too_good import doubts
from graphspec.show.report.verdicts import FEWEST, RESAMPLES, lines

if TYPE_CHECKING:
    from graphspec.engine.training.timing import Times
    from graphspec.language.declarations import DataSource
    from graphspec.show.report.findings import Findings, Scored

_TILES = 6
_ROWS = 14  # values of a table that stands open


def headline(found: Findings) -> Section | None:
    """Return the losses and metrics of the judged rows, and the facts of the training."""
    judged = found.judged
    parts: list[Block] = [Text(f"{found.missing} The results of the training are in the curves below.", "note")]
    if judged is not None:
        parts = [*_verdicts(found), _said(found, judged), _tiles(found, judged), _table(found, judged)]
    return Section("results", "Results", [*parts, Heading("Training"), Facts(list(facts_of(found)), "facts")])


def about(found: Findings) -> str:
    """Return the line above the title: the kind of task and the day of the training."""
    day = f" · trained on {day_of(found.times)}" if found.times is not None and found.times.starts else ""
    return f"{kind(found.model)}{day}"


def _verdicts(found: Findings) -> Iterator[Text]:
    """Yield how each head compares with the best simple rule, and what is too good."""
    for line in lines(found.verdicts):
        yield Text(line.text, "warning" if line.better is False else "verdict")
    for said in doubts(found):
        yield Text(said[:1].upper() + said[1:], "warning")


def _said(found: Findings, judged: Scored) -> Text:
    """Return on which rows the network is judged, and what the intervals mean."""
    windows = "windows" if judged.raw.times is not None else "rows"
    rows = {
        "test": f"{judged.total:,} test {windows}, which the training has not seen",
        "given": f"{judged.total:,} rows that were given to the report",
        "validation": f"{judged.total:,} validation {windows}, as the spec has no test data: the training did not learn "
        "from them, but may have been stopped or chosen by them",
        "train": f"the {judged.total:,} training {windows} themselves, as the spec has neither test nor validation data: "
        "new rows will be answered less well",
    }[judged.part]
    said = ""
    if found.intervals:
        how = "stretches of time" if judged.raw.times is not None else "rows"
        sample = "" if len(judged.rows) == judged.total else f", from {len(judged.rows):,} of them,"
        said = f" Ranges are 95 % intervals{sample}: of shares by Wilson's formula, of other values"
        said += f" by {RESAMPLES:,} bootstrap resamples of {how}."
    elif judged.total < FEWEST:
        said = f" There are no intervals for fewer than {FEWEST} rows."
    changed = Span("These rows have changed since the training.", "strong")
    return Text((f"Judged on {rows}.", (" ", changed) if found.changed else "", said))


def _tiles(found: Findings, judged: Scored) -> Group:
    """Return the main values: metrics with one value each, then the loss."""
    losses = {"loss", *(f"{name}_loss" for name in judged.heads)}
    metrics = [key for key in judged.results if key not in losses and key not in judged.meanings]
    chosen = [*metrics[: _TILES - 1], "loss"]
    tiles: list[Block] = []
    for key in chosen:
        value, interval = judged.results[key], found.intervals.get(key)
        more = "" if interval is None else f"{number(interval.low)} to {number(interval.high)}"
        tile = [Text(key, "name"), Text(number(value), "value"), Text(more or "\u00a0", "more")]
        tiles.append(Group("tile", tile))
    return Group("tiles", tiles)


def _table(found: Findings, judged: Scored) -> Block:
    """Return all values, as ``graphspec evaluate`` prints them, beside those of the last epoch."""
    train = {key: values[-1] for key, values in found.history.items() if values}
    meanings = bool(judged.meanings)
    columns = ["Loss or metric", judged.part, "95 % interval", "training", "validation", *(["of"] if meanings else [])]
    last = [c for c in ("training", "validation") if c != judged.part and _any(judged.results, train, c)]
    columns = [c for c in columns if c in (judged.part, *last) or c not in ("training", "validation")]
    columns = list(dict.fromkeys(columns))
    rows = []
    for key, value in judged.results.items():
        interval = found.intervals.get(key)
        cells = {
            "95 % interval": "" if interval is None else f"{number(interval.low)} to {number(interval.high)}",
            "training": number(train[key]) if key in train else "",
            "validation": number(train[f"val_{key}"]) if f"val_{key}" in train else "",
            judged.part: f"{value:.6g}",
            "of": judged.meanings.get(key, ""),
        }
        rows.append([key, *(cells[c] for c in columns[1:])])
    others = f"; {' and '.join(last)} as in the last epoch" if last else ""
    caption = f"Losses and metrics on the {judged.part} rows{others}"
    described = [Column(c, "" if c in ("Loss or metric", "of") else "number") for c in columns]
    table = Table(described, rows, caption, label="Losses and metrics")
    return table if len(rows) <= _ROWS else Folded(f"All {len(rows):,} values", [table])


def _any(results: Mapping[str, float], last: Mapping[str, float], column: str) -> bool:
    return any((key if column == "training" else f"val_{key}") in last for key in results)


def facts_of(found: Findings) -> Iterator[tuple[str, str]]:
    """Yield the facts of a training, by name, as plain text."""
    model, times, record = found.model, found.times, found.record
    spec, epochs = model.spec, max(map(len, found.history.values()), default=0)
    yield from _data(found)
    if times is not None and times.starts:
        again = len(times.starts) - 1
        resumed = f"; resumed {'once' if again == 1 else f'{again:,} times'}" if again else ""
        yield "Trained", f"{moment(times.starts[0].at)}{resumed}"
    if times is not None and times.seconds is not None:
        speed = f", {times.rows_per_second:,.0f} rows per second" if times.rows_per_second else ""
        each = f", {duration(times.seconds / epochs)} per epoch" if epochs > 1 and times.complete else ""
        yield "Training time", f"{'' if times.complete else 'at least '}{duration(times.seconds)}{each}{speed}"
    if epochs:
        wanted = spec.training.epochs
        of = f" of {wanted:,}" if wanted > epochs else ""
        yield "Epochs", f"{epochs:,}{of}" + (f"; stopped: {found.stopped}" if found.stopped else "")
        restored = None if times is None else times.restored_epoch
        yield "Weights", f"of epoch {restored:,}, restored" if restored else f"of the last epoch, {epochs:,}"
    params = list(model.graph.params.values())
    total, trained = sum(p.size for p in params), sum(p.size for p in params if p.trainable)
    if not isinstance(total, LearntSize):
        part = "" if trained == total else f", {trained:,} of them trainable"
        yield (
            "Network",
            f"{count(len(spec.nodes), 'layer')}, {count(total, 'parameter')}{part}; {human(4 * total)} of weights",
        )
    optimizer = type(spec.training.optimizer).__name__
    workers = record.get("workers", 1)
    processes = f", {workers} processes" if isinstance(workers, int) and workers > 1 else ""
    yield "Optimizer", f"{optimizer}, batches of {spec.training.batch_size:,}, seed {spec.training.seed}{processes}"
    yield "Exported", exported(record)


def exported(record: Mapping[str, Any]) -> str:
    """Return the file to which ``train --export`` wrote a run, and what its proof says."""
    known = record.get("exported")
    if not isinstance(known, dict) or not isinstance(known.get("bytes"), int):
        return "not with the training"
    proof = "; ".join(str(known.get("proof")).splitlines())
    return f"{known.get('file')}, {human(known['bytes'])}: {proof}"


def _data(found: Findings) -> Iterator[tuple[str, str]]:
    spec, judged = found.model.spec, found.judged
    for part, name in (("train", "Training rows"), ("validation", "Validation rows"), ("test", "Test rows")):
        source = spec.data.get(part)
        if source is None:
            continue
        rows = (
            None
            if found.times is None
            else {"train": found.times.rows, "validation": found.times.validation_rows}.get(part)
        )
        if judged is not None and judged.part == part:
            rows = judged.total
        number = f"{rows:,} " if rows else ""
        yield name, f"{number}{'of ' if number else ''}{_source(source)}"


def _source(source: DataSource) -> str:
    if source.split is not None:
        how = "at the end " if source.in_order or source.by_time else ""
        by = f", stratified by {source.stratify}" if source.stratify else ""
        return f"the training data, {100 * source.split:g} % {how}of it{by}".replace("  ", " ")
    if source.query is not None:
        return "a query" if source.file is None else f"a query of {source.file.name}"
    return ", ".join(file_name(path) for path in source.paths) or "the data"


def moment(at: str) -> str:
    """Return a moment of ``timing.json`` as people write it; as it is if it is none."""
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        return at
    return f"{found.day} {found:%B %Y, %H:%M} {found.tzname() or ''}".strip()


def day_of(times: Times) -> str:
    """Return the day on which a run was started."""
    return moment(times.starts[0].at).partition(",")[0]
