"""Several runs on one page: their results side by side, the keys in which their specs differ, their curves together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from graphspec.base.arrays.blas import computing
from graphspec.base.arrays.memory import human
from graphspec.base.config import Config
from graphspec.base.document import BREAK, UNDEFINED, Cell, Column, Element, Inline, Section, Span, Table, Text
from graphspec.base.files import write_atomic
from graphspec.base.text import count, duration, shorten_end
from graphspec.data.batches import Dataset
from graphspec.engine.runtime.session import Session
from graphspec.engine.training.reporting import Fitted, Times
from graphspec.graph.ir.dims import LearntSize
from graphspec.language.declarations import Spec
from graphspec.language.parse import parse
from graphspec.show.html import Opening, page, stroke, text
from graphspec.show.report.about import between, exported, headline, kind, listed, moment, opening, origins
from graphspec.show.report.charts import amount
from graphspec.show.report.columns import columns
from graphspec.show.report.curves import LOG_SWITCH, Line, Panel, charts_of, curves
from graphspec.show.report.findings import Findings, find, judge, judged_by_spec, mapping_in, of_model
from graphspec.show.report.heads import heads
from graphspec.show.report.importance import importance
from graphspec.show.report.network import network
from graphspec.show.report.verdicts import Interval
from graphspec.show.report.worst import worst
from graphspec.vocabulary.metrics import direction

# The keys in which specs of several runs differ: all keys with their defaults, as paths such as ``training.epochs``.
Flat = dict[str, str]
_PLACES = ("file", "images", "texts", "folder")


def flattened(spec: Spec, hashes: Mapping[str, str] | None = None) -> Flat:
    """Return the keys of a spec, as it was written, with their values as text, defaults included.

    Places of data files are left out: where data lie is no difference. Their content counts, by the hashes of a run.
    """
    training = spec.training
    flat = _of("training.optimizer", training.optimizer)
    for key in ("epochs", "batch_size", "shuffle", "seed", "combine", "workers"):
        flat[f"training.{key}"] = _value(getattr(training, key))
    for k, callback in enumerate(training.callbacks):
        flat |= _of(f"training.callbacks.{k}", callback)
    for name, decl in spec.inputs.items():
        flat[f"inputs.{name}"] = f"{decl.dtype} {_value(decl.shape)}"
    for node in spec.nodes:
        place = f"layers.{node.name}"
        sources = ", ".join(ref.name for ref in node.inputs if ref is not None)
        flat |= _of(place, node.layer) | {f"{place}.inputs": sources, f"{place}.trainable": _value(node.trainable)}
        if node.share is not None:
            flat |= {f"{place}.share": node.share, f"{place}.average": _value(node.average)}
    for head in spec.all_heads.values():
        place = f"outputs.{head.name}"
        if head.others:
            flat[f"{place}.layer"] = ", ".join(ref.name for ref in head.layers if ref is not None)
        if head.target is not None:
            flat[f"{place}.target"] = head.target.name
        flat |= _of(f"{place}.loss", head.loss)
        flat[f"{place}.weight"] = _value(head.weight)
        flat[f"{place}.metrics"] = ", ".join(metric.key for metric in head.metrics)
        flat |= {f"{place}.{key}": _value(getattr(head, key)) for key in ("class_weight", "scale", "labels")}
    document = spec.document.get("data")
    for part, keys in document.items() if isinstance(document, dict) else ():
        for key, value in keys.items() if isinstance(keys, dict) else ():
            if key not in _PLACES:
                flat |= _leaves(f"data.{part}.{key}", value)
    for part, digest in (hashes or {}).items():
        flat[f"data.{part} (content)"] = f"sha256 {str(digest)[:12]}…"
    return flat


def differences(specs: Sequence[Flat]) -> dict[str, list[str | None]]:
    """Return the values of each key in which specs differ, None where a spec lacks it, in the order of the specs.

    A layer that a spec lacks is one key, with the type of the layer.
    """
    found: dict[str, list[str | None]] = {}
    missing: set[str] = set()
    for key in dict.fromkeys(key for spec in specs for key in spec):
        values = [spec.get(key) for spec in specs]
        first, _, rest = key.partition(".")
        layer = f"{first}.{rest.partition('.')[0]}" if first == "layers" else ""  # the layer to which it belongs
        if layer in missing or all(value == values[0] for value in values):
            continue
        if layer and any(layer not in spec for spec in specs):
            missing.add(layer)
            key, values = layer, [spec.get(layer) for spec in specs]
        found[key] = values
    return found


def _of(place: str, config: Config | None) -> Flat:
    """Return an object of the vocabulary: its type at ``place``, and its arguments below it."""
    if config is None:
        return {place: "none"}
    flat = {place: type(config).__name__.lstrip("_")}
    for key in type(config).model_fields:
        value = getattr(config, key)
        flat |= _of(f"{place}.{key}", value) if isinstance(value, Config) else {f"{place}.{key}": _value(value)}
    return flat


def _leaves(place: str, value: Any) -> Flat:
    if not isinstance(value, Mapping):
        return {place: _value(value)}
    return {leaf: text for key, inner in value.items() for leaf, text in _leaves(f"{place}.{key}", inner).items()}


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_value(inner)}" for key, inner in value.items()) or "{}"
    if isinstance(value, Config):
        arguments = ", ".join(f"{key}={_value(getattr(value, key))}" for key in type(value).model_fields)
        return f"{type(value).__name__.lstrip('_')}({arguments})"
    return str(value)


@dataclass(frozen=True)
class Compared:
    """What is kept of a run to compare it with others."""

    name: str  # the shortest end of its path that no other run has
    spec_name: str
    # kind, task: the kind of its task; what its heads are trained for: runs with another task answer another question
    kind: str
    task: str
    rows: str  # what its values were computed on, as hashes: two runs with other rows cannot be compared
    # part, total: the judged rows, and how many there are; no part if there are none, with the reason in ``missing``
    part: str
    total: int
    missing: str
    results: Mapping[str, float]
    intervals: Mapping[str, Interval]
    spec: Flat
    # history, times, stopped, record: as :class:`graphspec.show.report.findings.Findings` has them
    history: Mapping[str, list[float]]
    times: Times | None
    stopped: str | None
    record: Mapping[str, Any]
    epochs: int
    parameters: int
    meanings: Mapping[str, str] = field(default_factory=dict)  # of each value of a metric with several values


def compared(found: Findings, name: str) -> Compared:
    """Return what is kept of a run."""
    spec, judged = found.model.spec, found.judged
    hashes = {part: str(digest) for part, digest in mapping_in(found.record, "data_sha256").items()}
    part, total = ("", 0) if judged is None else (judged.part, judged.total)
    heads = [(h.name, type(h.loss).__name__, found.model.graph.outputs[h.name].shape[1:]) for h in spec.heads.values()]
    validation = spec.data.get("validation")
    split = part != "test" and validation is not None and validation.is_split
    rows = [part, hashes.get("train" if split else part, ""), total]
    if split and validation is not None:
        rows += [validation.split, validation.origins, spec.training.seed, validation.stratify]
    size = sum(p.size for p in found.model.graph.params.values())
    # the spec without what was learnt
    written = None if found.directory is None else parse(str(found.directory / "spec.json"))[0]
    return Compared(
        name=name,
        spec_name=spec.name,
        kind=kind(found.model),
        task=repr(sorted(heads)),
        rows=repr(rows),
        part=part,
        total=total,
        missing=found.missing,
        results={} if judged is None else judged.results,
        intervals=found.intervals,
        spec=flattened(written or spec, hashes),
        history=found.history,
        times=found.times,
        stopped=found.stopped,
        record=found.record,
        epochs=max(map(len, found.history.values()), default=0),
        parameters=0 if isinstance(size, LearntSize) else size,
        meanings={} if judged is None else judged.meanings,
    )


def names_of(runs: Sequence[Path]) -> list[str]:
    """Return the shortest ends of paths that tell them apart."""
    tails = [run.resolve().parts for run in runs]
    length = 1
    while len({tail[-length:] for tail in tails}) < len({*tails}):
        length += 1
    names = ["/".join(tail[-length:]) for tail in tails]
    return [name if names.count(name) == 1 else f"{name} ({k + 1})" for k, name in enumerate(names)]


# The sections of a comparison: results, curves, the keys in which the specs differ, times and versions.
_METRICS, _PANELS, _KEYS = 12, 8, 200  # that are shown
_VALUE = 120  # characters of a value of a spec
_STYLES = 20


def results(runs: Sequence[Compared]) -> Section:
    """Return a table of runs by losses and metrics, the best of each marked, and what cannot be compared."""
    keys = list(dict.fromkeys(key for run in runs for key in run.results))
    shown = keys[:_METRICS]
    best = {key: found for key in shown if (found := best_of(runs, key)) is not None}
    columns = [Column("Run"), Column("Judged on")]
    columns += [Column(name, "number") for name in (*shown, "Epochs", "Training time", "Parameters")]
    rows: list[list[Inline | Cell]] = []
    for k, run in enumerate(runs):
        on = f"{run.total:,} {run.part} rows" if run.part else "no rows"
        seconds = None if run.times is None else run.times.seconds
        least = "" if run.times is None or run.times.complete else "≥ "
        time = Cell("", "") if seconds is None else Cell(f"{least}{duration(seconds)}", seconds)
        numbers = [Cell(f"{run.epochs:,}", run.epochs), time, Cell(f"{run.parameters:,}", run.parameters)]
        rows.append([run.name, on, *(_cell(runs, k, key, best.get(key)) for key in shown), *numbers])
    caption = "Final losses and metrics, with 95 % intervals"
    table = Table(columns, rows, caption, label="Results of all runs", sort=True)
    said = [Text(line, "note") for line in notes(runs, len(keys) - len(shown), bool(best))]
    return Section("results", "Results", [*said, table])


def best_of(runs: Sequence[Compared], key: str) -> list[int] | None:
    """Return the runs whose value is best; None unless at least two runs have it, and all that have it can be compared."""
    having = [k for k, run in enumerate(runs) if math.isfinite(run.results.get(key, math.nan))]
    better = direction(key)
    if len(having) < 2 or better is None or len({(runs[k].rows, runs[k].task) for k in having}) > 1:
        return None
    values = [runs[k].results[key] for k in having]
    wanted = min(values) if better == "min" else max(values)
    return [k for k, value in zip(having, values, strict=True) if value == wanted]


def notes(runs: Sequence[Compared], hidden: int, marked: bool) -> Iterator[str]:
    """Yield what a reader of the table must know."""
    tasks, rows = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for run in runs:
        tasks[run.task].append(run.name)
        if run.part:
            rows[run.rows].append(run.name)
    if len(tasks) > 1:
        yield f"The runs have {len(tasks)} different tasks, whose values cannot be compared: {_groups(tasks.values())}."
    if len(rows) > 1:
        yield f"The runs are judged on different rows, so no value is marked as best across them: {_groups(rows.values())}."
    for run in runs:
        if run.missing:
            yield f"{run.name}: {run.missing}"
    if marked:
        yield "“best” marks the best value, “≈” one whose interval overlaps with its: other rows may change the order."
    if hidden > 0:
        yield f"{hidden:,} further values are not shown; the report of each run has them."


def _groups(groups: Iterable[Sequence[str]]) -> str:
    return "; ".join(", ".join(g[:6]) + (f" and {len(g) - 6} more" if len(g) > 6 else "") for g in groups)


def _cell(runs: Sequence[Compared], k: int, key: str, best: list[int] | None) -> Cell:
    """Return the cell of a value, with its interval, and how it stands to the best."""
    value, interval = runs[k].results.get(key), runs[k].intervals.get(key)
    if value is None:
        return Cell(UNDEFINED, kind="muted")
    mark: Inline = ""
    if best is not None and k in best:
        mark = (" ", Span("best", "strong best"))
    elif best is not None and interval is not None:
        low, high = runs[best[0]].intervals.get(key) or (runs[best[0]].results[key],) * 2
        mark = (" ", Span("≈", "muted")) if interval.low <= high and low <= interval.high else ""
    return Cell((amount(value), mark, BREAK, Span(between(interval), "note")), repr(value))


def compared_curves(runs: Sequence[Compared]) -> Section | None:
    """Return the curves of all runs over one another: one chart for each loss and metric."""
    keys = list(dict.fromkeys(key for run in runs for key in run.history if key != "learning_rate"))
    keys.sort(key=lambda key: not key.startswith("val_"))
    panels = []
    for key in keys[:_PANELS]:
        lines = [Line(run.name, run.history[key], _style(k), k) for k, run in enumerate(runs) if key in run.history]
        panels.append(Panel(key, lines))
    if not panels:
        return None
    items = "".join(
        f'<li><label><input type="checkbox" class="js-only" checked data-run-switch="{k}"> '
        f"{stroke(f'line {_style(k)}')}{text(run.name)}</label></li>"
        for k, run in enumerate(runs)
        if run.history
    )
    left = len(keys) - len(panels)
    note = [Text(f"{left:,} further metrics are not drawn.", "note")] if left > 0 else []
    legend = Element(f'<ul class="legend">{items}</ul>')
    return Section("curves", "Curves", [legend, LOG_SWITCH, *charts_of(panels, [], "curves"), *note])


def _style(k: int) -> str:
    return f"r{k % 10}" + (" dashed" if k % _STYLES >= 10 else "")


def differing(runs: Sequence[Compared]) -> Section:
    """Return the keys in which the specs differ, defaults included."""
    found = differences([run.spec for run in runs])
    if not found:
        same = Text("The specs are the same in every key, and so are the data.")
        return Section("differences", "Differences", [same])
    rows = [(Span(key, "code"), [v and shorten_end(v, _VALUE) for v in values]) for key, values in found.items()]
    more = [Text(f"{len(rows) - _KEYS:,} further keys differ.", "note")] if len(rows) > _KEYS else []
    caption = "Keys of the specs that differ, with their defaults"
    table = _by_run(caption, "Keys that differ", "Key", runs, rows[:_KEYS])
    return Section("differences", "Differences", [table, *more])


def origins_of(runs: Sequence[Compared]) -> Section:
    """Return when and with which versions the runs were trained."""
    facts: dict[str, Callable[[Compared], Any]] = {
        "trained": lambda r: moment(r.times.starts[0].at) if r.times and r.times.starts else None,
        "resumed": lambda r: len(r.times.starts) - 1 if r.times and r.times.starts else None,
        "rows per second": lambda r: f"{s:,.0f}" if r.times and (s := r.times.rows_per_second) else None,
        "stopped": lambda r: r.stopped,
        "weights": lambda r: human(4 * r.parameters),
        "exported": lambda r: exported(r.record),
        "seed": lambda r: r.record.get("seed"),
        "workers": lambda r: r.record.get("workers"),
        "graphspec": lambda r: r.record.get("graphspec"),
        "Python": lambda r: r.record.get("python"),
        "NumPy": lambda r: mapping_in(r.record, "packages").get("numpy"),
        "onnxruntime": lambda r: mapping_in(r.record, "packages").get("onnxruntime"),
        "platform": lambda r: r.record.get("platform"),
        "spec sha256": lambda r: str(r.record.get("spec_sha256") or "")[:12] or None,
    }
    rows = [(name, [None if (v := fact(run)) is None else str(v) for run in runs]) for name, fact in facts.items()]
    known = [(name, values) for name, values in rows if any(value not in (None, "0") for value in values)]
    table = _by_run("Times, versions and seeds of the runs", "Times and versions", "", runs, known)
    return Section("origins", "Times and versions", [table])


def _by_run(
    caption: str, label: str, corner: str, runs: Sequence[Compared], rows: Iterable[tuple[Inline, Sequence[str | None]]]
) -> Table:
    cells = [[name, *(Cell(UNDEFINED, kind="muted") if v is None else v for v in values)] for name, values in rows]
    return Table([corner, *(run.name for run in runs)], cells, caption, label=label, kind="by-run")


MOST = 20  # runs on one page


def write_comparison(
    runs: Sequence[Path], load: Callable[[Path], Session], path: Path, part: str | None = None
) -> list[str]:
    """Write a page that compares runs; return what could not be found out about some of them, as sentences.

    One run after the other is loaded, so that only one is in the memory. They are judged by the rows of ``part``; by default
    by the first that each spec has.
    """
    found = [compared(find(load(run), run, part), name) for run, name in zip(runs, names_of(runs), strict=True)]
    write_atomic(path, comparison_html(found))
    return [f"{run.name}: {run.missing[:1].lower()}{run.missing[1:].rstrip('.')}" for run in found if run.missing]


def comparison_html(runs: Sequence[Compared]) -> str:
    """Return the page."""
    made: Iterable[Section | None] = (results(runs), compared_curves(runs), differing(runs), origins_of(runs))
    sections = [section for section in made if section is not None]
    specs = dict.fromkeys(run.spec_name for run in runs)
    title = next(iter(specs)) if len(specs) == 1 else "Comparison of runs"
    kinds = listed([*dict.fromkeys(run.kind for run in runs)]).capitalize()
    return page(Opening(title, f"{kinds} · {count(len(runs), 'run')} compared"), sections)


REPORT, PAGE = "report.html", "page.html"
# the sections in their order on the page; one that returns None is left out
SECTIONS: tuple[Callable[[Findings], Section | None], ...]
SECTIONS = (headline, curves, heads, worst, columns, importance, network, origins)


class Written(NamedTuple):
    """A written report: its path, why it lacks results by rows, if it does, and intervals of those of a part's rows."""

    path: Path
    missing: str
    part: str
    intervals: Mapping[str, Interval]


def report_html(found: Findings) -> str:
    """Return the page of a run."""
    sections = [section for make in SECTIONS if (section := make(found)) is not None]
    has_page = found.directory is not None and (found.directory / PAGE).is_file()
    return page(opening(found), sections, {"Try it": PAGE} if has_page else {})


@computing()
def write_model_report(model: Session, path: Path, fitted: Fitted, rows: Dataset | None = None) -> Written:
    """Write the report of a model in the memory, judged by checked raw rows, by default those of the spec."""
    found = of_model(model, fitted)
    return write_found(judged_by_spec(found) if rows is None else judge(found, rows, "given"), path)


def write_report(model: Session, directory: Path, path: Path | None = None, part: str | None = None) -> Written:
    """Write the report of a run, by default into its directory; more: :func:`graphspec.show.report.findings.find`."""
    return write_found(find(model, directory, part), path or directory / REPORT)


def write_found(found: Findings, path: Path) -> Written:
    """Write what was found out about a run."""
    write_atomic(path, report_html(found))
    return Written(path, found.missing, "" if found.judged is None else found.judged.part, found.intervals)
